//! Honest chunks.

use super::twins::{accepted, assigned, rows, violated};
use super::world::*;
use ark_bn254::Fr;
use ark_std::rand::rngs::StdRng;
use ark_std::rand::{Rng, SeedableRng};
use circuits::shapes::{self, SHAPES, Shape, Statement};
use model::{
    Category, Claim, ClaimKind, Interval, Label, Party, Position, Purpose, Record, Rule, RuleSlot,
    Word,
};
use statement::c2::{Capacity, Edge, check, covers, pack};
use std::collections::BTreeMap;

#[test]
fn a_full_slot_and_a_slot_with_padding_are_accepted() {
    assert_eq!(accepted(&plain(4)).access, 4);
    assert_eq!(accepted(&plain(1)).access, 1);
}

#[test]
fn break_glass_is_covered_by_a_policy() {
    let policy = Rule { kinds: ClaimKind::BreakGlass.only(), actor: Party::Any, ..rule(1) };
    for number in [0, 1] {
        let glass = |claim: &mut Claim| claim.kind = ClaimKind::BreakGlass;
        let chunk = with_rules(&[(RuleSlot::Policy(number), policy)], glass, 2);
        assert_eq!(accepted(&chunk).break_glass, 2);
    }
}

#[test]
fn each_permit_can_be_the_one_and_each_of_three_words_can_name_the_actor() {
    for (number, actor) in [(0, DOCTOR), (3, CLINIC), (7, TEAM)] {
        let rules = [(RuleSlot::Permit(number), rule(actor))];
        let chunk = with_rules(&rules, |claim| claim.care_team = Word::from_u64(TEAM), 3);
        accepted(&chunk);
    }
}

#[test]
fn edges_of_windows_and_of_every_range_are_inside() {
    let first = |claim: &mut Claim| {
        claim.receipt = span(T0, T1);
        claim.measured = Interval::ALWAYS;
        claim.position = Position(POSITION_OUT);
    };
    accepted(&with_rules(&[(RuleSlot::Permit(0), rule(DOCTOR))], first, 1));
    let tight = Rule { access: span(T0, T1), ..rule(DOCTOR) };
    let mut chunk = with_rules(&[(RuleSlot::Permit(0), tight)], first, 1);
    accepted(&chunk);
    chunk = with_rules(&[(RuleSlot::Permit(0), rule(DOCTOR))], |_| (), 1);
    let end = chunk.slots[0].claims[0].receipt.until;
    let mut record = chunk.slots[0].record.clone();
    record.closed_at = end;
    let claims = chunk.slots.remove(0).claims;
    accepted(&placed(ONE, &BTreeMap::from([(9, record)]), vec![(patient(9), false, claims)]));
}

#[test]
fn a_deny_that_misses_in_any_one_way_refutes_nothing() {
    let deny = Rule { categories: Category::Ecg.only(), ..rule(DOCTOR) };
    let misses = [
        Rule { actor: named(DOCTOR + 1), ..deny },
        Rule { source: named(DEVICE + 1), ..deny },
        Rule { categories: Category::Ppg.only(), ..deny },
        Rule { purposes: Purpose::Research.only(), ..deny },
        Rule { kinds: ClaimKind::BreakGlass.only(), ..deny },
        Rule { labels: Label::Hiv.only(), ..deny },
        Rule { access: span(0, T0 + 10), ..deny },
        Rule { access: span(T0 + 40, T0 + 90), ..deny },
        Rule { data: span(0, 5010), ..deny },
        Rule { data: span(5040, 6000), ..deny },
    ];
    let permit = (RuleSlot::Permit(5), rule(CLINIC));
    for four in misses.windows(4) {
        let denies = four.iter().enumerate().map(|(n, deny)| (RuleSlot::Deny(n as u8), *deny));
        let rules: Vec<_> = [permit].into_iter().chain(denies).collect();
        accepted(&with_rules(&rules, |_| (), 3));
    }
}

#[test]
fn claims_are_excluded_beside_covered_ones_of_the_same_patient() {
    let deny = Rule { access: span(T0 + 20, T0 + 30), ..rule(CLINIC) };
    let rules = [(RuleSlot::Permit(0), rule(DOCTOR)), (RuleSlot::Deny(3), deny)];
    let records = BTreeMap::from([(9, record(1, &rules))]);
    let claims: Vec<Claim> = (1..=4).map(|n| claim(9, POSITION_IN + n)).collect();
    let chunk = chunk(THREE, &records, &claims);
    let excluded: Vec<_> = chunk.slots.iter().map(|slot| slot.excluded).collect();
    assert_eq!(excluded, [false, true, false]);
    let inputs = accepted(&chunk);
    assert_eq!((inputs.access, inputs.excluded), (4, 1));
}

#[test]
fn a_patient_continues_over_an_edge() {
    let mut chunk = plain(2);
    let (index, position) = (patient(9), Position(POSITION_IN));
    chunk.edge_in = Some(Edge { patient: index, position, salt: Fr::from(8u8) });
    accepted(&chunk);
    chunk.edge_in =
        Some(Edge { patient: patient(3), position: Position(9000), salt: Fr::from(8u8) });
    accepted(&chunk);
}

#[test]
fn patients_at_both_ends_of_the_tree_are_accepted() {
    let last = (1 << 24) - 1;
    let permit = [(RuleSlot::Permit(0), rule(DOCTOR))];
    let records: BTreeMap<u32, Record> =
        [0, 7, last].into_iter().map(|index| (index, record(1, &permit))).collect();
    let claims: Vec<Claim> =
        [0, 7, last].into_iter().map(|index| claim(index, POSITION_IN + 1)).collect();
    accepted(&chunk(THREE, &records, &claims));
}

/// A rule that differs from the broad one in a few random ways.
fn random_rule(rng: &mut StdRng) -> Rule {
    let mut rule = rule([DOCTOR, CLINIC, TEAM, 999][rng.gen_range(0..4)]);
    let from = T0 + rng.gen_range(0..60);
    for _ in 0..rng.gen_range(0..3) {
        match rng.gen_range(0..8) {
            0 => rule.actor = Party::Any,
            1 => rule.source = named(DEVICE + rng.gen_range(0..2)),
            2 => rule.categories = Category::ALL[rng.gen_range(0..4)].only(),
            3 => rule.purposes = Purpose::ALL[rng.gen_range(0..2)].only(),
            4 => rule.labels = Label::ALL[rng.gen_range(0..2)].only(),
            5 => rule.access = span(from, from + rng.gen_range(0..50)),
            6 => rule.data = span(5000 + from - T0, 5030 + from - T0),
            _ => rule.kinds = ClaimKind::Collect.only(),
        }
    }
    rule
}

fn random_record(rng: &mut StdRng, seed: u64) -> Record {
    let mut rules = Vec::new();
    for number in 0..RuleSlot::COUNT as u8 {
        let slot = RuleSlot::from_number(number).expect("a slot");
        let broad = rng.gen_bool(0.5);
        match slot {
            RuleSlot::Permit(0) if broad => rules.push((slot, rule(CLINIC))),
            RuleSlot::Permit(_) if rng.gen_bool(0.3) => rules.push((slot, random_rule(rng))),
            RuleSlot::Deny(_) if rng.gen_bool(0.7) => rules.push((slot, random_rule(rng))),
            RuleSlot::Policy(_) if broad => {
                let kinds = ClaimKind::BreakGlass.only();
                rules.push((slot, Rule { kinds, ..random_rule(rng) }));
            }
            _ => {}
        }
    }
    let mut record = record(seed, &rules);
    if rng.gen_bool(0.1) {
        record.closed_at = at(T0 + rng.gen_range(0..60));
    }
    record
}

fn random_claim(rng: &mut StdRng, index: u32, position: u64) -> Claim {
    let kind = ClaimKind::ALL[rng.gen_range(0..3)];
    let source = if rng.gen_bool(0.2) { Party::Any } else { named(DEVICE) };
    let care_team = if rng.gen_bool(0.5) { Word::from_u64(TEAM) } else { Word::ZERO };
    let categories = Category::ALL[rng.gen_range(0..2)].only().with(Category::ALL[0].only());
    let purpose = Purpose::ALL[rng.gen_range(0..2)];
    Claim { kind, source, care_team, categories, purpose, ..claim(index, position) }
}

#[test]
fn random_chunks_are_judged_alike_and_packed_ones_are_accepted() {
    let mut covered = 0;
    let mut excluded = 0;
    for seed in 0..24 {
        let mut rng = StdRng::seed_from_u64(seed);
        let records: BTreeMap<u32, Record> =
            [2, 70, 4000].map(|index| (index, random_record(&mut rng, seed))).into();
        let mut claims = Vec::new();
        for index in [2, 70, 4000] {
            let mut position = POSITION_IN;
            for _ in 0..rng.gen_range(0..4) {
                position += rng.gen_range(1..3);
                claims.push(random_claim(&mut rng, index, position));
            }
        }
        let packed = pack(&claims, |index| records.get(&index.get()), THREE).expect("sorted");
        if packed.taken == 0 {
            continue;
        }
        let chunk = chunk(THREE, &records, &claims[..packed.taken]);
        let inputs = accepted(&chunk);
        excluded += inputs.excluded;
        covered += packed.taken as u32 - inputs.excluded;
        // With the exclusions denied, or claims thrown together, both must still agree.
        let mut bold = chunk.clone();
        bold.slots.iter_mut().for_each(|slot| slot.excluded = false);
        let held = violated(&rows(THREE), &assigned(&bold, &bold.inputs())).is_empty();
        assert_eq!(check(&bold).is_ok(), held, "seed {seed}");
    }
    assert!(covered > 20 && excluded > 20, "covered {covered}, excluded {excluded}");
}

#[test]
fn claims_thrown_into_one_slot_are_judged_alike() {
    const WIDE: Capacity = ONE;
    let mut held = [0, 0];
    for seed in 100..160 {
        let mut rng = StdRng::seed_from_u64(seed);
        let denies = (0..3).map(|n| (RuleSlot::Deny(n), random_rule(&mut rng)));
        let rules: Vec<_> = denies.chain([(RuleSlot::Permit(1), rule(CLINIC))]).collect();
        let records = BTreeMap::from([(5, record(seed, &rules))]);
        let mut list: Vec<Claim> = (1..4).map(|n| claim(5, POSITION_IN + n)).collect();
        list.iter_mut().for_each(|claim| claim.individual = Word::from_u64(rng.gen_range(99..102)));
        let chunk = placed(WIDE, &records, vec![(patient(5), false, list)]);
        let native = check(&chunk).is_ok();
        let circuit = violated(&rows(WIDE), &assigned(&chunk, &chunk.inputs())).is_empty();
        assert_eq!(native, circuit, "seed {seed}");
        held[usize::from(native)] += 1;
    }
    assert!(held[0] > 9 && held[1] > 9, "refused and accepted: {held:?}");
}

#[test]
fn a_claim_is_covered_if_and_only_if_a_slot_of_it_alone_is() {
    let mut held = [0, 0];
    for seed in 200..400 {
        let mut rng = StdRng::seed_from_u64(seed);
        let record = random_record(&mut rng, seed);
        let claim = random_claim(&mut rng, 5, POSITION_IN + 2);
        let verdict = covers(Some(&record), &claim);
        let records = BTreeMap::from([(5, record)]);
        let chunk = placed(ONE, &records, vec![(patient(5), false, vec![claim])]);
        let checked = check(&chunk).map(|_| ()).map_err(|error| error.rule());
        assert_eq!(checked, verdict.map(|_| ()).map_err(|uncovered| Some(uncovered.rule())));
        held[usize::from(verdict.is_ok())] += 1;
    }
    assert!(held[0] > 20 && held[1] > 20, "refused and covered: {held:?}");
}

#[test]
fn a_full_chunk_of_each_large_shape_is_assigned_without_a_violated_row() {
    let deny = Rule { access: span(T0, T0 + 5), ..rule(CLINIC) };
    let rules = [(RuleSlot::Permit(0), rule(DOCTOR)), (RuleSlot::Deny(0), deny)];
    let index = |slot: usize| 1 + slot as u32 / 2 * 1000;
    let small = Shape::named("c2-test").expect("the shape");
    for shape in SHAPES.iter().filter(|shape| !shape.test_only) {
        let shapes::Capacity::Claims(capacity) = shape.capacity else { continue };
        let indices = (0..capacity.slots).map(index);
        let records = indices.map(|n| (n, record(u64::from(n), &rules))).collect();
        // Two slots for each patient.
        let per_patient = 2 * capacity.claims_per_slot;
        let claims = (0..capacity.places()).map(|n| {
            let position = POSITION_IN + 1 + (n % per_patient) as u64;
            claim(index(n / capacity.claims_per_slot), position)
        });
        let chunk = chunk(capacity, &records, &claims.collect::<Vec<_>>());
        let inputs = check(&chunk).expect("the native check accepts");
        let assignment =
            shape.assign(Statement::C2(&inputs, &chunk)).expect("the chunk is of the shape");
        let mut rows = assignment.az.iter().zip(&assignment.bz).zip(&assignment.cz);
        assert!(rows.all(|((a, b), c)| *a * b == *c), "{}", shape.name);
        assert_eq!(assignment.instance[1..], Statement::C2(&inputs, &chunk).inputs());
        assert!(small.assign(Statement::C2(&inputs, &chunk)).is_err());
    }
}
