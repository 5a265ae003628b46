//! What bridges of other protocols share: readings of a message go to the node as frames of a state
//! folder, and the message is answered by what their receipts say.
//!
//! A message has an identity and a content. All of its readings are placed and receipted, or it is
//! not answered as stored. While it is under way it has one task, whoever asks how often; so a
//! message that is sent again waits for the same receipts. What was placed before a crash the marks
//! of the frames say, what was stored `messages.log`.
//!
//! ```text
//!   deliver --> [one task a message] --open, place, wait--> client::Stream --> node
//!      ^               |
//!      +--receipts-----+--> messages.log
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bridge::Cause;
use client::{Connection, ConnectionConfig, Counts, Delay, StateBounds, StreamError};
use files::{Audience, LockedFile};
use model::{Clock, RejectCode, SystemClock, escape, with_causes};
use tokio::sync::watch;
use tokio::time::timeout;
use wire::{SignedReceipt, StopReason};

use self::ahead::Ahead;
use self::content::Said;
use self::message::{MemberPart, Part, part_id};
use self::receipts::Receipts;
use self::standing::{PlaceError, Standing};
use self::streams::{Streams, Unopened};
use self::taken::{Kept, RECEIPTS_MAX, Taken};
use crate::node::Node;
use crate::report::{UnknownHost, Usage};

mod ahead;
mod carried;
mod content;
#[cfg(test)]
mod faults;
mod known;
#[cfg(test)]
pub(crate) mod limits;
mod message;
mod receipts;
mod refused;
mod standing;
mod streams;
mod taken;
mod telling;
mod turn;

pub(crate) use self::content::Content;
pub(crate) use self::message::{Member, Message};
pub(crate) use self::taken::{MessageId, ReceiptName};
pub(crate) use self::telling::Telling;

/// Most messages that are under way, each member of one that has several for itself. Below the
/// marks of a stream, so that of each of them the folder says what was placed.
pub(crate) const UNDER_WAY_MAX: usize = 1000;
/// Most readings in them: some 80 MiB.
const READINGS_MAX: usize = 1_000_000;
/// How often a node that is away is looked for, at most.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(5);
/// A node that is away may stay away: the senders keep what is not answered.
const AWAY_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// How often it is said how far a bridge is.
const SHOWN_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether the certificate is to be renewed.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// What became of a message, for everybody who asks.
type Outcome = Result<Vec<ReceiptName>, Cause>;

/// One that is under way, by itself or as a member of another one.
struct UnderWay {
    said: Said,
    /// It or its members with readings, which count with it; none of a member.
    names: usize,
    /// Those of its members are counted with it.
    readings: usize,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// Those that are under way.
type AllUnderWay = BTreeMap<MessageId, UnderWay>;

/// Where readings go.
pub(crate) struct Delivery {
    /// What is taken is looked at while this is held: a message is found there or here, whenever
    /// it ends.
    under_way: Mutex<AllUnderWay>,
    taken: Taken,
    streams: Streams,
    receipts: Arc<Receipts>,
    ahead: Arc<Ahead>,
    link: watch::Sender<Option<Connection>>,
    patience: Duration,
    _lock: LockedFile,
}

/// What of it is said now and then.
#[derive(Clone, Copy, Default)]
pub(crate) struct Standings {
    pub(crate) counts: Counts,
    pub(crate) is_connected: bool,
    pub(crate) under_way: usize,
    /// The highest epoch of a stream that stood, of 65,535.
    pub(crate) epochs_used_max: u16,
}

impl Standings {
    fn words(&self) -> String {
        let away = if self.is_connected { "" } else { "; the node is away" };
        let (durable, under_way) = (self.counts.readings_receipted, self.under_way);
        format!("{durable} readings durable, {under_way} messages under way{away}")
    }
}

impl Delivery {
    /// Says how far it is, now and again, if that changed: what a bridge says of its messages, and
    /// what became of their readings.
    pub(crate) async fn show(&self, is_told: bool, sentence: impl Fn() -> String) -> Infallible {
        let mut ticks = tokio::time::interval(SHOWN_EVERY);
        // At the begin it is away only because it was not looked for yet.
        ticks.tick().await;
        let mut before = String::new();
        loop {
            ticks.tick().await;
            let line = format!("{}; {}", sentence(), self.standings().words());
            if is_told && line != before {
                eprintln!("vitals: {}", escape(&line));
                before = line;
            }
        }
    }

    /// Of a state folder that no other program uses; a message is waited for as long as `patience`.
    pub(crate) fn open(state: PathBuf, patience: Duration) -> anyhow::Result<Arc<Delivery>> {
        files::make_folder(&state, Audience::Owner).context("making the state folder")?;
        let lock = files::open_locked(&state.join("bridge.lock"), Audience::Owner)?;
        let held = || format!("expected {} for this program alone", state.display());
        let lock = lock.ok_or_else(|| Usage(held() + ", found another one that uses it"))?;
        Ok(Arc::new(Delivery {
            under_way: Mutex::default(),
            taken: Taken::open(&state)?,
            streams: Streams::new(&state, StateBounds::default()),
            receipts: Arc::default(),
            ahead: Arc::default(),
            link: watch::Sender::new(None),
            patience,
            _lock: lock,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, AllUnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection to the node, until that cannot be, or the disk keeps no more what became
    /// of messages; `say` is told what happens to it.
    pub(crate) async fn link(
        self: &Arc<Self>,
        node: &Node,
        state: PathBuf,
        say: impl Fn(&str),
    ) -> anyhow::Error {
        self.unless_disk_fails(self.keep_linked(node, state, say)).await
    }

    /// Whatever ends first says why: without its disk a bridge would refuse all messages until
    /// somebody looked, and whoever supervises it begins it anew once it has ended.
    async fn unless_disk_fails(&self, ended: impl Future<Output = anyhow::Error>) -> anyhow::Error {
        tokio::select! {
            error = ended => error,
            Some(failed) = self.taken.disk_failed() => {
                anyhow::Error::new(failed).context("keeping which messages are stored")
            }
        }
    }

    async fn keep_linked(
        self: &Arc<Self>,
        node: &Node,
        state: PathBuf,
        say: impl Fn(&str),
    ) -> anyhow::Error {
        let config = match node.config(SocketAddr::from(([0, 0, 0, 0], 0))) {
            Ok(config) => self.configured(config, state),
            Err(error) => return error,
        };
        let mut pause = config.waits.retry_first;
        let mut told = String::new();
        loop {
            let failed = match connect(node, &config).await {
                Ok(connection) => {
                    say("connected to the node");
                    self.deliver_over(connection).await
                }
                Err(failed) => failed,
            };
            if !is_away(&failed) {
                return failed;
            }
            let why = with_causes(failed.as_ref());
            if why != told {
                say(&format!("the node is not there, and is looked for: {why}"));
                told = why;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN_AFTER_MAX);
        }
    }

    /// Delivers over a connection until it ends for good; says why.
    async fn deliver_over(self: &Arc<Self>, connection: Connection) -> anyhow::Error {
        self.carry_on(&connection);
        self.link.send_replace(Some(connection.clone()));
        let ended = tokio::select! {
            why = ended(&connection) => why,
            never = self.stop_what_is_ahead() => match never {},
        };
        self.link.send_replace(None);
        self.streams.forget_all().await;
        // Its folders are free for the next one.
        connection.close().await;
        ended
    }

    /// Gives up what waits too long for the node's clock.
    async fn stop_what_is_ahead(&self) -> Infallible {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            for slot in self.ahead.take_due(Instant::now()) {
                let Some(standing) = self.streams.find(&slot).await else { continue };
                standing.stop(RejectCode::Clock);
                let why = StopReason::Refused(RejectCode::Clock);
                self.note(&standing, &StreamError::Stopped { why }).await;
            }
        }
    }

    fn configured(&self, mut config: ConnectionConfig, state: PathBuf) -> ConnectionConfig {
        config.state = Some(state);
        config.state_bounds = StateBounds::default();
        config.waits.retry_for = AWAY_MAX;
        config.renew_every = Some(RENEW_EVERY);
        // That of the state folder: several programs of one gateway are several sessions.
        config.newest = None;
        let (receipts, ahead) = (self.receipts.clone(), self.ahead.clone());
        config.on_receipt = Some(Arc::new(move |receipt: &SignedReceipt| {
            receipts.note(receipt);
            let frames = &receipt.receipt.items().frames;
            frames.iter().for_each(|item| ahead.clear(&item.stream));
        }) as _);
        let ahead = self.ahead.clone();
        let on_delay = move |delay: &Delay| ahead.note(delay, Instant::now());
        config.on_delay = Some(Arc::new(on_delay) as _);
        config
    }

    /// Delivers a message, or says what became of it before. It is waited for as long as patience
    /// lasts; then it goes on by itself, and whoever sends it again waits for the same.
    pub(crate) async fn deliver(self: &Arc<Self>, message: Message) -> Outcome {
        let said = message.said();
        let mut outcome = {
            let mut all = self.lock();
            if let Some(done) = self.find_done(message.id, &said) {
                return done;
            }
            match all.get(&message.id) {
                Some(one) if !one.said.is_same(&said) => return Err(Cause::Reused),
                Some(one) => one.outcome.clone(),
                None => self.begin(&mut all, message, said)?,
            }
        };
        let waited = timeout(self.patience, outcome.wait_for(Option::is_some)).await;
        match waited {
            Ok(Ok(done)) => done.clone().unwrap_or(Err(Cause::Away)),
            // It goes on; or its task has ended without a word, and the next one is another.
            Ok(Err(_)) | Err(_) => Err(Cause::Away),
        }
    }

    fn begin(
        self: &Arc<Self>,
        all: &mut AllUnderWay,
        message: Message,
        said: Said,
    ) -> Result<watch::Receiver<Option<Outcome>>, Cause> {
        for member in message.named() {
            self.check_member(all, &member)?;
        }
        let under_way = |count: fn(&UnderWay) -> usize| -> usize { all.values().map(count).sum() };
        let (names, readings) = (message.with_readings(), message.readings());
        let is_full = under_way(|one| one.readings) + readings > READINGS_MAX;
        if is_full || under_way(|one| one.names) + names > UNDER_WAY_MAX {
            return Err(Cause::Busy);
        }
        let (sender, outcome) = watch::channel(None);
        let one = UnderWay { said, names, readings, outcome: outcome.clone() };
        all.insert(message.id, one);
        // Whoever sends one of them by itself waits for the same.
        for (id, said) in message.named() {
            let outcome = outcome.clone();
            let member = UnderWay { said, names: 0, readings: 0, outcome };
            all.insert(id, member);
        }
        let delivery = self.clone();
        tokio::spawn(async move {
            // Also where it panics: else a message would be under way for ever.
            let forget = Forget { delivery: &delivery, message: &message };
            let outcome = delivery.run(&message, said).await;
            drop(forget);
            sender.send_replace(Some(outcome));
        });
        Ok(outcome)
    }

    async fn run(self: &Arc<Self>, message: &Message, said: Said) -> Outcome {
        let parts = Part::of(message)?;
        let connection = self.standing_connection().await?;
        // The node decides by its own clock: where this bridge's is behind, good readings pass.
        let now = SystemClock.now();
        message.check_times(connection.node_time().map_or(now, |time| time.max(now)))?;
        let mut open = Vec::with_capacity(parts.len());
        for part in parts {
            // All are open before one is placed: of what the node does not open, because a device
            // is not this patient's, nothing is left behind. Consent it asks of each frame.
            let standing = self.open_stream(&connection, &part).await?;
            open.push((part, standing));
        }
        // Asked once they are open: what was given up while they were waited for is noted by then.
        let mut members = open.iter().flat_map(|(part, _)| &part.members);
        if members.any(|member| self.taken.is_unsure(member.id)) {
            return Err(Cause::Unsure);
        }
        let mut placed = 0;
        let outcome = self.place_and_wait(&open, &mut placed).await;
        let kept = match &outcome {
            Ok(receipts) => {
                let own = (message.id, said);
                let all: Vec<_> = message.named().chain([own]).collect();
                self.taken.store(&all, receipts).await
            }
            Err(_) => {
                // What the node refuses of the other ones is noted too: else their streams stood
                // in the way of the next patient of the device for ever.
                open.iter().for_each(|(_, standing)| self.carry(standing.clone()));
                self.keep_parts(&open[..placed]).await
            }
        };
        kept.map_err(|error| self.streams.not_kept(&error)).and(outcome)
    }

    /// Keeps that these parts are in frames.
    async fn keep_parts(&self, placed: &[(Part, Arc<Standing>)]) -> io::Result<()> {
        for (part, standing) in placed {
            // What is not synced yet a power cut may take back, and then it is to be placed again.
            if !standing.is_synced() {
                continue;
            }
            let messages = part.members.iter().map(|member| (member.id, member.said));
            // Of what is given up the marks say what there is.
            let stands = || !standing.is_refused();
            self.taken.store_part(part_id(&part.key), messages, stands).await?;
        }
        Ok(())
    }

    async fn open_stream(
        self: &Arc<Self>,
        connection: &Connection,
        part: &Part,
    ) -> Result<Arc<Standing>, Cause> {
        match self.streams.open(connection, part, self.patience).await {
            Ok(standing) => Ok(standing),
            Err(Unopened::Cause(cause)) => Err(cause),
            Err(Unopened::Failed(standing, error)) => {
                Err(self.note_for(part, &standing, &error).await)
            }
            Err(Unopened::Before(standing)) => {
                self.carry(standing);
                Err(Cause::Away)
            }
        }
    }

    /// What a failure of a stream means for a part of it.
    async fn note_for(&self, part: &Part, standing: &Standing, error: &StreamError) -> Cause {
        let cause = self.note(standing, error).await;
        standing.cause_for(part, cause).await
    }

    /// What a failure of a stream means.
    async fn note(&self, standing: &Standing, error: &StreamError) -> Cause {
        self.ahead.clear(&standing.name());
        self.streams.note(standing, error, &self.taken).await
    }

    async fn place_and_wait(&self, open: &[(Part, Arc<Standing>)], placed: &mut usize) -> Outcome {
        let mut waits = Vec::with_capacity(open.len());
        for (part, standing) in open {
            let id = part_id(&part.key);
            let is_new = |one: &&MemberPart| !self.taken.has_part(one.id, id);
            let new: Vec<_> = part.members.iter().filter(is_new).collect();
            match standing.place(&new).await {
                Ok(last) => waits.push(last),
                Err(PlaceError::Reused) => return Err(Cause::Reused),
                Err(PlaceError::Stream(error)) => {
                    return Err(self.note_for(part, standing, &error).await);
                }
            }
            *placed += 1;
        }
        let mut receipts = Vec::new();
        for ((part, standing), last) in open.iter().zip(waits) {
            if let Err(error) = standing.wait(last).await {
                let cause = self.note_for(part, standing, &error).await;
                // What the node refused may be later than this.
                if !standing.has_receipts_of(part).await {
                    return Err(cause);
                }
            }
            receipts.extend(self.receipts.of(&standing.name(), last));
        }
        receipts.sort();
        receipts.dedup();
        // As many as are kept, so that the message is answered the same for ever.
        receipts.drain(..receipts.len().saturating_sub(RECEIPTS_MAX));
        Ok(receipts)
    }

    /// Whether a member may go with another message: not while it goes by itself or has gone, of
    /// which whoever sends the same again hears.
    fn check_member(&self, all: &AllUnderWay, (id, said): &(MessageId, Said)) -> Result<(), Cause> {
        let taken = self.taken.find(*id);
        let before = all.get(id).map(|one| one.said);
        match before.or(taken.as_ref().map(|entry| entry.said)) {
            Some(other) if !other.is_same(said) => return Err(Cause::Reused),
            None => return Ok(()),
            Some(_) if before.is_some() => return Err(Cause::Busy),
            Some(_) => {}
        }
        match taken.map(|entry| entry.kept) {
            Some(Kept::ByOne(_) | Kept::BySeveral(_)) => Err(Cause::Busy),
            Some(Kept::Unsure) => Err(Cause::Unsure),
            Some(Kept::InPart(_)) | None => Ok(()),
        }
    }

    /// What became of a message before, if it is done or cannot be.
    fn find_done(&self, id: MessageId, said: &Said) -> Option<Outcome> {
        let entry = self.taken.find(id)?;
        if !entry.said.is_same(said) {
            return Some(Err(Cause::Reused));
        }
        match entry.kept {
            Kept::ByOne(receipt) => Some(Ok(vec![receipt])),
            Kept::BySeveral(receipts) => Some(Ok(receipts.into())),
            Kept::Unsure => Some(Err(Cause::Unsure)),
            Kept::InPart(_) => None,
        }
    }

    /// The connection, once there is one.
    async fn standing_connection(&self) -> Result<Connection, Cause> {
        let mut link = self.link.subscribe();
        match timeout(self.patience, link.wait_for(Option::is_some)).await {
            Ok(Ok(connection)) => connection.clone().ok_or(Cause::Away),
            Ok(Err(_)) | Err(_) => Err(Cause::Away),
        }
    }

    /// What is said of it now and then.
    pub(crate) fn standings(&self) -> Standings {
        let connection = self.link.borrow().clone();
        // Without the members of others.
        let under_way = self.lock().values().filter(|one| one.names > 0).count();
        let epochs_used_max = self.streams.epochs_used_max();
        let counts = connection.as_ref().map(Connection::counts).unwrap_or_default();
        let is_connected = connection.is_some_and(|connection| connection.is_connected());
        Standings { counts, is_connected, under_way, epochs_used_max }
    }

    /// Keeps what is known, and says goodbye.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let synced = self.taken.sync().await;
        let connection = self.link.send_replace(None);
        if let Some(connection) = connection {
            connection.close().await;
        }
        synced.context("keeping which messages are stored")
    }
}

/// Takes a message and its members out of those that are under way.
struct Forget<'a> {
    delivery: &'a Delivery,
    message: &'a Message,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut all = self.delivery.lock();
        all.remove(&self.message.id);
        for (id, _) in self.message.named() {
            all.remove(&id);
        }
    }
}

/// One attempt. The node's name is looked up anew: where it leads may change until it is there.
async fn connect(node: &Node, config: &ConnectionConfig) -> anyhow::Result<Connection> {
    let address = node.address().await?;
    Ok(Connection::connect(ConnectionConfig { address, ..config.clone() }).await?)
}

/// Until the connection has ended for good.
async fn ended(connection: &Connection) -> anyhow::Error {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        if let Some(why) = connection.end_reason() {
            return why.into();
        }
    }
}

/// Whether the node may be there later without anybody changing anything here.
fn is_away(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<UnknownHost>()
            || cause.downcast_ref::<client::ConnectionError>().is_some_and(|error| match error {
                client::ConnectionError::GaveUp { .. } => true,
                error => error.is_passing(),
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_member_of_a_message_under_way_is_known_and_goes_once() {
        let folder = tempfile::tempdir().unwrap();
        let patience = Duration::from_millis(10);
        let delivery = Delivery::open(folder.path().to_owned(), patience).unwrap();
        let message =
            |id, content| Message::single(MessageId([id; 16]), Content([content; 16]), Vec::new());
        let of_member = |id| {
            let member = message(2, 2).members;
            Message { id: MessageId([id; 16]), content: Content([id; 16]), members: member }
        };
        // Nothing runs between: the message waits for the node.
        let begin = |message: Message| {
            let said = message.said();
            delivery.begin(&mut delivery.lock(), message, said)
        };
        let under_way = begin(of_member(1)).unwrap();
        assert_eq!(delivery.deliver(message(2, 9)).await, Err(Cause::Reused));
        let other = begin(of_member(3));
        assert_eq!(other.err(), Some(Cause::Busy));
        assert_eq!(delivery.standings().under_way, 1);
        // It goes no further than its message.
        assert_eq!(delivery.deliver(message(2, 2)).await, Err(Cause::Away));
        drop(under_way);
    }

    #[tokio::test]
    async fn a_bridge_whose_disk_keeps_nothing_any_more_ends_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let delivery = Delivery::open(folder.path().to_owned(), Duration::ZERO).unwrap();
        let mut linked = std::pin::pin!(delivery.unless_disk_fails(std::future::pending()));
        let asked = timeout(Duration::ZERO, &mut linked).await;
        assert!(asked.is_err(), "it goes on");
        delivery.taken.break_disk().await;
        let error = linked.await;
        assert!(!is_away(&error), "it is not looked for");
        assert!(error.to_string().contains("keeping which messages"), "{error}");
        assert!(error.root_cause().is::<Arc<io::Error>>(), "{error:?}");
    }
}
