//! The streams of a bridge: opened when the first reading of a device and signal comes, and closed
//! where another patient follows on the device or too many stand.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bridge::{Cause, Measurement};
use client::{Backlogs, Connection, InputMark, StateBounds, Stream, StreamError};
use model::{RejectCode, Sequence};
use tokio::sync::Mutex;
use tokio::time::timeout;
use wire::{DeviceTime, Lane, Reading, StopReason, StreamKey};

use super::receipts::Slot;
use super::taken::{Content, MessageId};

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

    /// Parts of a message, by stream.
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
            let part = parts.entry((slot, one.patient.get())).or_insert_with(|| Part {
                key: StreamKey {
                    device: one.device.clone(),
                    patient: one.patient,
                    signal: one.signal.code,
                },
                readings: Vec::new(),
            });
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
    refused: std::sync::Mutex<BTreeMap<Slot, (Instant, RejectCode)>>,
    wants: AtomicU64,
}

impl Streams {
    pub(super) fn new(state: &Path, bounds: StateBounds) -> Streams {
        Streams {
            state: state.to_owned(),
            bounds,
            standing: Mutex::default(),
            refused: Default::default(),
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
    ) -> Result<Arc<Standing>, Cause> {
        if let Some(code) = self.refused_lately(&part.slot()) {
            return Err(Cause::Node(code));
        }
        let standing = self.find_or_begin(connection, part).await?;
        let wanted = self.wants.fetch_add(1, Ordering::Relaxed);
        standing.wanted.store(wanted, Ordering::Relaxed);
        match timeout(patience, standing.stream.opened()).await {
            Ok(Ok(())) => Ok(standing),
            Ok(Err(error)) => Err(self.note(&standing, &error)),
            Err(_) => Err(Cause::Away),
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
        let standing = Arc::new(self.begin(connection, &part.key).map_err(|error| cause(&error))?);
        all.insert(slot, standing.clone());
        Ok(standing)
    }

    fn begin(&self, connection: &Connection, key: &StreamKey) -> Result<Standing, StreamError> {
        let backlogs = Backlogs::open(&self.state, std::slice::from_ref(key), self.bounds)?;
        let backlog = backlogs.into_streams().pop().ok_or(StreamError::Ended)?;
        let marks = Mutex::new(backlog.marks().into());
        let stream = connection.begin_backlog(Lane::Live, None, backlog)?;
        let (is_over, wanted) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(Standing { key: key.clone(), stream, is_over, wanted, marks })
    }

    fn refused_lately(&self, slot: &Slot) -> Option<RejectCode> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, (at, _)| at.elapsed() < REFUSED_FOR);
        refused.get(slot).map(|(_, code)| *code)
    }

    /// What a failure of a stream means, and that it is over if it is.
    pub(super) fn note(&self, standing: &Standing, error: &StreamError) -> Cause {
        let cause = cause(error);
        if matches!(error, StreamError::GivenUp) {
            return cause;
        }
        standing.is_over.store(true, Ordering::Relaxed);
        // Ended here too, so that its folder is free for the next one; a stopped one says that it
        // has ended already.
        drop(standing.stream.close());
        if let Cause::Node(code) = cause {
            let slot = Slot { device: standing.key.device.clone(), signal: standing.key.signal };
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.insert(slot, (Instant::now(), code));
        }
        cause
    }
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
