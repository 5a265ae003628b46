//! A refusal as its submitter learns it.

use model::{Position, RejectCode, RuleNumber};

/// The decision not to take an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the peer is told.
    pub code: RejectCode,
    /// The rule behind it, for the operator's log only.
    pub rule: Option<RuleNumber>,
    /// Where the refusal stands in the journal, if it does.
    pub position: Option<Position>,
    /// What was expected and found, without identifiers.
    pub detail: String,
}
