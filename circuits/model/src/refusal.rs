//! Why something is not permitted: one reason, and the numbered rule it stands for.

use std::fmt;

use crate::RuleSlot;

/// A rule of `circuits/SPEC.md`, as `C1.7` or `C2.15`. Numbers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleNumber {
    /// 1 for C1 (operations), 2 for C2 (claims).
    pub statement: u8,
    /// Number within the statement.
    pub number: u8,
}

impl RuleNumber {
    /// Rule `number` of C1.
    pub const fn c1(number: u8) -> RuleNumber {
        RuleNumber { statement: 1, number }
    }

    /// Rule `number` of C2.
    pub const fn c2(number: u8) -> RuleNumber {
        RuleNumber { statement: 2, number }
    }
}

impl fmt::Display for RuleNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{}.{}", self.statement, self.number)
    }
}

impl fmt::Debug for RuleNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a claim is not covered. A requester learns only that it was refused; the rule goes to the
/// operator's log and the patient's feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum Refusal {
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
    DataWindow,
    /// A deny overlaps.
    Denied(RuleSlot),
    /// The record was stopped.
    Closed,
}

impl Refusal {
    /// The rule of SPEC.md that the claim would break.
    pub const fn rule(self) -> RuleNumber {
        RuleNumber::c2(match self {
            Refusal::NoRecord => 2,
            Refusal::Malformed => 8,
            Refusal::NotYetLive | Refusal::Ended => 6,
            Refusal::DataWindow => 7,
            Refusal::CategoryNotCovered => 8,
            Refusal::PurposeNotCovered => 9,
            Refusal::KindNotCovered => 10,
            Refusal::LabelNotCovered => 11,
            Refusal::ActorNotNamed => 12,
            Refusal::SourceNotCovered => 13,
            Refusal::Denied(_) => 15,
            Refusal::Closed => 16,
        })
    }

    /// One plain sentence for the patient and the operator.
    pub const fn sentence(self) -> &'static str {
        match self {
            Refusal::NoRecord => "there is no consent record",
            Refusal::Malformed => "the request names no category or no label",
            Refusal::ActorNotNamed => "no rule names this actor",
            Refusal::SourceNotCovered => "the rule covers another source",
            Refusal::CategoryNotCovered => "the rule does not cover every category",
            Refusal::PurposeNotCovered => "the rule does not cover this purpose",
            Refusal::KindNotCovered => "the rule does not cover this kind of act",
            Refusal::LabelNotCovered => "the rule does not cover every label",
            Refusal::NotYetLive => "the rule has not begun",
            Refusal::Ended => "the rule has ended",
            Refusal::DataWindow => "the rule does not cover data of that time",
            Refusal::Denied(_) => "a deny applies",
            Refusal::Closed => "the record was stopped",
        }
    }
}
