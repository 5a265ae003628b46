//! Batch files (SPEC.md section 13): the *public* file, from which with the base chain alone
//! everything is audited, and the *private* file, which holds each patient's openings sealed
//! under that patient's view key.
//!
//! A batch is a folder `NNNNNN/` with `public.bin` and `private.bin`; the node serves the public
//! file at `GET /batches/{n}`.

mod error;
mod opening;
mod private;
mod public;
mod receipts;

pub use error::FileError;
pub use opening::{ClaimOpening, OperationOpening, PatientOpening};
pub use private::{PrivateFile, SealedOpening, UnsealError};
pub use public::{ClaimsChunk, GroupSummary, OperationsChunk, PublicFile, SegmentEntry, data_root};
pub use receipts::{GroupsError, Inclusion, ReceiptedGroup, SettledGroups};
