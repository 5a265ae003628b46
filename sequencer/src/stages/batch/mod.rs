//! From a closed window to a settled batch's files: pure functions, no IO.
//!
//! [`WindowContents`](crate::window::WindowContents) is what admission hands over at a close.
//! [`plan`] lays it out as the chunks that the statements speak of and checks each natively; the
//! prover turns each into a proof; [`assemble`] puts header, public and private file together.

mod assemble;
mod plan;

pub use assemble::{BatchGroups, ProvenBatch, ProvenChunk, assemble};
pub use plan::{BatchBinding, BatchPlan, ClaimPlaces, PlanError, plan, plan_each};
