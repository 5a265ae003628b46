//! Batch files (SPEC.md section 13): the *public* file, from which with the base chain alone
//! everything is audited, and the *private* file, which holds each patient's openings sealed
//! under that patient's view key.
//!
//! A batch is a folder `NNNNNN/` with `public.bin` and `private.bin`; the node serves the public
//! file at `GET /batches/{n}`.

mod error;
mod frames;
mod layout;
mod lists;
mod opening;
mod private;
mod public;
mod receipts;
mod refused;
mod segment;
#[cfg(test)]
#[allow(dead_code, reason = "each crate's tests need a part of it")]
mod small;

pub use error::FileError;
pub use frames::{
    Compared, ComparedClaim, ComparedFrames, JournalSpan, ReleasedFrame, ReleasedFrames,
};
pub use layout::{Layout, Layouts, SHAPES};
pub use lists::{Leaf, List, Lists, ListsError, TagOwner, TaggedSlot, check_lists};
pub use opening::{ClaimOpening, OpeningError, OperationOpening, PatientOpening};
pub use private::{OpeningKey, PrivateFile, SealScope, SealedOpening, UnsealError};
pub use public::{ClaimsChunk, GroupSummary, OperationsChunk, PublicFile};
pub use receipts::{
    GroupsError, Inclusion, JournalEnd, NotFound, Receipted, ReceiptedGroup, SettledGroups,
    WaitingReceipts,
};
pub use refused::{RefusedAccess, Requester};
pub use segment::{SegmentEntry, SegmentFrames, SegmentKey, data_root, sort_segments};
