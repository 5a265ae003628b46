//! Bodies of the log's entries: who reads the log decodes them here (docs/wire.md section 7).

use std::fmt;

use bytes::Bytes;
use model::{
    BatchNumber, Digest, EpochNumber, GatewayId, Millis, RejectCode, RuleNumber, RuleSlot,
    Sequence, Uncovered,
};

use crate::codec::{Reader, Writer};
use crate::hash::Holder;
use crate::limits::FRAME_BYTES_MAX;
use crate::{
    DecodeError, Descriptor, Frame, FrameError, RegistryChange, SignedAccessRequest,
    SignedOperation, StreamKey, StreamName,
};

/// The body of one entry.
// Entries are decoded one at a time and seldom kept, so a box for the rare kind would gain nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A frame that a live rule covered when it was appended.
    Frame(FrameEntry),
    /// An operation that took effect at the entry's time.
    Operation {
        /// The operation.
        operation: SignedOperation,
        /// Who submitted it.
        requester: Holder,
    },
    /// A request to read, decided at the entry's time.
    AccessRequest {
        /// The request.
        request: SignedAccessRequest,
        /// Who submitted it.
        requester: Holder,
        /// The decision.
        decision: Decision,
    },
    /// Something that was not accepted.
    Refusal(RefusalEntry),
    /// A change of the registry.
    RegistryChange(RegistryChange),
    /// The end of a window.
    Close {
        /// Number of the batch that ends.
        batch: BatchNumber,
        /// First instant after the window.
        t1: Millis,
    },
    /// A stream was described and opened.
    StreamOpen {
        /// Whose stream.
        gateway: GatewayId,
        /// What it is.
        descriptor: Descriptor,
    },
}

/// A frame with what the log needs to know beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameEntry {
    /// Who sent it.
    pub gateway: GatewayId,
    /// Device, patient and signal.
    pub key: StreamKey,
    frame: Frame,
}

impl FrameEntry {
    /// An entry that holds the stored form of the frame.
    pub fn new(gateway: GatewayId, key: StreamKey, frame: &Frame) -> FrameEntry {
        FrameEntry { gateway, key, frame: frame.stored() }
    }

    /// The frame with handle 0: its original bytes but for the handle (rule W.12).
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Epoch of the stream.
    pub fn epoch(&self) -> EpochNumber {
        self.frame.header().epoch
    }

    /// Number of the frame.
    pub fn sequence(&self) -> Sequence {
        self.frame.sequence()
    }

    /// The stream as receipts name it.
    pub fn stream(&self) -> StreamName {
        self.key.name(self.epoch())
    }
}

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
        refusal: Uncovered,
    },
}

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
            RefusalReason::Claim(refusal) => Some(refusal.rule()),
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

/// The journal's codes of entry kinds.
mod kind {
    pub(super) const FRAME: u8 = 1;
    pub(super) const OPERATION: u8 = 2;
    pub(super) const ACCESS_REQUEST: u8 = 3;
    pub(super) const REFUSAL: u8 = 4;
    pub(super) const REGISTRY_CHANGE: u8 = 5;
    pub(super) const CLOSE: u8 = 6;
    pub(super) const STREAM_OPEN: u8 = 7;
}

impl Entry {
    /// Version byte of every body.
    pub const VERSION: u8 = 1;
    /// Largest body: a frame with what stands beside it.
    pub const BYTES_MAX: usize = FRAME_BYTES_MAX + 1024;

    /// The code of this kind of entry in the journal.
    pub fn kind_code(&self) -> u8 {
        match self {
            Entry::Frame(_) => kind::FRAME,
            Entry::Operation { .. } => kind::OPERATION,
            Entry::AccessRequest { .. } => kind::ACCESS_REQUEST,
            Entry::Refusal(_) => kind::REFUSAL,
            Entry::RegistryChange(_) => kind::REGISTRY_CHANGE,
            Entry::Close { .. } => kind::CLOSE,
            Entry::StreamOpen { .. } => kind::STREAM_OPEN,
        }
    }

    /// Canonical bytes of the body.
    ///
    /// # Errors
    /// [`DecodeError`] if a registry change is malformed.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DecodeError> {
        let mut to = Writer::default();
        to.u8(Entry::VERSION);
        match self {
            Entry::Frame(entry) => {
                to.text(entry.gateway.as_str());
                entry.key.write(&mut to);
                to.long(entry.frame.as_bytes());
            }
            Entry::Operation { operation, requester } => {
                to.raw(&requester.0);
                to.long(operation.as_bytes());
            }
            Entry::AccessRequest { request, requester, decision } => {
                to.raw(&requester.0);
                write_decision(decision, &mut to);
                to.long(&request.to_bytes());
            }
            Entry::Refusal(entry) => write_refusal(entry, &mut to),
            Entry::RegistryChange(change) => to.raw(&change.to_bytes()?),
            Entry::Close { batch, t1 } => {
                to.u64(batch.0);
                to.millis(*t1);
            }
            Entry::StreamOpen { gateway, descriptor } => {
                to.text(gateway.as_str());
                descriptor.write(&mut to);
            }
        }
        Ok(to.0)
    }

    /// Reads the body of an entry of the kind with this code.
    ///
    /// # Errors
    /// [`FrameError`] for an unknown kind or a body that is not canonical.
    pub fn from_bytes(kind_code: u8, body: &[u8]) -> Result<Entry, FrameError> {
        let mut from = Reader::new("entry", body);
        from.version(Entry::VERSION)?;
        if kind_code == kind::REGISTRY_CHANGE {
            return Ok(Entry::RegistryChange(RegistryChange::from_bytes(&body[1..])?));
        }
        let entry = match kind_code {
            kind::FRAME => Entry::Frame(read_frame(&mut from)?),
            kind::OPERATION => {
                let requester = Holder(from.array()?);
                let bytes = from.long("signed operation", FRAME_BYTES_MAX)?;
                let operation = SignedOperation::new(Bytes::copy_from_slice(bytes))?;
                Entry::Operation { operation, requester }
            }
            kind::ACCESS_REQUEST => read_access(&mut from)?,
            kind::REFUSAL => Entry::Refusal(read_refusal(&mut from)?),
            kind::CLOSE => {
                let batch = BatchNumber(from.u64()?);
                Entry::Close { batch, t1: from.millis("end of the window")? }
            }
            kind::STREAM_OPEN => {
                let gateway = from.name("gateway id", GatewayId::new)?;
                Entry::StreamOpen { gateway, descriptor: Descriptor::read(&mut from)? }
            }
            found => {
                let found = u64::from(found);
                return Err(DecodeError::Unknown { what: "kind of entry", found }.into());
            }
        };
        from.finish()?;
        Ok(entry)
    }
}

fn read_frame(from: &mut Reader<'_>) -> Result<FrameEntry, FrameError> {
    let gateway = from.name("gateway id", GatewayId::new)?;
    let key = StreamKey::read(from)?;
    let bytes = Bytes::copy_from_slice(from.long("frame", FRAME_BYTES_MAX)?);
    let frame = Frame::from_bytes(bytes)?;
    if frame.header().handle.0 != 0 {
        return Err(DecodeError::field("stored frame", "expected handle 0").into());
    }
    Ok(FrameEntry { gateway, key, frame })
}

fn read_access(from: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let requester = Holder(from.array()?);
    let decision = read_decision(from)?;
    let bytes = from.long("signed access request", SignedAccessRequest::BYTES_MAX)?;
    let request = SignedAccessRequest::from_bytes(bytes)?;
    Ok(Entry::AccessRequest { request, requester, decision })
}

fn write_decision(decision: &Decision, to: &mut Writer) {
    match decision {
        Decision::Permitted { slot } => {
            to.u8(1);
            to.u8(slot.number());
        }
        Decision::Refused { refusal } => {
            to.u8(0);
            write_claim(refusal, to);
        }
    }
}

fn read_decision(from: &mut Reader<'_>) -> Result<Decision, DecodeError> {
    if from.flag("decision")? {
        return Ok(Decision::Permitted { slot: read_slot(from)? });
    }
    Ok(Decision::Refused { refusal: read_claim(from)? })
}

fn read_slot(from: &mut Reader<'_>) -> Result<RuleSlot, DecodeError> {
    RuleSlot::from_number(from.u8()?).map_err(|error| DecodeError::field("rule slot", error))
}

fn write_refusal(entry: &RefusalEntry, to: &mut Writer) {
    to.raw(&entry.requester.0);
    match &entry.what {
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
    to.u16(entry.code.number());
    match &entry.reason {
        RefusalReason::Code => to.u8(0),
        RefusalReason::Claim(refusal) => {
            to.u8(1);
            write_claim(refusal, to);
        }
        RefusalReason::Operation(rule) => {
            to.u8(2);
            to.u8(rule.number);
        }
    }
    to.digest(&entry.digest);
}

fn read_refusal(from: &mut Reader<'_>) -> Result<RefusalEntry, DecodeError> {
    let requester = Holder(from.array()?);
    let what = match from.u8()? {
        1 => {
            RefusedItem::Frame { stream: StreamName::read(from)?, sequence: Sequence(from.u64()?) }
        }
        2 => RefusedItem::Stream { stream: StreamName::read(from)? },
        3 => RefusedItem::Operation,
        4 => RefusedItem::AccessRequest,
        found => {
            return Err(DecodeError::Unknown { what: "refused thing", found: u64::from(found) });
        }
    };
    let code = read_code(from)?;
    let reason = match from.u8()? {
        0 => RefusalReason::Code,
        1 => RefusalReason::Claim(read_claim(from)?),
        2 => RefusalReason::Operation(RuleNumber::c1(from.u8()?)),
        found => {
            return Err(DecodeError::Unknown { what: "refusal reason", found: u64::from(found) });
        }
    };
    Ok(RefusalEntry { requester, what, code, reason, digest: from.digest()? })
}

pub(crate) fn read_code(from: &mut Reader<'_>) -> Result<RejectCode, DecodeError> {
    let found = from.u16()?;
    let unknown = DecodeError::Unknown { what: "reject code", found: u64::from(found) };
    RejectCode::from_number(found).ok_or(unknown)
}

/// Refusals by their number in the log, a deny without its slot. Numbers are never reused.
const REFUSALS: [(u8, Uncovered); 12] = [
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

/// Number of the refusal, slot (0 unless denied), then the rule's number in C2.
fn write_claim(refusal: &Uncovered, to: &mut Writer) {
    let number = REFUSALS.iter().find(|(_, known)| known == refusal);
    let slot = if let Uncovered::Denied(slot) = refusal { slot.number() } else { 0 };
    to.u8(number.map_or(DENIED, |(number, _)| *number));
    to.u8(slot);
    to.u8(refusal.rule().number);
}

fn read_claim(from: &mut Reader<'_>) -> Result<Uncovered, DecodeError> {
    let (number, slot, rule) = (from.u8()?, read_slot(from)?, from.u8()?);
    let known = REFUSALS.iter().find(|(known, _)| *known == number).map(|(_, refusal)| *refusal);
    let refusal = match known {
        Some(refusal) if slot.number() == 0 => refusal,
        None if number == DENIED => Uncovered::Denied(slot),
        _ => {
            return Err(DecodeError::Unknown { what: "refusal", found: u64::from(number) });
        }
    };
    if refusal.rule().number != rule {
        return Err(DecodeError::field("refusal", "expected the rule that the refusal stands for"));
    }
    Ok(refusal)
}
