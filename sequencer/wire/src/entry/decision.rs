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

/// Its number, slot (0 unless denied), then the rule's number in C2.
pub(super) fn write_uncovered(uncovered: &Uncovered, to: &mut Writer) {
    to.raw(&uncovered.to_bytes());
}

/// One encoding of each (W.8), with the number of its own rule (W.40).
pub(super) fn read_uncovered(from: &mut Reader<'_>) -> Result<Uncovered, DecodeError> {
    let wrong = || DecodeError::field("missing cover", "expected a known one with its own rule");
    Uncovered::from_bytes(from.array()?).ok_or_else(wrong)
}
