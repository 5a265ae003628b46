//! What rows and the rules in them share: widths, and the operation's kind as bits.

use crate::builder::{Bit, Builder, Num};
use model::{Millis, OperationKind};
use std::ops::RangeInclusive;

/// Bits of a difference of times within one window, `model::limits::WINDOW_MS_MAX`.
pub(super) const WINDOW_BITS: usize = 27;
/// Bits of a difference of times.
pub(super) const TIME_BITS: usize = Millis::BITS as usize;

const ENROL: usize = OperationKind::Enrol as usize;
const PERMIT: usize = OperationKind::Permit as usize;
const DENY: usize = OperationKind::Deny as usize;
const POLICY: usize = OperationKind::Policy as usize;
const REVOKE: usize = OperationKind::Revoke as usize;
const STOP: usize = OperationKind::Stop as usize;

/// Kinds that write or revoke a rule.
pub(super) const WITH_SLOT: RangeInclusive<usize> = PERMIT..=REVOKE;

/// The kind as bits that multiply what it demands.
pub(super) struct OperationKindBits {
    /// By number of the kind, padding first; exactly one is set.
    pub(super) one_hot: Vec<Bit>,
    pub(super) padding: Bit,
    /// Any operation.
    pub(super) active: Bit,
    pub(super) enrol: Bit,
    pub(super) permit: Bit,
    pub(super) deny: Bit,
    pub(super) policy: Bit,
    /// Permit, deny or policy.
    pub(super) write: Bit,
    pub(super) revoke: Bit,
    pub(super) stop: Bit,
    /// Writes or revokes a rule.
    pub(super) with_slot: Bit,
    /// Any operation on a record that is there before.
    pub(super) update: Bit,
}

impl OperationKindBits {
    /// C1.1.
    pub(super) fn alloc(b: &mut Builder, kind: usize) -> OperationKindBits {
        let one_hot = b.rule("C1.1", |b| b.choice(kind, STOP + 1));
        let one = |of: usize| one_hot[of].clone();
        // Of one-hot bits every sum is a bit.
        let any =
            |of: RangeInclusive<usize>| Bit::confined(Num::sum(one_hot[of].iter().map(Bit::num)));
        OperationKindBits {
            padding: one(0),
            active: one_hot[0].not(),
            enrol: one(ENROL),
            permit: one(PERMIT),
            deny: one(DENY),
            policy: one(POLICY),
            write: any(PERMIT..=POLICY),
            revoke: one(REVOKE),
            stop: one(STOP),
            with_slot: any(WITH_SLOT),
            update: any(PERMIT..=STOP),
            one_hot,
        }
    }
}
