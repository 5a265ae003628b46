//! One stream that stands: what is placed in it, and what became of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bridge::{Cause, Fate};
use client::{Connection, InputMark, SpoolError, Stream, StreamError};
use model::{RejectCode, Sequence};
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};
use tokio::time::timeout;
use wire::{StopReason, StreamKey, StreamName};

use super::content::Said;
use super::message::{MemberPart, Part};
use super::taken::MessageId;
use super::turn::Turn;

/// Most readings of a frame.
const FRAME_READINGS_MAX: usize = 1024;
/// Marks that a stream's folder keeps.
const MARKS_MAX: usize = 1024;

/// One that stands.
pub(super) struct Standing {
    pub(super) key: StreamKey,
    pub(super) connection: Connection,
    stream: Stream,
    /// Whether the node takes nothing more of it.
    is_over: AtomicBool,
    /// Which of its device and signal it is, and whether the node refused it or a later one.
    turn: Turn,
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
pub(super) enum Settled {
    /// It is not refused, as far as is known.
    Open,
    /// What the node has of it has receipts, and the rest is given up.
    GivenUp(GivenUp),
    /// That could not be, and is not tried again: whoever begins the stream anew tries it.
    Failed(Cause),
}

/// What became of a stream whose rest is given up.
pub(super) struct GivenUp {
    /// Its marks since.
    pub(super) marks: Vec<InputMark>,
    /// The message whose frame was refused: what stood behind it was not decided. None: the stream
    /// itself was refused, and all of it.
    pub(super) refused: Option<MessageId>,
    /// Messages of which the node may have what is given up: it did not say.
    pub(super) unsure: BTreeSet<MessageId>,
}

impl Standing {
    /// A stream that was begun, and what frames end with that it had before.
    pub(super) fn new(
        connection: &Connection,
        stream: Stream,
        (key, turn): (&StreamKey, Turn),
        marks: Vec<InputMark>,
    ) -> Standing {
        Standing {
            key: key.clone(),
            connection: connection.clone(),
            stream,
            is_over: AtomicBool::new(false),
            turn,
            carried: Arc::default(),
            settled: Mutex::new(Settled::Open),
            wanted: AtomicU64::new(0),
            marks: Mutex::new(marks.into()),
        }
    }

    /// Waits until the node takes its frames.
    pub(super) async fn opened(&self) -> Result<(), StreamError> {
        self.stream.opened().await
    }

    /// Somebody wants it: the oldest wants are the first to go.
    pub(super) fn want(&self, number: u64) {
        self.wanted.store(number, Ordering::Relaxed);
    }

    /// When it was wanted last.
    pub(super) fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether the node takes nothing more of it.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// The node takes nothing more of it. Ended here too, so that its folder is free for the next
    /// one; a stopped one says that it has ended already.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.close();
    }

    /// Takes no more frames; what it has goes on.
    pub(super) fn close(&self) {
        drop(self.stream.close());
    }

    /// The node refused it: from here on nobody keeps that something is in its frames. Said before
    /// it is forgotten what is.
    pub(super) fn refuse(&self) {
        self.turn.refuse();
    }

    /// Whether the node refused it, or one that went on with its frames over a later connection:
    /// what of its frames is kept the marks of its folder say.
    pub(super) fn is_refused(&self) -> bool {
        self.turn.is_refused()
    }

    /// What became of its frames, to be changed by whoever settles it.
    pub(super) async fn lock_settled(&self) -> MutexGuard<'_, Settled> {
        self.settled.lock().await
    }

    /// Whether nobody settles it at this moment.
    pub(super) fn is_left_alone(&self) -> bool {
        self.settled.try_lock().is_ok()
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
    /// message, this one was not decided yet, and is when it is sent again; and where the node may
    /// have what was given up of it, it never is.
    pub(super) async fn cause_for(&self, part: &Part, cause: Cause) -> Cause {
        let settled = self.settled.lock().await;
        let Settled::GivenUp(GivenUp { refused, unsure, .. }) = &*settled else { return cause };
        let has = |found: &dyn Fn(MessageId) -> bool| part.members.iter().any(|one| found(one.id));
        if has(&|id| unsure.contains(&id)) {
            return Cause::Unsure;
        }
        match refused {
            Some(refused) if !has(&|id| id == *refused) => Cause::Away,
            _ => cause,
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
    pub(super) async fn has_failed(&self) -> bool {
        // Asked once, and not waited for.
        let asked = timeout(Duration::ZERO, self.wait(self.last_placed())).await;
        matches!(asked, Ok(Err(_)))
    }

    /// Whether nothing of it is under way.
    pub(super) fn is_done(&self) -> bool {
        self.is_over() || self.stream.last_receipted().0 + 1 >= self.stream.next_sequence().0
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
        let (name, digest) = (member.id.0, to_digest(member.said));
        // What was given up as a whole leaves a mark at its begin: it is decided anew, and may say
        // something else.
        let before = marks.iter().rev().find(|mark| mark.name == name && mark.lines > 0);
        let mut lines = before.map_or(0, |mark| mark.lines);
        if let Some(said) = before.and_then(|mark| said_of(&mark.digest)) {
            // Where the map reads the same bytes otherwise by now, which of them stand in frames
            // is known only if all do.
            let is_begun = lines < member.readings.len() as u64;
            if !said.is_same(&member.said) || is_begun && said.has_other_readings(&member.said) {
                return Err(PlaceError::Reused);
            }
        }
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

/// What a message says, as its marks have it: versions before this one have its content alone.
pub(super) fn to_digest(said: Said) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..Said::BYTES].copy_from_slice(&said.to_bytes());
    digest
}

/// What a mark says that its message says.
pub(super) fn said_of(digest: &[u8; 32]) -> Option<Said> {
    digest.first_chunk().map(Said::from_bytes)
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

/// Whether the node refused a stream for good, or for longer than it is waited for.
pub(super) fn is_refused(error: &StreamError) -> bool {
    match error {
        // Stopped here, since it did not pass; the node only ever delays for it.
        StreamError::Stopped { why: StopReason::Refused(RejectCode::Clock) } => true,
        StreamError::Stopped { why: StopReason::Refused(_) } => cause(error).fate() != Fate::Again,
        _ => false,
    }
}

/// Whether the node has more of a stream than its folder knows of.
pub(super) fn is_beyond(error: &StreamError) -> bool {
    matches!(error, StreamError::Stopped { why: StopReason::Ahead { .. } })
}

/// What a stream's failure means for whoever sent the message.
pub(super) fn cause(error: &StreamError) -> Cause {
    match error {
        StreamError::Stopped { why: StopReason::Refused(code) } => Cause::Node(*code),
        StreamError::Stopped { why: StopReason::Regressed { .. } } => {
            Cause::Node(RejectCode::History)
        }
        // Another folder used the epoch, or this one of later: the next attempt goes in one behind
        // it.
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
    use super::*;

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
