//! What a receipt says of its group: four lists of items, and which group it is.

use model::{ChainScope, Digest, Millis, Position, Sequence};

use crate::codec::{Reader, Writer};
use crate::limits::RECEIPT_ITEMS_MAX;
use crate::{DecodeError, StreamName};

/// Frames of one stream without a hole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FramesItem {
    /// Device, signal and epoch.
    pub stream: StreamName,
    /// First and last sequence.
    pub sequences: (Sequence, Sequence),
    /// Journal positions of the first and the last.
    pub positions: (Position, Position),
    /// When the last was appended.
    pub appended: Millis,
}

/// An operation that took effect, or an erasure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationItem {
    /// Journal position.
    pub position: Position,
    /// The operation's effective time, t_op.
    pub time: Millis,
    /// [`crate::SignedOperation::digest`], or [`crate::SignedErasure::digest`].
    pub digest: Digest,
}

/// A request to read, permitted or refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessItem {
    /// Journal position.
    pub position: Position,
    /// When it was decided.
    pub time: Millis,
    /// [`crate::SignedAccessRequest::digest`].
    pub digest: Digest,
    /// The decision.
    pub permitted: bool,
}

/// Something refused that is neither of the above. The reason is not in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusalItem {
    /// Journal position.
    pub position: Position,
    /// [`crate::RefusalEntry::digest`] of what was refused.
    pub digest: Digest,
}

/// What a receipt acknowledges, each list by ascending position.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Items {
    /// Frames.
    pub frames: Vec<FramesItem>,
    /// Operations.
    pub operations: Vec<OperationItem>,
    /// Access requests.
    pub accesses: Vec<AccessItem>,
    /// Refusals.
    pub refusals: Vec<RefusalItem>,
}

impl Items {
    /// Number of items of all kinds.
    pub fn len(&self) -> usize {
        self.frames.len() + self.operations.len() + self.accesses.len() + self.refusals.len()
    }

    /// Whether nothing is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last journal position that is acknowledged; 0 of nothing.
    pub fn last_position(&self) -> Position {
        let frames = self.frames.iter().map(|item| item.positions.1);
        let operations = self.operations.iter().map(|item| item.position);
        let accesses = self.accesses.iter().map(|item| item.position);
        let refusals = self.refusals.iter().map(|item| item.position);
        frames.chain(operations).chain(accesses).chain(refusals).max().unwrap_or_default()
    }

    pub(super) fn write(&self, to: &mut Writer) {
        let Items { frames, operations, accesses, refusals } = self;
        // No cast cuts one off: together they are at most 512 (`Receipt::new`).
        for count in [frames.len(), operations.len(), accesses.len(), refusals.len()] {
            to.u16(count as u16);
        }
        for item in frames {
            item.stream.write(to);
            to.u64(item.sequences.0.0);
            to.u64(item.sequences.1.0);
            to.u64(item.positions.0.0);
            to.u64(item.positions.1.0);
            to.millis(item.appended);
        }
        for item in operations {
            to.u64(item.position.0);
            to.millis(item.time);
            to.digest(&item.digest);
        }
        for item in accesses {
            to.u64(item.position.0);
            to.millis(item.time);
            to.digest(&item.digest);
            to.u8(u8::from(item.permitted));
        }
        for item in refusals {
            to.u64(item.position.0);
            to.digest(&item.digest);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Items, DecodeError> {
        // Each count is bounded by itself here; `Receipt::new` bounds their sum.
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = from.count("receipt items", RECEIPT_ITEMS_MAX)?;
        }
        Ok(Items {
            frames: list(counts[0], || read_frames(from))?,
            operations: list(counts[1], || read_operation(from))?,
            accesses: list(counts[2], || read_access(from))?,
            refusals: list(counts[3], || read_refusal(from))?,
        })
    }
}

/// Which group of the log, of which deployment, in which term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupIdentity {
    /// Chain and contract.
    pub scope: ChainScope,
    /// Number of the group.
    pub group: u64,
    /// Losses that the operator had accepted before it.
    pub term: u32,
    /// Journal hash of the group; opaque here.
    pub journal_hash: [u8; 32],
}

/// Grows with what is read, never with what a count claims.
fn list<T>(
    count: usize,
    read: impl FnMut() -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    std::iter::repeat_with(read).take(count).collect()
}

fn read_frames(from: &mut Reader<'_>) -> Result<FramesItem, DecodeError> {
    Ok(FramesItem {
        stream: StreamName::read(from)?,
        sequences: (Sequence(from.u64()?), Sequence(from.u64()?)),
        positions: (Position(from.u64()?), Position(from.u64()?)),
        appended: from.millis("append time")?,
    })
}

fn read_operation(from: &mut Reader<'_>) -> Result<OperationItem, DecodeError> {
    Ok(OperationItem {
        position: Position(from.u64()?),
        time: from.millis("operation time")?,
        digest: from.digest()?,
    })
}

fn read_access(from: &mut Reader<'_>) -> Result<AccessItem, DecodeError> {
    Ok(AccessItem {
        position: Position(from.u64()?),
        time: from.millis("access time")?,
        digest: from.digest()?,
        permitted: from.flag("decision")?,
    })
}

fn read_refusal(from: &mut Reader<'_>) -> Result<RefusalItem, DecodeError> {
    Ok(RefusalItem { position: Position(from.u64()?), digest: from.digest()? })
}
