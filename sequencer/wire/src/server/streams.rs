//! The streams of one connection: which sequence comes next, and what is delivered and not yet
//! acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use model::{Interval, Millis, RejectCode, Sequence, StreamHandle};

use super::event::{ServerEvent, ServerLimits};
use crate::header::SEQUENCE_MAX;
use crate::{Concern, Credit, Frame, FramesItem, Lane, OpenStream, Reject, StreamName, UnderWay};

const EVERY_SEQUENCE: RangeInclusive<Sequence> = Sequence(0)..=Sequence(u64::MAX);

pub(super) struct Streams {
    limits: ServerLimits,
    streams: BTreeMap<StreamHandle, Stream>,
    names: BTreeMap<StreamName, StreamHandle>,
    /// Of all streams.
    unacknowledged: UnderWay,
}

struct Stream {
    open: OpenStream,
    state: StreamState,
    /// The sequence that comes next.
    next: Sequence,
    /// The last sequence known to be stored.
    durable: Sequence,
    /// After a rejection that may be retried: drop what comes after `next` without another word.
    rewound: bool,
    /// Delivered frames with their weight, in the order they came.
    in_flight: VecDeque<(Sequence, Credit)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Opening,
    Open,
    Refused,
}

/// A frame in its stored form, with where it came from.
pub(super) struct ReceivedFrame {
    pub(super) lane: Lane,
    /// The one in the header as it came.
    pub(super) handle: StreamHandle,
    pub(super) frame: Frame,
}

/// What became of a frame: what the owner learns and what the client is told. Neither, if the frame
/// is dropped because the client was told already.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Taken {
    pub(super) event: Option<ServerEvent>,
    pub(super) reject: Option<Reject>,
}

impl Streams {
    pub(super) fn new(limits: ServerLimits) -> Streams {
        let (streams, names) = (BTreeMap::new(), BTreeMap::new());
        Streams { limits, streams, names, unacknowledged: UnderWay::default() }
    }

    /// What was delivered and neither acknowledged nor rejected.
    pub(super) fn unacknowledged(&self) -> UnderWay {
        self.unacknowledged
    }

    /// Enters a stream that the client describes, or says why there is no room.
    ///
    /// # Errors
    /// [`RejectCode::Protocol`] if handle or name are taken: the session must close.
    pub(super) fn describe(&mut self, open: &OpenStream) -> Result<Option<Reject>, RejectCode> {
        let (handle, name) = (open.handle, open.descriptor.name());
        // By a refused stream as well: it holds both until the client ends it (W.23).
        if self.streams.contains_key(&handle) || self.names.contains_key(&name) {
            return Err(RejectCode::Protocol);
        }
        if self.streams.len() >= self.limits.streams_max {
            let (code, concern) = (RejectCode::Busy, Concern::Stream { handle });
            return Ok(Some(Reject { code, concern, count: 1 }));
        }
        self.names.insert(name, handle);
        let stream = Stream {
            open: open.clone(),
            state: StreamState::Opening,
            // Until the owner says what is stored; no frame is taken before that.
            next: Sequence(1),
            durable: Sequence(0),
            rewound: false,
            in_flight: VecDeque::new(),
        };
        self.streams.insert(handle, stream);
        Ok(None)
    }

    /// Opens a stream that was described, and says which sequence comes next.
    ///
    /// # Panics
    /// If `durable` is beyond every sequence that a frame can have.
    pub(super) fn open(&mut self, handle: StreamHandle, durable: Sequence) -> Option<Sequence> {
        assert!(durable.0 <= SEQUENCE_MAX, "W.19: a stored frame has a sequence below 2^63");
        let stream = self.streams.get_mut(&handle)?;
        // The owner answers later than it was asked: the stream may be refused or ended by now.
        if stream.state != StreamState::Opening {
            return None;
        }
        stream.state = StreamState::Open;
        stream.durable = durable;
        stream.next = Sequence(durable.0 + 1);
        Some(stream.next)
    }

    /// Refuses a stream, opened or not.
    pub(super) fn refuse(&mut self, handle: StreamHandle, code: RejectCode) -> Option<Reject> {
        self.streams.get_mut(&handle)?.state = StreamState::Refused;
        let count = self.count_off(handle, EVERY_SEQUENCE);
        Some(Reject { code, concern: Concern::Stream { handle }, count })
    }

    /// The last sequence that is acknowledged.
    pub(super) fn durable(&self, handle: StreamHandle) -> Option<Sequence> {
        self.streams.get(&handle).map(|stream| stream.durable)
    }

    /// Counts off the frames of a receipt.
    pub(super) fn acknowledge(&mut self, item: &FramesItem) {
        // A receipt is for a holder, whose other connection may have sent these frames.
        let Some(handle) = self.names.get(&item.stream).copied() else {
            return;
        };
        // From the very first one: a receipt says that everything before it is stored too.
        let last = item.sequences.1;
        self.count_off(handle, Sequence(0)..=last);
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.durable = stream.durable.max(last);
            stream.next = stream.next.max(Sequence(stream.durable.0 + 1));
        }
    }

    /// Rejects all delivered frames of an open stream from `from` on.
    pub(super) fn reject(
        &mut self,
        handle: StreamHandle,
        from: Sequence,
        code: RejectCode,
    ) -> Option<Reject> {
        let stream = self.streams.get_mut(&handle)?;
        // While opening it has delivered none, and of a refused one the client was told.
        if stream.state != StreamState::Open {
            return None;
        }
        if code.retry() {
            // Never back to what is stored: the client may hold it no longer.
            stream.next = stream.next.min(from).max(Sequence(stream.durable.0 + 1));
            stream.rewound = true;
        } else {
            stream.state = StreamState::Refused;
        }
        // What follows `from` goes with it: it comes again (W.22) or never. What comes before it
        // still waits for its receipt.
        // At least the one frame that caused it, which may not have been delivered.
        let count = self.count_off(handle, from..=Sequence(u64::MAX)).max(1);
        Some(Reject { code, concern: Concern::Frames { handle, from }, count })
    }

    /// Forgets a stream; what is under way then is no longer counted. `false` if there is none: a
    /// handle refused for want of room was never entered, and the client may end it too.
    pub(super) fn end(&mut self, handle: StreamHandle) -> bool {
        self.count_off(handle, EVERY_SEQUENCE);
        let Some(stream) = self.streams.remove(&handle) else {
            return false;
        };
        self.names.remove(&stream.open.descriptor.name());
        true
    }

    /// Forgets all streams. What was delivered stays counted, for whoever reads the last figure.
    pub(super) fn clear(&mut self) {
        self.streams.clear();
        self.names.clear();
    }

    /// Takes a frame that came.
    ///
    /// # Errors
    /// [`RejectCode::Protocol`] for a frame that no honest client sends: the session must close.
    pub(super) fn take(
        &mut self,
        received: ReceivedFrame,
        now: Millis,
    ) -> Result<Taken, RejectCode> {
        let ReceivedFrame { lane, handle, frame } = received;
        let sequence = frame.sequence();
        // Handle 0 is that of stored frames (W.12) and never opened.
        if handle.0 == 0 {
            return Err(RejectCode::Protocol);
        }
        let Some(stream) = self.streams.get(&handle) else {
            // No breach: frames of the live lane and the end of their stream on the control lane
            // are not in order of each other.
            let concern = Concern::Frames { handle, from: sequence };
            let reject = Reject { code: RejectCode::Stream, concern, count: 1 };
            return Ok(Taken { event: None, reject: Some(reject) });
        };
        let is_elsewhere = stream.open.lane != lane;
        if is_elsewhere || stream.open.descriptor.epoch != frame.header().epoch {
            return Err(RejectCode::Protocol);
        }
        match stream.state {
            // No race: the client is to wait for the answer (W.16).
            StreamState::Opening => Err(RejectCode::Protocol),
            StreamState::Refused => Ok(Taken::default()),
            // Told already: one reject for a gap, however much was under way behind it (W.21).
            StreamState::Open if sequence > stream.next && stream.rewound => Ok(Taken::default()),
            StreamState::Open if sequence > stream.next => {
                let reject = self.reject(handle, stream.next, RejectCode::Gap);
                Ok(Taken { event: None, reject })
            }
            StreamState::Open => Ok(self.take_in_sequence(handle, frame, now)),
        }
    }

    /// Takes a frame that is the next one, or came before.
    fn take_in_sequence(&mut self, handle: StreamHandle, frame: Frame, now: Millis) -> Taken {
        let sequence = frame.sequence();
        let measured = self.measure(handle, &frame, now);
        let Some(stream) = self.streams.get_mut(&handle) else {
            return Taken::default();
        };
        let duplicate = sequence < stream.next || sequence <= stream.durable;
        match measured {
            // Even a duplicate takes room until it is answered, so want of room comes first.
            Err(RejectCode::Busy) => {
                let reject = self.reject(handle, sequence, RejectCode::Busy);
                return Taken { event: None, reject };
            }
            Err(code) if !duplicate => {
                let event = Some(ServerEvent::FrameRejected { handle, frame, code });
                return Taken { event, reject: self.reject(handle, sequence, code) };
            }
            _ => {}
        }
        let weight = Credit::of_frame(frame.as_bytes().len());
        stream.in_flight.push_back((sequence, weight));
        self.unacknowledged.add(stream.open.lane, weight);
        if sequence == stream.next {
            stream.next = Sequence(sequence.0 + 1);
            // What was missing is here, so the next hole is worth a reject again.
            stream.rewound = false;
        }
        let event = match measured {
            Ok(measured) if !duplicate => ServerEvent::Frame { handle, frame, measured },
            // Other bytes under a stored identity are evidence, well-formed or not.
            _ => ServerEvent::Duplicate { handle, frame },
        };
        Taken { event: Some(event), reject: None }
    }

    /// When the readings of a frame were measured, if there is room for it and each is sound.
    fn measure(
        &self,
        handle: StreamHandle,
        frame: &Frame,
        now: Millis,
    ) -> Result<Interval, RejectCode> {
        // Room before readings: a peer beyond its budget costs no check of its readings.
        let after = self.unacknowledged.sum() + Credit::of_frame(frame.as_bytes().len());
        if !after.fits(self.limits.credit()) {
            return Err(RejectCode::Busy);
        }
        let stream = self.streams.get(&handle).ok_or(RejectCode::Stream)?;
        let signal = stream.open.descriptor.key.signal().ok_or(RejectCode::Stream)?;
        let measured = frame.check(signal).map_err(|error| error.code())?;
        // Only ahead (W.13): a backlog may be as old as it is.
        if measured.until > now.plus(self.limits.ahead_ms_max) {
            return Err(RejectCode::Clock);
        }
        Ok(measured)
    }

    /// Counts off delivered frames within a range of sequences, and says how many.
    fn count_off(&mut self, handle: StreamHandle, range: RangeInclusive<Sequence>) -> u32 {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return 0;
        };
        let mut freed = Credit::default();
        // Not cut at one end: duplicates stand between the others, in the order they came.
        stream.in_flight.retain(|(sequence, weight)| {
            let inside = range.contains(sequence);
            if inside {
                freed += *weight;
            }
            !inside
        });
        self.unacknowledged.take(stream.open.lane, freed);
        freed.frames
    }
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, EpochNumber, PatientIndex};

    use super::*;
    use crate::{Descriptor, DeviceTime, FramePlace, Reading, StreamKey};

    const HANDLE: StreamHandle = StreamHandle(1);

    fn now() -> Millis {
        Millis::new(4_004_288_800_000).expect("before 2457")
    }

    fn description(handle: u32) -> OpenStream {
        let device = DeviceId::new(&format!("monitor-{handle}")).expect("a name");
        let patient = PatientIndex::new(7).expect("small");
        let key = StreamKey { device, patient, signal: 131328 };
        let descriptor = Descriptor { key, period: None, epoch: EpochNumber(1) };
        OpenStream { handle: StreamHandle(handle), lane: Lane::Live, descriptor }
    }

    fn open_with(limits: ServerLimits) -> Streams {
        let mut streams = Streams::new(limits);
        assert_eq!(streams.describe(&description(1)), Ok(None));
        assert_eq!(streams.open(HANDLE, Sequence(0)), Some(Sequence(1)));
        streams
    }

    fn give(streams: &mut Streams, sequence: u64) -> Taken {
        let place =
            FramePlace { handle: HANDLE, epoch: EpochNumber(1), sequence: Sequence(sequence) };
        let signal = model::signal_by_code(131328).expect("ecg is known");
        let readings = [Reading::new(DeviceTime::from_millis(now()), 1)];
        let frame = Frame::encode_raw(place, signal, &readings).expect("valid readings");
        let frame = frame.stored();
        let received = ReceivedFrame { lane: Lane::Live, handle: HANDLE, frame };
        streams.take(received, now()).expect("an honest client")
    }

    fn is_rejected(taken: &Taken, code: RejectCode, from: u64) -> bool {
        let concern = Concern::Frames { handle: HANDLE, from: Sequence(from) };
        taken.reject.is_some_and(|reject| reject.code == code && reject.concern == concern)
    }

    #[test]
    fn a_gap_is_told_once_until_the_missing_frame_comes() {
        let mut streams = open_with(ServerLimits::default());
        assert!(is_rejected(&give(&mut streams, 3), RejectCode::Gap, 1));
        assert_eq!(give(&mut streams, 3), Taken::default());
        assert!(matches!(give(&mut streams, 1).event, Some(ServerEvent::Frame { .. })));
        assert!(is_rejected(&give(&mut streams, 3), RejectCode::Gap, 2));
    }

    #[test]
    fn what_is_delivered_is_counted_until_a_receipt_a_reject_or_the_end() {
        let mut streams = open_with(ServerLimits::default());
        (1..=4).for_each(|sequence| drop(give(&mut streams, sequence)));
        assert_eq!(streams.unacknowledged().sum(), Credit { bytes: 4 * 48, frames: 4 });
        streams.reject(HANDLE, Sequence(4), RejectCode::Busy);
        assert_eq!(streams.unacknowledged().sum().frames, 3);
        assert!(streams.end(HANDLE) && !streams.end(HANDLE));
        assert_eq!(streams.unacknowledged(), UnderWay::default());
    }

    #[test]
    fn a_frame_beyond_the_budget_is_busy_and_welcome_again_later() {
        let limits = ServerLimits { unacknowledged_frames_max: 1, ..ServerLimits::default() };
        let mut streams = open_with(limits);
        give(&mut streams, 1);
        assert!(is_rejected(&give(&mut streams, 2), RejectCode::Busy, 2));
        streams.reject(HANDLE, Sequence(1), RejectCode::Busy);
        assert!(matches!(give(&mut streams, 1).event, Some(ServerEvent::Frame { .. })));
    }

    #[test]
    fn a_stream_beyond_the_limit_is_busy_and_one_that_is_taken_a_breach() {
        let mut streams = open_with(ServerLimits { streams_max: 1, ..ServerLimits::default() });
        let busy = streams.describe(&description(2)).expect("no breach");
        assert!(busy.is_some_and(|reject| reject.code == RejectCode::Busy));
        assert_eq!(streams.describe(&description(1)), Err(RejectCode::Protocol));
    }

    #[test]
    fn a_refused_stream_is_not_opened_and_drops_what_comes() {
        let mut streams = Streams::new(ServerLimits::default());
        assert_eq!(streams.describe(&description(1)), Ok(None));
        assert!(streams.refuse(HANDLE, RejectCode::NotPermitted).is_some());
        assert_eq!(streams.open(HANDLE, Sequence(0)), None);
        assert_eq!(give(&mut streams, 1), Taken::default());
    }
}
