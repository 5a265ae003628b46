//! The proving service: the chunks of closed windows as jobs, and who works on them.
//!
//! ```text
//! planner --submit--> [table of jobs] <--lease, answer-- threads of the node (local)
//! batcher <--wait----'                <--lease, beat, answer-- carriers to other machines (Jobs)
//! ```
//! What is decided stands in [`JobTable`], a value without clock or thread; [`ProvingService`] puts
//! it behind a lock and verifies every proof against the node's own inputs and key, whoever made
//! it: workers carry and never vouch. The table may be lost at any time: it is filled from the
//! journal.

mod chunk;
mod cores;
mod error;
mod lease;
mod local;
mod names;
mod service;
mod set;
mod table;

pub use chunk::ChunkJob;
pub use error::{AnswerError, JobError};
pub use lease::{Answer, Jobs, LeasedJob};
pub use local::start_workers;
pub use names::{InputHash, LeaseToken, WorkerName, WrongWorkerName};
pub use service::{Around, ProvingService};
pub use set::{JobSet, SetError};
pub use table::{
    Expected, Failure, JobState, JobTable, LeaseError, Leased, Outcome, ProofBytes, Urgency,
};
