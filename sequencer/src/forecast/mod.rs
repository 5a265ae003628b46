//! What windows, proofs, waits and gas would have been, had a node run under other settings.
//!
//! ```text
//! arrivals --> past       which closes no rule explains, when the node did not run
//!    |           |
//!    `--> replay (the ledger's own window, limits and cadence) --> windows
//!            --> layout (the mix that the batcher takes)        --> proofs by shape
//!            --> timeline (workers, blocks)                     --> waits, transactions
//!            --> row (gas, cost)
//! ```
//! Nothing here opens a file, reads a clock or draws a number: arrivals and settings come in, rows
//! go out. `node::recorded` reads arrivals from a stopped node's journal, `sequencer plan` prints.

mod arrivals;
mod candidates;
mod error;
mod expected;
mod layout;
mod past;
mod predict;
mod proving;
mod replay;
mod row;
mod spread;
mod timeline;

pub use arrivals::{Arrival, Arrivals};
pub use candidates::{Candidate, Candidates, MODELLED, SetError};
pub use error::ForecastError;
pub use expected::{Compared, Expected, Happened, NoPlan, PlanErrors};
pub use past::Past;
pub use predict::{Forecast, Question, predict};
pub use proving::{ProofSeconds, ProofSource, ProofTimes, UnknownProof};
pub use row::{Day, Left, Row};
pub use spread::Spread;
