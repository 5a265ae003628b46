//! Windows that end by the clock.

use std::mem;

use journal::Place;
use model::BatchNumber;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::stages::ledger::decide::ENTRIES_SLACK;
use crate::window::WindowTerms;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

impl Ward {
    /// Windows that were closed and not taken yet.
    fn take_closed(&self) -> Vec<ClosedWindow> {
        mem::take(&mut self.delivered.0.lock().unwrap().1)
    }

    /// The next frame, in a group so many groups and positions beyond the next one: as many were
    /// appended by then.
    fn frame_beyond(&mut self, groups: u64, positions: u64) -> Answer {
        let (head, item) = (self.log.head(), self.frame_item(self.sequence + 1));
        self.sequence += 1;
        let place = Place { group: head.group + groups, position: head.position + positions };
        let mut group = self.log.builder_beyond(self.now, place).unwrap();
        let answer = self.admission.admit(self.now, item, &mut group);
        let committed = self.log.append_built(group).unwrap();
        self.admission.committed(&committed);
        answer
    }

    /// The timer's look; the windows that it closed.
    fn look(&mut self) -> Vec<ClosedWindow> {
        assert!(matches!(self.submit(Item::CloseDue), Answer::Closed));
        self.take_closed()
    }
}

#[test]
fn a_clock_that_jumps_days_closes_windows_within_their_limit() {
    let mut ward = Ward::open();
    ward.next_frame();
    ward.now += 3 * limits::WINDOW_MS_MAX;
    ward.next_frame();
    let windows = ward.take_closed();
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

#[test]
fn a_window_is_closed_by_hand_only_if_it_is_the_one_that_is_meant() {
    let mut ward = Ward::open();
    let close = |ward: &mut Ward, which| {
        assert!(matches!(ward.submit(Item::CloseWindow(which)), Answer::Closed));
        ward.take_closed().iter().map(|closed| closed.contents.number.0).collect::<Vec<_>>()
    };
    // The enrolment is in it; whoever saw it open and comes late closes no other.
    assert_eq!(close(&mut ward, ToClose::Numbered(BatchNumber(1))), [1]);
    assert!(close(&mut ward, ToClose::Numbered(BatchNumber(1))).is_empty());
    assert!(close(&mut ward, ToClose::NotEmpty).is_empty());
    ward.next_frame();
    assert_eq!(close(&mut ward, ToClose::NotEmpty), [2]);
    assert!(close(&mut ward, ToClose::NotEmpty).is_empty());
    assert_eq!(close(&mut ward, ToClose::Numbered(BatchNumber(3))), [3], "although it is empty");
}

#[test]
fn withdrawals_wait_for_the_chain_by_the_window_that_they_took_effect_in() {
    let mut ward = Ward::open();
    let (view, waiting) = (ward.admission.view(), |ward: &Ward, settled| {
        ward.admission.view().withdrawals_after(BatchNumber(settled))
    });
    ward.close();
    assert_eq!(waiting(&ward, 0), 0, "to enrol and to permit takes nothing away");
    let stop = ward.sign_for(patient(), Action::Stop, &patient_key()).to_bytes();
    ward.submit_signed(wire::SignedOperation::new(stop.to_vec()).unwrap());
    assert_eq!([0, 1, 2].map(|settled| waiting(&ward, settled)), [1, 1, 0]);
    ward.close();
    assert_eq!([1, 2].map(|settled| waiting(&ward, settled)), [1, 0]);
    // The chain took its block back.
    assert_eq!(waiting(&ward, 1), 1);
    view.note_earlier(BatchNumber(1), 3);
    assert_eq!(waiting(&ward, 0), 4);
}

#[test]
fn terms_that_are_set_leave_the_open_window_alone_and_hold_for_the_next() {
    let mut ward = Ward::open();
    let next = ward.admission.next_terms();
    let t0 = ward.close().contents.window.t1();
    ward.next_frame();
    let open = ward.admission.view().status();
    assert_eq!(open.due, t0.plus(MINUTE_MS));
    let cadence = Cadence::new(5 * MINUTE_MS, HOUR_MS);
    next.set(WindowTerms { cadence, limits: WindowLimits { claims_max: 2, ..open.terms.limits } });
    ward.next_frame();
    assert_eq!(ward.admission.view().status(), open, "it ends as it was begun");
    let t0 = ward.close().contents.window.t1();
    ward.next_frame();
    let open = ward.admission.view().status();
    assert_eq!((open.due, open.terms.cadence), (t0.plus(5 * MINUTE_MS), cadence));
    assert_eq!((open.terms.limits.claims_max, next.take()), (2, None), "taken once");
    // By the clock at its new age, and no window in between.
    ward.now = t0.get() + 4 * MINUTE_MS;
    assert!(ward.look().is_empty());
    ward.now = t0.get() + 5 * MINUTE_MS;
    let [window] = &ward.look()[..] else { panic!("expected one window") };
    check_provable(&ward, window);
}

#[test]
fn a_window_in_which_nothing_happens_stays_open_and_ends_with_the_next_thing_at_its_boundary() {
    let mut ward = Ward::open();
    let t0 = ward.close().contents.window.t1();
    for minute in 1..=10 {
        ward.now = t0.get() + minute * MINUTE_MS;
        assert!(ward.look().is_empty(), "minute {minute}");
    }
    ward.now = t0.get() + 10 * MINUTE_MS + 30_000;
    ward.next_frame();
    assert_eq!(ward.admission.view().status().due, t0.plus(11 * MINUTE_MS));
    ward.now = t0.get() + 11 * MINUTE_MS - 2;
    assert!(ward.look().is_empty(), "not before");
    let closed = ward.look();
    let [window] = &closed[..] else { panic!("expected one window, found {closed:?}") };
    assert_eq!(window.contents.window.t0(), t0, "the idle time is in it");
    assert_eq!(window.contents.window.t1(), t0.plus(11 * MINUTE_MS));
    let plan = check_provable(&ward, window);
    assert_eq!(plan.claims[0].1.collect, 1);
    // What nobody comes to for an hour ends all the same.
    let t0 = t0.plus(11 * MINUTE_MS);
    ward.now = t0.get() + HOUR_MS - 2;
    assert!(ward.look().is_empty());
    let closed = ward.look();
    assert_eq!(closed.len(), 1);
    assert!(closed[0].contents.claims.is_empty() && closed[0].contents.operations.is_empty());
}

#[test]
fn each_frame_is_in_one_window_however_time_goes_by_and_none_is_too_long_or_closed_for_nothing() {
    let (mut ward, mut random) = (Ward::open(), StdRng::seed_from_u64(3));
    let (mut stored, mut closed) = (vec![], vec![ward.close()]);
    for _ in 0..400 {
        ward.now += match random.gen_range(0..20) {
            0 => random.gen_range(0..3 * HOUR_MS),
            1..8 => random.gen_range(0..2 * MINUTE_MS),
            _ => 100,
        };
        if random.gen_bool(0.2) {
            assert!(matches!(ward.next_frame(), Answer::FrameStored));
            stored.push((ward.log.head().position, at(ward.now)));
        } else {
            closed.extend(ward.look());
        }
    }
    ward.now += HOUR_MS;
    closed.extend(ward.look());
    for window in &closed {
        check_provable(&ward, window);
    }
    for (position, time) in &stored {
        let held = closed.iter().filter(|window| {
            let contents = &window.contents;
            (contents.position_in.0..contents.position_out.0).contains(position)
                && (contents.window.t0()..contents.window.t1()).contains(time)
                && !contents.claims.is_empty()
        });
        assert_eq!(held.count(), 1, "position {position}");
    }
    let all = closed.iter().map(|window| window.contents.claims.is_empty());
    assert!(all.clone().any(|empty| empty) && !all.clone().all(|empty| empty));
    for (before, window) in closed.iter().zip(&closed[1..]) {
        let (contents, span) = (&window.contents, window.contents.window);
        assert_eq!(before.contents.window.t1(), span.t0(), "windows abut");
        let is_idle = span.t1().since(span.t0()) >= HOUR_MS;
        assert!(!contents.claims.is_empty() || is_idle, "{span:?} was closed for nothing");
    }
}

/// A permit of the doctor that ends so long from now.
fn permit_for(ward: &mut Ward, slot: u8, ms: u64) {
    let mut rule = rule(scope::practitioner(&doctor()), ClaimKind::Access);
    rule.access.until = at(ward.now + ms);
    ward.permit(slot, rule);
}

#[test]
fn a_slot_whose_rule_ended_while_nothing_happened_is_free_at_once() {
    let mut ward = Ward::open();
    permit_for(&mut ward, 2, 5 * MINUTE_MS);
    ward.close();
    // The same window holds the end and the next operation, and nothing else.
    ward.now += 10 * MINUTE_MS;
    permit_for(&mut ward, 2, 5 * MINUTE_MS);
    let closed = ward.take_closed();
    let [idle] = &closed[..] else { panic!("expected one window, found {closed:?}") };
    assert!(idle.contents.operations.is_empty());
    let window = ward.close();
    assert_eq!(window.contents.operations.len(), 1);
    check_provable(&ward, &window);

    // A rule that ended in a window with claims may have covered one of them.
    ward.now += 5 * MINUTE_MS;
    ward.next_frame();
    let mut rule = rule(scope::practitioner(&doctor()), ClaimKind::Access);
    rule.access.until = at(ward.now + 10 * MINUTE_MS);
    let again = Action::Write { slot: RuleSlot::Permit(2), rule };
    let Answer::Refused(refused) = ward.operate(again.clone(), &patient_key()) else {
        panic!("expected a refusal")
    };
    assert_eq!(refused.rule, Some(RuleNumber::c1(17)));
    ward.close();
    assert!(matches!(ward.operate(again.clone(), &patient_key()), Answer::OperationApplied { .. }));
    // One that has not ended closes nothing: whoever asks does not make the node settle.
    ward.close();
    ward.now += 5 * MINUTE_MS;
    assert!(matches!(ward.operate(again, &patient_key()), Answer::Refused(_)));
    assert!(ward.take_closed().is_empty());
}

/// Frames until a window closes by itself, the first one so far beyond; that window, and how many
/// came behind the first one.
fn frames_until_closed(ward: &mut Ward, groups: u64, positions: u64) -> (ClosedWindow, u64) {
    let answer = ward.frame_beyond(groups, positions);
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    for frames in 1..1_000 {
        if let Some(window) = ward.take_closed().pop() {
            return (window, frames - 1);
        }
        let answer = ward.next_frame();
        assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    }
    panic!("expected a window that closes by itself");
}

/// Closes the window behind it, and checks that both can be proven and abut.
fn check_both(ward: &mut Ward, window: &ClosedWindow) {
    let next = ward.close();
    check_provable(ward, window);
    check_provable(ward, &next);
    let (one, other) = (&window.contents, &next.contents);
    assert_eq!(one.position_out, other.position_in);
    assert_eq!(one.window.t1(), other.window.t0());
    assert_eq!(one.claims.len() + other.claims.len(), 2, "each has the frames of its time");
}

#[test]
fn a_window_of_nearly_2_to_the_28_entries_closes_before_the_next_one_and_settles() {
    let mut ward = Ward::open();
    let begin = ward.close().contents.position_out.0;
    let most = limits::BATCH_ENTRIES_MAX - ENTRIES_SLACK;
    // The first of them stands a few entries before the last that is taken into the window.
    let beyond = most - 6 - (ward.log.head().position - begin);
    let (window, frames) = frames_until_closed(&mut ward, 2, beyond);
    let taken = window.contents.position_out.0 - begin;
    assert!(taken <= most + 1 && taken < limits::BATCH_ENTRIES_MAX, "{taken} entries");
    assert_eq!(frames, 6, "no entry earlier than it must");
    check_both(&mut ward, &window);
}

#[test]
fn a_window_of_a_million_groups_closes_before_the_next_one_and_settles() {
    let mut ward = Ward::open();
    ward.close();
    let begin = ward.log.head().group;
    let (window, frames) = frames_until_closed(&mut ward, limits::WINDOW_GROUPS_MAX - 6, 2);
    assert_eq!(window.group, begin + limits::WINDOW_GROUPS_MAX);
    assert_eq!(frames, 6, "no group earlier than it must");
    check_both(&mut ward, &window);
}
