//! The proving stage: closed windows in, assembled batches out, in order, on a thread of its own,
//! while the next window fills.
//!
//! It never decides what is proven (admission did) and never touches the chain (settlement does).
//! A batch that is assembled already is not proven again after a restart.

mod keys;
mod stage;

pub use keys::{ProverKeys, ProverKeysError};
pub use stage::{BatchSink, Batcher, BatcherConfig, BatcherError, LastBatch, Progress, groups_of};
