//! Limits of the evaluation of operations.

use crate::setting::{self, LimitError, range, settings};

settings! {
    /// `[admission]`: what an operation passes before it is journaled.
    pub struct AdmissionConfig in "admission" {
        evaluations_max: usize = 256; "operations", range(2, 65_536) => {
            sets: "Operations whose row may wait to be evaluated, those under way included.",
            memory: "About 4 KiB each.",
            at_limit: "A further one is refused as busy.",
        }
        evaluations_reserved: usize = 64; "operations", range(1, 65_535) => {
            sets: "Of these the places that only stops, revocations and denials may take, which \
                   are also evaluated first; fewer than `evaluations_max`.",
            at_limit: "Any other operation is refused as busy.",
        }
        evaluation_threads: usize = 1; "threads", range(1, 64) => {
            sets: "Threads that evaluate, beside those that prove.",
            memory: "About 4 MiB each while they evaluate.",
        }
        evaluation_rounds_max: usize = 4; "rounds", range(1, 64) => {
            sets: "How often an operation whose record moved meanwhile is evaluated again.",
            at_limit: "It is refused as busy.",
        }
    }
}

impl AdmissionConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// [`LimitError`] for the first that does not hold.
    pub fn check(&self) -> Result<(), LimitError> {
        setting::check(self, AdmissionConfig::SETTINGS)?;
        // With every place reserved nobody could be enrolled.
        let (found, most) = (self.evaluations_reserved as u64, self.evaluations_max as u64 - 1);
        if found > most {
            let key = "admission.evaluations_reserved";
            return Err(LimitError { key, least: 1, most, found });
        }
        Ok(())
    }
}
