//! Why a claim is not covered: one reason, and the numbered rule it stands for.

use crate::{RuleNumber, RuleSlot};

/// Why a claim is not covered. A requester learns only that it was refused; the rule goes to the
/// node's log and metrics, the reason to its journal. A refused request becomes no claim: the
/// patient's opening lists it beside the claims, unproven.
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

    /// Canonical bytes: its number, the slot of a deny (else 0), the number of its rule in C2.
    pub fn to_bytes(self) -> [u8; Uncovered::BYTES] {
        let slot = if let Uncovered::Denied(slot) = self { slot.number() } else { 0 };
        [number(self), slot, self.rule().number]
    }

    /// Reads canonical bytes; `None` for every other three.
    pub fn from_bytes([number, slot, rule]: [u8; Uncovered::BYTES]) -> Option<Uncovered> {
        let slot = RuleSlot::from_number(slot).ok()?;
        let uncovered = match numbered(number) {
            // A slot beside anything but a deny would be a second encoding of the same value.
            Some(known) => (slot.number() == 0).then_some(known)?,
            None => (number == DENIED).then_some(Uncovered::Denied(slot))?,
        };
        // The rule follows from the number. It is written all the same, so that who reads the log
        // with the spec alone needs no table, and compared, so that the two cannot disagree.
        (uncovered.rule().number == rule).then_some(uncovered)
    }

    /// Length of the canonical bytes.
    pub const BYTES: usize = 3;
}

/// Declares the numbers of reasons once, for writing and for reading: a reason that has no number
/// here does not compile, and none is ever written as another.
macro_rules! numbers {
    ($($number:literal => $reason:ident,)* denied $denied:literal) => {
        const DENIED: u8 = $denied;

        fn number(uncovered: Uncovered) -> u8 {
            match uncovered {
                $(Uncovered::$reason => $number,)*
                Uncovered::Denied(_) => DENIED,
            }
        }

        /// The reason with this number; `None` of a deny too, which has a slot beside it.
        fn numbered(number: u8) -> Option<Uncovered> {
            match number {
                $($number => Some(Uncovered::$reason),)*
                _ => None,
            }
        }
    };
}

// Numbers are never reused.
numbers! {
    1 => NoRecord,
    2 => Malformed,
    3 => ActorNotNamed,
    4 => SourceNotCovered,
    5 => CategoryNotCovered,
    6 => PurposeNotCovered,
    7 => KindNotCovered,
    8 => LabelNotCovered,
    9 => NotYetLive,
    10 => Ended,
    11 => DataPeriod,
    13 => Closed,
    denied 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_one_encoding() {
        let mut found = 0;
        for number in 0..=u8::MAX {
            for slot in 0..=u8::MAX {
                for rule in 0..32 {
                    let bytes = [number, slot, rule];
                    let Some(uncovered) = Uncovered::from_bytes(bytes) else { continue };
                    assert_eq!(uncovered.to_bytes(), bytes);
                    found += 1;
                }
            }
        }
        assert_eq!(found, 12 + RuleSlot::COUNT);
    }
}
