//! C1: the consent root after a chunk of operations (SPEC.md section 9), twin of `statement::c1`.
//!
//! One universal row for each operation. The kind is one-hot and multiplies what it demands; every
//! row opens a record, closes one, hashes, verifies and updates the tree, whatever its kind, so
//! that the structure does not depend on values:
//!
//! ```text
//! kind, slot, index, times --> head ----+
//! argument words --> argument ----------+--> message --> signature by record's or registrar's key
//!       |                               |        |
//!       +--> rule (unpacked) --+        |        +--> row leaf --> operations_root
//! old record --> old rule -----+--> new record
//!    |   nonce ----------------|--------+   |
//!    +--> old leaf --> root before          +--> new leaf --> root after
//! ```
//!
//! The roots and times between rows are private values given beforehand, so that a witness run
//! takes the rows in parallel; each row ties its two roots and its two times together.
//!
//! # Widths
//! All bounds follow from the public times, which the contract keeps below 2^44: times ascend by
//! less than 2^27 a row and end before t1 (C1.2, C1.3), so every `t_op` is one of the window. Rule
//! times are unpacked to 44 bits (C1.14). `signed_at` and `valid_until` are pinned by C1.4, C1.5
//! and the signature (SPEC.md section 5). Hence no difference that is range-checked can wrap.

mod parts;
mod row;
mod rule;
mod values;

pub use values::{RowValues, Values};

use crate::builder::{Builder, Num};
use crate::claim::root16;
use parts::WINDOW_BITS;
use row::{Edges, Shared, Step};
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
    after: impl ExactSizeIterator<Item = ark_bn254::Fr>,
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
