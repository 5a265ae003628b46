//! A backup of keys: all of them, sealed to a recovery key, with an end that is stated in it.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic `VTLBKUP` and version 1 |
//! | 16 | id of the key folder |
//! | 8, 8 | when it was made and when it expires, milliseconds since 1900 |
//! | 32 | encapsulated secret |
//! | rest | sealed, with the fields before the secret bound to it |
//!
//! Sealed are: count of epochs u32; of each its number u32, begin u64, end u64, count of keys u32,
//! and of each key patient u32, created u64 and 32 bytes. Integers are big-endian.

use std::fmt;
use std::ops::Deref;

use model::{DecodeError, Interval, Millis, PatientIndex, Reader, calendar};
use zeroize::Zeroizing;

use crate::error::{KeyBackupError, KeyStoreError};
use crate::generation::Keys;
use crate::key::{BodyEpoch, BodyKey, KEY_BYTES, KeyId};
use crate::keys::BodyKeys;
use crate::ledger::{BACKUPS_MAX, BackupRow};
use crate::recovery::{RecoveryKey, RecoverySecret};

const MAGIC: &[u8; 8] = b"VTLBKUP\x01";
const CLEAR_BYTES: usize = 8 + 16 + 8 + 8;
const KEY_ROW_BYTES: usize = 4 + 8 + KEY_BYTES;
const EPOCH_BYTES: usize = 4 + 8 + 8 + 4;

/// A key of a backup.
pub(crate) struct BackedKey {
    pub(crate) id: KeyId,
    pub(crate) created: Millis,
    pub(crate) key: BodyKey,
}

/// A backup that was opened.
pub struct KeyBackup {
    pub(crate) store: [u8; 16],
    /// When it was made.
    pub made: Millis,
    /// When it expires.
    pub expires: Millis,
    pub(crate) spans: Vec<(BodyEpoch, Interval)>,
    pub(crate) keys: Vec<BackedKey>,
}

/// Says how many keys it has.
impl fmt::Debug for KeyBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyBackup({} keys)", self.keys.len())
    }
}

/// A backup that was made and stands nowhere yet.
pub struct SealedBackup {
    bytes: Vec<u8>,
    row: BackupRow,
}

impl Deref for SealedBackup {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Says how long it is.
impl fmt::Debug for SealedBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedBackup({} bytes)", self.bytes.len())
    }
}

impl BodyKeys {
    /// All keys, sealed to a recovery key. Until `expires` a copy of them may exist, and the ledger
    /// says so before the bytes are handed out. That they are backed up it says once whoever writes
    /// the bytes somewhere calls [`BodyKeys::note_kept`].
    ///
    /// # Errors
    /// [`KeyBackupError`].
    pub fn backup(
        &self,
        to: &RecoveryKey,
        made: Millis,
        expires: Millis,
    ) -> Result<SealedBackup, KeyBackupError> {
        if expires <= made {
            return Err(KeyBackupError::Past);
        }
        let changing = self.changing();
        let (store, row) = self.say_backup(made, expires)?;
        let mut keys = self.copy(&changing)?;
        self.take_meanwhile(&mut keys)?;
        let mut clear = MAGIC.to_vec();
        clear.extend(store);
        clear.extend(row.made().get().to_be_bytes());
        clear.extend(expires.get().to_be_bytes());
        let sealed = to.seal(&clear, &plain(&keys)).ok_or(KeyBackupError::Key)?;
        Ok(SealedBackup { bytes: [clear, sealed].concat(), row })
    }

    /// The backup is durable where it was written: what is in it counts as backed up from now on.
    ///
    /// # Errors
    /// [`KeyStoreError`]; then it does not, and the backup is good all the same.
    pub fn note_kept(&self, backup: &SealedBackup) -> Result<(), KeyStoreError> {
        let mut files = self.files()?;
        self.be_sure(&mut files)?;
        let mut ledger = self.held().ledger.clone();
        ledger.note_backup(BackupRow { kept: true, ..backup.row });
        self.replace_ledger(&mut files, &ledger)
    }

    /// The ledger says that a copy exists until then. Every key that was drawn is durable by then,
    /// and so in it, and every other one is made later than it.
    fn say_backup(
        &self,
        made: Millis,
        expires: Millis,
    ) -> Result<([u8; 16], BackupRow), KeyBackupError> {
        let mut files = self.files()?;
        self.keep_drawn(&mut files)?;
        let mut ledger = self.held().ledger.clone();
        // Those that have expired say nothing any more.
        ledger.backups.retain(|row| row.expires() > made);
        if ledger.backups.len() >= BACKUPS_MAX {
            return Err(KeyBackupError::Many { most: BACKUPS_MAX });
        }
        // Each later than the one before, also where a clock was set back: so are the keys between.
        let made = ledger.last_begun().map_or(made, |last| made.max(last.plus(1)));
        let row = BackupRow { kept: false, ..BackupRow::new(made, expires) };
        ledger.note_backup(row);
        self.replace_ledger(&mut files, &ledger)?;
        Ok((ledger.store, row))
    }
}

fn plain(keys: &Keys) -> Zeroizing<Vec<u8>> {
    let spans = &keys.spans;
    let bytes = 4 + spans.len() * EPOCH_BYTES + keys.len() * KEY_ROW_BYTES;
    // At its whole length from the start: what a growing one leaves behind is not zeroised.
    let mut out = Zeroizing::new(Vec::with_capacity(bytes));
    out.extend((spans.len() as u32).to_be_bytes());
    for (epoch, span) in spans {
        out.extend(epoch.0.to_be_bytes());
        out.extend(span.from.get().to_be_bytes());
        out.extend(span.until.get().to_be_bytes());
        out.extend((keys.of(*epoch).count() as u32).to_be_bytes());
        for (id, kept) in keys.of(*epoch) {
            out.extend(id.patient.get().to_be_bytes());
            out.extend(kept.created.get().to_be_bytes());
            out.extend(kept.key.0.as_slice());
        }
    }
    out
}

impl KeyBackup {
    /// Opens a backup that has not expired at `now`.
    ///
    /// # Errors
    /// [`KeyBackupError::Broken`] or [`KeyBackupError::Expired`].
    pub fn open(
        bytes: &[u8],
        secret: &RecoverySecret,
        now: Millis,
    ) -> Result<KeyBackup, KeyBackupError> {
        let broken = |_: DecodeError| KeyBackupError::Broken;
        let parts = bytes.split_at_checked(CLEAR_BYTES).ok_or(KeyBackupError::Broken)?;
        let (clear, sealed) = parts;
        let mut from = Reader::new(clear);
        let magic = |bytes: [u8; 8]| (bytes == *MAGIC).then_some(());
        from.map("a backup of keys of version 1", Reader::array, magic).map_err(broken)?;
        let store = from.array().map_err(broken)?;
        let (made, expires) = (from.millis().map_err(broken)?, from.millis().map_err(broken)?);
        let plain = secret.open(clear, sealed).ok_or(KeyBackupError::Broken)?;
        // After the seal: before it anybody could have written the end.
        if expires <= now {
            return Err(KeyBackupError::Expired { expired: calendar::Utc(expires) });
        }
        let (spans, keys) = read(&mut Reader::new(&plain)).map_err(broken)?;
        Ok(KeyBackup { store, made, expires, spans, keys })
    }

    /// How many keys it has.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }
}

type Content = (Vec<(BodyEpoch, Interval)>, Vec<BackedKey>);

fn read(from: &mut Reader<'_>) -> Result<Content, DecodeError> {
    let (mut spans, mut keys) = (Vec::new(), Vec::new());
    for _ in 0..from.count(EPOCH_BYTES)? {
        let epoch = from.map("an epoch that may be", Reader::u32, BodyEpoch::read)?;
        let times = |from: &mut Reader<'_>| Ok((from.millis()?, from.millis()?));
        let interval = |(begin, end): (Millis, Millis)| Interval::new(begin, end).ok();
        spans.push((epoch, from.map("an epoch that ends after it begins", times, interval)?));
        for _ in 0..from.count(KEY_ROW_BYTES)? {
            let known = |index: u32| PatientIndex::new(index).ok();
            let patient = from.map("a patient index below 2^24", Reader::u32, known)?;
            let created = from.millis()?;
            let wide = |from: &mut Reader<'_>| from.take(KEY_BYTES).map(BodyKey::of_slice);
            let key = from.map("a key of 32 bytes", wide, |key| key)?;
            keys.push(BackedKey { id: KeyId { patient, epoch }, created, key });
        }
    }
    from.finish()?;
    Ok((spans, keys))
}
