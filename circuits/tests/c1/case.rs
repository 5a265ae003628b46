//! One operation on one record, honest until a test changes a field.

use crate::trial;
use ark_bn254::Fr;
use circuits::builder::{Assignment, R1cs, matrices, witness};
use circuits::c1::{Values, assign, circuit};
use model::{
    Action, Categories, ClaimKind, Interval, Labels, Millis, Operation, OperationKind, Party,
    PatientIndex, Purposes, Record, Rule, RuleSlot, Window, Word,
};
use statement::c1::{Chunk, Row, check};
use statement::claim::root16;
use statement::domain::Domain;
use statement::eddsa::SecretKey;
use statement::inputs::C1Inputs;
use statement::operation::{self, SignedOperation};
use statement::tree::Tree;
use statement::{field, record};
use std::sync::OnceLock;

pub(super) const INDEX: u32 = 0o1234_5670;
pub(super) const WINDOW_MS: u64 = 60_000;

/// Milliseconds after the begin of the window.
pub(super) fn at(offset: u64) -> Millis {
    Millis::new(4_002_000_000_000 + offset).expect("44 bits")
}

pub(super) fn before(offset: u64) -> Millis {
    Millis::new(at(0).get() - offset).expect("44 bits")
}

pub(super) fn patient() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

pub(super) fn registrar() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

pub(super) fn permit() -> Rule {
    Rule {
        actor: Party::Named(Word::from_u64(900)),
        source: Party::Any,
        categories: Categories::ALL,
        purposes: Purposes::ALL,
        kinds: ClaimKind::Access.only().with(ClaimKind::Collect.only()),
        labels: Labels::ALL,
        access: Interval { from: before(9_000), until: at(500_000) },
        data: Interval::ALWAYS,
    }
}

pub(super) fn policy() -> Rule {
    Rule { kinds: ClaimKind::BreakGlass.only(), ..permit() }
}

pub(super) fn enrolment() -> Action {
    let key_hash = field::to_word(&patient().public().hash());
    Action::Enrol { key_hash, view_key: Word::from_u64(31), salt: Word::from_u64(32) }
}

pub(super) fn write(slot: RuleSlot, rule: Rule) -> Action {
    Action::Write { slot, rule }
}

/// A record with a live permit 0, a deny 1 that ends within the window, an ended permit 2 and a
/// policy.
pub(super) fn record() -> Record {
    let Action::Enrol { key_hash, view_key, salt } = enrolment() else { unreachable!() };
    let mut record = Record::enrolled(key_hash, view_key, salt);
    record.nonce = 5;
    let ended = |until: Millis| Rule { access: permit().access.ended_at(until), ..permit() };
    record.rules[0] = Some(permit());
    record.rules[2] = Some(ended(at(0)));
    record.rules[9] = Some(ended(at(1_000)));
    record.rules[12] = Some(policy());
    record
}

/// What the operation makes of the record when nobody checks anything.
pub(super) fn unchecked(old: Option<&Record>, operation: &Operation, t_op: Millis) -> Record {
    let slot = usize::from(operation.slot_number());
    let mut after = old.cloned().unwrap_or_else(self::record);
    after.nonce += 1;
    match &operation.action {
        Action::Enrol { key_hash, view_key, salt } => {
            after = Record::enrolled(*key_hash, *view_key, *salt);
        }
        Action::Write { rule, .. } => {
            let access = Interval { from: rule.access.from.max(t_op), ..rule.access };
            after.rules[slot] = Some(Rule { access, ..*rule });
        }
        Action::Revoke { rule, .. } => {
            after.rules[slot] = Some(Rule { access: rule.access.ended_at(t_op), ..*rule });
        }
        Action::Stop => after.closed_at = t_op,
    }
    after
}

pub(super) struct Case {
    pub(super) old: Option<Record>,
    pub(super) operation: Operation,
    pub(super) t_op: Millis,
    pub(super) time_in: Millis,
    pub(super) key: SecretKey,
    /// What the signer took for the contract; the chunk's is 77.
    pub(super) signed_domain: Fr,
}

impl Case {
    pub(super) fn new(old: Option<Record>, action: Action) -> Case {
        let nonce = old.as_ref().map_or(0, |record| record.nonce);
        let key = if old.is_some() { patient() } else { registrar() };
        let index = PatientIndex::new(INDEX).expect("24 bits");
        let (signed_at, valid_until) = (before(50), at(30_000));
        let operation = Operation { patient: index, nonce, signed_at, valid_until, action };
        let signed_domain = Fr::from(77u8);
        Case { old, operation, t_op: at(2_000), time_in: at(0), key, signed_domain }
    }

    /// An operation of the patient on [`record`].
    pub(super) fn on_record(action: Action) -> Case {
        Case::new(Some(record()), action)
    }

    pub(super) fn stop() -> Case {
        Case::on_record(Action::Stop)
    }

    pub(super) fn permit(rule: Rule) -> Case {
        Case::on_record(write(RuleSlot::Permit(1), rule))
    }

    /// A chunk whose roots and paths fit whatever the case says.
    pub(super) fn chunk(&self) -> Chunk {
        let mut tree = Tree::new();
        tree.set_many(&[(INDEX + 1, Fr::from(8u8)), (9, Fr::from(9u8))]);
        let index = self.operation.patient.get();
        if let Some(old) = &self.old {
            tree.set(index, record::leaf(old));
        }
        let (root_in, path) = (tree.root(), tree.path(index));
        let after = unchecked(self.old.as_ref(), &self.operation, self.t_op);
        tree.set(index, record::leaf(&after));
        let operation = self.operation.clone();
        let row = Row {
            signed: SignedOperation::sign(operation, self.signed_domain, &self.key),
            t_op: self.t_op,
            old: self.old.clone(),
            path,
            root_out: tree.root(),
            op_salt: operation::salt(&after.view_key, Fr::from(55u8), tree.root(), 0),
        };
        Chunk {
            root_in,
            time_in: self.time_in,
            window: Window::new(at(0), at(WINDOW_MS)).expect("a window"),
            domain: Fr::from(55u8),
            sig_domain: Fr::from(77u8),
            registrar_key_hash: registrar().public().hash(),
            capacity: 1,
            rows: vec![row],
        }
    }

    /// Both twins refuse, for `rule`.
    pub(super) fn refused(&self, rule: u8) {
        refused(&self.chunk(), rule);
    }

    /// The native twin accepts, and the circuit under its inputs.
    pub(super) fn accepted(&self) -> (C1Inputs, Assignment) {
        accepted(&self.chunk())
    }
}

/// What a prover who breaks rules would claim for `chunk`: nothing is checked.
pub(super) fn claimed(chunk: &Chunk) -> C1Inputs {
    let last = chunk.rows.last();
    let leaf = |row: &Row| {
        let message = operation::message(chunk.sig_domain, &row.signed.operation);
        operation::leaf(message, row.t_op, row.op_salt)
    };
    let mut leaves: Vec<Fr> = chunk.rows.iter().map(leaf).collect();
    leaves.resize(chunk.capacity, Fr::from(0u8));
    let kinds = chunk.rows.iter().map(|row| row.signed.operation.kind());
    C1Inputs {
        root_in: chunk.root_in,
        root_out: last.map_or(chunk.root_in, |row| row.root_out),
        t0: chunk.window.t0(),
        t1: chunk.window.t1(),
        time_in: chunk.time_in,
        time_out: last.map_or(chunk.time_in, |row| row.t_op),
        domain: chunk.domain,
        sig_domain: chunk.sig_domain,
        registrar: chunk.registrar_key_hash,
        operations: chunk.rows.len() as u32,
        enrolments: kinds.filter(|kind| *kind == OperationKind::Enrol).count() as u32,
        operations_root: root16(Domain::OperationsNode, &leaves),
    }
}

/// The rows of the shape with one operation.
pub(crate) fn single() -> &'static R1cs {
    static SINGLE: OnceLock<R1cs> = OnceLock::new();
    SINGLE.get_or_init(|| {
        let chunk = Case::stop().chunk();
        matrices(|b| circuit(b, &claimed(&chunk), &chunk)).0
    })
}

pub(super) fn assignment(inputs: &C1Inputs, chunk: &Chunk) -> Assignment {
    witness(|b| circuit(b, inputs, chunk))
}

pub(super) fn accepted(chunk: &Chunk) -> (C1Inputs, Assignment) {
    let inputs = check(chunk).expect("an honest chunk");
    assert_eq!(inputs, claimed(chunk));
    let assignment = assignment(&inputs, chunk);
    assert_eq!(single().violated_rule(&assignment), None);
    (inputs, assignment)
}

pub(super) fn refused(chunk: &Chunk, rule: u8) {
    let error = check(chunk).expect_err("a broken rule");
    assert_eq!((error.rule.number, error.row), (rule, Some(0)), "{error}");
    assert_eq!(violated(&claimed(chunk), &Values::of(chunk)), Some(format!("C1.{rule}")));
}

/// The rule of the first violated row.
pub(super) fn violated(inputs: &C1Inputs, values: &Values) -> Option<String> {
    let assignment = witness(|b| assign(b, inputs, values));
    all_violated(&assignment).first().map(|rule| (*rule).to_owned())
}

/// The rules of all violated rows.
pub(super) fn all_violated(assignment: &Assignment) -> Vec<&'static str> {
    trial::violated(single(), assignment)
}

/// The root after an operation of a case on [`record`] that makes `record`.
pub(super) fn root_with(record: &model::Record) -> Fr {
    let mut tree = Tree::new();
    tree.set_many(&[(INDEX + 1, Fr::from(8u8)), (9, Fr::from(9u8))]);
    tree.set(INDEX, record::leaf(record));
    tree.root()
}
