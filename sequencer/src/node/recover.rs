//! Brings a ledger to where the journal ends.

use journal::{FileMedium, Log, ReadError};
use model::{BatchNumber, Millis, Position, with_causes};
use thiserror::Error;
use wire::Entry;

use crate::stages::ledger::{BrokenEntry, Ledger, LedgerConfig};
use crate::window::ClosedWindow;

/// A journal that cannot be continued.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// It cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// An entry does not decode.
    #[error("the journal entry at position {position} does not decode: {detail}")]
    Decode {
        /// Where.
        position: u64,
        /// Why.
        detail: String,
    },
    /// An entry does not follow.
    #[error(transparent)]
    Broken(#[from] BrokenEntry),
}

/// What recovery found.
pub struct Recovered {
    /// The state after the last durable entry.
    pub ledger: Ledger,
    /// Windows that were closed after `assembled`.
    pub backlog: Vec<ClosedWindow>,
    /// Journal group that holds the close of window `assembled`; 0 if that is genesis.
    pub assembled_group: u64,
    /// Journal group that holds the last close; 0 if there is none.
    pub close_group: u64,
    /// Entries absorbed.
    pub entries: u64,
}

/// Absorbs the whole journal. Windows up to `assembled` are in the store already.
///
/// # Errors
/// [`RecoverError`] that names the first entry that is wrong.
pub fn recover(
    log: &Log<FileMedium>,
    config: LedgerConfig,
    assembled: BatchNumber,
) -> Result<Recovered, RecoverError> {
    let mut ledger = Ledger::new(config);
    let (mut backlog, mut assembled_group, mut close_group, mut entries) = (Vec::new(), 0, 0, 0);
    let reader = log.reader();
    // From the first entry, without a snapshot of the state: a stored state could differ from what
    // the journal says, and then one of two truths would be acknowledged.
    for found in log.iter_from(1) {
        let (position, entry) = found?;
        let decode = |detail: String| RecoverError::Decode { position, detail };
        let time = Millis::new(entry.time).map_err(|error| decode(error.to_string()))?;
        let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
        let decoded = decoded.map_err(|error| decode(with_causes(&error)))?;
        entries += 1;
        let Some(contents) = ledger.absorb(&decoded, Position(position), time)? else { continue };
        // Only a close needs its group: looking one up reads it from the disk.
        let group = reader.group_of(position)?;
        close_group = group;
        // Proven before the restart. Its contents are dropped at once, so that recovery holds the
        // windows that are left and not all that ever were.
        if contents.number <= assembled {
            assembled_group = group;
            continue;
        }
        let journal_hash = reader.group(group)?.journal_hash;
        backlog.push(ClosedWindow { contents: contents.into(), group, journal_hash });
    }
    Ok(Recovered { ledger, backlog, assembled_group, close_group, entries })
}
