//! `vitals mqtt`: what is acknowledged to a broker that sends again, keeps messages for each
//! subscription, and gives packet identifiers anew.

use std::path::Path;

use ::files::Audience;
use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::command_line::folder_with_identities;
use crate::node::{Behaviour, Node};
use crate::waiting::Running;

const MAP: &str = r#"
version = 1
[[patient]]
authority = "HOSP"
identifier = "4711"
patient = 7
[[device]]
identifier = "bed7"
device = "m-1"
"#;

const TOPICS: &str = r#"
version = 1
[[topic]]
topic = "ward/{patient}/{device}/vitals"
payload = "json"
patient-authority = "HOSP"
time = "/ts"
time-format = "unix-s"
[[topic.value]]
at = "/hr"
system = "LN"
code = "8867-4"
unit = "/min"
"#;

const NONE: [u16; 0] = [];
const PACKET_BYTES_MAX: usize = 1 << 16;

/// A broker for one bridge.
struct Broker {
    listener: TcpListener,
}

/// A connection of the bridge.
struct Session {
    stream: TcpStream,
    bytes: BytesMut,
}

impl Broker {
    async fn start() -> Broker {
        Broker { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn bridge(&self, folder: &Path, node: &Node) -> Running {
        for (name, text) in [("ward.toml", MAP), ("topics.toml", TOPICS)] {
            ::files::replace(&folder.join(name), &[text.as_bytes()], Audience::Owner).unwrap();
        }
        let port = self.listener.local_addr().unwrap().port();
        let line = format!(
            "--json mqtt --identity DIR/gateway --broker 127.0.0.1:{port} --client-id test \
             --topics DIR/topics.toml --map DIR/ward.toml --state DIR/state"
        );
        Running::start(folder, node, &line)
    }

    /// The bridge's next connection, in the session that the broker kept, or in a new one, to which
    /// it subscribes. One that a bridge began before it ended is passed over.
    async fn accept(&self, is_kept: bool) -> Session {
        loop {
            let (stream, _) = self.listener.accept().await.unwrap();
            let mut session = Session { stream, bytes: BytesMut::new() };
            if session.begin(is_kept).await.is_some() {
                return session;
            }
        }
    }
}

/// How a message comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comes {
    First,
    /// The broker sent it before, in another connection.
    Again,
    /// The broker keeps it for whoever subscribes.
    Retained,
}

impl Session {
    /// None if it ends before it has begun.
    async fn begin(&mut self, is_kept: bool) -> Option<()> {
        let Packet::Connect(connect) = self.read().await? else { panic!("expected a greeting") };
        assert!(!connect.clean_session, "the broker is to keep what is not acknowledged");
        let answer = ConnAck::new(ConnectReturnCode::Success, is_kept);
        self.write(Packet::ConnAck(answer)).await;
        if !is_kept {
            let Packet::Subscribe(asked) = self.read().await? else {
                panic!("expected a subscription");
            };
            let code = SubscribeReasonCode::Success(QoS::AtLeastOnce);
            self.write(Packet::SubAck(SubAck::new(asked.pkid, vec![code]))).await;
        }
        Some(())
    }

    /// None once the connection has ended.
    async fn read(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.bytes, PACKET_BYTES_MAX) {
                Ok(packet) => return Some(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("expected a packet: {error}"),
            }
            if self.stream.read_buf(&mut self.bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn write(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, PACKET_BYTES_MAX).unwrap();
        // Of one that has ended nothing is read any more either.
        drop(self.stream.write_all(&bytes).await);
    }

    async fn publish(&mut self, id: u16, comes: Comes, value: u32) {
        let payload = format!(r#"{{"ts": 1777624200, "hr": {value}}}"#);
        let mut publish = Publish::new("ward/4711/bed7/vitals", QoS::AtLeastOnce, payload);
        publish.pkid = id;
        publish.dup = comes == Comes::Again;
        publish.retain = comes == Comes::Retained;
        self.write(Packet::Publish(publish)).await;
    }

    /// The next identifier that is acknowledged; none once the connection has ended.
    async fn acked(&mut self) -> Option<u16> {
        loop {
            match self.read().await? {
                Packet::PubAck(PubAck { pkid }) => return Some(pkid),
                Packet::PingReq => self.write(Packet::PingResp).await,
                packet => panic!("expected an acknowledgement, found {packet:?}"),
            }
        }
    }

    /// Ends it; says what was acknowledged in it and not looked at.
    async fn end(mut self) -> Vec<u16> {
        self.stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        while let Some(id) = self.acked().await {
            rest.push(id);
        }
        rest
    }
}

/// What the bridge says at its end.
async fn ended(mut bridge: Running) -> serde_json::Value {
    bridge.interrupt().await;
    let (code, said) = bridge.end().await;
    assert_eq!(code, Some(4), "{said}");
    said
}

#[tokio::test]
async fn a_message_that_is_kept_for_each_subscription_is_acknowledged_each_time_and_stored_once() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let broker = Broker::start().await;
    let bridge = broker.bridge(folder.path(), &node);
    for id in [1, 7] {
        // The broker lost the session, and sends what it keeps to the new subscription.
        let mut session = broker.accept(false).await;
        session.publish(id, Comes::Retained, 72).await;
        assert_eq!(session.acked().await, Some(id));
        assert_eq!(session.end().await, NONE);
    }
    let said = ended(bridge).await;
    let bridge = broker.bridge(folder.path(), &node);
    let mut session = broker.accept(false).await;
    session.publish(1, Comes::Retained, 72).await;
    assert_eq!(session.acked().await, Some(1), "also after a restart");
    ended(bridge).await;
    assert_eq!((&said["messages"], &said["stored"]), (&2.into(), &2.into()), "{said}");
    assert_eq!(node.log().stored, 1);
}

#[tokio::test]
async fn what_has_no_receipt_is_not_acknowledged_and_is_when_it_comes_again() {
    // It stores, and says nothing.
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let broker = Broker::start().await;
    let bridge = broker.bridge(folder.path(), &node);
    let mut session = broker.accept(false).await;
    session.publish(1, Comes::First, 72).await;
    node.stored(1).await;
    assert_eq!(session.end().await, NONE, "without a receipt nothing is acknowledged");
    node.behave(Behaviour::default());
    node.hang_up();
    let mut session = broker.accept(true).await;
    session.publish(1, Comes::Again, 72).await;
    assert_eq!(session.acked().await, Some(1));
    session.publish(2, Comes::First, 73).await;
    assert_eq!(session.acked().await, Some(2));
    assert_eq!(session.end().await, NONE);
    ended(bridge).await;
    assert_eq!(node.log().stored, 2);
}

#[tokio::test]
async fn an_identifier_that_another_message_has_by_now_acknowledges_that_one_alone() {
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let broker = Broker::start().await;
    let bridge = broker.bridge(folder.path(), &node);
    let mut session = broker.accept(false).await;
    session.publish(1, Comes::First, 72).await;
    node.stored(1).await;
    assert_eq!(session.end().await, NONE);
    // The broker lost the session: the same identifier is another message's.
    let mut session = broker.accept(false).await;
    session.publish(1, Comes::First, 73).await;
    node.stored(2).await;
    node.behave(Behaviour::default());
    node.hang_up();
    assert_eq!(session.acked().await, Some(1));
    session.publish(2, Comes::Again, 72).await;
    assert_eq!(session.acked().await, Some(2));
    assert_eq!(session.end().await, NONE, "the first one's acknowledgement is not sent in here");
    ended(bridge).await;
    assert_eq!(node.log().stored, 2);
}
