//! The key folder, open.
//!
//! Three locks, taken in this order: *changing* by whoever goes through all keys, for as long as
//! that takes; *files* by whoever writes to the files that hold, a bounded number of bytes and
//! syncs; *held* for what is in memory, while nothing is written. The journal's writer takes the
//! last two, and whoever opens a body the last alone: no change of all keys makes either wait.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use model::{Millis, PatientIndex};

use crate::error::{BodyError, KeyFault, KeyStoreError};
use crate::generation::{Kept, Keys, Places, wrapping_name};
use crate::key::{BodyEpoch, BodyKey, KeyId};
use crate::key_file;
use crate::ledger::{BackupRow, LEDGER_NAME, Ledger};
use crate::seal::{EntryPlace, GroupKey};
use crate::tail::TailRecord;
use crate::wrapping::WrappingKey;

/// Keys that a folder holds at most. Memory: some 100 bytes each, 400 MiB in all; 100,000 patients
/// with a key a month reach it in three years. Reached: no new patient's readings are taken.
pub const KEYS_MAX: usize = 1 << 22;

/// Records of a tail from which on the files of epochs are written anew: 7 MB.
pub(crate) const TAIL_LONG: u32 = 1 << 16;

/// Keys that are looked at in one hold of the memory's lock: some 10 microseconds.
const WALKED_AT_ONCE: usize = 256;

/// The keys of bodies: given out, made durable, destroyed. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct BodyKeys(Arc<Shared>);

struct Shared {
    places: Places,
    epoch_ms: u64,
    held: RwLock<Held>,
    /// None of a folder that is only looked at.
    files: Option<Mutex<Files>>,
    changing: Mutex<()>,
    /// Why the last key that was needed could not be made; apart, so that nobody who asks waits for
    /// a disk.
    trouble: Mutex<Option<String>>,
    /// How often keys were destroyed since the folder was opened.
    destroys: AtomicU64,
}

/// What only a change of files needs.
pub(crate) struct Files {
    pub(crate) wrapping: WrappingKey,
    /// The ledger could perhaps be replaced in one place alone: what it says is unknown until it is
    /// in both, and what would be written before would perhaps be lost.
    pub(crate) failed: bool,
    /// Drawn and not durable, in the order in which they are written. They stay after a failure, so
    /// that the next try writes the same bytes to the same place: whether the ledger counts them is
    /// unknown then, and a write that is cut must not damage what counts.
    pub(crate) pending: Vec<Drawn>,
    /// Keys that became durable since somebody began to copy all of them.
    pub(crate) meanwhile: Option<Vec<KeyId>>,
    /// When the last try failed, if none succeeded since.
    pub(crate) failed_at: Option<Millis>,
}

/// A key that is not durable yet, and its record.
pub(crate) struct Drawn {
    pub(crate) kept: Kept,
    pub(crate) record: TailRecord,
}

/// What is in memory. Every key of it is durable.
pub(crate) struct Held {
    pub(crate) ledger: Ledger,
    pub(crate) keys: Keys,
    /// Whose keys were destroyed and may still stand in files, of the generation that held then.
    /// Here, and not with the files: whoever asks what is left waits for no disk.
    pub(crate) unfinished: BTreeSet<PatientIndex>,
}

/// How the key folder stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyStatus {
    /// Patients who have a key.
    pub patients: usize,
    /// Epochs of which there are keys.
    pub epochs: usize,
    /// Keys in all.
    pub keys: usize,
    /// Keys that were made since the last backup of keys, or ever; also such as were made while it
    /// was, which may be in it.
    pub in_no_backup: usize,
    /// Patients whose keys were destroyed.
    pub destroyed: usize,
    /// The last backup of keys that is kept.
    pub last_backup: Option<BackupRow>,
    /// When the last copy expires, if there is one that has not.
    pub copies_until: Option<Millis>,
}

/// Says how many there are.
impl fmt::Debug for BodyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyKeys({})", self.held().keys.len())
    }
}

/// What was read of a folder.
struct Opened {
    ledger: Ledger,
    keys: Keys,
    wrapping: WrappingKey,
}

/// What a sealed body is bound to, beside its key.
#[derive(Clone, Copy, Debug)]
pub struct SealedAt<'a> {
    /// Id of the log that it stands in.
    pub log_id: &'a [u8; 16],
    /// Where.
    pub at: &'a EntryPlace,
    /// What stands before it in the clear.
    pub clear: &'a [u8],
}

impl BodyKeys {
    /// Opens the folder, or makes it where nothing was ever sealed under a key of it. `epoch_ms` is
    /// how long a new epoch lasts.
    ///
    /// # Errors
    /// [`KeyStoreError::Lost`] where keys that were used are not there: none is drawn in their
    /// place. Also for a damaged file, which is never passed over.
    pub fn open(places: Places, epoch_ms: u64) -> Result<BodyKeys, KeyStoreError> {
        let Some(Opened { mut ledger, mut keys, mut wrapping }) = Opened::read(&places)? else {
            return BodyKeys::create(places, epoch_ms);
        };
        // First: it makes room for what follows.
        places.erase_others(ledger.generation)?;
        places.keep_ledger(&ledger)?;
        if keys.behind(None).any(|(id, _)| ledger.is_destroyed(id)) {
            // Destroying them was cut short, or an older copy of the folder was put back.
            wrapping = places.keep_all(&mut ledger, &mut keys)?;
        }
        places.erase_others(ledger.generation)?;
        Ok(BodyKeys::of(places, epoch_ms, Opened { ledger, keys, wrapping }))
    }

    /// Reads the folder for whoever opens bodies and seals none. Nothing is written: whatever an
    /// open would finish stays as it is, and every destroyed key is as good as gone all the same.
    ///
    /// # Errors
    /// As [`BodyKeys::open`]; also where no key was ever made.
    pub fn look(places: Places) -> Result<BodyKeys, KeyStoreError> {
        let opened = Opened::read(&places)?;
        let lost = || KeyStoreError::Lost { name: LEDGER_NAME.to_owned() };
        let Opened { ledger, mut keys, .. } = opened.ok_or_else(lost)?;
        keys.retain(|id| !ledger.is_destroyed(id));
        let held = RwLock::new(Held { ledger, keys, unfinished: BTreeSet::new() });
        Ok(BodyKeys(Arc::new(Shared {
            places,
            epoch_ms: 1,
            held,
            files: None,
            changing: Mutex::new(()),
            trouble: Mutex::new(None),
            destroys: AtomicU64::new(0),
        })))
    }

    fn create(places: Places, epoch_ms: u64) -> Result<BodyKeys, KeyStoreError> {
        // Files of keys without a ledger: a copy that is not whole. A new wrapping key over them
        // would look like theirs and open none.
        if places.holds_keys()? {
            return Err(KeyStoreError::Lost { name: LEDGER_NAME.to_owned() });
        }
        let mut store = [0; 16];
        places.keys.draw(&mut store).map_err(|_| KeyStoreError::Entropy)?;
        let ledger = Ledger::new(store);
        let wrapping = WrappingKey::draw(&*places.keys, store);
        let wrapping = wrapping.map_err(|_| KeyStoreError::Entropy)?;
        // The ledger last: from then on something may depend on the wrapping key.
        places.keep_wrapping(ledger.generation, &wrapping)?;
        places.keep_ledger(&ledger)?;
        let opened = Opened { ledger, keys: Keys::default(), wrapping };
        Ok(BodyKeys::of(places, epoch_ms, opened))
    }

    fn of(places: Places, epoch_ms: u64, opened: Opened) -> BodyKeys {
        let Opened { ledger, keys, wrapping } = opened;
        let files = Files {
            wrapping,
            failed: false,
            pending: Vec::new(),
            meanwhile: None,
            failed_at: None,
        };
        BodyKeys(Arc::new(Shared {
            places,
            epoch_ms: epoch_ms.max(1),
            held: RwLock::new(Held { ledger, keys, unfinished: BTreeSet::new() }),
            files: Some(Mutex::new(files)),
            changing: Mutex::new(()),
            trouble: Mutex::new(None),
            destroys: AtomicU64::new(0),
        }))
    }

    pub(crate) fn places(&self) -> &Places {
        &self.0.places
    }

    pub(crate) fn epoch_ms(&self) -> u64 {
        self.0.epoch_ms
    }

    /// Nothing that runs under it panics half-way.
    pub(crate) fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hold(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn files(&self) -> Result<MutexGuard<'_, Files>, KeyStoreError> {
        let files = self.0.files.as_ref().ok_or(KeyStoreError::LookedAt)?;
        Ok(files.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nothing is ever written here.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.0.files.is_none()
    }

    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`BodyKeys::changing`], unless somebody is.
    pub(crate) fn try_changing(&self) -> Option<MutexGuard<'_, ()>> {
        self.0.changing.try_lock().ok()
    }

    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Why the last key that was needed could not be made; nothing once one could.
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that is another one once keys were destroyed: whoever holds a [`GroupKey`] for more
    /// than one body lets it go then. What it sealed from then on nobody could open.
    pub fn destroys(&self) -> u64 {
        self.0.destroys.load(Ordering::SeqCst)
    }

    /// Keys are dropped by whoever has the memory's lock.
    pub(crate) fn count_destroy(&self) {
        self.0.destroys.fetch_add(1, Ordering::SeqCst);
    }

    /// Shows every key, a few at a time: whoever opens a body or makes a key comes in between. One
    /// that is made meanwhile may be shown or not.
    pub(crate) fn walk(&self, mut see: impl FnMut(KeyId, &Kept)) {
        let mut last = None;
        loop {
            let held = self.held();
            let mut some = held.keys.behind(last).take(WALKED_AT_ONCE).peekable();
            if some.peek().is_none() {
                return;
            }
            some.for_each(|(id, kept)| {
                see(id, kept);
                last = Some(id);
            });
        }
    }

    /// The key that seals a patient's bodies in a group of the journal, which is begun at `now`.
    /// One that is new is durable on return.
    ///
    /// # Errors
    /// [`KeyStoreError`] where a new one is needed and cannot be had: whoever has one goes on.
    pub fn group_key(
        &self,
        patient: PatientIndex,
        now: Millis,
        in_log: (&[u8; 16], &[u8; 32]),
    ) -> Result<GroupKey, KeyStoreError> {
        let there = || {
            let held = self.held();
            let current = held.current(patient, now);
            current.map(|(id, kept)| GroupKey::derive(id.epoch, &kept.key, in_log))
        };
        if let Some(key) = there() {
            return Ok(key);
        }
        let made = self.make(&[patient], now);
        // Destroyed at this very moment it is made with the next frame.
        there().ok_or_else(|| made.err().unwrap_or(KeyStoreError::Waits))
    }

    /// The newest epoch in which the patient has a key.
    pub fn newest(&self, patient: PatientIndex) -> Option<BodyEpoch> {
        let held = self.held();
        let mut epochs = held.keys.spans.keys().rev().copied();
        epochs.find(|epoch| held.keys.get(KeyId { epoch: *epoch, patient }).is_some())
    }

    /// Whether keys of the patient were ever destroyed.
    pub fn was_destroyed(&self, patient: PatientIndex) -> bool {
        self.held().ledger.is_destroyed(KeyId { epoch: BodyEpoch(0), patient })
    }

    /// Whether the patient has a key to seal with at `now`.
    pub fn has_key(&self, patient: PatientIndex, now: Millis) -> bool {
        self.held().current(patient, now).is_some()
    }

    /// Opens a sealed body where it stands, its tag at its end, which is cut off.
    ///
    /// # Errors
    /// [`BodyError`]; `sealed` is no body then.
    pub fn open_body(
        &self,
        id: KeyId,
        of: &SealedAt<'_>,
        sealed: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        let (SealedAt { log_id, at, clear }, epoch) = (*of, id.epoch.0);
        let key = self.key(id)?;
        let opened = GroupKey::derive(id.epoch, &key, (log_id, &at.salt)).open(at, clear, sealed);
        if opened { Ok(()) } else { Err(BodyError::Broken { epoch }) }
    }

    /// The key of this name, or why there is none.
    pub(crate) fn key(&self, id: KeyId) -> Result<BodyKey, BodyError> {
        let (held, epoch) = (self.held(), id.epoch.0);
        match held.keys.get(id) {
            Some(kept) => Ok(kept.key.clone()),
            None if held.ledger.is_destroyed(id) => Err(BodyError::KeyDestroyed { epoch }),
            None => Err(BodyError::KeyAbsent { epoch }),
        }
    }

    /// How the folder stands.
    pub fn status(&self, now: Millis) -> KeyStatus {
        let ledger = self.held().ledger.clone();
        let last_backup = ledger.last_kept();
        let made = last_backup.map(|row| row.made());
        let (mut patients, mut epochs) = (BTreeSet::new(), BTreeSet::new());
        let (mut keys, mut in_no_backup) = (0, 0);
        self.walk(|id, kept| {
            patients.insert(id.patient);
            epochs.insert(id.epoch);
            keys += 1;
            in_no_backup += usize::from(Some(kept.created) > made);
        });
        KeyStatus {
            patients: patients.len(),
            epochs: epochs.len(),
            keys,
            in_no_backup,
            destroyed: ledger.destroyed(),
            last_backup,
            copies_until: ledger.copies_until(now),
        }
    }

    /// Where the wrapping key stands that holds now.
    pub fn wrapping_file(&self) -> String {
        wrapping_name(self.held().ledger.generation)
    }

    /// The highest epoch that ever had a key.
    pub fn epochs_begun(&self) -> BodyEpoch {
        self.held().ledger.epochs_begun
    }
}

impl Opened {
    /// What a folder holds; `None` of one that never held a key.
    fn read(places: &Places) -> Result<Option<Opened>, KeyStoreError> {
        let mut ledger = match places.ledgers()? {
            [None, None] => return Ok(None),
            [None, Some(_)] => return Err(KeyStoreError::Lost { name: LEDGER_NAME.to_owned() }),
            [Some(ledger), None] => ledger,
            [Some(ledger), Some(beside)] => ledger.merged(&beside).ok_or_else(|| {
                let name = LEDGER_NAME.to_owned();
                KeyStoreError::File { name, fault: KeyFault::Other }
            })?,
        };
        let wrapping = places.wrapping(&ledger)?;
        let keys = places.take_all(&ledger, &wrapping)?;
        check_counts(&ledger, &keys)?;
        let last = keys.spans.keys().last().copied().unwrap_or_default();
        ledger.epochs_begun = ledger.epochs_begun.max(last);
        ledger.count(&keys.counts());
        Ok(Some(Opened { ledger, keys, wrapping }))
    }
}

/// No file of keys is missing, and none is an older one with fewer: another key would be drawn
/// under the name of one that was lost.
fn check_counts(ledger: &Ledger, keys: &Keys) -> Result<(), KeyStoreError> {
    let there = |epoch: BodyEpoch| {
        let counts = |id: &KeyId| ledger.counts_all() || !ledger.is_destroyed(*id);
        keys.of(epoch).filter(|(id, _)| counts(id)).count() as u32
    };
    let fewer = ledger.counts().find(|(epoch, count)| there(*epoch) < *count);
    match fewer {
        None => Ok(()),
        Some((epoch, _)) => {
            Err(KeyStoreError::Lost { name: key_file::name(ledger.generation, epoch) })
        }
    }
}

impl Held {
    /// The patient's own newest key that is to be used at a time. Not that of the epoch that runs:
    /// one that began early, because somebody was erased, is no reason for a new key of all others.
    pub(crate) fn current(&self, patient: PatientIndex, now: Millis) -> Option<(KeyId, &Kept)> {
        let spans = self.keys.spans.iter().rev();
        let of_now = spans.filter(|(_, span)| span.from <= now && now < span.until);
        let mut ids = of_now.map(|(epoch, _)| KeyId { epoch: *epoch, patient });
        ids.find_map(|id| self.keys.get(id).map(|kept| (id, kept)))
    }
}
