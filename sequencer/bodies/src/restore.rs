//! A key folder made whole again: what is whole of it, what a backup has besides, and nothing that
//! was destroyed.

use model::{Interval, Millis};

use crate::backup::{BackedKey, KeyBackup};
use crate::error::{KeyBackupError, KeyStoreError};
use crate::generation::{Kept, Keys, Places};
use crate::ledger::{BackupRow, Ledger};

/// What a restore found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Keys that the folder still had.
    pub kept: usize,
    /// Keys that came from the backup.
    pub brought_back: usize,
    /// Keys of the backup that were destroyed since, and stay so.
    pub destroyed: usize,
    /// Files of keys that were damaged and are given up.
    pub given_up: usize,
}

/// Makes the key folder whole, from a backup or with what it still has, which is for whoever
/// accepts that the rest is lost. A new epoch begins with the next body, so that no key stands for
/// one that was lost.
///
/// # Errors
/// [`KeyBackupError`]; a folder that was not changed is as before then, and one that was half
/// changed is finished by the same restore.
pub fn restore(
    places: &Places,
    backup: Option<KeyBackup>,
    now: Millis,
) -> Result<Restored, KeyBackupError> {
    let mut ledger = ledger(places, backup.as_ref())?;
    if backup.as_ref().is_some_and(|backup| backup.store != ledger.store) {
        return Err(KeyBackupError::Other);
    }
    let (mut keys, given_up) = what_is_whole(places, &ledger)?;
    let (kept, mut brought_back, mut destroyed) = (keys.len(), 0, 0);
    if let Some(KeyBackup { spans, keys: backed, made, expires, .. }) = backup {
        // The file exists until then, also where the ledger that knew it is lost.
        ledger.note_backup(BackupRow::new(made, expires));
        spans.into_iter().for_each(|(epoch, span)| {
            keys.spans.entry(epoch).or_insert(span);
        });
        for BackedKey { id, created, key } in backed {
            if ledger.is_destroyed(id) {
                destroyed += 1;
            } else if keys.insert(id, Kept { key, created }) {
                brought_back += 1;
            }
        }
    }
    end_epochs(&mut keys, now);
    let last = keys.spans.keys().last().copied().unwrap_or_default();
    ledger.epochs_begun = ledger.epochs_begun.max(last);
    places.keep_all(&mut ledger, &mut keys)?;
    Ok(Restored { kept, brought_back, destroyed, given_up })
}

fn ledger(places: &Places, backup: Option<&KeyBackup>) -> Result<Ledger, KeyBackupError> {
    match (places.ledgers()?, backup) {
        ([Some(ledger), Some(beside)], _) => ledger.merged(&beside).ok_or(KeyBackupError::Other),
        ([Some(ledger), None] | [None, Some(ledger)], _) => Ok(ledger),
        ([None, None], Some(backup)) => Ok(Ledger::new(backup.store)),
        ([None, None], None) => Err(KeyBackupError::NoLedger),
    }
}

/// The keys of every file that is whole, and how many files are not.
fn what_is_whole(places: &Places, ledger: &Ledger) -> Result<(Keys, usize), KeyStoreError> {
    let (mut keys, mut given_up) = (Keys::default(), 0);
    let epochs = places.epochs(ledger.generation)?;
    let wrapping = match places.wrapping(ledger) {
        Ok(wrapping) => wrapping,
        Err(error @ KeyStoreError::Medium { .. }) => return Err(error),
        Err(_) => return Ok((keys, places.files_of(ledger.generation)?)),
    };
    for epoch in epochs {
        match places.take_epoch(ledger, &wrapping, (epoch, &mut keys)) {
            Ok(()) => {}
            Err(error @ KeyStoreError::Medium { .. }) => return Err(error),
            Err(_) => given_up += 1,
        }
    }
    given_up += match places.take_tail(ledger, &wrapping, &mut keys)? {
        None | Some(KeyStoreError::Lost { .. }) => 0,
        Some(_) => 1,
    };
    Ok((keys, given_up))
}

/// Ends the epochs that run or are to come.
fn end_epochs(keys: &mut Keys, now: Millis) {
    let now = now.max(Millis::UNBOUNDED_PAST.plus(1));
    let running = keys.spans.iter_mut().filter(|(_, span)| span.until > now);
    for (_, span) in running {
        *span = Interval { from: span.from.min(now.before()), until: now };
    }
    // Of an epoch none of whose keys is left nothing is kept but its number.
    let counts = keys.counts();
    keys.spans.retain(|epoch, _| counts.get(epoch).is_some_and(|count| *count > 0));
}
