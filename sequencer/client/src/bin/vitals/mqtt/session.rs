//! The session at the broker: what comes is worked on beside each other, and acknowledged in the
//! connection in which it came or not at all.
//!
//! A packet identifier belongs to one connection: after another one a broker that lost the session
//! gives it to another message, whose acknowledgement an old one would be. So with a connection
//! everything ends that was to be acknowledged in it; the broker sends it again, and the delivery
//! knows what of it is stored or under way.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Outgoing,
    Packet, Publish, QoS, StateError, SubAck, SubscribeFilter, SubscribeReasonCode,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::work::Worker;

/// How often the broker hears of this program at least.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Between two attempts to connect, at first and at most.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);
/// Until there is room for an acknowledgement to be sent.
const ROOM_AFTER: Duration = Duration::from_millis(10);
/// Longest packet, bytes. Far above the longest message that is taken: what is too long has to be
/// read to be acknowledged, or it would come for ever.
pub(super) const PACKET_BYTES_MAX: usize = 16 << 20;
/// How long a goodbye may take.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Where messages are, and as whom.
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) client_id: String,
    pub(super) login: Option<Login>,
    pub(super) waiting_max: usize,
}

/// How to log in; never shown.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl Broker {
    /// Whether it is on this machine.
    pub(super) fn is_here(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.client_id, &self.host, self.port);
        options.set_clean_session(false).set_manual_acks(true).set_keep_alive(KEEP_ALIVE);
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        if let Some(Login { user, password }) = &self.login {
            options.set_credentials(user, password);
        }
        options
    }
}

/// The way of acknowledgements, each in its own connection.
struct Acks {
    client: AsyncClient,
    connection: Mutex<Connection>,
}

/// The one that stands, or stood last.
#[derive(Default)]
struct Connection {
    /// Counts connections.
    number: u64,
    /// Acknowledgements of it that are not written yet.
    unsent: usize,
    /// Packet identifiers of what came in it and is not acknowledged yet.
    under_way: BTreeSet<u16>,
}

/// What an acknowledgement says, and where.
#[derive(Clone, Copy)]
struct Ack {
    connection: u64,
    packet: u16,
}

impl Acks {
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That a message has come.
    fn begin(&self, packet: u16) -> Ack {
        let mut now = self.lock();
        now.under_way.insert(packet);
        Ack { connection: now.number, packet }
    }

    /// Sends one, unless its connection has ended.
    async fn send(&self, ack: Ack) {
        while !self.try_send(ack) {
            tokio::time::sleep(ROOM_AFTER).await;
        }
    }

    fn try_send(&self, ack: Ack) -> bool {
        let mut now = self.lock();
        if now.number != ack.connection {
            return true;
        }
        // Of a message the library reads its packet identifier alone.
        let mut publish = Publish::new(String::new(), QoS::AtLeastOnce, Vec::new());
        publish.pkid = ack.packet;
        let is_sent = self.client.try_ack(&publish).is_ok();
        now.unsent += usize::from(is_sent);
        is_sent
    }
}

/// A session, over one connection after another.
pub(super) struct Session {
    events: EventLoop,
    acks: Arc<Acks>,
    worker: Arc<Worker>,
    waiting: JoinSet<()>,
    waiting_max: usize,
    /// Whether the broker has the filters of this run.
    is_subscribed: bool,
    is_connected: bool,
    /// Whether a message was let go, which comes again in another connection.
    has_let_go: bool,
}

impl Session {
    pub(super) fn new(broker: &Broker, worker: Arc<Worker>) -> Session {
        let (client, events) = AsyncClient::new(broker.options(), broker.waiting_max);
        Session {
            events,
            acks: Arc::new(Acks { client, connection: Mutex::default() }),
            worker,
            waiting: JoinSet::new(),
            waiting_max: broker.waiting_max,
            is_subscribed: false,
            is_connected: false,
            has_let_go: false,
        }
    }

    /// Until it cannot go on.
    pub(super) async fn run(&mut self) -> anyhow::Error {
        let mut pause = AGAIN_AFTER;
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(packet)) => {
                    // Not with the connection alone: a packet that breaks it may be the first.
                    if matches!(packet, Packet::Publish(_)) {
                        pause = AGAIN_AFTER;
                    }
                    if let Err(error) = self.take(packet) {
                        return error;
                    }
                }
                Ok(Event::Outgoing(Outgoing::PubAck(packet))) => {
                    let mut connection = self.acks.lock();
                    connection.unsent = connection.unsent.saturating_sub(1);
                    // From here on the broker may give it to another message.
                    connection.under_way.remove(&packet);
                }
                Ok(Event::Outgoing(_)) => {}
                Err(error) => {
                    self.drop_connection();
                    let why = in_words(&error);
                    // Later it may be a broker that is just being set up anew.
                    if is_refused(&error) && !self.is_subscribed {
                        return anyhow!("expected a broker that takes this session, found {why}");
                    }
                    self.worker.say("broker", &format!("expected the broker, found {why}"));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(AGAIN_AFTER_MAX);
                }
            }
            while self.waiting.try_join_next().is_some() {}
            // Not before everything is acknowledged that can be: else it would come again, and take
            // the room of what was let go. Those that wait for their time may do so for hours: they
            // come again, too, and so do those that cannot be taken or kept for long. Where as many
            // of these wait as may, what was let go had no room.
            if self.has_let_go && self.is_done() {
                self.drop_connection();
            }
        }
    }

    /// Whether all that can be acknowledged soon is.
    fn is_done(&self) -> bool {
        let (waiting, held) = (self.waiting.len(), self.worker.count_held());
        waiting <= held && waiting < self.waiting_max && self.acks.lock().unsent == 0
    }

    fn take(&mut self, packet: Packet) -> anyhow::Result<()> {
        match packet {
            Packet::ConnAck(answer) => {
                self.is_connected = true;
                if !answer.session_present || !self.is_subscribed {
                    self.subscribe()?;
                }
            }
            Packet::SubAck(answer) => self.check(&answer)?,
            Packet::Publish(publish) => self.begin(publish),
            _ => {}
        }
        Ok(())
    }

    fn subscribe(&self) -> anyhow::Result<()> {
        let filter = |text: &str| SubscribeFilter::new(text.to_owned(), QoS::AtLeastOnce);
        self.acks.client.try_subscribe_many(self.worker.filters().map(filter))?;
        Ok(())
    }

    /// Whether the broker takes every filter, and with acknowledgements.
    fn check(&mut self, answer: &SubAck) -> anyhow::Result<()> {
        let taken = SubscribeReasonCode::Success(QoS::AtLeastOnce);
        let wrong = answer.return_codes.iter().position(|code| *code != taken);
        if let Some(row) = wrong {
            return Err(anyhow!(
                "expected a broker that takes row {} of [[topic]] with QoS 1, found that it does \
                 not: see what --user may read there",
                row + 1
            ));
        }
        if !self.is_subscribed {
            eprintln!("vitals: subscribed at the broker");
        }
        self.is_subscribed = true;
        Ok(())
    }

    fn begin(&mut self, publish: Publish) {
        let is_acked = publish.qos != QoS::AtMostOnce;
        // Some brokers send again what they hear nothing of for a while. It is acknowledged once: a
        // second time its packet identifier could be another message's.
        if is_acked && self.acks.lock().under_way.contains(&publish.pkid) {
            return;
        }
        if self.waiting.len() >= self.waiting_max {
            if is_acked {
                self.has_let_go = true;
            } else {
                self.worker.lose("as many messages wait as --max-waiting");
            }
            return;
        }
        let (worker, acks) = (self.worker.clone(), self.acks.clone());
        let ack = is_acked.then(|| acks.begin(publish.pkid));
        self.waiting.spawn(async move {
            worker.settle(publish).await;
            if let Some(ack) = ack {
                acks.send(ack).await;
            }
        });
    }

    /// Ends the connection, and with it what was to be acknowledged in it.
    fn drop_connection(&mut self) {
        let mut connection = self.acks.lock();
        *connection = Connection { number: connection.number + 1, ..Connection::default() };
        // Under the lock: what was put there for the one before goes, and nothing more comes.
        self.events.clean();
        // What was read of it and not looked at is of it, too: behind the next connection's begin
        // it would be acknowledged there, by a packet identifier that is another message's.
        self.events.state.events.clear();
        self.waiting = JoinSet::new();
        self.is_connected = false;
        self.has_let_go = false;
    }

    /// Says goodbye. The broker keeps the session, and what is not acknowledged.
    pub(super) async fn end(&mut self) {
        if !self.is_connected || self.acks.client.try_disconnect().is_err() {
            return;
        }
        let goodbye = async { while self.events.poll().await.is_ok() {} };
        drop(timeout(LAST_WAIT, goodbye).await);
    }
}

/// Whether the broker does not want this program, however often it comes.
fn is_refused(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::ConnectionRefused(code) => *code != ConnectReturnCode::ServiceUnavailable,
        _ => false,
    }
}

/// Without what a packet holds, which an error may show.
fn in_words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => {
            error.to_string()
        }
        ConnectionError::ConnectionRefused(code) => format!("that it refuses it ({code:?})"),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            "no answer in time".to_owned()
        }
        ConnectionError::MqttState(StateError::Deserialization(_)) => {
            format!("a packet of more than {PACKET_BYTES_MAX} bytes, or none of MQTT 3.1.1")
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => "silence".to_owned(),
        _ => "that the connection ended".to_owned(),
    }
}
