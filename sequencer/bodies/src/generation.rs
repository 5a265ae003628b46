//! The files of a key folder, as one set that is read and written together.
//!
//! A *generation* is a wrapping key, the files of keys under it, one an epoch, and the tail of
//! those that came since. Which one holds says the ledger, which is replaced last: a power cut
//! leaves the old generation or the new one, and what is left of the other is erased at the next
//! open.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use model::{Interval, Millis, PatientIndex};
use zeroize::Zeroizing;

use crate::error::{KeyFault, KeyStoreError};
use crate::key::{BodyEpoch, BodyKey, KeyId};
use crate::key_file::{self, KeyFile, WrappedKey};
use crate::ledger::{GENERATION_MAX, LEDGER_NAME, Ledger};
use crate::medium::KeyMedium;
use crate::tail::{self, Tail, TailRecord};
use crate::wrapping::{Named, WrappingKey};

/// The two folders.
#[derive(Clone)]
pub struct Places {
    /// The key folder.
    pub keys: Arc<dyn KeyMedium>,
    /// Beside the journal: of it the copy of the ledger is touched and nothing else.
    pub beside: Arc<dyn KeyMedium>,
}

/// A key in memory.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) key: BodyKey,
    pub(crate) created: Millis,
}

/// Every key of a folder, those of an epoch together: what is drawn or written of one never goes
/// through those of others.
#[derive(Default, Clone)]
pub(crate) struct Keys {
    pub(crate) spans: BTreeMap<BodyEpoch, Interval>,
    kept: BTreeMap<BodyEpoch, BTreeMap<PatientIndex, Kept>>,
    len: usize,
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<&Kept> {
        self.kept.get(&id.epoch)?.get(&id.patient)
    }

    /// Takes a key in, and says whether there was none of that name.
    pub(crate) fn insert(&mut self, id: KeyId, kept: Kept) -> bool {
        let of_epoch = self.kept.entry(id.epoch).or_default();
        let Entry::Vacant(vacant) = of_epoch.entry(id.patient) else { return false };
        vacant.insert(kept);
        self.len += 1;
        true
    }

    /// Drops, and so zeroises, every other key.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(KeyId) -> bool) {
        for (epoch, keys) in &mut self.kept {
            keys.retain(|patient, _| stays(KeyId { epoch: *epoch, patient: *patient }));
        }
        self.len = self.kept.values().map(BTreeMap::len).sum();
    }

    /// Drops, and so zeroises, every key of these patients, and says how many there were.
    pub(crate) fn remove(&mut self, patients: &[PatientIndex]) -> usize {
        let mut removed = 0;
        for keys in self.kept.values_mut() {
            removed += patients.iter().filter(|patient| keys.remove(patient).is_some()).count();
        }
        self.len -= removed;
        removed
    }

    /// How many there are of each epoch.
    pub(crate) fn counts(&self) -> BTreeMap<BodyEpoch, u32> {
        let none = self.spans.keys().map(|epoch| (*epoch, 0));
        // At most as many as there may be, far below 2^32.
        none.chain(self.kept.iter().map(|(epoch, keys)| (*epoch, keys.len() as u32))).collect()
    }

    /// Those of an epoch, by patient.
    pub(crate) fn of(&self, epoch: BodyEpoch) -> impl Iterator<Item = (KeyId, &Kept)> {
        self.of_behind(epoch, None)
    }

    /// Those of an epoch whose patients come behind one, or all of it.
    pub(crate) fn of_behind(
        &self,
        epoch: BodyEpoch,
        patient: Option<PatientIndex>,
    ) -> impl Iterator<Item = (KeyId, &Kept)> {
        let keys = self.kept.get(&epoch).into_iter();
        let from = patient.map_or(Bound::Unbounded, Bound::Excluded);
        let of = keys.flat_map(move |keys| keys.range((from, Bound::Unbounded)));
        of.map(move |(patient, kept)| (KeyId { epoch, patient: *patient }, kept))
    }

    /// Those behind one, or all, in order.
    pub(crate) fn behind(&self, id: Option<KeyId>) -> impl Iterator<Item = (KeyId, &Kept)> {
        let first = id.map_or(BodyEpoch(0), |id| id.epoch);
        self.kept.range(first..).flat_map(move |(epoch, _)| {
            let patient = id.filter(|id| id.epoch == *epoch).map(|id| id.patient);
            self.of_behind(*epoch, patient)
        })
    }
}

/// A generation whose files are written and which does not hold yet.
pub(crate) struct NextGeneration {
    pub(crate) number: u32,
    pub(crate) wrapping: WrappingKey,
}

/// The name of a wrapping key's file.
pub(crate) fn wrapping_name(generation: u32) -> String {
    format!("wrapping-{generation:08}.key")
}

fn failed(name: &str, action: &'static str) -> impl FnOnce(io::Error) -> KeyStoreError {
    let name = name.to_owned();
    move |source| KeyStoreError::Medium { name, action, source }
}

fn wrong(name: &str, fault: KeyFault) -> KeyStoreError {
    KeyStoreError::File { name: name.to_owned(), fault }
}

fn lost(name: &str) -> KeyStoreError {
    KeyStoreError::Lost { name: name.to_owned() }
}

impl Ledger {
    /// The tail of the generation that holds.
    pub(crate) fn tail_file(&self) -> Tail {
        Tail { store: self.store, generation: self.generation }
    }
}

impl Places {
    pub(crate) fn names(&self) -> Result<Vec<String>, KeyStoreError> {
        self.keys.names().map_err(failed(".", "listed"))
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        self.keys.read(name).map_err(failed(name, "read"))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), KeyStoreError> {
        self.keys.replace(name, bytes).map_err(failed(name, "written"))
    }

    /// The ledger of the key folder, and the one beside the journal.
    pub(crate) fn ledgers(&self) -> Result<[Option<Ledger>; 2], KeyStoreError> {
        let read = |medium: &Arc<dyn KeyMedium>| {
            let bytes = medium.read(LEDGER_NAME).map_err(failed(LEDGER_NAME, "read"))?;
            let read = bytes.map(|bytes| Ledger::of_bytes(&bytes)).transpose();
            read.map_err(|fault| wrong(LEDGER_NAME, fault))
        };
        Ok([read(&self.keys)?, read(&self.beside)?])
    }

    /// Keeps the ledger in both places; the key folder's counts.
    pub(crate) fn keep_ledger(&self, ledger: &Ledger) -> Result<(), KeyStoreError> {
        let bytes = ledger.to_bytes();
        self.replace(LEDGER_NAME, &bytes)?;
        self.beside.replace(LEDGER_NAME, &bytes).map_err(failed(LEDGER_NAME, "written"))
    }

    /// The wrapping key of the ledger's generation.
    pub(crate) fn wrapping(&self, ledger: &Ledger) -> Result<WrappingKey, KeyStoreError> {
        let name = wrapping_name(ledger.generation);
        let text = self.read(&name)?.ok_or_else(|| lost(&name))?;
        let read = WrappingKey::of_text(ledger.store, &text);
        read.ok_or_else(|| wrong(&name, KeyFault::Damaged))
    }

    pub(crate) fn keep_wrapping(
        &self,
        generation: u32,
        wrapping: &WrappingKey,
    ) -> Result<(), KeyStoreError> {
        self.replace(&wrapping_name(generation), wrapping.to_text().as_bytes())
    }

    /// The epochs of a generation that have a file, in order.
    pub(crate) fn epochs(&self, generation: u32) -> Result<Vec<BodyEpoch>, KeyStoreError> {
        let names = self.names()?;
        let of = names.iter().filter_map(|name| key_file::of_name(name));
        let mut epochs: Vec<_> = of.filter(|of| of.0 == generation).map(|of| of.1).collect();
        epochs.sort();
        Ok(epochs)
    }

    /// How many files with keys there are of a generation.
    pub(crate) fn files_of(&self, generation: u32) -> Result<usize, KeyStoreError> {
        let names = self.names()?;
        let of = names.iter().filter(|name| {
            let of_epoch = key_file::of_name(name).map(|of| of.0);
            of_epoch.or_else(|| tail::of_name(name)) == Some(generation)
        });
        Ok(of.count())
    }

    /// Whether there is a file with keys, of whichever generation.
    pub(crate) fn holds_keys(&self) -> Result<bool, KeyStoreError> {
        let holds =
            |name: &String| key_file::of_name(name).is_some() || tail::of_name(name).is_some();
        Ok(self.names()?.iter().any(holds))
    }

    /// Every key of the ledger's generation.
    pub(crate) fn take_all(
        &self,
        ledger: &Ledger,
        wrapping: &WrappingKey,
    ) -> Result<Keys, KeyStoreError> {
        let mut keys = Keys::default();
        for epoch in self.epochs(ledger.generation)? {
            self.take_epoch(ledger, wrapping, (epoch, &mut keys))?;
        }
        match self.take_tail(ledger, wrapping, &mut keys)? {
            None => Ok(keys),
            Some(fault) => Err(fault),
        }
    }

    /// Takes in the keys of an epoch's file.
    pub(crate) fn take_epoch(
        &self,
        ledger: &Ledger,
        wrapping: &WrappingKey,
        (epoch, keys): (BodyEpoch, &mut Keys),
    ) -> Result<(), KeyStoreError> {
        let name = key_file::name(ledger.generation, epoch);
        let bytes = self.read(&name)?.ok_or_else(|| lost(&name))?;
        let file = KeyFile::of_bytes(&bytes).map_err(|fault| wrong(&name, fault))?;
        if (file.store, file.generation, file.epoch) != (ledger.store, ledger.generation, epoch) {
            return Err(wrong(&name, KeyFault::Other));
        }
        let unwrapped = file.keys.iter().map(|WrappedKey { named, wrapped }| {
            let key = wrapping.unwrap(*named, wrapped);
            let key = key.ok_or_else(|| wrong(&name, KeyFault::Wrapping))?;
            Ok((named.id, Kept { key, created: named.created }))
        });
        for (id, kept) in unwrapped.collect::<Result<Vec<_>, KeyStoreError>>()? {
            keys.insert(id, kept);
        }
        keys.spans.insert(epoch, file.span);
        Ok(())
    }

    /// Takes in the keys of the tail that count; what is wrong with it is handed back beside those
    /// that are whole. What stands behind the last that counts was never used.
    ///
    /// # Errors
    /// What the medium says.
    pub(crate) fn take_tail(
        &self,
        ledger: &Ledger,
        wrapping: &WrappingKey,
        keys: &mut Keys,
    ) -> Result<Option<KeyStoreError>, KeyStoreError> {
        if ledger.tail == 0 {
            return Ok(None);
        }
        let (tail, name) = (ledger.tail_file(), ledger.tail_file().name());
        let Some(bytes) = self.read(&name)? else { return Ok(Some(lost(&name))) };
        if let Err(fault) = tail.check_header(&bytes) {
            return Ok(Some(wrong(&name, fault)));
        }
        let mut found = None;
        for place in 0..ledger.tail {
            let taken = tail.read(&bytes, place).and_then(|TailRecord { named, span, wrapped }| {
                let key = wrapping.unwrap(named, &wrapped).ok_or(KeyFault::Wrapping)?;
                keys.spans.insert(named.id.epoch, span);
                keys.insert(named.id, Kept { key, created: named.created });
                Ok(())
            });
            if let Err(fault) = taken {
                found.get_or_insert_with(|| wrong(&name, fault));
            }
        }
        Ok(found)
    }

    /// Writes these records behind those of the tail that the ledger counts.
    pub(crate) fn write_tail(
        &self,
        ledger: &Ledger,
        records: &[TailRecord],
    ) -> Result<(), KeyStoreError> {
        let tail = ledger.tail_file();
        let write = tail.write(ledger.tail, records);
        let name = tail.name();
        self.keys.write_at(&name, write.at, &write.bytes).map_err(failed(&name, "written"))
    }

    /// Writes all keys but destroyed ones as a next generation, which does not hold before the
    /// ledger says so.
    pub(crate) fn write_generation(
        &self,
        ledger: &Ledger,
        keys: &Keys,
    ) -> Result<NextGeneration, KeyStoreError> {
        // Of a generation of which a cut or a failure left some files nothing is taken over.
        let begun = self.names()?.iter().filter_map(|name| generation_of(name)).max();
        let number = ledger.generation.max(begun.unwrap_or(0)) + 1;
        let wrapping = WrappingKey::draw(&*self.keys, ledger.store);
        let wrapping = wrapping.map_err(|_| KeyStoreError::Entropy)?;
        self.keep_wrapping(number, &wrapping)?;
        for (epoch, span) in &keys.spans {
            let mut file = KeyFile {
                store: ledger.store,
                generation: number,
                epoch: *epoch,
                span: *span,
                keys: Vec::new(),
            };
            for (id, kept) in keys.of(*epoch).filter(|(id, _)| !ledger.is_destroyed(*id)) {
                let named = Named { id, created: kept.created };
                let wrapped = wrapping.wrap(&*self.keys, named, &kept.key);
                let wrapped = wrapped.map_err(|_| KeyStoreError::Entropy)?;
                file.keys.push(WrappedKey { named, wrapped });
            }
            self.replace(&key_file::name(number, *epoch), &file.to_bytes())?;
        }
        Ok(NextGeneration { number, wrapping })
    }

    /// Writes all keys but destroyed ones as the next generation, which then is the ledger's, and
    /// erases the one before. For a folder that nobody else uses meanwhile.
    pub(crate) fn keep_all(
        &self,
        ledger: &mut Ledger,
        keys: &mut Keys,
    ) -> Result<WrappingKey, KeyStoreError> {
        keys.retain(|id| !ledger.is_destroyed(id));
        let next = self.write_generation(ledger, keys)?;
        *ledger = ledger.next(next.number, keys.counts(), 0);
        self.keep_ledger(ledger)?;
        self.erase_others(next.number)?;
        Ok(next.wrapping)
    }

    /// Erases what is of another generation, the wrapping keys first: without them the rest opens
    /// with nothing.
    pub(crate) fn erase_others(&self, generation: u32) -> Result<(), KeyStoreError> {
        let mut others = self.names()?;
        others.retain(|name| generation_of(name).is_some_and(|of| of != generation));
        others.sort_by_key(|name| !name.starts_with("wrapping-"));
        others.iter().try_for_each(|name| self.keys.erase(name).map_err(failed(name, "erased")))
    }
}

/// The generation of a file of keys or of a wrapping key, also of one that is being written.
fn generation_of(name: &str) -> Option<u32> {
    let whole = name.strip_suffix(".new").unwrap_or(name);
    let wrapping = whole.strip_prefix("wrapping-").and_then(|rest| rest.strip_suffix(".key"));
    let generation = match wrapping {
        Some(number) => number.parse().ok(),
        None => key_file::of_name(whole).map(|of| of.0).or_else(|| tail::of_name(whole)),
    };
    // A file that somebody put there with the last of all numbers shall end no row of them.
    generation.filter(|number| *number <= GENERATION_MAX)
}
