//! The engine for processors with eight-way multiplication: the portable one's steps, in the
//! kernel's arithmetic.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField};
use ark_poly::EvaluationDomain;
use kernel::multiexp::{Digits, G1, G2, Points, Windows, digit_bits};
use kernel::transform::{Quotients, SIZE_MIN};
use kernel::{Ifma, give_way};
use rayon::prelude::*;
use statement::proof::Proof;
use zeroize::Zeroizing;

use crate::engine::{
    Blinding, Engine, ProveError, Sums, TableError, TableReport, TableTerms, refuse_unfit,
    verify_or_withhold,
};
use crate::keys::ProvingKey;
use crate::tables::{Tables, Wanted};
use circuits::builder::Assignment;

/// Between looks whether tables are still wanted, while proofs are being made.
const LOOK: Duration = Duration::from_millis(100);

/// A key's points and roots in the kernel's form: about as large as the key once more.
pub struct AcceleratedEngine {
    cpu: Ifma,
    key: Arc<ProvingKey>,
    quotients: Quotients,
    a: Points<G1>,
    /// As many as `a`, so that both are summed with the same digits: infinity for the public
    /// columns.
    l: Points<G1>,
    b_g1: Points<G1>,
    b_g2: Points<G2>,
    h: Points<G1>,
    tables: RwLock<Tables>,
    /// How many proofs are being made: tables are built between them.
    proving: Mutex<usize>,
    /// None is being made.
    idle: Condvar,
}

impl AcceleratedEngine {
    /// An engine for `key`; `None` for a circuit of fewer than [`SIZE_MIN`] rows, which gains
    /// nothing.
    pub fn new(cpu: Ifma, key: Arc<ProvingKey>) -> Option<Self> {
        let size = key.domain().expect("the key was linted when it was made").size();
        if size < SIZE_MIN {
            return None;
        }
        Some(Self {
            quotients: Quotients::new(cpu, size)?,
            a: Points::new(cpu, &key.a),
            l: Points::new(cpu, &pad_l(&key)),
            b_g1: Points::new(cpu, &key.b_g1),
            b_g2: Points::new(cpu, &key.b_g2),
            h: Points::new(cpu, &key.h),
            tables: RwLock::default(),
            proving: Mutex::new(0),
            idle: Condvar::new(),
            cpu,
            key,
        })
    }

    fn sum(&self, tables: &Tables, z: &[BigInt<4>], h: &[BigInt<4>]) -> Sums {
        let apart = |scalars: &[BigInt<4>]| {
            Digits::sort(scalars, digit_bits(scalars.len()), Windows::Apart)
        };
        let Tables { columns, in_b, quotient } = tables;
        let b: Zeroizing<Vec<BigInt<4>>> =
            self.key.b_columns.iter().map(|column| z[*column as usize]).collect::<Vec<_>>().into();
        let sort_z = || columns.as_ref().map_or_else(|| apart(z), |pair| pair.sort(z));
        let sort_b = || in_b.as_ref().map_or_else(|| apart(&b), |pair| pair.sort(&b));
        let sort_h = || quotient.as_ref().map_or_else(|| apart(h), |pair| pair.sort(h));
        let (z, (b, h)) = rayon::join(sort_z, || rayon::join(sort_b, sort_h));
        // One after the other, each on all cores: each reads its own points, and two at once would
        // share the cache.
        let (a, l) = match columns {
            Some(pair) => (pair.first.sum(&z), pair.second.sum(&z)),
            None => (self.a.sum(&z), self.l.sum(&z)),
        };
        let (b_g1, b_g2) = match in_b {
            Some(pair) => (pair.first.sum(&b), pair.second.sum(&b)),
            None => (self.b_g1.sum(&b), self.b_g2.sum(&b)),
        };
        let h = match quotient {
            Some(pair) => pair.first.sum(&h),
            None => self.h.sum(&h),
        };
        Sums { a, b_g1, b_g2, l, h }
    }

    fn tables(&self) -> Tables {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn proving(&self) -> MutexGuard<'_, usize> {
        self.proving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no proof is being made; `false` as soon as `go_on` says no.
    fn wait_for_idle(&self, go_on: &dyn Fn() -> bool) -> bool {
        let mut count = self.proving();
        while *count > 0 && go_on() {
            let waited = self.idle.wait_timeout(count, LOOK);
            (count, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        go_on()
    }

    fn set_tables(&self, set: impl FnOnce(&mut Tables)) {
        set(&mut self.tables.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A proof that is being made.
struct Proving<'a>(&'a AcceleratedEngine);

impl<'a> Proving<'a> {
    fn begin(engine: &'a AcceleratedEngine) -> Self {
        *engine.proving() += 1;
        Self(engine)
    }
}

impl Drop for Proving<'_> {
    fn drop(&mut self) {
        let mut count = self.0.proving();
        *count -= 1;
        if *count == 0 {
            self.0.idle.notify_all();
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
        give_way();
        let _proving = Proving::begin(self);
        let Assignment { instance, witness, az, bz, .. } = assignment;
        // The rows behind the constraints bind the public columns; only A has something there.
        let az = Zeroizing::new([az.as_slice(), instance].concat());
        // C is A B on every row: the constraints were just checked, and B is zero behind them.
        let h = self.quotients.quotient(&az, bz);
        give_way();
        let columns = instance.par_iter().chain(witness);
        let z: Zeroizing<Vec<BigInt<4>>> =
            columns.map(|column: &Fr| column.into_bigint()).collect::<Vec<_>>().into();
        let tables = self.tables();
        let verify = |sums: Sums| {
            give_way();
            let proof = sums.blind(&self.key, blinding);
            give_way();
            verify_or_withhold(&self.key, instance, proof)
        };
        let proof = verify(self.sum(&tables, &z, &h));
        if proof.is_ok() || tables.bytes() == 0 {
            return proof;
        }
        // A table may be what is wrong: the sums without tell. If they are right no table is used
        // any more.
        let proof = verify(self.sum(&Tables::default(), &z, &h))?;
        self.set_tables(Tables::discard);
        Ok(proof)
    }

    fn add_tables(&self, terms: &TableTerms<'_>) -> Result<TableReport, TableError> {
        // A proof has the cores to itself.
        let go_on = || self.wait_for_idle(terms.go_on);
        let terms = TableTerms { go_on: &go_on, ..*terms };
        let (key, mut report) = (&*self.key, TableReport::default());
        let id = hex::encode(key.verifying_key().id());
        let file = |query: &str| format!("{id}.{query}.table");
        // First what gains most for its bytes.
        let in_b = Wanted::<G1, G2> { file: file("b"), first: &key.b_g1, second: &key.b_g2 };
        if let Some(found) = in_b.get(self.cpu, &terms, &mut report)? {
            self.set_tables(|tables| tables.in_b = Some(found));
        }
        let quotient = Wanted::<G1, G1> { file: file("h"), first: &key.h, second: &[] };
        if let Some(found) = quotient.get(self.cpu, &terms, &mut report)? {
            self.set_tables(|tables| tables.quotient = Some(found));
        }
        let l = pad_l(key);
        let columns = Wanted::<G1, G1> { file: file("al"), first: &key.a, second: &l };
        if let Some(found) = columns.get(self.cpu, &terms, &mut report)? {
            self.set_tables(|tables| tables.columns = Some(found));
        }
        Ok(report)
    }

    fn table_bytes(&self) -> usize {
        self.tables().bytes()
    }
}

/// The L query with infinity for the public columns, which has the scalars of A.
fn pad_l(key: &ProvingKey) -> Vec<G1Affine> {
    [&vec![G1Affine::zero(); key.instances()][..], &key.l].concat()
}
