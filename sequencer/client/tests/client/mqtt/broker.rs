//! A broker of MQTT 3.1.1 that does what a test says, packet by packet: as much of one as a
//! subscriber meets.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const CONNECT: u8 = 1;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const PINGREQ: u8 = 12;

/// How long an acknowledgement may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a broker answers to a connection.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// It knows nothing of this client.
    Anew,
    /// It has the session of before.
    Again,
    /// It refuses, with this code.
    Refused(u8),
}

/// Where clients connect.
pub(super) struct Broker {
    listener: TcpListener,
}

/// One client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) client: Client,
}

/// What CONNECT says.
#[derive(Debug, PartialEq)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) is_clean: bool,
    pub(super) login: Vec<String>,
}

/// What PUBLISH says.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    /// None is QoS 0.
    pub(super) packet: Option<u16>,
    pub(super) topic: &'a str,
    pub(super) payload: &'a str,
    pub(super) is_again: bool,
    pub(super) is_retained: bool,
}

impl Message<'_> {
    fn to_bytes(self) -> Vec<u8> {
        let Message { packet, topic, payload, is_again, is_retained } = self;
        let flags = [(is_again, 8), (packet.is_some(), 2), (is_retained, 1)];
        let flags: u8 = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum();
        let mut body = text(topic);
        body.extend(packet.iter().flat_map(|packet| packet.to_be_bytes()));
        body.extend(payload.as_bytes());
        packet_of(0x30 | flags, &body)
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// A packet with its length, in groups of seven bits.
fn packet_of(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (vec![first], body.len());
    loop {
        let more = if rest > 127 { 128 } else { 0 };
        bytes.push((rest % 128) as u8 | more);
        rest /= 128;
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// The next text with its length of two bytes.
fn next_text(rest: &mut &[u8]) -> String {
    let (length, behind) = rest.split_first_chunk().expect("a length");
    let (text, behind) = behind.split_at(u16::from_be_bytes(*length).into());
    *rest = behind;
    String::from_utf8(text.to_vec()).expect("UTF-8")
}

impl Client {
    fn read(mut rest: &[u8]) -> Client {
        assert_eq!(next_text(&mut rest), "MQTT");
        let ([level, flags, _, _], mut rest) = rest.split_first_chunk().expect("a header");
        assert_eq!(*level, 4, "of MQTT 3.1.1");
        let name = next_text(&mut rest);
        let mut login = Vec::new();
        while !rest.is_empty() {
            login.push(next_text(&mut rest));
        }
        Client { name, is_clean: flags & 2 != 0, login }
    }
}

impl Broker {
    pub(super) async fn start() -> Broker {
        Broker { listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port") }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("bound")
    }

    /// The next connection, answered.
    pub(super) async fn accept(&self, answer: Answer) -> Connection {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        let client = Client { name: String::new(), is_clean: false, login: Vec::new() };
        let mut connection = Connection { stream, client };
        let (kind, body) = connection.next().await.expect("a packet");
        assert_eq!(kind, CONNECT);
        connection.client = Client::read(&body);
        let (is_present, code) = match answer {
            Answer::Anew => (0, 0),
            Answer::Again => (1, 0),
            Answer::Refused(code) => (0, code),
        };
        connection.write(&packet_of(0x20, &[is_present, code])).await;
        connection
    }

    /// One of a broker that knows nothing of the client, which has subscribed.
    pub(super) async fn accept_anew(&self) -> Connection {
        let mut connection = self.accept(Answer::Anew).await;
        connection.subscribed(&[1, 1]).await;
        connection
    }
}

impl Connection {
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it is taken");
    }

    /// Kind and body of the next packet; none where the client has ended the connection.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((first >> 4, body))
    }

    /// The filters that the client subscribes to next; each is answered with its code.
    pub(super) async fn subscribed(&mut self, codes: &[u8]) -> Vec<String> {
        let (kind, body) = self.next().await.expect("a packet");
        assert_eq!(kind, SUBSCRIBE);
        let (packet, mut rest) = body.split_first_chunk::<2>().expect("a packet identifier");
        let mut filters = Vec::new();
        while !rest.is_empty() {
            filters.push(next_text(&mut rest));
            let (quality, behind) = rest.split_first().expect("a quality of service");
            assert_eq!(*quality, 1);
            rest = behind;
        }
        assert_eq!(filters.len(), codes.len());
        self.write(&packet_of(0x90, &[packet, codes].concat())).await;
        filters
    }

    /// Sends messages at once.
    pub(super) async fn publish(&mut self, messages: &[Message<'_>]) {
        let bytes: Vec<_> = messages.iter().flat_map(|message| message.to_bytes()).collect();
        self.write(&bytes).await;
    }

    /// Sends a message, and behind it what no packet begins with.
    pub(super) async fn publish_and_break(mut self, message: Message<'_>) {
        self.write(&[&message.to_bytes()[..], &[0, 0]].concat()).await;
        assert_eq!(self.acked().await, None, "it ends the connection");
    }

    /// The packet identifier that is acknowledged next; none where the connection was ended.
    pub(super) async fn acked(&mut self) -> Option<u16> {
        // A client that pings and acknowledges nothing would have a test wait for ever.
        timeout(PATIENCE, self.next_ack()).await.expect("an acknowledgement")
    }

    async fn next_ack(&mut self) -> Option<u16> {
        loop {
            let (kind, body) = self.next().await?;
            match kind {
                PUBACK => return Some(u16::from_be_bytes([body[0], body[1]])),
                PINGREQ => self.write(&[0xd0, 0]).await,
                kind => panic!("expected PUBACK, found a packet of kind {kind}"),
            }
        }
    }

    /// As many of them.
    pub(super) async fn all_acked(&mut self, count: usize) -> Vec<u16> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.extend(self.acked().await);
        }
        all
    }
}
