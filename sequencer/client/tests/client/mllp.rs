//! `vitals mllp`: what a sender of HL7 v2 is told, and what the node has then.

use std::path::Path;

use ::files::Audience;
use model::calendar::Utc;
use model::{Clock, RejectCode, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::command_line::folder_with_identities;
use crate::node::{Behaviour, Node};
use crate::tls::{self, Sender, Ward};
use crate::waiting::Running;

const MAP: &str = r#"
version = 1
[[patient]]
authority = "HOSP"
identifier = "4711"
patient = 7
[[patient]]
authority = "HOSP"
identifier = "4712"
patient = 8
[[device]]
authority = "PV1-3"
identifier = "ICU^1"
device = "m-1"
"#;

/// A bridge that runs, and where it listens.
pub(crate) struct Bridge {
    pub(crate) running: Running,
    pub(crate) address: String,
}

impl Bridge {
    pub(crate) async fn start(folder: &Path, node: &Node, options: &str) -> Bridge {
        let map = folder.join("ward.toml");
        ::files::replace(&map, &[MAP.as_bytes()], Audience::Owner).unwrap();
        let line = format!(
            "--json mllp --identity DIR/gateway --listen 127.0.0.1:0 --map DIR/ward.toml \
             --state DIR/state {options}"
        );
        let mut running = Running::start(folder, node, &line);
        let said = running.says("over MLLP on ").await;
        let address = said.rsplit(' ').next().expect("an address").to_owned();
        Bridge { running, address }
    }

    /// What MSA says to messages that are sent on one connection, a NUL between.
    pub(crate) async fn send(&self, messages: &[String]) -> Vec<String> {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        for message in messages {
            stream.write_all(format!("\0\x0b{message}\x1c").as_bytes()).await.unwrap();
        }
        let mut answers = Vec::new();
        while answers.iter().filter(|byte| **byte == 0x1c).count() < messages.len() {
            let read = stream.read_buf(&mut answers).await.unwrap();
            assert!(read > 0, "it stays open");
        }
        let text = String::from_utf8(answers).unwrap();
        text.split('\r').filter(|line| line.starts_with("MSA")).map(str::to_owned).collect()
    }

    pub(crate) async fn end(mut self) -> serde_json::Value {
        self.running.interrupt().await;
        let (code, said) = self.running.end().await;
        assert_eq!(code, Some(4), "{said}");
        said
    }
}

pub(crate) fn message(control: &str, value: u32) -> String {
    format!(
        "MSH|^~\\&|MON|ICU|||20260501||ORU^R01|{control}|P|2.6\rPID|||4711^^^HOSP\rPV1|||ICU^1\r\
         OBX|1|NM|8867-4^HR^LN||{value}|/min|||||F|||20260501083000+0000\r"
    )
}

#[tokio::test]
async fn a_message_is_accepted_by_its_receipt_and_stored_once_however_often_it_is_sent() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "").await;
    let first = bridge.send(&[message("1", 72), message("2", 73)]).await;
    // The group of the receipt, and the begin of its journal hash.
    assert_eq!(
        first,
        ["MSA|AA|1|receipt 1 0101010101010101", "MSA|AA|2|receipt 2 0202020202020202"]
    );
    assert_eq!(bridge.send(&[message("1", 72)]).await, first[..1]);
    let said = bridge.end().await;
    assert_eq!((&said["messages"], &said["accepted"]), (&3.into(), &3.into()), "{said}");
    let bridge = Bridge::start(folder.path(), &node, "").await;
    assert_eq!(bridge.send(&[message("2", 73), message("1", 72)]).await, [&*first[1], &*first[0]]);
    // An engine that repeats a message writes the time of the message anew, and what it likes.
    let anew = message("1", 72).replace("|20260501|", "|20260501083009.123+0000|");
    let anew = anew.replace("4711^^^HOSP", "4711^^^HOSP||Doe^Jane").replace("^HR^", "^Pulse^");
    assert_ne!(anew, message("1", 72));
    assert_eq!(bridge.send(&[anew]).await, first[..1]);
    let other = bridge.send(&[message("1", 99), message("3", 9000)]).await;
    assert!(other[0].starts_with("MSA|AR|1|identifier-reused"), "{other:?}");
    assert!(other[1].starts_with("MSA|AR|3|value-range: OBX[1]-5"), "{other:?}");
    bridge.end().await;
    assert_eq!(node.log().stored, 2);
}

#[tokio::test]
async fn a_message_without_a_receipt_is_an_error_and_is_accepted_when_it_is_sent_again() {
    // It stores, and says nothing: what a sender would take for lost.
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "--answer-within 1s").await;
    let away = bridge.send(&[message("1", 72)]).await;
    assert!(away[0].starts_with("MSA|AE|1|node-away"), "{away:?}");
    node.stored(1).await;
    bridge.end().await;
    node.behave(Behaviour::default());
    let bridge = Bridge::start(folder.path(), &node, "--answer-within 30s").await;
    let again = bridge.send(&[message("1", 72)]).await;
    assert!(again[0].starts_with("MSA|AA|1|receipt"), "{again:?}");
    bridge.end().await;
    let log = node.log();
    assert_eq!(log.frames.values().map(|frames| frames.len()).sum::<usize>(), 1, "once");
}

#[tokio::test]
async fn a_reading_that_is_yet_to_come_may_be_sent_again_and_one_of_another_year_may_not() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "").await;
    let now = SystemClock.now();
    let at = |control: &str, ahead_ms: u64| {
        let time = Utc(now.plus(ahead_ms)).to_string();
        let digits: String = time.chars().filter(|sign| !"-:TZ".contains(*sign)).collect();
        message(control, 72).replace("20260501083000", &digits)
    };
    const HOUR_MS: u64 = 3_600_000;
    let told = bridge.send(&[at("1", HOUR_MS), at("2", 8000 * HOUR_MS), at("3", 0)]).await;
    assert!(told[0].starts_with("MSA|AE|1|time-ahead"), "{told:?}");
    assert!(told[1].starts_with("MSA|AR|2|time-far"), "{told:?}");
    // Neither is in the way of the device.
    assert!(told[2].starts_with("MSA|AA|3|receipt"), "{told:?}");
    bridge.end().await;
    assert_eq!(node.log().stored, 1);
}

#[tokio::test]
async fn what_consent_refuses_is_an_error_with_its_code() {
    let reject_frame = Some(RejectCode::NotPermitted);
    let node = Node::start(Behaviour { reject_frame, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "").await;
    let refused = bridge.send(&[message("1", 72)]).await;
    assert!(refused[0].starts_with("MSA|AE|1|node-9"), "{refused:?}");
    bridge.end().await;
}

#[tokio::test]
async fn after_a_refusal_under_way_the_next_patient_of_the_device_is_taken() {
    let reject_frame = Some(RejectCode::NotPermitted);
    let node = Node::start(Behaviour { reject_frame, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "").await;
    let next = message("2", 73).replace("4711", "4712");
    let answers = bridge.send(&[message("1", 72), next]).await;
    assert!(answers[0].starts_with("MSA|AE|1|node-9"), "{answers:?}");
    assert!(answers[1].starts_with("MSA|AA|2|receipt"), "{answers:?}");
    bridge.end().await;
    let frames = || node.log().frames.values().map(|frames| frames.len()).sum::<usize>();
    assert_eq!(frames(), 1, "what was refused is not sent");
    // The first one consents again, and its message comes again.
    let bridge = Bridge::start(folder.path(), &node, "").await;
    let again = bridge.send(&[message("1", 72)]).await;
    assert!(again[0].starts_with("MSA|AA|1|receipt"), "{again:?}");
    bridge.end().await;
    assert_eq!(frames(), 2);
}

#[tokio::test]
async fn frames_of_before_go_by_themselves_and_stand_in_nobodys_way() {
    // It stores the first one, and is gone before its receipt.
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "--answer-within 1s").await;
    let away = bridge.send(&[message("1", 72)]).await;
    assert!(away[0].starts_with("MSA|AE|1|node-away"), "{away:?}");
    bridge.end().await;
    node.behave(Behaviour::default());
    let bridge = Bridge::start(folder.path(), &node, "").await;
    // Another patient on the device, whose sender does as it is told.
    let next = message("2", 73).replace("4711", "4712");
    let mut answers = bridge.send(std::slice::from_ref(&next)).await;
    while answers[0].starts_with("MSA|AE|2|node-away") {
        answers = bridge.send(std::slice::from_ref(&next)).await;
    }
    assert!(answers[0].starts_with("MSA|AA|2|receipt"), "{answers:?}");
    // That of before is known, by the receipt of an epoch that is over by now.
    let again = bridge.send(&[message("1", 72)]).await;
    assert!(again[0].starts_with("MSA|AA|1|"), "{again:?}");
    bridge.end().await;
    let log = node.log();
    assert_eq!(log.frames.values().map(|frames| frames.len()).sum::<usize>(), 2, "each once");
}

#[tokio::test]
async fn what_of_before_is_refused_by_now_is_given_up_and_decided_anew_when_it_comes_again() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "--answer-within 1s").await;
    assert!(bridge.send(&[message("1", 72)]).await[0].starts_with("MSA|AA|1|"));
    // Not to be reached: the message stays in the folder alone.
    node.hide();
    node.hang_up();
    let away = bridge.send(&[message("2", 73)]).await;
    assert!(away[0].starts_with("MSA|AE|2|node-away"), "{away:?}");
    bridge.end().await;
    let patient = crate::node::stream_key().patient;
    node.behave(Behaviour { without_consent: vec![patient], ..Behaviour::default() });
    node.appear();
    let mut bridge = Bridge::start(folder.path(), &node, "").await;
    bridge.running.says("the node refused 1 readings").await;
    node.behave(Behaviour::default());
    let mut again = bridge.send(&[message("2", 73)]).await;
    // For a second what was refused is refused without asking.
    while again[0].starts_with("MSA|AE|2|node-9") {
        again = bridge.send(&[message("2", 73)]).await;
    }
    assert!(again[0].starts_with("MSA|AA|2|receipt"), "{again:?}");
    bridge.end().await;
    assert_eq!(node.log().stored, 2);
}

#[tokio::test]
async fn a_sender_without_a_certificate_of_the_ward_is_refused_and_one_with_it_is_taken() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let (ward, other) = (Ward::new(), Ward::new());
    ward.write(folder.path());
    let bridge = Bridge::start(folder.path(), &node, tls::OPTIONS).await;
    let framed = format!("\x0b{}\x1c\r", message("1", 72));
    for sender in [Sender::Unknown, Sender::Of(&other)] {
        assert_eq!(ward.exchange(&bridge.address, sender, framed.as_bytes()).await, None);
    }
    let taken = ward.exchange(&bridge.address, Sender::Of(&ward), framed.as_bytes()).await;
    assert!(taken.expect("let in").contains("MSA|AA|1|receipt 1"));
    let said = bridge.end().await;
    let counted = ["connections", "connections_refused", "accepted"].map(|name| &said[name]);
    assert_eq!(counted, [3, 2, 1], "{said}");
    assert_eq!(node.log().stored, 1);
}

/// The next answer's MSA; none where the bridge ends the connection.
async fn answer(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\x1c\r") {
        // One that is ended with something unread is reset.
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    text.split('\r').find(|line| line.starts_with("MSA")).map(str::to_owned)
}

#[tokio::test]
async fn the_limits_that_the_command_line_says_hold() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let options = "--max-connections 1 --max-message 1 --message-within 1s --idle 2h";
    let bridge = Bridge::start(folder.path(), &node, options).await;
    let mut first = TcpStream::connect(&bridge.address).await.unwrap();
    let long = format!("{}NTE|1||{}\r", message("1", 72), "x".repeat(1024));
    first.write_all(format!("\x0b{long}\x1c\r").as_bytes()).await.unwrap();
    let said = answer(&mut first).await.expect("an answer");
    assert!(said.starts_with("MSA|AR|1|too-many"), "{said}");
    let mut second = TcpStream::connect(&bridge.address).await.unwrap();
    assert_eq!(answer(&mut second).await, None, "as many stand as may");
    // One that never ends its message gives its place back.
    first.write_all(b"\x0bMSH|").await.unwrap();
    assert_eq!(answer(&mut first).await, None);
    let mut third = TcpStream::connect(&bridge.address).await.unwrap();
    third.write_all(format!("\x0b{}\x1c\r", message("2", 73)).as_bytes()).await.unwrap();
    let said = answer(&mut third).await.expect("an answer");
    assert!(said.starts_with("MSA|AA|2|receipt"), "{said}");
    let said = bridge.end().await;
    assert_eq!(answer(&mut third).await, None);
    let counted =
        ["connections", "connections_refused", "rejected", "torn"].map(|name| &said[name]);
    assert_eq!(counted, [2, 1, 1, 1], "{said}");
}

#[tokio::test]
async fn silence_and_junk_end_a_connection() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "--idle 1s --message-within 2h").await;
    let mut silent = TcpStream::connect(&bridge.address).await.unwrap();
    assert_eq!(answer(&mut silent).await, None);
    bridge.end().await;
    let bridge = Bridge::start(folder.path(), &node, "--idle 2h").await;
    let mut other = TcpStream::connect(&bridge.address).await.unwrap();
    // Of what it ends meanwhile not all can be written.
    drop(other.write_all(&vec![b'G'; (64 << 10) + 1]).await);
    assert_eq!(answer(&mut other).await, None);
    bridge.end().await;
}

#[tokio::test]
async fn what_is_being_answered_has_its_answer_before_the_bridge_ends() {
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let mut bridge = Bridge::start(folder.path(), &node, "--answer-within 2s").await;
    let mut sender = TcpStream::connect(&bridge.address).await.unwrap();
    sender.write_all(format!("\x0b{}\x1c\r", message("1", 72)).as_bytes()).await.unwrap();
    node.stored(1).await;
    let mut silent = TcpStream::connect(&bridge.address).await.unwrap();
    bridge.running.interrupt().await;
    assert_eq!(answer(&mut silent).await, None, "whoever asks nothing is let go");
    let said = answer(&mut sender).await.expect("an answer");
    assert!(said.starts_with("MSA|AE|1|node-away"), "{said}");
    assert_eq!(answer(&mut sender).await, None);
    let (code, said) = bridge.running.end().await;
    assert_eq!((code, &said["errors"]), (Some(4), &1.into()), "{said}");
}
