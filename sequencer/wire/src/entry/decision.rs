//! How a request to read was decided, and why no rule covered a claim, as the log keeps both.

use model::{RuleSlot, Uncovered};

use crate::DecodeError;
use crate::codec::{Reader, Writer};

/// How a request to read was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// A rule covers it.
    Permitted {
        /// Which: a permit or a break-glass policy.
        slot: RuleSlot,
    },
    /// No rule does.
    Refused {
        /// Why.
        uncovered: Uncovered,
    },
}

impl Decision {
    pub(super) fn write(&self, to: &mut Writer) {
        match self {
            Decision::Permitted { slot } => {
                to.u8(1);
                to.u8(slot.number());
            }
            Decision::Refused { uncovered } => {
                to.u8(0);
                write_uncovered(uncovered, to);
            }
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Decision, DecodeError> {
        if from.flag("decision")? {
            return Ok(Decision::Permitted { slot: read_slot(from)? });
        }
        Ok(Decision::Refused { uncovered: read_uncovered(from)? })
    }
}

fn read_slot(from: &mut Reader<'_>) -> Result<RuleSlot, DecodeError> {
    RuleSlot::from_number(from.u8()?).map_err(|error| DecodeError::field("rule slot", error))
}

/// Declares the numbers of missing covers once, for writing and for reading: a reason that has no
/// number here does not compile, and none is ever written as another.
macro_rules! numbers {
    ($($number:literal => $cover:ident,)* denied $denied:literal) => {
        const DENIED: u8 = $denied;

        fn number(uncovered: &Uncovered) -> u8 {
            match uncovered {
                $(Uncovered::$cover => $number,)*
                Uncovered::Denied(_) => DENIED,
            }
        }

        /// The cover with this number; `None` of a deny too, which has a slot beside it.
        fn numbered(number: u8) -> Option<Uncovered> {
            match number {
                $($number => Some(Uncovered::$cover),)*
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

/// Its number, slot (0 unless denied), then the rule's number in C2.
pub(super) fn write_uncovered(uncovered: &Uncovered, to: &mut Writer) {
    let slot = if let Uncovered::Denied(slot) = uncovered { slot.number() } else { 0 };
    to.u8(number(uncovered));
    to.u8(slot);
    to.u8(uncovered.rule().number);
}

pub(super) fn read_uncovered(from: &mut Reader<'_>) -> Result<Uncovered, DecodeError> {
    let (number, slot, rule) = (from.u8()?, read_slot(from)?, from.u8()?);
    let uncovered = match numbered(number) {
        // A slot beside anything but a deny would be a second encoding of the same value (W.8).
        Some(known) if slot.number() == 0 => known,
        None if number == DENIED => Uncovered::Denied(slot),
        _ => {
            return Err(DecodeError::Unknown { what: "missing cover", found: u64::from(number) });
        }
    };
    // The rule follows from the number. It is written all the same, so that who reads the log with
    // the spec alone needs no table, and is compared, so that the two cannot disagree (W.40).
    if uncovered.rule().number != rule {
        return Err(DecodeError::field("missing cover", "expected the number of its own rule"));
    }
    Ok(uncovered)
}
