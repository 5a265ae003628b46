use ark_bn254::Fr;
use model::{
    Categories, Category, Claim, ClaimKind, ClaimKinds, Digest, Interval, Label, Labels, Millis,
    Party, PatientIndex, Position, Purpose, Purposes, Record, Rule, RuleNumber, RuleSlot,
    Uncovered, Window, Word,
};

use super::*;
use crate::tree::Tree;

mod mix;

const T0: u64 = 1_000_000;

fn at(ms: u64) -> Millis {
    Millis::new(ms).unwrap()
}

fn span(from: u64, until: u64) -> Interval {
    Interval { from: at(from), until: at(until) }
}

fn patient(index: u32) -> PatientIndex {
    PatientIndex::new(index).unwrap()
}

fn rule(actor: u64) -> Rule {
    Rule::widest(
        Party::Named(Word::from_u64(actor)),
        ClaimKind::Access.only().with(ClaimKind::Collect.only()),
    )
}

fn record(rules: &[(RuleSlot, Rule)]) -> Record {
    let [key, view, salt] = [11, 12, 13].map(Word::from_u64);
    let mut record = Record::enrolled(key, view, salt);
    for (slot, rule) in rules {
        record.rules[usize::from(slot.number())] = Some(*rule);
    }
    record
}

fn claim(index: u32, position: u64) -> Claim {
    Claim {
        patient: patient(index),
        kind: ClaimKind::Access,
        individual: Word::from_u64(100),
        organisation: Word::from_u64(200),
        care_team: Word::ZERO,
        source: Party::Named(Word::from_u64(300)),
        categories: Category::Ecg.only().with(Category::Spo2.only()),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        receipt: span(T0 + 10 * position, T0 + 10 * position + 10),
        measured: span(5000 + 10 * position, 5010 + 10 * position),
        position: Position(position),
        digest: Digest([9; 31]),
    }
}

/// A chunk of one record for all patients.
fn chunk(record: &Record, claims: &[Claim], capacity: Capacity) -> Chunk {
    let packed = pack(claims, |_| Some(record), capacity).expect("claims that can be packed");
    assert_eq!(packed.taken, claims.len());
    let mut tree = Tree::new();
    for slot in &packed.slots {
        tree.set(slot.patient.get(), crate::record::leaf(record));
    }
    let slot = |slot: PackedSlot| Slot {
        patient: slot.patient,
        record: record.clone(),
        path: cap_path(&tree.path(slot.patient.get())),
        excluded: slot.excluded,
        claims: slot.claims,
    };
    Chunk {
        capacity,
        root: tree.root(),
        cap: Box::new(tree.cap()),
        window: Window::new(at(T0), at(T0 + 100_000)).unwrap(),
        first_leaf: 0,
        position_in: Position(0),
        position_out: Position(1000),
        domain: Fr::from(77u8),
        edge_in: None,
        edge_salt: Fr::from(5u8),
        slots: packed.slots.into_iter().map(slot).collect(),
    }
}

const SMALL: Capacity = Capacity { slots: 4, claims_per_slot: 4 };

#[test]
fn a_permit_covers_and_without_one_the_furthest_reason_is_given() {
    let claim = claim(1, 1);
    assert_eq!(covers(None, &claim), Err(Uncovered::NoRecord));
    assert_eq!(covers(Some(&record(&[])), &claim), Err(Uncovered::ActorNotNamed));
    let ended = Rule { access: span(0, T0), ..rule(100) };
    let future = Rule { access: span(T0 + 1000, T0 + 2000), ..rule(200) };
    let other = Rule { source: Party::Named(Word::from_u64(1)), ..rule(100) };
    let narrow = Rule { categories: Category::Ecg.only(), ..rule(100) };
    let old = Rule { data: span(0, 10), ..rule(100) };
    for (rules, expected) in [
        (vec![rule(7), other], Uncovered::SourceNotCovered),
        (vec![narrow, other], Uncovered::CategoryNotCovered),
        (vec![narrow, ended], Uncovered::Ended),
        (vec![future, narrow], Uncovered::NotYetLive),
        (vec![old, ended], Uncovered::DataPeriod),
        (vec![Rule { purposes: Purposes::NONE, ..rule(100) }], Uncovered::PurposeNotCovered),
        (vec![Rule { labels: Labels::NONE, ..rule(100) }], Uncovered::LabelNotCovered),
        (vec![Rule { kinds: ClaimKinds::NONE, ..rule(100) }], Uncovered::KindNotCovered),
    ] {
        let slots = rules.iter().enumerate().map(|(i, r)| (RuleSlot::Permit(i as u8), *r));
        let record = record(&slots.collect::<Vec<_>>());
        assert_eq!(covers(Some(&record), &claim), Err(expected));
    }
    let record = record(&[(RuleSlot::Permit(1), narrow), (RuleSlot::Permit(6), rule(200))]);
    assert_eq!(covers(Some(&record), &claim), Ok(RuleSlot::Permit(6)));
}

#[test]
fn a_deny_needs_every_part_to_meet() {
    let claim = claim(1, 1);
    let deny = Rule { categories: Category::Ecg.only(), ..rule(100) };
    let with = |deny: Rule| {
        let record = record(&[(RuleSlot::Permit(0), rule(200)), (RuleSlot::Deny(2), deny)]);
        covers(Some(&record), &claim)
    };
    assert_eq!(with(deny), Err(Uncovered::Denied(RuleSlot::Deny(2))));
    let misses = [
        Rule { actor: Party::Named(Word::from_u64(101)), ..deny },
        Rule { source: Party::Named(Word::from_u64(301)), ..deny },
        Rule { categories: Category::Ppg.only(), ..deny },
        Rule { purposes: Purpose::Research.only(), ..deny },
        Rule { kinds: ClaimKind::BreakGlass.only(), ..deny },
        Rule { labels: Label::Hiv.only(), ..deny },
        Rule { access: span(0, T0 + 10), ..deny },
        Rule { access: span(T0 + 20, T0 + 90), ..deny },
        Rule { data: span(0, 5010), ..deny },
        Rule { data: span(5020, 6000), ..deny },
    ];
    for miss in misses {
        assert_eq!(with(miss), Ok(RuleSlot::Permit(0)));
    }
}

#[test]
fn a_claim_of_all_sources_meets_a_deny_of_any_one_source() {
    let deny = Rule { source: Party::Named(Word::from_u64(301)), ..rule(100) };
    let record = record(&[(RuleSlot::Permit(0), rule(200)), (RuleSlot::Deny(0), deny)]);
    let all = Claim { source: Party::Any, ..claim(1, 1) };
    assert_eq!(covers(Some(&record), &all), Err(Uncovered::Denied(RuleSlot::Deny(0))));
    assert!(covers(Some(&record), &claim(1, 1)).is_ok());
}

#[test]
fn break_glass_asks_policies_only_and_a_closed_record_covers_nothing() {
    let policy = Rule { kinds: ClaimKind::BreakGlass.only(), actor: Party::Any, ..rule(1) };
    let glass = Claim { kind: ClaimKind::BreakGlass, ..claim(1, 1) };
    let all = Rule { kinds: ClaimKinds::ALL, ..rule(100) };
    assert_eq!(
        covers(Some(&record(&[(RuleSlot::Permit(0), all)])), &glass),
        Err(Uncovered::ActorNotNamed)
    );
    let mut record = record(&[(RuleSlot::Policy(1), policy)]);
    assert_eq!(covers(Some(&record), &glass), Ok(RuleSlot::Policy(1)));
    record.closed_at = glass.receipt.until;
    assert!(covers(Some(&record), &glass).is_ok());
    record.closed_at = at(glass.receipt.until.get() - 1);
    assert_eq!(covers(Some(&record), &glass), Err(Uncovered::Closed));
}

#[test]
fn packing_splits_where_a_deny_touches_only_some_claims_and_around_excluded_ones() {
    // The deny names the actor of claim 3 only, but its window lies within the hull of 1 to 5.
    let deny = Rule { access: span(T0 + 30, T0 + 40), ..rule(200) };
    let record = record(&[
        (RuleSlot::Permit(0), rule(100)),
        (RuleSlot::Permit(1), rule(200)),
        (RuleSlot::Deny(0), deny),
    ]);
    let claims: Vec<Claim> = (1..=5).map(|position| claim(1, position)).collect();
    let packed = pack(&claims, |_| Some(&record), SMALL).unwrap();
    let sizes: Vec<_> = packed.slots.iter().map(|s| (s.excluded, s.claims.len())).collect();
    assert_eq!(sizes, [(false, 2), (true, 1), (false, 2)]);
    let inputs = check(&chunk(&record, &claims, SMALL)).expect("packed claims are provable");
    assert_eq!((inputs.access, inputs.excluded), (5, 1));
}

#[test]
fn a_claim_that_the_check_of_a_chunk_refuses_is_excluded_and_its_neighbours_are_not() {
    let permit = [(RuleSlot::Permit(0), rule(100))];
    // Covered by its own times, but the end of the record is further away than can be proven.
    let mut record = record(&permit);
    record.closed_at = at(T0 + 30 + model::limits::WINDOW_MS_MAX);
    let claims: Vec<Claim> = (1..=4).map(|position| claim(1, position)).collect();
    assert!(claims.iter().all(|claim| covers(Some(&record), claim).is_ok()));
    let packed = pack(&claims, |_| Some(&record), SMALL).unwrap();
    let sizes: Vec<_> = packed.slots.iter().map(|s| (s.excluded, s.claims.len())).collect();
    assert_eq!(sizes, [(true, 2), (false, 2)]);
    let inputs = check(&chunk(&record, &claims, SMALL)).expect("packed claims are provable");
    assert_eq!((inputs.access, inputs.excluded), (4, 2));
}

#[test]
fn what_does_not_fit_is_left_and_disorder_is_refused() {
    let record = record(&[(RuleSlot::Permit(0), rule(100))]);
    let mut claims: Vec<Claim> = (1..=18).map(|position| claim(1, position)).collect();
    let packed = pack(&claims, |_| Some(&record), SMALL).unwrap();
    assert_eq!((packed.slots.len(), packed.taken), (4, 16));
    claims.swap(3, 4);
    let found = pack(&claims, |_| Some(&record), SMALL);
    assert_eq!(found, Err(PackError::Unsorted { claim: 4 }));
    assert!(matches!(pack(&claims, |_| None, SMALL), Err(PackError::NotProvable { claim: 0, .. })));
}

#[test]
fn a_chunk_fulfils_the_statement_and_each_change_names_its_rule() {
    let record = record(&[(RuleSlot::Permit(0), rule(100))]);
    let claims = [claim(1, 1), claim(1, 2), claim(8, 1), claim(9, 7)];
    let good = chunk(&record, &claims, SMALL);
    let inputs = check(&good).expect("a good chunk");
    assert_eq!(check_inputs(&good, &inputs), Ok(()));
    assert_eq!(inputs.to_field_elements().len(), crate::inputs::C2Inputs::LEN);
    type Change = fn(&mut Chunk);
    let changes: [(u8, Change); 9] = [
        (1, |chunk| chunk.root += Fr::from(1u8)),
        (2, |chunk| chunk.slots[1].record.nonce += 1),
        (3, |chunk| chunk.slots.swap(0, 1)),
        (4, |chunk| chunk.slots[0].claims.swap(0, 1)),
        (4, |chunk| chunk.position_out = Position(6)),
        (5, |chunk| chunk.slots[0].claims[0].receipt.from = at(T0 - 1)),
        (8, |chunk| chunk.slots[0].claims[0].categories = Categories::NONE),
        (12, |chunk| chunk.slots[0].claims[0].individual = Word::from_u64(101)),
        (22, |chunk| chunk.slots[0].claims[0].digest = Digest([0; 31])),
    ];
    for (rule, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        let found = check(&bad).expect_err("a bad chunk");
        assert_eq!(found.rule(), Some(RuleNumber::c2(rule)));
    }
}

#[test]
fn a_patient_may_continue_over_an_edge_but_not_repeat() {
    let record = record(&[(RuleSlot::Permit(0), rule(100))]);
    let mut next = chunk(&record, &[claim(5, 8)], SMALL);
    let mut edge = Edge { patient: patient(5), position: Position(7), salt: Fr::from(3u8) };
    next.edge_in = Some(edge.clone());
    assert_eq!(check(&next).map(|inputs| inputs.edge_in), Ok(edge.word()));
    edge.position = Position(8);
    next.edge_in = Some(edge.clone());
    assert_eq!(check(&next).unwrap_err().rule(), Some(RuleNumber::c2(4)));
    edge.patient = patient(6);
    next.edge_in = Some(edge);
    assert_eq!(check(&next).unwrap_err().rule(), Some(RuleNumber::c2(3)));
}

#[test]
fn debug_output_names_no_salt_and_no_patient() {
    let record = record(&[(RuleSlot::Permit(0), rule(100))]);
    let mut chunk = chunk(&record, &[claim(1, 1)], SMALL);
    chunk.edge_in = Some(Edge { patient: patient(1), position: Position(9), salt: Fr::from(3u8) });
    let text = format!("{chunk:?} {:?}", chunk.edge_in);
    assert!(
        text.contains("Slot(1 claims, excluded: false)") && text.contains("Edge(..)"),
        "{text}"
    );
    assert!(!text.contains("salt") && !text.contains("record"), "{text}");
}
