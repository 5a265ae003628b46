//! A node whose clock is set, whose machine sleeps, whose disk fills up.

use std::sync::atomic::{AtomicU64, Ordering};

use client::{Connection, ConnectionConfig, Identity, RequestError};
use model::{
    Action, ClaimKind, Clock as _, Interval, Millis, RejectCode, RuleSlot, SystemClock, WalletId,
    calendar,
};
use statement::operation::SignedOperation;
use wire::{RegistryChange, RegistryRecord, Role};

use super::get;
use super::support::{Site, close_and_settle, operation_item, patient};
use crate::clock::tests::TwoClocks;
use crate::disk::tests::FakeDisk;
use crate::folder::authority::{Authority, ClientDeployment};
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

/// Looks at an answer of the node's HTTP after each look of the watch, until it holds a text.
pub(super) async fn wait_for(node: &Node, path: &str, text: &str) {
    let (mut looks, mut answer) = (node.watched().follow_conditions(), String::new());
    for _ in 0..LOOKS_MAX {
        answer = get(node, path).await.unwrap();
        if answer.contains(text) {
            return;
        }
        looks.changed().await.unwrap();
    }
    panic!("expected {path} to hold {text}, found {answer}");
}

/// Waits until the watch has looked at the clocks as they are now.
async fn wait_for_look(node: &Node) {
    let mut looks = node.watched().follow_conditions();
    // The first may have begun before.
    looks.changed().await.unwrap();
    looks.changed().await.unwrap();
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
        wait_for_look(node).await;
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
    // What is apart, by how much, and when it ends.
    wait_for(&node, "/readyz", "\"distance_ms\":600000,").await;
    let [wall, unset] = [clocks.now(), before].map(|time| calendar::Utc(time).to_string());
    let readyz = get(&node, "/readyz").await.unwrap();
    for text in [
        "\"error\":\"clock-disagrees\"",
        "\"believed_in_seconds\":300,",
        &format!("\"wall_clock\":\"{wall}\""),
        &format!("\"boot_time_clock\":\"{unset}\""),
    ] {
        assert!(readyz.contains(text), "expected {text} in {readyz}");
    }
    assert!(detail.contains("believed in 300 s"), "{detail}");
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
    wait_for(&node, "/readyz", "\"distance_ms\":-7200000,").await;
    // Longer than it must stay: until it has reached the journal.
    let believed_in = node.watched().conditions().disagreement.unwrap().believed_in_ms;
    assert!(believed_in.abs_diff(2 * HOUR_MS as u64) < 60_000, "{believed_in}");
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

/// A deny that hits no collection, signed at this time.
fn deny(site: &Site, slot: u8, signed_at: Millis, valid_ms: u64) -> SignedOperation {
    let Action::Revoke { rule, .. } = site.wallet.revocation(RuleSlot::Permit(0)).unwrap() else {
        panic!("expected a revocation")
    };
    let rule = model::Rule { kinds: ClaimKind::BreakGlass.only(), ..rule };
    let action = Action::Write { slot: RuleSlot::Deny(slot), rule };
    site.sign(site.wallet.change(action, signed_at, valid_ms).unwrap(), &patient())
}

/// A wallet's connection.
pub(super) async fn connect_wallet(site: &Site, node: &Node) -> Connection {
    let authority = Authority::load(&site.layout.authority()).unwrap();
    let valid = setup::certificates_valid(site.clock.now());
    let issued = authority.issue_client(Role::Wallet, "patient-app", valid).unwrap();
    let (id, fingerprint) = (WalletId::new("patient-app").unwrap(), issued.fingerprint());
    let record = RegistryRecord::Wallet { id, fingerprint, valid };
    node.submit(Item::Registry(RegistryChange::Add(record))).await.unwrap();
    let (address, folder) = (node.endpoints().ingest, site.beside("wallet"));
    let names = &site.config.ingest.server_names;
    let deployment = ClientDeployment::of_node(&site.deployment, address, names).unwrap();
    issued.write_client(&folder, &deployment).unwrap();
    let identity = Identity::load(&folder).unwrap();
    let deployment = client::Deployment::load(&folder).unwrap();
    let config = ConnectionConfig::new(address, "localhost", identity, deployment);
    Connection::connect(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denials_by_the_old_time_keep_a_clock_two_hours_behind_from_nothing() {
    let (mut site, clocks) = site().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    clocks.set_by(-2 * HOUR_MS);
    for slot in 0..3 {
        wait_for_look(&node).await;
        // By a wallet that goes by the time before the clock was set, and is believed.
        let unset = clocks.now().plus(2 * HOUR_MS as u64);
        let signed = deny(&site, slot, unset, 600_000);
        let signed_at = signed.operation.signed_at;
        let answer = node.submit(operation_item(&signed)).await.unwrap();
        let Answer::OperationApplied { t_op, .. } = answer else { panic!("{answer:?}") };
        assert!(t_op >= signed_at && t_op <= unset.plus(100), "{t_op:?}");
        site.apply(&signed, &answer);
        clocks.pass(40 * 60_000);
    }
    // Two hours later the clock has reached what was journaled before it was set: it is believed,
    // and what is left to wait for is named.
    clocks.pass(60_000);
    let last = node.core.view.last_time();
    let until = calendar::Utc(last).to_string();
    wait_for(&node, "/readyz", &format!("{{\"until\":\"{until}\"}},\"error\":\"journal-ahead\""))
        .await;
    // Nothing pushes that moment away any more.
    let late = deny(&site, 3, clocks.now(), 3 * HOUR_MS as u64);
    let answer = node.submit(operation_item(&late)).await.unwrap();
    let Answer::OperationApplied { t_op, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(t_op, last.plus(1));
    site.apply(&late, &answer);
    clocks.pass(2 * HOUR_MS as u64);
    wait_for(&node, "/readyz", "\"status\":\"ready\"").await;
    let answer = node.submit(site.frame(2)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    check_not_ahead(&node, clocks.now());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_ahead_by_more_than_a_signature_is_valid_refuses_no_denial_for_good() {
    let (mut site, clocks) = site().await;
    clocks.set_by(2 * HOUR_MS);
    site.desk().submit(site.frame(1));
    let last = clocks.now();
    clocks.set_by(-2 * HOUR_MS);
    let (node, _) = site.start().await;
    // The node's time is to blame, so nothing is refused as of no time (C1.5).
    let short = deny(&site, 0, clocks.now(), 600_000);
    let detail = check_unavailable(&node, operation_item(&short)).await;
    let until = calendar::Utc(node.core.view.last_time()).to_string();
    assert!(detail.contains(&until) && detail.contains("valid for longer"), "{detail}");
    // Its wallet is told so as well: it is no signature that has ended.
    let wallet = connect_wallet(&site, &node).await;
    let sent = wire::SignedOperation::new(short.to_bytes().to_vec()).unwrap();
    let refused = wallet.submit(sent).await.unwrap_err();
    let unavailable = RequestError::Rejected { code: RejectCode::Unavailable };
    assert_eq!(refused.to_string(), unavailable.to_string());
    wallet.close().await;
    // Signed for longer it goes in at once.
    let long = deny(&site, 0, clocks.now(), 3 * HOUR_MS as u64);
    let answer = node.submit(operation_item(&long)).await.unwrap();
    let Answer::OperationApplied { t_op, .. } = answer else { panic!("{answer:?}") };
    assert!(t_op > last && t_op <= last.plus(100), "{t_op:?} after {last:?}");
    site.apply(&long, &answer);
    // By a clock beyond the journal's last entry: both wait for that.
    let ahead = deny(&site, 1, clocks.now().plus(3 * HOUR_MS as u64), 600_000);
    let detail = check_unavailable(&node, operation_item(&ahead)).await;
    let until = calendar::Utc(ahead.operation.signed_at).to_string();
    assert!(detail.contains(&until), "expected {until} in: {detail}");
    // A signature that has ended by the clock as well is of no time.
    let ended = deny(&site, 1, Millis::new(clocks.now().get() - 600_001).unwrap(), 600_000);
    let refused = refusal(&node, operation_item(&ended)).await;
    assert_eq!(refused.code, RejectCode::Validity, "{}", refused.detail);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_ahead_of_the_clock_is_told_when_it_may_come_again() {
    let (mut site, clocks) = site().await;
    let (node, _) = site.start().await;
    let early = deny(&site, 0, clocks.now().plus(30_000), 600_000);
    let refused = refusal(&node, operation_item(&early)).await;
    assert_eq!((refused.code, refused.position), (RejectCode::Clock, None), "{}", refused.detail);
    let until = calendar::Utc(early.operation.signed_at).to_string();
    assert!(refused.detail.contains(&until), "expected {until} in: {}", refused.detail);
    clocks.pass(30_000);
    let answer = node.submit(operation_item(&early)).await.unwrap();
    site.apply(&early, &answer);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_in_doubt_goes_on_doubting_and_a_start_of_the_machine_does_not() {
    let (site, clocks) = site().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    clocks.set_by(10 * MINUTE_MS);
    check_unavailable(&node, site.frame(2)).await;
    node.stop().await.unwrap();
    let (node, _) = site.start().await;
    wait_for(&node, "/readyz", "\"distance_ms\":600000,").await;
    check_unavailable(&node, site.frame(2)).await;
    clocks.set_by(-10 * MINUTE_MS);
    node.submit(site.frame(2)).await.unwrap();
    check_not_ahead(&node, clocks.now());
    node.stop().await.unwrap();

    // Set while nobody looked: as if it had been seen.
    clocks.set_by(10 * MINUTE_MS);
    let (node, _) = site.start().await;
    check_unavailable(&node, site.frame(3)).await;
    node.stop().await.unwrap();
    // Nothing is known of the clocks of another boot, nor from a file that is damaged.
    let kept = std::fs::read(site.layout.believed()).unwrap();
    std::fs::write(site.layout.believed(), "damaged").unwrap();
    let (node, _) = site.start().await;
    node.submit(site.frame(3)).await.unwrap();
    node.stop().await.unwrap();
    std::fs::write(site.layout.believed(), kept).unwrap();
    clocks.boot_again();
    let (node, _) = site.start().await;
    node.submit(site.frame(4)).await.unwrap();
    check_not_ahead(&node, clocks.now());
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
    // Stored already: its receipt may have been lost.
    let again = node.submit(site.frame(1)).await.unwrap();
    assert!(matches!(again, Answer::FrameDuplicate { .. }), "{again:?}");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_folder_that_takes_no_new_key_stops_frames_that_need_one_and_nothing_else() {
    let (site, clocks) = site().await;
    let (node, _) = site.start().await;
    // No key was made yet, and a folder stands where the file of new ones would be.
    let in_the_way = site.layout.body_keys().join("g00000001.tail");
    std::fs::create_dir(&in_the_way).unwrap();
    let detail = check_unavailable(&node, site.frame(1)).await;
    assert!(!detail.contains("tail"), "the operator's to know: {detail}");
    wait_for(&node, "/readyz", "\"error\":\"no-new-keys\"").await;
    wait_for(&node, "/metrics", "\nvitals_body_keys_failing 1\n").await;
    // The writer goes on with everything else.
    let id = model::OrganisationId::new("laboratory").unwrap();
    let added = RegistryChange::Add(RegistryRecord::Organisation { id });
    let answer = node.submit(Item::Registry(added)).await.unwrap();
    assert!(matches!(answer, Answer::RegistryChanged { .. }), "{answer:?}");

    std::fs::remove_dir(&in_the_way).unwrap();
    wait_until_stored(&node, &site, 1, || clocks.pass(1_000)).await;
    wait_for(&node, "/readyz", "\"status\":\"ready\"").await;
    wait_for(&node, "/metrics", "\nvitals_body_keys_failing 0\n").await;
    node.stop().await.unwrap();
}
