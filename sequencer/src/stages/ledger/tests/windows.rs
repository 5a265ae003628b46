//! Windows that end by the clock, and clocks that are apart.

use super::*;

#[test]
fn a_clock_that_jumps_days_closes_windows_within_their_limit() {
    let mut ward = Ward::open();
    ward.next_frame();
    ward.now += 3 * limits::WINDOW_MS_MAX;
    ward.next_frame();
    let windows = std::mem::take(&mut ward.delivered.0.lock().unwrap().1);
    assert_eq!(windows.len(), 3);
    let mut t0 = at(T0);
    for window in &windows {
        assert_eq!(window.contents.window.t0(), t0, "windows abut");
        t0 = window.contents.window.t1();
        check_provable(&ward, window);
    }
    let last = ward.close();
    check_provable(&ward, &last);
    assert_eq!(last.contents.window.t0(), t0);
}

/// Clocks that are apart: an operation may be stamped as late as its signature says.
struct Apart;

impl Gate for Apart {
    fn look(&self) -> Surroundings {
        Surroundings { stamp_max: Millis::UNBOUNDED_FUTURE, ..Open.look() }
    }

    fn written(&self, _: usize) {}
}

#[test]
fn an_operation_stamped_beyond_the_longest_window_waits_for_the_clock() {
    let mut ward = Ward::open();
    let admission = ward.admission;
    ward.admission = admission.with_gate(Arc::new(Apart));
    ward.now += limits::WINDOW_MS_MAX;
    let stop = ward.sign_for(patient(), Action::Stop, &patient_key());
    ward.now -= limits::WINDOW_MS_MAX;
    let stop = wire::SignedOperation::new(stop.to_bytes().to_vec()).unwrap();
    let Answer::Refused(refusal) = ward.submit_signed(stop.clone()) else { panic!("taken") };
    assert_eq!((refusal.code, refusal.position), (RejectCode::Unavailable, None));
    ward.now += limits::WINDOW_MS_MAX;
    let answer = ward.submit_signed(stop);
    assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    let last = ward.close();
    let windows = std::mem::take(&mut ward.delivered.0.lock().unwrap().1);
    windows.iter().chain([&last]).for_each(|window| drop(check_provable(&ward, window)));
}
