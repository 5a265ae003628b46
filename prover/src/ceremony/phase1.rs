//! Powers of tau, and the whole key held against them.
//!
//! A Groth16 key is a linear image of the powers: each point is a sum of powers with factors from
//! the matrices. So a random combination of a query's points is one sum over the powers, and one
//! sum of each side says of all points at once whether they are right; a wrong one passes with
//! probability 1/r. That is a few multi-exponentiations, and no point of the key is made again.

use std::io::{Read, Seek};

use ark_bn254::{Bn254, Fq, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, PrimeField, UniformRand};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_std::rand::{CryptoRng, RngCore};
use rayon::prelude::*;

use super::error::{CeremonyFileError, Phase1Error};
use super::points::{G1_BYTES, G2_BYTES, g1, g2};
use super::sections::{Sections, expect};
use super::transcript::same_ratio;
use super::zkey::{field, little_endian};
use crate::keys::ProvingKey;
use crate::qap;
use circuits::builder::{R1cs, Row};

/// Of a first phase what a domain of n rows needs. Takes 7 MiB for each 2^14 rows.
pub struct Phase1 {
    /// Powers 0 to 2n - 1 of tau, or to 2n - 2 where the file ends there.
    tau_g1: Vec<G1Affine>,
    /// Powers 0 to n - 1, as the next two.
    tau_g2: Vec<G2Affine>,
    /// Times alpha.
    alpha_tau: Vec<G1Affine>,
    /// Times beta.
    beta_tau: Vec<G1Affine>,
    beta_g2: G2Affine,
}

impl Phase1 {
    /// Reads the powers for a circuit from a `.ptau`, prepared for the second phase or not, of the
    /// circuit's power or any above, and checks that they are powers: of one tau in both groups,
    /// times one alpha and one beta. Who contributed to them is not looked at: `snarkjs powersoftau
    /// verify` does that.
    ///
    /// # Errors
    /// [`Phase1Error`].
    pub fn read<R: Read + Seek>(
        source: R,
        r1cs: &R1cs,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, Phase1Error> {
        let mut file = Sections::open(source, "ptau")?;
        let header = file.read(1, "bytes of the header", 36 + 4 + 4)?;
        if header[..36] != field(Fq::MODULUS) {
            return Err(CeremonyFileError::Curve.into());
        }
        let rows = r1cs.a.len();
        let domain = qap::domain(rows, r1cs.instances).ok_or(Phase1Error::TooLarge { rows })?;
        let size = domain.size();
        let power = little_endian(&header[36..40]);
        let (expected, found) = (size.ilog2(), u32::try_from(power).unwrap_or(u32::MAX));
        if found < expected {
            return Err(Phase1Error::Power { expected, found });
        }
        // 2^28 is where the field's roots end, and what the largest first phase has.
        if found > 28 {
            let what = "power of the first phase, at most";
            return Err(CeremonyFileError::Number { what, expected: 28, found: power }.into());
        }
        let all = 1u64 << found;
        for (section, what, bytes) in [
            (2, "bytes of tau in G1", (2 * all - 1) * G1_BYTES as u64),
            (3, "bytes of tau in G2", all * G2_BYTES as u64),
            (4, "bytes of alpha * tau", all * G1_BYTES as u64),
            (5, "bytes of beta * tau", all * G1_BYTES as u64),
        ] {
            expect(what, bytes, file.bytes(section)?)?;
        }
        // A file of this very power ends one power earlier. snarkjs takes a zero there, and the
        // powers of a larger file as they are: two keys, and both prove.
        let powers = if found == expected { 2 * size - 1 } else { 2 * size };
        let bytes = |points: usize, size: usize| (points * size) as u64;
        let phase1 = Self {
            tau_g1: g1("tau in G1", &file.read_first(2, bytes(powers, G1_BYTES))?)?,
            tau_g2: g2("tau in G2", &file.read_first(3, bytes(size, G2_BYTES))?)?,
            alpha_tau: g1("alpha * tau", &file.read_first(4, bytes(size, G1_BYTES))?)?,
            beta_tau: g1("beta * tau", &file.read_first(5, bytes(size, G1_BYTES))?)?,
            beta_g2: g2("beta in G2", &file.read(6, "bytes of beta", G2_BYTES as u64)?)?[0],
        };
        phase1.check_powers(rng)?;
        Ok(phase1)
    }

    /// Each power is tau times the one before it, by one random combination a row.
    fn check_powers(&self, rng: &mut (impl CryptoRng + RngCore)) -> Result<(), Phase1Error> {
        let (one_g1, one_g2) = (G1Affine::generator(), G2Affine::generator());
        let wrong = |what| Err(Phase1Error::Powers { what });
        if self.tau_g1[0] != one_g1 || self.tau_g2[0] != one_g2 {
            return wrong("the points of tau, which begin with the generators,");
        }
        let (tau_g1, tau_g2) = (self.tau_g1[1], self.tau_g2[1]);
        if !same_ratio([one_g1, tau_g1], [one_g2, tau_g2]) {
            return wrong("the points of tau in both groups");
        }
        for (what, points) in [
            ("the points of tau in G1", &self.tau_g1),
            ("the points of alpha * tau", &self.alpha_tau),
            ("the points of beta * tau", &self.beta_tau),
        ] {
            let random = draw(points.len() - 1, rng);
            let lower = sum_g1(&points[..random.len()], &random);
            let upper = sum_g1(&points[1..], &random);
            if !same_ratio([lower, upper], [one_g2, tau_g2]) {
                return wrong(what);
            }
        }
        let random = draw(self.tau_g2.len() - 1, rng);
        let lower = sum_g2(&self.tau_g2[..random.len()], &random);
        let upper = sum_g2(&self.tau_g2[1..], &random);
        if !same_ratio([one_g1, tau_g1], [lower, upper]) {
            return wrong("the points of tau in G2");
        }
        if !same_ratio([one_g1, self.beta_tau[0]], [one_g2, self.beta_g2]) {
            return wrong("beta in G1 and in G2");
        }
        Ok(())
    }

    /// Holds all of a key against the circuit and these powers: alpha, beta, gamma and every point
    /// of every query. Delta is any number here; whose it is, the transcript says.
    ///
    /// # Errors
    /// [`Phase1Error`] names the first part of the key that is another.
    pub fn verify(
        &self,
        key: &ProvingKey,
        r1cs: &R1cs,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(), Phase1Error> {
        let (expected, found) = (r1cs.hash(), key.circuit_hash());
        if expected != found {
            return Err(Phase1Error::Circuit { expected, found });
        }
        let vk = key.verifying_key().ark();
        let is = |part, same: bool| if same { Ok(()) } else { Err(Phase1Error::Part { part }) };
        is("alpha", vk.alpha_g1 == self.alpha_tau[0])?;
        is("beta", key.beta_g1 == self.beta_tau[0] && vk.beta_g2 == self.beta_g2)?;
        // snarkjs leaves it out: the verifier's equation holds with gamma as one.
        is("gamma", vk.gamma_g2 == G2Affine::generator())?;

        let random = draw(key.a.len(), rng);
        let by_column = Combined::of(r1cs, &random);
        let (a, b) = (self.coefficients(by_column.a), self.coefficients(by_column.b));
        is("A", sum_g1(&key.a, &random) == sum_g1(&self.tau_g1[..a.len()], &a))?;
        let b_random: Vec<Fr> = key.b_columns.iter().map(|at| random[*at as usize]).collect();
        is("B in G1", sum_g1(&key.b_g1, &b_random) == sum_g1(&self.tau_g1[..b.len()], &b))?;
        is("B in G2", sum_g2(&key.b_g2, &b_random) == sum_g2(&self.tau_g2, &b))?;

        let (public, private) = random.split_at(r1cs.instances);
        let zeros = |count| vec![Fr::ZERO; count];
        let only_public = [public, &zeros(private.len())].concat();
        is("IC", sum_g1(&vk.gamma_abc_g1, public) == self.bound(r1cs, &only_public))?;
        let over_delta = |over: G1Affine, whole: G1Affine| {
            // Both may be zero only together, which no ratio says.
            let pairs = ([over, -whole], [vk.delta_g2, G2Affine::generator()]);
            Bn254::multi_pairing(pairs.0, pairs.1).0 == ark_ff::Field::ONE
        };
        let only_private = [&zeros(public.len()), private].concat();
        is("L", over_delta(sum_g1(&key.l, private), self.bound(r1cs, &only_private)))?;

        let random = draw(key.h.len(), rng);
        is("H", over_delta(sum_g1(&key.h, &random), self.at_odd_roots(&random)))
    }

    /// The columns' polynomials beta * a + alpha * b + c at tau, combined.
    fn bound(&self, r1cs: &R1cs, random: &[Fr]) -> G1Affine {
        let Combined { a, b, c } = Combined::of(r1cs, random);
        let [a, b, c] = [a, b, c].map(|rows| self.coefficients(rows));
        let sums = [
            sum_g1(&self.beta_tau, &a),
            sum_g1(&self.alpha_tau, &b),
            sum_g1(&self.tau_g1[..c.len()], &c),
        ];
        sums.into_iter().map(G1Projective::from).sum::<G1Projective>().into_affine()
    }

    /// The Lagrange polynomials of twice the domain at its odd roots, combined.
    fn at_odd_roots(&self, random: &[Fr]) -> G1Affine {
        let mut values = vec![Fr::ZERO; 2 * random.len()];
        for (slot, factor) in values.iter_mut().skip(1).step_by(2).zip(random) {
            *slot = *factor;
        }
        let twice = Radix2EvaluationDomain::<Fr>::new(values.len());
        twice.expect("qap::domain leaves room for twice the rows").ifft_in_place(&mut values);
        // Without the highest power where the first phase ends before it.
        sum_g1(&self.tau_g1, &values[..self.tau_g1.len()])
    }

    /// From the values at the domain's rows to the coefficients, which stand before tau's powers.
    fn coefficients(&self, mut rows: Vec<Fr>) -> Vec<Fr> {
        let domain = Radix2EvaluationDomain::<Fr>::new(self.tau_g2.len());
        domain.expect("the size of a domain").ifft_in_place(&mut rows);
        rows
    }
}

/// The matrices times a factor for each column: values at the rows of the domain.
struct Combined {
    a: Vec<Fr>,
    b: Vec<Fr>,
    c: Vec<Fr>,
}

impl Combined {
    fn of(r1cs: &R1cs, factors: &[Fr]) -> Self {
        let size = domain(r1cs).size();
        let rows = |matrix: &[Row]| {
            let row = |row: &Row| {
                row.iter().fold(Fr::ZERO, |sum, (k, column)| sum + *k * factors[*column as usize])
            };
            let mut values: Vec<Fr> = matrix.par_iter().map(row).collect();
            values.resize(size, Fr::ZERO);
            values
        };
        let mut a = rows(&r1cs.a);
        // The rows that bind the public columns, behind the constraints.
        let behind = r1cs.a.len();
        a[behind..behind + r1cs.instances].copy_from_slice(&factors[..r1cs.instances]);
        Self { a, b: rows(&r1cs.b), c: rows(&r1cs.c) }
    }
}

fn domain(r1cs: &R1cs) -> Radix2EvaluationDomain<Fr> {
    qap::domain(r1cs.a.len(), r1cs.instances).expect("a circuit that has a key has a domain")
}

fn draw(count: usize, rng: &mut (impl CryptoRng + RngCore)) -> Vec<Fr> {
    (0..count).map(|_| Fr::rand(rng)).collect()
}

fn sum_g1(points: &[G1Affine], factors: &[Fr]) -> G1Affine {
    assert_eq!(points.len(), factors.len(), "a factor for each point");
    G1Projective::msm_unchecked(points, factors).into_affine()
}

fn sum_g2(points: &[G2Affine], factors: &[Fr]) -> G2Affine {
    assert_eq!(points.len(), factors.len(), "a factor for each point");
    G2Projective::msm_unchecked(points, factors).into_affine()
}
