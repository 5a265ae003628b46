//! `.r1cs`: the constraint system.

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};

use super::binary::{push_count, push_field, sections};
use circuits::builder::{R1cs, Row};

/// The constraint system as `.r1cs`: all public columns are outputs, wires are labelled by number.
pub fn r1cs(r1cs: &R1cs) -> Vec<u8> {
    let columns = r1cs.instances + r1cs.witnesses;
    let mut header = Vec::new();
    push_field::<Fr>(&mut header);
    // No public inputs beside the outputs: the format keeps the two apart, and Groth16 does not.
    for count in [columns, r1cs.instances - 1, 0, r1cs.witnesses] {
        push_count(&mut header, count);
    }
    header.extend((columns as u64).to_le_bytes());
    push_count(&mut header, r1cs.a.len());
    let mut constraints = Vec::new();
    for ((a, b), c) in r1cs.a.iter().zip(&r1cs.b).zip(&r1cs.c) {
        for row in [a, b, c] {
            push_row(&mut constraints, row);
        }
    }
    // Labels name the signals of circom's source; there is none, so wires are their own labels.
    let labels: Vec<u8> = (0..columns as u64).flat_map(u64::to_le_bytes).collect();
    sections(b"r1cs", 1, &[&header, &constraints, &labels])
}

/// Readers expect the columns of a row in ascending order.
fn push_row(bytes: &mut Vec<u8>, row: &Row) {
    // A builder's rows are sorted, but nothing obliges those of another maker.
    let mut row = row.clone();
    row.sort_by_key(|(_, column)| *column);
    push_count(bytes, row.len());
    for (k, column) in row {
        bytes.extend(column.to_le_bytes());
        bytes.extend(k.into_bigint().to_bytes_le());
    }
}
