//! The public "toxic waste" of development keys.
//!
//! A real key is sound because nobody knows these numbers. Here everybody does, by construction:
//! they follow from constants in this file and the circuit's hash, so that every machine makes the
//! same key and tests need no download. `alpha` is [`DEV_ALPHA`] itself, which lets anyone, the key
//! registry on chain included, recognise such a key by its first point.

use ark_bn254::Fr;
use ark_ff::{PrimeField, Zero};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use statement::proof::DEV_ALPHA;

const CONTEXT: &str = "vitals dev-insecure toxic waste v1";

/// The secrets of a setup. Public ones here.
#[derive(Clone, Copy)]
pub(crate) struct ToxicWaste {
    pub(crate) alpha: Fr,
    pub(crate) beta: Fr,
    pub(crate) gamma: Fr,
    pub(crate) delta: Fr,
    pub(crate) tau: Fr,
}

impl ToxicWaste {
    /// Alpha, beta and gamma are those of every development key, so that a batch over several
    /// circuits is one pairing check; delta and tau are the circuit's own.
    pub(crate) fn dev_insecure(
        circuit_hash: &[u8; 32],
        domain: &Radix2EvaluationDomain<Fr>,
    ) -> Self {
        // At a root of unity the Lagrange basis is zero but for one row, and so would be the key.
        let tau = (0u8..)
            .map(|attempt| derive(&["tau".as_bytes(), circuit_hash, &[attempt]]))
            .find(|tau| !domain.evaluate_vanishing_polynomial(*tau).is_zero())
            .expect("256 hashes are not all among the 2^27 roots of unity");
        Self {
            alpha: Fr::from(DEV_ALPHA),
            beta: derive(&["beta".as_bytes()]),
            gamma: derive(&["gamma".as_bytes()]),
            delta: derive(&["delta".as_bytes(), circuit_hash]),
            tau,
        }
    }
}

fn derive(parts: &[&[u8]]) -> Fr {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for part in parts {
        // With its length, so that no two lists of parts hash alike.
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    // Twice the field's width: reduced, it is as good as uniform.
    let mut wide = [0; 64];
    hasher.finalize_xof().fill(&mut wide);
    Fr::from_le_bytes_mod_order(&wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circuits_share_alpha_beta_gamma_and_nothing_else() {
        let domain = crate::qap::domain(5, 1).expect("small");
        let one = ToxicWaste::dev_insecure(&[1; 32], &domain);
        let two = ToxicWaste::dev_insecure(&[2; 32], &domain);
        assert_eq!((one.alpha, one.beta, one.gamma), (two.alpha, two.beta, two.gamma));
        assert_ne!(one.delta, two.delta);
        assert_ne!(one.tau, two.tau);
        let mut all = vec![one.alpha, one.beta, one.gamma, one.delta, one.tau];
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 5);
    }
}
