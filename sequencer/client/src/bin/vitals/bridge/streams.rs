//! The streams of a bridge: opened when the first reading of a device and signal comes, and closed
//! where another patient follows on the device or too many stand.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bridge::{Cause, Fate, Measurement};
use client::{Backlogs, Connection, InputMark, StateBounds, Stream, StreamError};
use model::{RejectCode, Sequence, with_causes};
use tokio::sync::Mutex;
use tokio::time::timeout;
use wire::{DeviceTime, Lane, Reading, StopReason, StreamKey};

use super::receipts::Slot;
use super::taken::{Content, MessageId};
use super::telling::Telling;

/// Most streams that stand at once, of 512 that a session may have.
const STREAMS_MAX: usize = 480;
/// Most readings of a frame.
const FRAME_READINGS_MAX: usize = 1024;
/// Marks that a stream's folder keeps.
const MARKS_MAX: usize = 1024;
/// How long the node's refusal of a stream is repeated without asking it again.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// The readings of a message that go to one stream, in the order of their times.
pub(super) struct Part {
    pub(super) key: StreamKey,
    pub(super) readings: Vec<Reading>,
}

impl Part {
    pub(super) fn slot(&self) -> Slot {
        Slot { device: self.key.device.clone(), signal: self.key.signal }
    }

    /// Parts of a message, by stream. A device measures one patient at a time: of a message that
    /// says otherwise the second one would wait for the first for ever.
    pub(super) fn of(measurements: &[Measurement]) -> Result<Vec<Part>, Cause> {
        let mut parts = BTreeMap::<_, Part>::new();
        for one in measurements {
            let at = DeviceTime::from_micros(one.at.micros());
            let at = at.map_err(|_| Cause::TimeMalformed { expected: "a time before 2457" })?;
            let reading = match one.value {
                Some(value) => Reading::new(at, value),
                None => Reading::sensor_off(at),
            };
            let slot = Slot { device: one.device.clone(), signal: one.signal.code };
            let part = parts.entry(slot).or_insert_with(|| Part {
                key: StreamKey {
                    device: one.device.clone(),
                    patient: one.patient,
                    signal: one.signal.code,
                },
                readings: Vec::new(),
            });
            if part.key.patient != one.patient {
                return Err(Cause::PatientsMeet { signal: one.signal.name });
            }
            part.readings.push(reading);
        }
        let mut parts: Vec<_> = parts.into_values().collect();
        parts.iter_mut().for_each(|part| part.readings.sort_by_key(|reading| reading.at));
        Ok(parts)
    }
}

/// One that stands.
pub(super) struct Standing {
    key: StreamKey,
    stream: Stream,
    /// Whether the node takes nothing more of it.
    is_over: AtomicBool,
    /// Whether the node refused it for good and its frames without a receipt are given up.
    is_given_up: AtomicBool,
    /// When it was wanted last, in wants.
    wanted: AtomicU64,
    /// What frames of it end with; held while a message is placed, so that its frames stand
    /// together.
    marks: Mutex<VecDeque<InputMark>>,
}

/// Those that stand, and what was refused lately.
pub(super) struct Streams {
    state: PathBuf,
    bounds: StateBounds,
    standing: Mutex<BTreeMap<Slot, Arc<Standing>>>,
    /// By stream and patient: another patient of the device may have consented.
    refused: std::sync::Mutex<BTreeMap<(Slot, u32), (Instant, RejectCode)>>,
    telling: Telling,
    wants: AtomicU64,
}

/// Why a stream does not stand.
pub(super) enum Unopened {
    /// It was not begun, or not in time.
    Cause(Cause),
    /// It failed, which is to be [noted](Streams::note).
    Failed(Arc<Standing>, StreamError),
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
        if let Some(code) = self.refused_lately(&part.key) {
            return Err(Cause::Node(code).into());
        }
        let standing = self.find_or_begin(connection, part).await?;
        let wanted = self.wants.fetch_add(1, Ordering::Relaxed);
        standing.wanted.store(wanted, Ordering::Relaxed);
        match timeout(patience, standing.stream.opened()).await {
            Ok(Ok(())) => Ok(standing),
            Ok(Err(error)) => Err(Unopened::Failed(standing, error)),
            Err(_) => Err(Cause::Away.into()),
        }
    }

    async fn find_or_begin(
        &self,
        connection: &Connection,
        part: &Part,
    ) -> Result<Arc<Standing>, Cause> {
        let mut all = self.standing.lock().await;
        let slot = part.slot();
        if let Some(one) = all.get(&slot).filter(|one| !one.is_over.load(Ordering::Relaxed)) {
            if one.key == part.key {
                return Ok(one.clone());
            }
            // Another patient: what is under way of the one before comes first.
            if !one.is_done() {
                return Err(Cause::Away);
            }
            drop(one.stream.close());
        }
        all.remove(&slot);
        if all.len() >= STREAMS_MAX && !close_idle(&mut all) {
            return Err(Cause::Busy);
        }
        let begun = self.begin(connection, &part.key);
        let standing = begun.inspect_err(|error| self.say(error)).map_err(|error| cause(&error))?;
        let standing = Arc::new(standing);
        all.insert(slot, standing.clone());
        Ok(standing)
    }

    fn begin(&self, connection: &Connection, key: &StreamKey) -> Result<Standing, StreamError> {
        let backlogs = Backlogs::open(&self.state, std::slice::from_ref(key), self.bounds)?;
        let backlog = backlogs.into_streams().pop().ok_or(StreamError::Ended)?;
        let marks = Mutex::new(backlog.marks().into());
        let stream = connection.begin_backlog(Lane::Live, None, backlog)?;
        Ok(Standing {
            key: key.clone(),
            stream,
            is_over: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
            wanted: AtomicU64::new(0),
            marks,
        })
    }

    fn refused_lately(&self, key: &StreamKey) -> Option<RejectCode> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, (at, _)| at.elapsed() < REFUSED_FOR);
        refused.get(&whose(key)).map(|(_, code)| *code)
    }

    fn note_refused(&self, key: &StreamKey, code: RejectCode) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert(whose(key), (Instant::now(), code));
    }

    /// What a failure of a stream means, and that it is over if it is. What the node refused for
    /// good is given up before anybody is told: else it was sent later all the same, and no other
    /// patient could follow on the device. `forget` comes before it, and forgets that parts of
    /// messages are in its frames.
    pub(super) async fn note(
        &self,
        standing: &Standing,
        error: &StreamError,
        forget: impl FnOnce() -> io::Result<()>,
    ) -> Cause {
        let cause = cause(error);
        if matches!(error, StreamError::GivenUp) {
            return cause;
        }
        // Held until its folder is as it stays: nobody begins the next one before.
        let _all = self.standing.lock().await;
        standing.is_over.store(true, Ordering::Relaxed);
        // Ended here too, so that its folder is free for the next one; a stopped one says that it
        // has ended already.
        drop(standing.stream.close());
        let is_refused = matches!(error, StreamError::Stopped { why: StopReason::Refused(_) });
        if is_refused && cause.fate() != Fate::Again && !standing.is_given_up() {
            standing.is_given_up.store(true, Ordering::Relaxed);
            let given_up = forget().map_err(|_| Cause::NotKept);
            let given_up = given_up.and_then(|()| self.give_up(&standing.key));
            if let Err(cause) = given_up {
                standing.is_given_up.store(false, Ordering::Relaxed);
                return cause;
            }
        }
        if let Cause::Node(code) = cause {
            self.note_refused(&standing.key, code);
        }
        cause
    }

    fn give_up(&self, key: &StreamKey) -> Result<(), Cause> {
        let backlogs = Backlogs::open(&self.state, std::slice::from_ref(key), self.bounds);
        let streams = backlogs.map(Backlogs::into_streams);
        let given_up = streams.and_then(|mut streams| {
            streams.iter_mut().try_for_each(|one| one.give_up_refused().map(drop))
        });
        given_up.inspect_err(|error| self.say(error)).map_err(|error| cause(&error))
    }

    /// Says what is wrong with a folder.
    fn say(&self, error: &StreamError) {
        if matches!(error, StreamError::Spool(_)) {
            let line = with_causes(error);
            self.telling.say(&line, &line);
        }
    }
}

fn whose(key: &StreamKey) -> (Slot, u32) {
    (Slot { device: key.device.clone(), signal: key.signal }, key.patient.get())
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
    /// Whether the node refused it for good and its frames without a receipt are given up.
    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    fn is_done(&self) -> bool {
        let over = self.is_over.load(Ordering::Relaxed);
        over || self.stream.last_receipted().0 + 1 >= self.stream.next_sequence().0
    }

    /// Makes frames of a part, but of what the stream's marks say is in frames already: it came
    /// before, and was not answered. Returns the sequence whose receipt says that all is durable.
    pub(super) async fn place(
        &self,
        part: &Part,
        whose: (MessageId, Content),
    ) -> Result<Sequence, PlaceError> {
        let (MessageId(name), content) = whose;
        let mut digest = [0; 32];
        digest[..16].copy_from_slice(&content.0);
        let mut marks = self.marks.lock().await;
        let before = marks.iter().rev().find(|mark| mark.name == name).copied();
        if before.is_some_and(|mark| mark.digest != digest) {
            return Err(PlaceError::Reused);
        }
        let mut lines = before.map_or(0, |mark| mark.lines);
        let rest = part.readings.get(lines as usize..).unwrap_or_default();
        for readings in rest.chunks(FRAME_READINGS_MAX) {
            lines += readings.len() as u64;
            let mark = InputMark { name, lines, taken: 0, digest };
            // In one record with the frame: after a crash both stand or neither does.
            self.stream.send_marked(readings, Some(mark)).await?;
            if marks.len() >= MARKS_MAX {
                marks.pop_front();
            }
            marks.push_back(mark);
        }
        Ok(self.last_placed())
    }

    /// The last frame that stands in the stream.
    pub(super) fn last_placed(&self) -> Sequence {
        Sequence(self.stream.next_sequence().0.saturating_sub(1))
    }

    pub(super) async fn wait(&self, sequence: Sequence) -> Result<(), StreamError> {
        self.stream.wait_for_receipt(sequence).await
    }
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
        StreamError::Stopped { why: StopReason::Ahead { .. } } => Cause::Node(RejectCode::Conflict),
        StreamError::Postponed { .. } | StreamError::Connection(_) => Cause::Away,
        StreamError::GivenUp | StreamError::Spool(_) => Cause::NotKept,
        StreamError::Session(_) | StreamError::Ended => Cause::Busy,
    }
}

#[cfg(test)]
mod tests {
    use model::calendar::parse_instant;
    use model::{DeviceId, PatientIndex, signal_by_name};

    use super::*;

    fn heart_rate(patient: u32) -> Measurement {
        Measurement {
            device: DeviceId::new("m-1").unwrap(),
            patient: PatientIndex::new(patient).unwrap(),
            signal: signal_by_name("heart-rate").unwrap(),
            at: parse_instant("2026-05-01T08:30:00Z").unwrap(),
            value: Some(720),
        }
    }

    #[test]
    fn a_message_of_two_patients_on_one_device_and_signal_is_never_taken() {
        let refused = Part::of(&[heart_rate(7), heart_rate(8)]).err().expect("refused");
        assert_eq!(refused, Cause::PatientsMeet { signal: "heart-rate" });
        assert_eq!(refused.fate(), Fate::Never);
        assert_eq!(Part::of(&[heart_rate(7), heart_rate(7)]).unwrap().len(), 1);
    }

    #[test]
    fn the_refusal_of_one_patient_is_not_that_of_the_next_on_the_device() {
        let folder = tempfile::tempdir().unwrap();
        let streams = Streams::new(folder.path(), StateBounds::default());
        let keys = [7, 8].map(|patient| Part::of(&[heart_rate(patient)]).unwrap().remove(0).key);
        streams.note_refused(&keys[0], RejectCode::NotPermitted);
        let found = keys.map(|key| streams.refused_lately(&key));
        assert_eq!(found, [Some(RejectCode::NotPermitted), None]);
    }
}
