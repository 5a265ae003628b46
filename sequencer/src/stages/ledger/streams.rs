//! Which frames of which stream are stored, and which frames hold a patient's data.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use model::{Categories, GatewayId, Interval, Millis, PatientIndex, Position, Sequence, Word};
use wire::{PageOrder, RefusalReason, StreamName};

/// Last stored sequence of each stream of each gateway.
pub(super) type Marks = BTreeMap<GatewayId, BTreeMap<StreamName, Sequence>>;

/// Most streams of a gateway that are open without a frame and stand in the journal. Reached: a
/// further one opens all the same, and leaves no entry, so that opening streams for ever costs the
/// disk no more than this.
const EMPTY_STREAMS_MAX: usize = 512;

/// A stored frame as an access finds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredFrame {
    pub(super) position: Position,
    pub(super) categories: Categories,
    pub(super) measured: Interval,
    pub(super) device: Word,
}

/// The index of stored frames. Memory: 8 bytes a frame for its stream, 64 for its patient.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    /// By gateway first, so that a frame finds its stream without a copied key.
    of_gateway: BTreeMap<GatewayId, GatewayStreams>,
    of_patient: BTreeMap<PatientIndex, Vec<StoredFrame>>,
}

#[derive(Clone, Debug, Default)]
struct GatewayStreams {
    streams: BTreeMap<StreamName, Stream>,
    /// How many of them have no frame.
    empty: usize,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    /// Positions of its frames: that of sequence `n` stands at `n - 1`, because there are no holes.
    stored: Vec<Position>,
    /// Why a frame was refused, if the stream was not opened since.
    halted: Option<RefusalReason>,
}

/// What a sequence number is to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The next one.
    Next,
    /// The next one, of a stream that is halted.
    Halted {
        /// Why its first frame was refused.
        why: RefusalReason,
    },
    /// Stored, here.
    Stored(Position),
    /// Beyond the next one.
    Beyond {
        /// The next one.
        next: Sequence,
    },
}

/// Which of a patient's frames an access asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct FramesAsked {
    pub(super) patient: PatientIndex,
    pub(super) categories: Categories,
    /// Measured in here.
    pub(super) data: Interval,
    /// Of this device only.
    pub(super) source: Option<Word>,
    pub(super) order: PageOrder,
    /// Behind this frame, in that order.
    pub(super) after: Option<Position>,
    /// Stored before this place of the journal.
    pub(super) before: Position,
    /// At most so many.
    pub(super) frames_max: usize,
}

/// Frames that an access asks for, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) positions: Vec<Position>,
    /// Whether there are more behind them.
    pub(super) more: bool,
    /// Frames passed over on the way because only a part of them was measured within.
    pub(super) partly: u64,
}

impl Streams {
    fn stream(&self, gateway: &GatewayId, name: &StreamName) -> Option<&Stream> {
        self.of_gateway.get(gateway)?.streams.get(name)
    }

    fn stream_mut(&mut self, gateway: &GatewayId, name: &StreamName) -> &mut Stream {
        // Keys are copied for a new gateway or stream only: `entry` would copy them for each frame.
        if self.stream(gateway, name).is_none() {
            let of_gateway = self.of_gateway.entry(gateway.clone()).or_default();
            of_gateway.streams.insert(name.clone(), Stream::default());
            of_gateway.empty += 1;
        }
        let of_gateway = self.of_gateway.get_mut(gateway);
        let stream = of_gateway.and_then(|of_gateway| of_gateway.streams.get_mut(name));
        stream.expect("inserted above if it was missing")
    }

    /// Whether opening this stream changes something that recovery must know: it is new, or halted.
    pub(super) fn is_opening_new(&self, gateway: &GatewayId, name: &StreamName) -> bool {
        let Some(of_gateway) = self.of_gateway.get(gateway) else { return true };
        match of_gateway.streams.get(name) {
            Some(stream) => stream.halted.is_some(),
            None => of_gateway.empty < EMPTY_STREAMS_MAX,
        }
    }

    pub(super) fn place(&self, gateway: &GatewayId, name: &StreamName, at: Sequence) -> Place {
        let stream = self.stream(gateway, name);
        let stored = stream.map_or(&[][..], |stream| &stream.stored);
        let next = Sequence(stored.len() as u64 + 1);
        // Sequences begin at 1; 0 is never next, so it is beyond like any other that is no frame's.
        let index = at.0.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| stored.get(index)) {
            // Also in a halted stream: what is stored is acknowledged again, whatever came after.
            Some(position) => Place::Stored(*position),
            None if at != next => Place::Beyond { next },
            None => match stream.and_then(|stream| stream.halted) {
                Some(why) => Place::Halted { why },
                None => Place::Next,
            },
        }
    }

    pub(super) fn next(&self, gateway: &GatewayId, name: &StreamName) -> Sequence {
        let stored = self.stream(gateway, name).map_or(0, |stream| stream.stored.len());
        Sequence(stored as u64 + 1)
    }

    /// Last stored sequence of every stream that has one.
    pub(super) fn marks(&self) -> Marks {
        let mut marks = Marks::new();
        for (gateway, of_gateway) in &self.of_gateway {
            let streams = of_gateway.streams.iter();
            for (name, stream) in streams.filter(|(_, stream)| !stream.stored.is_empty()) {
                let last = Sequence(stream.stored.len() as u64);
                marks.entry(gateway.clone()).or_default().insert(name.clone(), last);
            }
        }
        marks
    }

    pub(super) fn halt(&mut self, gateway: &GatewayId, name: &StreamName, why: RefusalReason) {
        self.stream_mut(gateway, name).halted = Some(why);
    }

    /// Takes note of an opening: it ends a halt.
    pub(super) fn open(&mut self, gateway: &GatewayId, name: &StreamName) {
        self.stream_mut(gateway, name).halted = None;
    }

    pub(super) fn store(
        &mut self,
        gateway: &GatewayId,
        name: &StreamName,
        patient: PatientIndex,
        frame: StoredFrame,
    ) {
        let stream = self.stream_mut(gateway, name);
        stream.stored.push(frame.position);
        if stream.stored.len() == 1
            && let Some(of_gateway) = self.of_gateway.get_mut(gateway)
        {
            of_gateway.empty -= 1;
        }
        self.of_patient.entry(patient).or_default().push(frame);
    }

    /// The frames asked for.
    pub(super) fn find(&self, asked: &FramesAsked) -> Found {
        let frames = self.of_patient.get(&asked.patient).map_or(&[][..], Vec::as_slice);
        // They were stored in the order of their positions.
        let frames = &frames[..frames.partition_point(|frame| frame.position < asked.before)];
        let behind =
            asked.after.map_or(0, |after| frames.partition_point(|one| one.position <= after));
        let is_asked = |frame: &&StoredFrame| {
            asked.categories.contains(frame.categories)
                && asked.source.is_none_or(|source| source == frame.device)
        };
        let fits = |frame: &&StoredFrame| asked.data.contains(&frame.measured) && is_asked(frame);
        let last = behind.checked_sub(1).map(|index| age(&frames[index]));
        let is_later = |frame: &&StoredFrame| last.is_none_or(|last| age(frame) > last);
        // One more than may go, which says that there are more.
        let most = asked.frames_max + 1;
        let mut found: Vec<_> = match asked.order {
            PageOrder::Stored => frames[behind..].iter().filter(fits).take(most).collect(),
            PageOrder::Newest => {
                let mut fitting: Vec<_> = frames.iter().filter(fits).filter(is_later).collect();
                if fitting.len() > most {
                    // Only those that go are sorted: a patient may have a million.
                    fitting.select_nth_unstable_by_key(most, |frame| age(frame));
                    fitting.truncate(most);
                }
                fitting.sort_unstable_by_key(|frame| age(frame));
                fitting
            }
        };
        let more = found.len() > asked.frames_max;
        found.truncate(asked.frames_max);
        // Up to the last one of the page, so that all pages count each of them once.
        let end = found.last().filter(|_| more);
        let passed = match (asked.order, end) {
            (PageOrder::Stored, None) => &frames[behind..],
            (PageOrder::Stored, Some(end)) => {
                &frames[behind..frames.partition_point(|frame| frame.position < end.position)]
            }
            (PageOrder::Newest, _) => frames,
        };
        let is_passed = |frame: &&StoredFrame| {
            asked.order == PageOrder::Stored
                || (is_later(frame) && end.is_none_or(|end| age(frame) < age(end)))
        };
        let is_partly = |frame: &&StoredFrame| {
            asked.data.overlaps(&frame.measured) && !asked.data.contains(&frame.measured)
        };
        let passed = passed.iter().filter(is_partly).filter(is_asked);
        let partly = passed.filter(is_passed).count() as u64;
        Found { positions: found.iter().map(|frame| frame.position).collect(), more, partly }
    }
}

/// The place in the order that begins with the latest reading; of equal ones, with what was stored
/// last.
fn age(frame: &StoredFrame) -> Reverse<(Millis, Position)> {
    Reverse((frame.measured.until, frame.position))
}

#[cfg(test)]
mod tests {
    use model::{Category, DeviceId, EpochNumber};

    use super::*;

    const BACKFILLED: u64 = 40;

    /// Ten frames in the order of their times at 10, 20 .. 100, and an old one stored behind them.
    fn streams() -> (Streams, PatientIndex) {
        let gateway = GatewayId::new("gateway").unwrap();
        let device = DeviceId::new("monitor").unwrap();
        let name = StreamName { device, signal: 1, epoch: EpochNumber(1) };
        let patient = PatientIndex::new(3).unwrap();
        let mut streams = Streams::default();
        let places = (1..=10).map(|n| (n * 10, n * 1000)).chain([(110, BACKFILLED)]);
        for (position, time) in places {
            let measured = Interval::instant(Millis::new(time).unwrap());
            let (categories, device) = (Category::Ecg.only(), Word::ZERO);
            let position = Position(position);
            let frame = StoredFrame { position, categories, measured, device };
            streams.store(&gateway, &name, patient, frame);
        }
        (streams, patient)
    }

    fn pages(order: PageOrder, frames_max: usize) -> Vec<Vec<u64>> {
        let (streams, patient) = streams();
        let (categories, data) = (Category::Ecg.only(), Interval::ALWAYS);
        let before = Position(200);
        let (mut after, mut pages) = (None, Vec::new());
        loop {
            let asked = FramesAsked {
                patient,
                categories,
                data,
                source: None,
                order,
                after,
                before,
                frames_max,
            };
            let Found { positions, more, .. } = streams.find(&asked);
            after = positions.last().copied();
            pages.push(positions.iter().map(|position| position.0).collect());
            if !more {
                return pages;
            }
        }
    }

    #[test]
    fn pages_hold_every_frame_once_in_their_order() {
        let stored: Vec<u64> = (1..=11).map(|n| n * 10).collect();
        let newest: Vec<u64> = (1..=10).rev().map(|n| n * 10).chain([110]).collect();
        for frames_max in [1, 3, 10, 11, 12] {
            let whole = 11_usize.div_ceil(frames_max);
            for (order, expected) in [(PageOrder::Stored, &stored), (PageOrder::Newest, &newest)] {
                let pages = pages(order, frames_max);
                assert_eq!(pages.len(), whole, "{order:?} by {frames_max}");
                assert_eq!(pages.concat(), *expected, "{order:?} by {frames_max}");
            }
        }
    }

    #[test]
    fn a_frame_partly_in_the_period_is_counted_once_whatever_the_pages() {
        let (mut streams, patient) = streams();
        let gateway = GatewayId::new("gateway").unwrap();
        let device = DeviceId::new("monitor").unwrap();
        let name = StreamName { device, signal: 1, epoch: EpochNumber(1) };
        let within = |from, until| {
            Interval::new(Millis::new(from).unwrap(), Millis::new(until).unwrap()).unwrap()
        };
        // Around the begin, around the end, around both; beside it; of another category.
        let ecg = Category::Ecg.only();
        let others = [(1500, 2001, ecg), (8000, 9000, ecg), (1, 9999, ecg), (8500, 8501, ecg)];
        let others = others.into_iter().chain([(1500, 2001, Category::Spo2.only())]);
        for (position, (from, until, categories)) in (120..).zip(others) {
            let (position, measured) = (Position(position), within(from, until));
            let frame = StoredFrame { position, categories, measured, device: Word::ZERO };
            streams.store(&gateway, &name, patient, frame);
        }
        for order in [PageOrder::Stored, PageOrder::Newest] {
            for frames_max in 1..8 {
                let (mut after, mut partly, mut whole) = (None, 0, 0);
                loop {
                    let (data, before) = (within(2000, 8400), Position(200));
                    let found = streams.find(&FramesAsked {
                        patient,
                        categories: ecg,
                        data,
                        source: None,
                        order,
                        after,
                        before,
                        frames_max,
                    });
                    partly += found.partly;
                    whole += found.positions.len();
                    after = found.positions.last().copied();
                    if !found.more {
                        break;
                    }
                }
                assert_eq!((partly, whole), (3, 7), "{order:?} by {frames_max}");
            }
        }
    }
}
