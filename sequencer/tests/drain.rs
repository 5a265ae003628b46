//! A pause and a drain of the real program while a gateway sends: what has a receipt is settled,
//! what has none is told to come again, and the commands end as they say.

use std::pin::pin;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use client::{Delay, Stream};
use model::RejectCode;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::watch;
use wire::Entry;

use crate::kill::{Gateway, Program, send_on};
use crate::support::{Site, check_output};

/// A stall is a failure, not a hang.
const STALLED_AFTER: Duration = Duration::from_secs(300);

/// What a command does while the gateway sends on.
async fn order(site: &Site, stream: &Stream, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    command.args(words).arg("--json").arg("--dir").arg(site.layout.folder());
    tokio::select! {
        never = send_on(stream) => match never {},
        output = command.output() => output.unwrap(),
    }
}

/// The object of a command that must succeed.
async fn told(site: &Site, stream: &Stream, words: &[&str]) -> Value {
    let output = order(site, stream, words).await;
    check_output(&output, 0, "");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Sends until so many more receipts came.
async fn receipts(stream: &Stream, counted: &mut watch::Receiver<u64>, more: u64) {
    let most = *counted.borrow() + more;
    tokio::select! {
        never = send_on(stream) => match never {},
        reached = counted.wait_for(|count| *count >= most) => drop(reached.unwrap()),
    }
}

/// Readings are taken in while nothing goes to the chain, and all of it goes once it may.
async fn pause_and_resume(site: &Site, stream: &Stream, counted: &mut watch::Receiver<u64>) {
    receipts(stream, counted, 20).await;
    assert_eq!(told(site, stream, &["pause"]).await["settled"], 0);
    assert_eq!(told(site, stream, &["seal", "now"]).await["sealed"], 1);
    receipts(stream, counted, 20).await;
    loop {
        let status = told(site, stream, &["status"]).await;
        let batches = &status["batches"];
        assert_eq!((&batches["settled"], &batches["outbox"]), (&json!(0), &json!(0)));
        if batches["assembled"] == 1 {
            break;
        }
    }
    let refused = order(site, stream, &["drain"]).await;
    check_output(&refused, 1, "`sequencer resume` first");
    assert!(refused.stdout.is_empty());
    receipts(stream, counted, 20).await;
    assert!(told(site, stream, &["resume"]).await["ended"]["pause"].is_object());
}

/// Frames of the journal before the end of window `last`, and behind it.
fn frames_around(site: &Site, last: u64) -> (Vec<u64>, Vec<u64>) {
    let (log, _) = site.open_log();
    let (mut before, mut behind, mut closed) = (Vec::new(), Vec::new(), 0);
    for (_, entry) in site.entries(&log) {
        match entry {
            Entry::Frame(frame) if closed < last => before.push(frame.sequence().0),
            Entry::Frame(frame) => behind.push(frame.sequence().0),
            Entry::Close { .. } => closed += 1,
            _ => {}
        }
    }
    (before, behind)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_gateway_sends_a_pause_delays_the_chain_alone_and_a_drain_settles_every_receipt() {
    let story = tokio::time::timeout(STALLED_AFTER, paused_and_drained());
    story.await.expect("a receipt, a settlement or an answer never came");
}

async fn paused_and_drained() {
    let site = Site::new().await;
    let program = Program::start(&site).await;
    let gateway = Gateway { site: &site, receipts: Arc::default() };
    let (tell, mut delays) = watch::channel(None);
    let mut config = gateway.config(program.ingest);
    config.on_delay = Some(Arc::new(move |delay: &Delay| _ = tell.send_replace(Some(delay.code))));
    let (connection, stream, mut counted) = gateway.connect_by(config).await;
    pause_and_resume(&site, &stream, &mut counted).await;
    assert_eq!(*delays.borrow(), None, "a pause is nothing to a gateway");

    let drained = told(&site, &stream, &["drain", "--wait", "10m"]).await;
    assert_eq!((&drained["nothing_left"], &drained["settled"]), (&json!(true), &json!(2)));
    // Whatever has no receipt comes again: the code is one that may be tried again.
    let mut sending = pin!(send_on(&stream));
    let code = tokio::select! {
        never = &mut sending => match never {},
        told = delays.wait_for(Option::is_some) => told.unwrap().unwrap(),
    };
    assert_eq!((code, code.retry()), (RejectCode::Unavailable, true));
    let acknowledged = stream.last_receipted().0;
    assert!(acknowledged < stream.next_sequence().0 - 1, "some have no receipt");

    // Nothing is lost of what waited: it goes in once the node takes in again.
    assert!(told(&site, &stream, &["resume"]).await["ended"]["drain"].is_object());
    stream.flush().await.unwrap();
    let last = stream.last_receipted().0;
    assert_eq!(last, stream.next_sequence().0 - 1);
    connection.close().await;
    program.terminate().await;
    let (settled, later) = frames_around(&site, 2);
    assert_eq!(settled, (1..=acknowledged).collect::<Vec<_>>(), "each acknowledged, each once");
    assert_eq!(later, (acknowledged + 1..=last).collect::<Vec<_>>());
}
