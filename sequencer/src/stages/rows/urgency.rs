//! Which operations nothing else may stand before.

use model::{Action, RuleSlot};

use crate::window::AppliedOperation;

/// Which places an operation may take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Urgency {
    /// It takes something away from others: a stop, a revocation, a deny. Evaluated first, and with
    /// places that nothing else takes.
    Protecting,
    /// It waits with everything else.
    Ordinary,
}

impl Urgency {
    /// That of an operation which does this.
    pub fn of(action: &Action) -> Urgency {
        match action {
            Action::Stop | Action::Write { slot: RuleSlot::Deny(_), .. } => Urgency::Protecting,
            // To revoke a deny is to permit.
            Action::Revoke { slot, .. } if !matches!(slot, RuleSlot::Deny(_)) => {
                Urgency::Protecting
            }
            Action::Revoke { .. } | Action::Write { .. } | Action::Enrol { .. } => {
                Urgency::Ordinary
            }
        }
    }
}

/// How many of these operations take rights away.
pub fn count_protecting(operations: &[AppliedOperation]) -> u64 {
    let protects =
        |one: &&AppliedOperation| Urgency::of(&one.signed.operation.action) == Urgency::Protecting;
    operations.iter().filter(protects).count() as u64
}
