//! Brings a ledger to where the journal ends.

use journal::{FileMedium, Log, ReadError, Reader};
use model::{BatchNumber, Millis, Position};
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
    /// An entry does not follow.
    #[error(transparent)]
    Broken(#[from] BrokenEntry),
}

/// What recovery found.
pub struct Recovered {
    /// The state after the last durable entry.
    pub ledger: Ledger,
    /// The first windows that were closed after `assembled`.
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
    let (mut backlog, mut assembled_group, mut close_group) = (Vec::new(), 0, 0);
    let reader = log.reader();
    let (ledger, entries) = fold(&reader, config, |contents, group| {
        close_group = group;
        // Proven before the restart. Its contents are dropped at once, so that recovery holds the
        // windows that are left and not all that ever were; nor of these more than a few: the rest
        // is read again in its turn.
        if contents.number <= assembled {
            assembled_group = group;
        } else if backlog.len() < WINDOWS_MAX {
            backlog.push(closed(&reader, contents, group)?);
        }
        Ok(Go::On)
    })?;
    Ok(Recovered { ledger, backlog, assembled_group, close_group, entries })
}

/// The first windows closed after batch `after`, at most [`WINDOWS_MAX`], folded from the journal
/// anew: none of them is kept anywhere else.
///
/// # Errors
/// [`RecoverError`] that names the first entry that is wrong.
pub fn read_windows(
    reader: &Reader<FileMedium>,
    config: LedgerConfig,
    after: BatchNumber,
) -> Result<Vec<ClosedWindow>, RecoverError> {
    let mut windows = Vec::new();
    fold(reader, config, |contents, group| {
        if contents.number > after {
            windows.push(closed(reader, contents, group)?);
        }
        Ok(if windows.len() < WINDOWS_MAX { Go::On } else { Go::NoFurther })
    })?;
    Ok(windows)
}

/// Windows that one reading of the journal holds: each costs up to some megabytes.
const WINDOWS_MAX: usize = 16;

/// Whether a fold goes on.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    NoFurther,
}

fn closed(
    reader: &Reader<FileMedium>,
    contents: WindowContents,
    group: u64,
) -> Result<ClosedWindow, RecoverError> {
    let journal_hash = reader.group(group)?.journal_hash;
    Ok(ClosedWindow { contents: contents.into(), group, journal_hash })
}

/// Folds the journal into a ledger, shows each window with the group of its close, and returns the
/// ledger and the number of entries.
fn fold(
    reader: &Reader<FileMedium>,
    config: LedgerConfig,
    mut closed: impl FnMut(WindowContents, u64) -> Result<Go, RecoverError>,
) -> Result<(Ledger, u64), RecoverError> {
    let (mut ledger, mut entries) = (Ledger::new(config), 0);
    // From the first entry, without a snapshot of the state: a stored state could differ from what
    // the journal says, and then one of two truths would be acknowledged.
    for found in reader.iter_from(1) {
        let (position, entry) = found?;
        let decode = |detail: String| RecoverError::Decode { position, detail };
        let time = Millis::new(entry.time).map_err(|error| decode(error.to_string()))?;
        let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
        let decoded = decoded.map_err(|error| decode(error.to_string()))?;
        entries += 1;
        let Some(contents) = ledger.absorb(&decoded, Position(position), time)? else { continue };
        // Only a close needs its group: looking one up reads it from the disk.
        if closed(contents, reader.group_of(position)?)? == Go::NoFurther {
            break;
        }
    }
    Ok((ledger, entries))
}
