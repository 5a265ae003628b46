//! The whole state of a ledger as bytes, so that a start absorbs the end of the journal alone.
//!
//! [`Ledger::freeze`] takes what is there between two entries and shares it: what is large is
//! copied only where it changes while the frozen state is alive. Whoever has time encodes it.
//!
//! What follows from other parts is left out and made again: words and holders from names, the root
//! of the tree, counts. The nodes of the tree are kept, because hashing them takes long. What is in
//! no state: the counts of refusals of the running minute, which a crash loses too.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{BatchNumber, DecodeError, Digest, Millis, Position, PractitionerId, Reader};

use super::absorb::{AskedBefore, Ledger, LedgerConfig};
use super::bodies::BodySeal;
use super::codec::{
    NAME_BYTES_MIN, read_flag, read_map, read_name, write_count, write_name, write_time,
};
use super::consent::Consent;
use super::erasures::Erasures;
use super::index::{DamagedNode, FrameNodes, Look};
use super::registry::Registry;
use super::streams::Streams;
use super::window::codec::Beside;
use super::window::{OpenWindow, Unread};

/// First byte of a state: a change of any layout in it is another version.
const VERSION: u8 = 3;
/// The one before, of releases that knew no erasures: a journal with one has no state of theirs.
const VERSION_BEFORE: u8 = 2;
/// The one before that, in which the last readings of open segments stand in the clear.
const VERSION_PLAIN: u8 = 1;
/// Bytes of a request that was decided, beside its practitioner's name.
const ASKED_BYTES: usize = 8 + 8 + 31 + 8 + 1;

/// The state between two entries of the journal.
#[derive(Debug)]
pub struct LedgerState {
    consent: Arc<Consent>,
    registry: Arc<Registry>,
    erasures: Arc<Erasures>,
    streams: Streams,
    window: OpenWindow,
    asked: BTreeMap<(PractitionerId, u64), AskedBefore>,
    last_time: Millis,
    term: u32,
    index_end: u64,
    /// Seals the last readings of open segments, each under its patient's key.
    bodies: BodySeal,
}

impl Ledger {
    /// The state as it is now. Copies the maps of streams and of patients with frames, whose lists
    /// are shared, and the open window: nothing right behind a close, else up to 17 KiB a segment.
    pub fn freeze(&self) -> LedgerState {
        LedgerState {
            consent: Arc::clone(&self.consent),
            registry: Arc::clone(&self.registry),
            erasures: Arc::clone(&self.erasures),
            streams: self.streams.clone(),
            window: self.window.clone(),
            asked: self.asked.clone(),
            last_time: self.last_time,
            term: self.term,
            index_end: self.streams.nodes().end(),
            bodies: self.config.bodies.clone(),
        }
    }

    /// The ledger with this state. `nodes` gives the index of stored frames, which ends there.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no state.
    pub fn restore(
        config: LedgerConfig,
        state: &[u8],
        nodes: impl FnOnce(u64) -> FrameNodes,
    ) -> Result<Ledger, DecodeError> {
        let mut from = Reader::new(state);
        let known = |version: u8| match version {
            VERSION | VERSION_BEFORE | VERSION_PLAIN => Some(version),
            _ => None,
        };
        let version = from.map("a state of version 1 to 3", Reader::u8, known)?;
        let is_plain = version == VERSION_PLAIN;
        let (last_time, term, index_end) = (from.millis()?, from.u32()?, from.u64()?);
        let erasures = match version {
            VERSION => Arc::new(Erasures::read(&mut from)?),
            _ => Arc::default(),
        };
        let registry = Arc::new(Registry::read(&mut from)?);
        let consent = Arc::new(Consent::read(&mut from)?);
        let streams = Streams::read(nodes(index_end), &mut from)?;
        let (scope, bodies) = (config.scope, &config.bodies);
        let beside = Beside { scope, consent: &consent, bodies, is_plain };
        let mut window = OpenWindow::read(beside, &mut from)?;
        let asked = read_map(NAME_BYTES_MIN + ASKED_BYTES, &mut from, read_asked)?;
        if !is_plain {
            window.read_unread(&mut from)?;
        }
        from.finish()?;
        let new = Ledger::indexed(config, streams.nodes().clone());
        let state = Ledger { registry, consent, streams, window, asked, ..new };
        Ok(Ledger { erasures, last_time, term, ..state })
    }

    /// How many segments are open: freezing copies up to 17 KiB of each, and none right behind a
    /// close.
    pub fn open_segments(&self) -> usize {
        self.window.open_segments()
    }

    /// Open segments whose last readings were erased, or whose key is not here. Their digest stays
    /// what it is; where a further frame comes to one it is of its hash so far and that frame.
    pub fn shut_segments(&self) -> usize {
        self.window.shut_segments()
    }

    /// Segments of the open window whose digests are others than those of their readings.
    pub fn unread(&self) -> Unread {
        self.window.unread()
    }

    /// The last window that is closed; 0 before the first.
    pub fn closed(&self) -> BatchNumber {
        BatchNumber(self.window.number().0 - 1)
    }

    /// Reads all of the index of stored frames, and says what of it is damaged.
    pub fn look_through_index(&self, mut look: Look<'_>) -> Vec<DamagedNode> {
        self.streams.look(&mut look);
        look.damaged()
    }

    /// Where the index of stored frames stands.
    pub fn frame_nodes(&self) -> &FrameNodes {
        self.streams.nodes()
    }
}

impl LedgerState {
    /// Where the index of stored frames ends that the state refers to. All of it before has to be
    /// durable before the state is.
    pub fn index_end(&self) -> u64 {
        self.index_end
    }

    /// Whether both are the same, but for digests and contents of these segments.
    pub fn is_same_but(&self, other: &LedgerState, unread: &Unread) -> bool {
        let bytes = |state: &LedgerState| state.bytes_with(&state.window.without(unread));
        bytes(self) == bytes(other)
    }

    /// Canonical bytes. Some tens of milliseconds for ten thousand patients.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes_with(&self.window)
    }

    fn bytes_with(&self, window: &OpenWindow) -> Vec<u8> {
        let mut out = vec![VERSION];
        write_time(self.last_time, &mut out);
        out.extend(self.term.to_be_bytes());
        out.extend(self.index_end.to_be_bytes());
        self.erasures.write(&mut out);
        self.registry.write(&mut out);
        self.consent.write(&mut out);
        self.streams.write(&mut out);
        window.write(&self.bodies, &mut out);
        write_count(self.asked.len(), &mut out);
        for ((practitioner, nonce), before) in &self.asked {
            write_name(practitioner.as_str(), &mut out);
            out.extend(nonce.to_be_bytes());
            write_time(before.valid_until, &mut out);
            out.extend(before.digest.0);
            out.extend(before.position.0.to_be_bytes());
            out.push(u8::from(before.permitted));
        }
        window.write_unread(&mut out);
        out
    }
}

fn read_asked(from: &mut Reader<'_>) -> Result<((PractitionerId, u64), AskedBefore), DecodeError> {
    let key = (read_name(PractitionerId::new, from)?, from.u64()?);
    let before = AskedBefore {
        valid_until: from.millis()?,
        digest: Digest(from.array()?),
        position: Position(from.u64()?),
        permitted: read_flag(from)?,
    };
    Ok((key, before))
}
