//! The streams of a bridge: opened when the first reading of a device and signal comes, and closed
//! where another patient follows on the device or too many stand.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bridge::{Cause, Fate};
use client::{
    Backlog, Backlogs, Connection, InputMark, SpoolError, StateBounds, Stream, StreamError,
};
use model::{RejectCode, Sequence, with_causes};
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};
use tokio::time::timeout;
use wire::{Lane, StopReason, StreamKey, StreamName};

use super::message::{MemberPart, Part};
use super::receipts::Slot;
use super::telling::Telling;

/// Most streams that stand at once, of 512 that a session may have.
pub(super) const STREAMS_MAX: usize = 480;
/// Most readings of a frame.
const FRAME_READINGS_MAX: usize = 1024;
/// Marks that a stream's folder keeps.
const MARKS_MAX: usize = 1024;
/// How long the node's refusal is repeated without asking it again, and other messages of the
/// stream wait; and most that are remembered.
const REFUSED_FOR: Duration = Duration::from_secs(1);
const REFUSED_MAX: usize = 4096;
/// How often it is asked what the node has of a stream that it refused: it may refuse it again
/// meanwhile.
const SETTLE_TRIES: usize = 3;

/// One that stands.
pub(super) struct Standing {
    pub(super) key: StreamKey,
    connection: Connection,
    stream: Stream,
    /// Whether the node takes nothing more of it.
    is_over: AtomicBool,
    /// Whether the node refused it for good; said before what is in its frames is forgotten.
    is_refused: AtomicBool,
    /// Held by the task that carries it.
    carried: Arc<Mutex<()>>,
    /// Held while it is being settled: until then nobody begins another one in its folder.
    settled: Mutex<Settled>,
    /// When it was wanted last, in wants.
    wanted: AtomicU64,
    /// What frames of it end with; held while a message is placed, so that its frames stand
    /// together.
    marks: Mutex<VecDeque<InputMark>>,
}

/// What became of the frames of a stream that the node refused for good.
enum Settled {
    /// It is not refused, as far as is known.
    Open,
    /// What the node has of it has receipts, and the rest is given up.
    GivenUp(GivenUp),
    /// That could not be, and is not tried again: whoever begins the stream anew tries it.
    Failed(Cause),
}

/// What became of a stream whose rest is given up.
struct GivenUp {
    /// Its marks since.
    marks: Vec<InputMark>,
    /// The message whose frame was refused: what stood behind it was not decided. None: the stream
    /// itself was refused, and all of it.
    refused: Option<MessageName>,
}

/// As marks name it.
type MessageName = [u8; 16];

/// What was refused: a patient's stream, or one message's frames in it. Another patient of the
/// device may have consented, and another message be of a time that consent covers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Refused {
    slot: Slot,
    patient: u32,
    name: Option<MessageName>,
}

/// Those that stand, and what was refused lately.
pub(super) struct Streams {
    state: PathBuf,
    bounds: StateBounds,
    standing: Mutex<BTreeMap<Slot, Arc<Standing>>>,
    refused: std::sync::Mutex<BTreeMap<Refused, (Instant, RejectCode)>>,
    pub(super) refused_for: Duration,
    telling: Telling,
    wants: AtomicU64,
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
            refused: Default::default(),
            refused_for: REFUSED_FOR,
            telling: Telling::default(),
            wants: AtomicU64::new(0),
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
        if let Some(cause) = self.refused_lately(part) {
            return Err(cause.into());
        }
        let found = timeout(patience, self.find_or_begin(connection, &part.key)).await;
        let standing = found.unwrap_or(Err(Cause::Away.into()))?;
        let wanted = self.wants.fetch_add(1, Ordering::Relaxed);
        standing.wanted.store(wanted, Ordering::Relaxed);
        match timeout(patience, standing.stream.opened()).await {
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
            drop(one.stream.close());
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
            let over = all.get(slot).filter(|one| one.is_over.load(Ordering::Relaxed)).cloned();
            let Some(over) = over else { return all };
            if over.settled.try_lock().is_ok() {
                all.remove(slot);
                return all;
            }
            // Of the others nobody waits for it.
            drop(all);
            drop(over.settled.lock().await);
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
        let marks = Mutex::new(backlog.marks().into());
        let stream = connection.begin_backlog(Lane::Live, None, backlog)?;
        Ok(Standing {
            key: key.clone(),
            connection: connection.clone(),
            stream,
            is_over: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            carried: Arc::default(),
            settled: Mutex::new(Settled::Open),
            wanted: AtomicU64::new(0),
            marks,
        })
    }

    /// What the folder keeps of a stream that no connection has.
    fn backlog(&self, key: &StreamKey) -> Result<Backlog, StreamError> {
        let backlogs = Backlogs::open(&self.state, std::slice::from_ref(key), self.bounds)?;
        backlogs.into_streams().pop().ok_or(StreamError::Ended)
    }

    /// What is said of a part without asking the node: it refused the part's message, or another
    /// one of its stream, which waits then. Each refusal uses an epoch of the stream up.
    fn refused_lately(&self, part: &Part) -> Option<Cause> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, (at, _)| at.elapsed() < self.refused_for);
        let own = part.members.iter().map(|member| Some(member.id.0));
        let mut found = own.chain([None]).map(|name| refused.get(&refused_key(&part.key, name)));
        if let Some((_, code)) = found.find_map(|one| one) {
            return Some(Cause::Node(*code));
        }
        let stream = refused_key(&part.key, None);
        let is_same = |one: &Refused| one.slot == stream.slot && one.patient == stream.patient;
        let first = refused.range(&stream..).next();
        first.is_some_and(|(one, _)| is_same(one)).then_some(Cause::Busy)
    }

    fn note_refused(&self, key: &StreamKey, name: Option<MessageName>, code: RejectCode) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        // Beyond, the node is asked again.
        if refused.len() < REFUSED_MAX {
            refused.insert(refused_key(key, name), (Instant::now(), code));
        }
    }

    /// What a failure of a stream means, and that it is over if it is. What the node refused for
    /// good is given up before anybody is told: else it was sent later all the same, and no other
    /// patient could follow on the device. `forget` comes before it, and forgets that parts of
    /// the messages of these marks are in its frames.
    pub(super) async fn note(
        &self,
        standing: &Standing,
        error: &StreamError,
        forget: impl FnOnce(&[InputMark]) -> io::Result<()>,
    ) -> Cause {
        let cause = cause(error);
        if matches!(error, StreamError::GivenUp) {
            return cause;
        }
        // Taken before it is over: whoever finds that it is waits for this.
        let mut settled = standing.settled.lock().await;
        standing.is_over.store(true, Ordering::Relaxed);
        // Ended here too, so that its folder is free for the next one; a stopped one says that it
        // has ended already.
        drop(standing.stream.close());
        if is_refused(error) && matches!(*settled, Settled::Open) {
            standing.is_refused.store(true, Ordering::Relaxed);
            *settled = match self.settle(standing, forget).await {
                Ok(given_up) => Settled::GivenUp(given_up),
                Err(cause) => Settled::Failed(cause),
            };
        }
        if let Settled::Failed(cause) = &*settled {
            return cause.clone();
        }
        if let (Settled::GivenUp(given_up), Cause::Node(code)) = (&*settled, &cause) {
            self.note_refused(&standing.key, given_up.refused, *code);
        }
        cause
    }

    /// Takes in receipts for what the node has of a stream that it refused, and gives up the rest.
    async fn settle(
        &self,
        standing: &Standing,
        forget: impl FnOnce(&[InputMark]) -> io::Result<()>,
    ) -> Result<GivenUp, Cause> {
        let key = &standing.key;
        let mut is_opened = false;
        for _ in 0..SETTLE_TRIES {
            let backlog = self.backlog(key).map_err(|error| self.told(&error))?;
            match standing.connection.collect_receipts(Lane::Live, backlog).await {
                Ok(()) => {
                    is_opened = true;
                    break;
                }
                // The node says nothing of a stream that it opens no more: then what it has is not
                // known, and it is better given up than kept from the next patient for ever.
                Err(error) if is_refused(&error) => {}
                Err(error) => return Err(self.told(&error)),
            }
        }
        let (count, mut given_up) = self.give_up(key, forget)?;
        // Of a stream that the node does not open nothing was decided by itself.
        given_up.refused = given_up.refused.filter(|_| is_opened);
        if count > 0 {
            let line = format!(
                "the node refused {count} readings of a device that had no receipt: they are given \
                 up here, and their message is decided anew when it is sent again"
            );
            self.telling.say("given-up", &line);
        }
        Ok(given_up)
    }

    /// Gives up what has no receipt; says how many readings, and what there is since.
    fn give_up(
        &self,
        key: &StreamKey,
        forget: impl FnOnce(&[InputMark]) -> io::Result<()>,
    ) -> Result<(u64, GivenUp), Cause> {
        let told = |error: StreamError| self.told(&error);
        let mut backlog = self.backlog(key).map_err(told)?;
        let gone = backlog.marks_without_receipt().map_err(told)?;
        let refused = backlog.first_sent_mark().map_err(told)?.map(|mark| mark.name);
        forget(&gone).map_err(|_| Cause::NotKept)?;
        let count = backlog.give_up_refused().map_err(told)?;
        Ok((count, GivenUp { marks: backlog.marks(), refused }))
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

fn refused_key(key: &StreamKey, name: Option<MessageName>) -> Refused {
    Refused { slot: Slot::of(key), patient: key.patient.get(), name }
}

/// Whether the node refused a stream for good, or for longer than it is waited for.
fn is_refused(error: &StreamError) -> bool {
    match error {
        // Stopped here, since it did not pass; the node only ever delays for it.
        StreamError::Stopped { why: StopReason::Refused(RejectCode::Clock) } => true,
        StreamError::Stopped { why: StopReason::Refused(_) } => cause(error).fate() != Fate::Again,
        _ => false,
    }
}

/// Whether frames of another patient wait in the folder of a stream.
fn is_of_another_patient(error: &StreamError) -> bool {
    matches!(error, StreamError::Spool(error) if matches!(**error, SpoolError::Patient { .. }))
}

/// Closes the stream that was wanted the longest ago, of those of which nothing is under way.
fn close_idle(all: &mut BTreeMap<Slot, Arc<Standing>>) -> bool {
    let idle = all.iter().filter(|(_, one)| Arc::strong_count(one) == 1 && one.is_done());
    let oldest = idle.min_by_key(|(_, one)| one.wanted.load(Ordering::Relaxed));
    let Some(slot) = oldest.map(|(slot, _)| slot.clone()) else { return false };
    if let Some(one) = all.remove(&slot) {
        drop(one.stream.close());
    }
    true
}

impl Standing {
    /// Whether the node refused it: what of its frames is kept the marks of its folder say.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    /// Of a stream that the node refused: whether it had all of a part stored before, with
    /// receipts.
    pub(super) async fn has_receipts_of(&self, part: &Part) -> bool {
        let Settled::GivenUp(GivenUp { marks, .. }) = &*self.settled.lock().await else {
            return false;
        };
        part.members.iter().all(|member| {
            let own = marks.iter().rev().find(|mark| mark.name == member.id.0);
            own.is_some_and(|mark| mark.lines >= member.readings.len() as u64)
        })
    }

    /// What a stream's failure means for a part of it: where the node refused a frame of another
    /// message, this one was not decided yet, and is when it is sent again.
    pub(super) async fn cause_for(&self, part: &Part, cause: Cause) -> Cause {
        let Settled::GivenUp(GivenUp { refused: Some(name), .. }) = &*self.settled.lock().await
        else {
            return cause;
        };
        match part.members.iter().any(|member| member.id.0 == *name) {
            true => cause,
            false => Cause::Away,
        }
    }

    /// Waits for nothing of it any more.
    pub(super) fn stop(&self, code: RejectCode) {
        // One that is over says so already.
        drop(self.stream.stop(code));
    }

    /// Whether the disk has all that stands in it.
    pub(super) fn is_synced(&self) -> bool {
        self.stream.is_synced()
    }

    /// How receipts name it.
    pub(super) fn name(&self) -> StreamName {
        let StreamKey { device, signal, .. } = self.key.clone();
        StreamName { device, signal, epoch: self.stream.epoch() }
    }

    /// To be held by whoever carries it; none while another one does.
    pub(super) fn try_carry(&self) -> Option<OwnedMutexGuard<()>> {
        self.carried.clone().try_lock_owned().ok()
    }

    /// Whether what stands in it will have no receipt over this connection.
    async fn has_failed(&self) -> bool {
        // Asked once, and not waited for.
        let asked = timeout(Duration::ZERO, self.wait(self.last_placed())).await;
        matches!(asked, Ok(Err(_)))
    }

    fn is_done(&self) -> bool {
        let over = self.is_over.load(Ordering::Relaxed);
        over || self.stream.last_receipted().0 + 1 >= self.stream.next_sequence().0
    }

    /// Makes frames of these members' readings, but of what the stream's marks say is in frames
    /// already: it came before, and was not answered. Returns the sequence whose receipt says that
    /// all is durable.
    pub(super) async fn place(&self, members: &[&MemberPart]) -> Result<Sequence, PlaceError> {
        let mut marks = self.marks.lock().await;
        for member in members {
            self.place_member(member, &mut marks).await?;
        }
        Ok(self.last_placed())
    }

    async fn place_member(
        &self,
        member: &MemberPart,
        marks: &mut VecDeque<InputMark>,
    ) -> Result<(), PlaceError> {
        let name = member.id.0;
        let mut digest = [0; 32];
        digest[..16].copy_from_slice(&member.content.0);
        // What was given up as a whole leaves a mark at its begin: it is decided anew, and may say
        // something else.
        let before = marks.iter().rev().find(|mark| mark.name == name && mark.lines > 0);
        if before.is_some_and(|mark| mark.digest != digest) {
            return Err(PlaceError::Reused);
        }
        let mut lines = before.map_or(0, |mark| mark.lines);
        let rest = member.readings.get(lines as usize..).unwrap_or_default();
        for readings in rest.chunks(FRAME_READINGS_MAX) {
            lines += readings.len() as u64;
            let mark = InputMark { name, lines, taken: 0, digest };
            // In one record with the frame: after a crash both stand or neither does.
            self.stream.send_marked(readings, Some(mark)).await?;
            push_mark(marks, mark);
        }
        Ok(())
    }

    /// The last frame that stands in the stream.
    pub(super) fn last_placed(&self) -> Sequence {
        Sequence(self.stream.next_sequence().0.saturating_sub(1))
    }

    pub(super) async fn wait(&self, sequence: Sequence) -> Result<(), StreamError> {
        self.stream.wait_for_receipt(sequence).await
    }
}

/// One of each message, as the folder keeps them: one of many frames takes no other's place.
fn push_mark(marks: &mut VecDeque<InputMark>, mark: InputMark) {
    marks.retain(|one| one.name != mark.name);
    if marks.len() >= MARKS_MAX {
        marks.pop_front();
    }
    marks.push_back(mark);
}

/// Why a part is not placed.
pub(super) enum PlaceError {
    /// The message had other content before.
    Reused,
    Stream(StreamError),
}

impl From<StreamError> for PlaceError {
    fn from(error: StreamError) -> PlaceError {
        PlaceError::Stream(error)
    }
}

/// What a stream's failure means for whoever sent the message.
fn cause(error: &StreamError) -> Cause {
    match error {
        StreamError::Stopped { why: StopReason::Refused(code) } => Cause::Node(*code),
        StreamError::Stopped { why: StopReason::Regressed { .. } } => {
            Cause::Node(RejectCode::History)
        }
        // Another folder used the epoch: the next attempt goes in one behind it.
        StreamError::Stopped { why: StopReason::Ahead { .. } } => Cause::Busy,
        StreamError::Postponed { .. } | StreamError::Connection(_) => Cause::Away,
        StreamError::Spool(error) if matches!(**error, SpoolError::EpochsUsed { .. }) => {
            Cause::EpochsUsed
        }
        StreamError::GivenUp | StreamError::Spool(_) => Cause::NotKept,
        StreamError::Session(_) | StreamError::Ended => Cause::Busy,
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Message;
    use super::super::message::tests::heart_rate;
    use super::super::taken::{Content, MessageId};
    use super::*;

    fn part(patient: u32, name: u8) -> Part {
        let (id, content) = (MessageId([name; 16]), Content([name; 16]));
        let message = Message::single(id, content, vec![heart_rate(patient, 720)]);
        Part::of(&message).unwrap().remove(0)
    }

    #[test]
    fn the_refusal_of_one_patient_is_not_that_of_the_next_on_the_device() {
        let folder = tempfile::tempdir().unwrap();
        let streams = Streams::new(folder.path(), StateBounds::default());
        let parts = [7, 8].map(|patient| part(patient, 1));
        streams.note_refused(&parts[0].key, None, RejectCode::NotPermitted);
        let found = parts.map(|part| streams.refused_lately(&part));
        assert_eq!(found, [Some(Cause::Node(RejectCode::NotPermitted)), None]);
    }

    #[test]
    fn behind_the_refusal_of_one_message_the_next_is_not_refused_and_waits() {
        let folder = tempfile::tempdir().unwrap();
        let streams = Streams::new(folder.path(), StateBounds::default());
        let parts = [1, 2].map(|name| part(7, name));
        streams.note_refused(&parts[0].key, Some([1; 16]), RejectCode::NotPermitted);
        let found = parts.map(|part| streams.refused_lately(&part));
        assert_eq!(found, [Some(Cause::Node(RejectCode::NotPermitted)), Some(Cause::Busy)]);
    }

    #[test]
    fn a_message_of_many_frames_has_one_mark_and_displaces_no_other() {
        let mark = |name: u16, lines| {
            let mut whole = [0; 16];
            whole[..2].copy_from_slice(&name.to_be_bytes());
            InputMark { name: whole, lines, taken: 0, digest: [0; 32] }
        };
        let mut marks = VecDeque::new();
        (0..MARKS_MAX as u16 - 1).for_each(|name| push_mark(&mut marks, mark(name, 1)));
        (1..9).for_each(|lines| push_mark(&mut marks, mark(u16::MAX, lines)));
        assert_eq!((marks.len(), marks[0]), (MARKS_MAX, mark(0, 1)));
        assert_eq!(marks.back(), Some(&mark(u16::MAX, 8)));
    }

    #[test]
    fn a_device_whose_epochs_are_used_up_is_said_by_itself() {
        let error = SpoolError::EpochsUsed { path: "m-1.147842.frames".into() };
        let cause = cause(&StreamError::Spool(Arc::new(error)));
        assert_eq!((cause.code().as_str(), cause.fate()), ("epochs-used", Fate::Again));
    }

    #[test]
    fn what_another_folder_sent_is_no_fault_of_the_message() {
        let why = StopReason::Ahead { durable: Sequence(1) };
        assert_eq!(cause(&StreamError::Stopped { why }).fate(), Fate::Again);
    }
}
