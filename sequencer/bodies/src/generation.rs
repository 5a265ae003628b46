//! The files of a key folder, as one set that is read and written together.
//!
//! A *generation* is a wrapping key and the files of keys under it. Which one holds says the
//! ledger, which is replaced last: a power cut leaves the old generation or the new one, and what
//! is left of the other is erased at the next open.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use model::{Interval, Millis};
use zeroize::Zeroizing;

use crate::error::{KeyFault, KeyStoreError};
use crate::key::{BodyEpoch, BodyKey, KeyId};
use crate::key_file::{self, KeyFile, WrappedKey};
use crate::ledger::{LEDGER_NAME, Ledger};
use crate::medium::KeyMedium;
use crate::wrapping::{Named, WRAPPED_BYTES, WrappingKey};

/// The two folders.
#[derive(Clone)]
pub struct Places {
    /// The key folder.
    pub keys: Arc<dyn KeyMedium>,
    /// Beside the journal: of it the copy of the ledger is touched and nothing else.
    pub beside: Arc<dyn KeyMedium>,
}

/// A key in memory, and as it stands on the disk once it does.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) key: BodyKey,
    pub(crate) created: Millis,
    pub(crate) wrapped: [u8; WRAPPED_BYTES],
}

/// Every key of a folder.
#[derive(Default, Clone)]
pub(crate) struct Keys {
    pub(crate) spans: BTreeMap<BodyEpoch, Interval>,
    pub(crate) kept: BTreeMap<KeyId, Kept>,
}

impl Keys {
    /// How many there are of each epoch.
    pub(crate) fn counts(&self) -> BTreeMap<BodyEpoch, u32> {
        let mut counts: BTreeMap<_, u32> = self.spans.keys().map(|epoch| (*epoch, 0)).collect();
        self.kept.keys().for_each(|id| *counts.entry(id.epoch).or_default() += 1);
        counts
    }

    /// Those of some epochs.
    pub(crate) fn of(&self, epochs: &BTreeSet<BodyEpoch>) -> Keys {
        let spans = self.spans.iter().filter(|(epoch, _)| epochs.contains(epoch));
        let kept = self.kept.iter().filter(|(id, _)| epochs.contains(&id.epoch));
        Keys {
            spans: spans.map(|(epoch, span)| (*epoch, *span)).collect(),
            kept: kept.map(|(id, kept)| (*id, kept.clone())).collect(),
        }
    }
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
        let text = self.read(&name)?;
        let text = text.ok_or_else(|| KeyStoreError::Lost { name: name.clone() })?;
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

    /// Takes in the keys of an epoch.
    pub(crate) fn take_epoch(
        &self,
        ledger: &Ledger,
        wrapping: &WrappingKey,
        (epoch, keys): (BodyEpoch, &mut Keys),
    ) -> Result<(), KeyStoreError> {
        let name = key_file::name(ledger.generation, epoch);
        let bytes = self.read(&name)?.ok_or_else(|| KeyStoreError::Lost { name: name.clone() })?;
        let file = KeyFile::of_bytes(&bytes).map_err(|fault| wrong(&name, fault))?;
        if (file.store, file.generation, file.epoch) != (ledger.store, ledger.generation, epoch) {
            return Err(wrong(&name, KeyFault::Other));
        }
        let unwrapped = file.keys.iter().map(|WrappedKey { named, wrapped }| {
            let key = wrapping.unwrap(*named, wrapped);
            let key = key.ok_or_else(|| wrong(&name, KeyFault::Wrapping))?;
            Ok((named.id, Kept { key, created: named.created, wrapped: *wrapped }))
        });
        let unwrapped = unwrapped.collect::<Result<Vec<_>, KeyStoreError>>()?;
        keys.kept.extend(unwrapped);
        keys.spans.insert(epoch, file.span);
        Ok(())
    }

    /// Writes the file of an epoch, with every key of it.
    pub(crate) fn keep_epoch(
        &self,
        ledger: &Ledger,
        keys: &Keys,
        epoch: BodyEpoch,
    ) -> Result<(), KeyStoreError> {
        let Some(span) = keys.spans.get(&epoch).copied() else { return Ok(()) };
        let of = keys.kept.iter().filter(|(id, _)| id.epoch == epoch);
        let wrapped = of.map(|(id, kept)| WrappedKey {
            named: Named { id: *id, created: kept.created },
            wrapped: kept.wrapped,
        });
        let (store, generation) = (ledger.store, ledger.generation);
        let file = KeyFile { store, generation, epoch, span, keys: wrapped.collect() };
        self.replace(&key_file::name(generation, epoch), &file.to_bytes())
    }

    /// Writes all keys but destroyed ones as the next generation, which then is the ledger's, and
    /// erases the one before.
    pub(crate) fn keep_all(
        &self,
        ledger: &mut Ledger,
        keys: &mut Keys,
    ) -> Result<WrappingKey, KeyStoreError> {
        // Of a generation of which a cut or a failure left some files nothing is taken over.
        let begun = self.names()?.iter().filter_map(|name| generation_of(name)).max();
        let generation = ledger.generation.max(begun.unwrap_or(0)) + 1;
        let mut next = ledger.clone();
        next.generation = generation;
        let wrapping = WrappingKey::draw(&*self.keys, next.store);
        let wrapping = wrapping.map_err(|_| KeyStoreError::Entropy)?;
        let mut rewrapped = Keys { spans: keys.spans.clone(), ..Keys::default() };
        for (id, Kept { key, created, .. }) in &keys.kept {
            if next.is_destroyed(*id) {
                continue;
            }
            let named = Named { id: *id, created: *created };
            let wrapped = wrapping.wrap(&*self.keys, named, key);
            let wrapped = wrapped.map_err(|_| KeyStoreError::Entropy)?;
            rewrapped.kept.insert(*id, Kept { key: key.clone(), created: *created, wrapped });
        }
        self.keep_wrapping(generation, &wrapping)?;
        for epoch in rewrapped.spans.keys() {
            self.keep_epoch(&next, &rewrapped, *epoch)?;
        }
        next.count_anew(rewrapped.counts());
        self.keep_ledger(&next)?;
        (*ledger, *keys) = (next, rewrapped);
        self.erase_others(generation)?;
        Ok(wrapping)
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
    match wrapping {
        Some(number) => number.parse().ok(),
        None => key_file::of_name(whole).map(|of| of.0),
    }
}
