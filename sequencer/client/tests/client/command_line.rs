//! The `vitals` binary from the outside: one story, and what is refused.

use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use crate::node::{Behaviour, Node, signing_key};

/// One command line, whose words are separated by spaces; `DIR` stands for the folder.
pub(crate) async fn vitals(folder: &Path, node: &Node, line: &str) -> Output {
    run(folder, node, &format!("{line} --json")).await
}

/// What it says to people.
async fn in_words(folder: &Path, node: &Node, line: &str) -> String {
    let output = run(folder, node, line).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

async fn run(folder: &Path, node: &Node, line: &str) -> Output {
    command(folder, node, line).output().await.expect("vitals runs")
}

pub(crate) fn command(folder: &Path, node: &Node, line: &str) -> Command {
    let words = line.split(' ').filter(|word| !word.is_empty());
    let words = words.map(|word| word.replace("DIR", folder.to_str().unwrap()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitals"));
    command.args(words).env("VITALS_NODE", format!("localhost:{}", node.address.port()));
    command.kill_on_drop(true);
    command
}

pub(crate) async fn done(folder: &Path, node: &Node, line: &str) -> serde_json::Value {
    let output = vitals(folder, node, line).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{line}: {error}");
    serde_json::from_slice(&output.stdout).expect("one object")
}

pub(crate) fn folder_with_identities(node: &Node) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (role, name) in [
        ("operator", "operator-1"),
        ("wallet", "wallet-1"),
        ("practitioner", "dr-001"),
        ("gateway", "gw-01"),
    ] {
        node.write_identity(&folder.path().join(role), role, name);
    }
    folder
}

#[tokio::test]
async fn a_patient_permits_revokes_and_stops_and_each_receipt_is_taken_over() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let run = async |line: &str| done(folder.path(), &node, line).await;
    run("key new --kind patient --out DIR/anna.key").await;
    run("key new --kind registrar --out DIR/registrar.key").await;
    let enrolled =
        run("consent enrol --registrar-key DIR/registrar.key --patient-key DIR/anna.key \
                        --index 7 --identity DIR/operator --yes");
    assert_eq!(enrolled.await["applied"], true);

    let permit = "consent permit --patient-key DIR/anna.key --identity DIR/wallet \
                  --actor practitioner:dr-001 --categories ecg,spo2 --purposes treatment --for 24h \
                  --preview-actor practitioner:dr-001 --preview-category spo2";
    let previewed = run(&format!("{permit} --dry-run")).await;
    let permitted = run(&format!("{permit} --yes")).await;
    for report in [&previewed, &permitted] {
        assert!(report["before"].as_str().unwrap().starts_with("no, practitioner dr-001"));
        assert!(report["after"].as_str().unwrap().ends_with("under permit:0"));
        assert_eq!(report["names"][0]["name"], "practitioner dr-001");
        assert_eq!(report["names"][0]["new"], true);
    }
    // Signed once, the name is the wallet's.
    let again = run(&format!("{permit} --dry-run")).await;
    assert_eq!(again["names"][0]["new"], false);
    assert_eq!((&previewed["applied"], &permitted["applied"]), (&false.into(), &true.into()));

    let own = "--patient-key DIR/anna.key --identity DIR/wallet --yes";
    run(&format!("consent deny {own} --actor any --categories glucose --purposes all")).await;
    run(&format!(
        "consent policy {own} --actor organisation:ward-3 --categories all --purposes \
                  emergency-treatment"
    ))
    .await;
    run(&format!("consent revoke {own} --slot permit:0")).await;
    run(&format!("consent stop {own}")).await;
    let shown = run("consent show --patient-key DIR/anna.key --identity DIR/wallet").await;
    assert_eq!(shown["nonce"], 5);
    assert!(shown["state"].as_str().unwrap().starts_with("closed at"));
    let slots: Vec<_> = shown["rules"].as_array().unwrap().iter().map(|r| &r["slot"]).collect();
    assert_eq!(slots, ["permit:0", "deny:0", "policy:0"]);
    assert_eq!(shown["rules"][0]["ended"], true);
    assert_eq!(node.log().operations.len(), 6);
    let refused = vitals(folder.path(), &node, &format!("consent stop {own}")).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("C1.12"));
}

#[tokio::test]
async fn every_holder_shows_its_newest_receipt_and_hears_of_an_accepted_loss() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let run = async |line: &str| done(folder.path(), &node, line).await;
    let own = enrol(folder.path(), &node).await;
    let deny = format!("consent deny {own} --actor any --purposes all --categories");
    run("key new --kind practitioner --out DIR/dr.key").await;
    let access = "access --key DIR/dr.key --identity DIR/practitioner --organisation ward-3 \
                  --patient 7 --categories ecg --purpose treatment --data-from 2020-01-01 \
                  --data-until now";
    std::fs::write(folder.path().join("beats.csv"), "value\n60\n").unwrap();
    let stream = "stream --identity DIR/gateway --device m-1 --patient 7 --signal heart-rate \
                  --rate-hz 2 --end now DIR/beats.csv";
    let deny_ecg = format!("{deny} ecg");
    let deny_spo2 = format!("{deny} spo2");
    node.log().shown.clear();
    let first = [run(&deny_ecg).await, run(access).await, run(stream).await];
    assert_eq!(node.log().shown, [None; 3], "an identity that never had a receipt");
    let fingerprint = crate::node::facts().fingerprint().to_string();
    for report in &first {
        assert_eq!(report["fingerprint"], fingerprint.as_str());
        assert_eq!((&report["term"], &report["losses_accepted"]), (&0.into(), &0.into()));
    }
    for identity in ["operator", "wallet", "practitioner", "gateway"] {
        let kept = folder.path().join(identity).join("newest.receipt");
        files::check_secret(&kept).unwrap();
    }
    // The node goes on behind a loss: each of them knows a receipt of before it.
    node.log().term = 1;
    for (line, first) in [(deny_spo2.as_str(), &first[0]), (access, &first[1]), (stream, &first[2])]
    {
        let report = run(line).await;
        let known = node.log().shown.last().copied().flatten();
        let group = first["group"].as_u64();
        assert!(known.is_some() && (group.is_none() || known == group), "{known:?} {first}");
        assert_eq!((&report["term"], &report["losses_accepted"]), (&1.into(), &1.into()));
    }
    node.log().term = 2;
    let text = in_words(folder.path(), &node, &format!("consent stop {own}")).await;
    assert!(text.contains("the node's operator accepted a loss"), "{text}");
    assert!(text.starts_with(&format!("deployment {fingerprint}\n")), "{text}");
}

#[tokio::test]
async fn a_receipt_that_cannot_be_kept_to_be_shown_again_is_told_with_the_answer() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let own = enrol(folder.path(), &node).await;
    // It is written beside its place first: a folder there lets that fail.
    std::fs::create_dir(folder.path().join("wallet/newest.receipt.new")).unwrap();
    let stop = vitals(folder.path(), &node, &format!("consent stop {own}")).await;
    assert_eq!(stop.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&stop.stdout).unwrap();
    assert_eq!(report["applied"], true);
    let why = report["not_kept"].as_str().unwrap_or_default();
    assert!(why.contains("wallet/newest.receipt cannot be written"), "{report}");
}

#[tokio::test]
async fn a_newest_receipt_that_is_none_keeps_no_stop_out_and_stays() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let own = enrol(folder.path(), &node).await;
    let kept = folder.path().join("wallet/newest.receipt");
    files::replace(&kept, &[b"torn"], files::Audience::Owner).unwrap();
    let stop = vitals(folder.path(), &node, &format!("consent stop {own}")).await;
    assert_eq!(stop.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&stop.stdout).unwrap();
    assert_eq!(report["applied"], true);
    let why = report["not_kept"].as_str().unwrap_or_default();
    assert!(why.contains("wallet/newest.receipt") && why.contains("move the file"), "{report}");
    assert_eq!(std::fs::read(&kept).unwrap(), b"torn", "it may be evidence");
}

#[tokio::test]
async fn what_is_released_arrives_where_its_receipt_cannot_be_kept() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let dir = folder.path();
    std::fs::write(dir.join("beats.csv"), "value\n60\n").unwrap();
    done(
        dir,
        &node,
        "stream --identity DIR/gateway --device m-1 --patient 7 --signal heart-rate --rate-hz 2 \
         --end now DIR/beats.csv",
    )
    .await;
    done(dir, &node, "key new --kind practitioner --out DIR/dr.key").await;
    std::fs::create_dir(dir.join("practitioner/newest.receipt.new")).unwrap();
    let access = "access --key DIR/dr.key --identity DIR/practitioner --organisation ward-3 \
                  --patient 7 --categories heart-rate --purpose treatment --data-from 2020-01-01 \
                  --data-until now --out DIR/read.csv";
    let output = vitals(dir, &node, access).await;
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["permitted"], &report["readings"]), (&true.into(), &1.into()));
    assert!(report["not_kept"].as_str().unwrap().contains("newest.receipt"), "{report}");
    assert_eq!(std::fs::read_to_string(dir.join("read.csv")).unwrap().lines().count(), 2);
}

/// A patient enrolled by the registrar; the options of every operation that its wallet signs.
pub(crate) async fn enrol(folder: &Path, node: &Node) -> &'static str {
    done(folder, node, "key new --out DIR/anna.key").await;
    done(folder, node, "key new --kind registrar --out DIR/registrar.key").await;
    let enrol = "consent enrol --registrar-key DIR/registrar.key --patient-key DIR/anna.key \
                 --index 7 --identity DIR/operator --yes";
    done(folder, node, enrol).await;
    "--patient-key DIR/anna.key --identity DIR/wallet --yes"
}

#[tokio::test]
async fn an_operation_keeps_its_receipt_where_the_wallets_copy_cannot_be_written() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let own = enrol(folder.path(), &node).await;
    // The copy is written beside its place first: a folder there lets that fail.
    std::fs::create_dir(folder.path().join("anna.key.record.new")).unwrap();
    let deny = format!(
        "consent deny {own} --actor any --categories glucose --purposes all \
         --receipts DIR/receipts"
    );
    let output = vitals(folder.path(), &node, &deny).await;
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["applied"], true);
    assert!(report["copy_error"].as_str().unwrap().starts_with("the record file"), "{report}");
    let shown = hex::decode(report["receipt"].as_str().unwrap()).unwrap();
    let receipt = wire::SignedReceipt::from_bytes(&shown).unwrap();
    assert_eq!(receipt.verify(wire::signer_address(&signing_key())), Ok(()));
    let group = format!("{:020}.receipt", receipt.receipt.group.group);
    let kept = std::fs::read(folder.path().join("receipts").join(group)).unwrap();
    assert_eq!(kept, shown, "the folder of receipts has the same one");
}

#[tokio::test]
async fn a_rule_is_written_into_the_slot_asked_for_or_nowhere() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let own = enrol(folder.path(), &node).await;
    let deny = format!("consent deny {own} --actor any --categories glucose --purposes all --slot");
    // Number 4 of the denies would be number 0 of the policies.
    for beyond in ["4", "255"] {
        let refused = vitals(folder.path(), &node, &format!("{deny} {beyond}")).await;
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("deny:0 to 3"));
    }
    let written = done(folder.path(), &node, &format!("{deny} 3")).await;
    assert!(written["says"].as_str().unwrap().starts_with("writes deny:3: forbids anybody"));
}

/// The help of a command as somebody reads it.
fn help(line: &str) -> String {
    let words = line.split(' ').filter(|word| !word.is_empty());
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vitals")).args(words).output();
    let output = output.expect("vitals runs");
    assert!(output.status.success(), "{line}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_first_lines_of_help_say_what_for_for_whom_and_how_to_begin() {
    for flag in ["-h", "--help"] {
        let whole = help(flag);
        let first: Vec<_> = whole.lines().take(4).collect();
        assert!(first[0].starts_with("Signs consent, asks to read, and streams readings"));
        assert!(first[1].contains("a practitioner's system and a bedside gateway"));
        assert!(
            first[2].starts_with("  vitals key new") && first[3].starts_with("  vitals stream")
        );
        assert_eq!(whole.matches("Exit codes:\n  0  done").count(), 1);
    }
    assert!(help("--help").contains("`sequencer run --dev` starts a node"));
    assert!(!help("stream --help").contains("Exit codes"));
}

#[test]
fn the_help_of_streaming_says_how_a_line_is_written() {
    assert!(help("stream -h").starts_with("Stream readings from lines of text until each has a"));
    let long = help("stream --help");
    for said in [
        "For a bedside gateway",
        "A line is `time,value`",
        "With --rate-hz or --period a line holds only values",
        "heart-rate        /min    0.0 to 400.0 in steps of 0.1; also /min, /s",
    ] {
        assert!(long.contains(said), "expected `{said}` in: {long}");
    }
    assert!(help("access --help").contains("As a member of which care team"));
    let kinds = "possible values: patient, practitioner, registrar";
    assert!(help("key new --help").contains(kinds));
}

#[tokio::test]
async fn a_stream_that_the_node_postpones_says_so_and_goes_on() {
    let node = Node::start(Behaviour { postpone_opens: 1, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    std::fs::write(folder.path().join("beats.csv"), "60\n61\n").unwrap();
    let stream = "stream --identity DIR/gateway --device m-1 --patient 7 --signal heart-rate \
                  --rate-hz 2 --end now DIR/beats.csv";
    let output = vitals(folder.path(), &node, stream).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(error.contains("the node does not open the stream yet: the node cannot"), "{error}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["readings"], &report["streams_delayed"]), (&2.into(), &1.into()));
}

#[tokio::test]
async fn a_gateway_streams_lines_and_a_practitioner_reads_them() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let run = async |line: &str| done(folder.path(), &node, line).await;
    let values: String = (0..600).map(|n| format!("{}\n", 60 + n % 40)).collect();
    std::fs::write(folder.path().join("beats.csv"), format!("value\n{values}")).unwrap();
    let stream = "stream --identity DIR/gateway --device m-1 --patient 7 --signal heart-rate \
                  --rate-hz 2 --end now --state DIR/state --receipts DIR/receipts DIR/beats.csv";
    let streamed = run(stream).await;
    assert_eq!(streamed["readings"], 600);
    assert_eq!(streamed["frames"], streamed["frames_receipted"]);

    run("key new --kind practitioner --out DIR/dr.key").await;
    let access = "access --key DIR/dr.key --identity DIR/practitioner --organisation ward-3 \
                  --patient 7 --categories heart-rate --purpose treatment --data-from 2020-01-01 \
                  --data-until now --out DIR/read.csv";
    let read = run(access).await;
    assert_eq!((&read["permitted"], &read["readings"]), (&true.into(), &600.into()));
    let csv = std::fs::read_to_string(folder.path().join("read.csv")).unwrap();
    assert_eq!(csv.lines().count(), 601);
    assert!(csv.lines().nth(1).unwrap().starts_with("m-1,heart-rate,20"));
    assert!(csv.lines().last().unwrap().ends_with(",99.0,/min"));

    // What was permitted is journaled: the receipt is handed out where the file cannot be written.
    let nowhere = access.replace("DIR/read.csv", "DIR/none/read.csv");
    let unwritten = vitals(folder.path(), &node, &nowhere).await;
    assert_eq!(unwritten.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&unwritten.stdout).unwrap();
    assert_eq!(report["permitted"], true);
    assert!(report["out_error"].as_str().unwrap().contains("none/read.csv"), "{report}");
    assert!(report["receipt"].as_str().is_some_and(|receipt| !receipt.is_empty()));

    // Readings, receipts, spool and key are the owner's alone, whatever the folder they stand in.
    for written in ["state", "receipts", "dr.key", "read.csv"] {
        files::check_tree(&folder.path().join(written), &[]).unwrap();
    }
    let receipts = std::fs::read_dir(folder.path().join("receipts")).unwrap();
    let receipt = receipts.last().unwrap().unwrap().path();
    let check = format!("receipt check {} --identity DIR/gateway", receipt.display());
    let checked = vitals(folder.path(), &node, &check).await;
    assert_eq!(checked.status.code(), Some(5), "signed, and compared with nothing");
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((&report["holds"], &report["compared"]), (&true.into(), &"no".into()));
    let other = format!("receipt check {} --signer 0x{}", receipt.display(), "01".repeat(20));
    let failed = vitals(folder.path(), &node, &other).await;
    assert_eq!(failed.status.code(), Some(1));
}

#[tokio::test]
async fn folders_that_others_may_open_are_refused_with_the_command_that_closes_them() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    std::fs::write(folder.path().join("beats.csv"), "value\n60\n").unwrap();
    let stream = "stream --identity DIR/gateway --device m-1 --patient 7 --signal heart-rate \
                  --rate-hz 2 --end now --state DIR/state --receipts DIR/receipts DIR/beats.csv";
    for name in ["state", "receipts", "gateway"] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let refused = vitals(folder.path(), &node, stream).await;
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(error.contains(&format!("chmod -R go-rwx {}", path.display())), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    done(folder.path(), &node, stream).await;
}

#[tokio::test]
async fn whoever_is_no_gateway_is_told_before_anything_is_sent_or_listened_for() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let bridge = "--identity DIR/practitioner --state DIR/state --map DIR/none";
    std::fs::write(folder.path().join("beats.csv"), "value\n60\n").unwrap();
    for line in [
        "stream --identity DIR/practitioner --device m-1 --patient 7 --signal heart-rate \
         --rate-hz 2 --end now DIR/beats.csv",
        &format!("mllp --listen 127.0.0.1:0 {bridge}"),
        &format!("fhir --listen 127.0.0.1:0 --open {bridge}"),
        &format!("mqtt --broker 127.0.0.1:1 --client-id ward --topics DIR/none {bridge}"),
    ] {
        let refused = vitals(folder.path(), &node, line).await;
        let error = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{line}: {error}");
        let why = "expected the identity of a gateway, found that of practitioner dr-001";
        assert!(error.contains(why), "{line}: {error}");
    }
    assert!(node.log().connections.is_empty());
}

#[tokio::test]
async fn wrong_lines_refusals_and_silence_have_their_own_exit_codes() {
    let node = Node::start(Behaviour { refuse_access: true, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let code = async |line: &str| vitals(folder.path(), &node, line).await.status.code();
    assert_eq!(code("consent permit").await, Some(2));
    assert_eq!(code("key show DIR/nobody.key").await, Some(2));
    assert_eq!(code("key new --kind practitioner --out DIR/dr.key").await, Some(0));
    let access = "access --key DIR/dr.key --identity DIR/practitioner --organisation ward-3 \
                  --patient 7 --categories ecg --purpose treatment --data-from 2020-01-01 \
                  --data-until now";
    assert_eq!(code(access).await, Some(1));
    std::fs::write(folder.path().join("bad.csv"), "2026-05-01T08:30:00Z,fast\n").unwrap();
    let stream = "stream --identity DIR/gateway --device m-1 --patient 7 --signal heart-rate \
                  DIR/bad.csv";
    assert_eq!(code(stream).await, Some(2));
    let log = "log --patient-key DIR/dr.key --data DIR --headers DIR/none --identity DIR/wallet";
    assert_eq!(code(log).await, Some(2));
}
