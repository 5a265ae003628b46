//! Brings a ledger to where the journal ends.

use journal::{FileMedium, Log, ReadError};
use model::{BatchNumber, Millis, Position, with_causes};
use thiserror::Error;
use wire::Entry;

use crate::stages::ledger::{BrokenEntry, Ledger, LedgerConfig};
use crate::window::{ClosedWindow, WindowContents};

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
    /// A window that should be closed is not in the journal.
    #[error("expected the close of window {number} in the journal, found none")]
    NoWindow {
        /// Which.
        number: u64,
    },
    /// An entry does not follow.
    #[error(transparent)]
    Broken(#[from] BrokenEntry),
}

/// What recovery found.
pub struct Recovered {
    /// The state after the last durable entry.
    pub ledger: Ledger,
    /// Windows that were closed after `assembled`: the first ones, as many as were asked for.
    pub backlog: Vec<ClosedWindow>,
    /// The last window that is closed; 0 before the first.
    pub closed: BatchNumber,
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
    recover_at_most(log, config, assembled, usize::MAX)
}

/// As [`recover`], with at most so many windows of the backlog: all of a long one would not fit
/// into memory.
///
/// # Errors
/// [`RecoverError`] that names the first entry that is wrong.
pub fn recover_at_most(
    log: &Log<FileMedium>,
    config: LedgerConfig,
    assembled: BatchNumber,
    windows_max: usize,
) -> Result<Recovered, RecoverError> {
    let mut ledger = Ledger::new(config);
    let (mut backlog, mut closed) = (Vec::new(), BatchNumber(0));
    let (mut assembled_group, mut close_group, mut entries) = (0, 0, 0);
    let reader = log.reader();
    // From the first entry, without a snapshot of the state: a stored state could differ from what
    // the journal says, and then one of two truths would be acknowledged.
    for found in log.iter_from(1) {
        let (position, entry) = found?;
        entries += 1;
        let Some(contents) = absorb_next(&mut ledger, Position(position), &entry)? else {
            continue;
        };
        closed = contents.number;
        // Only a close needs its group: looking one up reads it from the disk.
        let group = reader.group_of(position)?;
        close_group = group;
        // Proven before the restart. Its contents are dropped at once, so that recovery holds the
        // windows that are left and not all that ever were.
        if contents.number <= assembled {
            assembled_group = group;
            continue;
        }
        // The batcher reads these back when it comes to them.
        if backlog.len() == windows_max {
            continue;
        }
        let journal_hash = reader.group(group)?.journal_hash;
        backlog.push(ClosedWindow { contents: contents.into(), group, journal_hash });
    }
    Ok(Recovered { ledger, backlog, closed, assembled_group, close_group, entries })
}

/// Takes in the next entry of the journal; a close hands out what its window held.
pub(super) fn absorb_next(
    ledger: &mut Ledger,
    position: Position,
    entry: &journal::Entry,
) -> Result<Option<WindowContents>, RecoverError> {
    let decode = |detail: String| RecoverError::Decode { position: position.0, detail };
    let time = Millis::new(entry.time).map_err(|error| decode(error.to_string()))?;
    let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
    let decoded = decoded.map_err(|error| decode(with_causes(&error)))?;
    Ok(ledger.absorb(&decoded, position, time)?)
}
