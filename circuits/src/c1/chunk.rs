//! A chunk: its rows between two roots and two times, and what is counted over all of them.

use super::parts::WINDOW_BITS;
use super::row::{self, Edges, Shared, Step};
use super::values::Values;
use crate::builder::{Builder, Num};
use crate::claim::root16;
use ark_bn254::Fr;
use statement::c1::Chunk;
use statement::domain::Domain;
use statement::inputs::C1Inputs;

/// The rows of C1 for a chunk's capacity, assigned for `inputs` and `chunk`.
pub fn circuit(b: &mut Builder, inputs: &C1Inputs, chunk: &Chunk) {
    assign(b, inputs, &Values::of(chunk));
}

/// [`circuit`] over values that need not come from a chunk.
pub fn assign(b: &mut Builder, inputs: &C1Inputs, values: &Values) {
    let [
        root_in,
        root_out,
        t0,
        t1,
        time_in,
        time_out,
        domain,
        sig_domain,
        registrar,
        operations,
        enrolments,
        operations_root,
    ] = inputs.to_field_elements().map(|value| b.input(value));

    // Read by every row and changed by none: the rows run in parallel.
    let shared = Shared { t0, sig_domain, registrar };
    let roots = alloc_between(b, root_in, values.rows.iter().map(|row| row.root_out), root_out);
    let times = alloc_between(b, time_in, values.rows.iter().map(|row| row.t_op), time_out.clone());
    let rows = values.rows.iter().zip(roots.windows(2)).zip(times.windows(2));
    let rows: Vec<_> =
        rows.map(|((values, roots), times)| (values, Edges::new(roots, times))).collect();
    let steps = b.each(&rows, |b, (values, edges)| row::row(b, &shared, edges, values));

    // Once for all rows: times ascend, so that the last stands for every one.
    b.rule("C1.3", |b| b.range(&(t1 - time_out - Num::one()), WINDOW_BITS));
    let leaves: Vec<Num> = steps.iter().map(|step| step.leaf.clone()).collect();
    b.rule("C1.24", |b| {
        let root = root16(b, Domain::OperationsNode, &leaves);
        b.enforce_equal(&root, &operations_root);
    });
    b.rule("C1.25", |b| {
        let count = |of: fn(&Step) -> &Num| Num::sum(steps.iter().map(of));
        b.enforce_equal(&count(|step| &step.active), &operations);
        b.enforce_equal(&count(|step| &step.enrol), &enrolments);
    });
    // Nothing reads the domain; a row holds it, so that the verifying key has a point for it and a
    // proof for another domain does not verify.
    b.rule("C1.26", |b| b.product(&domain, &domain));
}

/// `first`, a private value for each row but the last, `last`. The rows tie them together.
fn alloc_between(
    b: &mut Builder,
    first: Num,
    after: impl ExactSizeIterator<Item = Fr>,
    last: Num,
) -> Vec<Num> {
    // There is at least one row, padding included. The last value is the public input itself, which
    // saves the row of an equality.
    let inner = after.len() - 1;
    let mut chain = vec![first];
    chain.extend(after.take(inner).map(|value| b.alloc(value)));
    chain.push(last);
    chain
}
