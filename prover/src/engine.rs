//! Proving: from an assignment and a key to a verified proof.

use std::sync::Arc;

use ark_bn254::{Fr, G1Affine, G1Projective, G2Projective};
use ark_ec::CurveGroup;
use ark_ff::UniformRand;
use ark_std::rand::{CryptoRng, RngCore};
use statement::proof::{Proof, VerifyError, verify};
use taceo_ark_algebra::msm::msm_unchecked;
use zeroize::Zeroizing;

use crate::keys::{Provenance, ProvingKey};
use crate::qap;
use circuits::builder::Assignment;

/// The two numbers that hide the witness in a proof. Each pair is good for one proof; zeroised when
/// dropped.
pub struct Blinding {
    r: Zeroizing<Fr>,
    s: Zeroizing<Fr>,
    chosen: bool,
}

impl Blinding {
    /// Draws a fresh pair. The generator must be seeded by the operating system.
    pub fn draw(entropy: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut draw = || Zeroizing::new(Fr::rand(entropy));
        Self { r: draw(), s: draw(), chosen: false }
    }

    /// A chosen pair, for comparing proofs byte by byte. Such a proof hides nothing, so engines
    /// refuse it for every key that is not a development key.
    pub fn chosen(r: Fr, s: Fr) -> Self {
        Self { r: Zeroizing::new(r), s: Zeroizing::new(s), chosen: true }
    }
}

/// Makes proofs of one circuit. Engines differ in speed alone: the same assignment and blinding
/// give the same proof.
pub trait Engine: Send + Sync {
    /// A short name for reports.
    fn name(&self) -> &'static str;

    /// The key that this engine proves with.
    fn key(&self) -> &ProvingKey;

    /// Proves that the assignment satisfies the circuit. The proof was verified before it is
    /// returned.
    ///
    /// # Errors
    /// [`ProveError`].
    fn prove(&self, assignment: &Assignment, blinding: &Blinding) -> Result<Proof, ProveError>;
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The assignment is not one of the key's circuit.
    #[error("{what}: expected {expected}, found {found}")]
    Length {
        /// Which part of the assignment.
        what: &'static str,
        /// The key's number.
        expected: usize,
        /// The assignment's number.
        found: usize,
    },
    /// The first public column is the constant one.
    #[error("expected the constant one in column 0 of the assignment")]
    Constant,
    /// The assignment breaks a constraint.
    #[error("constraint {row} is not satisfied")]
    Violated {
        /// Its row.
        row: usize,
    },
    /// Chosen blinding with a key that is not a development key.
    #[error("chosen blinding is for development keys only")]
    ChosenBlinding,
    /// The finished proof does not verify: the products do not belong to the assignment, the key is
    /// damaged or not this circuit's, or the machine miscomputed.
    #[error("the proof was made and does not verify; it is withheld")]
    Withheld(#[source] VerifyError),
}

/// The engine for every machine: batch-affine multi-exponentiation on all cores of the rayon pool.
/// Its time depends on the witness, which is why a prover is not run beside strangers.
pub struct PortableEngine {
    key: Arc<ProvingKey>,
}

impl PortableEngine {
    /// An engine for `key`.
    pub fn new(key: Arc<ProvingKey>) -> Self {
        Self { key }
    }

    fn make_points(&self, z: &[Fr], h: &[Fr], blinding: &Blinding) -> Proof {
        let key = &*self.key;
        let (r, s) = (*blinding.r, *blinding.s);
        // Many columns do not occur in B, and nothing costs more than multiplying in G2.
        let in_b: Zeroizing<Vec<Fr>> =
            key.b_columns.iter().map(|column| z[*column as usize]).collect::<Vec<_>>().into();
        // Unchecked, it would cut the longer slice without a word; the lengths were compared
        // before.
        let mut a = msm_unchecked(&key.a, z) + key.delta_g1 * r;
        a += key.vk.ark().alpha_g1;
        let mut b_g2: G2Projective = msm_unchecked(&key.b_g2, &in_b) + key.vk.ark().delta_g2 * s;
        b_g2 += key.vk.ark().beta_g2;
        // The proof has B in G2 only, but C needs r times B, and points of G2 cannot stand there.
        let mut b_g1: G1Projective = msm_unchecked(&key.b_g1, &in_b) + key.delta_g1 * s;
        b_g1 += key.beta_g1;
        let mut c = msm_unchecked(&key.l, &z[key.instances()..]) + msm_unchecked(&key.h, h);
        // a and b_g1 hold r and s times delta already: their sum has r * s twice, once is right.
        c += a * s + b_g1 * r - key.delta_g1 * (r * s);
        let [a, c]: [G1Affine; 2] = [a.into_affine(), c.into_affine()];
        Proof::from_ark(&ark_groth16::Proof { a, b: b_g2.into_affine(), c })
    }
}

impl Engine for PortableEngine {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn key(&self) -> &ProvingKey {
        &self.key
    }

    fn prove(&self, assignment: &Assignment, blinding: &Blinding) -> Result<Proof, ProveError> {
        refuse_unfit(&self.key, assignment, blinding)?;
        let domain = self.key.domain().expect("the key was linted when it was made");
        let Assignment { instance, witness, az, bz, cz } = assignment;
        let h = qap::quotient(&domain, [az, bz, cz], instance);
        // In one piece, because a multi-exponentiation takes one slice; the copy is wiped like the
        // witness.
        let z = Zeroizing::new([instance.as_slice(), witness].concat());
        let proof = self.make_points(&z, &h, blinding);
        verify_or_withhold(&self.key, instance, proof)
    }
}

/// What every engine asks of its inputs before it works.
fn refuse_unfit(key: &ProvingKey, job: &Assignment, blinding: &Blinding) -> Result<(), ProveError> {
    let lengths = [
        ("public columns", key.instances(), job.instance.len()),
        ("private columns", key.witnesses(), job.witness.len()),
        ("products of A", key.constraints(), job.az.len()),
        ("products of B", key.constraints(), job.bz.len()),
        ("products of C", key.constraints(), job.cz.len()),
    ];
    for (what, expected, found) in lengths {
        if expected != found {
            return Err(ProveError::Length { what, expected, found });
        }
    }
    // In bounds: a key has the constant's column at least, and the numbers agree.
    if job.instance[0] != Fr::from(1) {
        return Err(ProveError::Constant);
    }
    // Whoever knows r and s can test guesses of the witness against the proof.
    if blinding.chosen && key.provenance() != Provenance::DevInsecure {
        return Err(ProveError::ChosenBlinding);
    }
    // The multi-exponentiations would make a proof of anything; it would only fail to verify, and
    // nobody could say why. The rows cost little beside that and name the broken one.
    match qap::first_violation(&job.az, &job.bz, &job.cz) {
        Some(row) => Err(ProveError::Violated { row }),
        None => Ok(()),
    }
}

/// The only way out of an engine: a proof that verifies. A damaged key, a miscomputed point and
/// products that are not the witness's end here, and not on the chain.
fn verify_or_withhold(
    key: &ProvingKey,
    instance: &[Fr],
    proof: Proof,
) -> Result<Proof, ProveError> {
    verify(key.verifying_key(), &instance[1..], &proof).map_err(ProveError::Withheld)?;
    Ok(proof)
}
