//! What a proving key is, and the rules that every key keeps.

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use statement::proof::{PointError, VerifyingKey};

use crate::qap;

/// Where the secret numbers behind a key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Derived from public constants: anyone can compute them and forge proofs. For tests, demos
    /// and development chains only.
    DevInsecure,
    /// Made in a ceremony and destroyed; sound if one contributor was honest.
    Ceremony {
        /// Hash of the published transcript.
        transcript: [u8; 32],
    },
}

/// A proving key of one circuit. Takes 64 bytes a column for A and L each, 192 a column that occurs
/// in B, and 64 a row of the domain; about 45 MiB for 2^17 constraints.
#[derive(Clone)]
pub struct ProvingKey {
    pub(crate) circuit_hash: [u8; 32],
    pub(crate) provenance: Provenance,
    pub(crate) constraints: usize,
    pub(crate) witnesses: usize,
    pub(crate) vk: VerifyingKey,
    pub(crate) beta_g1: G1Affine,
    pub(crate) delta_g1: G1Affine,
    /// One point a column.
    pub(crate) a: Vec<G1Affine>,
    /// The columns that occur in B, ascending: the others are infinity and left out of both
    /// queries.
    pub(crate) b_columns: Vec<u32>,
    pub(crate) b_g1: Vec<G1Affine>,
    pub(crate) b_g2: Vec<G2Affine>,
    /// One point a witness.
    pub(crate) l: Vec<G1Affine>,
    /// One point a row of the domain.
    pub(crate) h: Vec<G1Affine>,
}

impl ProvingKey {
    /// Takes over a key made elsewhere with the circom reduction, for instance by ark-groth16.
    ///
    /// # Errors
    /// [`KeyError`] when the parts do not fit each other, `constraints` or `provenance`.
    pub fn from_ark(
        key: ark_groth16::ProvingKey<Bn254>,
        circuit_hash: [u8; 32],
        constraints: usize,
        provenance: Provenance,
    ) -> Result<Self, KeyError> {
        let used = |column: &u32| {
            let column = *column as usize;
            !key.b_g1_query[column].is_zero() || !key.b_g2_query[column].is_zero()
        };
        let columns = key.b_g1_query.len().min(key.b_g2_query.len());
        expect_len("B columns in G2", key.b_g1_query.len(), key.b_g2_query.len())?;
        let b_columns: Vec<u32> = (0..columns as u32).filter(used).collect();
        let built = Self {
            circuit_hash,
            provenance,
            constraints,
            witnesses: key.l_query.len(),
            vk: VerifyingKey::from_ark(key.vk)?,
            beta_g1: key.beta_g1,
            delta_g1: key.delta_g1,
            a: key.a_query,
            b_g1: b_columns.iter().map(|column| key.b_g1_query[*column as usize]).collect(),
            b_g2: b_columns.iter().map(|column| key.b_g2_query[*column as usize]).collect(),
            b_columns,
            l: key.l_query,
            h: key.h_query,
        };
        built.lint()?;
        // Leaving columns out hides the query's length, which the rules therefore cannot check.
        expect_len("B columns", built.a.len(), columns)?;
        Ok(built)
    }

    /// The same key for ark-groth16's prover, with the B queries filled up again.
    pub fn to_ark(&self) -> ark_groth16::ProvingKey<Bn254> {
        ark_groth16::ProvingKey {
            vk: self.vk.ark().clone(),
            beta_g1: self.beta_g1,
            delta_g1: self.delta_g1,
            a_query: self.a.clone(),
            b_g1_query: self.spread(&self.b_g1),
            b_g2_query: self.spread(&self.b_g2),
            h_query: self.h.clone(),
            l_query: self.l.clone(),
        }
    }

    /// The key that verifies this one's proofs.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.vk
    }

    /// Hash of the circuit that the key is for.
    pub fn circuit_hash(&self) -> [u8; 32] {
        self.circuit_hash
    }

    /// Where the key came from.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// Constraints of the circuit.
    pub fn constraints(&self) -> usize {
        self.constraints
    }

    /// Public columns, the constant one included.
    pub fn instances(&self) -> usize {
        self.vk.input_count() + 1
    }

    /// Private columns.
    pub fn witnesses(&self) -> usize {
        self.witnesses
    }

    pub(crate) fn domain(&self) -> Option<Radix2EvaluationDomain<Fr>> {
        qap::domain(self.constraints, self.instances())
    }

    pub(crate) fn spread<P: AffineRepr>(&self, points: &[P]) -> Vec<P> {
        // A column at infinity adds nothing to a sum, which is why it could be left out.
        let mut all = vec![P::zero(); self.a.len()];
        for (column, point) in self.b_columns.iter().zip(points) {
            all[*column as usize] = *point;
        }
        all
    }

    /// The rules that every key keeps, whoever made it. Cheap: points are checked where they are
    /// read.
    pub(crate) fn lint(&self) -> Result<(), KeyError> {
        let columns = self.instances() + self.witnesses;
        // The domain is stored nowhere: it follows from the counts, so that no key can name
        // another.
        let size = self.domain().ok_or(KeyError::TooLarge { rows: self.constraints })?.size();
        expect_len("A points", columns, self.a.len())?;
        expect_len("B points in G1", self.b_columns.len(), self.b_g1.len())?;
        expect_len("B points in G2", self.b_columns.len(), self.b_g2.len())?;
        expect_len("L points", self.witnesses, self.l.len())?;
        expect_len("H points", size, self.h.len())?;
        // Then spreading the points out writes no place twice and none outside.
        let ascending = self.b_columns.is_sorted_by(|left, right| left < right);
        if !ascending || self.b_columns.last().is_some_and(|last| *last as usize >= columns) {
            return Err(KeyError::Columns);
        }
        let (vk, declared) = (self.vk.ark(), self.provenance == Provenance::DevInsecure);
        // IC is over gamma and L over delta; over one number, an input could be moved into the
        // witness.
        if vk.gamma_g2 == vk.delta_g2 {
            return Err(KeyError::GammaIsDelta);
        }
        // Both ways: a forgeable key must not pass for a ceremony's, nor a ceremony's for a
        // forgeable one.
        if declared != self.vk.is_dev_insecure() {
            return Err(KeyError::Provenance { declared: self.provenance });
        }
        Ok(())
    }
}

impl std::fmt::Debug for ProvingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProvingKey({:?}, {:?})", self.vk, self.provenance)
    }
}

/// Why the parts of a key do not make a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A query has a wrong length.
    #[error("{what}: expected {expected}, found {found}")]
    Length {
        /// Which query.
        what: &'static str,
        /// Points that the circuit's size asks for.
        expected: usize,
        /// Points found.
        found: usize,
    },
    /// The column list of B is not ascending, or names a column that does not exist.
    #[error("the B columns are not ascending column numbers")]
    Columns,
    /// More rows than the field has roots of unity for.
    #[error("{rows} constraints do not fit the largest domain of 2^27 rows")]
    TooLarge {
        /// Constraints.
        rows: usize,
    },
    /// With gamma equal to delta a prover may move public inputs into the witness.
    #[error("gamma equals delta: public inputs would not be bound")]
    GammaIsDelta,
    /// The development alpha and the declared provenance contradict each other.
    #[error("the key declares {declared:?}, its alpha says otherwise")]
    Provenance {
        /// What the key declares.
        declared: Provenance,
    },
    /// The verifying key has a bad point.
    #[error("the verifying key is not sound")]
    VerifyingKey(#[from] PointError),
}

fn expect_len(what: &'static str, expected: usize, found: usize) -> Result<(), KeyError> {
    if expected == found { Ok(()) } else { Err(KeyError::Length { what, expected, found }) }
}
