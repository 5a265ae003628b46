//! A node whose clock is set, whose machine sleeps, whose disk fills up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Action, Clock as _, Interval, Millis, RejectCode, RuleSlot, SystemClock, calendar};

use super::get;
use super::support::{Site, close_and_settle, operation_item};
use crate::clock::tests::TwoClocks;
use crate::disk::tests::FakeDisk;
use crate::node::*;
use crate::stages::ledger::{Answer, Refusal};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Looks of the node's watch that a test waits for at most; more than a busy machine needs.
const LOOKS_MAX: usize = 600;

async fn site() -> (Site, Arc<TwoClocks>) {
    let clocks = TwoClocks::at(SystemClock.now());
    let site = Site::with_clock(clocks.clone()).await;
    (site, clocks)
}

/// The refusal of an item, which must be one.
async fn refusal(node: &Node, item: Item) -> Refusal {
    match node.submit(item).await {
        Err(NodeError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

async fn check_unavailable(node: &Node, item: Item) -> String {
    let refusal = refusal(node, item).await;
    assert_eq!(refusal.code, RejectCode::Unavailable, "{}", refusal.detail);
    assert_eq!(refusal.position, None, "it becomes no entry");
    refusal.detail
}

/// Waits until an answer of the node's HTTP holds a text.
pub(super) async fn wait_for(node: &Node, path: &str, text: &str) {
    let mut answer = String::new();
    for _ in 0..LOOKS_MAX {
        answer = get(node, path).await.unwrap();
        if answer.contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("expected {path} to hold {text}, found {answer}");
}

/// Lets time go by until a frame is taken.
async fn wait_until_stored(node: &Node, site: &Site, sequence: u64, pass: impl Fn()) {
    for _ in 0..LOOKS_MAX {
        match node.submit(site.frame(sequence)).await {
            Ok(answer) => return assert!(matches!(answer, Answer::FrameStored), "{answer:?}"),
            Err(NodeError::Refused(refusal)) => {
                assert_eq!(refusal.code, RejectCode::Unavailable, "{}", refusal.detail);
            }
            Err(error) => panic!("{error}"),
        }
        pass();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    panic!("expected frame {sequence} to be taken at last");
}

/// The last entry's time is not ahead of the clock, but for operations a millisecond apart.
fn check_not_ahead(node: &Node, now: Millis) {
    let ahead_ms = node.core.view.last_time().since(now);
    assert!(ahead_ms < 100, "expected a journal that is not ahead, found {ahead_ms} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_ten_minutes_ahead_for_two_seconds_stops_frames_and_nothing_else() {
    let (mut site, clocks) = site().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    // Signed by a wallet whose clock is right.
    let revocation = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    let before = clocks.now();

    clocks.set_by(10 * MINUTE_MS);
    let detail = check_unavailable(&node, site.frame(2)).await;
    assert!(detail.contains("600 s apart"), "{detail}");
    wait_for(&node, "/readyz", r#"{"detail":{"distance_ms":600000},"error":"clock-disagrees"}"#)
        .await;
    wait_for(&node, "/metrics", "\nvitals_clock_disagreement_seconds 600\n").await;
    wait_for(&node, "/healthz", "ok").await;
    clocks.pass(2_000);
    check_unavailable(&node, site.frame(2)).await;
    // By the time that nobody believes: it may turn out to be right, so it waits with the frames.
    let ahead = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    check_unavailable(&node, operation_item(&ahead)).await;
    let answer = node.submit(operation_item(&revocation)).await.unwrap();
    let Answer::OperationApplied { t_op, .. } = answer else { panic!("{answer:?}") };
    assert!(t_op >= before && t_op <= before.plus(2_100), "the revocation has its true time");
    site.apply(&revocation, &answer);
    node.submit(Item::Close).await.unwrap();

    clocks.set_by(-10 * MINUTE_MS);
    check_not_ahead(&node, clocks.now());
    assert!(node.status().t0 <= clocks.now().plus(100));
    wait_for(&node, "/readyz", "\"status\":\"ready\"").await;
    wait_for(&node, "/metrics", "\nvitals_clock_disagreement_seconds 0\n").await;
    // Taken in again, and judged: the revocation holds.
    assert_eq!(refusal(&node, site.frame(2)).await.code, RejectCode::NotPermitted);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_stays_set_is_believed_by_itself() {
    for distance_ms in [2 * HOUR_MS, 40 * 24 * HOUR_MS] {
        let (site, clocks) = site().await;
        let (node, _) = site.start().await;
        node.submit(site.frame(1)).await.unwrap();
        clocks.set_by(distance_ms);
        check_unavailable(&node, site.frame(2)).await;
        clocks.pass(60_000);
        check_unavailable(&node, site.frame(2)).await;
        wait_until_stored(&node, &site, 2, || clocks.pass(60_000)).await;
        check_not_ahead(&node, clocks.now());
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_two_hours_behind_is_believed_once_it_has_reached_the_journal() {
    let (site, clocks) = site().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    let last = node.core.view.last_time();
    clocks.set_by(-2 * HOUR_MS);
    check_unavailable(&node, site.frame(2)).await;
    wait_for(&node, "/readyz", "{\"distance_ms\":-7200000}").await;
    // Longer than a clock must stay, and still behind what is journaled.
    clocks.pass(HOUR_MS as u64);
    wait_for(&node, "/metrics", "\nvitals_clock_disagreement_seconds -7200\n").await;
    check_unavailable(&node, site.frame(2)).await;
    assert_eq!(node.core.view.last_time(), last, "no window closes again and again meanwhile");
    wait_until_stored(&node, &site, 2, || clocks.pass(5 * 60_000)).await;
    assert!(clocks.now() >= last);
    check_not_ahead(&node, clocks.now());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_slept_goes_on_at_once() {
    let (site, clocks) = site().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    clocks.pass(8 * HOUR_MS as u64);
    let answer = node.submit(site.frame(2)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    assert_eq!(node.core.view.last_time(), clocks.now());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_ahead_of_the_clock_at_a_start_says_until_when() {
    let (mut site, clocks) = site().await;
    clocks.set_by(5 * MINUTE_MS);
    site.desk().submit(site.frame(1));
    let last = clocks.now();
    clocks.set_by(-5 * MINUTE_MS);

    let (node, _) = site.start().await;
    let until = calendar::Utc(node.core.view.last_time()).to_string();
    let detail = check_unavailable(&node, site.frame(2)).await;
    assert!(detail.contains(&until), "expected {until} in: {detail}");
    wait_for(&node, "/readyz", &format!("{{\"until\":\"{until}\"}},\"error\":\"journal-ahead\""))
        .await;
    wait_for(&node, "/metrics", "\nvitals_journal_ahead_seconds 300").await;
    // What takes away still goes in, no further ahead than the journal is.
    let revocation = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    let answer = node.submit(operation_item(&revocation)).await.unwrap();
    let Answer::OperationApplied { t_op, .. } = answer else { panic!("{answer:?}") };
    assert!(t_op > last && t_op <= last.plus(100), "{t_op:?} after {last:?}");
    site.apply(&revocation, &answer);
    clocks.pass(5 * MINUTE_MS as u64);
    assert_eq!(refusal(&node, site.frame(2)).await.code, RejectCode::NotPermitted);
    wait_for(&node, "/readyz", "\"status\":\"ready\"").await;
    node.stop().await.unwrap();
}

/// A permit of this time instead of the one for ever.
async fn permit(site: &mut Site, node: &Node, access: Interval) {
    let revocation = site.wallet.revocation(RuleSlot::Permit(0)).unwrap();
    let Action::Revoke { rule, .. } = revocation else { panic!("{revocation:?}") };
    let revocation = site.change(Action::Revoke { slot: RuleSlot::Permit(0), rule });
    let answer = node.submit(operation_item(&revocation)).await.unwrap();
    site.apply(&revocation, &answer);
    let rule = model::Rule { access, ..rule };
    let written = site.change(Action::Write { slot: RuleSlot::Permit(1), rule });
    let answer = node.submit(operation_item(&written)).await.unwrap();
    site.apply(&written, &answer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_what_is_tolerated_a_rule_begins_at_the_earliest_and_ends_at_the_latest_time() {
    let soon = |clocks: &TwoClocks| clocks.now().plus(1_500);
    for (ends, allowed) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut site, clocks) = site().await;
        let (node, _) = site.start().await;
        let access = match ends {
            true => Interval { until: soon(&clocks), ..Interval::ALWAYS },
            false => Interval { from: soon(&clocks), ..Interval::ALWAYS },
        };
        permit(&mut site, &node, access).await;
        match (ends, allowed) {
            // Three seconds of doubt around the instant at which the rule begins or ends.
            (_, false) => clocks.set_by(3_000),
            (true, true) => {}
            (false, true) => clocks.pass(2_000),
        }
        match node.submit(site.frame(1)).await {
            Ok(_) => assert!(allowed, "a rule that {}", if ends { "ends" } else { "begins" }),
            Err(NodeError::Refused(refusal)) => {
                assert!(!allowed, "{}", refusal.detail);
                assert_eq!(refusal.code, RejectCode::NotPermitted);
            }
            Err(error) => panic!("{error}"),
        }
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_at_its_reserve_stops_frames_and_nothing_else_until_there_is_room() {
    let disk = Arc::new(FakeDisk(AtomicU64::new(1 << 20)));
    let mut site = Site::new().await;
    site.config.journal.reserve_bytes = 80_000;
    site.space = Some(disk.clone());
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();

    disk.0.store(79_999, Ordering::SeqCst);
    wait_for(&node, "/readyz", "\"error\":\"disk-low\"").await;
    wait_for(&node, "/metrics", "\nvitals_journal_free_bytes 79999\n").await;
    check_unavailable(&node, site.frame(2)).await;
    let revocation = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    let answer = node.submit(operation_item(&revocation)).await.unwrap();
    site.apply(&revocation, &answer);
    close_and_settle(&node).await;
    wait_for(&node, "/healthz", "ok").await;

    disk.0.store(89_999, Ordering::SeqCst);
    wait_for(&node, "/metrics", "\nvitals_journal_free_bytes 89999\n").await;
    check_unavailable(&node, site.frame(2)).await;
    disk.0.store(90_000, Ordering::SeqCst);
    wait_for(&node, "/readyz", "\"status\":\"ready\"").await;
    assert_eq!(refusal(&node, site.frame(2)).await.code, RejectCode::NotPermitted);
    node.stop().await.unwrap();
}
