//! Honest histories: both twins accept, row by row and as a chunk.

use super::case::*;
use ark_bn254::Fr;
use ark_std::rand::rngs::StdRng;
use ark_std::rand::{Rng, SeedableRng};
use circuits::builder::{matrices, witness};
use circuits::c1::circuit;
use model::{
    Action, Interval, Millis, Operation, PatientIndex, Record, Rule, RuleSlot, Window, Word,
};
use statement::c1::{Chunk, Context, Row, apply, check};
use statement::eddsa::SecretKey;
use statement::operation::{self, SignedOperation};
use statement::tree::Tree;
use statement::{field, record};
use std::collections::BTreeMap;

/// Patients whose operations a seeded generator makes; it asks the native twin what is honest.
struct World {
    rng: StdRng,
    tree: Tree,
    records: BTreeMap<u32, Record>,
    t0: Millis,
    time: Millis,
    root_in: Fr,
    time_in: Millis,
    rows: Vec<Row>,
}

impl World {
    fn new(seed: u64) -> World {
        println!("seed {seed}");
        let (rng, tree) = (StdRng::seed_from_u64(seed), Tree::new());
        let root_in = tree.root();
        let (t0, time, records) = (at(0), at(0), BTreeMap::new());
        World { rng, tree, records, t0, time, root_in, time_in: t0, rows: vec![] }
    }

    fn key(index: u32) -> SecretKey {
        SecretKey::from_bytes(&[index as u8; 32])
    }

    /// One honest operation, if the drawn one is.
    fn step(&mut self) -> bool {
        let index = [7, 8, 1 << 23, (1 << 24) - 1][self.rng.gen_range(0..4)];
        let old = self.records.get(&index).cloned();
        let action = self.draw(index, old.as_ref());
        let t_op = self.time.plus(self.rng.gen_range(1..900));
        let nonce = old.as_ref().map_or(0, |record| record.nonce);
        let patient = PatientIndex::new(index).expect("24 bits");
        let (signed_at, valid_until) = (before(50), t_op.plus(self.rng.gen_range(1..9_000)));
        let operation = Operation { patient, nonce, signed_at, valid_until, action };
        let key = if old.is_some() { World::key(index) } else { registrar() };
        let signed = SignedOperation::sign(operation, Fr::from(77u8), &key);
        let Ok(after) = apply(old.as_ref(), &signed, &self.context(t_op)) else { return false };
        let path = self.tree.path(index);
        self.tree.set(index, record::leaf(&after));
        let (root, row) = (self.tree.root(), self.rows.len() as u32);
        let op_salt = operation::salt(&after.view_key, Fr::from(1u8), root, row);
        self.rows.push(Row { signed, t_op, old, path, root_out: self.tree.root(), op_salt });
        self.records.insert(index, after);
        self.time = t_op;
        true
    }

    fn context(&self, t_op: Millis) -> Context {
        Context {
            sig_domain: Fr::from(77u8),
            registrar_key_hash: registrar().public().hash(),
            t0: self.t0,
            last_time: self.time,
            t_op,
            t1: None,
        }
    }

    fn draw(&mut self, index: u32, old: Option<&Record>) -> Action {
        let Some(old) = old else {
            let key_hash = field::to_word(&World::key(index).public().hash());
            let [view_key, salt] = [(); 2].map(|()| Word::from_u64(self.rng.r#gen()));
            return Action::Enrol { key_hash, view_key, salt };
        };
        let number = self.rng.gen_range(0..RuleSlot::COUNT as u8);
        let slot = RuleSlot::from_number(number).expect("a slot");
        let base = if number < 12 { permit() } else { policy() };
        let from = Millis::new(self.time.get() + self.rng.gen_range(0..4_000)).expect("44 bits");
        let until = from.plus(self.rng.gen_range(2_000..40_000));
        let rule = Rule { access: Interval { from: before(1_000).max(from), until }, ..base };
        match (self.rng.gen_range(0..16), old.rules[usize::from(number)]) {
            (0, _) => Action::Stop,
            (1..=6, Some(rule)) => Action::Revoke { slot, rule },
            _ => Action::Write { slot, rule },
        }
    }

    /// Closes the window: the rows so far as a chunk.
    fn close(&mut self, capacity: usize) -> Chunk {
        let t1 = self.time.plus(1);
        let chunk = Chunk {
            root_in: self.root_in,
            time_in: self.time_in,
            window: Window::new(self.t0, t1).expect("a window"),
            domain: Fr::from(55u8),
            sig_domain: Fr::from(77u8),
            registrar_key_hash: registrar().public().hash(),
            capacity,
            rows: std::mem::take(&mut self.rows),
        };
        (self.t0, self.time, self.time_in, self.root_in) = (t1, t1, t1, self.tree.root());
        chunk
    }
}

#[test]
fn twins_agree_on_every_operation_of_a_seeded_history() {
    let mut world = World::new(11);
    let mut kinds = BTreeMap::new();
    for _ in 0..120 {
        while !world.step() {}
        let chunk = world.close(1);
        *kinds.entry(chunk.rows[0].signed.operation.kind()).or_insert(0) += 1;
        let (inputs, _) = accepted(&chunk);
        assert_eq!(inputs.root_out, world.tree.root());
        if kinds.len() == 6 && kinds.values().all(|count| *count >= 2) {
            break;
        }
    }
    assert_eq!(kinds.len(), 6, "every kind: {kinds:?}");
}

#[test]
fn a_chunk_of_many_operations_ends_in_padding_and_both_runs_agree() {
    let mut world = World::new(12);
    while world.rows.len() < 2 {
        world.step();
    }
    let chunk = world.close(3);
    let inputs = check(&chunk).expect("an honest chunk");
    let (r1cs, made) = matrices(|b| circuit(b, &inputs, &chunk));
    assert_eq!(r1cs.violated_rule(&made), None);
    assert!(witness(|b| circuit(b, &inputs, &chunk)) == made);
    let refused = |chunk: &Chunk, rule: u8, label: &str| {
        let error = check(chunk).expect_err("a broken chunk");
        assert_eq!((error.rule.number, error.row), (rule, Some(1)));
        let wrong = witness(|b| circuit(b, &inputs, chunk));
        assert_eq!(r1cs.violated_rule(&wrong), Some(label));
    };
    let mut early = chunk.clone();
    early.rows[1].t_op = early.rows[0].t_op;
    refused(&early, 2, "C1.2");
    let mut stale = chunk.clone();
    stale.rows[1].path = Tree::new().path(stale.rows[1].signed.operation.patient.get());
    refused(&stale, 9, "C1.9");
}

#[test]
fn operations_that_circomlibjs_signed_pass_both_twins() {
    let text = include_str!("../../vectors/operations.json");
    let vectors: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let bytes =
        |value: &serde_json::Value| hex::decode(value.as_str().expect("a string")).expect("hex");
    let cases = [
        Case::new(None, enrolment()),
        Case::permit(permit()),
        Case::on_record(write(RuleSlot::Deny(2), permit())),
        Case::on_record(write(RuleSlot::Policy(1), policy())),
        Case::on_record(Action::Revoke { slot: RuleSlot::Permit(0), rule: permit() }),
        Case::stop(),
    ];
    for (number, case) in cases.iter().enumerate() {
        let vector = &vectors["operations"][number];
        let operation = case.operation.to_bytes().to_vec();
        let signed = [operation, bytes(&vector["signer"]), bytes(&vector["signature"])];
        let mut chunk = case.chunk();
        chunk.rows[0].signed =
            SignedOperation::from_bytes(&signed.concat()).expect("canonical bytes");
        accepted(&chunk);
    }
}

#[test]
fn a_chunk_without_operations_leaves_root_and_time() {
    let chunk = World::new(13).close(1);
    let (inputs, _) = accepted(&chunk);
    assert_eq!((inputs.root_out, inputs.time_out), (inputs.root_in, inputs.time_in));
    assert_eq!((inputs.operations, inputs.enrolments), (0, 0));
}
