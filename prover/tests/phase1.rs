//! A ceremony whose secrets are known: the bytes of a prepared `.ptau` and of a `.zkey` that nobody
//! has contributed to, as snarkjs writes them.

use ark_bn254::{Bn254, Fq, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::scalar_mul::ScalarMul;
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField, UniformRand};
use ark_groth16::Groth16;
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_std::rand::{SeedableRng, rngs::StdRng};
use circuits::builder::R1cs;
use prover::arkworks::Replay;
use prover::qap::CircomReduction;
use prover::{Provenance, ProvingKey, export};
use statement::proof::DEV_ALPHA;

/// What a ceremony would forget.
#[derive(Clone, Copy)]
pub(crate) struct Secrets {
    pub(crate) alpha: Fr,
    pub(crate) beta: Fr,
    /// Tau is what a generator of this seed draws first.
    pub(crate) tau_seed: u64,
}

/// Where delta in G2 stands in a `.zkey`: behind the frames of two sections, the header's numbers
/// and its other points.
const DELTA_AT: usize = 12 + 12 + 4 + 12 + 84 + 448;

impl Secrets {
    pub(crate) fn tau(&self) -> Fr {
        Fr::rand(&mut StdRng::seed_from_u64(self.tau_seed))
    }

    /// The key after contributions that come to `delta`, with an empty list of them at its end.
    pub(crate) fn zkey(&self, r1cs: &R1cs, delta: Fr) -> Vec<u8> {
        let key = Groth16::<Bn254, CircomReduction>::generate_parameters_with_qap(
            Replay { r1cs, assignment: None },
            self.alpha,
            self.beta,
            Fr::ONE,
            delta,
            G1Projective::generator(),
            G2Projective::generator(),
            // It draws tau and nothing else.
            &mut StdRng::seed_from_u64(self.tau_seed),
        );
        let mut key = key.expect("a circuit with a domain");
        let provenance = match self.alpha == Fr::from(DEV_ALPHA) {
            true => Provenance::DevInsecure,
            false => Provenance::Ceremony { transcript: [0; 32] },
        };
        // With delta as one no key is sound, and no ceremony begins otherwise: another one stands
        // in its place until the bytes are written.
        let delta_g2 = key.vk.delta_g2;
        key.vk.delta_g2 = (delta_g2 + delta_g2).into_affine();
        let rows = r1cs.a.len();
        let key = ProvingKey::from_ark(key, r1cs.hash(), rows, provenance).expect("sound");
        let mut file = export::zkey(&key, r1cs);
        let (x, y) = (delta_g2.x, delta_g2.y);
        let points: Vec<u8> = [x.c0, x.c1, y.c0, y.c1].into_iter().flat_map(bytes).collect();
        file[DELTA_AT..DELTA_AT + 128].copy_from_slice(&points);
        file
    }

    /// The first phase of 2 to `power` rows.
    pub(crate) fn ptau(&self, power: u32) -> Vec<u8> {
        let size = 1usize << power;
        let powers = successive(self.tau(), 2 * size - 1);
        let times = |factor: Fr, scalars: &[Fr]| -> Vec<Fr> {
            scalars.iter().map(|scalar| *scalar * factor).collect()
        };
        // Every size from one row on, as snarkjs prepares them.
        let rows: Vec<Fr> = (0..=power).flat_map(|log2| lagrange(&powers, 1 << log2)).collect();
        let twice = [rows.clone(), lagrange(&powers, 2 * size)].concat();
        let modulus = Fq::MODULUS.to_bytes_le();
        let powers_of = [power.to_le_bytes(); 2].concat();
        let header = [&32u32.to_le_bytes(), modulus.as_slice(), &powers_of];
        let sections: [(u32, Vec<u8>); 11] = [
            (1, header.concat()),
            (2, g1(&powers)),
            (3, g2(&powers[..size])),
            (4, g1(&times(self.alpha, &powers[..size]))),
            (5, g1(&times(self.beta, &powers[..size]))),
            (6, g2(&[self.beta])),
            // Nobody contributed.
            (7, vec![0; 4]),
            (12, g1(&twice)),
            (13, g2(&rows)),
            (14, g1(&times(self.alpha, &rows))),
            (15, g1(&times(self.beta, &rows))),
        ];
        let mut file = [b"ptau".as_slice(), &1u32.to_le_bytes(), &11u32.to_le_bytes()].concat();
        for (number, content) in sections {
            file.extend(number.to_le_bytes());
            file.extend((content.len() as u64).to_le_bytes());
            file.extend(content);
        }
        file
    }
}

fn successive(tau: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::ONE), |power| Some(*power * tau)).take(count).collect()
}

/// The Lagrange polynomials of so many rows at tau; without the power behind the last one.
fn lagrange(powers: &[Fr], rows: usize) -> Vec<Fr> {
    let mut values = powers[..rows.min(powers.len())].to_vec();
    values.resize(rows, Fr::ZERO);
    let domain = Radix2EvaluationDomain::<Fr>::new(rows).expect("a power of two");
    domain.ifft_in_place(&mut values);
    values
}

fn g1(scalars: &[Fr]) -> Vec<u8> {
    let coordinates = |point: &G1Affine| {
        let (x, y) = point.xy().unwrap_or_default();
        [x, y]
    };
    let points = G1Projective::generator().batch_mul(scalars);
    points.iter().flat_map(coordinates).flat_map(bytes).collect()
}

fn g2(scalars: &[Fr]) -> Vec<u8> {
    let coordinates = |point: &G2Affine| {
        let (x, y) = point.xy().unwrap_or_default();
        [x.c0, x.c1, y.c0, y.c1]
    };
    let points = G2Projective::generator().batch_mul(scalars);
    points.iter().flat_map(coordinates).flat_map(bytes).collect()
}

fn bytes(value: Fq) -> Vec<u8> {
    value.0.to_bytes_le()
}
