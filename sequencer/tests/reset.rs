//! A gateway finds a node again that was killed: by a reset where the node is back soon, by its own
//! look where it stays away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::Stream;
use model::Sequence;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use wire::{DeviceTime, Reading};

use crate::kill::{Gateway, Program, send_on};
use crate::support::Site;

/// Frames flow again so soon after the node says that it is ready.
const WITHIN: Duration = Duration::from_secs(3);
/// A stall is a failure, not a hang.
const STALLED_AFTER: Duration = Duration::from_secs(120);

/// Asks until the node says that it is ready.
async fn wait_until_ready(http: SocketAddr) {
    loop {
        let answer = async {
            let mut stream = TcpStream::connect(http).await?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: node\r\n\r\n").await?;
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.map(|_| first)
        };
        if answer.await.is_ok_and(|first| first.ends_with(b"200")) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Sends on while the node is away, and waits for a receipt of what was sent after it came back.
async fn time_to_frames(stream: &Stream, count: &mut watch::Receiver<u64>) -> Duration {
    let ready = Instant::now();
    let before = *count.borrow_and_update();
    tokio::select! {
        never = send_on(stream) => match never {},
        reached = count.wait_for(|count| *count > before) => drop(reached.unwrap()),
    }
    let sent = stream.next_sequence();
    let at = DeviceTime::from_millis(model::Clock::now(&model::SystemClock));
    assert_eq!(stream.send(&[Reading::new(at, sent.0 as i32)]).await.unwrap(), sent);
    stream.wait_for_receipt(Sequence(sent.0)).await.unwrap();
    ready.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_flow_within_three_seconds_of_a_killed_node_that_is_ready_again() {
    let story = tokio::time::timeout(STALLED_AFTER, killed_and_back());
    story.await.expect("frames never flowed again");
}

async fn killed_and_back() {
    let mut site = Site::new().await;
    let program = Program::start(&site).await;
    // At the same address again, as a node has it.
    site.config.ingest.listen = program.ingest;
    std::fs::write(site.layout.config(), site.config.to_toml()).unwrap();
    let gateway = Gateway { site: &site, receipts: Arc::default() };
    let (connection, stream, mut count) = gateway.connect(program.ingest).await;
    let mut program = Some(program);
    // Back at once, as a service manager does it; and after the gateway has given the connection
    // up.
    for away in [Duration::ZERO, Duration::from_secs(5)] {
        let running = program.take().unwrap();
        wait_until_ready(running.http).await;
        tokio::select! {
            never = send_on(&stream) => match never {},
            reached = count.wait_for(|count| *count >= 10) => drop(reached.unwrap()),
        }
        running.kill().await;
        // What is sent meanwhile waits for its receipt.
        drop(tokio::time::timeout(away, send_on(&stream)).await);
        let next = Program::start(&site).await;
        wait_until_ready(next.http).await;
        let took = time_to_frames(&stream, &mut count).await;
        println!("away for {away:?} and a start: frames after {took:?}");
        assert!(took <= WITHIN, "{took:?} after the node was ready");
        program = Some(next);
    }
    connection.close().await;
    program.take().unwrap().terminate().await;
}
