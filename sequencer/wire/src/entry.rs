//! Bodies of the log's entries: who reads the log decodes them here (docs/wire.md section 7).

use bytes::Bytes;
use model::{BatchNumber, Digest, GatewayId, Millis, Sequence};

use crate::codec::{Reader, Writer};
use crate::hash::Holder;
use crate::limits::FRAME_BYTES_MAX;
use crate::{
    DecodeError, Descriptor, FrameError, RegistryChange, SealedOperation, SignedAccessRequest,
    SignedOperation, StoredOperation, StreamName,
};

mod decision;
mod erasure;
mod frame;
mod gap;
mod query;
mod refusal;
mod sealed;

pub use decision::Decision;
pub use erasure::{ErasureEntry, HoldChange, HoldEntry};
pub use frame::FrameEntry;
pub use gap::{GapEntry, JournalPlace};
pub use query::QueryEntry;
pub use refusal::{
    RefusalCount, RefusalEntry, RefusalReason, RefusedItem, RefusedKind, place_digest,
};
pub use sealed::{SealedFrame, Sealing, StoringFrame};

/// The body of one entry.
// Entries are decoded one at a time and seldom kept, so a box for the rare kind would gain nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A frame that a live rule covered when it was appended.
    Frame(FrameEntry),
    /// The same, as it stands in the log since readings are sealed.
    SealedFrame(SealedFrame),
    /// An operation that took effect at the entry's time.
    Operation {
        /// The operation.
        operation: StoredOperation,
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
    /// Groups before this one were lost, and the operator accepted it.
    Gap(GapEntry),
    /// How often the same was refused again.
    RefusalCount(RefusalCount),
    /// A patient's readings are erased.
    Erasure(ErasureEntry),
    /// A legal hold on the erasure of a patient's readings is set or cleared.
    Hold(HoldEntry),
    /// A system asked whether consent would allow something, and was told.
    Query(QueryEntry),
}

/// Which frame an entry stores.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameName<'a> {
    /// Who sent it.
    pub gateway: &'a GatewayId,
    /// The stream as receipts name it.
    pub stream: StreamName,
    /// Number of the frame.
    pub sequence: Sequence,
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
    pub(super) const GAP: u8 = 8;
    pub(super) const REFUSAL_COUNT: u8 = 9;
    pub(super) const ERASURE: u8 = 10;
    pub(super) const HOLD: u8 = 11;
    pub(super) const QUERY: u8 = 12;
}

impl Entry {
    /// Version byte of every body but that of a sealed frame, which is 3.
    pub const VERSION: u8 = 2;
    /// Largest body: a frame with what stands beside it.
    pub const BYTES_MAX: usize = FRAME_BYTES_MAX + 1024;

    /// The code of this kind of entry in the journal.
    pub fn kind_code(&self) -> u8 {
        match self {
            Entry::Frame(_) | Entry::SealedFrame(_) => kind::FRAME,
            Entry::Operation { .. } => kind::OPERATION,
            Entry::AccessRequest { .. } => kind::ACCESS_REQUEST,
            Entry::Refusal(_) => kind::REFUSAL,
            Entry::RegistryChange(_) => kind::REGISTRY_CHANGE,
            Entry::Close { .. } => kind::CLOSE,
            Entry::StreamOpen { .. } => kind::STREAM_OPEN,
            Entry::Gap(_) => kind::GAP,
            Entry::RefusalCount(_) => kind::REFUSAL_COUNT,
            Entry::Erasure(_) => kind::ERASURE,
            Entry::Hold(_) => kind::HOLD,
            Entry::Query(_) => kind::QUERY,
        }
    }

    /// The frame that it stores, if it stores one: all that can be told without a key.
    pub fn frame_name(&self) -> Option<FrameName<'_>> {
        let (gateway, stream, sequence) = match self {
            Entry::Frame(frame) => (&frame.gateway, frame.stream(), frame.sequence()),
            Entry::SealedFrame(frame) => (&frame.gateway, frame.stream(), frame.sequence()),
            _ => return None,
        };
        Some(FrameName { gateway, stream, sequence })
    }

    /// Canonical bytes of the body.
    ///
    /// # Errors
    /// [`DecodeError`] if a registry change or a request to erase is malformed.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }

    /// As [`Entry::to_bytes`], behind what `bytes` has: for whoever gathers many.
    ///
    /// # Errors
    /// As [`Entry::to_bytes`]; `bytes` is then as it was.
    pub fn write(&self, bytes: &mut Vec<u8>) -> Result<(), DecodeError> {
        let before = bytes.len();
        let mut to = Writer(std::mem::take(bytes));
        let written = self.write_to(&mut to);
        *bytes = to.0;
        if written.is_err() {
            bytes.truncate(before);
        }
        written
    }

    fn write_to(&self, to: &mut Writer) -> Result<(), DecodeError> {
        if let Entry::SealedFrame(frame) = self {
            to.raw(frame.as_bytes());
            return Ok(());
        }
        to.u8(Entry::VERSION);
        match self {
            // Written above, with a version of its own.
            Entry::SealedFrame(_) => {}
            Entry::Frame(entry) => {
                to.text(entry.gateway.as_str());
                entry.key.write(to);
                to.long(entry.frame().as_bytes());
            }
            Entry::Operation { operation, requester } => {
                to.raw(&requester.0);
                write_operation(operation, to);
            }
            Entry::AccessRequest { request, requester, decision } => {
                to.raw(&requester.0);
                decision.write(to);
                to.long(&request.to_bytes());
            }
            Entry::Refusal(entry) => entry.write(to),
            Entry::RegistryChange(change) => to.raw(&change.to_bytes()?),
            Entry::Close { batch, t1 } => {
                to.u64(batch.0);
                to.millis(*t1);
            }
            Entry::StreamOpen { gateway, descriptor } => {
                to.text(gateway.as_str());
                descriptor.write(to);
            }
            Entry::Gap(entry) => entry.write(to),
            Entry::RefusalCount(counted) => counted.write(to),
            Entry::Erasure(erasure) => erasure.write(to)?,
            Entry::Hold(hold) => hold.write(to),
            Entry::Query(query) => query.write(to),
        }
        Ok(())
    }

    /// Reads the body of an entry of the kind with this code.
    ///
    /// # Errors
    /// [`FrameError`] for an unknown kind or a body that is not canonical.
    pub fn from_bytes(kind_code: u8, body: &[u8]) -> Result<Entry, FrameError> {
        // The one kind with two forms: which one it is says the version.
        if kind_code == kind::FRAME && body.first() == Some(&sealed::VERSION) {
            return Ok(Entry::SealedFrame(SealedFrame::read(body)?));
        }
        let mut from = Reader::new("entry", body);
        from.version(Entry::VERSION)?;
        // A change has canonical bytes of its own, version and end included, which are the rest.
        if kind_code == kind::REGISTRY_CHANGE {
            return Ok(Entry::RegistryChange(RegistryChange::from_bytes(&body[1..])?));
        }
        let entry = match kind_code {
            kind::FRAME => Entry::Frame(FrameEntry::read(&mut from)?),
            kind::OPERATION => {
                let requester = Holder(from.array()?);
                Entry::Operation { operation: read_operation(&mut from)?, requester }
            }
            kind::ACCESS_REQUEST => read_access(&mut from)?,
            kind::REFUSAL => Entry::Refusal(RefusalEntry::read(&mut from)?),
            kind::CLOSE => {
                let batch = BatchNumber(from.u64()?);
                Entry::Close { batch, t1: from.millis("end of the window")? }
            }
            kind::STREAM_OPEN => {
                let gateway = from.name("gateway id", GatewayId::new)?;
                Entry::StreamOpen { gateway, descriptor: Descriptor::read(&mut from)? }
            }
            kind::GAP => Entry::Gap(GapEntry::read(&mut from)?),
            kind::REFUSAL_COUNT => Entry::RefusalCount(RefusalCount::read(&mut from)?),
            kind::ERASURE => Entry::Erasure(ErasureEntry::read(&mut from)?),
            kind::HOLD => Entry::Hold(HoldEntry::read(&mut from)?),
            kind::QUERY => Entry::Query(QueryEntry::read(&mut from)?),
            found => {
                let found = u64::from(found);
                return Err(DecodeError::Unknown { what: "kind of entry", found }.into());
            }
        };
        from.finish()?;
        Ok(entry)
    }
}

/// Whether an operation stands in the log as it was signed or sealed.
mod form {
    pub(super) const PLAIN: u8 = 0;
    pub(super) const SEALED: u8 = 1;
}

fn write_operation(operation: &StoredOperation, to: &mut Writer) {
    match operation {
        StoredOperation::Plain(operation) => {
            to.u8(form::PLAIN);
            to.long(operation.as_bytes());
        }
        StoredOperation::Sealed(operation) => {
            to.u8(form::SEALED);
            // Beside the sealed bytes: a receipt is built again by whoever has no key (W.34).
            to.digest(&operation.digest());
            to.long(operation.as_bytes());
        }
    }
}

fn read_operation(from: &mut Reader<'_>) -> Result<StoredOperation, DecodeError> {
    match from.u8()? {
        form::PLAIN => {
            // A bound for reading only; the type itself has the smaller one.
            let bytes = from.long("signed operation", FRAME_BYTES_MAX)?;
            Ok(StoredOperation::Plain(SignedOperation::new(Bytes::copy_from_slice(bytes))?))
        }
        form::SEALED => {
            let digest = Digest(from.array()?);
            let bytes = from.long("sealed operation", FRAME_BYTES_MAX)?;
            let sealed = SealedOperation::new(digest, Bytes::copy_from_slice(bytes))?;
            Ok(StoredOperation::Sealed(sealed))
        }
        found => {
            Err(DecodeError::Unknown { what: "form of an operation", found: u64::from(found) })
        }
    }
}

fn read_access(from: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let requester = Holder(from.array()?);
    let decision = Decision::read(from)?;
    let bytes = from.long("signed access request", SignedAccessRequest::BYTES_MAX)?;
    let request = SignedAccessRequest::from_bytes(bytes)?;
    Ok(Entry::AccessRequest { request, requester, decision })
}
