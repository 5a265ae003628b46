//! One operation against the rows, before anything depends on it.

use super::chunk::assign;
use super::values::{RowValues, Values};
use crate::builder::{matrices, witness};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::{OperationKind, Record};
use statement::c1::{C1Error, Context, Row, effect};
use statement::claim::root16;
use statement::domain::Domain;
use statement::inputs::C1Inputs;
use statement::operation::{self, SignedOperation};
use statement::record;
use statement::tree::Tree;
use std::sync::OnceLock;

/// Why the rows of C1 do not take an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The native rules refuse it already; those of the signature are not asked.
    #[error("the operation is refused before its rows are asked")]
    Refused(#[from] C1Error),
    /// The native rules hold and a row does not. After [`statement::c1::apply`] took the operation
    /// this is a fault of this program: no batch with it could be proven.
    #[error("expected every row of the operation to hold, found one of {rule} that does not")]
    Violated {
        /// The rule that owns the first violated row.
        rule: &'static str,
    },
}

/// Whether every row of C1 holds for `signed` on `record` (`None`: there is none at the index yet),
/// with the arguments of [`statement::c1::apply`], whose twin this is: a chunk of this operation
/// alone is assigned and each of its rows evaluated, about 16,300 of them.
///
/// The signature is asked by the rows only. What no row can fail by is made up: the record stands
/// in a tree of its own, domain and salt are zero, and where the end of the window is not known
/// yet, the window ends right after the operation.
///
/// It takes milliseconds, depends on its arguments only and keeps nothing.
///
/// # Errors
/// [`RowError`].
pub fn check_row(
    record: Option<&Record>,
    signed: &SignedOperation,
    context: &Context,
) -> Result<(), RowError> {
    let (inputs, row) = alone(record, signed, context)?;
    let values = Values { rows: vec![RowValues::of(&row)] };
    let assignment = witness(|b| assign(b, &inputs, &values));
    match assignment.first_violated() {
        Some(row) => Err(RowError::Violated { rule: rule_of(row, &inputs, &values) }),
        None => Ok(()),
    }
}

/// The operation as the only one of a chunk, with the chunk's public inputs.
fn alone(
    record: Option<&Record>,
    signed: &SignedOperation,
    context: &Context,
) -> Result<(C1Inputs, Row), C1Error> {
    let (operation, t_op) = (&signed.operation, context.t_op);
    let after = effect(record, operation, context)?;
    let (index, mut tree) = (operation.patient.get(), Tree::new());
    if let Some(record) = record {
        tree.set(index, record::leaf(record));
    }
    let (root_in, path) = (tree.root(), tree.path(index));
    tree.set(index, record::leaf(&after));
    let (root_out, op_salt) = (tree.root(), Fr::ZERO);
    let message = operation::message(context.sig_domain, operation);
    let leaf = operation::leaf(message, t_op, op_salt);
    let inputs = C1Inputs {
        root_in,
        root_out,
        t0: context.t0,
        t1: context.t1.unwrap_or_else(|| t_op.plus(1)),
        time_in: context.last_time,
        time_out: t_op,
        domain: Fr::ZERO,
        sig_domain: context.sig_domain,
        registrar: context.registrar_key_hash,
        operations: 1,
        enrolments: u32::from(operation.kind() == OperationKind::Enrol),
        operations_root: root16(Domain::OperationsNode, &[leaf]),
    };
    let old = record.cloned();
    Ok((inputs, Row { signed: signed.clone(), t_op, old, path, root_out, op_salt }))
}

/// The rule that owns a row of one operation.
fn rule_of(row: usize, inputs: &C1Inputs, values: &Values) -> &'static str {
    static RULES: OnceLock<Vec<&'static str>> = OnceLock::new();
    // Learnt when a row is violated for the first time, from any operation: values do not enter the
    // rows, and an operation that holds needs no names.
    RULES.get_or_init(|| matrices(|b| assign(b, inputs, values)).0.rules)[row]
}
