//! Erasing patients: their keys are destroyed.

use model::{Millis, PatientIndex};

use crate::error::KeyStoreError;
use crate::key::BodyEpoch;
use crate::keys::BodyKeys;

/// What was destroyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Destroyed {
    /// Keys that were there.
    pub keys: usize,
    /// When the last copy of them expires; nothing if no backup of keys exists that has not.
    pub copies_until: Option<Millis>,
}

impl BodyKeys {
    /// Destroys every key of these patients. What is collected of them from now on has a new key,
    /// in an epoch of its own.
    ///
    /// In this order: the ledger says so, in both places, and from then on no restore brings them
    /// back; all other keys are written under a new wrapping key; the old wrapping key is erased.
    ///
    /// # Errors
    /// [`KeyStoreError`]. Once the ledger says so the next open finishes what failed; until then
    /// no new key is made durable.
    pub fn destroy(
        &self,
        patients: &[PatientIndex],
        now: Millis,
    ) -> Result<Destroyed, KeyStoreError> {
        let mut changing = self.changing();
        changing.check()?;
        let (mut ledger, mut keys) = {
            let held = self.held();
            (held.ledger.clone(), held.keys.clone())
        };
        let last = keys.spans.keys().last().copied().unwrap_or_default();
        ledger.epochs_begun = ledger.epochs_begun.max(last);
        let there = keys.kept.keys().filter(|id| patients.contains(&id.patient)).count();
        patients.iter().for_each(|patient| ledger.destroy(*patient, now));
        changing.failed = true;
        if let Err(error) = self.places().keep_ledger(&ledger) {
            // Nothing was destroyed if both copies are as they were: then everything goes on.
            let before = self.held().ledger.clone();
            let is_as_it_was = |found: &Option<_>| found.as_ref() == Some(&before);
            let found = self.places().ledgers();
            changing.failed = !found.is_ok_and(|found| found.iter().all(is_as_it_was));
            return Err(error);
        }
        // In memory at once, whatever becomes of the files: nobody opens a body of theirs any more.
        keys.kept.retain(|id, _| !patients.contains(&id.patient));
        // What is pending of others stays so: none of it is durable before `keep_all` is done.
        self.hold().forget(patients, ledger.clone());
        changing.wrapping = self.places().keep_all(&mut ledger, &mut keys)?;
        let copies_until = ledger.copies_until(now);
        self.hold().replace(ledger, keys);
        changing.failed = false;
        Ok(Destroyed { keys: there, copies_until })
    }

    /// The highest epoch that ever had a key.
    pub fn epochs_begun(&self) -> BodyEpoch {
        self.held().ledger.epochs_begun
    }
}
