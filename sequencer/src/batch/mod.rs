//! From a closed window to a settled batch's files: pure functions, no IO.
//!
//! [`WindowContents`] is what admission hands over at a close. [`plan`] lays it out as the chunks
//! that the statements speak of and checks each natively; the prover turns each into a proof;
//! [`assemble`] puts header, public and private file together.

mod assemble;
mod contents;
mod plan;

pub use assemble::{Assembled, JournalSpan, ProvenBatch, ProvenChunk, assemble};
pub use contents::{PatientState, WindowContents};
pub use plan::{BatchPlan, Capacities, PlanError, plan};
