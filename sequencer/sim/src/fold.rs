//! The journal as the state that it makes, as a start of the node folds it.

use journal::{Log, Medium, ReadError, Reader};
use model::{Millis, Position, with_causes};
use sequencer::stages::ledger::{BrokenEntry, EnrolmentSeal, Ledger, LedgerConfig};
use sequencer::window::{Cadence, WindowContents, WindowLimits};
use thiserror::Error;
use wire::Entry;

use crate::cast::{chain_scope, key_hash, registrar};
use crate::clock::BEGIN_UNIX_MS;

/// A window ends after this long, milliseconds: several in each run.
pub(crate) const WINDOW_MS: u64 = 4_000;

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
    /// An entry does not follow from those before it.
    #[error(transparent)]
    Broken(#[from] BrokenEntry),
}

/// The state, and what closed on the way to it.
pub(crate) struct Folded {
    pub(crate) ledger: Ledger,
    /// The group that holds the last close, 0 without one.
    pub(crate) close_group: u64,
    pub(crate) windows: Vec<WindowContents>,
}

/// An entry at its place.
pub(crate) struct Placed {
    pub(crate) position: Position,
    pub(crate) time: Millis,
    pub(crate) entry: Entry,
}

/// Folds all that a log holds.
pub(crate) fn fold<M: Medium>(log: &Log<M>) -> Result<Folded, FoldError> {
    let journal = log.reader();
    let mut folded =
        Folded { ledger: Ledger::new(ledger_config()), close_group: 0, windows: Vec::new() };
    for placed in entries(&journal) {
        let Placed { position, time, entry } = placed?;
        if let Some(window) = folded.ledger.absorb(&entry, position, time)? {
            folded.close_group = journal.group_of(position.0)?;
            folded.windows.push(window);
        }
    }
    Ok(folded)
}

/// Every entry, decoded.
pub(crate) fn entries<M: Medium>(
    journal: &Reader<M>,
) -> impl Iterator<Item = Result<Placed, FoldError>> {
    journal.iter_from(1).map(|found| {
        let (position, entry) = found?;
        let decode = |detail: String| FoldError::Decode { position, detail };
        let time = Millis::new(entry.time).map_err(|error| decode(with_causes(&error)))?;
        let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
        let entry = decoded.map_err(|error| decode(with_causes(&error)))?;
        Ok(Placed { position: Position(position), time, entry })
    })
}

/// How the node of every run decides.
pub(crate) fn ledger_config() -> LedgerConfig {
    LedgerConfig {
        scope: chain_scope(),
        registrar_key_hash: key_hash(&registrar()),
        genesis_time: Millis::from_unix_ms(BEGIN_UNIX_MS - 1_000),
        limits: WindowLimits::default(),
        cadence: Cadence::fixed(WINDOW_MS),
        released_frames_max: 1_000,
        clock_skew_ms_max: 60_000,
        seal: EnrolmentSeal::new(&[9; 32]),
    }
}
