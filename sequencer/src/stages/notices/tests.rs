//! The stage before a receiver that speaks TLS on this machine.

mod receiver;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accounting::notices::{
    AskedSubscription, Endpoint, Fault, Hosts, Kept, Limits, Notice, NoticeSecret, Pace,
    SubscriptionId, is_public,
};
use model::{BatchNumber, ClaimKind, Clock as _, ManualClock, Millis, PatientIndex};
use prometheus::IntCounter;
use reqwest::Client;
use statement::batch::ClaimOpening;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

use self::receiver::Receiver;
use super::post::{Judged, sign};
use super::*;
use crate::folder::parts::tests::{
    VIEW_KEY, access, anna, break_part, claimed, deployment, patient, settle, settled_store_of,
};
use crate::folder::store::Store;
use crate::guard::{Failures, Guard, GuardedTask, Stage};
use crate::metrics::{Metrics, alerts};
use crate::window::Assembled;

const HOST: &str = "app.example.org";
const SLOW_HOST: &str = "slow.example.org";
const PACE: Pace = Pace { first_ms: 60_000, most_ms: 120_000, give_up_after_ms: 240_000 };

/// Tests name their receiver, and it runs here: production knows no such way.
fn here(_name: String) -> Vec<IpAddr> {
    vec![Ipv4Addr::LOCALHOST.into()]
}

/// A node's store, in which batches settle, and what its stage needs.
struct Bench {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: Arc<ManualClock>,
    receiver: Receiver,
    erased: Arc<Mutex<BTreeSet<PatientIndex>>>,
}

/// A stage that runs.
struct Running {
    desk: NoticeDesk,
    failures: Failures,
    stop: watch::Sender<bool>,
    task: GuardedTask,
}

impl Running {
    async fn stop(self) {
        let Running { stop, task, failures, .. } = self;
        task.stop(|| _ = stop.send_replace(true)).await;
        assert_eq!(failures.first(), None);
    }
}

impl Bench {
    /// One batch is settled, three are not: Anna's data was read in the first and third, of her
    /// something was collected in the second, and somebody else's was read in the fourth.
    fn new() -> Bench {
        Bench::of(Bench::claims(), |_| {})
    }

    /// The same where the other's data was read in another batch as well, and batches are changed
    /// before they are saved.
    fn with_other_in(number: usize, change: impl Fn(&mut Assembled)) -> Bench {
        let mut claims = Bench::claims();
        claims[number - 1].push(claimed(patient(8), 2, ClaimKind::Access, "dr-001"));
        Bench::of(claims, change)
    }

    fn claims() -> [Vec<ClaimOpening>; 4] {
        [
            vec![access(0, "dr-001")],
            vec![claimed(anna(), 0, ClaimKind::Collect, "monitor-1")],
            vec![access(0, "dr-001"), access(1, "dr-002")],
            vec![claimed(patient(8), 0, ClaimKind::Access, "dr-001")],
        ]
    }

    fn of(claims: [Vec<ClaimOpening>; 4], change: impl Fn(&mut Assembled)) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = settled_store_of(folder.path(), claims, 1, change);
        let clock = Arc::new(ManualClock::fixed(Millis::from_unix_ms(1_777_624_200_000)));
        let receiver = Receiver::start(&[HOST, SLOW_HOST]);
        let (metrics, erased) = (Metrics::new(), Arc::default());
        Bench { folder, store, metrics, clock, receiver, erased }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("subscriptions.json")
    }

    fn desk(&self) -> NoticeDesk {
        let port = self.receiver.port();
        let hosts = [HOST, SLOW_HOST].map(|host| format!("{host}:{port}"));
        let limits = Limits { of_patient: 2, of_all: 10 };
        NoticeDesk::open(&self.path(), Hosts::parse(&hosts).unwrap(), limits, PACE)
    }

    fn start(&self) -> Running {
        let desk = self.desk();
        let builder = Client::builder().tls_certs_only([self.receiver.authority()]);
        let erased = self.erased.clone();
        let teller = Teller {
            desk: desk.clone(),
            store: self.store.clone(),
            scope: deployment(),
            view_key: Arc::new(|_| Some(VIEW_KEY)),
            is_erased: Arc::new(move |patient| erased.lock().unwrap().contains(&patient)),
            poster: Poster::of(builder, Judged::of(here, |_| true)).unwrap(),
            lost_after_ms: PACE.give_up_after_ms,
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        };
        let (failures, (stop, stopped)) = (Failures::new(), watch::channel(false));
        let task = Guard::new(failures.clone()).task(Stage::Notices, teller.run(stopped));
        Running { desk, failures, stop, task }
    }

    /// Batches up to this one are settled.
    fn settle(&self, last: u64) {
        settle(&self.store, 1..=last);
        self.metrics.batch_settled.set(last as i64);
    }

    fn subscribe(&self, desk: &NoticeDesk, host: &str) -> Taken {
        self.subscribe_of(anna(), desk, host)
    }

    fn subscribe_of(&self, patient: PatientIndex, desk: &NoticeDesk, host: &str) -> Taken {
        let url = format!("https://{host}:{}/hook?key=k", self.receiver.port());
        let asked = AskedSubscription {
            patient,
            endpoint: Endpoint::parse(&url).unwrap(),
            reason: "tell".into(),
            end: None,
        };
        desk.subscribe(asked, self.store.last_settled().unwrap()).unwrap()
    }
}

/// Longest wait for anything: what does not come fails its test, and holds up no other.
const WAIT: Duration = Duration::from_secs(60);

/// Waits until something is there.
async fn until_some<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            yield_now().await;
        }
    };
    timeout(WAIT, found).await.expect("it comes")
}

/// Waits until something holds of a subscription.
async fn until(desk: &NoticeDesk, id: SubscriptionId, holds: impl Fn(&Kept) -> bool) -> Kept {
    until_some(|| desk.get(id, anna()).ok().filter(|kept| holds(kept))).await
}

/// Waits until it was counted so often.
async fn until_counted(counter: &IntCounter, times: u64) {
    until_some(|| (counter.get() == times).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_subscribed_is_told_once_a_batch_and_of_nobody_elses_accesses() {
    let mut bench = Bench::new();
    let running = bench.start();
    let taken = bench.subscribe(&running.desk, HOST);
    bench.settle(4);
    let got = bench.receiver.next().await;
    assert_eq!(got.line, "post /hook?key=k http/1.1");
    assert_eq!(got.header("host"), format!("{HOST}:{}", bench.receiver.port()));
    assert_eq!((got.header("content-length"), got.body_bytes), ("0", 0));
    let id = format!("{}-3", taken.kept.id);
    assert_eq!(got.header("webhook-id"), id, "the first batch was settled before");
    let timestamp = bench.clock.now().unix_ms() / 1_000;
    assert_eq!(got.header("webhook-timestamp"), timestamp.to_string());
    let expected = sign(taken.kept.secret.expose(), &id, timestamp);
    assert_eq!(got.signature, expected);
    until(&running.desk, taken.kept.id, |kept| kept.told == BatchNumber(4)).await;
    assert!(bench.receiver.has_no_more());
    assert_eq!(bench.metrics.notices_told_total.get(), 1);
    assert_eq!(bench.metrics.notices_batches_total.get(), 3);
    running.stop().await;

    // Another start tells nothing that was told.
    let running = bench.start();
    let kept = until(&running.desk, taken.kept.id, |kept| kept.told == BatchNumber(4)).await;
    assert_eq!(kept.secret, taken.kept.secret);
    running.stop().await;
    assert!(bench.receiver.has_no_more());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_taken_comes_again_under_its_id_after_the_pause_and_over_a_start() {
    let mut bench = Bench::new();
    bench.receiver.answers([500, 503]);
    let running = bench.start();
    let taken = bench.subscribe(&running.desk, HOST);
    bench.settle(4);
    let first = bench.receiver.next().await;
    let failed = |status| move |kept: &Kept| kept.fault == Some(Fault::Status(status));
    let kept = until(&running.desk, taken.kept.id, failed(500)).await;
    assert_eq!((kept.told, kept.failing_since), (BatchNumber(2), Some(bench.clock.now())));
    bench.clock.advance(PACE.first_ms);
    let second = bench.receiver.next().await;
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    assert_ne!(second.signature, first.signature, "signed anew, of its own time");
    until(&running.desk, taken.kept.id, failed(503)).await;
    running.stop().await;

    let running = bench.start();
    let third = bench.receiver.next().await;
    assert_eq!(third.header("webhook-id"), first.header("webhook-id"));
    let kept = until(&running.desk, taken.kept.id, |kept| kept.told == BatchNumber(4)).await;
    assert_eq!((kept.fault, kept.failing_since), (None, None));
    assert_eq!(bench.metrics.notices_failures_total.get(), 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_not_followed_and_a_receiver_that_is_gone_is_told_nothing_more() {
    let mut bench = Bench::new();
    bench.receiver.answers([307, 410]);
    let running = bench.start();
    let taken = bench.subscribe(&running.desk, HOST);
    bench.settle(4);
    bench.receiver.next().await;
    until(&running.desk, taken.kept.id, |kept| kept.fault == Some(Fault::Status(307))).await;
    assert!(bench.receiver.has_no_more());
    bench.clock.advance(PACE.first_ms);
    bench.receiver.next().await;
    let kept = until(&running.desk, taken.kept.id, |kept| kept.given_up).await;
    assert_eq!(kept.status(bench.clock.now()), "error");
    until_counted(&bench.metrics.notices_given_up_total, 1).await;
    running.stop().await;
    assert!(bench.receiver.has_no_more());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_never_answers_holds_up_no_other() {
    let mut bench = Bench::new();
    bench.receiver.hang_for(SLOW_HOST);
    let running = bench.start();
    let slow = bench.subscribe(&running.desk, SLOW_HOST);
    let quick = bench.subscribe(&running.desk, HOST);
    bench.settle(3);
    let ids = [bench.receiver.next().await, bench.receiver.next().await];
    let has = |taken: &Taken| {
        let id = format!("{}-3", taken.kept.id);
        ids.iter().any(|got| got.header("webhook-id") == id)
    };
    assert!(has(&slow) && has(&quick));
    until(&running.desk, quick.kept.id, |kept| kept.told == BatchNumber(3)).await;
    let waiting = running.desk.get(slow.kept.id, anna()).unwrap();
    assert_eq!((waiting.told, waiting.fault), (BatchNumber(2), None));
    // A stop waits for nobody, and what was cut off is no failure.
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_cannot_be_read_is_told_of_once_it_can_and_no_later_one_before_it() {
    let mut bench = Bench::new();
    let path = bench.folder.path().join("batches/000002/private.bin");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"damaged").unwrap();
    let running = bench.start();
    let taken = bench.subscribe(&running.desk, HOST);
    bench.settle(3);
    until_counted(&bench.metrics.notices_unread_total, 1).await;
    assert!(bench.receiver.has_no_more());
    std::fs::write(&path, whole).unwrap();
    bench.clock.advance(60_000);
    let got = bench.receiver.next().await;
    assert_eq!(got.header("webhook-id"), format!("{}-3", taken.kept.id));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_gone_for_good_ends_no_subscription_and_is_passed_over_and_counted() {
    let mut bench = Bench::new();
    std::fs::remove_file(bench.folder.path().join("batches/000002/private.bin")).unwrap();
    let running = bench.start();
    let taken = bench.subscribe(&running.desk, HOST);
    bench.settle(4);
    let metrics = bench.metrics.clone();
    for looks in 1..=PACE.give_up_after_ms / 60_000 {
        until_counted(&metrics.notices_unread_total, looks).await;
        assert_eq!(metrics.notices_batches_lost_total.get(), 0, "it may come back");
        assert!(bench.receiver.has_no_more());
        bench.clock.advance(60_000);
    }
    let got = bench.receiver.next().await;
    assert_eq!(got.header("webhook-id"), format!("{}-3", taken.kept.id));
    let kept = until(&running.desk, taken.kept.id, |kept| kept.told == BatchNumber(4)).await;
    assert_eq!((kept.status(bench.clock.now()), kept.fault), ("active", None));
    assert_eq!(metrics.notices_batches_lost_total.get(), 1);
    let alert = alerts::named("VitalsNoticesBatchLost").unwrap();
    assert!(alert.limit.is_passed(metrics.notices_batches_lost_total.get() as f64));
    running.stop().await;
    // Another start waits for it no more.
    let running = bench.start();
    assert_eq!(running.desk.get(taken.kept.id, anna()).unwrap().told, BatchNumber(4));
    running.stop().await;
    assert!(bench.receiver.has_no_more());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_settled_no_more_is_told_of_once_it_is_again() {
    let mut bench = Bench::with_other_in(2, |_| {});
    bench.receiver.goes_away();
    let running = bench.start();
    let taken = bench.subscribe(&running.desk, HOST);
    let other = bench.subscribe_of(patient(8), &running.desk, SLOW_HOST);
    bench.settle(3);
    let failed = |kept: &Kept| kept.fault == Some(Fault::Connection);
    until(&running.desk, taken.kept.id, failed).await;
    let until_other = async |fault| {
        let found = || running.desk.get(other.kept.id, patient(8)).unwrap();
        until_some(|| Some(found()).filter(|kept| kept.fault == fault)).await
    };
    until_other(Some(Fault::Connection)).await;
    // Blocks are taken back before it is sent again.
    bench.receiver.comes_back();
    bench.receiver.answers([500]);
    bench.store.mark_settled(&[(BatchNumber(3), None)]).unwrap();
    bench.metrics.batch_settled.set(2);
    // Twice the other's notice, of a batch that is settled still: whatever was due the first time
    // has arrived by the second.
    let of_other = format!("{}-2", other.kept.id);
    for (pause_ms, fault) in [(PACE.first_ms, Some(Fault::Status(500))), (PACE.most_ms, None)] {
        bench.clock.advance(pause_ms);
        assert_eq!(bench.receiver.next().await.header("webhook-id"), of_other);
        until_other(fault).await;
    }
    assert!(bench.receiver.has_no_more(), "of a batch that is settled no more nobody is told");
    assert!(failed(&running.desk.get(taken.kept.id, anna()).unwrap()));
    let late = bench.subscribe_of(patient(8), &running.desk, SLOW_HOST);
    assert_eq!(late.kept.told, BatchNumber(2));
    bench.settle(4);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.receiver.next().await.header("webhook-id").to_owned());
    }
    for (id, batch) in [(taken.kept.id, 3), (other.kept.id, 4), (late.kept.id, 4)] {
        let id = format!("{id}-{batch}");
        assert!(ids.contains(&id), "{id} of {ids:?}");
    }
    until(&running.desk, taken.kept.id, |kept| kept.told == BatchNumber(4)).await;
    running.stop().await;
    assert!(bench.receiver.has_no_more());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_cannot_be_read_keeps_nobody_from_notices_who_does_not_wait_for_it() {
    let mut bench = Bench::new();
    std::fs::write(bench.folder.path().join("batches/000002/private.bin"), b"damaged").unwrap();
    let running = bench.start();
    let behind = bench.subscribe(&running.desk, HOST);
    bench.settle(3);
    until_counted(&bench.metrics.notices_unread_total, 1).await;
    let other = bench.subscribe_of(patient(8), &running.desk, HOST);
    bench.settle(4);
    let got = bench.receiver.next().await;
    assert_eq!(got.header("webhook-id"), format!("{}-4", other.kept.id));
    let kept = running.desk.get(behind.kept.id, anna()).unwrap();
    assert_eq!((kept.told, kept.fault), (BatchNumber(1), None));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_does_not_open_keeps_its_patient_waiting_and_is_passed_over_for_that_one_alone()
{
    let mut bench = Bench::with_other_in(3, |batch| {
        if batch.public.header.number == BatchNumber(3) {
            break_part(batch, patient(8));
        }
    });
    let running = bench.start();
    let taken = bench.subscribe(&running.desk, HOST);
    let other = bench.subscribe_of(patient(8), &running.desk, HOST);
    bench.settle(4);
    let got = bench.receiver.next().await;
    assert_eq!(got.header("webhook-id"), format!("{}-3", taken.kept.id));
    until(&running.desk, taken.kept.id, |kept| kept.told == BatchNumber(4)).await;
    let metrics = bench.metrics.clone();
    let of_other = || running.desk.get(other.kept.id, patient(8)).unwrap();
    for looks in 1..=PACE.give_up_after_ms / 60_000 {
        until_counted(&metrics.notices_unread_total, looks).await;
        assert_eq!(
            (of_other().told, metrics.notices_batches_lost_total.get()),
            (BatchNumber(2), 0)
        );
        assert!(bench.receiver.has_no_more());
        bench.clock.advance(60_000);
    }
    let got = bench.receiver.next().await;
    assert_eq!(got.header("webhook-id"), format!("{}-4", other.kept.id));
    until_some(|| (of_other().told == BatchNumber(4)).then_some(())).await;
    assert_eq!(metrics.notices_batches_lost_total.get(), 1);
    running.stop().await;
    assert!(bench.receiver.has_no_more());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_of_whoever_is_erased_end_and_none_is_put_back() {
    let bench = Bench::new();
    let desk = bench.desk();
    bench.subscribe(&desk, HOST);
    let other = bench.subscribe_of(patient(8), &desk, HOST);
    let before = std::fs::read(bench.path()).unwrap();
    bench.erased.lock().unwrap().insert(anna());
    // Erased before the start, and once more with the file of before.
    for _ in 0..2 {
        std::fs::write(bench.path(), &before).unwrap();
        let running = bench.start();
        until_some(|| running.desk.of(anna()).unwrap().is_empty().then_some(())).await;
        running.stop().await;
        let kept = bench.desk();
        assert_eq!(kept.of(anna()).unwrap(), []);
        assert_eq!(kept.of(patient(8)).unwrap(), std::slice::from_ref(&other.kept));
    }
}

#[tokio::test]
async fn names_that_lead_into_the_hospital_are_connected_to_by_nobody() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let notice = Notice {
        subscription: SubscriptionId::new([1; 16]),
        batch: BatchNumber(1),
        endpoint: Endpoint::parse(&format!("https://{HOST}:{port}/")).unwrap(),
        secret: NoticeSecret::new([2; 32]),
    };
    let now = Millis::from_unix_ms(1_777_624_200_000);
    for (addresses, fault) in [
        (&["127.0.0.1"][..], Fault::Address),
        (&["::1"], Fault::Address),
        (&["::ffff:127.0.0.1"], Fault::Address),
        (&["0.0.0.0"], Fault::Address),
        (&["169.254.169.254"], Fault::Address),
        // One of several is enough.
        (&["127.0.0.1", "9.9.9.9"], Fault::Address),
        (&["9.9.9.9", "10.0.0.1"], Fault::Address),
        (&[], Fault::Name),
    ] {
        let found: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let judged = Judged::of(move |_| found.clone(), is_public);
        let poster = Poster::of(Client::builder().tls_certs_only([]), judged).unwrap();
        assert_eq!(poster.send(&notice, now).await, Err(fault), "{addresses:?}");
        let came = listener.accept().map_err(|error| error.kind()).map(|_| ());
        assert_eq!(came, Err(std::io::ErrorKind::WouldBlock), "{addresses:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_without_a_good_certificate_is_told_nothing() {
    let mut bench = Bench::new();
    let other = Receiver::start(&[HOST]);
    let judged = Judged::of(here, |_| true);
    let builder = Client::builder().tls_certs_only([other.authority()]);
    let url = format!("https://{HOST}:{}/", bench.receiver.port());
    let notice = Notice {
        subscription: SubscriptionId::new([1; 16]),
        batch: BatchNumber(1),
        endpoint: Endpoint::parse(&url).unwrap(),
        secret: NoticeSecret::new([2; 32]),
    };
    let sent = Poster::of(builder, judged).unwrap().send(&notice, bench.clock.now()).await;
    assert_eq!(sent, Err(Fault::Connection));
    assert!(bench.receiver.has_no_more());
}

#[test]
fn a_damaged_file_closes_the_desk_and_a_disk_that_refuses_changes_nothing() {
    let bench = Bench::new();
    let desk = bench.desk();
    let first = bench.subscribe(&desk, HOST);
    // Where no file can be written the subscription is not made, nor ended.
    std::fs::remove_file(bench.path()).unwrap();
    std::fs::create_dir(bench.path()).unwrap();
    let asked = || AskedSubscription {
        patient: anna(),
        endpoint: first.kept.endpoint.clone(),
        reason: "again".into(),
        end: None,
    };
    assert!(matches!(desk.subscribe(asked(), BatchNumber(1)), Err(NotTaken::Unavailable)));
    let refused = desk.unsubscribe(first.kept.id, anna());
    assert!(matches!(refused, Err(NotTaken::Unavailable)), "{refused:?}");
    assert_eq!(desk.of(anna()).unwrap(), std::slice::from_ref(&first.kept));
    std::fs::remove_dir(bench.path()).unwrap();
    std::fs::write(bench.path(), b"{}").unwrap();
    let desk = bench.desk();
    assert!(desk.is_closed() && matches!(desk.of(anna()), Err(NotTaken::Unavailable)));
    assert!(matches!(desk.subscribe(asked(), BatchNumber(1)), Err(NotTaken::Unavailable)));
}

/// What the page tells a receiver to compute, computed here.
#[test]
fn the_page_about_notices_has_the_signature_of_its_example() {
    let page = include_str!("../../../docs/notices.md");
    let secret: Vec<u8> = (0..32).collect();
    let id = "0123456789abcdef0123456789abcdef-42";
    let signature = sign(&secret, id, 1_777_624_200);
    let secret = format!("whsec_{}", page_server::base64::encode(&secret));
    for text in [id, "1777624200", &secret, &signature] {
        assert!(page.contains(text), "expected {text} on the page");
    }
}
