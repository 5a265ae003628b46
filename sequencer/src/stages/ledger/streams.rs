//! Which frames of which stream are stored, and which frames hold a patient's data.

use std::collections::{BTreeMap, BTreeSet};

use model::{Categories, GatewayId, Interval, PatientIndex, Position, Sequence, Word};
use wire::StreamName;

/// A stored frame as an access finds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredFrame {
    pub(super) position: Position,
    pub(super) categories: Categories,
    pub(super) measured: Interval,
    pub(super) device: Word,
}

/// Positions by stream and by patient. Memory: 8 bytes a frame for its stream, 48 for its patient.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    stored: BTreeMap<(GatewayId, StreamName), Vec<Position>>,
    halted: BTreeSet<(GatewayId, StreamName)>,
    of_patient: BTreeMap<PatientIndex, Vec<StoredFrame>>,
}

/// What a sequence number is to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The next one.
    Next,
    /// Stored, here.
    Stored(Position),
    /// Beyond the next one.
    Beyond {
        /// The next one.
        next: Sequence,
    },
}

impl Streams {
    pub(super) fn place(&self, gateway: &GatewayId, stream: &StreamName, at: Sequence) -> Place {
        let stored = self.stored.get(&(gateway.clone(), stream.clone()));
        let count = stored.map_or(0, |positions| positions.len() as u64);
        match at.0.checked_sub(1) {
            Some(before) if before == count => Place::Next,
            Some(before) if before < count => {
                let position = stored.and_then(|positions| positions.get(before as usize));
                position.map_or(Place::Next, |position| Place::Stored(*position))
            }
            _ => Place::Beyond { next: Sequence(count + 1) },
        }
    }

    pub(super) fn next(&self, gateway: &GatewayId, stream: &StreamName) -> Sequence {
        let stored = self.stored.get(&(gateway.clone(), stream.clone()));
        Sequence(stored.map_or(0, |positions| positions.len() as u64) + 1)
    }

    /// Last stored sequence of every stream of a gateway.
    pub(super) fn marks(&self, gateway: &GatewayId) -> Vec<(StreamName, Sequence)> {
        let own = self.stored.iter().filter(|((owner, _), _)| owner == gateway);
        own.map(|((_, stream), positions)| (stream.clone(), Sequence(positions.len() as u64)))
            .collect()
    }

    pub(super) fn is_halted(&self, gateway: &GatewayId, stream: &StreamName) -> bool {
        self.halted.contains(&(gateway.clone(), stream.clone()))
    }

    pub(super) fn halt(&mut self, gateway: &GatewayId, stream: &StreamName) {
        self.halted.insert((gateway.clone(), stream.clone()));
    }

    pub(super) fn resume(&mut self, gateway: &GatewayId, stream: &StreamName) {
        self.halted.remove(&(gateway.clone(), stream.clone()));
    }

    pub(super) fn store(
        &mut self,
        gateway: &GatewayId,
        stream: &StreamName,
        patient: PatientIndex,
        frame: StoredFrame,
    ) {
        let key = (gateway.clone(), stream.clone());
        self.stored.entry(key).or_default().push(frame.position);
        self.of_patient.entry(patient).or_default().push(frame);
    }

    /// Positions of a patient's frames that an access asks for, at most `most`, oldest first.
    pub(super) fn released(
        &self,
        patient: PatientIndex,
        categories: Categories,
        data: Interval,
        source: Option<Word>,
        most: usize,
    ) -> Vec<Position> {
        let frames = self.of_patient.get(&patient).map_or(&[][..], Vec::as_slice);
        let asked = |frame: &&StoredFrame| {
            categories.contains(frame.categories)
                && data.contains(&frame.measured)
                && source.is_none_or(|source| source == frame.device)
        };
        frames.iter().filter(asked).take(most).map(|frame| frame.position).collect()
    }
}
