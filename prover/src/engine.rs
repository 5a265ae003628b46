//! Proving: from an assignment and a key to a verified proof, whichever engine does it.

use std::io;
use std::path::{Path, PathBuf};

use ark_bn254::{Fr, G1Affine, G1Projective, G2Projective};
use ark_ec::CurveGroup;
use ark_ff::UniformRand;
use ark_std::rand::{CryptoRng, RngCore};
use statement::proof::{Proof, VerifyError, verify};
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

    /// Gets the tables that make proofs faster, from files or newly built, which takes seconds;
    /// proofs can be made meanwhile. An engine that has none does nothing.
    ///
    /// # Errors
    /// [`TableError`]: a table could not be kept in its file. Those before it are in use.
    fn add_tables(&self, _: &TableTerms<'_>) -> Result<TableReport, TableError> {
        Ok(TableReport::default())
    }

    /// Bytes of the tables in use.
    fn table_bytes(&self) -> usize {
        0
    }
}

/// Constraints from which tables are worth their memory: fewer are proven in some ten milliseconds
/// without.
pub const TABLE_ROWS_MIN: usize = 1 << 16;

/// Where tables are kept, and how many.
#[derive(Clone, Copy)]
pub struct TableTerms<'a> {
    /// A folder that is as trusted as that of the keys: a false table withholds every proof.
    pub folder: &'a Path,
    /// Bytes that tables of this engine may have; those for which there is no room are left out.
    pub bytes_max: usize,
    /// Asked about ten times a second whether to go on.
    pub go_on: &'a (dyn Fn() -> bool + Sync),
}

/// What [`Engine::add_tables`] did.
#[derive(Debug, Default)]
pub struct TableReport {
    /// Bytes of memory that the tables take.
    pub bytes: usize,
    /// Bytes that all tables of the key would take.
    pub bytes_wanted: usize,
    /// Files that were not those of the key, or damaged, and were made anew.
    pub replaced: Vec<TableError>,
}

/// A file of tables that cannot be used or written.
#[derive(Debug, thiserror::Error)]
#[error("the table file {}", path.display())]
pub struct TableError {
    path: PathBuf,
    source: io::Error,
}

impl TableError {
    pub(crate) fn new(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), source }
    }
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

/// The five sums of a proof: each query's points, each taken as often as its scalar says.
pub(crate) struct Sums {
    pub(crate) a: G1Projective,
    pub(crate) b_g1: G1Projective,
    pub(crate) b_g2: G2Projective,
    pub(crate) l: G1Projective,
    pub(crate) h: G1Projective,
}

impl Sums {
    /// The blinded proof.
    pub(crate) fn blind(self, key: &ProvingKey, blinding: &Blinding) -> Proof {
        let (r, s) = (*blinding.r, *blinding.s);
        let a = self.a + key.delta_g1 * r + key.vk.ark().alpha_g1;
        let b_g2 = self.b_g2 + key.vk.ark().delta_g2 * s + key.vk.ark().beta_g2;
        // The proof has B in G2 only, but C needs r times B, and points of G2 cannot stand there.
        let b_g1 = self.b_g1 + key.delta_g1 * s + key.beta_g1;
        // a and b_g1 hold r and s times delta already: their sum has r * s twice, once is right.
        let c = self.l + self.h + a * s + b_g1 * r - key.delta_g1 * (r * s);
        let [a, c]: [G1Affine; 2] = [a.into_affine(), c.into_affine()];
        Proof::from_ark(&ark_groth16::Proof { a, b: b_g2.into_affine(), c })
    }
}

/// What every engine asks of its inputs before it works.
pub(crate) fn refuse_unfit(
    key: &ProvingKey,
    job: &Assignment,
    blinding: &Blinding,
) -> Result<(), ProveError> {
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
pub(crate) fn verify_or_withhold(
    key: &ProvingKey,
    instance: &[Fr],
    proof: Proof,
) -> Result<Proof, ProveError> {
    verify(key.verifying_key(), &instance[1..], &proof).map_err(ProveError::Withheld)?;
    Ok(proof)
}
