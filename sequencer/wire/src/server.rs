//! The server's side of one connection: order, limits and sequence; it decides no consent.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use model::{Digest, Interval, Millis, RejectCode, Sequence, StreamHandle};

use crate::header::SEQUENCE_MAX;
use crate::limits::{FRAME_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::{
    AccessAnswer, ClientMessage, Concern, Credit, Deframer, Features, Frame, Hello, Lane, Mark,
    MessageError, OpenStream, PROTOCOL_VERSION, Reject, ReleaseEnd, Released, RequestId,
    ServerMessage, SignedReceipt, StreamName, Welcome,
};

mod event;

pub use event::{OutgoingFull, ServerConfig, ServerEvent, ServerLimits};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    New,
    Greeted,
    Ready,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Opening,
    Open,
    Refused,
}

struct Stream {
    open: OpenStream,
    state: StreamState,
    /// The sequence that comes next.
    next: Sequence,
    /// The last sequence known to be stored.
    durable: Sequence,
    /// After a rejection that may be retried: drop what comes after `next` without another word.
    rewound: bool,
    /// Delivered frames with their weight, in the order they came.
    in_flight: VecDeque<(Sequence, Credit)>,
}

/// The server's half of one connection. Holds no clock, socket or randomness.
pub struct ServerSession {
    config: ServerConfig,
    phase: Phase,
    lanes: [Deframer; 3],
    preambles: [bool; 3],
    streams: BTreeMap<StreamHandle, Stream>,
    names: BTreeMap<StreamName, StreamHandle>,
    requests: BTreeMap<RequestId, Digest>,
    credit: Credit,
    unacknowledged: Credit,
    outgoing: [VecDeque<Bytes>; 3],
    outgoing_bytes: usize,
    events: VecDeque<ServerEvent>,
}

impl ServerSession {
    /// A session before its first byte.
    ///
    /// # Panics
    /// If the budget of unacknowledged bytes is below two frames: nothing could be sent.
    pub fn new(config: ServerConfig) -> ServerSession {
        let limits = config.limits;
        assert!(limits.unacknowledged_bytes_max >= 2 * FRAME_BYTES_MAX as u64, "two frames fit");
        ServerSession {
            config,
            phase: Phase::New,
            lanes: Default::default(),
            preambles: [false; 3],
            streams: BTreeMap::new(),
            names: BTreeMap::new(),
            requests: BTreeMap::new(),
            credit: limits.credit(),
            unacknowledged: Credit::default(),
            outgoing: Default::default(),
            outgoing_bytes: 0,
            events: VecDeque::new(),
        }
    }

    /// Takes received bytes of a lane. Poll all events before feeding more.
    pub fn handle_bytes(&mut self, lane: Lane, bytes: &[u8], now: Millis) {
        if self.phase == Phase::Closed {
            return;
        }
        self.lanes[lane as usize].feed(bytes);
        if let Err(code) = self.drain(lane, now) {
            self.close(code);
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// The next bytes to send on a lane: one whole message.
    pub fn poll_transmit(&mut self, lane: Lane) -> Option<Bytes> {
        let bytes = self.outgoing[lane as usize].pop_front()?;
        self.outgoing_bytes -= bytes.len();
        Some(bytes)
    }

    /// Whether the session is over; what waits may still be sent.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// What was delivered and neither acknowledged nor rejected.
    pub fn unacknowledged(&self) -> Credit {
        self.unacknowledged
    }

    /// Answers the hello. Marks beyond `limits::MARKS_MAX` are left out: they are a hint.
    pub fn welcome(&mut self, marks: Vec<Mark>, now: Millis) {
        if self.phase != Phase::Greeted {
            return;
        }
        self.phase = Phase::Ready;
        self.send(ServerMessage::Welcome(Welcome {
            version: PROTOCOL_VERSION,
            features: Features::SPOKEN,
            scope: self.config.scope,
            signer: self.config.signer,
            server_time: now,
            credit: self.credit,
            marks,
        }));
    }

    /// Opens a stream whose last durable sequence is `durable` (0 for none).
    ///
    /// # Panics
    /// If `durable` is beyond every sequence that a frame can have.
    pub fn open_stream(&mut self, handle: StreamHandle, durable: Sequence) {
        assert!(durable.0 <= SEQUENCE_MAX, "W.19: a stored frame has a sequence below 2^63");
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        if stream.state == StreamState::Opening {
            stream.state = StreamState::Open;
            stream.durable = durable;
            stream.next = Sequence(durable.0 + 1);
            let next = stream.next;
            self.send(ServerMessage::StreamOpened { handle, next });
        }
    }

    /// Refuses a stream, opened or not; what comes of it is dropped until the client ends it.
    pub fn refuse_stream(&mut self, handle: StreamHandle, code: RejectCode) {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        stream.state = StreamState::Refused;
        let count = self.release(handle, Sequence(0)..=Sequence(u64::MAX));
        self.reject(code, Concern::Stream { handle }, count);
    }

    /// Sends a receipt of a durable group, with credit, and counts off what it acknowledges.
    pub fn acknowledge(&mut self, receipt: SignedReceipt) {
        if self.phase != Phase::Ready {
            return;
        }
        for item in &receipt.receipt.items().frames {
            let Some(handle) = self.names.get(&item.stream).copied() else {
                continue;
            };
            self.release(handle, Sequence(0)..=item.sequences.1);
            if let Some(stream) = self.streams.get_mut(&handle) {
                stream.durable = stream.durable.max(item.sequences.1);
                stream.next = stream.next.max(Sequence(stream.durable.0 + 1));
            }
        }
        for item in &receipt.receipt.items().operations {
            self.requests.retain(|_, digest| *digest != item.digest);
        }
        let receipt = Box::new(receipt);
        self.send(ServerMessage::Receipt { receipt, credit: self.credit });
    }

    /// Rejects all delivered frames of a stream from `from` on. After a code that may be retried
    /// the stream goes on at `from`; after any other the stream is refused.
    pub fn reject_frames(&mut self, handle: StreamHandle, from: Sequence, code: RejectCode) {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        if stream.state != StreamState::Open {
            return;
        }
        if code.retry() {
            // Never back to what is stored: the client may hold it no longer.
            stream.next = stream.next.min(from).max(Sequence(stream.durable.0 + 1));
            stream.rewound = true;
        } else {
            stream.state = StreamState::Refused;
        }
        let count = self.release(handle, from..=Sequence(u64::MAX)).max(1);
        self.reject(code, Concern::Frames { handle, from }, count);
    }

    /// Decides a request to read. A refusal ends the request.
    pub fn answer_access(&mut self, answer: AccessAnswer) {
        if !answer.permitted {
            self.requests.remove(&answer.request);
        }
        self.send(ServerMessage::AccessAnswer(answer));
    }

    /// Sends a frame of a permitted answer.
    ///
    /// # Errors
    /// [`OutgoingFull`] while half of what may wait does: send first.
    pub fn release_frame(&mut self, released: Released) -> Result<(), OutgoingFull> {
        let (found, limit) = (self.outgoing_bytes, self.config.limits.outgoing_bytes_max / 2);
        if found > limit {
            return Err(OutgoingFull { limit, found });
        }
        self.send(ServerMessage::Released(released));
        Ok(())
    }

    /// Ends a permitted answer.
    pub fn end_release(&mut self, end: ReleaseEnd) {
        self.requests.remove(&end.request);
        self.send(ServerMessage::ReleaseEnd(end));
    }

    /// Rejects an operation or request.
    pub fn reject_request(&mut self, request: RequestId, code: RejectCode) {
        self.requests.remove(&request);
        self.reject(code, Concern::Request { request }, 1);
    }

    /// Changes the credit; at most the limits of the connection.
    pub fn set_credit(&mut self, credit: Credit) {
        self.credit = credit.at_most(self.config.limits.credit());
        if self.phase == Phase::Ready {
            self.send(ServerMessage::Credit(self.credit));
        }
    }

    /// Tells the client why, and ends the session.
    pub fn close(&mut self, code: RejectCode) {
        if self.phase != Phase::Closed {
            self.queue(Lane::Control, ServerMessage::Closing { code }.encode());
            self.finish(Some(code));
        }
    }

    fn finish(&mut self, code: Option<RejectCode>) {
        self.phase = Phase::Closed;
        self.streams.clear();
        self.names.clear();
        self.requests.clear();
        self.lanes = Default::default();
        self.events.push_back(ServerEvent::Closed { code });
    }

    fn drain(&mut self, lane: Lane, now: Millis) -> Result<(), RejectCode> {
        if !self.preambles[lane as usize] {
            let Some(preamble) = self.lanes[lane as usize].take(8) else {
                return Ok(());
            };
            if preamble[..] != lane.preamble() {
                return Err(RejectCode::Protocol);
            }
            self.preambles[lane as usize] = true;
        }
        while self.phase != Phase::Closed {
            let whole = self.lanes[lane as usize].next_message().map_err(|error| error.code())?;
            let Some(bytes) = whole else {
                return Ok(());
            };
            let message =
                ClientMessage::decode(bytes).map_err(|error| MessageError::code(&error))?;
            self.message(lane, message, now)?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        lane: Lane,
        message: ClientMessage,
        now: Millis,
    ) -> Result<(), RejectCode> {
        let ready = self.phase == Phase::Ready;
        match message {
            ClientMessage::Hello(hello) if self.phase == Phase::New && lane == Lane::Control => {
                self.hello(hello)
            }
            ClientMessage::Goodbye if lane == Lane::Control => {
                self.finish(None);
                Ok(())
            }
            ClientMessage::Frame(frame) if ready => self.frame(lane, frame, now),
            message if ready && lane == Lane::Control => self.control(message),
            _ => Err(RejectCode::Protocol),
        }
    }

    fn hello(&mut self, hello: Hello) -> Result<(), RejectCode> {
        if hello.version != PROTOCOL_VERSION || !hello.features.contains(Features::RAW) {
            return Err(RejectCode::Version);
        }
        self.phase = Phase::Greeted;
        self.events.push_back(ServerEvent::Hello(hello));
        Ok(())
    }

    fn control(&mut self, message: ClientMessage) -> Result<(), RejectCode> {
        match message {
            ClientMessage::OpenStream(open) => self.describe(open),
            ClientMessage::Clock(fact) => {
                self.events.push_back(ServerEvent::Clock(fact));
                Ok(())
            }
            ClientMessage::Operation { request, operation } => {
                if self.admit(request, operation.digest())? {
                    self.events.push_back(ServerEvent::Operation { request, operation });
                }
                Ok(())
            }
            ClientMessage::Access { request, signed } => {
                if self.admit(request, signed.digest())? {
                    self.events.push_back(ServerEvent::Access { request, signed });
                }
                Ok(())
            }
            ClientMessage::EndStream { handle } => self.end_stream(handle),
            _ => Err(RejectCode::Protocol),
        }
    }

    fn describe(&mut self, open: OpenStream) -> Result<(), RejectCode> {
        let (handle, name) = (open.handle, open.descriptor.name());
        if self.streams.contains_key(&handle) || self.names.contains_key(&name) {
            return Err(RejectCode::Protocol);
        }
        if self.streams.len() >= self.config.limits.streams_max {
            self.reject(RejectCode::Busy, Concern::Stream { handle }, 1);
            return Ok(());
        }
        self.names.insert(name, handle);
        let stream = Stream {
            open: open.clone(),
            state: StreamState::Opening,
            next: Sequence(1),
            durable: Sequence(0),
            rewound: false,
            in_flight: VecDeque::new(),
        };
        self.streams.insert(handle, stream);
        self.events.push_back(ServerEvent::OpenStream(open));
        Ok(())
    }

    /// A stream ends after its last acknowledgement; what is under way then is no longer counted.
    fn end_stream(&mut self, handle: StreamHandle) -> Result<(), RejectCode> {
        self.release(handle, Sequence(0)..=Sequence(u64::MAX));
        // A handle refused for want of room was never entered, and the client may end it too.
        if let Some(stream) = self.streams.remove(&handle) {
            self.names.remove(&stream.open.descriptor.name());
            self.events.push_back(ServerEvent::StreamEnded { handle });
        }
        Ok(())
    }

    fn admit(&mut self, request: RequestId, digest: Digest) -> Result<bool, RejectCode> {
        if self.requests.contains_key(&request) {
            return Err(RejectCode::Protocol);
        }
        if self.requests.len() >= self.config.limits.requests_max {
            self.reject(RejectCode::Busy, Concern::Request { request }, 1);
            return Ok(false);
        }
        self.requests.insert(request, digest);
        Ok(true)
    }

    fn frame(&mut self, lane: Lane, frame: Frame, now: Millis) -> Result<(), RejectCode> {
        let (handle, sequence) = (frame.header().handle, frame.sequence());
        if handle.0 == 0 {
            return Err(RejectCode::Protocol);
        }
        let Some(stream) = self.streams.get_mut(&handle) else {
            let concern = Concern::Frames { handle, from: sequence };
            self.reject(RejectCode::Stream, concern, 1);
            return Ok(());
        };
        let elsewhere = stream.open.lane != lane;
        if elsewhere || stream.open.descriptor.epoch != frame.header().epoch {
            return Err(RejectCode::Protocol);
        }
        match stream.state {
            StreamState::Opening => Err(RejectCode::Protocol),
            StreamState::Refused => Ok(()),
            StreamState::Open if sequence > stream.next => {
                if !stream.rewound {
                    let next = stream.next;
                    self.reject_frames(handle, next, RejectCode::Gap);
                }
                Ok(())
            }
            StreamState::Open => {
                self.in_sequence(handle, frame, now);
                Ok(())
            }
        }
    }

    /// A frame that is the next one, or came before.
    fn in_sequence(&mut self, handle: StreamHandle, frame: Frame, now: Millis) {
        let sequence = frame.sequence();
        let verdict = self.judge(handle, &frame, now);
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        let duplicate = sequence < stream.next || sequence <= stream.durable;
        match verdict {
            Err(RejectCode::Busy) => self.reject_frames(handle, sequence, RejectCode::Busy),
            Err(code) if !duplicate => {
                self.events.push_back(ServerEvent::FrameRejected { handle, frame, code });
                self.reject_frames(handle, sequence, code);
            }
            verdict => {
                let weight = Credit::of_frame(frame.as_bytes().len());
                stream.in_flight.push_back((sequence, weight));
                self.unacknowledged += weight;
                if sequence == stream.next {
                    stream.next = Sequence(sequence.0 + 1);
                    stream.rewound = false;
                }
                let event = match verdict {
                    Ok(measured) if !duplicate => ServerEvent::Frame { handle, frame, measured },
                    // Other bytes under a stored identity are evidence, well-formed or not.
                    _ => ServerEvent::Duplicate { handle, frame },
                };
                self.events.push_back(event);
            }
        }
    }

    fn judge(
        &self,
        handle: StreamHandle,
        frame: &Frame,
        now: Millis,
    ) -> Result<Interval, RejectCode> {
        let limits = &self.config.limits;
        let after = self.unacknowledged + Credit::of_frame(frame.as_bytes().len());
        if !after.fits(limits.credit()) {
            return Err(RejectCode::Busy);
        }
        let stream = self.streams.get(&handle).ok_or(RejectCode::Stream)?;
        let signal = stream.open.descriptor.key.signal().ok_or(RejectCode::Stream)?;
        let measured = frame.check(signal).map_err(|error| error.code())?;
        if measured.until > now.plus(limits.ahead_ms_max) {
            return Err(RejectCode::Clock);
        }
        Ok(measured)
    }

    /// Counts off delivered frames within a range of sequences, and says how many.
    fn release(&mut self, handle: StreamHandle, range: std::ops::RangeInclusive<Sequence>) -> u32 {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return 0;
        };
        let mut freed = Credit::default();
        stream.in_flight.retain(|(sequence, weight)| {
            let inside = range.contains(sequence);
            if inside {
                freed += *weight;
            }
            !inside
        });
        self.unacknowledged -= freed;
        freed.frames
    }

    fn reject(&mut self, code: RejectCode, concern: Concern, count: u32) {
        self.send(ServerMessage::Reject(Reject { code, concern, count }));
    }

    /// Queues a message on its lane; a peer that does not read is closed.
    fn send(&mut self, message: ServerMessage) {
        if self.phase == Phase::Closed {
            return;
        }
        let lane = match message {
            ServerMessage::AccessAnswer(_)
            | ServerMessage::Released(_)
            | ServerMessage::ReleaseEnd(_) => Lane::Backfill,
            _ => Lane::Control,
        };
        let bytes = message.encode();
        // One largest message always fits, so that a small limit cannot close an idle peer.
        let limit = self.config.limits.outgoing_bytes_max.max(2 * MESSAGE_BYTES_MAX);
        if self.outgoing_bytes + bytes.len() > limit {
            return self.close(RejectCode::Busy);
        }
        self.queue(lane, bytes);
    }

    fn queue(&mut self, lane: Lane, bytes: Bytes) {
        self.outgoing_bytes += bytes.len();
        self.outgoing[lane as usize].push_back(bytes);
    }
}
