//! The generator: from the matrices and the toxic waste to a key, without any constraint synthesis.
//!
//! Almost all of the time goes into multiples of the two generators, one a column and query. They
//! are made from one table of digit multiples a group, in parallel; columns that do not occur in B
//! are left out before.

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine, g1, g2};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, Zero};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rayon::prelude::*;
use statement::proof::VerifyingKey;

use super::dev::ToxicWaste;
use super::key::{KeyError, Provenance, ProvingKey};
use super::multiples::Multiples;

use crate::qap;
use circuits::builder::{R1cs, Row};

impl ProvingKey {
    /// Makes the development key of a circuit: the same bytes on every machine, and **insecure**,
    /// because its toxic waste is public. Takes about 35 microseconds of CPU a constraint.
    ///
    /// # Errors
    /// [`SetupError`] when the circuit is too large or its matrices do not fit each other.
    pub fn dev_insecure(r1cs: &R1cs) -> Result<Self, SetupError> {
        let domain = domain_of(r1cs)?;
        let hash = r1cs.hash();
        let waste = ToxicWaste::dev_insecure(&hash, &domain);
        generate(r1cs, hash, &domain, &waste)
    }
}

/// Why no key can be made for a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// More rows than the field has roots of unity for.
    #[error("{rows} constraints do not fit the largest domain of 2^27 rows")]
    TooLarge {
        /// Constraints.
        rows: usize,
    },
    /// The three matrices have different numbers of rows.
    #[error("expected three matrices of {a} rows as in A, found {b} in B and {c} in C")]
    Rows {
        /// Rows of A.
        a: usize,
        /// Rows of B.
        b: usize,
        /// Rows of C.
        c: usize,
    },
    /// A row names a column that does not exist.
    #[error("expected columns below {columns}, found {column}")]
    Column {
        /// Columns of the circuit.
        columns: usize,
        /// The column named.
        column: u32,
    },
    /// The result breaks a rule that every key keeps.
    #[error("the generated key is not sound")]
    Key(#[from] KeyError),
}

fn domain_of(r1cs: &R1cs) -> Result<Radix2EvaluationDomain<Fr>, SetupError> {
    let (a, b, c) = (r1cs.a.len(), r1cs.b.len(), r1cs.c.len());
    if a != b || a != c {
        return Err(SetupError::Rows { a, b, c });
    }
    // Looked at before anything is indexed by them: the fields of an `R1cs` are public.
    let columns = r1cs.instances + r1cs.witnesses;
    let mut cells = [&r1cs.a, &r1cs.b, &r1cs.c].into_iter().flatten().flatten();
    if let Some((_, column)) = cells.find(|(_, column)| *column as usize >= columns) {
        return Err(SetupError::Column { columns, column: *column });
    }
    qap::domain(a, r1cs.instances).ok_or(SetupError::TooLarge { rows: a })
}

/// The columns of the three matrices at tau.
struct Columns {
    a: Vec<Fr>,
    b: Vec<Fr>,
    c: Vec<Fr>,
}

impl Columns {
    fn at_tau(r1cs: &R1cs, basis: &[Fr]) -> Self {
        let columns = r1cs.instances + r1cs.witnesses;
        let sum = |rows: &[Row]| {
            let mut sums = vec![Fr::zero(); columns];
            for (row, at_tau) in rows.iter().zip(basis) {
                for (k, column) in row {
                    sums[*column as usize] += *k * at_tau;
                }
            }
            sums
        };
        let (mut a, (b, c)) =
            rayon::join(|| sum(&r1cs.a), || rayon::join(|| sum(&r1cs.b), || sum(&r1cs.c)));
        // The rows that bind the public columns, behind the constraints: without them a column that
        // no constraint names would not be bound, and a proof would hold for other inputs too.
        for (column, at_tau) in a.iter_mut().zip(&basis[r1cs.a.len()..]).take(r1cs.instances) {
            *column += at_tau;
        }
        Self { a, b, c }
    }

    /// beta * a + alpha * b + c, over gamma for the public columns and over delta for the others.
    fn bound(&self, instances: usize, waste: &ToxicWaste) -> (Vec<Fr>, Vec<Fr>) {
        let invert = |x: Fr| x.inverse().expect("toxic waste is drawn non-zero");
        let (by_gamma, by_delta) = (invert(waste.gamma), invert(waste.delta));
        let combine = |column: usize| {
            let sum = waste.beta * self.a[column] + waste.alpha * self.b[column] + self.c[column];
            sum * if column < instances { by_gamma } else { by_delta }
        };
        let mut all: Vec<Fr> = (0..self.a.len()).into_par_iter().map(combine).collect();
        let private = all.split_off(instances);
        (all, private)
    }
}

pub(crate) fn generate(
    r1cs: &R1cs,
    circuit_hash: [u8; 32],
    domain: &Radix2EvaluationDomain<Fr>,
    waste: &ToxicWaste,
) -> Result<ProvingKey, SetupError> {
    let too_large = || SetupError::TooLarge { rows: r1cs.a.len() };
    let basis = qap::lagrange_at(domain, waste.tau).expect("tau is drawn outside the domain");
    let columns = Columns::at_tau(r1cs, &basis);
    let (public, private) = columns.bound(r1cs.instances, waste);
    let by_delta = waste.delta.inverse().expect("toxic waste is drawn non-zero");
    let size = domain.size();
    let h = qap::h_scalars::<Fr, Radix2EvaluationDomain<Fr>>(size, waste.tau, by_delta)
        .ok_or_else(too_large)?;
    // Zero at tau is infinity in the query, and leaving it out changes no sum.
    let used = |column: &u32| !columns.b[*column as usize].is_zero();
    let b_columns: Vec<u32> = (0..columns.b.len() as u32).filter(used).collect();
    let b: Vec<Fr> = b_columns.iter().map(|column| columns.b[*column as usize]).collect();

    // One table serves all queries in G1: making it is only worth its cost for many multiples.
    let in_all = columns.a.len() * 2 + b.len() + h.len();
    let g1 = Multiples::<g1::Config>::new(in_all);
    // The only query in G2, so that its table is made and dropped here.
    let b_g2 = Multiples::<g2::Config>::new(b.len()).of(&b);
    let vk = ark_groth16::VerifyingKey::<Bn254> {
        alpha_g1: in_g1(waste.alpha),
        beta_g2: in_g2(waste.beta),
        gamma_g2: in_g2(waste.gamma),
        delta_g2: in_g2(waste.delta),
        gamma_abc_g1: g1.of(&public),
    };
    let key = ProvingKey {
        circuit_hash,
        provenance: Provenance::DevInsecure,
        constraints: r1cs.a.len(),
        witnesses: r1cs.witnesses,
        vk: VerifyingKey::from_ark(vk).map_err(KeyError::from)?,
        beta_g1: in_g1(waste.beta),
        delta_g1: in_g1(waste.delta),
        a: g1.of(&columns.a),
        b_g1: g1.of(&b),
        b_columns,
        b_g2,
        l: g1.of(&private),
        h: g1.of(&h),
    };
    key.lint()?;
    Ok(key)
}

fn in_g1(scalar: Fr) -> G1Affine {
    (G1Affine::generator() * scalar).into_affine()
}

fn in_g2(scalar: Fr) -> G2Affine {
    (G2Affine::generator() * scalar).into_affine()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arkworks::Replay;
    use crate::qap::CircomReduction;
    use crate::sample::ladder;
    use ark_bn254::{G1Projective, G2Projective};
    use ark_ec::PrimeGroup;
    use ark_ff::UniformRand;
    use ark_groth16::Groth16;
    use ark_std::rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn the_same_toxic_waste_gives_the_key_of_ark_groth16() {
        for rows in [5, 100] {
            let (r1cs, _) = ladder(rows, 5);
            // ark-groth16 draws only tau from its generator.
            let tau = Fr::rand(&mut StdRng::seed_from_u64(4));
            let domain = domain_of(&r1cs).expect("small");
            let waste = ToxicWaste { tau, ..ToxicWaste::dev_insecure(&[0; 32], &domain) };
            let ours = generate(&r1cs, [0; 32], &domain, &waste).expect("small");
            let theirs = Groth16::<Bn254, CircomReduction>::generate_parameters_with_qap(
                Replay { r1cs: &r1cs, assignment: None },
                waste.alpha,
                waste.beta,
                waste.gamma,
                waste.delta,
                G1Projective::generator(),
                G2Projective::generator(),
                &mut StdRng::seed_from_u64(4),
            );
            assert!(ours.to_ark() == theirs.expect("small"), "{rows} rows");
            assert!(ours.b_columns.len() < ours.a.len(), "B is sparse");
        }
    }

    #[test]
    fn matrices_that_do_not_fit_each_other_are_refused() {
        let (mut r1cs, _) = ladder(10, 5);
        r1cs.c.pop();
        let refused = ProvingKey::dev_insecure(&r1cs).err();
        assert_eq!(refused, Some(SetupError::Rows { a: 10, b: 10, c: 9 }));
        let (mut r1cs, _) = ladder(10, 5);
        r1cs.b[3][0].1 = 12;
        let refused = ProvingKey::dev_insecure(&r1cs).err();
        assert_eq!(refused, Some(SetupError::Column { columns: 12, column: 12 }));
    }
}
