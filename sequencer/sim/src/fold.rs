//! The journal as the state that it makes, as a start of the node folds it.

use bodies::EntryPlace;
use journal::{Log, Medium, ReadError, Reader};
use model::{Millis, Position, with_causes};
use sequencer::stages::ledger::{
    BodySeal, BrokenEntry, EnrolmentSeal, Ledger, LedgerConfig, Placed, UnsealError,
};
use sequencer::window::{Cadence, WindowContents, WindowLimits};
use thiserror::Error;
use wire::Entry;

use crate::dice;
use crate::keys::{chain_scope, genesis_time, key_hash, registrar};

/// A window ends after this long, milliseconds: several in each run.
pub(crate) const WINDOW_MS: u64 = 4_000;

/// How far ahead of the node a clock may be, milliseconds.
pub(crate) const CLOCK_SKEW_MS_MAX: u64 = 60_000;

/// The id of every log of a run.
pub(crate) const LOG_ID: [u8; 16] = [5; 16];

/// A journal that makes no state.
#[derive(Debug, Error)]
pub enum FoldError {
    /// It is not served.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// An entry does not decode.
    #[error("the entry at position {position} does not decode: {detail}")]
    Decode {
        /// Where.
        position: u64,
        /// Why not.
        detail: String,
    },
    /// Readings do not open.
    #[error("the readings at position {position} do not open")]
    Unseal {
        /// Where.
        position: u64,
        /// Why not.
        source: UnsealError,
    },
    /// An entry does not follow from those before it.
    #[error(transparent)]
    Broken(#[from] BrokenEntry),
}

/// The state, and what closed on the way to it.
pub(crate) struct Folded {
    pub(crate) ledger: Ledger,
    pub(crate) windows: Vec<WindowContents>,
}

/// An entry at its place.
pub(crate) struct PlacedEntry {
    pub(crate) at: Placed,
    pub(crate) entry: Entry,
}

impl PlacedEntry {
    /// With readings in the clear.
    pub(crate) fn opened(self, bodies: &BodySeal) -> Result<PlacedEntry, FoldError> {
        let Entry::SealedFrame(sealed) = &self.entry else { return Ok(self) };
        let position = self.at.position.0;
        let frame = bodies.open(sealed, &self.at.place);
        let frame = frame.map_err(|source| FoldError::Unseal { position, source })?;
        Ok(PlacedEntry { entry: Entry::Frame(frame), ..self })
    }
}

/// What seals readings in the run of a seed. The keys follow from it, so that equal seeds give
/// equal journals; a run has them from its begin to its end, as a node has its key folder.
fn bodies_of(seed: u64) -> BodySeal {
    BodySeal::new(bodies::fault::keys_of_seed(dice::bytes(seed, "keys of bodies")), LOG_ID)
}

/// Folds all that a log holds.
pub(crate) fn fold<M: Medium>(log: &Log<M>, config: &LedgerConfig) -> Result<Folded, FoldError> {
    let journal = log.reader();
    let mut folded = Folded { ledger: Ledger::new(config.clone()), windows: Vec::new() };
    for placed in entries(&journal) {
        let PlacedEntry { at, entry } = placed?;
        if let Some(window) = folded.ledger.absorb_stored(&entry, at)? {
            folded.windows.push(window);
        }
    }
    Ok(folded)
}

/// Every entry, decoded.
pub(crate) fn entries<M: Medium>(
    journal: &Reader<M>,
) -> impl Iterator<Item = Result<PlacedEntry, FoldError>> {
    let mut entries = journal.iter_from(1);
    std::iter::from_fn(move || {
        let found = entries.next()?;
        let in_group = entries.in_group();
        let placed = found.map_err(FoldError::from).and_then(|(position, entry)| {
            let decode = |detail: String| FoldError::Decode { position, detail };
            let time = Millis::new(entry.time).map_err(|error| decode(with_causes(&error)))?;
            let index = in_group.index(position);
            let place = EntryPlace { salt: in_group.salt, index, time: entry.time };
            let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
            let entry = decoded.map_err(|error| decode(with_causes(&error)))?;
            Ok(PlacedEntry { at: Placed { position: Position(position), time, place }, entry })
        });
        Some(placed)
    })
}

/// How the node of a seed's run decides.
pub(crate) fn ledger_config(seed: u64) -> LedgerConfig {
    LedgerConfig {
        scope: chain_scope(),
        registrar_key_hash: key_hash(&registrar()),
        genesis_time: genesis_time(),
        limits: WindowLimits::default(),
        cadence: Cadence::fixed(WINDOW_MS),
        released_frames_max: 1_000,
        clock_skew_ms_max: CLOCK_SKEW_MS_MAX,
        seal: EnrolmentSeal::new(&[9; 32]),
        bodies: bodies_of(seed),
    }
}
