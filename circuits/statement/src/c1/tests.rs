use super::*;
use crate::eddsa::SecretKey;
use crate::tree::Tree;
use model::{Categories, Labels, PatientIndex, Purposes};

const T0: u64 = 4_000_000_000_000;

fn at(offset: u64) -> Millis {
    Millis::new(T0 + offset).expect("44 bits")
}

fn patient() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

fn registrar() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

fn context(t_op: Millis) -> Context {
    Context {
        sig_domain: Fr::from(77u8),
        registrar_key_hash: registrar().public().hash(),
        t0: at(0),
        last_time: at(0),
        t_op,
        t1: None,
    }
}

fn permit() -> Rule {
    Rule {
        actor: Party::Named(Word::from_u64(9)),
        source: Party::Any,
        categories: Categories::ALL,
        purposes: Purposes::ALL,
        kinds: ClaimKind::Access.only(),
        labels: Labels::ALL,
        access: Interval { from: at(0), until: at(1000) },
        data: Interval::ALWAYS,
    }
}

fn operation(nonce: u32, action: Action) -> Operation {
    let patient = PatientIndex::new(12).expect("24 bits");
    Operation { patient, nonce, signed_at: at(5), valid_until: at(500), action }
}

fn signed(nonce: u32, action: Action) -> SignedOperation {
    let enrolment = matches!(action, Action::Enrol { .. });
    let key = if enrolment { registrar() } else { patient() };
    SignedOperation::sign(operation(nonce, action), context(at(1)).sig_domain, &key)
}

fn enrolment() -> Action {
    let key_hash = field::to_word(&patient().public().hash());
    Action::Enrol { key_hash, view_key: Word::from_u64(3), salt: Word::from_u64(4) }
}

fn write(slot: RuleSlot, rule: Rule) -> Action {
    Action::Write { slot, rule }
}

fn enrolled() -> Record {
    apply(None, &signed(0, enrolment()), &context(at(10))).expect("an honest enrolment")
}

fn with_permit() -> Record {
    let write = signed(0, write(RuleSlot::Permit(0), permit()));
    apply(Some(&enrolled()), &write, &context(at(20))).expect("an honest permit")
}

fn refused(record: Option<&Record>, signed: &SignedOperation, context: &Context) -> u8 {
    apply(record, signed, context).expect_err("a broken rule").rule.number
}

#[test]
fn a_permit_starts_when_it_takes_effect_and_a_revocation_ends_it() {
    let record = with_permit();
    let stored = record.rules[0].expect("a rule");
    assert_eq!(stored.access, Interval { from: at(20), until: at(1000) });
    assert_eq!((stored.data, record.nonce), (permit().data, 1));
    let slot = RuleSlot::Permit(0);
    let revocation = signed(1, Action::Revoke { slot, rule: stored });
    let after = apply(Some(&record), &revocation, &context(at(30))).expect("honest");
    let expected = Interval { from: at(20), until: at(30) };
    assert_eq!(after.rules[0].map(|rule| rule.access), Some(expected));
    let signed_rule = signed(1, Action::Revoke { slot, rule: permit() });
    assert_eq!(refused(Some(&record), &signed_rule, &context(at(30))), 20);
}

#[test]
fn a_stop_closes_the_record_for_good() {
    let after = apply(Some(&with_permit()), &signed(1, Action::Stop), &context(at(30)));
    let after = after.expect("honest");
    assert_eq!(after.closed_at, at(30));
    let late = signed(2, write(RuleSlot::Deny(0), permit()));
    assert_eq!(refused(Some(&after), &late, &context(at(40))), 12);
}

#[test]
fn an_ended_slot_is_free_in_the_next_window_only() {
    let record = with_permit();
    let again = signed(1, write(RuleSlot::Permit(0), permit()));
    assert_eq!(refused(Some(&record), &again, &context(at(30))), 17);
    let ended = record.rules[0].map(|rule| Rule { access: rule.access.ended_at(at(25)), ..rule });
    let mut record = record;
    record.rules[0] = ended;
    assert_eq!(refused(Some(&record), &again, &context(at(30))), 17);
    let next = Context { t0: at(25), ..context(at(30)) };
    assert!(apply(Some(&record), &again, &next).is_ok());
}

#[test]
fn times_outside_window_order_or_validity_are_refused() {
    let (record, stop) = (enrolled(), signed(0, Action::Stop));
    let found = |context: Context| refused(Some(&record), &stop, &context);
    assert_eq!(found(Context { last_time: at(10), ..context(at(10)) }), 2);
    assert_eq!(found(Context { t1: Some(at(10)), ..context(at(10)) }), 3);
    assert_eq!(found(context(at(4))), 4);
    assert_eq!(found(context(at(500))), 5);
    assert!(apply(Some(&record), &stop, &context(at(499))).is_ok());
}

#[test]
fn rules_that_may_not_be_written_are_refused() {
    let record = enrolled();
    let found = |slot: RuleSlot, rule: Rule| {
        refused(Some(&record), &signed(0, write(slot, rule)), &context(at(20)))
    };
    let slot = RuleSlot::Permit(0);
    assert_eq!(found(RuleSlot::Permit(8), permit()), 13);
    assert_eq!(
        found(slot, Rule { access: Interval { from: at(0), until: at(20) }, ..permit() }),
        16
    );
    let data = Interval { from: at(7), until: at(7) };
    assert_eq!(found(slot, Rule { data, ..permit() }), 16);
    let kinds = BREAK_GLASS.with(permit().kinds);
    assert_eq!(found(slot, Rule { kinds, ..permit() }), 18);
    assert_eq!(found(RuleSlot::Policy(0), Rule { kinds, ..permit() }), 18);
    let nobody = Party::Named(Word::ZERO);
    assert_eq!(found(slot, Rule { actor: nobody, ..permit() }), 19);
    assert_eq!(found(slot, Rule { source: nobody, ..permit() }), 19);
}

#[test]
fn an_enrolment_needs_an_empty_leaf_and_everything_else_a_record() {
    let again = signed(0, enrolment());
    assert_eq!(refused(Some(&enrolled()), &again, &context(at(20))), 11);
    assert_eq!(refused(None, &signed(0, Action::Stop), &context(at(20))), 9);
    assert_eq!(refused(None, &signed(1, enrolment()), &context(at(20))), 6);
    assert_eq!(refused(Some(&enrolled()), &signed(1, Action::Stop), &context(at(20))), 6);
    let guarded = Record { guardians: Word::from_u64(1), ..enrolled() };
    assert_eq!(refused(Some(&guarded), &signed(0, Action::Stop), &context(at(20))), 23);
}

#[test]
fn only_the_owner_of_the_key_may_sign_and_the_text_names_no_key() {
    let stop = operation(0, Action::Stop);
    let scope = context(at(20)).sig_domain;
    let foreign = SignedOperation::sign(stop.clone(), scope, &registrar());
    assert_eq!(refused(Some(&enrolled()), &foreign, &context(at(20))), 27);
    let other_scope = SignedOperation::sign(stop, Fr::from(78u8), &patient());
    let error = apply(Some(&enrolled()), &other_scope, &context(at(20))).expect_err("C1.7");
    assert_eq!(error.code(), RejectCode::Signature);
    let text = "C1.7: expected a signature of this operation, found one that does not verify";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_chunk_chains_roots_and_times_and_counts_its_rows() {
    let mut tree = Tree::new();
    let window = Window::new(at(0), at(1000)).expect("a window");
    let (root_in, mut rows, mut old) = (tree.root(), vec![], None);
    let actions = [(0, enrolment()), (0, write(RuleSlot::Permit(0), permit()))];
    for (row, (nonce, action)) in actions.into_iter().enumerate() {
        let t_op = at(10 * (row as u64 + 1));
        let signed = signed(nonce, action);
        let after = apply(old.as_ref(), &signed, &context(t_op)).expect("honest");
        let op_salt = operation::salt(&after.view_key, Fr::from(1u8), tree.root(), row as u32);
        let path = tree.path(12);
        tree.set(12, record::leaf(&after));
        rows.push(Row { signed, t_op, old, path, root_out: tree.root(), op_salt });
        old = Some(after);
    }
    let context = context(at(0));
    let mut chunk = Chunk {
        root_in,
        time_in: at(0),
        window,
        domain: Fr::from(1u8),
        sig_domain: context.sig_domain,
        registrar_key_hash: context.registrar_key_hash,
        capacity: 4,
        rows,
    };
    let inputs = check(&chunk).expect("an honest chunk");
    assert_eq!((inputs.root_out, inputs.time_out), (tree.root(), at(20)));
    assert_eq!((inputs.operations, inputs.enrolments), (2, 1));
    chunk.rows[1].root_out += Fr::from(1u8);
    let error = check(&chunk).expect_err("another root");
    assert_eq!((error.rule, error.row), (RuleNumber::c1(10), Some(1)));
    chunk.rows[1].path = tree.path(12);
    let error = check(&chunk).expect_err("a stale path");
    assert_eq!((error.rule, error.row), (RuleNumber::c1(9), Some(1)));
}
