//! What a chunk holds and what a window may hold.

use circuits::shapes::{Capacity, Shape};
use model::limits;
use statement::c2::PricedCapacity;

/// What chunks of each circuit hold, as the shape table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Operations of a C1 chunk.
    pub operations: usize,
    /// Slots and claims of a C2 chunk, which may be one of these; never none.
    pub claims: Vec<PricedCapacity>,
}

impl Capacities {
    /// What chunks of these shapes hold; `None` if one is of the other circuit, or if there is none
    /// for claims.
    pub fn of_shapes(operations: &Shape, claims: &[&'static Shape]) -> Option<Capacities> {
        let Capacity::Operations(operations) = operations.capacity else { return None };
        let priced = |shape: &&Shape| match shape.capacity {
            Capacity::Claims(capacity) => Some(PricedCapacity { capacity, cost: shape.cost() }),
            Capacity::Operations(_) => None,
        };
        let claims: Vec<_> = claims.iter().map(priced).collect::<Option<_>>()?;
        (!claims.is_empty()).then_some(Capacities { operations, claims })
    }

    /// Most slots for claims that so many proofs have at least, however a window's claims lie.
    ///
    /// A mix costs no more than chunks of one shape do, and no proof less than the cheapest. So
    /// where claims fill the slots of `k` chunks of a shape, a mix of them has at most `k` proofs,
    /// times the shape's cost over the least cost.
    fn claim_slots(&self, proofs: usize) -> usize {
        let least = self.claims.iter().map(|one| one.cost).min().unwrap_or(1);
        let slots = |one: &PricedCapacity| {
            // At most `proofs`, so that it is in range.
            let chunks = proofs as u64 * least / one.cost.max(1);
            chunks as usize * one.capacity.slots
        };
        self.claims.iter().map(slots).max().unwrap_or(0)
    }
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
    /// Whether a window that holds so much is closed.
    pub fn are_reached(&self, operations: usize, claims: usize) -> bool {
        operations >= self.operations_max || claims >= self.claims_max
    }

    /// These limits, lowered to what settles in one batch with chunks of these capacities: at most
    /// [`limits::BATCH_PROOFS_MAX`] proofs, even if every claim takes a slot of its own.
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
        let claims = capacities.claim_slots(claim_proofs).max(1) - 1;
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
    use statement::c2;

    use super::*;

    fn capacities(operations: usize, claims: &[(usize, u64)]) -> Capacities {
        let priced = |(slots, cost): &(usize, u64)| PricedCapacity {
            capacity: c2::Capacity { slots: *slots, claims_per_slot: 4 },
            cost: *cost,
        };
        Capacities { operations, claims: claims.iter().map(priced).collect() }
    }

    /// Most proofs of the cheapest mix of chunks, every claim in a slot of its own: of what costs
    /// the same, the one with more chunks.
    fn claim_proofs(claims: usize, capacities: &Capacities) -> usize {
        let mut least = vec![(0, 0); claims + 1];
        for at in 1..=claims {
            let with = |one: &PricedCapacity| {
                let (cost, proofs): (u64, i64) = least[at.saturating_sub(one.capacity.slots)];
                (cost + one.cost, proofs - 1)
            };
            least[at] = capacities.claims.iter().map(with).min().unwrap();
        }
        least[claims].1.unsigned_abs() as usize
    }

    #[test]
    fn a_full_window_always_settles_in_one_transaction() {
        for (operations, claims) in [
            (8, &[(12, 1)][..]),
            (1, &[(1, 1)]),
            (71, &[(64, 3)]),
            (8, &[(12, 1), (15, 1), (18, 1)]),
            (8, &[(12, 131_072), (130, 1_048_576), (2, 131_072)]),
            (8, &[(1, 2), (3, 3), (7, 5)]),
        ] {
            let capacities = capacities(operations, claims);
            let asked = WindowLimits { operations_max: 65_536, claims_max: 65_536 };
            let fitted = asked.fitted(&capacities);
            // One item more than the limit.
            let proofs = (fitted.operations_max + 1).div_ceil(operations)
                + claim_proofs(fitted.claims_max + 1, &capacities);
            assert!(proofs <= limits::BATCH_PROOFS_MAX, "{proofs} proofs: {capacities:?}");
            assert_eq!(fitted.fitted(&capacities), fitted);
            // Another shape to choose from never lowers what one of the same cost allows.
            let first = Capacities { claims: vec![capacities.claims[0]], operations };
            let same = capacities.claims.iter().all(|one| one.cost >= capacities.claims[0].cost);
            assert!(!same || fitted.claims_max >= asked.fitted(&first).claims_max);
        }
    }

    #[test]
    fn limits_below_what_settles_stay_as_they_are() {
        let asked = WindowLimits { operations_max: 10, claims_max: 20 };
        assert_eq!(asked.fitted(&capacities(8, &[(12, 1)])), asked);
    }

    #[test]
    fn shapes_of_the_other_circuit_have_no_capacities() {
        let [c1, c2] = ["c1-17", "c2-17"].map(|name| Shape::named(name).unwrap());
        assert!(Capacities::of_shapes(c1, &[c2]).is_some());
        for (operations, claims) in [(c2, &[c2][..]), (c1, &[c2, c1]), (c1, &[])] {
            assert_eq!(Capacities::of_shapes(operations, claims), None);
        }
    }
}
