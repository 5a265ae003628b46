//! The engine for processors with eight-way multiplication: the portable one's steps, in the
//! kernel's arithmetic.

use std::sync::Arc;

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField};
use ark_poly::EvaluationDomain;
use kernel::Ifma;
use kernel::multiexp::{Digits, G1, G2, Points, Windows, digit_bits};
use kernel::transform::{Quotients, SIZE_MIN};
use rayon::prelude::*;
use statement::proof::Proof;
use zeroize::Zeroizing;

use crate::engine::{Blinding, Engine, ProveError, Sums, refuse_unfit, verify_or_withhold};
use crate::keys::ProvingKey;
use circuits::builder::Assignment;

/// A key's points and roots in the kernel's form: about as large as the key once more.
pub struct AcceleratedEngine {
    key: Arc<ProvingKey>,
    quotients: Quotients,
    a: Points<G1>,
    /// As many as `a`, so that both are summed with the same digits: infinity for the public
    /// columns.
    l: Points<G1>,
    b_g1: Points<G1>,
    b_g2: Points<G2>,
    h: Points<G1>,
}

impl AcceleratedEngine {
    /// An engine for `key`; `None` for a circuit of fewer than [`SIZE_MIN`] rows, which gains
    /// nothing.
    pub fn new(cpu: Ifma, key: Arc<ProvingKey>) -> Option<Self> {
        let size = key.domain().expect("the key was linted when it was made").size();
        if size < SIZE_MIN {
            return None;
        }
        let public = vec![G1Affine::zero(); key.instances()];
        Some(Self {
            quotients: Quotients::new(cpu, size)?,
            a: Points::new(cpu, &key.a),
            l: Points::new(cpu, &[&public[..], &key.l].concat()),
            b_g1: Points::new(cpu, &key.b_g1),
            b_g2: Points::new(cpu, &key.b_g2),
            h: Points::new(cpu, &key.h),
            key,
        })
    }

    fn sum(&self, z: &[BigInt<4>], h: &[BigInt<4>]) -> Sums {
        let sort = |scalars: &[BigInt<4>]| {
            Digits::sort(scalars, digit_bits(scalars.len()), Windows::Apart)
        };
        let columns = &self.key.b_columns;
        let in_b: Zeroizing<Vec<BigInt<4>>> =
            columns.iter().map(|column| z[*column as usize]).collect::<Vec<_>>().into();
        let (z, (in_b, h)) = rayon::join(|| sort(z), || rayon::join(|| sort(&in_b), || sort(h)));
        // One after the other, each on all cores: each reads its own points, and two at once would
        // share the cache.
        Sums {
            a: self.a.sum(&z),
            b_g1: self.b_g1.sum(&in_b),
            b_g2: self.b_g2.sum(&in_b),
            l: self.l.sum(&z),
            h: self.h.sum(&h),
        }
    }
}

impl Engine for AcceleratedEngine {
    fn name(&self) -> &'static str {
        "accelerated"
    }

    fn key(&self) -> &ProvingKey {
        &self.key
    }

    fn prove(&self, assignment: &Assignment, blinding: &Blinding) -> Result<Proof, ProveError> {
        refuse_unfit(&self.key, assignment, blinding)?;
        let Assignment { instance, witness, az, bz, .. } = assignment;
        // The rows behind the constraints bind the public columns; only A has something there.
        let az = Zeroizing::new([az.as_slice(), instance].concat());
        // C is A B on every row: the constraints were just checked, and B is zero behind them.
        let h = self.quotients.quotient(&az, bz);
        let columns = instance.par_iter().chain(witness);
        let z: Zeroizing<Vec<BigInt<4>>> =
            columns.map(|column: &Fr| column.into_bigint()).collect::<Vec<_>>().into();
        let proof = self.sum(&z, &h).blind(&self.key, blinding);
        verify_or_withhold(&self.key, instance, proof)
    }
}
