//! The quadratic arithmetic program in the form of circom.
//!
//! With L_i the Lagrange basis over the 2n-th roots of unity, the H query holds L_{2i+1}(tau) /
//! delta and its scalars are the values of A.B - C at the odd roots: A.B - C vanishes at the even
//! ones, so no division and no seventh transform is needed. Keys and proofs made this way are the
//! ones that snarkjs and rapidsnark make; the original libsnark form of ark-groth16 would shut them
//! out.
//!
//! Rows: the constraints, then one row `z_i * 0 = 0` for the constant and every public input, then
//! zeros up to the domain's size n, the next power of two.

use ark_bn254::Fr;
use ark_ff::{PrimeField, Zero};
use ark_groth16::r1cs_to_qap::{LibsnarkReduction, R1CSToQAP, evaluate_constraint};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// The evaluation domain of a circuit with `constraints` rows and `instances` public columns (the
/// constant one included); `None` above 2^27 rows, where the field has no roots for the odd half.
pub fn domain(constraints: usize, instances: usize) -> Option<Radix2EvaluationDomain<Fr>> {
    let rows = constraints.checked_add(instances)?;
    // The field has 2^28 roots of unity, and half of them must be left for the odd coset.
    if rows > 1 << 27 {
        return None;
    }
    Radix2EvaluationDomain::new(rows)
}

/// The scalars of the H query from the products `az`, `bz` and `cz` of the three matrices with the
/// assignment, without the matrices. Takes 6 transforms and 3 vectors of the domain's size, which
/// are zeroised.
///
/// # Panics
/// When the slices do not fit the domain: the caller has checked the assignment against its key.
pub fn quotient(
    domain: &Radix2EvaluationDomain<Fr>,
    [az, bz, cz]: [&[Fr]; 3],
    instance: &[Fr],
) -> Zeroizing<Vec<Fr>> {
    let size = domain.size();
    assert!(az.len() == bz.len() && az.len() == cz.len(), "one product a row and matrix");
    assert!(az.len() + instance.len() <= size, "the rows fit the domain");
    // The rows behind the constraints bind the public columns; only A has something there.
    let parts: [(&[Fr], &[Fr]); 3] = [(az, instance), (bz, &[]), (cz, &[])];
    let rows = parts.map(|(constraints, public)| {
        // The transforms fill the domain in place. A vector that grew there would leave the
        // secrets in its old buffer, so it has room from the start.
        let mut rows = Zeroizing::new(Vec::with_capacity(size));
        rows.extend_from_slice(constraints);
        rows.extend_from_slice(public);
        rows
    });
    quotient_at_odd_roots(domain, rows)
}

/// A.B - C at the odd roots, from the three products at the even ones.
fn quotient_at_odd_roots<F: PrimeField, D: EvaluationDomain<F>>(
    domain: &D,
    [mut a, mut b, mut c]: [Zeroizing<Vec<F>>; 3],
) -> Zeroizing<Vec<F>> {
    // Through coefficients and back: A, B and C have degree below n, so that their values at the
    // even roots say what they are at the odd ones.
    let odd = odd_coset(domain);
    for rows in [&mut *a, &mut *b, &mut *c] {
        domain.ifft_in_place(rows);
        odd.fft_in_place(rows);
    }
    a.par_iter_mut().zip(&*b).zip(&*c).for_each(|((a, b), c)| *a = *a * b - c);
    a
}

/// The values L_{2i+1}(tau) * `delta_inverse` over twice the domain.
pub(crate) fn h_scalars<F: PrimeField, D: EvaluationDomain<F>>(
    size: usize,
    tau: F,
    delta_inverse: F,
) -> Option<Vec<F>> {
    // The highest power is left out: A.B has degree 2n - 2 at most. snarkjs does the same.
    let mut powers = Vec::with_capacity(2 * size);
    let mut power = delta_inverse;
    for _ in 0..2 * size - 1 {
        powers.push(power);
        power *= tau;
    }
    // The inverse transform of tau's powers is the Lagrange basis at tau; provers meet the odd half
    // of it alone, because A.B - C is zero at the even roots.
    D::new(2 * size)?.ifft_in_place(&mut powers);
    Some(powers.into_iter().skip(1).step_by(2).collect())
}

/// The odd 2n-th roots of unity, as a coset of the n-th roots.
fn odd_coset<F: PrimeField, D: EvaluationDomain<F>>(domain: &D) -> D {
    let root = F::get_root_of_unity(2 * domain.size() as u64).expect("size checked in domain()");
    domain.get_coset(root).expect("a root of unity is not zero")
}

/// The same reduction for the generator and prover of ark-groth16.
pub struct CircomReduction;

impl R1CSToQAP for CircomReduction {
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        circuit: ConstraintSystemRef<F>,
        tau: &F,
    ) -> Result<(Vec<F>, Vec<F>, Vec<F>, F, usize, usize), SynthesisError> {
        LibsnarkReduction::instance_map_with_evaluation::<F, D>(circuit, tau)
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Vec<Vec<(F, usize)>>],
        instances: usize,
        constraints: usize,
        assignment: &[F],
    ) -> Result<Vec<F>, SynthesisError> {
        let domain =
            D::new(constraints + instances).ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        let product = |matrix: &Vec<Vec<(F, usize)>>| -> Vec<F> {
            matrix.par_iter().map(|row| evaluate_constraint(row, assignment)).collect()
        };
        let mut rows = [0, 1, 2].map(|matrix| Zeroizing::new(product(&matrices[matrix])));
        rows[0].extend_from_slice(&assignment[..instances]);
        // ark-groth16 owns the result from here on, and does not zeroise it.
        Ok(std::mem::take(&mut *quotient_at_odd_roots(&domain, rows)))
    }

    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        tau: F,
        _: F,
        delta_inverse: F,
    ) -> Result<Vec<F>, SynthesisError> {
        h_scalars::<F, D>(max_power + 1, tau, delta_inverse)
            .ok_or(SynthesisError::PolynomialDegreeTooLarge)
    }
}

/// The row whose products break `az * bz = cz`, if there is one; the first, not any.
pub(crate) fn first_violation(az: &[Fr], bz: &[Fr], cz: &[Fr]) -> Option<usize> {
    az.par_iter().zip(bz).zip(cz).position_first(|((a, b), c)| *a * b != *c)
}

/// The Lagrange basis of the domain at `tau`, for setup; `None` when `tau` is a root of unity,
/// where a key would bind one row and no other.
pub(crate) fn lagrange_at(domain: &Radix2EvaluationDomain<Fr>, tau: Fr) -> Option<Vec<Fr>> {
    let vanishes = domain.evaluate_vanishing_polynomial(tau).is_zero();
    (!vanishes).then(|| domain.evaluate_all_lagrange_coefficients(tau))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::UniformRand;
    use ark_std::rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn the_h_query_reads_the_quotient_at_tau() {
        let mut rng = StdRng::seed_from_u64(3);
        let (rows, instances) = (11, 2);
        let domain = domain(rows, instances).expect("small");
        let a: Vec<Fr> = (0..rows).map(|_| Fr::rand(&mut rng)).collect();
        let b: Vec<Fr> = (0..rows).map(|_| Fr::rand(&mut rng)).collect();
        let c: Vec<Fr> = a.iter().zip(&b).map(|(a, b)| *a * b).collect();
        let instance = [Fr::from(1), Fr::rand(&mut rng)];
        let (tau, delta_inverse) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
        let scalars = quotient(&domain, [&a, &b, &c], &instance);
        let query = h_scalars::<Fr, Radix2EvaluationDomain<Fr>>(domain.size(), tau, delta_inverse);
        let h: Fr = scalars.iter().zip(query.expect("small")).map(|(x, y)| *x * y).sum();
        let basis = lagrange_at(&domain, tau).expect("tau is no root");
        let at_tau = |rows: &[Fr]| rows.iter().zip(&basis).map(|(x, y)| *x * y).sum::<Fr>();
        let left: Vec<Fr> = a.iter().chain(&instance).copied().collect();
        let expected = at_tau(&left) * at_tau(&b) - at_tau(&c);
        assert_eq!(h, expected * delta_inverse);
    }

    #[test]
    fn a_root_of_unity_is_no_tau() {
        let domain = domain(5, 1).expect("small");
        assert!(lagrange_at(&domain, domain.element(3)).is_none());
        assert!(super::domain(1 << 27, 1).is_none());
    }

    #[test]
    fn the_first_violated_row_is_named() {
        let ones = vec![Fr::from(1); 4096];
        let mut wrong = ones.clone();
        assert_eq!(first_violation(&ones, &ones, &wrong), None);
        (wrong[17], wrong[4000]) = (Fr::from(2), Fr::from(2));
        assert_eq!(first_violation(&ones, &ones, &wrong), Some(17));
    }
}
