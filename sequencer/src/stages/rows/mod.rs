//! Evaluates the row of an operation before the journal promises that it takes effect.
//!
//! ```text
//! session -> writer: rules hold ---> [rows, evaluations_max] ---> pool: every constraint
//!               ^                                                     |
//!               '------ the same operation with its evaluated row <---'
//! ```
//! The native twin decides, and the circuit is what is proven. Were the two ever to differ, an
//! operation that the twin accepts could be journaled and receipted, and its batch could then never
//! be proven. So the writer journals an operation only with an [`EvaluatedRow`] of the record that
//! it finds: of the same bytes, under the same record. One whose record has moved meanwhile goes
//! round again.
//!
//! Evaluating assigns the one-operation row of C1 and compares its products. It takes some
//! milliseconds, which the writer thread never waits for, on threads of its own: a proof keeps the
//! prover's threads busy for seconds, and a stop must not wait for that.

mod config;
mod evaluate;
mod pool;
#[cfg(test)]
mod tests;
mod urgency;

pub use config::AdmissionConfig;
pub use evaluate::{CircuitRows, Evaluate, EvaluatedRow, NotProvable, OperationRow};
pub use pool::{NotEvaluated, RowPool};
pub use urgency::{Urgency, count_protecting};
