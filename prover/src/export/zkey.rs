//! `.zkey`: the proving key, with the matrices A and B, as snarkjs and rapidsnark read it.
//!
//! Coordinates are in Montgomery form (times 2^256), coefficients in it twice. The C matrix is not
//! there: provers take A.z times B.z for it.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, BigInteger, Field};
use ark_poly::EvaluationDomain;

use super::binary::{push_count, push_field, sections};
use crate::keys::ProvingKey;
use circuits::builder::{R1cs, Row};

/// Protocol number of Groth16.
const GROTH16: u32 = 1;

/// The key as `.zkey`, with an empty list of contributions: snarkjs can prove with it and show it,
/// and says rightly that it comes from no ceremony.
///
/// # Panics
/// When the key is not the circuit's.
pub fn zkey(key: &ProvingKey, r1cs: &R1cs) -> Vec<u8> {
    assert_eq!(key.circuit_hash(), r1cs.hash(), "the key is the circuit's");
    let all = [
        GROTH16.to_le_bytes().to_vec(),
        header(key),
        in_g1(&key.verifying_key().ark().gamma_abc_g1),
        coefficients(r1cs),
        in_g1(&key.a),
        // Whole, infinities included: the format has no list of columns.
        in_g1(&key.spread(&key.b_g1)),
        in_g2(&key.spread(&key.b_g2)),
        in_g1(&key.l),
        in_g1(&key.h),
        // The transcript: hash of the circuit in the ceremony's sense (none) and no contribution.
        vec![0; 64 + 4],
    ];
    sections(b"zkey", 1, &all.each_ref().map(Vec::as_slice))
}

fn header(key: &ProvingKey) -> Vec<u8> {
    let vk = key.verifying_key().ark();
    let domain = key.domain().expect("the key was linted when it was made");
    let mut bytes = Vec::new();
    push_field::<Fq>(&mut bytes);
    push_field::<Fr>(&mut bytes);
    for count in [key.a.len(), key.instances() - 1, domain.size()] {
        push_count(&mut bytes, count);
    }
    bytes.extend(in_g1(&[vk.alpha_g1, key.beta_g1]));
    bytes.extend(in_g2(&[vk.beta_g2, vk.gamma_g2]));
    bytes.extend(in_g1(&[key.delta_g1]));
    bytes.extend(in_g2(&[vk.delta_g2]));
    bytes
}

/// The cells of A and B, then the rows that bind the public columns.
pub(crate) fn coefficients(r1cs: &R1cs) -> Vec<u8> {
    let cells = |rows: &[Row]| rows.iter().map(Vec::len).sum::<usize>();
    let count = cells(&r1cs.a) + cells(&r1cs.b) + r1cs.instances;
    let mut bytes = Vec::with_capacity(4 + 44 * count);
    push_count(&mut bytes, count);
    // The format multiplies once more than arkworks does in memory.
    let montgomery = Fr::from(2).pow([256u64]);
    let mut push = |matrix: u32, row: usize, column: u32, k: Fr| {
        bytes.extend(matrix.to_le_bytes());
        push_count(&mut bytes, row);
        bytes.extend(column.to_le_bytes());
        bytes.extend(limbs((k * montgomery).0));
    };
    for (row, (a, b)) in r1cs.a.iter().zip(&r1cs.b).enumerate() {
        for (matrix, cells) in [(0, a), (1, b)] {
            cells.iter().for_each(|(k, column)| push(matrix, row, *column, *k));
        }
    }
    // snarkjs takes these rows from the file, where our engine appends the public columns itself.
    for column in 0..r1cs.instances {
        push(0, r1cs.a.len() + column, column as u32, Fr::ONE);
    }
    bytes
}

/// The limbs as they lie in memory: the number times 2^256.
fn limbs(montgomery: BigInt<4>) -> Vec<u8> {
    montgomery.to_bytes_le()
}

fn in_g1(points: &[G1Affine]) -> Vec<u8> {
    let coordinates = |point: &G1Affine| {
        let (x, y) = point.xy().unwrap_or_default();
        [x, y]
    };
    points.iter().flat_map(coordinates).flat_map(|value| limbs(value.0)).collect()
}

fn in_g2(points: &[G2Affine]) -> Vec<u8> {
    let coordinates = |point: &G2Affine| {
        let (x, y): (Fq2, Fq2) = point.xy().unwrap_or_default();
        [x.c0, x.c1, y.c0, y.c1]
    };
    points.iter().flat_map(coordinates).flat_map(|value: Fq| limbs(value.0)).collect()
}
