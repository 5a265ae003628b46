//! The proving stage: closed windows in, assembled batches out, in order, while the next window
//! fills.
//!
//! ```text
//! windows -> planner -> [jobs] -> workers      operations before claims, older batches first
//!               '--> batcher <------'          waits for the proofs, assembles, stores
//! ```
//! The planner lays windows out, one ahead of the batcher; the chunks are jobs of the proving
//! service ([`jobs`]), proven in any order by threads of the node and of other machines; the
//! batcher takes the windows in order.
//!
//! A window that cannot be proven or stored does not end the node: it is tried again, more and more
//! slowly, and the windows behind it wait ([`BatcherLoop`]), while collection goes on.
//!
//! It never decides what is proven (admission did) and never touches the chain (settlement does).
//! A batch that is assembled already is not proven again after a restart.

pub mod elsewhere;
pub mod jobs;
mod keys;
mod planner;
mod progress;
mod run;
mod stage;

pub use keys::{ProverKeys, ProverKeysError, Wanted};
pub use planner::{Planned, Planner};
pub use progress::Progress;
pub use run::BatcherLoop;
pub use stage::{BatchSink, Batcher, BatcherError, LastBatch, MakeBatch, groups_of};
