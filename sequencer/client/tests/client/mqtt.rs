//! `vitals mqtt`: what is acknowledged to a broker, in which of its connections, and what the node
//! has then.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ::files::Audience;
use model::calendar::{Utc, parse_instant};
use model::{Clock as _, PatientIndex, RejectCode, SystemClock};
use wire::DeviceTime;

use self::broker::{Answer, Broker, Client, Message};
use crate::command_line::folder_with_identities;
use crate::node::{Behaviour, Node};
use crate::waiting::Running;

mod broker;

const MAP: &str = r#"
version = 1
[[patient]]
authority = "HOSP"
identifier = "4711"
patient = 7
[[device]]
identifier = "bed7"
device = "m-1"
[[device]]
identifier = "bed8"
device = "m-2"
"#;

const TOPICS: &str = r#"
version = 1
[[topic]]
topic = "ward/{patient}/{device}"
payload = "json"
patient-authority = "HOSP"
time = "/ts"
time-format = "iso"
[[topic.value]]
at = "/hr"
system = "LN"
code = "8867-4"
unit = "/min"
[[topic]]
topic = "omh/{patient}/{device}"
payload = "open-mhealth"
patient-authority = "HOSP"
"#;

/// A heart rate as a device publishes it.
fn beat(value: u32) -> String {
    format!(r#"{{"ts": "2026-05-01T08:30:00Z", "hr": {value}}}"#)
}

fn message(packet: u16, payload: &str) -> Message<'_> {
    let topic = "ward/4711/bed7";
    Message { packet: Some(packet), topic, payload, is_again: false, is_retained: false }
}

fn again(packet: u16, payload: &str) -> Message<'_> {
    Message { is_again: true, ..message(packet, payload) }
}

/// What can never be taken, and so is acknowledged at once.
fn refused(packet: u16) -> Message<'static> {
    message(packet, "no JSON")
}

struct Bridge {
    running: Running,
}

impl Bridge {
    fn start(folder: &Path, node: &Node, broker: &Broker, options: &str) -> Bridge {
        for (name, text) in [("ward.toml", MAP), ("topics.toml", TOPICS)] {
            ::files::replace(&folder.join(name), &[text.as_bytes()], Audience::Owner).unwrap();
        }
        let line = format!(
            "--json mqtt --identity DIR/gateway --broker {} --client-id vitals-test --map \
             DIR/ward.toml --topics DIR/topics.toml --state DIR/state {options}",
            broker.address()
        );
        Bridge { running: Running::start(folder, node, &line) }
    }

    async fn says(&mut self, words: &str) -> String {
        self.running.says(words).await
    }

    async fn end(mut self) -> serde_json::Value {
        self.running.interrupt().await;
        let (code, said) = self.running.end().await;
        assert_eq!(code, Some(4), "{said}");
        said
    }
}

/// A node, and a folder with what a bridge to it needs.
fn ward(behaviour: Behaviour) -> (Node, tempfile::TempDir) {
    let node = Node::start(behaviour);
    let folder = folder_with_identities(&node);
    (node, folder)
}

fn silent() -> Behaviour {
    Behaviour { silent: true, ..Behaviour::default() }
}

/// It stored frames and said nothing; from now on it says so, also of those.
fn speak(node: &Node) {
    node.log().behaviour.silent = false;
    node.hang_up();
}

fn frames(node: &Node) -> usize {
    node.log().frames.values().map(|frames| frames.len()).sum()
}

#[tokio::test]
async fn a_message_is_acknowledged_when_its_receipt_has_come_and_not_before() {
    let (node, folder) = ward(silent());
    let broker = Broker::start().await;
    let bridge = Bridge::start(folder.path(), &node, &broker, "");
    let mut connection = broker.accept(Answer::Anew).await;
    let client = Client { name: "vitals-test".to_owned(), is_clean: false, login: Vec::new() };
    assert_eq!(connection.client, client);
    let filters = connection.subscribed(&[1, 1]).await;
    assert_eq!(filters, ["ward/+/+", "omh/+/+"]);
    connection.publish(&[message(1, &beat(72))]).await;
    node.stored(1).await;
    // The node has it, and the bridge does not know. What comes behind it is decided meanwhile.
    connection.publish(&[refused(2)]).await;
    assert_eq!(connection.acked().await, Some(2));
    assert_eq!(node.log().groups, 0, "no receipt yet");
    speak(&node);
    assert_eq!(connection.acked().await, Some(1));
    let said = bridge.end().await;
    assert_eq!([&said["stored"], &said["refused"]], [1, 1], "{said}");
    assert_eq!((&said["readings"], frames(&node)), (&1.into(), 1));
}

#[tokio::test]
async fn what_comes_again_is_acknowledged_again_and_stored_once() {
    let (node, folder) = ward(Behaviour::default());
    let broker = Broker::start().await;
    let bridge = Bridge::start(folder.path(), &node, &broker, "");
    let mut connection = broker.accept_anew().await;
    let (first, second) = (beat(72), beat(73));
    let retained = Message { is_retained: true, ..message(1, &first) };
    connection.publish(&[retained]).await;
    assert_eq!(connection.acked().await, Some(1));
    node.log().behaviour.silent = true;
    connection.publish(&[message(2, &second)]).await;
    node.stored(2).await;
    // Lost before its acknowledgement, which the broker of this session waits for.
    drop(connection);
    let mut connection = broker.accept(Answer::Again).await;
    connection.publish(&[again(2, &second), message(3, &first)]).await;
    assert_eq!(connection.acked().await, Some(3), "known before the node speaks");
    speak(&node);
    assert_eq!(connection.acked().await, Some(2));
    bridge.end().await;
    // Another bridge, of a broker that lost the session and still has what was retained.
    drop(connection);
    let bridge = Bridge::start(folder.path(), &node, &broker, "");
    let mut connection = broker.accept_anew().await;
    connection.publish(&[retained, again(2, &second)]).await;
    let mut acked = connection.all_acked(2).await;
    acked.sort();
    assert_eq!(acked, [1, 2]);
    bridge.end().await;
    assert_eq!(frames(&node), 2);
}

#[tokio::test]
async fn a_packet_identifier_of_before_acknowledges_nothing_in_another_connection() {
    let (node, folder) = ward(silent());
    let broker = Broker::start().await;
    let bridge = Bridge::start(folder.path(), &node, &broker, "");
    let mut connection = broker.accept_anew().await;
    let stored = beat(72);
    connection.publish(&[message(1, &stored)]).await;
    node.stored(1).await;
    drop(connection);
    // The broker lost its session: the identifier is another message's now, which the node does
    // not take before its own clock is there.
    let mut connection = broker.accept_anew().await;
    let from = parse_instant("2026-05-01T00:00:00Z").unwrap();
    let from = DeviceTime::from_micros(from.micros()).unwrap();
    node.log().behaviour.reject_before = Some((from, RejectCode::Clock));
    let waits = beat(73).replace("2026-05-01", "2026-04-30");
    let waits = Message { topic: "ward/4711/bed8", ..message(1, &waits) };
    connection.publish(&[waits, refused(2)]).await;
    assert_eq!(connection.acked().await, Some(2));
    speak(&node);
    // The first one is stored by now: its sender publishes it anew, and hears so.
    connection.publish(&[message(3, &stored)]).await;
    assert_eq!(connection.acked().await, Some(3));
    connection.publish(&[refused(4)]).await;
    assert_eq!(connection.acked().await, Some(4), "and 1 by nobody");
    bridge.end().await;
    assert_eq!(frames(&node), 1);
}

#[tokio::test]
async fn what_was_read_of_a_connection_that_broke_is_not_acknowledged_in_the_next_one() {
    let (node, folder) = ward(Behaviour::default());
    let broker = Broker::start().await;
    let bridge = Bridge::start(folder.path(), &node, &broker, "");
    let connection = broker.accept_anew().await;
    connection.publish_and_break(refused(1)).await;
    let mut connection = broker.accept(Answer::Again).await;
    connection.publish(&[refused(2)]).await;
    assert_eq!(connection.acked().await, Some(2));
    connection.publish(&[Message { is_again: true, ..refused(1) }]).await;
    assert_eq!(connection.acked().await, Some(1));
    bridge.end().await;
}

#[tokio::test]
async fn what_comes_twice_in_a_connection_is_worked_on_and_acknowledged_once() {
    let (node, folder) = ward(silent());
    let broker = Broker::start().await;
    let bridge = Bridge::start(folder.path(), &node, &broker, "");
    let mut connection = broker.accept_anew().await;
    let stored = beat(72);
    connection.publish(&[message(1, &stored)]).await;
    node.stored(1).await;
    connection.publish(&[again(1, &stored), message(1, &stored), refused(2)]).await;
    assert_eq!(connection.acked().await, Some(2));
    speak(&node);
    assert_eq!(connection.acked().await, Some(1));
    // From here on the identifier is another message's, which a second one would acknowledge.
    node.log().behaviour.silent = true;
    let other = beat(73);
    connection.publish(&[message(1, &other), refused(3)]).await;
    assert_eq!(connection.acked().await, Some(3));
    node.stored(2).await;
    speak(&node);
    assert_eq!(connection.acked().await, Some(1));
    let said = bridge.end().await;
    assert_eq!([&said["messages"], &said["stored"]], [4, 2], "{said}");
}

#[tokio::test]
async fn a_broker_that_restarts_is_subscribed_to_again_and_nothing_is_lost() {
    let (node, folder) = ward(silent());
    let broker = Broker::start().await;
    let mut bridge = Bridge::start(folder.path(), &node, &broker, "");
    let mut connection = broker.accept_anew().await;
    let waits = beat(72);
    connection.publish(&[message(7, &waits)]).await;
    node.stored(1).await;
    drop(connection);
    bridge.says("expected the broker, found").await;
    // It is not ready, and refuses for now whom it took before.
    let connection = broker.accept(Answer::Refused(5)).await;
    drop(connection);
    let mut connection = broker.accept_anew().await;
    // What it retains it sends to each subscription.
    let retained = Message { is_retained: true, ..message(2, &waits) };
    connection.publish(&[again(1, &waits), retained]).await;
    speak(&node);
    let mut acked = connection.all_acked(2).await;
    acked.sort();
    assert_eq!(acked, [1, 2]);
    bridge.end().await;
    assert_eq!(frames(&node), 1);
}

#[tokio::test]
async fn what_is_beyond_max_waiting_is_let_go_and_comes_again_in_another_connection() {
    let (node, folder) = ward(Behaviour::default());
    let broker = Broker::start().await;
    let bridge = Bridge::start(folder.path(), &node, &broker, "--max-waiting 4");
    let mut connection = broker.accept_anew().await;
    let all: Vec<_> = (1..=8).map(refused).collect();
    connection.publish(&all).await;
    assert_eq!(connection.all_acked(4).await, [1, 2, 3, 4]);
    assert_eq!(connection.acked().await, None, "all that can be is acknowledged before");
    let mut connection = broker.accept(Answer::Again).await;
    let rest: Vec<_> = all[4..].iter().map(|one| Message { is_again: true, ..*one }).collect();
    connection.publish(&rest).await;
    assert_eq!(connection.all_acked(4).await, [5, 6, 7, 8]);
    bridge.end().await;
}

/// A heart rate whose time comes in ten minutes.
fn early(value: u32) -> String {
    let at = Utc(SystemClock.now().plus(600_000));
    format!(r#"{{"ts": "{at}", "hr": {value}}}"#)
}

#[tokio::test]
async fn what_is_let_go_comes_again_while_others_wait_for_their_time_beyond_the_places_too() {
    let (node, folder) = ward(Behaviour::default());
    let broker = Broker::start().await;
    let bridge = Bridge::start(folder.path(), &node, &broker, "--max-waiting 4");
    let mut connection = broker.accept_anew().await;
    let (first, second) = (beat(72), beat(73));
    connection.publish(&[message(1, &first)]).await;
    assert_eq!(connection.acked().await, Some(1), "the node and its clock are there");
    node.log().behaviour.silent = true;
    // Two places, and another device beyond them.
    let early: Vec<_> = (72..75).map(early).collect();
    let other = Message { topic: "ward/4711/bed8", ..message(4, &early[2]) };
    let waiting = [message(2, &early[0]), message(3, &early[1]), other, message(5, &second)];
    connection.publish(&waiting).await;
    node.stored(2).await;
    connection.publish(&[refused(6)]).await;
    speak(&node);
    assert_eq!(connection.acked().await, Some(5));
    assert_eq!(connection.acked().await, None, "all that can be is acknowledged before");
    let mut connection = broker.accept(Answer::Again).await;
    let rest = [waiting[0], waiting[1], waiting[2], refused(6)];
    connection.publish(&rest.map(|one| Message { is_again: true, ..one })).await;
    assert_eq!(connection.acked().await, Some(6));
    bridge.end().await;
}

#[tokio::test]
async fn of_what_waits_too_long_nothing_of_qos_1_is_lost_and_what_is_of_qos_0_is_counted() {
    let (node, folder) = ward(silent());
    let broker = Broker::start().await;
    let mut bridge = Bridge::start(folder.path(), &node, &broker, "--max-waiting 1");
    let mut connection = broker.accept_anew().await;
    let (first, second) = (beat(72), beat(73));
    connection.publish(&[message(1, &first)]).await;
    node.stored(1).await;
    let once = Message { packet: None, ..message(0, &second) };
    connection.publish(&[message(2, &second), once]).await;
    bridge.says("a message of QoS 0 is lost").await;
    speak(&node);
    assert_eq!(connection.acked().await, Some(1));
    assert_eq!(connection.acked().await, None);
    let mut connection = broker.accept(Answer::Again).await;
    connection.publish(&[again(2, &second)]).await;
    assert_eq!(connection.acked().await, Some(2));
    let said = bridge.end().await;
    assert_eq!([&said["stored"], &said["lost"]], [2, 1], "{said}");
    assert_eq!(frames(&node), 2);
}

#[tokio::test]
async fn a_broker_that_does_not_take_a_filter_ends_the_bridge() {
    let (node, folder) = ward(Behaviour::default());
    let broker = Broker::start().await;
    // Refused, and taken without acknowledgements.
    for code in [0x80, 0] {
        let mut bridge = Bridge::start(folder.path(), &node, &broker, "");
        let mut connection = broker.accept(Answer::Anew).await;
        connection.subscribed(&[1, code]).await;
        bridge.says("takes row 2 of [[topic]] with QoS 1").await;
        assert_eq!(bridge.running.end().await.0, Some(1));
    }
}

#[tokio::test]
async fn a_login_that_is_refused_ends_the_bridge_and_a_broker_that_is_not_ready_does_not() {
    let (node, folder) = ward(Behaviour::default());
    let password = folder.path().join("password");
    ::files::replace(&password, &[b"secret\n"], Audience::Owner).unwrap();
    let broker = Broker::start().await;
    let options = "--user ward-3 --password-file DIR/password";
    let mut bridge = Bridge::start(folder.path(), &node, &broker, options);
    let (not_ready, not_authorized) = (Answer::Refused(3), Answer::Refused(5));
    drop(broker.accept(not_ready).await);
    let connection = broker.accept(not_authorized).await;
    assert_eq!(connection.client.login, ["ward-3", "secret"]);
    let said = bridge.says("expected a broker that takes this session").await;
    assert!(!said.contains("secret"), "{said}");
    assert_eq!(bridge.running.end().await.0, Some(1));
}

/// The lines of the file in which what is refused is kept.
fn kept(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("refused.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn what_is_refused_stands_in_a_file_of_its_owner_before_it_is_acknowledged() {
    let (node, folder) = ward(Behaviour::default());
    let broker = Broker::start().await;
    let options = "--refused DIR/refused.jsonl --max-message 1";
    let bridge = Bridge::start(folder.path(), &node, &broker, options);
    let mut connection = broker.accept_anew().await;
    let long = "x".repeat(2000);
    for (count, one) in [refused(1), message(2, &long)].into_iter().enumerate() {
        connection.publish(&[one]).await;
        assert_eq!(connection.acked().await, one.packet);
        assert_eq!(kept(folder.path()).len(), count + 1);
    }
    let patient = PatientIndex::new(7).unwrap();
    node.log().behaviour.without_consent = vec![patient];
    connection.publish(&[message(3, &beat(72))]).await;
    assert_eq!(connection.acked().await, Some(3));
    let said = bridge.end().await;
    let counted = ["refused", "refused_by_consent", "refused_kept"].map(|name| &said[name]);
    assert_eq!(counted, [2, 1, 3], "{said}");
    let lines = kept(folder.path());
    let whys: Vec<_> = lines.iter().map(|line| line["why"].as_str().unwrap()).collect();
    assert_eq!(whys, ["malformed", "too-many", "node-9"]);
    assert!(lines.iter().all(|line| line["topic"] == "ward/4711/bed7"), "{lines:?}");
    assert_eq!((&lines[0]["payload"], &lines[0]["bytes"]), (&"no JSON".into(), &7.into()));
    // Of what is longer than messages may be the begin alone.
    assert_eq!((&lines[1]["payload"], &lines[1]["bytes"]), (&long[..1024].into(), &2000.into()));
    assert_eq!((lines[2].get("payload"), frames(&node)), (None, 0));
    let mode = std::fs::metadata(folder.path().join("refused.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

/// Makes that file as long as it may be with `--refused-max 4`.
fn fill_refused(folder: &Path) -> PathBuf {
    let path = folder.join("refused.jsonl");
    ::files::append(&path).unwrap().set_len(4 << 20).unwrap();
    path
}

#[tokio::test]
async fn what_cannot_be_kept_keeps_nothing_back_that_was_let_go_beside_it() {
    let (node, folder) = ward(Behaviour::default());
    fill_refused(folder.path());
    let broker = Broker::start().await;
    let options = "--refused DIR/refused.jsonl --refused-max 4 --max-waiting 2";
    let mut bridge = Bridge::start(folder.path(), &node, &broker, options);
    let mut connection = broker.accept_anew().await;
    node.log().behaviour.silent = true;
    let (first, second) = (beat(72), beat(73));
    connection.publish(&[refused(1), message(2, &first), message(3, &second)]).await;
    bridge.says("not kept and so not acknowledged").await;
    node.stored(1).await;
    speak(&node);
    assert_eq!(connection.acked().await, Some(2));
    assert_eq!(connection.acked().await, None, "it connects anew for the third");
    let mut connection = broker.accept(Answer::Again).await;
    connection.publish(&[again(3, &second)]).await;
    assert_eq!(connection.acked().await, Some(3));
    bridge.end().await;
    assert_eq!(frames(&node), 2);
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_acknowledged_until_it_can_be() {
    let (node, folder) = ward(Behaviour::default());
    let path = fill_refused(folder.path());
    let broker = Broker::start().await;
    let options = "--refused DIR/refused.jsonl --refused-max 4 --refused-by-consent";
    let mut bridge = Bridge::start(folder.path(), &node, &broker, options);
    let mut connection = broker.accept_anew().await;
    connection.publish(&[refused(1)]).await;
    bridge.says("not kept and so not acknowledged").await;
    // Readings go on meanwhile.
    connection.publish(&[message(2, &beat(72))]).await;
    assert_eq!(connection.acked().await, Some(2));
    ::files::rename(&path, &folder.path().join("before")).unwrap();
    assert_eq!(connection.acked().await, Some(1));
    assert_eq!(kept(folder.path()).len(), 1);
    node.log().behaviour.without_consent = vec![PatientIndex::new(7).unwrap()];
    let beat = beat(73);
    connection.publish(&[message(3, &beat)]).await;
    assert_eq!(connection.acked().await, Some(3));
    bridge.end().await;
    assert_eq!(kept(folder.path())[1]["payload"], *beat);
}
