//! Operations: journaled once their row is evaluated, refused alike or with evidence.

use super::*;

#[test]
fn every_kind_of_operation_is_journaled_once_its_row_is_evaluated() {
    let mut ward = Ward::open();
    let (deny, policy) = (RuleSlot::Deny(0), RuleSlot::Policy(0));
    let glass = rule(scope::practitioner(&doctor()), ClaimKind::BreakGlass);
    let access = rule(scope::practitioner(&doctor()), ClaimKind::Access);
    for (slot, rule) in [(deny, access), (policy, glass)] {
        let answer = ward.operate(Action::Write { slot, rule }, &patient_key());
        assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    }
    for slot in [RuleSlot::Permit(0), deny, policy] {
        let rule = ward.on_record(slot);
        let answer = ward.operate(Action::Revoke { slot, rule }, &patient_key());
        assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    }
    let answer = ward.operate(Action::Stop, &patient_key());
    assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    let window = ward.close();
    check_provable(&ward, &window);
    assert_eq!(window.contents.operations.len(), 9, "with enrolment and two permits");
}

#[test]
fn an_operation_goes_round_until_the_row_of_its_record_is_evaluated() {
    let mut ward = Ward::open();
    let requester = Holder([1; 32]);
    let stop = ward.signed(Action::Stop, &patient_key());
    let permit = Action::Write { slot: RuleSlot::Permit(2), rule: collect_rule() };
    let entries = ward.log.head().position;
    let asked = Item::Operation { requester, operation: stop.clone() };
    let Answer::Unevaluated(row) = ward.submit(asked) else { panic!("the rules hold") };
    let row = row.evaluate(&CircuitRows).unwrap();
    // Of other bytes, as if it were not there.
    let operation = ward.signed(permit.clone(), &patient_key());
    let other = Item::Evaluated { requester, operation, row: Box::new(row.clone()) };
    assert!(matches!(ward.submit(other), Answer::Unevaluated(_)));
    assert_eq!(ward.log.head().position, entries, "nothing is journaled meanwhile");
    // The record moves: the rules are asked again, and here they say no.
    assert!(matches!(ward.operate(permit, &patient_key()), Answer::OperationApplied { .. }));
    let late = Item::Evaluated { requester, operation: stop, row: Box::new(row) };
    let Answer::Refused(refused) = ward.submit(late) else { panic!("expected a refusal") };
    assert_eq!((refused.code, refused.rule), (RejectCode::Nonce, Some(RuleNumber::c1(6))));
    // An access moves no record: what was evaluated before it still is.
    let stop = ward.signed(Action::Stop, &patient_key());
    let asked = Item::Operation { requester, operation: stop.clone() };
    let Answer::Unevaluated(row) = ward.submit(asked) else { panic!("the rules hold") };
    let row = Box::new(row.evaluate(&CircuitRows).unwrap());
    ward.next_frame();
    let stopped = ward.submit(Item::Evaluated { requester, operation: stop, row });
    assert!(matches!(stopped, Answer::OperationApplied { .. }), "{stopped:?}");
    let window = ward.close();
    check_provable(&ward, &window);
}

#[test]
fn a_stop_ends_streams_and_accesses() {
    let mut ward = Ward::open();
    ward.next_frame();
    ward.operate(Action::Stop, &patient_key());
    assert!(matches!(ward.next_frame(), Answer::Refused(_)));
    let Answer::AccessDecided { decision, .. } = ward.request(1, &practitioner_key()) else {
        panic!("expected a decision")
    };
    assert_eq!(decision, Err(Uncovered::Closed));
    let window = ward.close();
    check_provable(&ward, &window);
}

#[test]
fn a_deny_in_mid_window_leaves_earlier_claims_provable() {
    let mut ward = Ward::open();
    ward.next_frame();
    assert!(matches!(
        ward.request(1, &practitioner_key()),
        Answer::AccessDecided { decision: Ok(_), .. }
    ));
    let deny = rule(scope::practitioner(&doctor()), ClaimKind::Access);
    let action = Action::Write { slot: RuleSlot::Deny(0), rule: deny };
    ward.operate(action, &patient_key());
    let Answer::AccessDecided { decision, .. } = ward.request(2, &practitioner_key()) else {
        panic!("expected a decision")
    };
    assert_eq!(decision, Err(Uncovered::Denied(RuleSlot::Deny(0))));
    let window = ward.close();
    let plan = check_provable(&ward, &window);
    assert_eq!(plan.claims[0].1.access, 1);
    assert_eq!(plan.claims[0].1.excluded, 0);
}

#[test]
fn an_operation_of_a_stranger_and_one_for_nobody_are_refused_alike_and_leave_nothing() {
    let mut ward = Ward::open();
    let before = ward.log.head();
    let Answer::Refused(stranger) = ward.operate(Action::Stop, &registrar()) else {
        panic!("expected a refusal")
    };
    assert_eq!((stranger.code, stranger.position), (RejectCode::Signature, None));
    assert_eq!(stranger.rule, Some(RuleNumber::c1(27)));
    let nobody = PatientIndex::new(99).unwrap();
    let signed = ward.sign_for(nobody, Action::Stop, &patient_key());
    let signed = wire::SignedOperation::new(signed.to_bytes().to_vec()).unwrap();
    let Answer::Refused(unknown) = ward.submit_signed(signed) else { panic!("taken") };
    assert_eq!(unknown, stranger, "who is enrolled is nobody's to find out");
    assert_eq!(ward.log.head(), before);
}

#[test]
fn an_operation_that_its_owner_signed_and_a_rule_refuses_is_kept_as_evidence() {
    let mut ward = Ward::open();
    // Nonce 2 is spent.
    ward.nonce = 1;
    let Answer::Refused(refused) = ward.operate(Action::Stop, &patient_key()) else {
        panic!("expected a refusal")
    };
    assert_eq!((refused.code, refused.rule), (RejectCode::Nonce, Some(RuleNumber::c1(6))));
    assert!(matches!(ward.entry(refused.position.unwrap()), Entry::Refusal(_)));
    let Answer::Refused(again) = ward.operate(Action::Stop, &patient_key()) else {
        panic!("expected a refusal")
    };
    assert_eq!((again.code, again.position), (RejectCode::Nonce, None), "counted");
    assert!(matches!(ward.submit(Item::CountRefusals), Answer::Counted));
    let Entry::RefusalCount(counted) = ward.entry(Position(ward.log.head().position)) else {
        panic!("expected a count")
    };
    assert_eq!(
        (counted.patient, counted.what, counted.count),
        (patient(), RefusedKind::Operation, 1)
    );
    assert_eq!(counted.reason, RefusalReason::Operation(RuleNumber::c1(6)));
}
