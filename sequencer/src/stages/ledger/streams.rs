//! Which frames of which stream are stored, and which frames hold a patient's data.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    DecodeError, DeviceId, EpochNumber, GatewayId, PatientIndex, Position, Reader, Sequence,
};
use wire::{Holder, RefusalReason, StreamName};

use super::codec::{
    NAME_BYTES_MIN, read_map, read_name, read_option, read_reason, write_count, write_name,
    write_option, write_reason,
};
use super::consent::read_patient;
use super::frames::{PatientFrames, StoredFrame, StoredPlace};
use super::index::{FrameNodes, Look, Spine};

/// Last stored sequence of each stream of each gateway, by whom its receipts are for.
pub(super) type Marks = BTreeMap<Holder, BTreeMap<StreamName, Sequence>>;

/// Most streams of a gateway that are open without a frame and stand in the journal. Reached: a
/// further one opens all the same, and leaves no entry, so that opening streams for ever costs the
/// disk no more than this.
const EMPTY_STREAMS_MAX: usize = 512;

/// The index of stored frames. Memory: 1 to 8 KiB a stream and 2 to 20 KiB a patient, however many
/// frames they have. Clones are cheap and of what is there: lists, and the map of a gateway's
/// streams, are shared until one of them changes.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    /// By gateway first, so that a frame finds its stream without a copied key.
    of_gateway: BTreeMap<GatewayId, Arc<GatewayStreams>>,
    of_patient: BTreeMap<PatientIndex, PatientFrames>,
    nodes: FrameNodes,
}

#[derive(Clone, Debug, Default)]
struct GatewayStreams {
    streams: BTreeMap<StreamName, Stream>,
    /// How many of them have no frame.
    empty: usize,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    /// Positions of its frames: that of sequence `n` stands at place `n - 1`, because there are no
    /// holes.
    stored: Arc<Spine<Position>>,
    /// Why a frame was refused, if the stream was not opened since.
    halted: Option<RefusalReason>,
}

impl Stream {
    /// The first sequence that is not stored.
    fn next(&self) -> Sequence {
        Sequence(self.stored.len() + 1)
    }

    fn push(&mut self, position: Position, nodes: &FrameNodes) {
        // Copied only while somebody reads, or writes a snapshot of, what was there before.
        Arc::make_mut(&mut self.stored).push(position, nodes);
    }
}

/// What a sequence number is to a stream.
#[derive(Debug)]
pub(super) enum Place {
    /// The next one.
    Next,
    /// The next one, of a stream that is halted.
    Halted {
        /// Why its first frame was refused.
        why: RefusalReason,
    },
    /// Stored, here.
    Stored(StoredPlace),
    /// Beyond the next one.
    Beyond {
        /// The next one.
        next: Sequence,
    },
}

impl Streams {
    /// None, whose nodes go there.
    pub(super) fn new(nodes: FrameNodes) -> Streams {
        Streams { of_gateway: BTreeMap::new(), of_patient: BTreeMap::new(), nodes }
    }

    /// Where the nodes of the lists stand.
    pub(super) fn nodes(&self) -> &FrameNodes {
        &self.nodes
    }

    /// Reads every node of every list.
    pub(super) fn look(&self, look: &mut Look<'_>) {
        for stream in self.of_gateway.values().flat_map(|gateway| gateway.streams.values()) {
            stream.stored.look(&self.nodes, look);
        }
        self.of_patient.values().for_each(|frames| frames.look(&self.nodes, look));
    }

    fn stream(&self, gateway: &GatewayId, name: &StreamName) -> Option<&Stream> {
        self.of_gateway.get(gateway)?.streams.get(name)
    }

    fn stream_mut(&mut self, gateway: &GatewayId, name: &StreamName) -> &mut Stream {
        // Keys are copied for a new gateway or stream only: `entry` would copy them for each frame.
        if self.stream(gateway, name).is_none() {
            let of_gateway = self.of_gateway.entry(gateway.clone()).or_default();
            let of_gateway = Arc::make_mut(of_gateway);
            of_gateway.streams.insert(name.clone(), Stream::default());
            of_gateway.empty += 1;
        }
        let of_gateway = self.of_gateway.get_mut(gateway).map(Arc::make_mut);
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
        let next = stream.map_or(Sequence(1), Stream::next);
        // Sequences begin at 1; 0 is never next, so it is beyond like any other that is no frame's.
        let place = at.0.checked_sub(1);
        let located = stream.zip(place).and_then(|(stream, place)| stream.stored.locate(place));
        match located {
            // Also in a halted stream: what is stored is acknowledged again, whatever came after.
            Some(located) => Place::Stored(StoredPlace { located, nodes: self.nodes.clone() }),
            None if at != next => Place::Beyond { next },
            None => match stream.and_then(|stream| stream.halted) {
                Some(why) => Place::Halted { why },
                None => Place::Next,
            },
        }
    }

    pub(super) fn next(&self, gateway: &GatewayId, name: &StreamName) -> Sequence {
        self.stream(gateway, name).map_or(Sequence(1), Stream::next)
    }

    /// Last stored sequence of every stream that has one.
    pub(super) fn marks(&self) -> Marks {
        let mut marks = Marks::new();
        for (gateway, of_gateway) in &self.of_gateway {
            let streams = of_gateway.streams.iter();
            let stored = streams.filter(|(_, stream)| stream.stored.len() > 0);
            let last = |stream: &Stream| Sequence(stream.stored.len());
            let of_streams: BTreeMap<_, _> =
                stored.map(|(name, stream)| (name.clone(), last(stream))).collect();
            if !of_streams.is_empty() {
                marks.insert(Holder::gateway(gateway), of_streams);
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
        // Looked for once: nearly every frame finds its stream.
        let of_gateway = self.of_gateway.get_mut(gateway).map(Arc::make_mut);
        if let Some(of_gateway) = of_gateway
            && let Some(stream) = of_gateway.streams.get_mut(name)
        {
            of_gateway.empty -= usize::from(stream.stored.len() == 0);
            stream.push(frame.position, &self.nodes);
        } else {
            let of_gateway = Arc::make_mut(self.of_gateway.entry(gateway.clone()).or_default());
            let stream = of_gateway.streams.entry(name.clone()).or_default();
            stream.push(frame.position, &self.nodes);
        }
        Arc::make_mut(self.of_patient.entry(patient).or_default()).push(frame, &self.nodes);
    }

    /// A patient's frames as they are now, for whoever reads them beside the writer.
    pub(super) fn of_patient(&self, patient: PatientIndex) -> PatientFrames {
        self.of_patient.get(&patient).cloned().unwrap_or_default()
    }
}

/// As canonical bytes.
impl Streams {
    /// Canonical bytes: the streams of each gateway, the frames of each patient.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_count(self.of_gateway.len(), out);
        for (gateway, of_gateway) in &self.of_gateway {
            write_name(gateway.as_str(), out);
            write_count(of_gateway.streams.len(), out);
            for (StreamName { device, signal, epoch }, stream) in &of_gateway.streams {
                write_name(device.as_str(), out);
                out.extend(signal.to_be_bytes());
                out.extend(epoch.0.to_be_bytes());
                write_option(stream.halted.as_ref(), out, write_reason);
                stream.stored.write(out);
            }
        }
        write_count(self.of_patient.len(), out);
        for (patient, frames) in &self.of_patient {
            out.extend(patient.get().to_be_bytes());
            frames.write(out);
        }
    }

    /// Reads canonical bytes; nodes stand there.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub(super) fn read(nodes: FrameNodes, from: &mut Reader<'_>) -> Result<Streams, DecodeError> {
        let of_gateway = read_map(NAME_BYTES_MIN + 4, from, |from| {
            let gateway = read_name(GatewayId::new, from)?;
            let streams = read_map(Stream::BYTES_MIN, from, Stream::read)?;
            let empty = streams.values().filter(|stream| stream.stored.len() == 0).count();
            Ok((gateway, Arc::new(GatewayStreams { streams, empty })))
        })?;
        let of_patient = read_map(4 + 8 + 1, from, |from| {
            Ok((read_patient(from)?, Arc::new(Spine::read(from)?)))
        })?;
        Ok(Streams { of_gateway, of_patient, nodes })
    }
}

impl Stream {
    const BYTES_MIN: usize = NAME_BYTES_MIN + 4 + 2 + 1 + 8;

    fn read(from: &mut Reader<'_>) -> Result<(StreamName, Stream), DecodeError> {
        let device = read_name(DeviceId::new, from)?;
        let (signal, epoch) = (from.u32()?, EpochNumber(from.u16()?));
        let halted = read_option(from, read_reason)?;
        let stored = Arc::new(Spine::read(from)?);
        Ok((StreamName { device, signal, epoch }, Stream { stored, halted }))
    }
}
