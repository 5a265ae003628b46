//! The hull of a slot: the smallest intervals that hold those of all its claims.

use model::{Claim, Interval, Rule};

/// Intervals that hold the receipt and measured intervals of some claims.
///
/// A deny whose periods miss the hull misses every claim in it, so that the circuit compares a
/// deny's periods once a slot and not once a claim. The reverse does not hold, which is why
/// [`super::pack`] splits a patient's claims where it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hull {
    /// Holds every receipt interval.
    pub receipt: Interval,
    /// Holds every measured interval.
    pub measured: Interval,
}

impl Hull {
    /// The hull of `claims`; `None` of no claim.
    pub fn of_claims<'a>(claims: impl IntoIterator<Item = &'a Claim>) -> Option<Hull> {
        let one = |claim: &Claim| Hull { receipt: claim.receipt, measured: claim.measured };
        claims.into_iter().map(one).reduce(Hull::joined_with)
    }

    /// The hull of both.
    fn joined_with(self, other: Hull) -> Hull {
        Hull {
            receipt: join(self.receipt, other.receipt),
            measured: join(self.measured, other.measured),
        }
    }

    /// Whether the access or the data period of `deny` is disjoint from the hull.
    pub fn misses(&self, deny: &Rule) -> bool {
        // One of the two is enough: a deny needs the act and the data to lie in its periods.
        !deny.access.overlaps(&self.receipt) || !deny.data.overlaps(&self.measured)
    }
}

fn join(a: Interval, b: Interval) -> Interval {
    // The least that holds both: a wider hull meets more denies, and each may cost a slot.
    Interval { from: a.from.min(b.from), until: a.until.max(b.until) }
}
