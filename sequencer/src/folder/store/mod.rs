//! What is derived and has no order of its own: assembled batches and the transactions that settle
//! them. redb holds the rows, two files a batch hold its bytes.
//!
//! Layout below the store's folder:
//!
//! ```text
//! store.redb                  meta, batches, outbox
//! batches/000001/public.bin   what `GET /batches/1` serves; once it is in an archive alone,
//!                             `public.archived` stands for it
//! batches/000001/private.bin  openings, each sealed for its patient
//! ```
//!
//! A row exists only after both files are durable, and it holds their blake3: a file that changed
//! afterwards is reported and never served (I8). Rows are canonical bytes with a version; a store
//! of another format version is refused. All methods block for as long as the disk takes; writes
//! commit in two phases with immediate durability.
//!
//! It decides nothing: which batch comes next is the batcher's business, what is sent is the
//! settler's.

mod archived;
mod batch_archive;
mod batches;
mod copy;
mod database;
mod error;
mod files;
mod give_up;
mod outbox;
mod replace;
mod row;
#[cfg(test)]
pub(crate) mod tests;

pub use archived::BroughtPublic;
pub use batch_archive::{BatchArchive, BroughtBatch, NotBrought};
pub use batches::{BatchFile, Saved};
pub use copy::FileOfBatch;
pub use database::Store;
pub use error::StoreError;
pub use row::{BatchRow, FileDigest, OutboxRow, OutboxState, Settled};
