//! A ledger whose clocks are apart.

use std::sync::Arc;

use model::{Action, Millis, RejectCode, RuleNumber, RuleSlot, limits};
use statement::operation::SignedOperation;

use super::super::gate::{Gate, Open};
use super::super::surroundings::Surroundings;
use super::{Answer, T0, Ward, at, check_provable, collect_rule, patient, patient_key, registrar};

/// Clocks that are apart: an operation may be stamped as late as its signature says, and what ends
/// is judged by another time than what begins.
struct Apart {
    stamp_max: Millis,
    latest: Millis,
}

impl Gate for Apart {
    fn look(&self) -> Surroundings {
        Surroundings { stamp_max: self.stamp_max, latest: self.latest, ..Open.look() }
    }

    fn written(&self, _: usize) {}
}

#[test]
fn an_operation_stamped_beyond_the_longest_window_closes_the_windows_before_it() {
    let mut ward = Ward::open();
    ward.next_frame();
    let gate = Apart { stamp_max: Millis::UNBOUNDED_FUTURE, latest: Millis::UNBOUNDED_PAST };
    ward.admission = ward.admission.with_gate(Arc::new(gate));
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
    let mut ward = Ward::open();
    let valid_until = ward.now + 60_000;
    let gate = Apart { stamp_max: Millis::UNBOUNDED_PAST, latest: at(valid_until + 1_000) };
    ward.admission = ward.admission.with_gate(Arc::new(gate));
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
