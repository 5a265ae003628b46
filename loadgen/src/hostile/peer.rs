//! A connection byte by byte: lanes, what is written to them, and what comes back.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use model::{EpochNumber, StreamHandle};
use quinn::{Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use wire::{
    ClientMessage, ClientName, Deframer, Descriptor, Hello, Lane, Mark, OpenStream, ServerMessage,
    StreamKey,
};

use super::tally::Tally;

/// Most bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Messages that wait for an act that looks at them; others are counted and passed over.
const TOLD_MAX: usize = 64;
/// What a peer that does not read lets the node send: less than one receipt.
const NARROW_BYTES: u32 = 256;

/// The connection ended: nothing more can be done on it.
#[derive(Debug)]
pub(super) struct Gone;

/// How one culprit connects.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) endpoint: Endpoint,
    pub(super) settings: quinn::ClientConfig,
    pub(super) node: SocketAddr,
    pub(super) server_name: String,
}

impl Dial {
    pub(super) async fn connect(&self) -> Result<Connection, Gone> {
        let settings = self.settings.clone();
        let connecting = self.endpoint.connect_with(settings, self.node, &self.server_name);
        connecting.map_err(|_| Gone)?.await.map_err(|_| Gone)
    }
}

/// Transport settings of a peer that does not read.
pub(super) fn narrow() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(NARROW_BYTES))
        .receive_window(VarInt::from_u32(NARROW_BYTES));
    transport
}

pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) key: StreamKey,
    tally: Arc<Tally>,
    send: Vec<SendStream>,
    /// Held although nobody reads them: dropped, they would tell the node to stop sending.
    unread: Vec<RecvStream>,
    told: Option<mpsc::Receiver<ServerMessage>>,
    readers: JoinSet<()>,
    /// Whether nothing is read any more.
    deaf: watch::Sender<bool>,
}

impl Peer {
    pub(super) fn new(connection: Connection, key: StreamKey, tally: Arc<Tally>) -> Peer {
        let (send, unread, readers) = (Vec::new(), Vec::new(), JoinSet::new());
        let deaf = watch::Sender::new(false);
        Peer { connection, key, tally, send, unread, told: None, readers, deaf }
    }

    /// Opens the three lanes, each with its preamble if there is to be one.
    pub(super) async fn open_lanes(&mut self, with_preamble: bool) -> Result<(), Gone> {
        for lane in Lane::ALL {
            let (send, receive) = self.connection.open_bi().await.map_err(|_| Gone)?;
            self.send.push(send);
            self.unread.push(receive);
            if with_preamble {
                self.write(lane, &lane.preamble()).await?;
            }
        }
        Ok(())
    }

    /// From now on what comes is read and counted.
    pub(super) fn read(&mut self) {
        let (tell, told) = mpsc::channel(TOLD_MAX);
        for receive in self.unread.drain(..) {
            let reader = Reader { tally: Arc::clone(&self.tally), tell: tell.clone() };
            self.readers.spawn(reader.read(receive, self.deaf.subscribe()));
        }
        self.told = Some(told);
    }

    /// From now on nothing is read, and no lane is closed for it.
    pub(super) fn stop_reading(&self) {
        self.deaf.send_replace(true);
    }

    pub(super) async fn write(&mut self, lane: Lane, bytes: &[u8]) -> Result<(), Gone> {
        let send = self.send.get_mut(lane as usize).ok_or(Gone)?;
        send.write_all(bytes).await.map_err(|_| Gone)?;
        self.tally.sent(bytes.len());
        Ok(())
    }

    pub(super) async fn say(&mut self, message: ClientMessage) -> Result<(), Gone> {
        let lane = match message {
            ClientMessage::Frame(_) => Lane::Live,
            _ => Lane::Control,
        };
        self.write(lane, &message.encode()).await
    }

    pub(super) async fn say_hello(&mut self) -> Result<(), Gone> {
        let name = ClientName::new("vitals-hostile").expect("14 printable characters");
        self.say(ClientMessage::Hello(Hello::new(name, true))).await
    }

    pub(super) async fn open_stream(
        &mut self,
        handle: u32,
        epoch: EpochNumber,
    ) -> Result<(), Gone> {
        let descriptor = Descriptor { key: self.key.clone(), period: None, epoch };
        let open = OpenStream { handle: StreamHandle(handle), lane: Lane::Live, descriptor };
        self.say(ClientMessage::OpenStream(open)).await
    }

    /// The next message; the connection is gone if there is none.
    pub(super) async fn next(&mut self) -> Result<ServerMessage, Gone> {
        self.told.as_mut().ok_or(Gone)?.recv().await.ok_or(Gone)
    }

    /// Lanes, hello and one stream in an epoch of its own, as an honest gateway begins; the epoch.
    pub(super) async fn begin(&mut self) -> Result<EpochNumber, Gone> {
        self.open_lanes(true).await?;
        self.read();
        self.say_hello().await?;
        let epoch = loop {
            if let ServerMessage::Welcome(welcome) = self.next().await? {
                break self.next_epoch(&welcome.marks);
            }
        };
        self.open_stream(1, epoch).await?;
        loop {
            match self.next().await? {
                ServerMessage::StreamOpened { .. } => return Ok(epoch),
                ServerMessage::Reject(_) => return Err(Gone),
                _ => {}
            }
        }
    }

    fn next_epoch(&self, marks: &[Mark]) -> EpochNumber {
        let own = marks.iter().map(|mark| &mark.stream);
        let own =
            own.filter(|name| name.device == self.key.device && name.signal == self.key.signal);
        let last = own.map(|name| name.epoch.0).max().unwrap_or(0);
        EpochNumber(last.saturating_add(1))
    }
}

/// Counts what comes, and tells of what there is room for.
struct Reader {
    tally: Arc<Tally>,
    tell: mpsc::Sender<ServerMessage>,
}

impl Reader {
    /// Reads a lane to its end or until it is `deaf`; then it holds the lane, since dropping it
    /// would tell the node to stop sending.
    async fn read(self, mut lane: RecvStream, mut deaf: watch::Receiver<bool>) {
        let mut received = Deframer::default();
        loop {
            let chunk = tokio::select! {
                biased;
                _ = deaf.wait_for(|deaf| *deaf) => None,
                chunk = lane.read_chunk(READ_BYTES, true) => Some(chunk),
            };
            let Some(chunk) = chunk else { return pending().await };
            let Ok(Some(chunk)) = chunk else { return };
            received.feed(&chunk.bytes);
            while let Ok(Some(bytes)) = received.next_message() {
                let Ok(message) = ServerMessage::decode(bytes) else { return };
                self.take(message);
            }
        }
    }

    fn take(&self, message: ServerMessage) {
        match &message {
            ServerMessage::Reject(reject) => self.tally.rejected(reject.code),
            ServerMessage::Receipt { .. } => self.tally.receipt(),
            _ => {}
        }
        // Full: the act does not look, and what it is told is counted.
        let _ = self.tell.try_send(message);
    }
}
