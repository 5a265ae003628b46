//! Runs over real QUIC on loopback, against the node of the client's tests.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use client::Fingerprint;
use loadgen::verify::Verification;
use loadgen::{
    Assignment, Habits, Laying, Live, LoadConfig, Rate, Report, VerifyConfig, VerifyError,
    find_deployment, run, verify,
};
use model::{DeviceId, ExitCode, PatientIndex, RejectCode, signal_by_name};
use tempfile::TempDir;
use tokio::sync::watch;
use wire::{Codec, StreamKey};

use crate::node::{Behaviour, Node};

const GATEWAY: &str = "gw-01";

/// A node, one gateway's identity, and room for a ledger.
struct Ward {
    node: Node,
    folder: TempDir,
}

impl Ward {
    fn open(behaviour: Behaviour) -> Ward {
        let (node, folder) = (Node::start(behaviour), TempDir::new().expect("a folder"));
        node.write_identity(&folder.path().join(GATEWAY), "gateway", GATEWAY);
        Ward { node, folder }
    }

    fn identity(&self) -> PathBuf {
        self.folder.path().join(GATEWAY)
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    /// An ECG and a PPG for a tenth of a second, 1000 frames a second in all.
    fn config(&self) -> LoadConfig {
        LoadConfig {
            node: self.node.address,
            server_name: "localhost".into(),
            assignments: vec![self.assignment("m-1", "ecg"), self.assignment("m-2", "ppg")],
            rate: Rate::PerSecond(NonZeroU64::new(16_000).expect("not zero")),
            duration: Duration::from_millis(100),
            frame_readings: 16,
            laying: Laying::Frames(Codec::RAW),
            in_flight_max: 1000,
            habits: Habits::default(),
            drain: Duration::from_secs(30),
            retry_for: Duration::from_secs(30),
            ledger: Some(self.ledger()),
            receipts: None,
        }
    }

    fn assignment(&self, device: &str, signal: &str) -> Assignment {
        let signal = signal_by_name(signal).expect("a known signal");
        let device = DeviceId::new(device).expect("a plain name");
        let patient = PatientIndex::new(7).expect("24 bits");
        let key = StreamKey { device, patient, signal: signal.code };
        Assignment { identity: self.identity(), key }
    }

    async fn verify(&self) -> Result<Verification, VerifyError> {
        self.verify_within(Duration::from_secs(30)).await
    }

    async fn verify_within(&self, open_for: Duration) -> Result<Verification, VerifyError> {
        let config = VerifyConfig {
            node: self.node.address,
            server_name: "localhost".into(),
            identities: vec![self.identity()],
            ledger: self.ledger(),
            open_for,
        };
        verify(&config).await
    }

    fn stored(&self) -> u64 {
        self.node.log().stored as u64
    }
}

async fn load(config: &LoadConfig) -> Report {
    let report = run(config, Arc::new(Live::default()), watch::Sender::new(false)).await;
    report.expect("a run")
}

#[tokio::test]
async fn every_frame_sent_is_acknowledged_timed_and_found_again() {
    let ward = Ward::open(Behaviour::default());
    let report = load(&ward.config()).await;
    assert_eq!(report.exit_code(), ExitCode::Ok, "{}", report.text());
    assert_eq!(report.frames_sent + report.frames_behind, 99, "due before 100 ms");
    assert_eq!((report.frames_acknowledged, report.receipts), (report.frames_sent, ward.stored()));
    assert_eq!(report.readings_acknowledged, 16 * report.frames_sent);
    assert_eq!(report.bytes_acknowledged, (32 + 16 * 16) * report.frames_sent);
    assert!(report.latency.p50_us > 0 && report.latency.p50_us <= report.latency.max_us);
    let bins = &report.series.bins;
    let of_all =
        (bins.iter().map(|bin| bin.frames).sum(), bins.iter().map(|bin| bin.readings).sum());
    assert_eq!(of_all, (report.frames_acknowledged, report.readings_acknowledged));
    assert_eq!(bins.iter().map(|bin| bin.max_us).max(), Some(report.latency.max_us));
    let total = format!("Total count    = {:12}]", report.frames_acknowledged);
    assert!(report.distribution.contains(&total), "{}", report.distribution);
    let found = ward.verify().await.expect("an answer");
    assert_eq!((found.acknowledged, found.streams, found.lost), (report.frames_sent, 2, 0));
}

#[tokio::test]
async fn every_codec_carries_the_recordings_and_a_grid_in_few_bytes() {
    let alone = Codec::SPOKEN.map(Laying::Frames);
    for laying in alone.into_iter().chain([Laying::Blocks]) {
        let codec = laying.codec();
        let ward = Ward::open(Behaviour::default());
        let rate = Rate::PerSecond(NonZeroU64::new(256_000).expect("not zero"));
        let report = load(&LoadConfig { laying, rate, frame_readings: 256, ..ward.config() }).await;
        assert_eq!(report.exit_code(), ExitCode::Ok, "{}", report.text());
        assert_eq!(report.readings_acknowledged, 256 * report.frames_sent);
        assert!(report.frames_sent > 0);
        let log = ward.node.log();
        let frames = log.frames.values().flat_map(|frames| frames.values());
        let mut bytes = 0;
        for (frame, ..) in frames {
            assert_eq!(frame.header().codec, codec);
            bytes += frame.as_bytes().len() as u64;
        }
        assert_eq!(report.bytes_acknowledged, bytes);
        let limit = if codec == Codec::GRID { 2 } else { 17 };
        assert!(bytes < limit * report.readings_acknowledged, "{codec:?}: {bytes}");
    }
}

#[tokio::test]
async fn small_frames_in_blocks_are_acknowledged_one_by_one() {
    let ward = Ward::open(Behaviour::default());
    let rate = Rate::PerSecond(NonZeroU64::new(8_000).expect("not zero"));
    let config = LoadConfig { rate, frame_readings: 2, ..ward.config() };
    let report = load(&LoadConfig { laying: Laying::Blocks, ..config }).await;
    assert_eq!(report.exit_code(), ExitCode::Ok, "{}", report.text());
    assert!(report.frames_sent > 0);
    assert_eq!(report.readings_acknowledged, 2 * report.frames_sent);
    let found = ward.verify().await.expect("an answer");
    assert_eq!((found.acknowledged, found.lost), (report.frames_sent, 0));
}

#[tokio::test]
async fn an_acknowledged_frame_that_the_node_no_longer_has_is_named() {
    let ward = Ward::open(Behaviour::default());
    let report = load(&ward.config()).await;
    let last = {
        let mut log = ward.node.log();
        let frames = log.frames.values_mut().next().expect("a stream");
        frames.pop_last().expect("a frame").0.0
    };
    let found = ward.verify().await.expect("an answer");
    let first = found.first_lost.clone().expect("a lost frame");
    assert_eq!((&*first.device, first.seq, first.durable), ("m-1", last, last - 1));
    assert_eq!((found.lost, found.exit_code()), (1, ExitCode::Failed));
    assert_eq!(found.acknowledged, report.frames_acknowledged);
}

#[tokio::test]
async fn a_lost_connection_costs_time_and_no_frame() {
    let ward = Ward::open(Behaviour { drop_after_frames: Some(3), ..Behaviour::default() });
    let report = load(&ward.config()).await;
    assert_eq!((report.exit_code(), report.reconnects), (ExitCode::Ok, 1), "{}", report.text());
    assert_eq!(report.frames_acknowledged, report.frames_sent);
    assert_eq!(report.series.bins.iter().map(|bin| bin.reconnects).sum::<u64>(), 1);
    assert_eq!(ward.verify().await.expect("an answer").lost, 0);
}

#[tokio::test]
async fn a_refused_stream_is_counted_by_its_code_and_the_others_go_on() {
    let reject_frame = Some(RejectCode::NotPermitted);
    let ward = Ward::open(Behaviour { reject_frame, ..Behaviour::default() });
    let report = load(&ward.config()).await;
    assert_eq!(report.refused_streams.get("NotPermitted"), Some(&1), "{}", report.text());
    assert!(report.refused_frames["NotPermitted"] > 0 && report.frames_acknowledged > 0);
    assert_eq!((report.frames_unacknowledged, report.exit_code()), (0, ExitCode::Failed));
    assert_eq!(report.series.bins.iter().map(|bin| bin.refused).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_stream_that_is_postponed_is_a_delay_and_no_refusal() {
    let ward = Ward::open(Behaviour { postpone_opens: 1, ..Behaviour::default() });
    let report = load(&ward.config()).await;
    assert_eq!((report.exit_code(), report.streams_delayed), (ExitCode::Ok, 1));
    assert!(report.refused_streams.is_empty() && report.refused_frames.is_empty());
    assert!(report.text().contains("1 delays, 1 of streams"), "{}", report.text());
    assert_eq!(report.frames_acknowledged, report.frames_sent);
}

#[tokio::test]
async fn a_ledger_is_not_held_against_a_node_that_opens_nothing_now() {
    let ward = Ward::open(Behaviour::default());
    load(&ward.config()).await;
    ward.node.behave(Behaviour { postpone_opens: usize::MAX, ..Behaviour::default() });
    let error = ward.verify_within(Duration::from_millis(50)).await.expect_err("no answer");
    assert!(matches!(error, VerifyError::Open { .. }), "{error:?}");
    assert_eq!(error.exit_code(), ExitCode::Unavailable);
}

#[tokio::test]
async fn what_has_no_receipt_is_bounded_counted_and_a_failure() {
    let ward = Ward::open(Behaviour { silent: true, ..Behaviour::default() });
    let (in_flight_max, drain) = (4, Duration::from_millis(1));
    let report = load(&LoadConfig { in_flight_max, drain, ..ward.config() }).await;
    assert_eq!((report.frames_sent, report.frames_unacknowledged), (4, 4));
    assert_eq!((report.frames_behind, report.frames_acknowledged), (95, 0));
    assert_eq!(report.exit_code(), ExitCode::Failed);
    assert!(matches!(ward.verify().await, Err(VerifyError::Empty)));
}

#[tokio::test]
async fn the_highest_rate_goes_on_until_it_is_stopped() {
    let ward = Ward::open(Behaviour::default());
    let duration = Duration::from_secs(600);
    let config = LoadConfig { rate: Rate::Max, duration, in_flight_max: 8, ..ward.config() };
    let stop = watch::Sender::new(false);
    let stopping = async {
        ward.node.stored(50).await;
        stop.send_replace(true);
    };
    let running = run(&config, Arc::new(Live::default()), stop.clone());
    let (report, ()) = tokio::join!(running, stopping);
    let report = report.expect("a run");
    assert_eq!(report.exit_code(), ExitCode::Interrupted);
    assert!(report.frames_sent >= 50, "{}", report.text());
    assert_eq!(report.frames_acknowledged, report.frames_sent);
    assert_eq!((report.offered_readings_per_second, report.frames_behind), (None, 0));
}

#[tokio::test]
async fn an_identity_that_is_no_gateway_sends_nothing() {
    let ward = Ward::open(Behaviour::default());
    ward.node.write_identity(&ward.identity(), "wallet", "wallet-1");
    let config = LoadConfig { ledger: None, ..ward.config() };
    let refused = run(&config, Arc::new(Live::default()), watch::Sender::new(false)).await;
    let error = refused.expect_err("a wallet");
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(error.to_string().contains("another role"), "{error}");
}

#[tokio::test]
async fn identities_of_another_deployment_than_was_told_are_refused() {
    let ward = Ward::open(Behaviour::default());
    let own = crate::node::facts().fingerprint();
    let folder = ward.identity();
    let found = |expected| find_deployment([folder.as_path()], expected);
    assert_eq!(found(None).expect("one deployment"), own);
    assert_eq!(found(Some(own)).expect("the one that is meant"), own);
    let other = found(Some(Fingerprint::default())).expect_err("another");
    assert_eq!(other.exit_code(), ExitCode::Failed);
    let text = model::with_causes(&other);
    assert!(text.contains(&own.to_string()) && text.contains(GATEWAY), "{text}");
    let none = find_deployment([], None).expect_err("no identity");
    assert_eq!(none.exit_code(), ExitCode::Usage);

    load(&ward.config()).await;
    let program = async |more: &[&str]| {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["verify", "--node", &ward.node.address.to_string()])
            .arg("--ledger")
            .arg(ward.ledger())
            .arg("--identity")
            .arg(&folder)
            .args(more)
            .output()
            .await
            .expect("it runs")
    };
    let done = program(&["--json"]).await;
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(report["fingerprint"], own.to_string());
    let refused = program(&["--fingerprint", &"00".repeat(20)]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&own.to_string()));
}
