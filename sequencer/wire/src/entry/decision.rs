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

/// Missing covers by their number in the log, a deny without its slot. Numbers are never reused.
const NUMBERS: [(u8, Uncovered); 12] = [
    (1, Uncovered::NoRecord),
    (2, Uncovered::Malformed),
    (3, Uncovered::ActorNotNamed),
    (4, Uncovered::SourceNotCovered),
    (5, Uncovered::CategoryNotCovered),
    (6, Uncovered::PurposeNotCovered),
    (7, Uncovered::KindNotCovered),
    (8, Uncovered::LabelNotCovered),
    (9, Uncovered::NotYetLive),
    (10, Uncovered::Ended),
    (11, Uncovered::DataPeriod),
    (13, Uncovered::Closed),
];
const DENIED: u8 = 12;

/// Its number, slot (0 unless denied), then the rule's number in C2.
pub(super) fn write_uncovered(uncovered: &Uncovered, to: &mut Writer) {
    let number = NUMBERS.iter().find(|(_, known)| known == uncovered);
    let slot = if let Uncovered::Denied(slot) = uncovered { slot.number() } else { 0 };
    // Only a deny is not in the table: each of its slots would need a row.
    to.u8(number.map_or(DENIED, |(number, _)| *number));
    to.u8(slot);
    to.u8(uncovered.rule().number);
}

pub(super) fn read_uncovered(from: &mut Reader<'_>) -> Result<Uncovered, DecodeError> {
    let (number, slot, rule) = (from.u8()?, read_slot(from)?, from.u8()?);
    let known = NUMBERS.iter().find(|(known, _)| *known == number).map(|(_, known)| *known);
    let uncovered = match known {
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
