//! The proving stage: closed windows in, assembled batches out, in order, on a thread of its own,
//! while the next window fills.
//!
//! A window that cannot be proven or stored does not end the node: it is tried again, more and more
//! slowly, and the windows behind it wait ([`BatcherLoop`]), while collection goes on.
//!
//! It never decides what is proven (admission did) and never touches the chain (settlement does).
//! A batch that is assembled already is not proven again after a restart.

mod keys;
mod run;
mod stage;

pub use keys::{ProverKeys, ProverKeysError, Wanted};
pub use run::BatcherLoop;
pub use stage::{
    BatchSink, Batcher, BatcherConfig, BatcherError, ChunkProver, LastBatch, MakeBatch, Progress,
    groups_of,
};
