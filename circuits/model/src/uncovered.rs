//! Why a claim is not covered: one reason, and the numbered rule it stands for.

use crate::{RuleNumber, RuleSlot};

/// Why a claim is not covered. A requester learns only that it was refused; the rule goes to the
/// node's log and metrics, the reason to its journal. A refused request becomes no claim, so the
/// patient's `vitals log` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum Uncovered {
    /// No record at this index.
    NoRecord,
    /// The claim names no category or no label.
    Malformed,
    /// No permit (or, for break-glass, no policy) names this actor.
    ActorNotNamed,
    /// The actor is named, but for another source.
    SourceNotCovered,
    /// ... but not for every category.
    CategoryNotCovered,
    /// ... but not for this purpose.
    PurposeNotCovered,
    /// ... but not for this kind.
    KindNotCovered,
    /// ... but not for every label.
    LabelNotCovered,
    /// ... but the rule begins later.
    NotYetLive,
    /// ... but the rule has ended: expired or revoked.
    Ended,
    /// ... but not for data measured then.
    DataPeriod,
    /// A deny overlaps.
    Denied(RuleSlot),
    /// The record was stopped.
    Closed,
}

impl Uncovered {
    /// The rule of SPEC.md that the claim would break.
    pub const fn rule(self) -> RuleNumber {
        RuleNumber::c2(match self {
            Uncovered::NoRecord => 2,
            Uncovered::Malformed => 8,
            Uncovered::NotYetLive | Uncovered::Ended => 6,
            Uncovered::DataPeriod => 7,
            Uncovered::CategoryNotCovered => 8,
            Uncovered::PurposeNotCovered => 9,
            Uncovered::KindNotCovered => 10,
            Uncovered::LabelNotCovered => 11,
            Uncovered::ActorNotNamed => 12,
            Uncovered::SourceNotCovered => 13,
            Uncovered::Denied(_) => 15,
            Uncovered::Closed => 16,
        })
    }

    /// One plain sentence for the patient and the operator.
    pub const fn sentence(self) -> &'static str {
        match self {
            Uncovered::NoRecord => "there is no consent record",
            Uncovered::Malformed => "the request names no category or no label",
            Uncovered::ActorNotNamed => "no rule names this actor",
            Uncovered::SourceNotCovered => "the rule covers another source",
            Uncovered::CategoryNotCovered => "the rule does not cover every category",
            Uncovered::PurposeNotCovered => "the rule does not cover this purpose",
            Uncovered::KindNotCovered => "the rule does not cover this kind of act",
            Uncovered::LabelNotCovered => "the rule does not cover every label",
            Uncovered::NotYetLive => "the rule has not begun",
            Uncovered::Ended => "the rule has ended",
            Uncovered::DataPeriod => "the rule does not cover data of that time",
            Uncovered::Denied(_) => "a deny applies",
            Uncovered::Closed => "the record was stopped",
        }
    }
}
