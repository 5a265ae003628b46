//! The server's session machine under a client that sends whatever it wants, and under an owner
//! that answers late, twice, or for streams that are gone.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{Digest, Millis, Position, RejectCode, Sequence, StreamHandle};
use wire::limits::RECEIPT_ITEMS_MAX;
use wire::{
    AccessAnswer, Block, ClientMessage, ClockFact, Credit, DeviceTime, Features, Frame, FramesItem,
    GroupIdentity, Hello, Items, Lane, NamesQuestion, OpenStream, OperationItem, Page, Receipt,
    ReleaseEnd, Released, RequestId, ServerConfig, ServerEvent, ServerLimits, ServerMessage,
    ServerSession, SignedReceipt, Standing, StreamName, SyncMethod, signer_address,
};

use crate::parties;
use crate::source::Source;

/// Small, so that each is reached.
const LIMITS: ServerLimits = ServerLimits {
    streams_max: 3,
    unacknowledged_bytes_max: 2 * 65_536,
    unacknowledged_frames_max: 6,
    requests_max: 3,
    outgoing_bytes_max: 0,
    takes_encrypted: true,
    ahead_ms_max: 300_000,
};
/// What may wait to be sent all the same: two largest messages, and the one that says why.
const WAITING_BYTES_MAX: usize = 2 * 65_536 + 64;
/// Longest piece of bytes that are no message.
const JUNK_BYTES_MAX: u8 = 64;

/// A sequence of calls of a [`ServerSession`]: bytes of a client, answers of the owner, time.
///
/// # Panics
/// If a frame is delivered for a stream that is not open or behind a hole, if what is delivered is
/// beyond the credit, if anything happens after the end, or if what waits to be sent is no message
/// or more than may wait.
pub fn server_session(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mut served = Served::new();
    // Half of all runs begin behind the greeting, which few sequences of bytes come to.
    if source.flag() {
        served.greet();
    }
    while let Some(step) = source.step(22) {
        served.step(step, &mut source);
        served.check();
    }
    served.drain(usize::MAX);
}

/// What is known of a stream that is open.
struct Open {
    name: StreamName,
    /// The last sequence that is stored.
    durable: u64,
    /// The last one that was delivered, or is stored.
    last: u64,
}

struct Served {
    server: ServerSession,
    now: Millis,
    asked: BTreeMap<StreamHandle, StreamName>,
    open: BTreeMap<StreamHandle, Open>,
    /// How the session ended.
    closed: Option<Option<RejectCode>>,
}

impl Served {
    fn new() -> Served {
        let signer = signer_address(&parties::key());
        let config = ServerConfig { scope: parties::scope(), signer, limits: LIMITS };
        Served {
            server: ServerSession::new(config),
            now: parties::now(),
            asked: BTreeMap::new(),
            open: BTreeMap::new(),
            closed: None,
        }
    }

    fn greet(&mut self) {
        for lane in Lane::ALL {
            self.feed(lane, &lane.preamble());
        }
        self.tell(ClientMessage::Hello(Hello::new(parties::name(), true)));
        self.server.welcome(Vec::new(), Standing::default(), self.now);
    }

    fn feed(&mut self, lane: Lane, bytes: &[u8]) {
        self.server.handle_bytes(lane, bytes, self.now);
        while let Some(event) = self.server.poll_event() {
            self.take(event);
        }
    }

    fn tell(&mut self, message: ClientMessage) {
        self.feed(Lane::Control, &message.encode());
    }

    fn step(&mut self, step: u8, source: &mut Source<'_>) {
        match step {
            0..=9 => self.hear(step, source),
            10 => {
                let lane = parties::lane(source);
                self.feed(lane, source.bytes(JUNK_BYTES_MAX));
            }
            11 => self.drain(source.below(4).into()),
            12 => self.now = source.time(parties::now()),
            _ => self.answer(step, source),
        }
    }

    /// A message of the client, as an honest one would write it, whenever.
    fn hear(&mut self, step: u8, source: &mut Source<'_>) {
        let request = RequestId(source.below(5).into());
        let message = match step {
            0 => {
                let lane = parties::lane(source);
                return self.feed(lane, &lane.preamble());
            }
            1 => {
                let features = Features(source.number());
                ClientMessage::Hello(Hello { features, ..Hello::new(parties::name(), false) })
            }
            2 => ClientMessage::OpenStream(OpenStream {
                // Handle 0 is one that no client may give.
                handle: parties::handle(source),
                lane: parties::lane(source),
                descriptor: parties::descriptor(source),
            }),
            3 => ClientMessage::Clock(ClockFact {
                device: parties::descriptor(source).key.device,
                device_time: DeviceTime::from_millis(self.now),
                gateway_time: DeviceTime::from_millis(self.now),
                method: SyncMethod::None,
                uncertainty_us: 0,
            }),
            4 => ClientMessage::Operation { request, operation: parties::operation(source) },
            5 => {
                let signed = Box::new(parties::access_request(source));
                ClientMessage::Access { request, signed, page: Page::FIRST }
            }
            6 => {
                let question = NamesQuestion::new(parties::question(source));
                if request == RequestId(4) {
                    return self
                        .tell(ClientMessage::Renewal { request, asked: parties::renewal() });
                }
                ClientMessage::Names { request, question: question.expect("few names") }
            }
            7 => ClientMessage::EndStream { handle: parties::handle(source) },
            8 => match source.below(8) {
                0 => ClientMessage::Goodbye,
                1 => return self.hear_block(source),
                _ => return self.hear_frame(source),
            },
            _ => return self.hear_frame(source),
        };
        self.tell(message);
    }

    fn hear_frame(&mut self, source: &mut Source<'_>) {
        let (handle, lane) = (parties::handle(source), parties::lane(source));
        let next = self.open.get(&handle).map_or(1, |open| open.last.saturating_add(1));
        let place = parties::place(source, handle, next);
        if let Some(frame) = parties::frame(source, place, self.now) {
            self.feed(lane, frame.as_bytes());
        }
    }

    /// Frames of any streams in one message, if they are in order.
    fn hear_block(&mut self, source: &mut Source<'_>) {
        let lane = parties::lane(source);
        let mut frames = Vec::new();
        for _ in 0..2 + source.below(3) {
            let handle = parties::handle(source);
            let next = self.open.get(&handle).map_or(1, |open| open.last.saturating_add(1));
            let place = parties::place(source, handle, next);
            frames.extend(parties::frame(source, place, self.now));
        }
        if let Ok(block) = Block::new(&frames) {
            self.feed(lane, &ClientMessage::Block(block).encode());
        }
    }

    /// A call of the owner, whether or not anything was asked.
    fn answer(&mut self, step: u8, source: &mut Source<'_>) {
        let (handle, request) = (parties::handle(source), RequestId(source.below(5).into()));
        let code = RejectCode::ALL[usize::from(source.below(RejectCode::ALL.len() as u8))];
        match step {
            13 => self.server.welcome(Vec::new(), Standing::default(), self.now),
            14 => {
                let durable = source.number().min(i64::MAX as u64);
                self.server.open_stream(handle, Sequence(durable));
                if let Some(name) = self.asked.remove(&handle) {
                    self.open.insert(handle, Open { name, durable, last: durable });
                }
            }
            15 => {
                self.server.refuse_stream(handle, code);
                self.asked.remove(&handle);
                self.open.remove(&handle);
            }
            16 => self.acknowledge(source),
            17 => {
                let from = Sequence(source.sequence());
                self.server.reject_frames(handle, from, code);
                if !code.retry() {
                    self.open.remove(&handle);
                }
            }
            18 => self.server.reject_request(request, code),
            19 => self.release(request, source),
            20 => {
                let (bytes, frames) = (source.number(), source.number() as u32);
                self.server.set_credit(Credit { bytes, frames });
            }
            _ => {
                if source.below(8) == 0 {
                    self.server.close(code);
                }
            }
        }
        while let Some(event) = self.server.poll_event() {
            self.take(event);
        }
    }

    /// A receipt of a group with frames of a stream, whoever sent them, and an operation.
    fn acknowledge(&mut self, source: &mut Source<'_>) {
        let stream = parties::descriptor(source).name();
        let open = self.open.values_mut().find(|open| open.name == stream);
        let last = match &open {
            Some(open) if source.flag() => open.last.max(1),
            _ => source.sequence(),
        };
        if let Some(open) = open {
            (open.durable, open.last) = (open.durable.max(last), open.last.max(last));
        }
        let sequences =
            (Sequence(last.saturating_sub(source.below(3).into()).max(1)), Sequence(last));
        let (positions, appended) = ((Position(1), Position(u64::MAX)), self.now);
        let frames = vec![FramesItem { stream, sequences, positions, appended }];
        let digest = parties::digest(source);
        let operations = vec![OperationItem { position: Position(1), time: self.now, digest }];
        let items = Items { frames, operations, ..Items::default() };
        assert!(items.len() <= RECEIPT_ITEMS_MAX);
        let group = GroupIdentity {
            scope: parties::scope(),
            group: 1,
            term: 0,
            journal_hash: [source.below(3); 32],
        };
        let receipt = Receipt::new(group, parties::holder(), items).expect("valid items");
        // The machine signs nothing and looks at no signature.
        self.server.acknowledge(SignedReceipt { receipt, signature: [0; 65] });
    }

    fn release(&mut self, request: RequestId, source: &mut Source<'_>) {
        let (time, position) = (self.now, Position(1));
        match source.below(4) {
            0 => {
                let (digest, permitted) = (Digest([1; 31]), source.flag());
                let answer = AccessAnswer { request, digest, group: 1, position, time, permitted };
                self.server.answer_access(answer);
            }
            1 => {
                let stream = parties::descriptor(source).name();
                let place = parties::place(source, StreamHandle(0), 1);
                let Some(frame) = parties::frame(source, place, self.now) else { return };
                let index = source.number();
                let released = Released { request, index, position, stream, frame };
                let _ = self.server.release_frame(released);
            }
            2 => {
                let (frames, more, partly) = (source.number(), source.flag(), 0);
                self.server.end_release(ReleaseEnd { request, frames, more, partly });
            }
            _ => {
                self.server.answer_names(request, vec![source.flag(); 2]);
                self.server.answer_renewal(request, None);
            }
        }
    }

    fn take(&mut self, event: ServerEvent) {
        assert_eq!(self.closed, None, "nothing comes after the end");
        match event {
            ServerEvent::OpenStream(open) => {
                assert_ne!(open.handle, StreamHandle(0), "the handle of stored frames");
                let before = self.asked.insert(open.handle, open.descriptor.name());
                assert_eq!(before, None, "a handle is of one stream");
                assert!(!self.open.contains_key(&open.handle), "a handle is of one stream");
            }
            ServerEvent::StreamEnded { handle } => {
                self.asked.remove(&handle);
                self.open.remove(&handle);
            }
            ServerEvent::Frame { handle, frame, measured } => {
                assert!(measured.from < measured.until);
                let open = self.open(handle, &frame);
                assert_eq!(frame, frame.stored(), "handle 0 (W.12)");
                let sequence = frame.sequence().0;
                assert!(sequence > open.durable, "what is stored is a duplicate");
                assert!(sequence <= open.last.saturating_add(1), "no hole");
                open.last = open.last.max(sequence);
            }
            ServerEvent::Duplicate { handle, frame } => {
                let open = self.open(handle, &frame);
                assert!(frame.sequence().0 <= open.last, "it came before");
            }
            ServerEvent::FrameRejected { handle, frame, code } => {
                self.open(handle, &frame);
                if !code.retry() {
                    self.open.remove(&handle);
                }
            }
            ServerEvent::Closed { code } => self.closed = Some(code),
            ServerEvent::Hello(_)
            | ServerEvent::Clock(_)
            | ServerEvent::Operation { .. }
            | ServerEvent::Access { .. }
            | ServerEvent::Names { .. }
            | ServerEvent::Renewal { .. } => {}
        }
    }

    fn open(&mut self, handle: StreamHandle, frame: &Frame) -> &mut Open {
        let open = self.open.get_mut(&handle).expect("frames are of open streams");
        assert_eq!(frame.header().epoch, open.name.epoch, "a stream is of one epoch");
        open
    }

    fn check(&self) {
        let held = self.server.unacknowledged().sum();
        assert!(held.fits(LIMITS.credit()), "within the credit");
        assert_eq!(self.server.is_closed(), self.closed.is_some(), "its end is told once");
        let streams = self.asked.len() + self.open.len();
        assert!(self.closed.is_some() || streams <= LIMITS.streams_max, "as many as may be");
    }

    /// Sends up to `count` messages of each lane.
    fn drain(&mut self, count: usize) {
        let mut waited = Vec::<Bytes>::new();
        for lane in Lane::ALL {
            let messages = std::iter::from_fn(|| self.server.poll_transmit(lane));
            waited.extend(messages.take(count));
        }
        let bytes: usize = waited.iter().map(Bytes::len).sum();
        assert!(bytes <= WAITING_BYTES_MAX, "{bytes} bytes waited");
        for message in waited {
            let decoded = ServerMessage::decode(message.clone()).expect("a message");
            assert_eq!(decoded.encode(), message, "one message, one encoding");
        }
    }
}
