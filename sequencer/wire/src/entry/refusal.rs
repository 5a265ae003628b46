//! Something that was not accepted, as the log keeps it.

use std::fmt;

use model::{Digest, Millis, PatientIndex, RejectCode, RuleNumber, Sequence, Uncovered};

use super::decision::{read_uncovered, write_uncovered};
use crate::codec::{Reader, Writer};
use crate::hash::{Holder, digest31};
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

/// What kind of thing was not accepted, without saying which one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum RefusedKind {
    /// Frames.
    Frame,
    /// Openings of streams.
    Stream,
    /// Operations.
    Operation,
    /// Requests to read.
    AccessRequest,
    /// Requests to read that break the glass.
    BreakGlass,
}

impl RefusedKind {
    fn number(self) -> u8 {
        match self {
            RefusedKind::Frame => 1,
            RefusedKind::Stream => 2,
            RefusedKind::Operation => 3,
            RefusedKind::AccessRequest => 4,
            RefusedKind::BreakGlass => 5,
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<RefusedKind, DecodeError> {
        Ok(match from.u8()? {
            1 => RefusedKind::Frame,
            2 => RefusedKind::Stream,
            3 => RefusedKind::Operation,
            4 => RefusedKind::AccessRequest,
            5 => RefusedKind::BreakGlass,
            found => {
                return Err(DecodeError::Unknown { what: "refused item", found: u64::from(found) });
            }
        })
    }
}

impl RefusedItem {
    /// What kind of thing it is.
    pub fn kind(&self) -> RefusedKind {
        match self {
            RefusedItem::Frame { .. } => RefusedKind::Frame,
            RefusedItem::Stream { .. } => RefusedKind::Stream,
            RefusedItem::Operation => RefusedKind::Operation,
            RefusedItem::AccessRequest => RefusedKind::AccessRequest,
        }
    }
}

/// The numbered rule behind a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
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
    /// Digest of the refused operation or request, whose signature nobody can guess; of a frame,
    /// [`place_digest`].
    pub digest: Digest,
}

/// Names a refused frame by its place in its stream. Not by its bytes: whoever tries the readings
/// that a small frame may hold finds them behind a digest, and nothing of a frame that no consent
/// covers shall be known to anybody.
pub fn place_digest(stream: &StreamName, sequence: Sequence) -> Digest {
    let mut to = Writer::default();
    stream.write(&mut to);
    to.u64(sequence.0);
    digest31("vitals refused frame v2", &to.0)
}

/// How often the same was refused to the same holder for the same reason after a refusal that the
/// log has in full: evidence of a flood that costs one entry a minute.
#[derive(Clone, PartialEq, Eq)]
pub struct RefusalCount {
    /// Whose record refused it.
    pub patient: PatientIndex,
    /// To whom.
    pub requester: Holder,
    /// What.
    pub what: RefusedKind,
    /// Why.
    pub reason: RefusalReason,
    /// When the first of these was refused.
    pub from: Millis,
    /// When the last of these was refused.
    pub until: Millis,
    /// How many, 1 or more.
    pub count: u32,
    /// Digest of the one that the log has in full.
    pub first: Digest,
}

/// Hides the patient.
impl fmt::Debug for RefusalCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RefusalCount { requester, what, reason, count, .. } = self;
        write!(f, "RefusalCount {{ {requester:?}, {what:?}, {reason:?}, count: {count} }}")
    }
}

impl RefusalCount {
    pub(super) fn write(&self, to: &mut Writer) {
        to.patient(self.patient);
        to.raw(&self.requester.0);
        to.u8(self.what.number());
        self.reason.write(to);
        to.millis(self.from);
        to.millis(self.until);
        to.u32(self.count);
        to.digest(&self.first);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<RefusalCount, DecodeError> {
        let counted = RefusalCount {
            patient: from.patient()?,
            requester: Holder(from.array()?),
            what: RefusedKind::read(from)?,
            reason: RefusalReason::read(from)?,
            from: from.millis("first refusal")?,
            until: from.millis("last refusal")?,
            count: from.u32()?,
            first: from.digest()?,
        };
        if counted.count == 0 || counted.until < counted.from {
            let why = "expected one refusal or more, the last no sooner than the first";
            return Err(DecodeError::field("refusal count", why));
        }
        Ok(counted)
    }
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
        to.u8(self.kind().number());
        match self {
            RefusedItem::Frame { stream, sequence } => {
                stream.write(to);
                to.u64(sequence.0);
            }
            RefusedItem::Stream { stream } => stream.write(to),
            RefusedItem::Operation | RefusedItem::AccessRequest => {}
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<RefusedItem, DecodeError> {
        let kind = RefusedKind::read(from)?;
        Ok(match kind {
            RefusedKind::Frame => {
                let stream = StreamName::read(from)?;
                RefusedItem::Frame { stream, sequence: Sequence(from.u64()?) }
            }
            RefusedKind::Stream => RefusedItem::Stream { stream: StreamName::read(from)? },
            RefusedKind::Operation => RefusedItem::Operation,
            RefusedKind::AccessRequest => RefusedItem::AccessRequest,
            // Only counts tell it from others: in full, its request stands in the log.
            RefusedKind::BreakGlass => {
                let found = u64::from(kind.number());
                return Err(DecodeError::Unknown { what: "refused item", found });
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
