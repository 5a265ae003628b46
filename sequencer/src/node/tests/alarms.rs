//! Troubles of a real node, scraped, and held against the limits of the alerts.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use model::{Interval, ManualClock, Millis, RuleSlot};

use super::around::{connect_wallet, wait_for};
use super::get;
use super::support::{Site, close_and_settle};
use crate::disk::tests::FakeDisk;
use crate::folder::authority::Authority;
use crate::guard::fault::Fault;
use crate::metrics::alerts;
use crate::node::*;

/// The value of a series in a scrape, by its name and labels as they are written there.
pub(super) fn value(scraped: &str, series: &str) -> f64 {
    let of = |line: &&str| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' '));
    let line = scraped.lines().find(of).unwrap_or_else(|| panic!("no {series} in\n{scraped}"));
    line[series.len()..].trim().parse().unwrap()
}

pub(super) fn is_passed(name: &str, value: f64) -> bool {
    let alert = alerts::named(name).unwrap_or_else(|| panic!("no alert {name}"));
    alert.limit.is_passed(value)
}

pub(super) async fn scrape(node: &Node) -> String {
    get(node, "/metrics").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_well_passes_no_limit() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    close_and_settle(&node).await;
    wait_for(&node, "/readyz", "\"status\":\"ready\"").await;
    wait_for(&node, "/metrics", "vitals_own_certificate_seconds{certificate=\"server\"}").await;
    wait_for(&node, "/metrics", "\nvitals_batch_closed 1\n").await;
    let scraped = scrape(&node).await;
    let mut plain = 0;
    // Those that measure one series as it is: of the others promtool tries the expression.
    for alert in alerts::all().filter(|alert| alert.measured.starts_with("vitals_")) {
        let series = alert.measured;
        let is_one = |line: &&str| {
            let rest = line.strip_prefix(series);
            rest.is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
        };
        for line in scraped.lines().filter(is_one) {
            let (_, found) = line.rsplit_once(' ').unwrap();
            let found: f64 = found.parse().unwrap();
            assert!(!alert.limit.is_passed(found), "{}: {line}", alert.name);
            plain += 1;
        }
    }
    assert!(plain > 20, "{plain}");
    for (name, limit) in [
        ("vitals_journal_queue_items_max", site.config.journal.queue_items_max as f64),
        ("vitals_receipt_groups_max", site.config.deliver.groups_max as f64),
        ("vitals_ingest_connections_max", 16.0),
    ] {
        assert_eq!(value(&scraped, name), limit, "{name}");
    }
    let used = value(&scraped, "vitals_process_resident_bytes");
    let machine = value(&scraped, "vitals_memory_machine_bytes");
    assert!(used > 1e6 && used < machine, "{used} of {machine}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_is_silent_and_a_disk_below_its_reserve_pass_the_limits_of_their_alerts() {
    let disk = Arc::new(FakeDisk(AtomicU64::new(1 << 20)));
    let mut site = Site::new().await;
    site.config.journal.reserve_bytes = 80_000;
    site.space = Some(disk.clone());
    // A port that nobody listens at any more.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.config.chain.rpc = Some(format!("http://{nobody}").parse().unwrap());
    let node = site.start_on(site.chain()).await.unwrap();
    wait_for(&node, "/readyz", "chain-unreachable").await;
    let scraped = scrape(&node).await;
    assert!(is_passed("VitalsChainSilent", value(&scraped, "vitals_chain_reachable")));
    assert!(is_passed("VitalsNotReady", value(&scraped, "vitals_ready")));
    let above = |scraped: &str| {
        let [free, reserve] = ["vitals_journal_free_bytes", "vitals_journal_reserve_bytes"]
            .map(|name| value(scraped, name));
        free - reserve
    };
    assert!(!is_passed("VitalsDiskLow", above(&scraped)));
    disk.0.store(79_999, Ordering::SeqCst);
    wait_for(&node, "/metrics", "\nvitals_journal_free_bytes 79999\n").await;
    assert!(is_passed("VitalsDiskLow", above(&scrape(&node).await)));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_that_fails_passes_the_limit_of_its_alert() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    let series = |stage: Stage| format!("vitals_stage_failed{{stage=\"{}\"}}", stage.name());
    let before = scrape(&node).await;
    for stage in Stage::ALL {
        assert!(!is_passed("VitalsStageFailed", value(&before, &series(stage))), "{stage}");
    }
    node.watched().failures().faults.set(Stage::Scrub, Fault::Panic);
    node.wait_for_failure().await;
    let scraped = scrape(&node).await;
    for stage in Stage::ALL {
        let found = is_passed("VitalsStageFailed", value(&scraped, &series(stage)));
        assert_eq!(found, stage == Stage::Scrub, "{stage}");
    }
    assert!(is_passed("VitalsNotReady", value(&scraped, "vitals_ready")));
    assert!(node.stop().await.is_err());
}

/// What `/readyz` says of a stage.
async fn stage(node: &Node, name: &str) -> serde_json::Value {
    let answer = get(node, "/readyz?format=json").await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let told: serde_json::Value = serde_json::from_str(body).unwrap();
    let stages = told["stages"].as_array().unwrap();
    assert_eq!(stages.len(), Stage::ALL.len());
    stages.iter().find(|one| one["stage"] == name).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_tells_of_each_stage_what_waits_and_when_it_moved() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    close_and_settle(&node).await;
    // Counted and looked at by two threads, each ten times a second.
    wait_for(&node, "/metrics", "\nvitals_batch_closed 1\n").await;
    let mut looks = node.watched().follow_conditions();
    for (name, queue) in [
        ("journal", Some(site.config.journal.queue_items_max)),
        ("proving", Some(site.config.deliver.windows_max)),
        ("settlement", None),
        ("windows", None),
        ("upkeep", None),
    ] {
        let mut told = stage(&node, name).await;
        while told["progress_seconds_ago"].is_null() {
            looks.changed().await.unwrap();
            told = stage(&node, name).await;
        }
        assert_eq!((&told["state"], &told["cause"]), (&"runs".into(), &().into()), "{told}");
        assert_eq!(told["queue_items_max"].as_u64(), queue.map(|most| most as u64), "{told}");
        assert!(told["progress_count"].as_u64() >= Some(1), "{told}");
        assert!(told["progress_seconds_ago"].as_f64() < Some(600.0), "{told}");
    }
    let door = stage(&node, "http").await;
    assert_eq!((&door["progress_count"], &door["queue_items"]), (&().into(), &().into()));
    node.stop().await.unwrap();
}

/// Holds the writer up where it asks for the time.
struct HoldsWriter {
    clock: ManualClock,
    held: Mutex<bool>,
    freed: Condvar,
}

impl HoldsWriter {
    fn set(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.freed.notify_all();
    }
}

impl model::Clock for HoldsWriter {
    fn now(&self) -> Millis {
        if std::thread::current().name() == Some("journal-writer") {
            let held = self.held.lock().unwrap();
            drop(self.freed.wait_while(held, |held| *held).unwrap());
        }
        self.clock.now()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_held_up_passes_the_limit_of_the_queues_alert() {
    let clock = ManualClock::running();
    let clock = HoldsWriter { clock, held: Mutex::new(false), freed: Condvar::new() };
    let clock = Arc::new(clock);
    let mut site = Site::with_clock(clock.clone()).await;
    (site.config.journal.queue_items_max, site.config.ingest.limits.reserved_items) = (256, 16);
    let (node, _) = site.start().await;
    clock.set(true);
    let mut sequence = 0;
    // Until there is no place any more.
    let refused = loop {
        sequence += 1;
        assert!(sequence < 1_000, "the queue has an end");
        if let Err(error) = node.core.admit.submit_with(site.frame(sequence), |_| ()) {
            break error;
        }
    };
    assert!(matches!(refused, AdmitError::Full { .. }), "{refused}");
    let waiting = format!("\nvitals_journal_queue_items {}\n", node.core.admit.waiting());
    wait_for(&node, "/metrics", &waiting).await;
    let scraped = scrape(&node).await;
    let share = value(&scraped, "vitals_journal_queue_items")
        / value(&scraped, "vitals_journal_queue_items_max");
    assert!(is_passed("VitalsQueueFull", share), "{share}");
    clock.set(false);
    wait_for(&node, "/metrics", "\nvitals_journal_queue_items 0\n").await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_folder_that_takes_nothing_passes_the_limit_of_its_alert() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    let failing = "vitals_body_keys_failing";
    assert!(!is_passed("VitalsNoNewKeys", value(&scrape(&node).await, failing)));
    // No key was made yet, and a folder stands where the file of new ones would be.
    std::fs::create_dir(site.layout.body_keys().join("g00000001.tail")).unwrap();
    assert!(node.submit(site.frame(1)).await.is_err());
    wait_for(&node, "/metrics", "\nvitals_body_keys_failing 1\n").await;
    assert!(is_passed("VitalsNoNewKeys", value(&scrape(&node).await, failing)));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_certificate_near_its_end_passes_the_limits_of_its_alerts() {
    let site = Site::new().await;
    let (authority, now) = (Authority::load(&site.layout.authority()).unwrap(), site.clock.now());
    let series = "vitals_own_certificate_seconds{certificate=\"server\"}";
    let both = ["VitalsOwnCertificateEnds", "VitalsOwnCertificateEnded"];
    for (hours, expected) in [(360, [false, false]), (240, [true, false]), (12, [true, true])] {
        let valid = Interval { from: now, until: now.plus(hours * 3_600_000) };
        let issued = authority.issue_server(&site.config.ingest.server_names, valid).unwrap();
        std::fs::remove_dir_all(site.layout.server()).unwrap();
        issued.write(&site.layout.server()).unwrap();
        let (node, _) = site.start().await;
        wait_for(&node, "/metrics", series).await;
        let seconds = value(&scrape(&node).await, series);
        assert_eq!(both.map(|name| is_passed(name, seconds)), expected, "{seconds}");
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_timed_until_it_takes_effect_and_until_it_is_settled() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    let wallet = connect_wallet(&site, &node).await;
    let revocation = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    let sent = wire::SignedOperation::new(revocation.to_bytes().to_vec()).unwrap();
    wallet.submit(sent).await.unwrap();
    let scraped = scrape(&node).await;
    assert_eq!(value(&scraped, "vitals_withdrawal_effective_seconds_count"), 1.0);
    assert_eq!(value(&scraped, "vitals_withdrawal_settled_seconds_count"), 0.0);
    close_and_settle(&node).await;
    wait_for(&node, "/metrics", "\nvitals_withdrawal_settled_seconds_count 1\n").await;
    let took = value(&scrape(&node).await, "vitals_withdrawal_settled_seconds_sum");
    assert!((0.0..600.0).contains(&took), "{took}");
    wallet.close().await;
    node.stop().await.unwrap();
}
