//! Gateways that come while the node cannot take a stream: it goes on by itself once it can.

use std::sync::atomic::{AtomicU64, Ordering};

use client::{Connection, ConnectionConfig, Delay, Delayed, Deployment, Identity, Stream};
use model::{Clock as _, EpochNumber, RejectCode, Sequence, SystemClock};
use tokio::sync::mpsc;
use wire::{Descriptor, DeviceTime, Lane, Reading};

use super::around::wait_for;
use super::support::{Site, stream_key};
use crate::clock::tests::TwoClocks;
use crate::disk::tests::FakeDisk;
use crate::node::*;

/// A gateway's connection that hears of each delay.
struct Gateway {
    connection: Connection,
    delays: mpsc::UnboundedReceiver<Delay>,
}

impl Gateway {
    async fn connect(site: &Site, node: &Node) -> Gateway {
        let folder = site.identity();
        let identity = Identity::load(&folder).unwrap();
        let deployment = Deployment::load(&folder).unwrap();
        let address = node.endpoints().ingest;
        let mut config = ConnectionConfig::new(address, "localhost", identity, deployment);
        (config.limits.retry_after_ms, config.limits.reopen_after_ms_max) = (10, 40);
        let (sender, delays) = mpsc::unbounded_channel();
        config.on_delay = Some(Arc::new(move |delay: &Delay| drop(sender.send(delay.clone()))));
        Gateway { connection: Connection::connect(config).await.unwrap(), delays }
    }

    async fn open(&self, epoch: u16) -> Stream {
        self.connection.open_stream(Lane::Live, descriptor(epoch)).await.unwrap()
    }

    /// Waits until a delay of this kind is told.
    async fn told(&mut self, what: Delayed, code: RejectCode) {
        loop {
            let delay = self.delays.recv().await.expect("a delay");
            if delay.what == what {
                return assert_eq!(delay.code, code);
            }
        }
    }
}

fn descriptor(epoch: u16) -> Descriptor {
    Descriptor { key: stream_key(), period: None, epoch: EpochNumber(epoch) }
}

async fn send(stream: &Stream) -> Sequence {
    let at = DeviceTime::from_millis(SystemClock.now());
    stream.send(&[Reading::new(at, 72)]).await.unwrap()
}

/// What a node falls short of, by the word that it is not ready for.
struct Shortage<B, E> {
    cause: &'static str,
    begins: B,
    ends: E,
}

/// A gateway streams, the node falls short of something, the gateway comes again with the stream
/// that the node knows and with a new one, and the node gets well.
async fn check_resumes(site: &Site, shortage: Shortage<impl Fn(), impl Fn()>) {
    let Shortage { cause, begins, ends } = shortage;
    let (node, edge) = site.start().await;
    let first = Gateway::connect(site, &node).await;
    let stream = first.open(1).await;
    send(&stream).await;
    stream.flush().await.unwrap();
    drop((stream, first));

    begins();
    wait_for(&node, "/readyz", cause).await;
    let mut gateway = Gateway::connect(site, &node).await;
    // The node has a frame of it that this client knows nothing of: so it did answer the opening.
    let known = gateway.connection.open_stream(Lane::Live, descriptor(1)).await;
    assert!(known.is_err_and(|why| why.to_string().contains("begin a new epoch")));
    let streaming = async {
        let stream = gateway.connection.open_stream(Lane::Live, descriptor(2)).await.unwrap();
        send(&stream).await;
        stream.flush().await.unwrap();
        stream.last_receipted()
    };
    let told = async {
        for _ in 0..3 {
            let delay = gateway.delays.recv().await.expect("a delay");
            assert_eq!((delay.what, delay.code), (Delayed::Opening, RejectCode::Unavailable));
        }
        ends();
    };
    let (last, ()) = tokio::join!(streaming, told);
    assert_eq!(last, Sequence(1));
    // Open already: its frames wait, and go by themselves too.
    let mut gateway = Gateway::connect(site, &node).await;
    let stream = gateway.open(3).await;
    begins();
    wait_for(&node, "/readyz", cause).await;
    send(&stream).await;
    gateway.told(Delayed::Frames, RejectCode::Unavailable).await;
    ends();
    stream.flush().await.unwrap();
    drop((stream, gateway, edge));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_resume_by_themselves_after_the_disk_was_low_at_a_reconnect() {
    let disk = Arc::new(FakeDisk(AtomicU64::new(1 << 20)));
    let mut site = Site::new().await;
    site.config.journal.reserve_bytes = 80_000;
    site.space = Some(disk.clone());
    let set = |bytes| disk.0.store(bytes, Ordering::SeqCst);
    let (begins, ends) = (|| set(0), || set(1 << 20));
    check_resumes(&site, Shortage { cause: "disk-low", begins, ends }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_resume_by_themselves_after_the_clocks_were_apart_at_a_reconnect() {
    let clocks = TwoClocks::at(SystemClock.now());
    let site = Site::with_clock(clocks.clone()).await;
    let minutes = 10 * 60_000;
    let (begins, ends) = (|| clocks.set_by(minutes), || clocks.set_by(-minutes));
    check_resumes(&site, Shortage { cause: "clock-disagrees", begins, ends }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openings_beyond_the_burst_are_told_and_open_later() {
    let mut site = Site::new().await;
    (site.config.ingest.rates.opens_burst, site.config.ingest.rates.opens_per_minute) = (2, 1_200);
    let (node, edge) = site.start().await;
    let mut gateway = Gateway::connect(&site, &node).await;
    let mut streams = Vec::new();
    for epoch in 1..=6 {
        streams.push(gateway.open(epoch).await);
    }
    for stream in &streams {
        send(stream).await;
    }
    gateway.connection.flush().await.unwrap();
    assert!(streams.iter().all(|stream| stream.last_receipted() == Sequence(1)));
    gateway.told(Delayed::Opening, RejectCode::Busy).await;
    drop((streams, gateway, edge));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates_that_are_read_again_and_did_not_change_fill_no_bucket() {
    let mut site = Site::new().await;
    (site.config.ingest.rates.opens_burst, site.config.ingest.rates.opens_per_minute) = (2, 1);
    let (node, edge) = site.start().await;
    let mut gateway = Gateway::connect(&site, &node).await;
    let _streams = [gateway.open(1).await, gateway.open(2).await];
    node.reload(&site.config).unwrap();
    let mut third = Box::pin(gateway.connection.open_stream(Lane::Live, descriptor(3)));
    tokio::select! {
        _ = &mut third => panic!("expected the third of two streams to wait"),
        delay = gateway.delays.recv() => {
            let Delay { what, code, .. } = delay.expect("a delay");
            assert_eq!((what, code), (Delayed::Opening, RejectCode::Busy));
        }
    }
    // Others hold from then on, for open connections too.
    site.config.ingest.rates.opens_burst = 3;
    node.reload(&site.config).unwrap();
    third.await.unwrap();
    drop((gateway, edge));
    node.stop().await.unwrap();
}
