//! A window of time as it passes through the stages: what it may hold, what happened in it once it
//! is closed, and the files of its batch.
//!
//! ```text
//! ledger -> ClosedWindow (WindowContents) -> batch, prove -> Assembled -> store, settle, http
//! ```
//! Plain values, owned below every stage, so that no stage knows who makes or takes them.

mod closed;
mod contents;
mod limits;
mod operation;

pub use closed::{Assembled, ClosedWindow};
pub use contents::{PatientState, WindowContents};
pub use limits::{Capacities, WindowLimits};
pub use operation::{AppliedOperation, OperationScope};
