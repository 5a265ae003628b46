//! One operation as the row of the circuit that it will be.

use std::sync::OnceLock;

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use circuits::shapes::{Capacity, SHAPES, Shape, Statement, WrongShape};
use model::{Digest, Record, TimeError, Window};
use statement::c1::{self, C1Error, Chunk, Context, Row};
use statement::inputs::C1Inputs;
use statement::operation::SignedOperation;
use statement::record;
use statement::tree::Tree;
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
    /// The twin refuses the chunk that holds the operation alone.
    #[error("the chunk of the operation alone does not hold")]
    Chunk(#[source] C1Error),
    /// The times make no window.
    #[error("the operation's times make no window")]
    Window(#[source] TimeError),
    /// No shape holds one operation.
    #[error("expected a shape of one operation, found none that fits")]
    Shape(#[source] Option<WrongShape>),
    /// Twin and circuit differ: a constraint does not hold.
    #[error("constraint {row} does not hold (of rule {rule})")]
    Constraint {
        /// Its number in the shape of one operation.
        row: usize,
        /// The rule that owns it; empty outside of rules.
        rule: &'static str,
    },
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

    /// The chunk that holds the operation alone, and its public inputs.
    fn chunk(&self) -> Result<(Chunk, C1Inputs), NotProvable> {
        let Context { sig_domain, registrar_key_hash, t0, last_time, t_op, .. } = self.context;
        // The window is still open: any end after the operation will do for its row.
        let window = Window::new(t0, t_op.plus(1)).map_err(NotProvable::Window)?;
        let context = Context { t1: Some(window.t1()), ..self.context };
        let new = c1::apply(self.old.as_ref(), &self.signed, &context);
        let new = new.map_err(NotProvable::Chunk)?;
        // A tree with this record alone: the row asks for a path, and of which tree is nothing to
        // it.
        let (index, mut tree) = (self.signed.operation.patient.get(), Tree::new());
        if let Some(old) = &self.old {
            tree.set(index, record::leaf(old));
        }
        let (root_in, path) = (tree.root(), tree.path(index));
        tree.set(index, record::leaf(&new));
        let row = Row {
            signed: self.signed.clone(),
            t_op,
            old: self.old.clone(),
            path,
            root_out: tree.root(),
            // Blinds the leaf and is bound by no rule but the leaf's hash: any value will do.
            op_salt: Fr::ZERO,
        };
        let chunk = Chunk {
            root_in,
            time_in: last_time,
            window,
            // The number of the batch is known at its close only, and no row reads the domain.
            domain: sig_domain,
            sig_domain,
            registrar_key_hash,
            capacity: 1,
            rows: vec![row],
        };
        let inputs = c1::check(&chunk).map_err(NotProvable::Chunk)?;
        Ok((chunk, inputs))
    }
}

impl EvaluatedRow {
    /// Whether it is of these bytes under this record. The whole record is compared, so that key,
    /// nonce and leaf are those that were evaluated.
    pub fn is_of(&self, digest: Digest, record: Option<&Record>) -> bool {
        self.digest == digest && self.old.as_ref() == record
    }
}

/// Evaluates with the circuit itself: the smallest shape of C1, whose row is that of every shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct CircuitRows;

impl Evaluate for CircuitRows {
    fn evaluate(&self, row: &OperationRow) -> Result<(), NotProvable> {
        let (chunk, inputs) = row.chunk()?;
        let shape = one_operation().ok_or(NotProvable::Shape(None))?;
        let assigned = shape.assign(Statement::C1(&inputs, &chunk));
        let assigned = assigned.map_err(|wrong| NotProvable::Shape(Some(wrong)))?;
        let mut products = assigned.az.iter().zip(&assigned.bz).zip(&assigned.cz);
        match products.position(|((a, b), c)| *a * b != *c) {
            None => Ok(()),
            Some(row) => Err(NotProvable::Constraint { row, rule: rule_of(shape, row) }),
        }
    }
}

fn one_operation() -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.capacity == Capacity::Operations(1))
}

/// The rule that owns a row. The matrices are made for the first row that does not hold, and only
/// their labels are kept: nobody should ever need them.
fn rule_of(shape: &Shape, row: usize) -> &'static str {
    static RULES: OnceLock<Vec<&'static str>> = OnceLock::new();
    RULES.get_or_init(|| shape.matrices().rules).get(row).copied().unwrap_or("")
}
