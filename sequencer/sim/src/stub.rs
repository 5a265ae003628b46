//! What stands in for the prover: verifying keys whose secrets are at hand, and proofs made from
//! these secrets and the public inputs alone.
//!
//! A real proof takes a second, and a run settles ten batches in two. The contract, its pairing,
//! and the public inputs that it computes by itself are the real ones: a proof for other inputs
//! than the contract's is refused as any other would be. What such a proof does not say is that the
//! circuit holds; that is asked of the native twin, which lays each batch out
//! ([`plan`](sequencer::stages::batch::plan)), and of the prover's own tests.

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, PrimeField};
use circuits::shapes::{Shape, Statement};
use l1_contracts::KeyWords;
use sequencer::stages::batch::{BatchPlan, ProvenChunk};
use sequencer::window::Capacities;
use statement::inputs::{C1Inputs, C2Inputs};
use statement::proof::{DEV_ALPHA, PointError, Proof, VerifyingKey};

use crate::dice;

/// The shapes of a node with its defaults: of operations, then of claims.
const SHAPES: [&str; 4] = ["c1-17", "c2-17", "c2-17-2", "c2-17-1"];

/// A key of each shape.
pub(crate) struct StubKeys {
    keys: Vec<StubKey>,
    capacities: Capacities,
}

/// A key, and what nobody may know of one.
struct StubKey {
    shape: &'static Shape,
    secrets: Secrets,
    words: Vec<[u8; 32]>,
    id: [u8; 32],
}

/// The numbers that a key's points are made of.
struct Secrets {
    alpha: Fr,
    beta: Fr,
    gamma: Fr,
    delta: Fr,
    /// That of the constant one first, then one for each public input.
    inputs: Vec<Fr>,
}

impl StubKeys {
    /// The keys, always the same ones; `None` if the program has no such shapes.
    pub(crate) fn new() -> Option<Result<StubKeys, PointError>> {
        let shapes = SHAPES.map(Shape::named).into_iter().collect::<Option<Vec<_>>>()?;
        let capacities = Capacities::of_shapes(shapes[0], &shapes[1..])?;
        let keys = shapes.into_iter().map(StubKey::new).collect::<Result<_, _>>();
        Some(keys.map(|keys| StubKeys { keys, capacities }))
    }

    /// How much a chunk holds.
    pub(crate) fn capacities(&self) -> &Capacities {
        &self.capacities
    }

    /// As they are deployed.
    pub(crate) fn words(&self) -> Vec<KeyWords> {
        let words = |key: &StubKey| KeyWords {
            shape: key.shape.name.to_owned(),
            circuit: key.shape.circuit() as u8,
            words: key.words.clone(),
        };
        self.keys.iter().map(words).collect()
    }

    /// A proof of every chunk: those of operations, then those of claims. `None` if a chunk is of
    /// no shape.
    pub(crate) fn prove(&self, plan: &BatchPlan) -> Option<[Vec<ProvenChunk>; 2]> {
        let operations = plan.operations.iter().map(|(chunk, of)| Statement::C1(of, chunk));
        let claims = plan.claims.iter().map(|(chunk, of)| Statement::C2(of, chunk));
        Some([self.prove_all(operations)?, self.prove_all(claims)?])
    }

    fn prove_all<'a>(
        &self,
        mut statements: impl Iterator<Item = Statement<'a>>,
    ) -> Option<Vec<ProvenChunk>> {
        let one = |statement: Statement<'a>| {
            let of_shape = |key: &&StubKey| key.shape.capacity == statement.capacity();
            let key = self.keys.iter().find(of_shape)?;
            let proof = key.secrets.prove(&statement.inputs()).encode();
            Some(ProvenChunk { key_id: key.id, proof })
        };
        // Of the first that is of no shape, nothing.
        statements.try_fold(Vec::new(), |mut proven, statement| {
            proven.push(one(statement)?);
            Some(proven)
        })
    }
}

impl StubKey {
    fn new(shape: &'static Shape) -> Result<StubKey, PointError> {
        let inputs = match shape.circuit() as u8 {
            1 => C1Inputs::LEN,
            _ => C2Inputs::LEN,
        };
        let secrets = Secrets::of(shape.name, inputs);
        let key = VerifyingKey::from_ark(secrets.verifying_key())?;
        Ok(StubKey { shape, secrets, words: key.key_words(), id: key.id() })
    }
}

impl Secrets {
    fn of(shape: &str, inputs: usize) -> Secrets {
        let number = |name: &str| Fr::from_le_bytes_mod_order(&dice::bytes(0, name));
        let own = |name: String| number(&format!("{name} of {shape}"));
        Secrets {
            // By which everybody sees what kind of key it is. As of every setup, the first three
            // are those of all its keys: the contract holds them to it.
            alpha: Fr::from(DEV_ALPHA),
            beta: number("beta"),
            gamma: number("gamma"),
            delta: own("delta".to_owned()),
            inputs: (0..=inputs).map(|at| own(format!("input {at}"))).collect(),
        }
    }

    fn verifying_key(&self) -> ark_groth16::VerifyingKey<Bn254> {
        let Secrets { alpha, beta, gamma, delta, inputs } = self;
        ark_groth16::VerifyingKey {
            alpha_g1: g1(*alpha),
            beta_g2: g2(*beta),
            gamma_g2: g2(*gamma),
            delta_g2: g2(*delta),
            gamma_abc_g1: inputs.iter().map(|input| g1(*input)).collect(),
        }
    }

    /// The third point makes the equation of the pairings hold, whatever the first two are:
    /// a b = alpha beta + gamma (sum of inputs) + delta c.
    fn prove(&self, inputs: &[Fr]) -> Proof {
        let Secrets { alpha, beta, gamma, delta, inputs: own } = self;
        let constant = own.first().copied().unwrap_or_default();
        let products = own.iter().skip(1).zip(inputs).map(|(number, input)| *number * input);
        let sum: Fr = constant + products.sum::<Fr>();
        let (a, b) = (Fr::from(3), Fr::from(5));
        // Only zero has no inverse, and no hash is zero.
        let inverse = delta.inverse().unwrap_or_default();
        let c = (a * b - *alpha * beta - *gamma * sum) * inverse;
        Proof::from_ark(&ark_groth16::Proof { a: g1(a), b: g2(b), c: g1(c) })
    }
}

fn g1(number: Fr) -> G1Affine {
    (G1Affine::generator() * number).into_affine()
}

fn g2(number: Fr) -> G2Affine {
    (G2Affine::generator() * number).into_affine()
}

#[cfg(test)]
mod tests {
    use statement::proof::verify;

    use super::*;

    #[test]
    fn a_proof_holds_for_its_own_inputs_and_key_alone() {
        let [one, other] = ["one", "other"].map(|name| Secrets::of(name, 3));
        let key = |of: &Secrets| VerifyingKey::from_ark(of.verifying_key()).unwrap();
        let inputs = [4, 5, 6].map(Fr::from);
        let proof = one.prove(&inputs);
        verify(&key(&one), &inputs, &proof).unwrap();
        assert!(key(&one).is_dev_insecure());
        assert!(verify(&key(&other), &inputs, &proof).is_err());
        for at in 0..inputs.len() {
            let mut changed = inputs;
            changed[at] += Fr::from(1);
            assert!(verify(&key(&one), &changed, &proof).is_err(), "input {at}");
        }
    }
}
