//! One operation as the row of the circuit that it will be.

use circuits::c1::{RowError, check_row};
use model::{Digest, Record};
use statement::c1::Context;
use statement::operation::SignedOperation;
use thiserror::Error;

/// An operation that the native twin accepts, with everything that its row needs.
#[derive(Clone, Debug)]
pub struct OperationRow {
    /// The operation.
    pub signed: SignedOperation,
    /// Digest of the bytes that are journaled.
    pub digest: Digest,
    /// The record before it; `None` before an enrolment.
    pub old: Option<Record>,
    /// What it meets beside its record.
    pub context: Context,
}

/// Proof towards the writer that a row was evaluated, and whose: only
/// [`OperationRow::evaluate`] makes one.
#[derive(Clone, Debug)]
pub struct EvaluatedRow {
    digest: Digest,
    old: Option<Record>,
}

/// Why an operation that the native twin accepts is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotProvable {
    /// Twin and circuit differ.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The evaluation panicked.
    #[error("the evaluation panicked")]
    Panicked,
}

/// Says whether a row can be proven. A value of its own so that a test can plant one that differs
/// from the twin.
pub trait Evaluate: Send + Sync + 'static {
    /// Evaluates every constraint of the row.
    ///
    /// # Errors
    /// [`NotProvable`] with the first that does not hold.
    fn evaluate(&self, row: &OperationRow) -> Result<(), NotProvable>;
}

impl OperationRow {
    /// Evaluates the row; what comes back lets the writer journal the operation.
    ///
    /// # Errors
    /// As [`Evaluate::evaluate`].
    pub fn evaluate(self, rows: &dyn Evaluate) -> Result<EvaluatedRow, NotProvable> {
        rows.evaluate(&self)?;
        Ok(EvaluatedRow { digest: self.digest, old: self.old })
    }
}

impl EvaluatedRow {
    /// Whether it is of these bytes under this record. The whole record is compared, so that key,
    /// nonce and leaf are those that were evaluated.
    pub fn is_of(&self, digest: Digest, record: Option<&Record>) -> bool {
        self.digest == digest && self.old.as_ref() == record
    }
}

/// Evaluates with the circuit itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct CircuitRows;

impl Evaluate for CircuitRows {
    fn evaluate(&self, row: &OperationRow) -> Result<(), NotProvable> {
        Ok(check_row(row.old.as_ref(), &row.signed, &row.context)?)
    }
}
