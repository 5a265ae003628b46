//! A question of a system whether consent would allow something, as it is submitted.

use model::{Claim, Interval, Millis, OrganisationId, Position};

/// What a system asks: the claim that it would be, whose place and time are the entry's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The organisation whose system asks.
    pub organisation: OrganisationId,
    /// What would be claimed; its position and receipt interval are not looked at.
    pub claim: Claim,
}

impl Query {
    /// The claim, had it been made there and then.
    pub(super) fn at(&self, position: Position, time: Millis) -> Claim {
        Claim { position, receipt: Interval::instant(time), ..self.claim.clone() }
    }
}
