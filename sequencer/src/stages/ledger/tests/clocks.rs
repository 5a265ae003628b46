//! A ledger whose clocks are apart, or whose disk has no room.

use std::sync::Arc;

use model::{Action, Millis, RejectCode, RuleNumber, RuleSlot, Sequence, limits};
use statement::operation::SignedOperation;
use wire::{Page, RegistryChange, RegistryKey};

use super::super::gate::{Gate, Open};
use super::super::surroundings::Surroundings;
use super::pages::emergency;
use super::{
    Answer, Item, T0, Ward, at, check_provable, collect_rule, device, patient, patient_key,
    practitioner_key, registrar,
};
use crate::clock::Disagreement;

const DAY_MS: u64 = 86_400_000;

/// Clocks that are apart, or a disk without room: for the whole test it stands like this.
struct Fixed(Surroundings);

impl Gate for Fixed {
    fn look(&self) -> Surroundings {
        self.0
    }

    fn written(&self, _: usize) {}
}

fn among(mut ward: Ward, around: Surroundings) -> Ward {
    ward.admission = ward.admission.with_gate(Arc::new(Fixed(around)));
    ward
}

/// A wall clock that is this far ahead, and that nobody believes.
fn doubted(ward: &Ward, ahead_ms: u64) -> Surroundings {
    let (unset, wall) = (at(ward.now), at(ward.now + ahead_ms));
    let distance_ms = ahead_ms as i64;
    let disagreement = Disagreement { wall, unset, distance_ms, believed_in_ms: 300_000 };
    Surroundings { latest: wall, disagreement: Some(disagreement), ..Open.look() }
}

/// The code of an answer that must be a refusal without an entry.
fn code_of(answer: Answer) -> RejectCode {
    let Answer::Refused(refusal) = answer else { panic!("taken: {answer:?}") };
    assert_eq!(refusal.position, None, "{}", refusal.detail);
    refusal.code
}

#[test]
fn a_known_stream_whose_device_ends_before_a_clock_that_nobody_believes_is_not_refused_for_good() {
    let ahead_ms = 40 * DAY_MS;
    for (ends_in_ms, code) in [(50 * DAY_MS, None), (30 * DAY_MS, Some(RejectCode::Unavailable))] {
        let mut ward = Ward::open();
        ward.open_epoch(0);
        ward.next_frame();
        let end = RegistryChange::End {
            key: RegistryKey::Device(device()),
            at: at(ward.now + ends_in_ms),
        };
        ward.submit(Item::Registry(end));
        let around = doubted(&ward, ahead_ms);
        let believed = Surroundings { disagreement: None, ..around };
        let mut ward = among(ward, around);
        match (ward.open_epoch(0), code) {
            (Answer::StreamOpened { next }, None) => assert_eq!(next, Sequence(2)),
            (answer, code) => assert_eq!(Some(code_of(answer)), code),
        }
        // Believed, the same clock ends the device's streams.
        let mut ward = among(ward, believed);
        let expected = code.map(|_| RejectCode::Stream);
        match ward.open_epoch(0) {
            Answer::StreamOpened { .. } => assert_eq!(expected, None),
            answer => assert_eq!(Some(code_of(answer)), expected),
        }
    }
}

#[test]
fn a_frame_that_is_stored_is_a_repetition_while_nothing_new_is_taken() {
    let full = |_: &Ward| Surroundings { has_room: false, ..Open.look() };
    let apart = |ward: &Ward| doubted(ward, 600_000);
    let drained = |_: &Ward| Surroundings { draining: true, ..Open.look() };
    let shortages: [fn(&Ward) -> Surroundings; 3] = [full, apart, drained];
    for shortage in shortages {
        let mut ward = Ward::open();
        ward.next_frame();
        let around = shortage(&ward);
        let mut ward = among(ward, around);
        let again = ward.frame(1);
        assert!(matches!(again, Answer::FrameDuplicate { .. }), "{again:?}");
        assert_eq!(code_of(ward.frame(2)), RejectCode::Unavailable);
        assert_eq!(code_of(ward.open_epoch(1)), RejectCode::Unavailable);
    }
}

#[test]
fn a_node_that_is_drained_takes_what_takes_rights_away_and_nothing_that_gives_any() {
    let mut ward = among(Ward::open(), Surroundings { draining: true, ..Open.look() });
    let wire = |bytes: &[u8]| wire::SignedOperation::new(bytes.to_vec()).unwrap();
    let write = Action::Write { slot: RuleSlot::Permit(1), rule: collect_rule() };
    let permit = ward.sign_for(patient(), write, &patient_key()).to_bytes();
    assert_eq!(code_of(ward.submit_signed(wire(&permit))), RejectCode::Unavailable);
    // What is none is told so, as ever.
    assert_eq!(code_of(ward.submit_signed(wire(&[7; 300]))), RejectCode::Malformed);
    let stop = ward.sign_for(patient(), Action::Stop, &patient_key()).to_bytes();
    let taken = ward.submit_signed(wire(&stop));
    assert!(matches!(taken, Answer::OperationApplied { .. }), "{taken:?}");
}

#[test]
fn a_node_that_is_drained_answers_whoever_breaks_the_glass_and_no_other_reader() {
    let mut ward = Ward::open();
    let glass = emergency(&mut ward);
    let ordinary = ward.signed_request(patient(), 2, &practitioner_key());
    let mut ward = among(ward, Surroundings { draining: true, ..Open.look() });
    assert_eq!(code_of(ward.ask(ordinary, Page::FIRST)), RejectCode::Unavailable);
    let answer = ward.ask(glass, Page::FIRST);
    assert!(matches!(answer, Answer::AccessDecided { decision: Ok(_), .. }), "{answer:?}");
}

#[test]
fn an_operation_stamped_beyond_the_longest_window_closes_the_windows_before_it() {
    let mut ward = Ward::open();
    ward.next_frame();
    let mut ward = among(ward, Surroundings { stamp_max: Millis::UNBOUNDED_FUTURE, ..Open.look() });
    let ahead_ms = 2 * limits::WINDOW_MS_MAX + 5;
    ward.now += ahead_ms;
    let signed_at = at(ward.now);
    let signed =
        |signed: SignedOperation| wire::SignedOperation::new(signed.to_bytes().to_vec()).unwrap();
    let stop = signed(ward.sign_for(patient(), Action::Stop, &patient_key()));
    let forged = signed(ward.sign_for(patient(), Action::Stop, &registrar()));
    ward.now -= ahead_ms;
    // Whose signature is not the patient's moves nothing.
    let Answer::Refused(refusal) = ward.submit_signed(forged) else { panic!("taken") };
    assert_eq!(refusal.code, RejectCode::Signature);
    assert!(ward.delivered.0.lock().unwrap().1.is_empty());
    let answer = ward.submit_signed(stop);
    let Answer::OperationApplied { t_op, .. } = answer else { panic!("{answer:?}") };
    assert!(t_op >= signed_at && t_op <= signed_at.plus(5), "{t_op:?}");
    let windows = std::mem::take(&mut ward.delivered.0.lock().unwrap().1);
    assert_eq!(windows.len(), 2, "of the longest span; what is left is open");
    let last = ward.close();
    let mut t0 = at(T0);
    for window in windows.iter().chain([&last]) {
        assert_eq!(window.contents.window.t0(), t0, "windows abut");
        t0 = window.contents.window.t1();
        check_provable(&ward, window);
    }
}

#[test]
fn a_signature_that_may_have_ended_gives_no_rights_and_takes_them_away() {
    let ward = Ward::open();
    let latest = at(ward.now + 61_000);
    let mut ward = among(ward, Surroundings { latest, ..Open.look() });
    let rule = collect_rule();
    for (slot, taken) in [(RuleSlot::Permit(1), false), (RuleSlot::Deny(1), true)] {
        let write = Action::Write { slot, rule };
        let answer = ward.operate(write, &patient_key());
        match answer {
            Answer::OperationApplied { .. } => assert!(taken, "{slot:?}"),
            Answer::Refused(refusal) => {
                assert!(!taken, "{}", refusal.detail);
                assert_eq!(refusal.rule, Some(RuleNumber::c1(5)));
            }
            answer => panic!("{answer:?}"),
        }
    }
}
