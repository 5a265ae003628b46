//! The streams of a bridge: opened when the first reading of a device and signal comes, and closed
//! where another patient follows on the device or too many stand.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bridge::Cause;
use client::{Backlog, Backlogs, Connection, InputMark, SpoolError, StateBounds, StreamError};
use model::{EpochNumber, with_causes};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use wire::{Lane, StreamKey};

use super::content::Said;
use super::message::{Part, part_id};
use super::receipts::Slot;
use super::refused::Refusals;
use super::standing::{GivenUp, Settled, Standing, cause, is_beyond, is_refused, said_of};
use super::taken::{MessageId, Taken};
use super::telling::Telling;
use super::turn::{Turn, Turns};

/// Most streams that stand at once, of 512 that a session may have.
pub(super) const STREAMS_MAX: usize = 480;
/// How often it is asked what the node has of a stream that it refused: it may refuse it again
/// meanwhile.
const SETTLE_TRIES: usize = 3;
/// From this epoch on a stream's device is said to need another name, of 65,535: at the quickest
/// an hour and a half before they are used up.
const EPOCHS_WARNED: u16 = 60_000;

/// Those that stand, and what was refused lately.
pub(super) struct Streams {
    state: PathBuf,
    bounds: StateBounds,
    standing: Mutex<BTreeMap<Slot, Arc<Standing>>>,
    pub(super) refusals: Refusals,
    telling: Telling,
    wants: AtomicU64,
    /// Those of each device and signal, over all connections. One entry for each slot of the map.
    turns: std::sync::Mutex<BTreeMap<Slot, Arc<Turns>>>,
    /// Of the streams that stood.
    epochs_used_max: AtomicU16,
}

/// Why a stream does not stand.
pub(super) enum Unopened {
    /// It was not begun, or not in time.
    Cause(Cause),
    /// It failed, which is to be [noted](Streams::note).
    Failed(Arc<Standing>, StreamError),
    /// Frames of another patient wait in its folder, from before a crash, and go first; or the
    /// node refused them, which nobody has noted yet: their stream.
    Before(Arc<Standing>),
}

impl From<Cause> for Unopened {
    fn from(cause: Cause) -> Unopened {
        Unopened::Cause(cause)
    }
}

impl Streams {
    pub(super) fn new(state: &Path, bounds: StateBounds) -> Streams {
        Streams {
            state: state.to_owned(),
            bounds,
            standing: Mutex::default(),
            refusals: Refusals::default(),
            telling: Telling::default(),
            wants: AtomicU64::new(0),
            turns: std::sync::Mutex::default(),
            epochs_used_max: AtomicU16::new(0),
        }
    }

    /// The stream of a part, begun if it does not stand; waits until the node takes its frames,
    /// for as long as that.
    pub(super) async fn open(
        &self,
        connection: &Connection,
        part: &Part,
        patience: Duration,
    ) -> Result<Arc<Standing>, Unopened> {
        if let Some(cause) = self.refusals.find(part) {
            return Err(cause.into());
        }
        let found = timeout(patience, self.find_or_begin(connection, &part.key)).await;
        let standing = found.unwrap_or(Err(Cause::Away.into()))?;
        standing.want(self.wants.fetch_add(1, Ordering::Relaxed));
        match timeout(patience, standing.opened()).await {
            Ok(Ok(())) => Ok(standing),
            Ok(Err(error)) => Err(Unopened::Failed(standing, error)),
            Err(_) => Err(Cause::Away.into()),
        }
    }

    /// The stream of a device and signal, begun if it does not stand.
    pub(super) async fn find_or_begin(
        &self,
        connection: &Connection,
        key: &StreamKey,
    ) -> Result<Arc<Standing>, Unopened> {
        let slot = Slot::of(key);
        let mut all = self.lock_settled(&slot).await;
        if let Some(one) = all.get(&slot) {
            if one.key == *key {
                return Ok(one.clone());
            }
            // Another patient: what is under way of the one before comes first.
            if !one.is_done() {
                return Err(match one.has_failed().await {
                    true => Unopened::Before(one.clone()),
                    false => Cause::Away.into(),
                });
            }
            one.close();
            all.remove(&slot);
        }
        if all.len() >= STREAMS_MAX && !close_idle(&mut all) {
            return Err(Cause::Busy.into());
        }
        let begun = match self.begin(connection, key) {
            Err(error) if is_of_another_patient(&error) => match self.waiting_key(&slot) {
                Some(before) => self.begin(connection, &before),
                None => Err(error),
            },
            begun => begun,
        };
        let standing = begun.inspect_err(|error| self.say(error)).map_err(|error| cause(&error))?;
        let standing = Arc::new(standing);
        all.insert(slot, standing.clone());
        match standing.key == *key {
            true => Ok(standing),
            false => Err(Unopened::Before(standing)),
        }
    }

    /// Those that stand, once the stream of a slot is not one that is over and not yet settled.
    async fn lock_settled(&self, slot: &Slot) -> MutexGuard<'_, BTreeMap<Slot, Arc<Standing>>> {
        loop {
            let mut all = self.standing.lock().await;
            let Some(over) = all.get(slot).filter(|one| one.is_over()).cloned() else { return all };
            if over.is_left_alone() {
                all.remove(slot);
                return all;
            }
            // Of the others nobody waits for it.
            drop(all);
            drop(over.lock_settled().await);
        }
    }

    /// Whose frames wait in the folder of a slot.
    fn waiting_key(&self, slot: &Slot) -> Option<StreamKey> {
        let found = Backlogs::waiting_in(&self.state).ok()?.into_iter().flatten();
        found.into_iter().find(|key| Slot::of(key) == *slot)
    }

    /// The streams whose frames wait in the folder; of those that cannot be read it is said why.
    pub(super) fn waiting(&self) -> Vec<StreamKey> {
        let found = Backlogs::waiting_in(&self.state).inspect_err(|error| self.say(error));
        let found = found.unwrap_or_default().into_iter();
        found.filter_map(|one| one.inspect_err(|error| self.say(error)).ok()).collect()
    }

    /// The one that stands for a device and signal.
    pub(super) async fn find(&self, slot: &Slot) -> Option<Arc<Standing>> {
        self.standing.lock().await.get(slot).cloned()
    }

    /// Lets go of those of a connection that has ended for good.
    pub(super) async fn forget_all(&self) {
        self.standing.lock().await.clear();
    }

    fn begin(&self, connection: &Connection, key: &StreamKey) -> Result<Standing, StreamError> {
        let backlog = self.backlog(key)?;
        let (marks, kept) = (backlog.marks(), backlog.epoch());
        let stream = connection.begin_backlog(Lane::Live, None, backlog)?;
        self.note_epoch(key, stream.epoch());
        if kept.is_some_and(|kept| kept != stream.epoch()) {
            self.say_beyond(key);
        }
        Ok(Standing::new(connection, stream, (key, self.next_turn(key)), marks))
    }

    fn next_turn(&self, key: &StreamKey) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Turn::next(turns.entry(Slot::of(key)).or_default())
    }

    /// Says in time that a device needs another name: behind the last epoch nothing of it is taken.
    fn note_epoch(&self, key: &StreamKey, EpochNumber(epoch): EpochNumber) {
        self.epochs_used_max.fetch_max(epoch, Ordering::Relaxed);
        if epoch >= EPOCHS_WARNED {
            let (device, signal) = (key.device.as_str(), key.signal);
            let line = format!(
                "the stream of {device} and signal {signal} is in epoch {epoch} of 65,535, each \
                 for a refusal or a change of patients: register another name for the device, and \
                 name it in the map, before they are used up"
            );
            self.telling.say(&format!("epochs of {device}.{signal}"), &line);
        }
    }

    /// The highest epoch of a stream that stood: of 65,535, whoever comes there needs another name.
    pub(super) fn epochs_used_max(&self) -> u16 {
        self.epochs_used_max.load(Ordering::Relaxed)
    }

    /// What the folder keeps of a stream that no connection has.
    fn backlog(&self, key: &StreamKey) -> Result<Backlog, StreamError> {
        let backlogs = Backlogs::open(&self.state, std::slice::from_ref(key), self.bounds)?;
        backlogs.into_streams().pop().ok_or(StreamError::Ended)
    }

    /// What a failure of a stream means, and that it is over if it is. What the node refused for
    /// good is given up before anybody is told: else it was sent later all the same, and no other
    /// patient could follow on the device. Before that, what is taken of its messages forgets that
    /// they have parts in its frames.
    pub(super) async fn note(
        &self,
        standing: &Standing,
        error: &StreamError,
        taken: &Taken,
    ) -> Cause {
        let cause = cause(error);
        if matches!(error, StreamError::GivenUp) {
            return cause;
        }
        // Taken before it is over: whoever finds that it is waits for this.
        let mut settled = standing.lock_settled().await;
        standing.end();
        let is_beyond = is_beyond(error);
        if (is_beyond || is_refused(error)) && matches!(*settled, Settled::Open) {
            standing.refuse();
            let done = match is_beyond {
                true => self.leave_behind(&standing.key, taken).await,
                false => self.settle(standing, taken).await,
            };
            *settled = done.map_or_else(Settled::Failed, Settled::GivenUp);
        }
        if let Settled::Failed(cause) = &*settled {
            return cause.clone();
        }
        if let (Settled::GivenUp(given_up), Cause::Node(code)) = (&*settled, &cause) {
            self.refusals.note(&standing.key, given_up.refused, *code);
        }
        cause
    }

    /// Takes in receipts for what the node has of a stream that it refused, and gives up the rest.
    async fn settle(&self, standing: &Standing, taken: &Taken) -> Result<GivenUp, Cause> {
        for _ in 0..SETTLE_TRIES {
            let backlog = self.backlog(&standing.key).map_err(|error| self.told(&error))?;
            match standing.connection.collect_receipts(Lane::Live, backlog).await {
                Ok(()) => return self.give_up(&standing.key, taken).await,
                // The node says nothing of a stream that it opens no more.
                Err(error) if is_refused(&error) => {}
                Err(error) => return Err(self.told(&error)),
            }
        }
        let told = |error: StreamError| self.told(&error);
        let first = self.backlog(&standing.key).map_err(told)?.first_sent_mark().map_err(told)?;
        match first {
            Some(_) => self.give_up_unsure(&standing.key, taken).await,
            // Nothing of it was ever sent.
            None => self.give_up(&standing.key, taken).await,
        }
    }

    /// The node has frames of a stream that this folder does not know of. Nothing can follow them
    /// in its epoch, nor can what has no receipt. Of that the node may have some, also of what this
    /// folder did not send: it may be an old copy of one that did.
    async fn leave_behind(&self, key: &StreamKey, taken: &Taken) -> Result<GivenUp, Cause> {
        self.say_beyond(key);
        self.give_up_unsure(key, taken).await
    }

    /// Gives up what has no receipt, all of which the node does not have: it is decided anew.
    async fn give_up(&self, key: &StreamKey, taken: &Taken) -> Result<GivenUp, Cause> {
        let told = |error: StreamError| self.told(&error);
        let mut backlog = self.backlog(key).map_err(told)?;
        let gone = backlog.marks_without_receipt().map_err(told)?;
        let refused = backlog.first_sent_mark().map_err(told)?.map(|mark| MessageId(mark.name));
        let messages = gone.iter().map(|mark| MessageId(mark.name));
        taken.forget_part(part_id(key), messages).await.map_err(|error| self.not_kept(&error))?;
        let count = backlog.give_up_refused().map_err(told)?;
        self.say_given_up(count, "their message is decided anew when it is sent again");
        Ok(GivenUp { marks: backlog.marks(), refused, unsure: BTreeSet::new() })
    }

    /// Gives up what has no receipt of a stream that the node goes on with no more: it is better
    /// given up than kept from the next patient for ever. Of what was sent nobody knows whether the
    /// node has it, so that a message of it is not decided anew: it could be stored twice.
    async fn give_up_unsure(&self, key: &StreamKey, taken: &Taken) -> Result<GivenUp, Cause> {
        let told = |error: StreamError| self.told(&error);
        let mut backlog = self.backlog(key).map_err(told)?;
        let gone = backlog.marks_without_receipt().map_err(told)?;
        let messages = gone.iter().filter_map(named);
        taken.doubt(messages).await.map_err(|error| self.not_kept(&error))?;
        let count = backlog.give_up_refused().map_err(told)?;
        let then = "the node may have some of them, so that their message is not taken again: look \
                    for them in the patient's log";
        self.say_given_up(count, then);
        let unsure = gone.iter().map(|mark| MessageId(mark.name)).collect();
        Ok(GivenUp { marks: backlog.marks(), refused: None, unsure })
    }

    fn say_beyond(&self, key: &StreamKey) {
        let (device, signal) = (key.device.as_str(), key.signal);
        let line = format!(
            "the node has other frames of {device} and signal {signal} than this state folder \
             knows of: it or the node was restored from a backup, or another bridge sends for the \
             same device; what is sent again of since then may be stored twice"
        );
        self.telling.say(&format!("beyond {device}.{signal}"), &line);
    }

    fn say_given_up(&self, count: u64, then: &str) {
        if count > 0 {
            let line = format!(
                "the node refused {count} readings of a device that had no receipt: they are given \
                 up here, and {then}"
            );
            self.telling.say("given-up", &line);
        }
    }

    /// Says that it cannot be kept what became of messages.
    pub(super) fn not_kept(&self, error: &io::Error) -> Cause {
        self.telling.say("messages", &format!("expected to keep what became of messages: {error}"));
        Cause::NotKept
    }

    fn told(&self, error: &StreamError) -> Cause {
        self.say(error);
        cause(error)
    }

    /// Says what is wrong with a folder.
    fn say(&self, error: &StreamError) {
        if matches!(error, StreamError::Spool(_)) {
            let line = with_causes(error);
            self.telling.say(&line, &line);
        }
    }
}

/// Whether frames of another patient wait in the folder of a stream.
fn is_of_another_patient(error: &StreamError) -> bool {
    matches!(error, StreamError::Spool(error) if matches!(**error, SpoolError::Patient { .. }))
}

/// Closes the stream that was wanted the longest ago, of those of which nothing is under way.
fn close_idle(all: &mut BTreeMap<Slot, Arc<Standing>>) -> bool {
    let idle = all.iter().filter(|(_, one)| Arc::strong_count(one) == 1 && one.is_done());
    let oldest = idle.min_by_key(|(_, one)| one.wanted());
    let Some(slot) = oldest.map(|(slot, _)| slot.clone()) else { return false };
    if let Some(one) = all.remove(&slot) {
        one.close();
    }
    true
}

/// A message and what it says, as a mark names them.
fn named(mark: &InputMark) -> Option<(MessageId, Said)> {
    Some((MessageId(mark.name), said_of(&mark.digest)?))
}
