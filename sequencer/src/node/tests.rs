//! A whole node whose stages fail one after the other.

mod alarms;
mod archive;
mod archived;
mod around;
mod counted;
#[path = "../../tests/doctor.rs"]
mod doctor;
mod erased;
mod files;
mod idle;
mod index_scrub;
mod orders;
mod power_cut;
mod proving;
mod registering;
mod resume;
mod scrape;
mod snapshots;
// The tests beside the crate use the rest of it.
#[allow(dead_code)]
#[path = "../../tests/support.rs"]
mod support;
mod tables;
mod unprovable;

use std::sync::atomic::{AtomicBool, Ordering};

use model::{GatewayId, ManualClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wire::Holder;

use self::support::{Site, close_and_settle};
use super::*;
use crate::guard::fault::Fault;

/// An answer of the node's HTTP; `None` if nobody answers any more.
async fn get(node: &Node, path: &str) -> Option<String> {
    get_at(node.endpoints().http, path).await
}

/// An answer of whoever listens there.
async fn get_at(address: std::net::SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// Gives every thread something to do.
async fn feed(node: &Node, site: &Site) {
    let unknown = GatewayId::new("nobody").unwrap();
    let _receipts = node.core.hub.subscribe(Holder::gateway(&unknown));
    let Item::Frame { key, frame, measured, .. } = site.frame(1) else { unreachable!() };
    // Refused with evidence, for which a receipt is signed.
    let refused = Item::Frame { gateway: unknown, key, frame, measured };
    drop(node.core.admit.submit(refused).await);
    drop(node.core.admit.submit(Item::Close).await);
}

async fn check_fails_with(stage: Stage, fault: Fault, cause: &str) {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    assert!(get(&node, "/healthz").await.unwrap().starts_with("HTTP/1.1 200"));
    node.watched().failures().faults.set(stage, fault);
    feed(&node, &site).await;
    let NodeError::Stage { stage: found, detail } = node.wait_for_failure().await else {
        panic!("expected a failed stage")
    };
    assert_eq!(found, stage, "{detail}");
    assert!(detail.contains(cause), "{stage}: expected `{cause}`, found `{detail}`");
    // Who is dead itself answers nothing; a port that is closed is seen as well.
    if stage != Stage::Http {
        let answer = get(&node, "/healthz").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains(stage.name()), "{answer}");
    }
    let stopped = node.stop().await;
    assert!(matches!(stopped, Err(NodeError::Stage { stage: first, .. }) if first == stage));
}

/// The stages that the guard starts. The journal's writer catches its own panics.
fn guarded() -> impl Iterator<Item = Stage> {
    Stage::ALL.into_iter().filter(|stage| *stage != Stage::Journal)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_any_stage_is_told_and_ends_the_node() {
    for stage in guarded() {
        check_fails_with(stage, Fault::Panic, "panicked: a fault that the test asked for").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_return_of_any_stage_is_told_and_ends_the_node() {
    for stage in guarded() {
        check_fails_with(stage, Fault::EarlyReturn, "nobody asked it to").await;
    }
}

/// Panics where the writer asks it.
struct BreaksWriter(ManualClock, AtomicBool);

impl model::Clock for BreaksWriter {
    fn now(&self) -> model::Millis {
        let armed = self.1.load(Ordering::SeqCst);
        let here = std::thread::current();
        assert!(!(armed && here.name() == Some("journal-writer")), "the test breaks the writer");
        self.0.now()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_writer_is_told_although_nobody_submits_after_it() {
    let clock = Arc::new(BreaksWriter(ManualClock::running(), false.into()));
    let site = Site::with_clock(clock.clone()).await;
    let (node, _) = site.start().await;
    clock.1.store(true, Ordering::SeqCst);
    assert!(node.core.admit.submit(site.frame(1)).await.is_err());
    let failure = node.wait_for_failure().await;
    assert!(matches!(failure, NodeError::Stage { stage: Stage::Journal, .. }), "{failure}");
    assert!(get(&node, "/healthz").await.unwrap().starts_with("HTTP/1.1 503"));
    drop(node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_fails_while_the_node_stops_is_told() {
    let clock = Arc::new(BreaksWriter(ManualClock::running(), false.into()));
    let site = Site::with_clock(clock.clone()).await;
    let (node, _) = site.start().await;
    let admit = node.core.admit.clone();
    // Without the timer nobody looks any more but the stop itself.
    node.tasks.iter().for_each(GuardedTask::abort);
    clock.1.store(true, Ordering::SeqCst);
    drop(admit.submit_with(site.frame(1), |_| ()));
    let stopped = node.stop().await;
    assert!(matches!(stopped, Err(NodeError::Stage { stage: Stage::Journal, .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_stop_is_no_failure() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    let watched = node.watched().clone();
    feed(&node, &site).await;
    node.stop().await.unwrap();
    assert_eq!(watched.failure(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_never_come_give_their_places_at_the_socket_back() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    let socket = node.layout().admin_socket();
    // Twice as many as are taken at once: those in the system's queue have their turn as well.
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(tokio::net::UnixStream::connect(&socket).await.unwrap());
    }
    let answer = admin::ask(&socket, "list").await.unwrap();
    assert_eq!(answer["schema"], "vitals-registry-2");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_says_after_a_restart_how_far_its_batches_are() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    let number = close_and_settle(&node).await;
    node.stop().await.unwrap();
    let (node, _) = site.start().await;
    let answer = admin::ask(&node.layout().admin_socket(), "status").await.unwrap();
    let status::NodeStatus { batches, .. } = serde_json::from_value(answer).unwrap();
    let status::Batches { closed, assembled, settled, backlog, .. } = batches;
    assert_eq!([closed, assembled, settled, backlog], [number, number, number, 0]);
    node.stop().await.unwrap();
}
