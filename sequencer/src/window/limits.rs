//! What a chunk holds and what a window may hold.

use model::limits;
use statement::c2::Capacity;

/// What one chunk of each circuit holds, as the shape table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Operations of a C1 chunk.
    pub operations: usize,
    /// Slots and claims of a C2 chunk.
    pub claims: Capacity,
}

/// What one window may hold before it is closed early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Most operations.
    pub operations_max: usize,
    /// Most claims, open segments included.
    pub claims_max: usize,
}

impl WindowLimits {
    /// These limits, lowered to what settles in one batch with chunks of these capacities: at most
    /// [`limits::BATCH_PROOFS_MAX`] proofs, if every claim takes a slot of its own.
    ///
    /// Three tenths of the proofs are for operations. The split decides how early a one-sided
    /// window closes, never whether it settles, so no measurement chose it. Operations have the
    /// smaller part: they are decisions of people, while every device has a claim in every window.
    /// They have no less, because when a ward is enrolled they come alone: with the default shapes
    /// 383 fit into a window, five each for some seventy patients.
    pub fn fitted(self, capacities: &Capacities) -> WindowLimits {
        let operation_proofs = limits::BATCH_PROOFS_MAX * 3 / 10;
        let claim_proofs = limits::BATCH_PROOFS_MAX - operation_proofs;
        // One item more than the limit may come in before the window is closed.
        let operations = operation_proofs * capacities.operations - 1;
        let claims = claim_proofs * capacities.claims.slots - 1;
        // Lowered and not refused: whatever was asked for, a window that closes can be settled.
        WindowLimits {
            operations_max: self.operations_max.min(operations),
            claims_max: self.claims_max.min(claims),
        }
    }
}

impl Default for WindowLimits {
    fn default() -> WindowLimits {
        WindowLimits { operations_max: 512, claims_max: 4096 }
    }
}

#[cfg(test)]
mod tests {
    use statement::c2::Capacity;

    use super::*;

    fn proofs(limits: WindowLimits, capacities: &Capacities) -> usize {
        // One item more than the limit, every claim in a slot of its own.
        (limits.operations_max + 1).div_ceil(capacities.operations)
            + (limits.claims_max + 1).div_ceil(capacities.claims.slots)
    }

    #[test]
    fn a_full_window_always_settles_in_one_transaction() {
        for (operations, slots) in [(8, 12), (1, 1), (71, 64)] {
            let claims = Capacity { slots, claims_per_slot: 4 };
            let capacities = Capacities { operations, claims };
            let asked = WindowLimits { operations_max: 65_536, claims_max: 65_536 };
            let fitted = asked.fitted(&capacities);
            assert!(proofs(fitted, &capacities) <= limits::BATCH_PROOFS_MAX);
            assert_eq!(fitted.fitted(&capacities), fitted);
        }
    }

    #[test]
    fn limits_below_what_settles_stay_as_they_are() {
        let claims = Capacity { slots: 12, claims_per_slot: 4 };
        let capacities = Capacities { operations: 8, claims };
        let asked = WindowLimits { operations_max: 10, claims_max: 20 };
        assert_eq!(asked.fitted(&capacities), asked);
    }
}
