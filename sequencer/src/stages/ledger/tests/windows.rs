//! Windows that end by the clock.

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
