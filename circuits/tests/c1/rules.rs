//! One test for each rule of SPEC.md section 9: both twins refuse.

use super::case::*;
use ark_bn254::Fr;
use ark_ff::Field;
use circuits::builder::Assignment;
use circuits::c1::Values;
use model::{
    Action, ClaimKind, ClaimKinds, Interval, Millis, Operation, OperationError, Party,
    PatientIndex, Rule, RuleError, RuleSlot, Word, layout,
};
use statement::babyjubjub::{self, Point, PointError};
use statement::c1::{check, effect};
use statement::eddsa::{self, PublicKey, SecretKey};
use statement::operation::SignedOperation;
use statement::record;

/// The rule of the first row that the honest `assignment` violates once `edit` changed it.
fn after(mut assignment: Assignment, edit: impl FnOnce(&mut Assignment)) -> Option<&'static str> {
    edit(&mut assignment);
    all_violated(&assignment).first().copied()
}

/// The private value that row `number` of `rule` makes: the only one of its product.
fn product_of(rule: &str, number: usize) -> usize {
    let r1cs = single();
    let rows = (0..r1cs.rules.len()).filter(|row| r1cs.rules[*row] == rule);
    let row = rows.skip(number).find(|row| r1cs.c[*row].len() == 1).expect("such a row");
    r1cs.c[row][0].1 as usize - r1cs.instances
}

/// The private bits of `rule` in order: rows `(1 - bit) * bit = 0`.
fn bits_of(rule: &str) -> Vec<usize> {
    let r1cs = single();
    let rows = (0..r1cs.rules.len()).filter(|row| r1cs.rules[*row] == rule);
    let bits = rows.filter(|row| {
        r1cs.a[*row].len() == 2 && r1cs.b[*row].len() == 1 && r1cs.c[*row].is_empty()
    });
    bits.map(|row| r1cs.b[row][0].1 as usize - r1cs.instances).collect()
}

fn named(number: u8) -> Option<String> {
    Some(format!("C1.{number}"))
}

fn values(case: &Case, edit: impl FnOnce(&mut Values)) -> Option<String> {
    let chunk = case.chunk();
    let mut values = Values::of(&chunk);
    edit(&mut values);
    violated(&claimed(&chunk), &values)
}

fn two_to(power: u64) -> Fr {
    Fr::from(2u8).pow([power])
}

#[test]
fn c1_1_a_row_has_one_kind_and_padding_changes_nothing() {
    let case = Case::stop();
    let mut bytes = case.operation.to_bytes();
    bytes[1] = 7;
    let unknown = Operation::from_bytes(&bytes);
    assert_eq!(unknown, Err(OperationError::Kind { version: 1, kind: 7 }));
    assert_eq!(values(&case, |values| values.rows[0].kind = 7), named(1));

    let mut idle = case.chunk();
    idle.rows.clear();
    let inputs = check(&idle).expect("nothing happens");
    assert_eq!((inputs.root_out, inputs.time_out), (idle.root_in, idle.time_in));
    assert_eq!(violated(&inputs, &Values::of(&idle)), None);
    let mut moved = inputs.clone();
    moved.time_out = at(1);
    assert_eq!(violated(&moved, &Values::of(&idle)), named(1));
    let mut changed = inputs.clone();
    changed.root_out += Fr::from(1u8);
    assert_eq!(violated(&changed, &Values::of(&idle)), named(10));
    let mut leaf = inputs;
    leaf.operations_root = claimed(&case.chunk()).operations_root;
    assert_eq!(violated(&leaf, &Values::of(&idle)), named(24));
}

#[test]
fn c1_2_an_operation_is_later_than_the_one_before() {
    let same = Case { time_in: at(2_000), ..Case::stop() };
    same.refused(2);
    Case { time_in: at(2_001), ..Case::stop() }.refused(2);
    Case { time_in: at(1_999), ..Case::stop() }.accepted();
}

#[test]
fn c1_3_an_operation_is_before_the_end_of_the_window() {
    let mut case = Case { t_op: at(WINDOW_MS), ..Case::stop() };
    case.operation.valid_until = at(WINDOW_MS + 9);
    case.refused(3);
    case.t_op = at(WINDOW_MS - 1);
    case.accepted();
}

#[test]
fn c1_4_an_operation_takes_no_effect_before_it_is_signed() {
    let mut case = Case::stop();
    case.operation.signed_at = at(2_001);
    case.refused(4);
    case.operation.signed_at = at(2_000);
    case.accepted();
}

#[test]
fn c1_4_and_5_a_head_with_shifted_times_is_the_same_word_and_refused() {
    let shifted = values(&Case::stop(), |values| {
        values.rows[0].signed_at += two_to(48);
        values.rows[0].valid_until -= Fr::from(1u8);
    });
    assert_eq!(shifted, named(4));
    let shifted = values(&Case::stop(), |values| {
        values.rows[0].signed_at -= two_to(48);
        values.rows[0].valid_until += Fr::from(1u8);
    });
    assert_eq!(shifted, named(4));
}

#[test]
fn c1_5_an_operation_takes_no_effect_once_it_is_invalid() {
    let mut case = Case::stop();
    case.operation.valid_until = at(2_000);
    case.refused(5);
    case.operation.valid_until = at(2_001);
    case.accepted();
}

#[test]
fn c1_6_an_operation_names_the_next_nonce() {
    let mut case = Case::stop();
    for nonce in [4, 6] {
        case.operation.nonce = nonce;
        case.refused(6);
    }
    let mut enrolment = Case::new(None, enrolment());
    enrolment.operation.nonce = 1;
    enrolment.refused(6);
    // The nonce that does not grow.
    let mut chunk = Case::stop().chunk();
    let mut stale = unchecked(Some(&super::case::record()), &case.operation, at(2_000));
    stale.nonce -= 1;
    chunk.rows[0].root_out = root_with(&stale);
    refused(&chunk, 10);
}

#[test]
fn c1_7_a_signature_verifies() {
    let case = Case::stop();
    let mut chunk = case.chunk();
    chunk.rows[0].signed.signature.s += babyjubjub::Scalar::from(1u8);
    refused(&chunk, 7);
    let mut chunk = case.chunk();
    chunk.rows[0].signed.signature = eddsa::sign(&patient(), Fr::from(1u8));
    refused(&chunk, 7);
}

/// What was signed shows only in the signature, so the twins name C1.7; the rows that make the
/// message are C1.8's.
#[test]
fn c1_8_a_signature_is_for_one_contract_and_one_operation() {
    Case { signed_domain: Fr::from(78u8), ..Case::stop() }.refused(7);
    let case = Case::permit(permit());
    let other = PatientIndex::new(INDEX ^ 1).expect("24 bits");
    let signed = [
        Operation { patient: other, ..case.operation.clone() },
        Operation { nonce: 6, ..case.operation.clone() },
        Operation { signed_at: before(51), ..case.operation.clone() },
        Operation { valid_until: at(30_001), ..case.operation.clone() },
        Operation { action: write(RuleSlot::Permit(3), permit()), ..case.operation.clone() },
        Operation { action: write(RuleSlot::Deny(2), permit()), ..case.operation.clone() },
        Operation { action: write(RuleSlot::Permit(1), policy()), ..case.operation.clone() },
    ];
    for operation in signed {
        assert!(operation != case.operation);
        let mut chunk = case.chunk();
        let signed = SignedOperation::sign(operation, chunk.sig_domain, &case.key);
        chunk.rows[0].signed.signature = signed.signature;
        refused(&chunk, 7);
    }
    let (_, honest) = case.accepted();
    let cell = product_of("C1.8", 300);
    let edited = after(honest, |assignment| assignment.witness[cell] += Fr::from(1u8));
    assert_eq!(edited, Some("C1.8"));
}

#[test]
fn c1_8_the_index_has_24_bits_of_which_no_other_make_the_same_number() {
    let (_, honest) = Case::stop().accepted();
    let index = &bits_of("C1.8")[..24];
    let aliased = after(honest, |assignment| {
        assignment.witness[index[0]] += Fr::from(2u8);
        assignment.witness[index[1]] -= Fr::from(1u8);
    });
    assert_eq!(aliased, Some("C1.8"));
}

#[test]
fn c1_8_a_stop_has_no_argument() {
    let mut bytes = Case::stop().operation.to_bytes();
    bytes[Operation::BYTES - 1] = 1;
    assert_eq!(Operation::from_bytes(&bytes), Err(OperationError::Mismatch));
    let argued = values(&Case::stop(), |values| values.rows[0].words[2] = Fr::from(1u8));
    assert_eq!(argued, named(8));
}

#[test]
fn c1_9_the_old_record_stands_under_the_root_before() {
    let mut chunk = Case::stop().chunk();
    chunk.root_in += Fr::from(1u8);
    refused(&chunk, 9);
    let mut chunk = Case::stop().chunk();
    chunk.rows[0].path[0][usize::try_from(INDEX % 8).expect("small")] += Fr::from(1u8);
    refused(&chunk, 9);
    // A record with a key of the operator's choice, which stands nowhere.
    let mut chunk = Case::stop().chunk();
    chunk.rows[0].old = Some(model::Record { salt: Word::from_u64(1), ..super::case::record() });
    refused(&chunk, 9);
    // Without a record only an enrolment is possible.
    let mut nobody = Case::new(None, Action::Stop);
    nobody.key = patient();
    let error = check(&nobody.chunk()).expect_err("no record");
    assert_eq!(error.rule.number, 9);
}

#[test]
fn c1_10_the_root_after_holds_the_new_record_and_nothing_else_changed() {
    let mut chunk = Case::stop().chunk();
    chunk.rows[0].root_out += Fr::from(1u8);
    refused(&chunk, 10);
    let mut chunk = Case::permit(permit()).chunk();
    chunk.rows[0].root_out = chunk.root_in;
    refused(&chunk, 10);
    let richer = model::Record { view_key: Word::from_u64(1), ..super::case::record() };
    let stop = Case::stop().operation;
    chunk = Case::stop().chunk();
    chunk.rows[0].root_out = root_with(&unchecked(Some(&richer), &stop, at(2_000)));
    refused(&chunk, 10);
}

#[test]
fn c1_11_an_enrolment_makes_a_new_open_record_without_rules() {
    let mut again = Case::on_record(enrolment());
    (again.key, again.operation.nonce) = (registrar(), 0);
    again.refused(11);
    // The prover who shows the record it would make instead of the one that stands.
    let made = unchecked(None, &again.operation, again.t_op);
    assert_eq!(values(&again, |values| values.rows[0].record = made), named(9));
    let case = Case::new(None, enrolment());
    case.accepted();
    let with_rule = values(&case, |values| values.rows[0].record.rules[3] = Some(permit()));
    let other_key = values(&case, |values| values.rows[0].record.key_hash = Word::from_u64(1));
    let nonce = values(&case, |values| values.rows[0].record.nonce = 1);
    let closed = values(&case, |values| values.rows[0].record.closed_at = at(0));
    assert_eq!([with_rule, other_key, nonce, closed], [(); 4].map(|()| named(11)));
}

#[test]
fn c1_12_a_stopped_record_takes_no_operation() {
    for action in [
        Action::Stop,
        write(RuleSlot::Deny(0), permit()),
        Action::Revoke { slot: RuleSlot::Permit(0), rule: permit() },
    ] {
        let mut case = Case::on_record(action);
        case.old.as_mut().expect("a record").closed_at = at(1);
        case.refused(12);
    }
}

#[test]
fn c1_13_the_slot_belongs_to_the_kind() {
    Case::on_record(write(RuleSlot::Permit(9), permit())).refused(13);
    Case::on_record(write(RuleSlot::Deny(4), permit())).refused(13);
    for (action, slot) in [
        (write(RuleSlot::Permit(1), permit()), 8),
        (write(RuleSlot::Deny(0), permit()), 7),
        (write(RuleSlot::Deny(0), permit()), 13),
        (write(RuleSlot::Policy(1), policy()), 11),
    ] {
        let case = Case::on_record(action);
        let mut bytes = case.operation.to_bytes();
        bytes[2] = slot;
        assert_eq!(Operation::from_bytes(&bytes), Err(OperationError::Mismatch));
        let moved = values(&case, |values| values.rows[0].slot = Some(usize::from(slot)));
        assert_eq!(moved, named(13));
    }
    let none = values(&Case::permit(permit()), |values| values.rows[0].slot = None);
    let some = values(&Case::stop(), |values| values.rows[0].slot = Some(3));
    assert_eq!([none, some], [named(13), named(13)]);
}

#[test]
fn c1_14_a_written_rule_has_no_reserved_bit() {
    let words = permit().words();
    let gaps = layout::LANES.map(|lane| lane + Millis::BITS);
    for bit in [51].into_iter().chain(gaps).map(u64::from) {
        let packed = Word::from_limbs(std::array::from_fn(|limb| {
            let own = words[2].limbs()[limb];
            if bit / 64 == limb as u64 { own | 1 << (bit % 64) } else { own }
        }));
        let Some(packed) = packed else { continue };
        let found = Rule::from_words([words[0], words[1], packed]);
        assert_eq!(found, Err(RuleError::ReservedBit { bit: bit as u32 }));
        let case = Case::permit(permit());
        let set = values(&case, |values| values.rows[0].words[2] += two_to(bit));
        assert_eq!(set, named(14), "bit {bit}");
    }
}

#[test]
fn c1_15_a_rule_does_not_begin_before_it_is_written() {
    let case = Case::permit(permit());
    // The root that holds the rule as signed: since before the window.
    let mut as_signed = unchecked(case.old.as_ref(), &case.operation, case.t_op);
    as_signed.rules[1] = Some(permit());
    let mut chunk = case.chunk();
    chunk.rows[0].root_out = root_with(&as_signed);
    refused(&chunk, 10);
    // The prover's bit that says that the signed start is not late.
    let late = bits_of("C1.15")[0];
    let (_, honest) = case.accepted();
    assert_eq!(honest.witness[late], Fr::from(1u8));
    let early = after(honest, |assignment| {
        assignment.witness[late] = Fr::from(0u8);
        assignment.witness[late + 1] = Fr::from(0u8);
    });
    assert_eq!(early, Some("C1.15"));
    // A start in the future stays; at the very time of the operation both are the same.
    for from in [at(1_999), at(2_000), at(2_001), at(90_000)] {
        let rule = Rule { access: Interval { from, until: at(500_000) }, ..permit() };
        Case::permit(rule).accepted();
    }
}

#[test]
fn c1_16_a_stored_window_is_not_empty() {
    let access = |from, until| Rule { access: Interval { from, until }, ..permit() };
    Case::permit(access(before(5), at(2_000))).refused(16);
    Case::permit(access(at(9_000), at(9_000))).refused(16);
    Case::permit(access(before(5), at(2_001))).accepted();
    Case::permit(access(at(9_000), at(9_001))).accepted();
    let data = |from, until| Rule { data: Interval { from, until }, ..permit() };
    Case::permit(data(at(7), at(7))).refused(16);
    Case::permit(data(at(7), at(6))).refused(16);
    Case::permit(data(at(7), at(8))).accepted();
}

#[test]
fn c1_17_a_slot_is_overwritten_only_if_it_ended_before_the_window() {
    Case::on_record(write(RuleSlot::Permit(0), permit())).refused(17);
    Case::on_record(write(RuleSlot::Deny(1), permit())).refused(17);
    Case::on_record(write(RuleSlot::Policy(0), policy())).refused(17);
    Case::on_record(write(RuleSlot::Permit(2), permit())).accepted();
    let mut ended = Case::on_record(write(RuleSlot::Permit(2), permit()));
    let record = ended.old.as_mut().expect("a record");
    record.rules[2] = Some(Rule { access: permit().access.ended_at(at(1)), ..permit() });
    ended.refused(17);
}

#[test]
fn c1_18_break_glass_is_for_policies_alone() {
    let kinds = |kinds: ClaimKinds| Rule { kinds, ..permit() };
    let (access, glass) = (ClaimKind::Access.only(), ClaimKind::BreakGlass.only());
    Case::permit(kinds(glass)).refused(18);
    Case::permit(kinds(access.with(glass))).refused(18);
    for other in [ClaimKind::Access, ClaimKind::Collect] {
        let rule = kinds(other.only().with(glass));
        Case::on_record(write(RuleSlot::Policy(1), rule)).refused(18);
        Case::on_record(write(RuleSlot::Deny(0), rule)).accepted();
    }
    Case::on_record(write(RuleSlot::Policy(1), policy())).accepted();
}

#[test]
fn c1_19_a_written_rule_names_an_actor_and_a_source() {
    let nobody = Party::Named(Word::ZERO);
    Case::permit(Rule { actor: nobody, ..permit() }).refused(19);
    Case::permit(Rule { source: nobody, ..permit() }).refused(19);
}

#[test]
fn c1_20_a_revocation_names_the_rule_that_stands_in_the_slot() {
    let revoke = |slot, rule| Case::on_record(Action::Revoke { slot, rule });
    let slot = RuleSlot::Permit(0);
    revoke(slot, permit()).accepted();
    revoke(slot, Rule { actor: Party::Any, ..permit() }).refused(20);
    revoke(slot, Rule { source: Party::Named(Word::from_u64(5)), ..permit() }).refused(20);
    revoke(slot, policy()).refused(20);
    revoke(RuleSlot::Permit(7), permit()).refused(20);
    // Zeros for words would name an empty slot: no operation says that, and the rows refuse it.
    let empty = values(&revoke(RuleSlot::Permit(7), permit()), |values| {
        values.rows[0].words = [Fr::from(0u8); 3];
    });
    assert_eq!(empty, named(20));
}

#[test]
fn c1_21_a_revocation_ends_a_rule_that_has_not_ended() {
    let revoke = |t_op| {
        let rule = super::case::record().rules[9].expect("a deny");
        let action = Action::Revoke { slot: RuleSlot::Deny(1), rule };
        Case { t_op, ..Case::on_record(action) }
    };
    revoke(at(1_000)).refused(21);
    revoke(at(5_000)).refused(21);
    revoke(at(999)).accepted();
    // A revocation that would prolong the rule.
    let mut chunk = revoke(at(999)).chunk();
    let mut longer = super::case::record();
    longer.nonce += 1;
    longer.rules[9] = Some(permit());
    chunk.rows[0].root_out = root_with(&longer);
    refused(&chunk, 10);
    let (_, honest) = revoke(at(999)).accepted();
    let cell = product_of("C1.21", 0);
    let edited = after(honest, |assignment| assignment.witness[cell] += Fr::from(1u8));
    assert_eq!(edited, Some("C1.21"));
}

#[test]
fn c1_22_a_stop_closes_the_record_when_it_takes_effect() {
    let case = Case::stop();
    for closed_at in [at(1_999), at(2_001), Millis::UNBOUNDED_FUTURE] {
        let mut after = unchecked(case.old.as_ref(), &case.operation, case.t_op);
        after.closed_at = closed_at;
        let mut chunk = case.chunk();
        chunk.rows[0].root_out = root_with(&after);
        refused(&chunk, 10);
    }
    let (_, honest) = case.accepted();
    let cell = product_of("C1.22", 0);
    let edited = after(honest, |assignment| assignment.witness[cell] += Fr::from(1u8));
    assert_eq!(edited, Some("C1.22"));
}

#[test]
fn c1_23_what_no_statement_reads_yet_is_zero() {
    let one = Word::from_u64(1);
    let reserved: [fn(&mut model::Record, Word); 5] = [
        |record, word| record.guardians = word,
        |record, word| record.stop_authority = word,
        |record, word| record.replaced_authority = word,
        |record, word| record.recovery_key = word,
        |record, word| record.recovery_state = word,
    ];
    for set in reserved {
        let mut case = Case::stop();
        set(case.old.as_mut().expect("a record"), one);
        case.refused(23);
    }
    let mut forced = Case::stop();
    forced.old.as_mut().expect("a record").forced_at = at(0);
    forced.refused(23);
}

#[test]
fn c1_24_the_operations_root_is_over_the_rows() {
    let chunk = Case::stop().chunk();
    let mut inputs = claimed(&chunk);
    inputs.operations_root += Fr::from(1u8);
    assert_ne!(check(&chunk), Ok(inputs.clone()));
    assert_eq!(violated(&inputs, &Values::of(&chunk)), named(24));
    let salted = values(&Case::stop(), |values| values.rows[0].op_salt += Fr::from(1u8));
    assert_eq!(salted, named(24));
    let mut crowded = chunk;
    crowded.rows.push(crowded.rows[0].clone());
    assert_eq!(check(&crowded).expect_err("two in one").rule.number, 24);
}

#[test]
fn c1_25_operations_and_enrolments_are_counted() {
    for case in [Case::stop(), Case::new(None, enrolment())] {
        let chunk = case.chunk();
        let counted = claimed(&chunk);
        for (operations, enrolments) in [(1, 0), (0, 1)] {
            let mut inputs = counted.clone();
            inputs.operations = inputs.operations.abs_diff(operations);
            inputs.enrolments = inputs.enrolments.abs_diff(enrolments);
            assert_ne!(check(&chunk), Ok(inputs.clone()));
            assert_eq!(violated(&inputs, &Values::of(&chunk)), named(25));
        }
    }
}

#[test]
fn c1_26_a_row_holds_the_domain() {
    let chunk = Case::stop().chunk();
    let (inputs, honest) = accepted(&chunk);
    let column = inputs.to_field_elements().iter().position(|input| *input == chunk.domain);
    let column = 1 + column.expect("an input");
    let edited = after(honest, |assignment| assignment.instance[column] += Fr::from(1u8));
    assert_eq!(edited, Some("C1.26"));
    let mut other = inputs;
    other.domain += Fr::from(1u8);
    assert_ne!(check(&chunk), Ok(other));
}

#[test]
fn c1_27_the_signer_is_the_owner_and_its_key_in_the_subgroup() {
    Case { key: registrar(), ..Case::stop() }.refused(27);
    Case { key: patient(), ..Case::new(None, enrolment()) }.refused(27);
    Case { key: SecretKey::from_bytes(&[3; 32]), ..Case::stop() }.refused(27);

    let own = patient().public().point();
    let order_two = Point::new_unchecked(Fr::from(0u8), -Fr::from(1u8));
    let mixed = Point::from(own + order_two);
    assert_eq!(PublicKey::new(mixed.x, mixed.y), Err(PointError::OutsideSubgroup));
    let outside = values(&Case::stop(), |values| values.rows[0].signer = mixed);
    assert_eq!(outside, named(27));
    let off = Point::new_unchecked(own.x, own.y + Fr::from(1u8));
    assert_eq!(PublicKey::new(off.x, off.y), Err(PointError::NotOnCurve));
    let outside = values(&Case::stop(), |values| values.rows[0].signer = off);
    assert_eq!(outside, named(27));
}

#[test]
fn a_preview_needs_no_signature_and_says_the_same() {
    let case = Case::permit(permit());
    let context = statement::c1::Context {
        sig_domain: Fr::from(77u8),
        registrar_key_hash: registrar().public().hash(),
        t0: at(0),
        last_time: at(0),
        t_op: case.t_op,
        t1: None,
    };
    let after = effect(case.old.as_ref(), &case.operation, &context).expect("honest");
    assert_eq!(
        record::leaf(&after),
        record::leaf(&unchecked(case.old.as_ref(), &case.operation, case.t_op))
    );
}
