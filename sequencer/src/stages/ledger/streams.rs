//! Which frames of which stream are stored, and which frames hold a patient's data.

use std::collections::BTreeMap;

use model::{GatewayId, PatientIndex, Position, Sequence};
use wire::{RefusalReason, StreamName};

use super::frames::{PatientFrames, StoredFrame};

/// Last stored sequence of each stream of each gateway.
pub(super) type Marks = BTreeMap<GatewayId, BTreeMap<StreamName, Sequence>>;

/// Most streams of a gateway that are open without a frame and stand in the journal. Reached: a
/// further one opens all the same, and leaves no entry, so that opening streams for ever costs the
/// disk no more than this.
const EMPTY_STREAMS_MAX: usize = 512;

/// The index of stored frames. Memory: 8 bytes a frame for its stream, 64 for its patient.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// By gateway first, so that a frame finds its stream without a copied key.
    of_gateway: BTreeMap<GatewayId, GatewayStreams>,
    of_patient: BTreeMap<PatientIndex, PatientFrames>,
}

#[derive(Debug, Default)]
struct GatewayStreams {
    streams: BTreeMap<StreamName, Stream>,
    /// How many of them have no frame.
    empty: usize,
}

#[derive(Debug, Default)]
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
        self.of_patient.entry(patient).or_default().store(frame);
    }

    /// A patient's frames, for whoever reads them beside the writer.
    pub(super) fn of_patient(&self, patient: PatientIndex) -> PatientFrames {
        self.of_patient.get(&patient).cloned().unwrap_or_default()
    }
}
