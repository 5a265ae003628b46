//! The key folder, open.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::{fmt, mem};

use model::{Interval, Millis, PatientIndex};

use crate::error::{BodyError, KeyFault, KeyStoreError};
use crate::generation::{Kept, Keys, Places, wrapping_name};
use crate::key::{BodyEpoch, BodyKey, KeyId};
use crate::key_file;
use crate::ledger::{BackupRow, LEDGER_NAME, Ledger};
use crate::medium::KeyMedium;
use crate::seal::{EntryPlace, GroupKey};
use crate::wrapping::{Named, WrappingKey};

/// Keys that a folder holds at most. Memory: some 200 bytes each, 800 MiB in all; 100,000 patients
/// with a key a month reach it in three years. Reached: no new patient's readings are taken.
pub const KEYS_MAX: usize = 1 << 22;

/// Keys of the next epoch are made in the last part of one, this fraction of it.
const AHEAD: u64 = 10;

/// The keys of bodies: given out, made durable, destroyed. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct BodyKeys(Arc<Shared>);

struct Shared {
    places: Places,
    epoch_ms: u64,
    held: RwLock<Held>,
    /// Taken by whoever changes files, for as long as that takes. The other lock is then free.
    changing: Mutex<Changing>,
}

/// What only a change of files needs.
pub(crate) struct Changing {
    pub(crate) wrapping: WrappingKey,
    /// A change of the generation failed half-way: which one holds is unknown until the next open,
    /// and what would be written to the other would be lost.
    pub(crate) failed: bool,
}

impl Changing {
    pub(crate) fn check(&self) -> Result<(), KeyStoreError> {
        if self.failed { Err(KeyStoreError::Failed) } else { Ok(()) }
    }
}

/// What is in memory.
pub(crate) struct Held {
    pub(crate) ledger: Ledger,
    pub(crate) keys: Keys,
    /// Given out and not durable yet.
    pending: BTreeSet<KeyId>,
}

/// What a key is drawn from, and what wraps it.
#[derive(Clone, Copy)]
struct DrawnFrom<'a> {
    medium: &'a dyn KeyMedium,
    wrapping: &'a WrappingKey,
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
    /// Keys that were made since the last backup of keys, or ever.
    pub in_no_backup: usize,
    /// Patients whose keys were destroyed.
    pub destroyed: usize,
    /// The last backup of keys.
    pub last_backup: Option<BackupRow>,
    /// When the last copy expires, if there is one that has not.
    pub copies_until: Option<Millis>,
}

/// Says how many there are.
impl fmt::Debug for BodyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyKeys({})", self.held().keys.kept.len())
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
        let mut ledger = match places.ledgers()? {
            [None, None] => return BodyKeys::create(places, epoch_ms),
            [None, Some(_)] => return Err(KeyStoreError::Lost { name: LEDGER_NAME.to_owned() }),
            [Some(ledger), None] => ledger,
            [Some(ledger), Some(beside)] => ledger.merged(&beside).ok_or_else(|| {
                let name = LEDGER_NAME.to_owned();
                KeyStoreError::File { name, fault: KeyFault::Other }
            })?,
        };
        let mut wrapping = places.wrapping(&ledger)?;
        let mut keys = Keys::default();
        for epoch in places.epochs(ledger.generation)? {
            places.take_epoch(&ledger, &wrapping, (epoch, &mut keys))?;
        }
        check_counts(&ledger, &keys)?;
        let last = keys.spans.keys().last().copied().unwrap_or_default();
        ledger.epochs_begun = ledger.epochs_begun.max(last);
        ledger.count(&keys.counts());
        places.keep_ledger(&ledger)?;
        if keys.kept.keys().any(|id| ledger.is_destroyed(*id)) {
            // Destroying them was cut short, or an older copy of the folder was put back.
            wrapping = places.keep_all(&mut ledger, &mut keys)?;
        }
        places.erase_others(ledger.generation)?;
        Ok(BodyKeys::of(places, epoch_ms, Opened { ledger, keys, wrapping }))
    }

    fn create(places: Places, epoch_ms: u64) -> Result<BodyKeys, KeyStoreError> {
        // Files of keys without a ledger: a copy that is not whole. A new wrapping key over them
        // would look like theirs and open none.
        if places.names()?.iter().any(|name| key_file::of_name(name).is_some()) {
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
        let held = RwLock::new(Held { ledger, keys, pending: BTreeSet::new() });
        let (epoch_ms, changing) = (epoch_ms.max(1), Changing { wrapping, failed: false });
        let changing = Mutex::new(changing);
        BodyKeys(Arc::new(Shared { places, epoch_ms, held, changing }))
    }

    pub(crate) fn places(&self) -> &Places {
        &self.0.places
    }

    /// Nothing that runs under it panics half-way.
    pub(crate) fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hold(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn changing(&self) -> MutexGuard<'_, Changing> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key that seals a patient's bodies in a group of the journal, which is begun at `now`.
    /// One that is new is durable only after [`BodyKeys::commit`]: before that nothing sealed under
    /// it may be written.
    ///
    /// # Errors
    /// [`KeyStoreError::Full`] or [`KeyStoreError::Entropy`].
    pub fn group_key(
        &self,
        patient: PatientIndex,
        now: Millis,
        in_log: (&[u8; 16], &[u8; 32]),
    ) -> Result<GroupKey, KeyStoreError> {
        {
            let held = self.held();
            if let Some((id, kept)) = held.current(patient, now) {
                return Ok(GroupKey::derive(id.epoch, &kept.key, in_log));
            }
        }
        let (mut held, changing) = self.draws();
        let epoch = held.epoch_for(patient, now, self.0.epoch_ms);
        let named = Named { id: KeyId { patient, epoch }, created: now };
        let key = held.draw(named, self.drawn_from(&changing))?;
        Ok(GroupKey::derive(epoch, &key, in_log))
    }

    /// In this order everywhere, or two threads would wait for each other.
    fn draws(&self) -> (RwLockWriteGuard<'_, Held>, MutexGuard<'_, Changing>) {
        let changing = self.changing();
        (self.hold(), changing)
    }

    fn drawn_from<'a>(&'a self, changing: &'a Changing) -> DrawnFrom<'a> {
        DrawnFrom { medium: &*self.places().keys, wrapping: &changing.wrapping }
    }

    /// Makes every key durable that was given out: one file a new epoch, however many keys.
    ///
    /// # Errors
    /// What the folder says; the keys are as before then, and the next commit tries again.
    pub fn commit(&self) -> Result<(), KeyStoreError> {
        if self.held().pending.is_empty() {
            return Ok(());
        }
        // Until the end: nothing is drawn meanwhile, and what was is all that is pending.
        let changing = self.changing();
        changing.check()?;
        let (mut ledger, pending, epochs, keys) = {
            let held = self.held();
            let epochs: BTreeSet<_> = held.pending.iter().map(|id| id.epoch).collect();
            (held.ledger.clone(), held.pending.clone(), epochs.clone(), held.keys.of(&epochs))
        };
        let last = epochs.last().copied().unwrap_or_default();
        if last > ledger.epochs_begun {
            // First, so that no number is used again, whatever becomes of its keys.
            ledger.epochs_begun = last;
            self.places().keep_ledger(&ledger)?;
        }
        for epoch in &epochs {
            self.places().keep_epoch(&ledger, &keys, *epoch)?;
        }
        // Behind the files: it never speaks of a key that is not there.
        ledger.count(&keys.counts());
        self.places().keep_ledger(&ledger)?;
        let mut held = self.hold();
        held.ledger = ledger;
        held.pending.retain(|id| !pending.contains(id));
        Ok(())
    }

    /// Makes the keys of the next epoch for whoever has one of this, if this one is about to end:
    /// so that the writer need not wait for them when it begins.
    ///
    /// # Errors
    /// As [`BodyKeys::commit`].
    pub fn make_ahead(&self, now: Millis) -> Result<(), KeyStoreError> {
        {
            let (mut held, changing) = self.draws();
            held.draw_ahead(now, self.0.epoch_ms, self.drawn_from(&changing))?;
        }
        self.commit()
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
        let key = {
            let held = self.held();
            match held.keys.kept.get(&id) {
                Some(kept) => kept.key.clone(),
                None if held.ledger.is_destroyed(id) => {
                    return Err(BodyError::KeyDestroyed { epoch });
                }
                None => return Err(BodyError::KeyAbsent { epoch }),
            }
        };
        let opened = GroupKey::derive(id.epoch, &key, (log_id, &at.salt)).open(at, clear, sealed);
        if opened { Ok(()) } else { Err(BodyError::Broken { epoch }) }
    }

    /// How the folder stands.
    pub fn status(&self, now: Millis) -> KeyStatus {
        let held = self.held();
        let (keys, ledger) = (&held.keys.kept, &held.ledger);
        let patients: BTreeSet<_> = keys.keys().map(|id| id.patient).collect();
        let epochs: BTreeSet<_> = keys.keys().map(|id| id.epoch).collect();
        let last_backup = ledger.backups.iter().max_by_key(|row| row.made_unix_ms).copied();
        let made = last_backup.map(|row| row.made());
        KeyStatus {
            patients: patients.len(),
            epochs: epochs.len(),
            keys: keys.len(),
            in_no_backup: keys.values().filter(|kept| Some(kept.created) > made).count(),
            destroyed: ledger.destroyed(),
            last_backup,
            copies_until: ledger.copies_until(now),
        }
    }

    /// Where the wrapping key stands that holds now.
    pub fn wrapping_file(&self) -> String {
        wrapping_name(self.held().ledger.generation)
    }
}

/// No file of keys is missing, and none is an older one with fewer: another key would be drawn
/// under the name of one that was lost.
fn check_counts(ledger: &Ledger, keys: &Keys) -> Result<(), KeyStoreError> {
    let there = |epoch: BodyEpoch| {
        let counts = |id: &KeyId| ledger.counts_all() || !ledger.is_destroyed(*id);
        keys.kept.keys().filter(|id| id.epoch == epoch && counts(id)).count() as u32
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
    /// The epoch that runs: the last one that has begun, unless it is over.
    fn running(&self, now: Millis) -> Option<(BodyEpoch, Interval)> {
        let begun = self.keys.spans.iter().rev().find(|(_, span)| span.from <= now);
        begun.filter(|(_, span)| now < span.until).map(|(epoch, span)| (*epoch, *span))
    }

    /// The patient's own newest key that is to be used at a time. Not that of the epoch that runs:
    /// one that began early, because somebody was erased, is no reason for a new key of all others.
    fn current(&self, patient: PatientIndex, now: Millis) -> Option<(KeyId, &Kept)> {
        let id = |epoch| KeyId { patient, epoch };
        let own = self.keys.kept.range(id(BodyEpoch(0))..=id(BodyEpoch(u32::MAX)));
        let holds = |id: &KeyId| {
            let span = self.keys.spans.get(&id.epoch);
            span.is_some_and(|span| span.from <= now && now < span.until)
        };
        own.rev().find(|(id, _)| holds(id)).map(|(id, kept)| (*id, kept))
    }

    /// The epoch in which the patient may have a key; a new one begins where none runs, or where
    /// the patient's key of it was destroyed.
    fn epoch_for(&mut self, patient: PatientIndex, now: Millis, epoch_ms: u64) -> BodyEpoch {
        if let Some((epoch, _)) = self.running(now)
            && !self.ledger.is_destroyed(KeyId { patient, epoch })
        {
            return epoch;
        }
        self.begin_epoch(now, epoch_ms)
    }

    fn begin_epoch(&mut self, from: Millis, epoch_ms: u64) -> BodyEpoch {
        let last = self.keys.spans.keys().last().copied().unwrap_or_default();
        let epoch = BodyEpoch(last.max(self.ledger.epochs_begun).0 + 1);
        // At the last instant of all times an epoch of one millisecond, which ends never.
        let from = from.min(Millis::UNBOUNDED_FUTURE.before());
        self.keys.spans.insert(epoch, Interval { from, until: from.plus(epoch_ms) });
        epoch
    }

    fn draw(&mut self, named: Named, from: DrawnFrom<'_>) -> Result<BodyKey, KeyStoreError> {
        let Named { id, created } = named;
        // Drawn meanwhile by another thread.
        if let Some(kept) = self.keys.kept.get(&id) {
            return Ok(kept.key.clone());
        }
        if self.keys.kept.len() >= KEYS_MAX {
            return Err(KeyStoreError::Full { most: KEYS_MAX });
        }
        let DrawnFrom { medium, wrapping } = from;
        let key = BodyKey::draw(medium).map_err(|_| KeyStoreError::Entropy)?;
        let wrapped = wrapping.wrap(medium, named, &key);
        let wrapped = wrapped.map_err(|_| KeyStoreError::Entropy)?;
        self.keys.kept.insert(id, Kept { key: key.clone(), created, wrapped });
        self.pending.insert(id);
        Ok(key)
    }

    fn draw_ahead(
        &mut self,
        now: Millis,
        epoch_ms: u64,
        from: DrawnFrom<'_>,
    ) -> Result<(), KeyStoreError> {
        let late = self.keys.spans.iter().filter(|(_, span)| {
            let runs = span.from <= now && now < span.until;
            runs && span.until.since(now) <= span.until.since(span.from) / AHEAD
        });
        let late: Vec<_> = late.map(|(epoch, span)| (*epoch, span.until)).collect();
        for (epoch, end) in late {
            let of_epoch = self.keys.kept.keys().filter(|id| id.epoch == epoch);
            let ending: Vec<_> = of_epoch.map(|id| id.patient).collect();
            for patient in ending {
                if self.current(patient, end).is_none() {
                    let epoch = self.epoch_for(patient, end, epoch_ms);
                    let id = KeyId { patient, epoch };
                    self.draw(Named { id, created: now }, from)?;
                }
            }
        }
        Ok(())
    }

    /// Drops, and so zeroises, the keys of these patients, whatever stands in the folder.
    pub(crate) fn forget(&mut self, patients: &[PatientIndex], ledger: Ledger) {
        self.ledger = ledger;
        self.keys.kept.retain(|id, _| !patients.contains(&id.patient));
        self.pending.retain(|id| !patients.contains(&id.patient));
    }

    /// What was replaced in the folder holds from now on.
    pub(crate) fn replace(&mut self, ledger: Ledger, keys: Keys) {
        self.ledger = ledger;
        // Drops, and so zeroises, every key that is gone.
        drop(mem::replace(&mut self.keys, keys));
        // All of them stand in the folder.
        self.pending.clear();
    }
}
