//! Erasing patients: their keys are destroyed.

use model::{Millis, PatientIndex};

use crate::error::KeyStoreError;
use crate::keys::BodyKeys;
use crate::ledger::Remains;

/// What was destroyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Destroyed {
    /// Keys that were there.
    pub keys: usize,
    /// When the last copy of them expires; nothing if no backup of keys exists that has not.
    pub copies_until: Option<Millis>,
}

impl BodyKeys {
    /// What is left of the keys of this patient; nothing where none were destroyed, one is here, or
    /// one that was destroyed may still stand in a file: what is answered holds for the disk. Also
    /// nothing of a folder that is only looked at, where what was begun stays unfinished.
    pub fn remains(&self, patient: PatientIndex, now: Millis) -> Option<Remains> {
        let is_here = self.newest(patient).is_some();
        let held = self.held();
        let is_gone = !is_here && !held.unfinished.contains(&patient) && !self.is_looked_at();
        held.ledger.remains(patient, now).filter(|_| is_gone)
    }

    /// Destroys every key of these patients. What is collected of them from now on has a new key,
    /// in an epoch of its own.
    ///
    /// In this order: the ledger says so, in both places, and from then on no restore brings them
    /// back, and nobody opens a body of theirs; all other keys are written under a new wrapping
    /// key; the old wrapping key is erased.
    ///
    /// # Errors
    /// [`KeyStoreError`]. Once the ledger says so what failed is finished by the next open, the
    /// same call, or [`BodyKeys::make_ahead`].
    pub fn destroy(
        &self,
        patients: &[PatientIndex],
        now: Millis,
    ) -> Result<Destroyed, KeyStoreError> {
        let changing = self.changing();
        let keys = self.forget(patients, now)?;
        self.rewrite(&changing)?;
        let copies_until = self.held().ledger.copies_until(now);
        Ok(Destroyed { keys, copies_until })
    }

    /// The ledger says so, and the keys are dropped, and so zeroised, in memory.
    fn forget(&self, patients: &[PatientIndex], now: Millis) -> Result<usize, KeyStoreError> {
        let mut files = self.files()?;
        self.be_sure(&mut files)?;
        let mut ledger = self.held().ledger.clone();
        // Also of one that is drawn and not durable: whoever comes back has another.
        let last = self.held().keys.spans.keys().last().copied().unwrap_or_default();
        ledger.epochs_begun = ledger.epochs_begun.max(last);
        patients.iter().for_each(|patient| ledger.destroy(*patient, now));
        let said = self.replace_ledger(&mut files, &ledger);
        if said.is_err() && !files.failed {
            // Nothing was.
            return said.map(|()| 0);
        }
        // Also where it may have been said in one place: what was sealed under a key of theirs from
        // now on could be erased by the next open, and would be acknowledged and lost.
        files.pending.retain(|drawn| !patients.contains(&drawn.record.named.id.patient));
        let mut held = self.hold();
        held.unfinished.extend(patients);
        held.ledger = ledger;
        let removed = held.keys.remove(patients);
        // Before anybody else derives one of what is left.
        self.count_destroy();
        said.map(|()| removed)
    }
}
