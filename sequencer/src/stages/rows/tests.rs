//! The pool with evaluators that a test holds in its hand.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use circuits::c1::RowError;
use model::{
    Action, ChainScope, ClaimKind, Digest, Millis, Operation, Party, PatientIndex, Record, Rule,
    RuleNumber, RuleSlot, Word,
};
use statement::c1::Context;
use statement::eddsa::SecretKey;
use statement::operation::SignedOperation;
use statement::{field, scope};

use super::*;
use crate::metrics::Metrics;

const CHAIN: ChainScope = ChainScope { chain_id: 31337, contract: [7; 20] };

fn at(ms: u64) -> Millis {
    Millis::new(4_000_000_000_000 + ms).unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

fn enrolled() -> Record {
    let hash = Word::from_bytes(field::to_bytes(&key().public().hash())).unwrap();
    Record::enrolled(hash, Word::from_u64(11), Word::from_u64(12))
}

fn permit() -> Action {
    let rule = Rule::widest(Party::Any, ClaimKind::Collect.only());
    Action::Write { slot: RuleSlot::Permit(0), rule }
}

/// An operation of a patient who is enrolled.
fn row(patient: u32, action: Action) -> Box<OperationRow> {
    let sig_domain = scope::sig_domain(CHAIN);
    let patient = PatientIndex::new(patient).unwrap();
    let (signed_at, valid_until) = (at(0), at(60_000));
    let operation = Operation { patient, nonce: 0, signed_at, valid_until, action };
    Box::new(OperationRow {
        signed: SignedOperation::sign(operation, sig_domain, &key()),
        digest: Digest([5; 31]),
        old: Some(enrolled()),
        context: Context {
            sig_domain,
            registrar_key_hash: Fr::ZERO,
            t0: at(0),
            last_time: at(10),
            t_op: at(20),
            t1: None,
        },
    })
}

#[test]
fn the_circuit_holds_for_what_the_twin_accepts() {
    for action in [permit(), Action::Stop] {
        let row = row(12_345, action);
        assert_eq!(CircuitRows.evaluate(&row), Ok(()));
        let (digest, old) = (row.digest, row.old.clone());
        let evaluated = row.evaluate(&CircuitRows).unwrap();
        assert!(evaluated.is_of(digest, old.as_ref()));
        assert!(!evaluated.is_of(Digest([6; 31]), old.as_ref()));
        assert!(!evaluated.is_of(digest, None));
        let moved = old.map(|old| Record { nonce: old.nonce + 1, ..old });
        assert!(!evaluated.is_of(digest, moved.as_ref()));
    }
}

#[test]
fn what_the_twin_refuses_is_named_with_its_rule() {
    let mut late = row(1, Action::Stop);
    late.context.t_op = at(60_000);
    let Err(NotProvable::Row(RowError::Refused(error))) = CircuitRows.evaluate(&late) else {
        panic!("too late")
    };
    assert_eq!(error.rule, RuleNumber::c1(5));
}

/// Tells which patient's row is evaluated, and waits for a word before it says that it holds.
struct Held {
    begun: Mutex<Sender<u32>>,
    go: Mutex<Receiver<()>>,
}

impl Evaluate for Held {
    fn evaluate(&self, row: &OperationRow) -> Result<(), NotProvable> {
        let patient = row.signed.operation.patient.get();
        self.begun.lock().unwrap().send(patient).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        Ok(())
    }
}

/// A pool of one thread that evaluates when it is told, and what it is told of.
struct Bench {
    pool: RowPool,
    metrics: Arc<Metrics>,
    begun: Receiver<u32>,
    go: Sender<()>,
    told: Receiver<(u32, Result<(), NotEvaluated>)>,
    tell: Sender<(u32, Result<(), NotEvaluated>)>,
}

impl Bench {
    fn new(evaluations_max: usize, evaluations_reserved: usize) -> Bench {
        let ((begin, begun), (go, wait)) = (channel(), channel());
        let rows = Held { begun: Mutex::new(begin), go: Mutex::new(wait) };
        let config =
            AdmissionConfig { evaluations_max, evaluations_reserved, ..AdmissionConfig::default() };
        let metrics = Metrics::new();
        let pool = RowPool::start(&config, Arc::new(rows), metrics.clone()).unwrap();
        let (tell, told) = channel();
        Bench { pool, metrics, begun, go, told, tell }
    }

    fn push(&self, patient: u32, action: Action) {
        let tell = self.tell.clone();
        self.pool.push(row(patient, action), move |outcome| {
            tell.send((patient, outcome.map(drop))).unwrap();
        });
    }

    /// Lets the next row be evaluated, which must be this patient's.
    fn evaluates(&self, patient: u32) {
        assert_eq!(self.begun.recv().unwrap(), patient);
        self.go.send(()).unwrap();
        assert_eq!(self.told.recv().unwrap(), (patient, Ok(())));
    }

    fn refuses(&self, patient: u32, items_max: usize) {
        let full = Err(NotEvaluated::Full { items_max });
        assert_eq!(self.told.recv().unwrap(), (patient, full));
    }
}

#[test]
fn a_withdrawal_has_places_that_nobody_else_takes_and_is_evaluated_first() {
    let bench = Bench::new(4, 2);
    bench.push(1, permit());
    // Under way, so that it cannot be overtaken any more.
    assert_eq!(bench.begun.recv().unwrap(), 1);
    bench.push(2, permit());
    bench.push(3, permit());
    bench.refuses(3, 2);
    bench.push(4, Action::Stop);
    bench.push(5, Action::Stop);
    bench.push(6, Action::Stop);
    bench.refuses(6, 4);
    assert_eq!(bench.metrics.evaluations_waiting.get(), 4);
    bench.go.send(()).unwrap();
    assert_eq!(bench.told.recv().unwrap(), (1, Ok(())));
    bench.evaluates(4);
    bench.evaluates(5);
    bench.evaluates(2);
    bench.push(3, permit());
    bench.evaluates(3);
    assert_eq!(bench.metrics.evaluation_seconds.get_sample_count(), 5);
}

#[test]
fn copies_of_one_operation_take_one_place_and_a_stop_passes_a_permit_of_its_patient() {
    let bench = Bench::new(8, 2);
    bench.push(1, permit());
    bench.push(1, permit());
    bench.refuses(1, 1);
    bench.push(1, Action::Stop);
    bench.push(1, Action::Stop);
    bench.refuses(1, 1);
    bench.evaluates(1);
    bench.evaluates(1);
    bench.push(1, permit());
    bench.evaluates(1);
}

struct Panics;

impl Evaluate for Panics {
    fn evaluate(&self, row: &OperationRow) -> Result<(), NotProvable> {
        assert!(row.signed.operation.action != Action::Stop, "the test panics here");
        Err(RowError::Violated { rule: "C1.7" }.into())
    }
}

#[test]
fn a_panic_refuses_its_row_and_the_threads_go_on() {
    let metrics = Metrics::new();
    let config = AdmissionConfig::default();
    let pool = RowPool::start(&config, Arc::new(Panics), metrics.clone()).unwrap();
    let (tell, told) = channel();
    let violated = NotProvable::Row(RowError::Violated { rule: "C1.7" });
    for (action, why) in [(Action::Stop, NotProvable::Panicked), (permit(), violated)] {
        let tell = tell.clone();
        pool.push(row(1, action), move |outcome| tell.send(outcome.map(drop)).unwrap());
        assert_eq!(told.recv().unwrap(), Err(NotEvaluated::NotProvable(why)));
    }
    assert_eq!(metrics.operations_unprovable_total.get(), 2);
    // Who is told may panic, too.
    pool.push(row(1, permit()), |_| panic!("the test panics here"));
    let last = tell.clone();
    pool.push(row(2, permit()), move |outcome| last.send(outcome.map(drop)).unwrap());
    assert!(told.recv().unwrap().is_err());
}

/// What one evaluation costs: `cargo test --release -p sequencer --lib rows -- --nocapture`.
#[test]
fn an_evaluation_takes_milliseconds() {
    let row = row(12_345, permit());
    CircuitRows.evaluate(&row).unwrap();
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        CircuitRows.evaluate(&row).unwrap();
    }
    println!("one row: {} us", begun.elapsed().as_micros() / 10);
}
