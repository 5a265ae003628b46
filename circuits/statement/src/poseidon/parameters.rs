//! Round constants and matrices, generated for a width when it is first used.

use super::grain::Grain;
use super::matrix::{dot, invert, multiply, power, transpose};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, batch_inversion};
use std::sync::OnceLock;

/// Rounds in which every word passes an S-box: half of them at each end.
pub const FULL_ROUNDS: usize = 8;
/// Words of the smallest state.
pub const WIDTH_MIN: usize = 2;
/// Words of the largest state.
pub const WIDTH_MAX: usize = 17;
/// Rounds in which only the first word passes an S-box, by width from [`WIDTH_MIN`].
pub const PARTIAL_ROUNDS: [usize; WIDTH_MAX - WIDTH_MIN + 1] =
    [56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68];

/// The constants of one width. They equal circomlib's.
pub struct Parameters {
    /// Words of the state: inputs and one capacity word.
    pub width: usize,
    /// Rounds with a single S-box.
    pub partial_rounds: usize,
    /// The words added before the S-boxes of each round; `FULL_ROUNDS + partial_rounds` rows.
    pub constants: Vec<Vec<Fr>>,
    /// The matrix applied after the S-boxes of each round, by rows.
    pub matrix: Vec<Vec<Fr>>,
    pub(super) sparse: Sparse,
}

/// The partial rounds in the basis in which all but the first word stay where they are.
///
/// Split the state into its first word and the rest, and the matrix into `[[m, v], [w, N]]`. A
/// partial round maps `(a, x)` to `(m s + v x, w s + N x)` with `s = a^5`. With `x = N^(k - rounds)
/// y` before round `k` this is `(m s + row_k y, y + column_k s)`, where `row_k = v N^(k - rounds)`
/// and `column_k = N^(rounds - 1 - k) w`. The first power of `N` is merged into the matrix before
/// the partial rounds, and after the last one `x = y`. Constants added to `x` never meet an S-box
/// inside, so that they are carried along and added where they do.
pub(super) struct Sparse {
    /// The first constant of the first partial round.
    pub(super) first: Fr,
    /// The matrix of the last full round before the partial ones, times `diag(1, N^rounds)`.
    pub(super) before: Vec<Vec<Fr>>,
    /// `m`, then `row_k`.
    pub(super) rows: Vec<Vec<Fr>>,
    /// `column_k`.
    pub(super) columns: Vec<Vec<Fr>>,
    /// What is added to the first word after round `k`.
    pub(super) offsets: Vec<Fr>,
    /// What is added to the other words after the last partial round.
    pub(super) after: Vec<Fr>,
}

/// The parameters for a state of `width` words, generated once in the life of the program.
///
/// # Panics
/// If `width` is not from 2 to 17.
pub fn parameters(width: usize) -> &'static Parameters {
    static TABLE: [OnceLock<Parameters>; WIDTH_MAX - WIDTH_MIN + 1] =
        [const { OnceLock::new() }; WIDTH_MAX - WIDTH_MIN + 1];
    assert!((WIDTH_MIN..=WIDTH_MAX).contains(&width), "Poseidon takes 1 to 16 inputs");
    TABLE[width - WIDTH_MIN].get_or_init(|| generate(width))
}

pub(super) fn generate(width: usize) -> Parameters {
    let partial_rounds = PARTIAL_ROUNDS[width - WIDTH_MIN];
    let mut grain = Grain::new(width, FULL_ROUNDS, partial_rounds);
    let constants: Vec<Vec<Fr>> = (0..FULL_ROUNDS + partial_rounds)
        .map(|_| (0..width).map(|_| grain.element()).collect())
        .collect();
    let matrix = cauchy(&mut grain, width);
    let sparse = Sparse::derive(&constants, &matrix, partial_rounds);
    Parameters { width, partial_rounds, constants, matrix, sparse }
}

/// `1 / (x_i + y_j)` for the next elements drawn.
fn cauchy(grain: &mut Grain, width: usize) -> Vec<Vec<Fr>> {
    let xs: Vec<Fr> = (0..width).map(|_| grain.element_reduced()).collect();
    let ys: Vec<Fr> = (0..width).map(|_| grain.element_reduced()).collect();
    let mut cells: Vec<Fr> = xs.iter().flat_map(|x| ys.iter().map(move |y| *x + y)).collect();
    assert!(cells.iter().all(|cell| *cell != Fr::ZERO), "a Cauchy matrix has no zero denominator");
    batch_inversion(&mut cells);
    cells.chunks(width).map(<[Fr]>::to_vec).collect()
}

impl Sparse {
    fn derive(constants: &[Vec<Fr>], matrix: &[Vec<Fr>], rounds: usize) -> Self {
        let inner: Vec<Vec<Fr>> = matrix[1..].iter().map(|row| row[1..].to_vec()).collect();
        let partial = &constants[FULL_ROUNDS / 2..][..=rounds];
        let (offsets, after) = carry_constants(partial, &matrix[0][1..], &inner);
        let mut before = vec![matrix[0].clone()];
        before.extend(multiply(&power(&inner, rounds), &matrix[1..]));
        Self {
            first: partial[0][0],
            before,
            rows: sparse_rows(&matrix[0], &inner, rounds),
            columns: sparse_columns(matrix, &inner, rounds),
            offsets,
            after,
        }
    }
}

/// Moves the constants of the other words behind the partial rounds; `partial` holds the constants
/// of these rounds and of the full round that follows.
fn carry_constants(partial: &[Vec<Fr>], v: &[Fr], inner: &[Vec<Fr>]) -> (Vec<Fr>, Vec<Fr>) {
    let mut carried = partial[0][1..].to_vec();
    let mut offsets = Vec::with_capacity(partial.len() - 1);
    for next in &partial[1..] {
        offsets.push(dot(v, &carried) + next[0]);
        carried = inner.iter().zip(&next[1..]).map(|(row, c)| dot(row, &carried) + c).collect();
    }
    (offsets, carried)
}

fn sparse_rows(top: &[Fr], inner: &[Vec<Fr>], rounds: usize) -> Vec<Vec<Fr>> {
    let backwards = transpose(&invert(inner));
    let mut row = top[1..].to_vec();
    let mut rows: Vec<Vec<Fr>> = (0..rounds)
        .map(|_| {
            row = backwards.iter().map(|column| dot(column, &row)).collect();
            [&top[..1], row.as_slice()].concat()
        })
        .collect();
    rows.reverse();
    rows
}

fn sparse_columns(matrix: &[Vec<Fr>], inner: &[Vec<Fr>], rounds: usize) -> Vec<Vec<Fr>> {
    let mut column: Vec<Fr> = matrix[1..].iter().map(|row| row[0]).collect();
    let mut columns = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        columns.push(column.clone());
        column = inner.iter().map(|row| dot(row, &column)).collect();
    }
    columns.reverse();
    columns
}
