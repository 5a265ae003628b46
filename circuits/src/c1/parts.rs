//! What rows and the rules in them share: widths, and the operation's kind as bits.

use crate::builder::{Bit, Builder, Num};
use model::Millis;

/// Bits of a difference of times within one window, `model::limits::WINDOW_MS_MAX`.
pub(super) const WINDOW_BITS: usize = 27;
/// Bits of a difference of times.
pub(super) const TIME_BITS: usize = Millis::BITS as usize;
/// Kinds from padding to stop.
const KINDS: usize = 7;

/// The kind as bits that multiply what it demands.
pub(super) struct Kinds {
    pub(super) hot: Vec<Bit>,
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
    pub(super) touch: Bit,
    /// Any operation on a record that stands.
    pub(super) stands: Bit,
}

/// C1.1.
pub(super) fn kinds(b: &mut Builder, kind: usize) -> Kinds {
    let hot = b.rule("C1.1", |b| b.choice(kind, KINDS));
    // Of one-hot bits every sum is a bit.
    let any = |of: std::ops::Range<usize>| Bit::confined(Num::sum(hot[of].iter().map(Bit::num)));
    let one = |of: usize| hot[of].clone();
    Kinds {
        padding: one(0),
        active: hot[0].not(),
        enrol: one(1),
        permit: one(2),
        deny: one(3),
        policy: one(4),
        write: any(2..5),
        revoke: one(5),
        stop: one(6),
        touch: any(2..6),
        stands: any(2..7),
        hot,
    }
}
