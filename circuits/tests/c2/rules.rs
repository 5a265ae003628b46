//! Each rule of SPEC.md section 10 broken: both twins refuse, and both name the rule.

use super::twins::{
    assigned, bits, bits_of, edited, refused, refused_cells, refused_for, rows, violated,
};
use super::world::*;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use model::{
    Categories, Category, Claim, ClaimKind, ClaimKinds, Digest, Interval, Label, Labels, Party,
    Position, Purpose, Purposes, Record, Rule, RuleNumber, RuleSlot, Word,
};
use statement::c2::{Chunk, Edge, check_inputs, check_leaves};
use statement::inputs::C2Inputs;
use std::collections::BTreeMap;

const PERMIT: RuleSlot = RuleSlot::Permit(2);

/// One claim of patient 9 under one permit, both changed.
fn one(permit: impl Fn(&mut Rule), change: impl Fn(&mut Claim)) -> Chunk {
    let mut rule = rule(DOCTOR);
    permit(&mut rule);
    with_rules(&[(PERMIT, rule)], change, 1)
}

fn two(bits: u64) -> Fr {
    Fr::from(2u8).pow([bits])
}

#[test]
fn c2_1_a_cap_that_hashes_to_another_root_is_refused() {
    let mut chunk = plain(1);
    chunk.root += Fr::ONE;
    refused(1, &chunk);
    let mut chunk = plain(1);
    chunk.cap[63] += Fr::ONE;
    refused(1, &chunk);
}

#[test]
fn c2_2_a_record_that_is_not_the_leaf_at_the_index_is_refused() {
    let mut changed = plain(1);
    changed.slots[0].record.nonce += 1;
    refused(2, &changed);
    let mut widened = plain(1);
    widened.slots[0].record.rules[0] = Some(rule(CLINIC));
    refused(2, &widened);
    // The same record, but of the patient at another index.
    let mut moved = plain(1);
    moved.slots[0].patient = patient(10);
    moved.slots[0].claims[0].patient = patient(10);
    refused(2, &moved);
    // A path that is right for another place of the cap.
    let mut moved = plain(1);
    moved.slots[0].patient = patient(9 + (1 << 18));
    moved.slots[0].claims[0].patient = patient(9 + (1 << 18));
    refused(2, &moved);
}

/// Slots of patients 9 and 5, in this order.
fn descending() -> Chunk {
    let permit = [(PERMIT, rule(DOCTOR))];
    let records: BTreeMap<u32, Record> = [5, 9].map(|index| (index, record(1, &permit))).into();
    let slot = |index| (patient(index), false, vec![claim(index, POSITION_IN + 1)]);
    placed(THREE, &records, vec![slot(9), slot(5)])
}

#[test]
fn c2_3_slots_that_descend_are_refused_also_over_an_edge() {
    refused(3, &descending());
    let mut after = plain(1);
    let salt = Fr::from(8u8);
    after.edge_in = Some(Edge { patient: patient(10), position: Position(60), salt });
    refused(3, &after);
}

#[test]
fn c2_3_a_negative_step_cannot_pass_for_a_small_one() {
    // The bits of slot 1 follow those of slot 0: 24 of the index, 24 of the step.
    let step = bits(THREE, "C2.3")[3 * 24..4 * 24].to_vec();
    let mut cells: Vec<_> = step.iter().map(|cell| (*cell, Fr::ZERO)).collect();
    cells[0].1 = -Fr::from(4u8);
    refused_cells(3, 1, &descending(), &cells);
}

#[test]
fn c2_3_an_index_has_no_second_form_24_bits_higher() {
    // 2^24 in the lowest bit moves the index, not the leaf it opens.
    let lowest = bits_of("C2.3")[0];
    refused_with(3, &plain(1), lowest, two(24));
}

#[test]
fn c2_4_positions_outside_the_batch_or_out_of_order_are_refused() {
    let at = |positions: &[u64]| {
        let mut chunk = plain(positions.len() as u64);
        for (claim, position) in chunk.slots[0].claims.iter_mut().zip(positions) {
            claim.position = Position(*position);
        }
        chunk
    };
    refused(4, &at(&[POSITION_IN]));
    refused(4, &at(&[POSITION_OUT + 1]));
    refused(4, &at(&[60, 59]));
    refused(4, &at(&[60, 60]));
    // A step of -1 written as 2^64 - 1, and one that is too wide by a bit.
    refused(4, &at(&[60, u64::MAX]));
    let mut far = at(&[60 + (1 << 28)]);
    far.position_out = Position(1 << 29);
    refused(4, &far);
}

#[test]
fn c2_4_a_patient_who_continues_cannot_begin_anew() {
    let records = BTreeMap::from([(9, record(1, &[(PERMIT, rule(DOCTOR))]))]);
    let slot = |position| (patient(9), false, vec![claim(9, position)]);
    refused(4, &placed(THREE, &records, vec![slot(60), slot(60)]));
    refused(4, &placed(THREE, &records, vec![slot(60), slot(59)]));
    let mut after = plain(1);
    let position = Position(POSITION_IN + 1);
    after.edge_in = Some(Edge { patient: patient(9), position, salt: Fr::from(8u8) });
    refused(4, &after);
}

#[test]
fn c2_5_intervals_that_are_empty_or_outside_the_window_are_refused() {
    let receipt = |from, until| one(|_| (), |claim| claim.receipt = span(from, until));
    refused(5, &receipt(T0 - 1, T0 + 5));
    refused(5, &receipt(T1 - 5, T1 + 1));
    refused(5, &receipt(T0 + 5, T0 + 5));
    refused(5, &receipt(T0 + 5, T0 + 4));
    let measured = |from, until| one(|_| (), |claim| claim.measured = span(from, until));
    refused(5, &measured(70, 70));
    refused(5, &measured(70, 69));
    // An excluded claim as well.
    let mut excluded = measured(70, 70);
    excluded.slots[0].excluded = true;
    refused(5, &excluded);
}

#[test]
fn c2_6_an_access_period_that_does_not_contain_the_receipt_is_refused() {
    let access = |from, until| one(|rule| rule.access = span(from, until), |_| ());
    refused(6, &access(T0 + 11, T1));
    refused(6, &access(T0, T0 + 19));
    refused(6, &access(T0 + 19, T0 + 11));
}

#[test]
fn c2_6_and_7_a_lane_cannot_borrow_from_the_next() {
    // access.from 1 ms late, hidden by 2^48 in its lane and one less in the lane above.
    let chunk = one(|rule| rule.access = span(T0 + 11, T1), |_| ());
    let mut cells = vec![];
    let lanes = bits_of("C2.6");
    let (from, until) = (&lanes[..44], &lanes[44..88]);
    let wanted = [-Fr::ONE + -two(48), Fr::from(T1 - (T0 + 20)) - Fr::ONE];
    for (lane, value) in [from, until].iter().zip(wanted) {
        cells.extend(lane.iter().map(|cell| (*cell, Fr::ZERO)));
        let first = cells.len() - lane.len();
        cells[first].1 = value;
    }
    // The word stays what it was, so that only the ranges of the lanes object.
    refused_cells(6, 2, &chunk, &cells);
}

#[test]
fn c2_7_a_data_period_that_does_not_contain_the_measurement_is_refused() {
    let data = |from, until| one(|rule| rule.data = span(from, until), |_| ());
    refused(7, &data(5011, 6000));
    refused(7, &data(0, 5019));
}

#[test]
fn c2_8_categories_that_are_empty_or_beyond_the_rule_are_refused() {
    refused(8, &one(|rule| rule.categories = Category::Ecg.only(), |_| ()));
    refused(8, &one(|_| (), |claim| claim.categories = Categories::NONE));
    let mut excluded = one(|_| (), |claim| claim.categories = Categories::NONE);
    excluded.slots[0].excluded = true;
    refused(8, &excluded);
}

#[test]
fn c2_9_a_purpose_beyond_the_rule_is_refused() {
    refused(9, &one(|rule| rule.purposes = Purpose::Research.only(), |_| ()));
    refused(9, &one(|rule| rule.purposes = Purposes::NONE, |_| ()));
}

#[test]
fn c2_9_two_purposes_cannot_be_said() {
    // A bit of the purpose's number that is neither 0 nor 1.
    let purpose = bits_of("C2.9")[16];
    refused_with(9, &plain(1), purpose, Fr::from(2u8));
}

/// One edited cell violates a row of the rule, among others.
fn refused_with(rule: u8, chunk: &Chunk, cell: usize, value: Fr) {
    let r1cs = rows(chunk.capacity);
    let assignment = assigned(chunk, &chunk.inputs());
    assert_ne!(assignment.witness[cell], value);
    let found = violated(&r1cs, &edited(&r1cs, assignment, &[(cell, value)]));
    assert!(found.contains(&format!("C2.{rule}").as_str()), "violated: {found:?}");
}

#[test]
fn c2_10_a_kind_beyond_the_rule_is_refused() {
    refused(10, &one(|rule| rule.kinds = ClaimKind::Collect.only(), |_| ()));
    refused(
        10,
        &one(|rule| rule.kinds = ClaimKinds::NONE, |claim| claim.kind = ClaimKind::Collect),
    );
}

#[test]
fn c2_10_two_kinds_cannot_be_said() {
    // Rows of C2.10 stand at collect and break-glass, which then leave -1 for access.
    let r1cs = rows(ONE);
    let row = r1cs.rules.iter().rposition(|rule| *rule == "C2.10").expect("a row");
    let glass = r1cs.a[row][0].1 as usize - r1cs.instances;
    let chunk = plain(4);
    for value in [Fr::ONE, -Fr::ONE] {
        refused_with(10, &chunk, glass, value);
    }
}

#[test]
fn c2_11_labels_that_are_empty_or_beyond_the_rule_are_refused() {
    refused(11, &one(|rule| rule.labels = Label::Hiv.only(), |_| ()));
    refused(11, &one(|_| (), |claim| claim.labels = Labels::NONE));
}

#[test]
fn c2_12_a_rule_of_another_actor_is_refused() {
    refused(12, &one(|rule| rule.actor = named(TEAM), |_| ()));
    refused(12, &one(|rule| rule.actor = named(DEVICE), |_| ()));
}

#[test]
fn c2_13_a_rule_of_another_source_is_refused() {
    refused(13, &one(|rule| rule.source = named(DEVICE + 1), |_| ()));
    // Data of all sources needs a rule about all sources.
    let all = |claim: &mut Claim| claim.source = Party::Any;
    refused(13, &one(|rule| rule.source = named(DEVICE), all));
}

#[test]
fn c2_14_break_glass_under_a_permit_and_access_under_a_policy_are_refused() {
    let every = Rule { kinds: ClaimKinds::ALL, ..rule(DOCTOR) };
    let glass = |claim: &mut Claim| claim.kind = ClaimKind::BreakGlass;
    for (right, wrong, kind) in [
        (RuleSlot::Policy(0), RuleSlot::Permit(0), ClaimKind::BreakGlass),
        (RuleSlot::Permit(0), RuleSlot::Policy(0), ClaimKind::Access),
    ] {
        let change = |claim: &mut Claim| {
            glass(claim);
            claim.kind = kind;
        };
        // Both groups hold the rule, so that the selection can be moved to the wrong one: then
        // the rule is taken out of the right group, and everything is assigned as before.
        let chunk = with_rules(&[(wrong, every)], change, 1);
        let native = statement::c2::check(&chunk).expect_err("the native check refuses");
        assert_eq!(native.rule(), Some(RuleNumber::c2(14)));
        let mut whole = with_rules(&[(right, every)], change, 1);
        // Salts hold the root: both chunks are to commit to the same leaf.
        whole.root = chunk.root;
        let found = violated(&rows(ONE), &with_rule_of(&chunk, &whole));
        assert!(!found.is_empty() && found.iter().all(|rule| *rule == "C2.14"), "{found:?}");
    }
}

/// The assignment of `chunk`, but from the first claim's selected rule on that of `other`.
fn with_rule_of(chunk: &Chunk, other: &Chunk) -> circuits::builder::Assignment {
    let r1cs = rows(ONE);
    let mut assignment = assigned(chunk, &chunk.inputs());
    let other = assigned(other, &other.inputs());
    // Selected words are the last columns that the rows of C2.14 make, one for each word.
    let made = (0..r1cs.a.len()).filter(|row| r1cs.rules[*row] == "C2.14");
    let made: Vec<usize> =
        made.filter_map(|row| r1cs.c[row].last().map(|t| t.1)).map(|c| c as usize).collect();
    let of_first_claim = &made[..made.len() / 4];
    let last = of_first_claim.iter().max().expect("columns") - r1cs.instances;
    for row in 1..4 {
        let word = of_first_claim[row * of_first_claim.len() / 3 - 1] - r1cs.instances;
        assignment.witness[word] = other.witness[word];
    }
    assignment.witness[last + 1..].copy_from_slice(&other.witness[last + 1..]);
    assignment
}

#[test]
fn c2_15_a_deny_that_overlaps_in_everything_is_refused() {
    let narrow = Rule {
        categories: Category::Ecg.only(),
        purposes: Purpose::Treatment.only(),
        kinds: ClaimKind::Access.only(),
        labels: Label::Normal.only(),
        access: span(T0 + 19, T0 + 20),
        data: span(5019, 5020),
        source: named(DEVICE),
        ..rule(DOCTOR)
    };
    let denies = [
        narrow,
        Rule { actor: Party::Any, ..narrow },
        Rule { actor: named(CLINIC), source: Party::Any, ..narrow },
        Rule { access: span(T0 + 10, T0 + 11), data: span(5010, 5011), ..narrow },
        Rule { categories: Categories::ALL, labels: Labels::ALL, ..narrow },
    ];
    for (number, deny) in denies.into_iter().enumerate() {
        let slot = RuleSlot::Deny(number as u8 % 4);
        let rules = [(PERMIT, rule(DOCTOR)), (slot, deny)];
        refused(15, &with_rules(&rules, |_| (), 1));
    }
}

#[test]
fn c2_15_a_claim_of_all_sources_meets_a_deny_of_one() {
    let deny = Rule { source: named(DEVICE + 7), ..rule(DOCTOR) };
    let rules = [(PERMIT, rule(DOCTOR)), (RuleSlot::Deny(1), deny)];
    refused(15, &with_rules(&rules, |claim| claim.source = Party::Any, 1));
}

#[test]
fn c2_15_a_deny_between_the_claims_of_a_slot_is_refused_until_they_are_split() {
    // It names the doctor, who claims at 10 to 20 and 40 to 50, and holds from 20 to 40.
    let deny = Rule { access: span(T0 + 20, T0 + 40), ..rule(DOCTOR) };
    let rules = [(PERMIT, rule(DOCTOR)), (RuleSlot::Deny(0), deny)];
    let records = BTreeMap::from([(9, record(1, &rules))]);
    let claims = [claim(9, POSITION_IN + 1), claim(9, POSITION_IN + 4)];
    refused(15, &placed(ONE, &records, vec![(patient(9), false, claims.to_vec())]));
    super::twins::accepted(&chunk(THREE, &records, &claims));
}

/// Cells of the small shape: for each deny 59 mask bits, then a bit and 44 bits for each lane.
fn lane_bits(deny: usize, lane: usize) -> Vec<usize> {
    let bits = bits_of("C2.15");
    let first = deny * (59 + 4 * 45) + 59 + lane * 45;
    bits[first..first + 45].to_vec()
}

#[test]
fn c2_15_a_lane_cannot_borrow_from_the_next() {
    // The deny ends a millisecond after the hull begins; with 2^48 less in its lane and one more in
    // the lane above it would have ended long before.
    let deny = Rule { access: span(0, T0 + 11), ..rule(DOCTOR) };
    let chunk = with_rules(&[(PERMIT, rule(DOCTOR)), (RuleSlot::Deny(0), deny)], |_| (), 1);
    let (until, data_from) = (lane_bits(0, 1), lane_bits(0, 2));
    // The lanes are columns of their own before the bits of the first.
    let lanes = lane_bits(0, 0)[0] - 3;
    let mut cells = vec![
        (lanes + 1, Fr::from(T0 + 11) - two(48)),
        (lanes + 2, Fr::ONE),
        (until[0], Fr::ONE),
        (until[1], two(48) - Fr::ONE),
        (data_from[1], Fr::ONE),
    ];
    cells.extend(until[2..].iter().map(|cell| (*cell, Fr::ZERO)));
    // The deny would be refuted; only the range of the lane objects.
    refused_cells(15, 1, &chunk, &cells);
}

#[test]
fn c2_16_a_record_closed_before_a_claim_ends_is_refused() {
    let mut chunk = plain(2);
    let mut record = chunk.slots[0].record.clone();
    let claims = chunk.slots.remove(0).claims;
    record.closed_at = at(claims[1].receipt.until.get() - 1);
    let records = BTreeMap::from([(9, record)]);
    refused(16, &placed(ONE, &records, vec![(patient(9), false, claims.clone())]));
    // Excluded, the same claims are accepted.
    super::twins::accepted(&placed(ONE, &records, vec![(patient(9), true, claims)]));
}

#[test]
fn c2_16_a_stop_of_a_later_batch_cannot_stand_under_this_root() {
    let mut record = record(1, &[(PERMIT, rule(DOCTOR))]);
    record.closed_at = at(T0 + 20 + (1 << 27));
    let records = BTreeMap::from([(9, record)]);
    let claims = vec![claim(9, POSITION_IN + 1)];
    refused(16, &placed(ONE, &records, vec![(patient(9), false, claims)]));
}

#[test]
fn c2_17_another_claims_root_is_refused() {
    let chunk = plain(2);
    let mut inputs = chunk.inputs();
    inputs.claims_root += Fr::ONE;
    refused_for(17, &chunk, &inputs);
    // The root of the same claims as if they had been excluded.
    let mut excluded = chunk.clone();
    excluded.slots[0].excluded = true;
    let mut inputs = chunk.inputs();
    inputs.claims_root = excluded.inputs().claims_root;
    refused_for(17, &chunk, &inputs);
}

#[test]
fn c2_18_a_count_that_is_not_that_of_its_kind_is_refused() {
    let chunk = plain(2);
    let good = chunk.inputs();
    let changes: [fn(&mut C2Inputs); 3] = [
        |inputs| inputs.access -= 1,
        |inputs| inputs.collect += 1,
        |inputs| inputs.break_glass += 1,
    ];
    for change in changes {
        let mut inputs = good.clone();
        change(&mut inputs);
        refused_for(18, &chunk, &inputs);
    }
}

#[test]
fn c2_18_padding_between_claims_is_refused() {
    // The second and third claim become padding, the fourth stays.
    let active = bits_of("C2.18");
    let chunk = plain(4);
    refused_with(18, &chunk, active[0] + 1, Fr::ZERO);
}

#[test]
fn c2_19_a_count_of_excluded_claims_that_is_not_theirs_is_refused() {
    let mut chunk = plain(2);
    chunk.slots[0].excluded = true;
    for wrong in [0, 1, 3] {
        let mut inputs = chunk.inputs();
        inputs.excluded = wrong;
        refused_for(19, &chunk, &inputs);
    }
}

#[test]
fn c2_19_an_excluded_claim_without_a_digest_category_or_time_is_refused_all_the_same() {
    type Change = fn(&mut Claim);
    let changes: [(u8, Change); 4] = [
        (22, |claim| claim.digest = Digest([0; 31])),
        (11, |claim| claim.labels = Labels::NONE),
        (5, |claim| claim.receipt = span(T0 - 1, T0)),
        (4, |claim| claim.position = Position(POSITION_IN)),
    ];
    for (rule, change) in changes {
        let mut chunk = with_rules(&[], change, 1);
        chunk.slots[0].excluded = true;
        refused(rule, &chunk);
    }
}

#[test]
fn c2_20_another_tag_is_refused() {
    let chunk = plain(2);
    let mut leaves = chunk.leaves();
    *leaves.last_mut().expect("a tag") += Fr::ONE;
    let native = check_leaves(&chunk, &leaves).expect_err("the native check refuses");
    assert_eq!(native.rule(), Some(RuleNumber::c2(20)));
    assert_eq!(check_leaves(&chunk, &chunk.leaves()), Ok(()));
    // The tag is the last column that rows of C2.20 make; claim the other leaf and its root.
    let r1cs = rows(ONE);
    let row = r1cs.rules.iter().rposition(|rule| *rule == "C2.20").expect("a row");
    let tag = r1cs.c[row][0].1 as usize - r1cs.instances;
    refused_with(20, &chunk, tag, *leaves.last().expect("a tag"));
}

#[test]
fn c2_21_another_edge_is_refused() {
    let mut chunk = plain(2);
    let (index, position) = (patient(3), Position(POSITION_IN + 9));
    chunk.edge_in = Some(Edge { patient: index, position, salt: Fr::from(8u8) });
    let good = chunk.inputs();
    let changes: [fn(&mut C2Inputs); 4] = [
        |inputs| inputs.edge_in = Fr::ZERO,
        |inputs| inputs.edge_in += Fr::ONE,
        |inputs| inputs.edge_out += Fr::ONE,
        |inputs| inputs.edge_out = Fr::ZERO,
    ];
    for change in changes {
        let mut inputs = good.clone();
        change(&mut inputs);
        refused_for(21, &chunk, &inputs);
    }
    // No opening where there is an edge.
    let mut unopened = chunk.clone();
    unopened.edge_in = None;
    let mut inputs = unopened.inputs();
    inputs.edge_in = good.edge_in;
    refused_for(21, &unopened, &inputs);
}

#[test]
fn c2_22_a_claim_without_actor_source_or_digest_is_refused() {
    let any = |rule: &mut Rule| (rule.actor, rule.source) = (Party::Any, Party::Any);
    refused(22, &one(any, |claim| claim.individual = Word::ZERO));
    refused(22, &one(any, |claim| claim.organisation = Word::ZERO));
    // A permit of source ANY would cover it, and no deny that names a source would meet it.
    refused(22, &one(any, |claim| claim.source = Party::Named(Word::ZERO)));
    refused(22, &one(any, |claim| claim.digest = Digest([0; 31])));
}

#[test]
fn c2_23_a_proof_for_another_domain_is_refused() {
    let chunk = plain(1);
    let mut inputs = chunk.inputs();
    inputs.domain += Fr::ONE;
    refused_for(23, &chunk, &inputs);
}

#[test]
fn a_window_or_position_that_is_not_the_chunks_is_refused_too() {
    let chunk = one(|_| (), |claim| claim.measured = Interval::ALWAYS);
    let mut inputs = chunk.inputs();
    inputs.t0 = at(T0 + 11);
    assert!(check_inputs(&chunk, &inputs).is_err());
    assert!(!violated(&rows(ONE), &assigned(&chunk, &inputs)).is_empty());
    let mut inputs = chunk.inputs();
    inputs.position_in = Position(POSITION_IN + 1);
    assert!(check_inputs(&chunk, &inputs).is_err());
    assert!(!violated(&rows(ONE), &assigned(&chunk, &inputs)).is_empty());
}
