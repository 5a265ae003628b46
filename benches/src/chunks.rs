//! Chunks as full as their shape, in which every rule holds: made with the native twins, so that
//! what is proven is what a node would prove.

use std::collections::BTreeMap;

use ark_bn254::Fr;
use circuits::shapes::{Capacity, Shape, Statement};
use model::{
    Action, Category, Claim, ClaimKind, Digest, Interval, Label, Millis, Operation, Party,
    PatientIndex, Position, Purpose, Record, Rule, RuleSlot, Window, Word,
};
use statement::c2::Capacity as ClaimCapacity;
use statement::eddsa::SecretKey;
use statement::inputs::{C1Inputs, C2Inputs};
use statement::operation::{self, SignedOperation};
use statement::tree::Tree;
use statement::{c1, c2, field, record};

const T0: u64 = 4_002_000_000_000;
const WINDOW_MS: u64 = 60_000;
const POSITION_IN: u64 = 50;
const DOCTOR: u64 = 100;

/// A full honest chunk of either statement with its public inputs.
pub enum Honest {
    /// Operations.
    C1(Box<(C1Inputs, c1::Chunk)>),
    /// Claims.
    C2(Box<(C2Inputs, c2::Chunk)>),
}

impl Honest {
    /// A chunk that fills the shape.
    ///
    /// # Panics
    /// If the chunk does not hold natively: a bug here.
    pub fn filling(shape: &Shape) -> Honest {
        match shape.capacity {
            Capacity::Operations(capacity) => {
                let chunk = operations(capacity);
                let inputs = c1::check(&chunk).expect("an honest chunk");
                Honest::C1(Box::new((inputs, chunk)))
            }
            Capacity::Claims(capacity) => {
                let chunk = claims(capacity);
                let inputs = c2::check(&chunk).expect("an honest chunk");
                Honest::C2(Box::new((inputs, chunk)))
            }
        }
    }

    /// As the shape assigns it.
    pub fn statement(&self) -> Statement<'_> {
        match self {
            Honest::C1(one) => Statement::C1(&one.0, &one.1),
            Honest::C2(one) => Statement::C2(&one.0, &one.1),
        }
    }

    /// Runs the native twin, as a node does before it proves.
    ///
    /// # Panics
    /// If the chunk does not hold.
    pub fn check(&self) {
        match self {
            Honest::C1(one) => drop(c1::check(&one.1).expect("an honest chunk")),
            Honest::C2(one) => drop(c2::check(&one.1).expect("an honest chunk")),
        }
    }
}

fn at(after: u64) -> Millis {
    Millis::new(T0 + after).expect("44 bits")
}

fn window() -> Window {
    Window::new(at(0), at(WINDOW_MS)).expect("a minute")
}

fn index(patient: usize) -> PatientIndex {
    PatientIndex::new(1000 + 77 * patient as u32).expect("24 bits")
}

fn permit() -> Rule {
    Rule::widest(
        Party::Named(Word::from_u64(DOCTOR)),
        ClaimKind::Access.only().with(ClaimKind::Collect.only()),
    )
}

/// Patients enrol, and each then writes a permit, until the rows are full.
fn operations(capacity: usize) -> c1::Chunk {
    let mut history = History::default();
    history.tree.set_many(&[(9, Fr::from(9u8))]);
    let root_in = history.tree.root();
    let rows: Vec<_> = (0..capacity).map(|row| history.row(row)).collect();
    c1::Chunk {
        root_in,
        time_in: at(0),
        window: window(),
        domain: Fr::from(55u8),
        sig_domain: sig_domain(),
        registrar_key_hash: registrar().public().hash(),
        capacity,
        rows,
    }
}

fn registrar() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

fn patient() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

fn sig_domain() -> Fr {
    Fr::from(77u8)
}

/// Records and their tree as the rows change them.
#[derive(Default)]
struct History {
    tree: Tree,
    records: BTreeMap<u32, Record>,
}

impl History {
    /// Applies and signs the operation of a row: even ones enrol, odd ones write.
    fn row(&mut self, row: usize) -> c1::Row {
        let (context, operation) = (context(row), operation(row));
        let key = if row.is_multiple_of(2) { registrar() } else { patient() };
        let index = operation.patient.get();
        let signed = SignedOperation::sign(operation, context.sig_domain, &key);
        let (old, path) = (self.records.get(&index).cloned(), self.tree.path(index));
        let after = c1::apply(old.as_ref(), &signed, &context).expect("an honest operation");
        self.tree.set(index, record::leaf(&after));
        // The salt of a batch that ends with this row: any will do where nothing opens it.
        let root_out = self.tree.root();
        let op_salt = operation::salt(&after.view_key, Fr::from(3u8), root_out, row as u32);
        self.records.insert(index, after);
        c1::Row { signed, t_op: context.t_op, old, path, root_out, op_salt }
    }
}

fn context(row: usize) -> c1::Context {
    c1::Context {
        sig_domain: sig_domain(),
        registrar_key_hash: registrar().public().hash(),
        t0: at(0),
        last_time: at(row as u64),
        t_op: at(row as u64 + 1),
        t1: Some(at(WINDOW_MS)),
    }
}

fn operation(row: usize) -> Operation {
    let action = match row % 2 {
        0 => Action::Enrol {
            key_hash: field::to_word(&patient().public().hash()),
            view_key: Word::from_u64(31),
            salt: Word::from_u64(32),
        },
        _ => Action::Write { slot: RuleSlot::Permit(0), rule: permit() },
    };
    Operation {
        patient: index(row / 2),
        nonce: 0,
        signed_at: at(row as u64 + 1),
        valid_until: at(WINDOW_MS / 2),
        action,
    }
}

/// One patient for each slot, with as many accesses as the slot holds.
fn claims(capacity: ClaimCapacity) -> c2::Chunk {
    let mut record = Record::enrolled(Word::from_u64(1), Word::from_u64(2), Word::from_u64(3));
    record.rules[usize::from(RuleSlot::Permit(2).number())] = Some(permit());
    let mut tree = Tree::new();
    let leaf = record::leaf(&record);
    let leaves: Vec<_> = (0..capacity.slots).map(|slot| (index(slot).get(), leaf)).collect();
    tree.set_many(&leaves);
    let count = capacity.slots * capacity.claims_per_slot;
    let claims: Vec<_> =
        (0..count).map(|n| claim(n, index(n / capacity.claims_per_slot))).collect();
    let packed = c2::pack(&claims, |_| Some(&record), capacity).expect("sorted claims");
    assert_eq!(packed.taken, count, "the claims fill the chunk");
    let slot = |packed: c2::PackedSlot| c2::Slot {
        patient: packed.patient,
        record: record.clone(),
        path: c2::cap_path(&tree.path(packed.patient.get())),
        excluded: packed.excluded,
        claims: packed.claims,
    };
    c2::Chunk {
        capacity,
        root: tree.root(),
        cap: Box::new(tree.cap()),
        window: window(),
        first_leaf: 0,
        position_in: Position(POSITION_IN),
        position_out: Position(POSITION_IN + count as u64 + 1),
        domain: Fr::from(77u8),
        edge_in: None,
        edge_salt: Fr::from(5u8),
        slots: packed.slots.into_iter().map(slot).collect(),
    }
}

/// An access of the doctor, 10 ms long.
fn claim(number: usize, patient: PatientIndex) -> Claim {
    let begin = 10 * number as u64;
    let span = |begin: u64| Interval { from: at(begin), until: at(begin + 10) };
    Claim {
        patient,
        kind: ClaimKind::Access,
        individual: Word::from_u64(DOCTOR),
        organisation: Word::from_u64(200),
        care_team: Word::ZERO,
        source: Party::Named(Word::from_u64(400)),
        categories: Category::Ecg.only(),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        receipt: span(begin),
        measured: span(begin),
        position: Position(POSITION_IN + 1 + number as u64),
        digest: Digest([9; 31]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use circuits::shapes::SHAPES;

    #[test]
    fn every_shape_is_filled_by_a_chunk_that_holds() {
        for shape in &SHAPES {
            let honest = Honest::filling(shape);
            assert_eq!(honest.statement().capacity(), shape.capacity, "{}", shape.name);
            let filled = match (&honest, shape.capacity) {
                (Honest::C1(one), Capacity::Operations(rows)) => one.0.operations as usize == rows,
                (Honest::C2(one), Capacity::Claims(capacity)) => {
                    one.0.access as usize == capacity.slots * capacity.claims_per_slot
                }
                _ => false,
            };
            assert!(filled, "{} is not filled", shape.name);
        }
    }
}
