//! Scenarios over real QUIC on loopback, against the node of the client's tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loadgen::html::{Origin, scenario_page};
use loadgen::scenario::{Outcome, Part, PlayConfig, PlayError, Scenario, play};
use loadgen::{Assignment, IdleConfig, IdleError, Live, idle};
use model::{DeviceId, ExitCode, PatientIndex, signal_by_name};
use tempfile::TempDir;
use tokio::sync::watch;
use wire::StreamKey;

use crate::node::{Behaviour, Node};

/// A node and as many gateways as a test wants.
struct Floor {
    node: Node,
    folder: TempDir,
    assignments: Vec<Assignment>,
}

impl Floor {
    fn open(behaviour: Behaviour, gateways: usize) -> Floor {
        let (node, folder) = (Node::start(behaviour), TempDir::new().expect("a folder"));
        let mut floor = Floor { node, folder, assignments: Vec::new() };
        for number in 0..gateways {
            let identity = floor.identity(number);
            // The node in memory makes its receipts out to this one.
            floor.node.write_identity(&identity, "gateway", "gw-01");
            let signal = signal_by_name("ecg").expect("a known signal").code;
            let device = DeviceId::new(&format!("m-{number}")).expect("a plain name");
            let patient = PatientIndex::new(7).expect("24 bits");
            let key = StreamKey { device, patient, signal };
            floor.assignments.push(Assignment { identity, key });
        }
        floor
    }

    fn identity(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("gw-{number}"))
    }

    fn config(&self, text: &str) -> PlayConfig {
        PlayConfig {
            scenario: Scenario::parse("test.toml", text).expect("a scenario"),
            node: self.node.address,
            server_name: "localhost".into(),
            assignments: self.assignments.clone(),
            part: Part::WHOLE,
        }
    }

    async fn play(&self, text: &str) -> Outcome {
        let stop = watch::Sender::new(false);
        play(&self.config(text), Arc::new(Live::default()), stop).await.expect("it is played")
    }
}

/// Two groups of two gateways, one on a grid and one a reading at a time.
const HONEST: &str = r#"
    duration = "100ms"
    [[gateways]]
    name = "monitors"
    count = 2
    codec = "grid"
    readings = 16
    rate = "16000"
    backlog = 3
    [[gateways]]
    name = "phones"
    count = 2
    readings = 1
    rate = "200"
    start_spread = "50ms"
"#;

#[tokio::test]
async fn groups_send_beside_each_other_and_each_has_figures_of_its_own() {
    let floor = Floor::open(Behaviour::default(), 4);
    let outcome = floor.play(HONEST).await;
    assert_eq!(outcome.exit_code(), ExitCode::Ok, "{}", outcome.text());
    let [monitors, phones] = &outcome.groups[..] else { panic!("two groups") };
    assert_eq!((&*monitors.name, &*phones.name), ("monitors", "phones"));
    let due = |group: &loadgen::scenario::GroupOutcome| {
        group.report.frames_sent + group.report.frames_behind
    };
    // 99 as they come, and three that each of the two had before.
    assert_eq!(due(monitors), 99 + 6);
    // The second phone begins 25 ms later: 50 ms are half of the spread of two.
    assert_eq!(due(phones), 10 + 7);
    let stored: u64 = outcome.groups.iter().map(|group| group.report.frames_acknowledged).sum();
    assert_eq!(floor.node.log().stored as u64, stored);
    assert!(outcome.text().contains("expectations 8 of 8 hold"), "{}", outcome.text());
}

#[tokio::test]
async fn two_programs_play_a_scenario_in_parts_and_no_gateway_is_in_both() {
    let floor = Floor::open(Behaviour::default(), 4);
    let play_part = async |part: &str| {
        let config = PlayConfig { part: part.parse().expect("a part"), ..floor.config(HONEST) };
        play(&config, Arc::new(Live::default()), watch::Sender::new(false)).await.expect("played")
    };
    let outcomes = tokio::join!(play_part("1/2"), play_part("2/2"));
    let mut frames = [0, 0];
    for outcome in [outcomes.0, outcomes.1] {
        assert_eq!(outcome.exit_code(), ExitCode::Ok, "{}", outcome.text());
        for (group, frames) in outcome.groups.iter().zip(&mut frames) {
            assert_eq!(group.report.streams, 1, "{}", group.name);
            *frames += group.report.frames_sent + group.report.frames_behind;
        }
    }
    // Half of the rate each: as many as one program plays, but for what is rounded.
    assert!((104..=105).contains(&frames[0]), "{frames:?}");
    let config = PlayConfig { part: "1/3".parse().expect("a part"), ..floor.config(HONEST) };
    let few = play(&config, Arc::new(Live::default()), watch::Sender::new(false)).await;
    let few = few.expect_err("a group without a gateway").to_string();
    assert!(few.contains("at most 2 parts, as many as group monitors has gateways"), "{few}");
}

#[tokio::test]
async fn an_expectation_that_does_not_hold_fails_and_names_its_group() {
    let floor = Floor::open(Behaviour::default(), 4);
    let text = HONEST.replace("start_spread", "expect = { reconnects_min = 1 }\nstart_spread");
    let outcome = floor.play(&text).await;
    assert_eq!(outcome.exit_code(), ExitCode::Failed);
    let said = "FAILED phones: reconnects_min: expected 1, found 0";
    assert!(outcome.text().contains(said), "{}", outcome.text());
    let page = scenario_page(&outcome, &Origin::default());
    assert!(page.contains("FAILED: expected 1, found 0") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<h2>").count(), 2);
    for text in ["<script", "http:", "https:", "src=", "href="] {
        assert!(!page.contains(text), "expected no `{text}`");
    }
}

#[tokio::test]
async fn what_is_sent_while_links_are_down_comes_later_and_none_is_lost() {
    let floor = Floor::open(Behaviour::default(), 2);
    let outcome = floor
        .play(
            r#"
            duration = "200ms"
            drain = "30s"
            [[gateways]]
            name = "monitors"
            count = 2
            readings = 16
            rate = "16000"
            outage = { after = "20ms", lasts = "60ms", every = "100ms" }
        "#,
        )
        .await;
    assert_eq!(outcome.exit_code(), ExitCode::Ok, "{}", outcome.text());
    let report = &outcome.groups[0].report;
    assert!(report.datagrams_cut > 0, "{}", outcome.text());
    assert_eq!(report.frames_acknowledged, report.frames_sent);
    assert_eq!(floor.node.log().stored as u64, report.frames_sent);
}

#[tokio::test]
async fn a_backlog_was_measured_before_the_begin_and_in_order() {
    let floor = Floor::open(Behaviour::default(), 1);
    let outcome = floor
        .play(
            r#"
            duration = "100ms"
            [[gateways]]
            name = "watch"
            count = 1
            codec = "columnar"
            readings = 36
            rate = "natural"
            backlog = 10
        "#,
        )
        .await;
    assert_eq!(outcome.exit_code(), ExitCode::Ok, "{}", outcome.text());
    let log = floor.node.log();
    let frames: Vec<_> = log.frames.values().next().expect("a stream").values().collect();
    let starts: Vec<_> = frames.iter().map(|frame| frame.0.header().start.micros()).collect();
    // 36 readings at 360 Hz are a tenth of a second: ten frames before, and at most one meanwhile.
    assert!((10..=11).contains(&starts.len()), "{starts:?}");
    for pair in starts[..10].windows(2) {
        assert!((99_000..=101_000).contains(&(pair[1] - pair[0])), "{starts:?}");
    }
}

/// One honest gateway beside hostile ones, with too little time for what needs it.
#[tokio::test]
async fn hostile_gateways_act_are_counted_and_do_no_harm_here() {
    let floor = Floor::open(Behaviour::default(), 8);
    let mut text = r#"
        duration = "500ms"
        [[gateways]]
        name = "monitor"
        count = 1
        readings = 16
        rate = "1600"
    "#
    .to_owned();
    // The node in memory vouches that no sequence comes with other bytes: that is for a real one.
    let kinds = loadgen::Behaviour::ALL;
    let kinds: Vec<_> =
        kinds.iter().filter(|one| **one != loadgen::Behaviour::Duplicates).collect();
    for behaviour in kinds {
        let name = behaviour.name();
        text += &format!(
            "\n[[hostile]]\nname = \"{name}\"\nbehaviour = \"{name}\"\ncount = 1\nconnections = 1\n"
        );
    }
    let outcome = floor.play(&text).await;
    assert_eq!(outcome.exit_code(), ExitCode::Ok, "{}", outcome.text());
    assert_eq!(outcome.hostile.len(), 6);
    for hostile in &outcome.hostile {
        let report = &hostile.report;
        assert_eq!((report.connections, report.failed), (1, 0), "{}", outcome.text());
        assert!(report.dialled >= 1, "{}", outcome.text());
        let says_nothing = hostile.name == "only-handshake";
        assert_eq!(report.bytes_sent == 0, says_nothing, "{}", outcome.text());
    }
    let of = |name: &str| {
        let found = outcome.hostile.iter().find(|one| one.name == name);
        found.expect("a group").report.clone()
    };
    assert_eq!(of("only-handshake").open, 1);
    assert!(of("gaps").rejected.contains_key("Gap"), "{}", outcome.text());
    // Its window holds less than a receipt.
    assert_eq!(of("slow-reader").receipts, 0);
}

#[tokio::test]
async fn connections_that_do_nothing_are_welcomed_and_stay() {
    let floor = Floor::open(Behaviour::default(), 2);
    let config = |connections| IdleConfig {
        node: floor.node.address,
        server_name: "localhost".into(),
        identities: vec![floor.identity(0), floor.identity(1)],
        connections,
        hold: Duration::from_millis(1),
        process: Some(std::process::id()),
    };
    let report = idle(&config(70)).await.expect("connections");
    assert_eq!((report.welcomed, report.open, report.exit_code()), (70, 70, ExitCode::Ok));
    assert!(report.bytes_each().is_some() && report.text().contains("KiB a connection"));
    let none = idle(&config(0)).await.expect_err("none");
    assert_eq!(none.exit_code(), ExitCode::Usage);
    let gone = IdleConfig { process: Some(u32::MAX), ..config(1) };
    let gone = idle(&gone).await.expect_err("no such process");
    assert!(matches!(gone, IdleError::Process { process: u32::MAX }), "{gone:?}");
}

#[tokio::test]
async fn too_few_gateways_and_a_group_that_cannot_begin_end_it_at_once() {
    let floor = Floor::open(Behaviour::default(), 3);
    let stop = || watch::Sender::new(false);
    let few = play(&floor.config(HONEST), Arc::new(Live::default()), stop()).await;
    let few = few.expect_err("too few");
    assert_eq!(few.exit_code(), ExitCode::Usage);
    assert!(few.to_string().contains("of 4 gateways") && few.to_string().contains("found 3"));
    // Also where the others wait for it to begin.
    let floor = Floor::open(Behaviour::default(), 4);
    floor.node.write_identity(&floor.identity(3), "wallet", "wallet-1");
    let wallet = play(&floor.config(HONEST), Arc::new(Live::default()), stop()).await;
    let wallet = wallet.expect_err("a wallet");
    assert!(matches!(&wallet, PlayError::Load { group, .. } if group == "phones"), "{wallet:?}");
    assert_eq!(wallet.exit_code(), ExitCode::Usage);
}

#[tokio::test]
async fn the_program_plays_a_file_and_writes_over_nothing() {
    let floor = Floor::open(Behaviour::default(), 4);
    let path = |name: &str| floor.folder.path().join(name);
    let lines = floor.assignments.iter().zip(0..).map(|(one, number)| {
        format!(
            "{{\"identity\":\"gw-{number}\",\"device\":\"{}\",\"patient\":7,\"signal\":\"ecg\"}}\n",
            one.key.device
        )
    });
    std::fs::write(path("assignments.json"), lines.collect::<String>()).expect("written");
    std::fs::write(path("my-ward.toml"), HONEST).expect("written");
    let program = async |more: &[&str]| {
        let program = tokio::process::Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .arg("scenario")
            .arg(path("my-ward.toml"))
            .arg("--assignments")
            .arg(path("assignments.json"))
            .args(["--node", &floor.node.address.to_string(), "--json", "--html"])
            .arg(path("page.html"))
            .arg("--hdr")
            .arg(path("latency.hgrm"))
            .args(more)
            .output();
        program.await.expect("it runs")
    };
    let done = program(&[]).await;
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{error}");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(
        (&report["scenario"], &report["groups"][1]["name"]),
        (&"my-ward".into(), &"phones".into())
    );
    assert_eq!(report["groups"][0]["verdicts"][0]["holds"], true);
    assert_eq!(report["fingerprint"], crate::node::facts().fingerprint().to_string());
    let kept = std::fs::read(path("page.html")).expect("a page");
    for group in ["monitors", "phones"] {
        let text = std::fs::read_to_string(path(&format!("latency.{group}.hgrm"))).expect("text");
        assert!(text.contains("#[Max"), "{text}");
    }
    let refused = program(&[]).await;
    assert_eq!(refused.status.code(), Some(2));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("page.html") && error.contains("--overwrite"), "{error}");
    assert_eq!(std::fs::read(path("page.html")).expect("the same"), kept);
    let replaced = program(&["--overwrite"]).await;
    assert_eq!(replaced.status.code(), Some(0));
    assert_ne!(std::fs::read(path("page.html")).expect("another"), kept);
}
