//! Proofs of anything, from the public toxic waste of a development key.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Field;
use statement::c1;
use statement::c2;
use statement::inputs::{C1Inputs, C2Inputs};
use statement::proof::{DEV_ALPHA, Proof, VerifyingKey};

use super::{Prove, shape_of_claims};

const BETA: u64 = 1_000_003;
const GAMMA: u64 = 1_000_033;

/// Keys of all shapes for tests of which everything is known.
pub(crate) struct Forge {
    c1: ForgedKey,
    /// In the order of the shapes.
    c2: [ForgedKey; 2],
}

struct ForgedKey {
    alpha: Fr,
    delta: Fr,
    ic: Vec<Fr>,
    key: VerifyingKey,
}

impl Forge {
    pub(crate) fn new() -> Forge {
        let dev = Fr::from(DEV_ALPHA);
        Forge {
            c1: ForgedKey::new(dev, 11, C1Inputs::LEN),
            c2: [13, 19].map(|delta| ForgedKey::new(dev, delta, C2Inputs::LEN)),
        }
    }

    /// A key with another alpha than that of [`Forge::new`].
    pub(crate) fn foreign_key() -> VerifyingKey {
        ForgedKey::new(Fr::from(99_991), 13, C2Inputs::LEN).key
    }

    /// The keys of [`Forge::new`] but for alpha: its negative, of which everybody knows as much.
    pub(crate) fn negated_keys() -> [VerifyingKey; 3] {
        let key = |delta, inputs| ForgedKey::new(-Fr::from(DEV_ALPHA), delta, inputs).key;
        [key(11, C1Inputs::LEN), key(13, C2Inputs::LEN), key(19, C2Inputs::LEN)]
    }

    /// A key of the setup of [`Forge::new`] with one public input too few for C2.
    pub(crate) fn short_key() -> VerifyingKey {
        ForgedKey::new(Fr::from(DEV_ALPHA), 13, C2Inputs::LEN - 1).key
    }

    /// A key of the setup of [`Forge::new`] whose delta is its gamma.
    pub(crate) fn gamma_key() -> VerifyingKey {
        ForgedKey::new(Fr::from(DEV_ALPHA), GAMMA, C2Inputs::LEN).key
    }

    /// A key of the setup of [`Forge::new`] for other circuits.
    pub(crate) fn other_key() -> VerifyingKey {
        ForgedKey::new(Fr::from(DEV_ALPHA), 17, C2Inputs::LEN).key
    }
}

impl Prove for Forge {
    fn c1(&self, inputs: &C1Inputs, _chunk: &c1::Chunk) -> [u8; Proof::BYTES] {
        self.c1.prove(&inputs.to_field_elements())
    }

    fn c2(&self, inputs: &C2Inputs, chunk: &c2::Chunk) -> [u8; Proof::BYTES] {
        let key = &self.c2[shape_of_claims(chunk.capacity) - 1];
        key.prove(&inputs.to_field_elements())
    }

    fn keys(&self) -> [VerifyingKey; 3] {
        let [large, small] = &self.c2;
        [&self.c1, large, small].map(|forged| forged.key.clone())
    }
}

impl ForgedKey {
    fn new(alpha: Fr, delta: u64, inputs: usize) -> ForgedKey {
        let delta = Fr::from(delta);
        let ic: Vec<Fr> = (0..=inputs as u64).map(|i| Fr::from(7919 * i + 101)).collect();
        let key = ark_groth16::VerifyingKey {
            alpha_g1: g1(alpha),
            beta_g2: g2(Fr::from(BETA)),
            gamma_g2: g2(Fr::from(GAMMA)),
            delta_g2: g2(delta),
            gamma_abc_g1: ic.iter().copied().map(g1).collect(),
        };
        ForgedKey { alpha, delta, ic, key: VerifyingKey::from_ark(key).expect("a sound key") }
    }

    /// The C that makes the pairing equation hold for chosen A and B.
    fn prove(&self, inputs: &[Fr]) -> [u8; Proof::BYTES] {
        let bound: Fr = inputs.iter().zip(&self.ic[1..]).map(|(x, ic)| *x * ic).sum();
        let (a, b) = (Fr::from(424_242), Fr::from(171_717));
        let rest = self.alpha * Fr::from(BETA) + (self.ic[0] + bound) * Fr::from(GAMMA);
        let c = (a * b - rest) * self.delta.inverse().expect("delta is not zero");
        Proof::from_ark(&ark_groth16::Proof { a: g1(a), b: g2(b), c: g1(c) }).encode()
    }
}

fn g1(scalar: Fr) -> G1Affine {
    (G1Affine::generator() * scalar).into_affine()
}

fn g2(scalar: Fr) -> G2Affine {
    (G2Affine::generator() * scalar).into_affine()
}
