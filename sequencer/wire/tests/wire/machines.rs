//! The two session machines, alone and with a connection that loses nothing between them.

use model::{Millis, Position, RejectCode, Sequence, StreamHandle};
use wire::*;

use crate::samples::{self, ECG};

pub(crate) const HANDLE: StreamHandle = StreamHandle(1);
pub(crate) const STANDING: Standing = Standing { term: 0, head_group: 1 };

pub(crate) fn now() -> Millis {
    samples::at(1 << 20)
}

pub(crate) fn server_with(limits: ServerLimits) -> ServerSession {
    let (scope, signer) = (samples::scope(), signer_address(&samples::key()));
    let mut server = ServerSession::new(ServerConfig { scope, signer, limits });
    for lane in Lane::ALL {
        server.handle_bytes(lane, &lane.preamble(), now());
    }
    server
}

/// A server after the hello.
pub(crate) fn ready(limits: ServerLimits) -> ServerSession {
    let mut server = server_with(limits);
    tell(&mut server, hello());
    assert!(matches!(server.poll_event(), Some(ServerEvent::Hello(_))));
    server.welcome(Vec::new(), STANDING, now());
    said(&mut server);
    server
}

/// A server with one open stream on the live lane.
pub(crate) fn streaming(limits: ServerLimits) -> ServerSession {
    let mut server = ready(limits);
    tell(&mut server, open(1, "monitor-1"));
    assert!(matches!(server.poll_event(), Some(ServerEvent::OpenStream(_))));
    server.open_stream(HANDLE, Sequence(0));
    said(&mut server);
    server
}

pub(crate) fn hello() -> ClientMessage {
    ClientMessage::Hello(Hello::new(ClientName::new("test").expect("short"), false))
}

pub(crate) fn open(handle: u32, device: &str) -> ClientMessage {
    let (handle, descriptor) = (StreamHandle(handle), samples::descriptor(device, ECG, 1));
    ClientMessage::OpenStream(OpenStream { handle, lane: Lane::Live, descriptor })
}

pub(crate) fn tell(server: &mut ServerSession, message: ClientMessage) {
    let is_data = matches!(message, ClientMessage::Frame(_) | ClientMessage::Block(_));
    let lane = if is_data { Lane::Live } else { Lane::Control };
    server.handle_bytes(lane, &message.encode(), now());
}

pub(crate) fn give(server: &mut ServerSession, sequence: u64) {
    tell(server, ClientMessage::Frame(samples::frame(1, sequence, 2)));
}

pub(crate) fn said(server: &mut ServerSession) -> Vec<ServerMessage> {
    let all = Lane::ALL.into_iter();
    all.flat_map(|lane| std::iter::from_fn(|| server.poll_transmit(lane)).collect::<Vec<_>>())
        .map(|bytes| ServerMessage::decode(bytes).expect("a server message"))
        .collect()
}

pub(crate) fn heard(server: &mut ServerSession) -> Vec<ServerEvent> {
    std::iter::from_fn(|| server.poll_event()).collect()
}

pub(crate) fn rejected(code: RejectCode, from: u64, count: u32) -> ServerMessage {
    let concern = Concern::Frames { handle: HANDLE, from: Sequence(from) };
    ServerMessage::Reject(Reject { code, concern, count })
}

pub(crate) fn closes_with(server: &mut ServerSession, code: RejectCode) {
    assert_eq!(said(server).last(), Some(&ServerMessage::Closing { code }));
    assert_eq!(heard(server).last(), Some(&ServerEvent::Closed { code: Some(code) }));
    assert!(server.is_closed());
}

pub(crate) fn new_client() -> ClientSession {
    ClientSession::new(ClientConfig {
        scope: samples::scope(),
        signer: signer_address(&samples::key()),
        holder: Holder::gateway(&samples::gateway()),
        name: ClientName::new("test").expect("short"),
        codec: None,
        limits: ClientLimits::default(),
    })
}

/// A client and a server with a connection that loses nothing.
pub(crate) struct Pair {
    pub(crate) client: ClientSession,
    pub(crate) server: ServerSession,
}

impl Pair {
    pub(crate) fn new() -> Pair {
        Pair::connect(new_client(), ServerLimits::default())
    }

    /// A client of before with a server of now.
    pub(crate) fn connect(mut client: ClientSession, limits: ServerLimits) -> Pair {
        client.connected();
        let (scope, signer) = (samples::scope(), signer_address(&samples::key()));
        let server = ServerSession::new(ServerConfig { scope, signer, limits });
        let mut pair = Pair { client, server };
        assert!(matches!(pair.up()[..], [ServerEvent::Hello(_)]));
        pair.server.welcome(Vec::new(), STANDING, now());
        assert!(matches!(pair.down()[..], [ClientEvent::Welcomed { .. }]));
        pair
    }

    pub(crate) fn with_stream(durable: u64, receipted: u64) -> (Pair, StreamHandle) {
        let mut pair = Pair::new();
        let descriptor = samples::descriptor("monitor-1", ECG, 1);
        let handle = pair.client.open_stream(Lane::Live, descriptor, Sequence(receipted));
        let handle = handle.expect("a new stream");
        pair.up();
        pair.server.open_stream(handle, Sequence(durable));
        (pair, handle)
    }

    pub(crate) fn up(&mut self) -> Vec<ServerEvent> {
        for lane in Lane::ALL {
            while let Some(bytes) = self.client.poll_transmit(lane) {
                self.server.handle_bytes(lane, &bytes, now());
            }
        }
        heard(&mut self.server)
    }

    pub(crate) fn down(&mut self) -> Vec<ClientEvent> {
        for lane in Lane::ALL {
            while let Some(bytes) = self.server.poll_transmit(lane) {
                self.client.handle_bytes(lane, &bytes, now());
            }
        }
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }
}

pub(crate) fn items_for(first: u64, last: u64) -> Items {
    let sequences = (Sequence(first), Sequence(last));
    let positions = (Position(first), Position(last));
    let stream = samples::descriptor("monitor-1", ECG, 1).name();
    let frames = vec![FramesItem { stream, sequences, positions, appended: now() }];
    Items { frames, ..Items::default() }
}

pub(crate) fn receipt_of(journal_hash: [u8; 32], holder: Holder, items: Items) -> SignedReceipt {
    let group = GroupIdentity { scope: samples::scope(), group: 1, term: 0, journal_hash };
    let receipt = Receipt::new(group, holder, items).expect("valid items");
    receipt.sign(&samples::key())
}

pub(crate) fn receipt_for(first: u64, last: u64) -> SignedReceipt {
    receipt_of([1; 32], Holder::gateway(&samples::gateway()), items_for(first, last))
}

pub(crate) fn push(pair: &mut Pair, handle: StreamHandle, count: u64) {
    for i in 0..count {
        pair.client.push(handle, &samples::readings(i, 2)).expect("room");
    }
}

/// A welcome with these features.
pub(crate) fn welcome(features: Features) -> ServerMessage {
    ServerMessage::Welcome(Welcome {
        version: PROTOCOL_VERSION,
        features,
        scope: samples::scope(),
        signer: signer_address(&samples::key()),
        standing: STANDING,
        server_time: now(),
        credit: ServerLimits::default().credit(),
        marks: Vec::new(),
    })
}
