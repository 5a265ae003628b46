//! Something that was not accepted, as the log keeps it.

use std::fmt;

use model::{Digest, RejectCode, RuleNumber, Sequence, Uncovered};

use super::decision::{read_uncovered, write_uncovered};
use crate::codec::{Reader, Writer};
use crate::hash::Holder;
use crate::{DecodeError, StreamName};

/// What was not accepted.
#[derive(Clone, PartialEq, Eq)]
pub enum RefusedItem {
    /// A frame.
    Frame {
        /// Of which stream.
        stream: StreamName,
        /// Which number.
        sequence: Sequence,
    },
    /// The opening of a stream.
    Stream {
        /// Which.
        stream: StreamName,
    },
    /// An operation.
    Operation,
    /// A request to read that was not even decided: a signature, nonce or validity.
    AccessRequest,
}

impl fmt::Debug for RefusedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RefusedItem::Frame { .. } => "Frame",
            RefusedItem::Stream { .. } => "Stream",
            RefusedItem::Operation => "Operation",
            RefusedItem::AccessRequest => "AccessRequest",
        })
    }
}

/// The numbered rule behind a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalReason {
    /// Not a matter of consent: the code says all.
    Code,
    /// A claim that no rule covers.
    Claim(Uncovered),
    /// An operation that does not apply.
    Operation(RuleNumber),
}

impl RefusalReason {
    /// The rule of SPEC.md, if one.
    pub fn rule(&self) -> Option<RuleNumber> {
        match self {
            RefusalReason::Code => None,
            RefusalReason::Claim(uncovered) => Some(uncovered.rule()),
            RefusalReason::Operation(rule) => Some(*rule),
        }
    }
}

/// Something that was not accepted, kept as evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusalEntry {
    /// To whom it was refused.
    pub requester: Holder,
    /// What.
    pub what: RefusedItem,
    /// What the peer was told.
    pub code: RejectCode,
    /// What the peer was not told.
    pub reason: RefusalReason,
    /// Digest of the refused frame, descriptor, operation or request.
    pub digest: Digest,
}

impl RefusalEntry {
    pub(super) fn write(&self, to: &mut Writer) {
        to.raw(&self.requester.0);
        self.what.write(to);
        to.u16(self.code.number());
        self.reason.write(to);
        to.digest(&self.digest);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<RefusalEntry, DecodeError> {
        Ok(RefusalEntry {
            requester: Holder(from.array()?),
            what: RefusedItem::read(from)?,
            code: from.reject_code()?,
            reason: RefusalReason::read(from)?,
            digest: from.digest()?,
        })
    }
}

impl RefusedItem {
    fn write(&self, to: &mut Writer) {
        match self {
            RefusedItem::Frame { stream, sequence } => {
                to.u8(1);
                stream.write(to);
                to.u64(sequence.0);
            }
            RefusedItem::Stream { stream } => {
                to.u8(2);
                stream.write(to);
            }
            RefusedItem::Operation => to.u8(3),
            RefusedItem::AccessRequest => to.u8(4),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<RefusedItem, DecodeError> {
        Ok(match from.u8()? {
            1 => {
                let stream = StreamName::read(from)?;
                RefusedItem::Frame { stream, sequence: Sequence(from.u64()?) }
            }
            2 => RefusedItem::Stream { stream: StreamName::read(from)? },
            3 => RefusedItem::Operation,
            4 => RefusedItem::AccessRequest,
            found => {
                return Err(DecodeError::Unknown { what: "refused item", found: u64::from(found) });
            }
        })
    }
}

impl RefusalReason {
    fn write(&self, to: &mut Writer) {
        match self {
            RefusalReason::Code => to.u8(0),
            RefusalReason::Claim(uncovered) => {
                to.u8(1);
                write_uncovered(uncovered, to);
            }
            RefusalReason::Operation(rule) => {
                to.u8(2);
                // Without its statement: rules of C2 stand behind a missing cover, so this one is
                // of C1.
                to.u8(rule.number);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<RefusalReason, DecodeError> {
        Ok(match from.u8()? {
            0 => RefusalReason::Code,
            1 => RefusalReason::Claim(read_uncovered(from)?),
            2 => RefusalReason::Operation(RuleNumber::c1(from.u8()?)),
            found => {
                let found = u64::from(found);
                return Err(DecodeError::Unknown { what: "reason of a refusal", found });
            }
        })
    }
}
