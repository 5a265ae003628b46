//! The client's session machine under a server that says whatever it wants, some of it signed, and
//! under an owner that calls in any order.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use model::{Millis, Position, RejectCode, Sequence, StreamHandle};
use wire::{
    AccessAnswer, AccessItem, BlockFrame, ClientConfig, ClientEvent, ClientLimits, ClientMessage,
    ClientSession, ClockFact, Concern, Credit, DeviceTime, Features, Frame, FramesItem,
    GroupIdentity, HEADER_BYTES, Items, KeptFrames, Lane, NamesAnswer, NamesQuestion,
    OperationItem, PROTOCOL_VERSION, Page, RAW_ROW_BYTES, Receipt, RefusalItem, Reject, ReleaseEnd,
    Released, RenewalAnswer, RequestId, ServerMessage, SignedReceipt, Standing, SyncMethod,
    Welcome, signer_address,
};

use crate::parties;
use crate::source::Source;

/// Small, so that each is reached.
const LIMITS: ClientLimits = ClientLimits {
    held_bytes_max: 1024,
    streams_max: 3,
    requests_max: 3,
    block_frames_max: 3,
    receipts_max: 3,
    retry_after_ms: 1_000,
    reopen_after_ms_max: 8_000,
};
const JUNK_BYTES_MAX: u8 = 64;
/// Numbers of requests that answers name.
const REQUESTS: u8 = 5;

/// A sequence of calls of a [`ClientSession`]: its owner's, and bytes of a server.
///
/// # Panics
/// If a frame is called durable that was never held, if what is held and what is under way is
/// miscounted, if more is sent than the credit allows, or if anything follows the end.
pub fn client_session(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mut held = Held::new();
    // Most runs begin with a session, which few sequences of bytes come to.
    if source.below(4) != 0 {
        held.session.connected();
        held.is_over = false;
        held.hear(&welcome(Standing::default(), Features::SPOKEN), Lane::Control);
    }
    while let Some(step) = source.step(28) {
        held.step(step, &mut source);
        held.check();
    }
    held.disconnect();
    held.check();
}

/// Each frame that has no receipt yet, of each stream.
type Frames = BTreeMap<StreamHandle, VecDeque<HeldFrame>>;

struct HeldFrame {
    sequence: Sequence,
    /// Bytes of it when it was made, which are those that the limit counts.
    room: usize,
    /// The most bytes that it may go as: as it was made, or as rows for a server that does not
    /// speak its codec (W.71).
    sent_max: usize,
}

struct Held {
    session: ClientSession,
    now: Millis,
    frames: Frames,
    /// The last sequence of each stream that has a receipt.
    durable: BTreeMap<StreamHandle, Sequence>,
    credit: Credit,
    /// Whether the connection has ended, or never begun.
    is_over: bool,
}

fn welcome(standing: Standing, features: Features) -> ServerMessage {
    ServerMessage::Welcome(Welcome {
        version: PROTOCOL_VERSION,
        features,
        scope: parties::scope(),
        signer: signer_address(&parties::key()),
        standing,
        server_time: parties::now(),
        credit: Credit { bytes: 4096, frames: 8 },
        marks: Vec::new(),
    })
}

impl Held {
    fn new() -> Held {
        let config = ClientConfig {
            scope: parties::scope(),
            signer: signer_address(&parties::key()),
            holder: parties::holder(),
            name: parties::name(),
            codec: None,
            limits: LIMITS,
        };
        Held {
            session: ClientSession::new(config),
            now: parties::now(),
            frames: Frames::new(),
            durable: BTreeMap::new(),
            credit: Credit::default(),
            is_over: true,
        }
    }

    fn step(&mut self, step: u8, source: &mut Source<'_>) {
        match step {
            0..=4 => self.hold(step, source),
            5..=14 => self.call(step, source),
            15 => {
                let lane = parties::lane(source);
                let bytes = source.bytes(JUNK_BYTES_MAX);
                self.session.handle_bytes(lane, bytes, self.now);
            }
            _ => {
                let message = self.message(step, source);
                let lane = match source.below(16) {
                    15 => parties::lane(source),
                    _ => right_lane(&message),
                };
                self.hear(&message, lane);
            }
        }
        self.events();
    }

    /// What the owner does with streams and frames.
    fn hold(&mut self, step: u8, source: &mut Source<'_>) {
        let handle = parties::handle(source);
        match step {
            0 => {
                let (lane, descriptor) = (parties::lane(source), parties::descriptor(source));
                let receipted = Sequence(source.number().min(i64::MAX as u64));
                if let Ok(handle) = self.session.open_stream(lane, descriptor, receipted) {
                    self.frames.insert(handle, VecDeque::new());
                    self.durable.insert(handle, receipted);
                }
            }
            1 => {
                let readings = parties::readings(source, self.now);
                if let Ok(frame) = self.session.push(handle, &readings) {
                    self.note(handle, &frame);
                }
            }
            2 | 3 => {
                let last = self.frames.get(&handle).and_then(|frames| frames.back());
                let last = last.map(|frame| frame.sequence).or(self.durable.get(&handle).copied());
                let next = last.map_or(1, |last| last.0.saturating_add(1));
                let place = parties::place(source, handle, next);
                let Some(frame) = parties::frame(source, place, self.now) else { return };
                let taken = match step {
                    2 => self.session.restore(handle, &frame),
                    _ => self.session.queue(handle, &frame),
                };
                if taken.is_ok() {
                    self.note(handle, &frame);
                }
            }
            _ => {
                let [first, sent, last] = [0; 3].map(|_| Sequence(source.number()));
                self.session.set_kept(handle, KeptFrames { first, sent, last });
            }
        }
    }

    fn note(&mut self, handle: StreamHandle, frame: &Frame) {
        let frames = self.frames.get_mut(&handle).expect("frames are of open streams");
        let room = frame.as_bytes().len();
        let as_rows = HEADER_BYTES + RAW_ROW_BYTES * usize::from(frame.header().count);
        let sent_max = room.max(as_rows);
        frames.push_back(HeldFrame { sequence: frame.sequence(), room, sent_max });
    }

    fn call(&mut self, step: u8, source: &mut Source<'_>) {
        match step {
            5 => {
                // What it says of the connection before belongs to that one.
                self.disconnect();
                self.session.connected();
                self.is_over = false;
            }
            6 => self.disconnect(),
            7 => drop(self.session.end_stream(parties::handle(source))),
            8 => {
                let at = DeviceTime::from_millis(self.now);
                let device = parties::descriptor(source).key.device;
                let method = SyncMethod::Ntp;
                let (device_time, gateway_time, uncertainty_us) = (at, at, 1);
                let fact = ClockFact { device, device_time, gateway_time, method, uncertainty_us };
                drop(self.session.clock(fact));
            }
            9 => drop(self.session.submit(parties::operation(source))),
            10 => {
                let page = match source.below(3) {
                    0 => Page::FIRST.behind(Position(3)),
                    _ => Page::FIRST,
                };
                drop(self.session.request_access(parties::access_request(source), page));
            }
            11 => {
                let question = NamesQuestion::new(parties::question(source));
                drop(self.session.ask_names(question.expect("few names")));
                drop(self.session.ask_renewal(parties::renewal()));
            }
            12 if source.below(8) == 0 => self.session.goodbye(),
            12 | 13 => {
                self.now = source.time(parties::now());
                self.session.handle_timeout(self.now);
            }
            _ => self.send(parties::lane(source), source.below(8).into()),
        }
    }

    /// What a server says, as an honest one would write it, whenever.
    fn message(&mut self, step: u8, source: &mut Source<'_>) -> ServerMessage {
        let (handle, request) = (handle(source), RequestId(source.below(REQUESTS).into()));
        let sequence = Sequence(source.sequence());
        let code = RejectCode::ALL[usize::from(source.below(RejectCode::ALL.len() as u8))];
        match step {
            16 => {
                let standing =
                    Standing { term: source.below(3).into(), head_group: source.number() };
                welcome(standing, Features(source.number()))
            }
            17 | 18 => ServerMessage::StreamOpened { handle, next: sequence },
            19..=21 => {
                let receipt = Box::new(self.receipt(source));
                ServerMessage::Receipt { receipt, credit: credit(source) }
            }
            22 => {
                let (digest, permitted) = (parties::digest(source), source.flag());
                let (group, position, time) = (1, Position(1), self.now);
                ServerMessage::AccessAnswer(AccessAnswer {
                    request,
                    digest,
                    group,
                    position,
                    time,
                    permitted,
                })
            }
            23 => self.released(request, source),
            24 => {
                let (frames, more, partly) = (source.number(), source.flag(), 0);
                ServerMessage::ReleaseEnd(ReleaseEnd { request, frames, more, partly })
            }
            25 => {
                let known = vec![source.flag(); 1 + usize::from(source.below(4))];
                if known.len() == 4 {
                    let certificate = known[0].then(|| Bytes::from_static(&[0x30, 0]));
                    return ServerMessage::Renewal(RenewalAnswer { request, certificate });
                }
                ServerMessage::Names(NamesAnswer { request, known })
            }
            26 => {
                let concern = match source.below(3) {
                    0 => Concern::Stream { handle },
                    1 => Concern::Frames { handle, from: sequence },
                    _ => Concern::Request { request },
                };
                ServerMessage::Reject(Reject { code, concern, count: 1 })
            }
            _ if source.below(8) == 0 => ServerMessage::Closing { code },
            _ => ServerMessage::Credit(credit(source)),
        }
    }

    fn released(&mut self, request: RequestId, source: &mut Source<'_>) -> ServerMessage {
        let stream = parties::descriptor(source).name();
        let place = parties::place(source, StreamHandle(0), 1);
        match parties::frame(source, place, self.now) {
            Some(frame) => {
                let (index, position) = (source.number(), Position(1));
                ServerMessage::Released(Released { request, index, position, stream, frame })
            }
            None => ServerMessage::Credit(credit(source)),
        }
    }

    /// A receipt that is signed as it should be, whatever it says.
    fn receipt(&mut self, source: &mut Source<'_>) -> SignedReceipt {
        let stream = parties::descriptor(source).name();
        let last = source.sequence();
        let first = last.saturating_sub(source.below(4).into()).max(1);
        let sequences = (Sequence(first), Sequence(last));
        let (positions, appended) = ((Position(1), Position(u64::MAX)), self.now);
        let frame = FramesItem { stream, sequences, positions, appended };
        let (position, time, digest) = (Position(1), self.now, parties::digest(source));
        let items = match source.below(4) {
            0 => Items {
                operations: vec![OperationItem { position, time, digest }],
                ..Items::default()
            },
            1 => {
                let permitted = source.flag();
                let accesses = vec![AccessItem { position, time, digest, permitted }];
                Items { accesses, ..Items::default() }
            }
            2 => Items { refusals: vec![RefusalItem { position, digest }], ..Items::default() },
            _ => Items { frames: vec![frame], ..Items::default() },
        };
        let group = GroupIdentity {
            scope: parties::scope(),
            group: source.number(),
            term: source.below(3).into(),
            journal_hash: [source.below(2); 32],
        };
        let receipt = Receipt::new(group, parties::holder(), items).expect("valid items");
        receipt.sign(&parties::key())
    }

    fn hear(&mut self, message: &ServerMessage, lane: Lane) {
        let was_open = self.session.is_open();
        self.session.handle_bytes(lane, &message.encode(), self.now);
        // Told together with its welcome, or by itself, or with a receipt.
        let credit = match message {
            ServerMessage::Welcome(welcome) => Some(welcome.credit),
            ServerMessage::Receipt { credit, .. } | ServerMessage::Credit(credit) => Some(*credit),
            _ => None,
        };
        if let Some(credit) = credit.filter(|_| was_open && self.session.is_open()) {
            self.credit = credit;
        }
        self.events();
    }

    fn disconnect(&mut self) {
        self.session.disconnected();
        self.events();
        (self.is_over, self.credit) = (true, Credit::default());
    }

    fn events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.take(event);
        }
    }

    fn take(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Durable { handle, last } => {
                let frames = self.frames.get_mut(&handle).expect("of a stream that is open");
                let before = self.durable.insert(handle, last);
                assert!(before < Some(last), "it goes on, and is told once");
                while frames.front().is_some_and(|frame| frame.sequence <= last) {
                    frames.pop_front();
                }
                // What has a receipt was held, or its owner said that it had been sent.
            }
            ClientEvent::Regressed { handle, next, receipted } => {
                assert_eq!(self.durable.get(&handle), Some(&receipted));
                assert!(next.0 <= receipted.0, "less than what had a receipt");
                self.durable.insert(handle, Sequence(next.0 - 1));
                self.frames.insert(handle, VecDeque::new());
            }
            ClientEvent::StreamStopped { handle, frames, .. } => {
                let held = self.frames.remove(&handle).expect("a stream stops once");
                let given: Vec<_> = frames.iter().map(Frame::sequence).collect();
                let held: Vec<_> = held.iter().map(|frame| frame.sequence).collect();
                assert_eq!(given, held, "what has no receipt is handed back");
                self.durable.remove(&handle);
            }
            ClientEvent::StreamEnded { handle } => {
                let held = self.frames.remove(&handle).expect("a stream ends once");
                assert!(held.is_empty(), "after its last receipt");
                self.durable.remove(&handle);
            }
            ClientEvent::Closed { .. } => {
                assert!(!self.is_over, "its end is told once");
                self.is_over = true;
            }
            _ => {}
        }
    }

    /// Sends up to `count` messages of a lane.
    fn send(&mut self, lane: Lane, count: usize) {
        for _ in 0..count {
            let before = self.session.under_way();
            let Some(bytes) = self.session.poll_transmit(lane) else { return };
            self.check_sent(&bytes, before);
        }
    }

    fn check_sent(&self, bytes: &Bytes, before: Credit) {
        if Lane::ALL.iter().any(|lane| *bytes == lane.preamble()[..]) {
            return;
        }
        let message = ClientMessage::decode(bytes.clone()).expect("a message");
        assert_eq!(message.encode(), bytes, "one message, one encoding");
        let after = self.session.under_way();
        let sent = match message {
            ClientMessage::Frame(frame) => vec![(frame.header().handle, frame.sequence())],
            ClientMessage::Block(block) => {
                let place = |one: &BlockFrame| (one.handle, one.frame.sequence());
                block.frames().iter().map(place).collect()
            }
            _ => return assert_eq!(before, after, "only frames take credit"),
        };
        assert!(after.fits(self.credit), "within the credit: {after:?} of {:?}", self.credit);
        assert_eq!(after.frames as usize, before.frames as usize + sent.len());
        for (handle, sequence) in sent {
            let is_held = self.frames[&handle].iter().any(|held| held.sequence == sequence);
            assert!(is_held, "what is sent has no receipt");
        }
    }

    fn check(&self) {
        let (bytes, under_way) = (self.session.held_bytes(), self.session.under_way());
        let frames = || self.frames.values().flatten();
        let held: usize = frames().map(|frame| frame.room).sum();
        assert_eq!(bytes, held, "every frame without a receipt is counted, and no other");
        assert!(bytes <= LIMITS.held_bytes_max, "within what may be held");
        let sent_max: usize = frames().map(|frame| frame.sent_max).sum();
        assert!(under_way.bytes <= sent_max as u64, "what is under way is held");
        assert!(self.frames.len() <= LIMITS.streams_max);
        assert_eq!(self.session.is_open(), !self.is_over, "its end is told");
    }
}

fn handle(source: &mut Source<'_>) -> StreamHandle {
    // A message that names handle 0 does not decode.
    StreamHandle(parties::handle(source).0.max(1))
}

fn credit(source: &mut Source<'_>) -> Credit {
    Credit { bytes: source.number().saturating_mul(16), frames: source.number() as u32 }
}

fn right_lane(message: &ServerMessage) -> Lane {
    match message {
        ServerMessage::AccessAnswer(_)
        | ServerMessage::Released(_)
        | ServerMessage::ReleaseEnd(_) => Lane::Backfill,
        _ => Lane::Control,
    }
}
