//! Products, powers and inverses of the small matrices of Poseidon, by rows.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// Three products share one reduction: as many as fit beside a 254-bit modulus.
pub(super) fn dot(left: &[Fr], right: &[Fr]) -> Fr {
    debug_assert_eq!(left.len(), right.len());
    let (left_chunks, left_rest) = left.as_chunks::<3>();
    let (right_chunks, right_rest) = right.as_chunks::<3>();
    let chunks = left_chunks.iter().zip(right_chunks);
    let sum: Fr = chunks.map(|(a, b)| Fr::sum_of_products(a, b)).sum();
    left_rest.iter().zip(right_rest).fold(sum, |sum, (a, b)| sum + *a * b)
}

pub(super) fn transpose(matrix: &[Vec<Fr>]) -> Vec<Vec<Fr>> {
    (0..matrix[0].len()).map(|j| matrix.iter().map(|row| row[j]).collect()).collect()
}

pub(super) fn multiply(left: &[Vec<Fr>], right: &[Vec<Fr>]) -> Vec<Vec<Fr>> {
    let columns = transpose(right);
    left.iter().map(|row| columns.iter().map(|column| dot(row, column)).collect()).collect()
}

fn identity(size: usize) -> Vec<Vec<Fr>> {
    let cell = |i, j| if i == j { Fr::ONE } else { Fr::ZERO };
    (0..size).map(|i| (0..size).map(|j| cell(i, j)).collect()).collect()
}

pub(super) fn power(matrix: &[Vec<Fr>], exponent: usize) -> Vec<Vec<Fr>> {
    let mut result = identity(matrix.len());
    for bit in (0..usize::BITS - exponent.leading_zeros()).rev() {
        result = multiply(&result, &result);
        if exponent >> bit & 1 == 1 {
            result = multiply(&result, matrix);
        }
    }
    result
}

/// Gauss-Jordan. Every square part of a Cauchy matrix is invertible and so has its pivots in place.
pub(super) fn invert(matrix: &[Vec<Fr>]) -> Vec<Vec<Fr>> {
    let size = matrix.len();
    let unit = identity(size);
    let mut rows: Vec<Vec<Fr>> =
        matrix.iter().zip(&unit).map(|(row, unit)| [row.as_slice(), unit].concat()).collect();
    for pivot in 0..size {
        let scale = rows[pivot][pivot].inverse().expect("a Cauchy matrix has non-zero pivots");
        rows[pivot].iter_mut().for_each(|cell| *cell *= scale);
        let pivot_row = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != pivot) {
            let factor = row[pivot];
            row.iter_mut().zip(&pivot_row).for_each(|(cell, above)| *cell -= factor * above);
        }
    }
    rows.into_iter().map(|row| row[size..].to_vec()).collect()
}
