//! Records, claims and chunks to test with.

use ark_bn254::Fr;
use model::{
    Category, Claim, ClaimKind, Digest, Interval, Label, Millis, Party, PatientIndex, Position,
    Purpose, Record, Rule, RuleSlot, Window, Word,
};
use statement::c2::{Capacity, Chunk, Slot, cap_path, pack};
use statement::record;
use statement::tree::Tree;
use std::collections::BTreeMap;

/// Start and end of every window.
pub(super) const T0: u64 = 1_000_000;
pub(super) const T1: u64 = T0 + 100_000;
/// Journal positions around every batch.
pub(super) const POSITION_IN: u64 = 50;
pub(super) const POSITION_OUT: u64 = 10_000;

/// Actors and sources.
pub(super) const DOCTOR: u64 = 100;
pub(super) const CLINIC: u64 = 200;
pub(super) const TEAM: u64 = 300;
pub(super) const DEVICE: u64 = 400;

/// The small shape, and one in which slots follow each other.
pub(crate) const ONE: Capacity = Capacity { slots: 1, claims_per_slot: 4 };
pub(super) const THREE: Capacity = Capacity { slots: 3, claims_per_slot: 4 };

pub(super) fn at(ms: u64) -> Millis {
    Millis::new(ms).expect("44 bits")
}

pub(super) fn span(from: u64, until: u64) -> Interval {
    Interval { from: at(from), until: at(until) }
}

pub(super) fn patient(index: u32) -> PatientIndex {
    PatientIndex::new(index).expect("24 bits")
}

pub(super) fn named(word: u64) -> Party {
    Party::Named(Word::from_u64(word))
}

/// A rule of one actor about everything but break-glass, at any time.
pub(super) fn rule(actor: u64) -> Rule {
    Rule::widest(named(actor), ClaimKind::Access.only().with(ClaimKind::Collect.only()))
}

/// A record with these rules, its secrets drawn from `seed`.
pub(super) fn record(seed: u64, rules: &[(RuleSlot, Rule)]) -> Record {
    let word = |offset: u64| Word::from_u64(1000 * seed + offset);
    let mut record = Record::enrolled(word(1), word(2), word(3));
    record.nonce = 7;
    for (slot, rule) in rules {
        record.rules[usize::from(slot.number())] = Some(*rule);
    }
    record
}

/// An access of the doctor, 10 ms long, at a time that ascends with the position.
pub(super) fn claim(index: u32, position: u64) -> Claim {
    let step = 10 * (position - POSITION_IN);
    Claim {
        patient: patient(index),
        kind: ClaimKind::Access,
        individual: Word::from_u64(DOCTOR),
        organisation: Word::from_u64(CLINIC),
        care_team: Word::ZERO,
        source: named(DEVICE),
        categories: Category::Ecg.only().with(Category::Spo2.only()),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        receipt: span(T0 + step, T0 + step + 10),
        measured: span(5000 + step, 5010 + step),
        position: Position(position),
        digest: Digest([9; 31]),
    }
}

/// The chunk of `claims` under `records`, packed as a batcher does.
pub(super) fn chunk(
    capacity: Capacity,
    records: &BTreeMap<u32, Record>,
    claims: &[Claim],
) -> Chunk {
    let record = |index: PatientIndex| records.get(&index.get());
    let packed = pack(claims, record, capacity).expect("sorted claims of patients on record");
    assert_eq!(packed.taken, claims.len(), "all claims fit");
    let slots = packed.slots.into_iter().map(|slot| (slot.patient, slot.excluded, slot.claims));
    placed(capacity, records, slots.collect())
}

/// A chunk whose slots hold what the caller says.
pub(super) fn placed(
    capacity: Capacity,
    records: &BTreeMap<u32, Record>,
    slots: Vec<(PatientIndex, bool, Vec<Claim>)>,
) -> Chunk {
    let mut tree = Tree::new();
    let leaves = records.iter().map(|(index, found)| (*index, record::leaf(found)));
    tree.set_many(&leaves.collect::<Vec<_>>());
    let slot = |(patient, excluded, claims): (PatientIndex, bool, Vec<Claim>)| Slot {
        patient,
        record: records[&patient.get()].clone(),
        path: cap_path(&tree.path(patient.get())),
        excluded,
        claims,
    };
    Chunk {
        capacity,
        root: tree.root(),
        cap: Box::new(tree.cap()),
        window: Window::new(at(T0), at(T1)).expect("a short window"),
        first_leaf: 0,
        position_in: Position(POSITION_IN),
        position_out: Position(POSITION_OUT),
        domain: Fr::from(77u8),
        edge_in: None,
        edge_salt: Fr::from(5u8),
        slots: slots.into_iter().map(slot).collect(),
    }
}

/// Patient 9 with one permit for the doctor and, at `claims` positions, accesses.
pub(super) fn plain(claims: u64) -> Chunk {
    with_rules(&[(RuleSlot::Permit(2), rule(DOCTOR))], |_| (), claims)
}

/// Patient 9 with `rules`, and claims changed by `change`, in one slot that is said to be covered.
pub(super) fn with_rules(
    rules: &[(RuleSlot, Rule)],
    change: impl Fn(&mut Claim),
    claims: u64,
) -> Chunk {
    let records = BTreeMap::from([(9, record(1, rules))]);
    let mut list: Vec<Claim> = (1..=claims).map(|n| claim(9, POSITION_IN + n)).collect();
    list.iter_mut().for_each(change);
    placed(ONE, &records, vec![(patient(9), false, list)])
}
