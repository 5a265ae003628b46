//! The engine for every machine.

use std::sync::Arc;

use ark_bn254::Fr;
use statement::proof::Proof;
use taceo_ark_algebra::msm::msm_unchecked;
use zeroize::Zeroizing;

use crate::engine::{Blinding, Engine, ProveError, Sums, refuse_unfit, verify_or_withhold};
use crate::keys::ProvingKey;
use crate::qap;
use circuits::builder::Assignment;

/// Batch-affine multi-exponentiation on all cores of the rayon pool. Its time depends on the
/// witness, which is why a prover is not run beside strangers.
pub struct PortableEngine {
    key: Arc<ProvingKey>,
}

impl PortableEngine {
    /// An engine for `key`.
    pub fn new(key: Arc<ProvingKey>) -> Self {
        Self { key }
    }

    fn sum(&self, z: &[Fr], h: &[Fr]) -> Sums {
        let key = &*self.key;
        // Many columns do not occur in B, and nothing costs more than multiplying in G2.
        let in_b: Zeroizing<Vec<Fr>> =
            key.b_columns.iter().map(|column| z[*column as usize]).collect::<Vec<_>>().into();
        // Unchecked, it would cut the longer slice without a word; the lengths were compared
        // before.
        Sums {
            a: msm_unchecked(&key.a, z),
            b_g1: msm_unchecked(&key.b_g1, &in_b),
            b_g2: msm_unchecked(&key.b_g2, &in_b),
            l: msm_unchecked(&key.l, &z[key.instances()..]),
            h: msm_unchecked(&key.h, h),
        }
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
        let proof = self.sum(&z, &h).blind(&self.key, blinding);
        verify_or_withhold(&self.key, instance, proof)
    }
}
