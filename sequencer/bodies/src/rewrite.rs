//! All keys written anew, as the next generation, beside whoever needs a new one meanwhile.
//!
//! ```text
//!   keys copied, a few at a time -> files of the next generation
//!      -> [what came meanwhile -> its tail, ledger in both places] -> files of the old one erased
//! ```
//! What stands in brackets is done while no other key is made: a bounded number of syncs, and as
//! many bytes as were drawn since the copy began.

use std::sync::MutexGuard;

use crate::error::KeyStoreError;
use crate::generation::{Keys, NextGeneration};
use crate::keys::{BodyKeys, Drawn, Files};
use crate::ledger::Ledger;
use crate::tail::TailRecord;
use crate::wrapping::{Named, WrappingKey};

impl BodyKeys {
    /// Writes all keys that are held as the next generation, and erases the one before.
    ///
    /// # Errors
    /// [`KeyStoreError`]; the generation that held goes on, unless the ledger could not be
    /// replaced: then no key is made before the next open.
    pub(crate) fn rewrite(&self, changing: &MutexGuard<'_, ()>) -> Result<(), KeyStoreError> {
        let copied = self.copy(changing)?;
        let ledger = self.held().ledger.clone();
        let written = self.places().write_generation(&ledger, &copied);
        if let Err(error) = written.and_then(|next| self.switch(next, &copied)) {
            let is_sure = {
                let mut files = self.files()?;
                // Nobody asks for what comes from now on.
                files.meanwhile = None;
                !files.failed
            };
            if is_sure {
                // What was written of it takes room that keys need. Tried again with the next one.
                drop(self.places().erase_others(ledger.generation));
            }
            return Err(error);
        }
        let number = self.held().ledger.generation;
        self.places().erase_others(number)?;
        self.hold().unfinished.clear();
        Ok(())
    }

    /// A copy of all keys. Those that are made from now on are noted, until somebody takes them.
    pub(crate) fn copy(&self, _: &MutexGuard<'_, ()>) -> Result<Keys, KeyStoreError> {
        let mut files = self.files()?;
        self.be_sure(&mut files)?;
        files.meanwhile = Some(Vec::new());
        drop(files);
        let mut copied = Keys::default();
        self.walk(|id, kept| {
            copied.insert(id, kept.clone());
        });
        copied.spans.clone_from(&self.held().keys.spans);
        Ok(copied)
    }

    /// Takes the keys into a copy that were made since it was begun.
    pub(crate) fn take_meanwhile(&self, copied: &mut Keys) -> Result<(), KeyStoreError> {
        let made = self.files()?.meanwhile.take().unwrap_or_default();
        let held = self.held();
        copied.spans.clone_from(&held.keys.spans);
        for id in made {
            if let Some(kept) = held.keys.get(id) {
                copied.insert(id, kept.clone());
            }
        }
        Ok(())
    }

    /// From now on the next generation holds.
    fn switch(&self, next: NextGeneration, copied: &Keys) -> Result<(), KeyStoreError> {
        let mut files = self.files()?;
        let files = &mut *files;
        self.be_sure(files)?;
        let NextGeneration { number, wrapping } = next;
        let late = self.late_records(files, copied, &wrapping)?;
        let pending = self.rewrapped(&files.pending, &wrapping)?;
        let (before, counts) = {
            let held = self.held();
            (held.ledger.clone(), held.keys.counts())
        };
        if !late.is_empty() {
            self.places().write_tail(&before.next(number, counts.clone(), 0), &late)?;
        }
        // At most as many as there are keys.
        let ledger = before.next(number, counts, late.len() as u32);
        self.replace_ledger(files, &ledger)?;
        files.wrapping = wrapping;
        let records = files.pending.iter_mut().map(|drawn| &mut drawn.record);
        records.zip(pending).for_each(|(record, new)| *record = new);
        Ok(())
    }

    /// Keeps the ledger as it is held, if whether it stands in both places is unknown. Every file
    /// that it speaks of is there: nothing was erased since, and nothing written.
    ///
    /// # Errors
    /// [`KeyStoreError::Failed`] while it cannot be kept.
    pub(crate) fn be_sure(&self, files: &mut Files) -> Result<(), KeyStoreError> {
        if files.failed {
            let ledger = self.held().ledger.clone();
            self.places().keep_ledger(&ledger).map_err(|_| KeyStoreError::Failed)?;
            files.failed = false;
        }
        Ok(())
    }

    /// Replaces the ledger in both places by one that says what holds from now on.
    pub(crate) fn replace_ledger(
        &self,
        files: &mut Files,
        ledger: &Ledger,
    ) -> Result<(), KeyStoreError> {
        let before = self.held().ledger.clone();
        if let Err(error) = self.places().keep_ledger(ledger) {
            // Nothing happened if both copies are as they were: then everything goes on.
            let is_as_it_was = |found: &Option<_>| found.as_ref() == Some(&before);
            let found = self.places().ledgers();
            files.failed = !found.is_ok_and(|found| found.iter().all(is_as_it_was));
            return Err(error);
        }
        self.hold().ledger.clone_from(ledger);
        Ok(())
    }

    /// The keys that came since the copy was begun and are not in it.
    fn late_records(
        &self,
        files: &mut Files,
        copied: &Keys,
        wrapping: &WrappingKey,
    ) -> Result<Vec<TailRecord>, KeyStoreError> {
        let (made, held) = (files.meanwhile.take().unwrap_or_default(), self.held());
        let late = made.into_iter().filter(|id| copied.get(*id).is_none());
        let late = late.filter_map(|id| {
            let (kept, span) = (held.keys.get(id)?, held.keys.spans.get(&id.epoch)?);
            let named = Named { id, created: kept.created };
            let wrapped = wrapping.wrap(&*self.places().keys, named, &kept.key);
            let wrapped = wrapped.map_err(|_| KeyStoreError::Entropy);
            Some(wrapped.map(|wrapped| TailRecord { named, span: *span, wrapped }))
        });
        late.collect()
    }

    /// The records of keys that are not durable yet, under another wrapping key.
    fn rewrapped(
        &self,
        pending: &[Drawn],
        wrapping: &WrappingKey,
    ) -> Result<Vec<TailRecord>, KeyStoreError> {
        let records = pending.iter().map(|Drawn { kept, record }| {
            let wrapped = wrapping.wrap(&*self.places().keys, record.named, &kept.key);
            let wrapped = wrapped.map_err(|_| KeyStoreError::Entropy)?;
            Ok(TailRecord { wrapped, ..record.clone() })
        });
        records.collect()
    }
}
