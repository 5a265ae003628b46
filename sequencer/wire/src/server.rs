//! The server's side of one connection: order, limits and sequence; it decides no consent.
//!
//! It composes `streams` (what comes next of each, and what is not yet acknowledged) and `outgoing`
//! (what waits to be sent). Here stand the phases, the lanes, the requests and the credit.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use model::{Digest, Millis, RejectCode, Sequence, StreamHandle};

use crate::header::take_handle;
use crate::limits::FRAME_BYTES_MAX;
use crate::{
    AccessAnswer, Block, BlockFrame, ClientMessage, Concern, Credit, Deframer, Features, Hello,
    Lane, Mark, MessageError, NamesAnswer, OpenStream, PROTOCOL_VERSION, Reject, ReleaseEnd,
    Released, RenewalAnswer, RequestId, ServerMessage, SignedReceipt, Standing, UnderWay, Welcome,
};

mod event;
mod outgoing;
mod streams;

pub use event::{OutgoingFull, ServerConfig, ServerEvent, ServerLimits};
use outgoing::Outgoing;
use streams::{ReceivedFrame, Streams, Taken};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Before the hello.
    New,
    /// The owner has the hello and answers it by [`ServerSession::welcome`].
    Greeted,
    /// Welcomed: streams, frames and requests are taken.
    Ready,
    /// Over: nothing more is taken; what is queued may still go.
    Closed,
}

/// The server's half of one connection. Holds no clock, socket or randomness.
pub struct ServerSession {
    config: ServerConfig,
    phase: Phase,
    lanes: [Deframer; 3],
    preambles: [bool; 3],
    streams: Streams,
    /// What both sides speak, since the hello.
    features: Features,
    /// Whether the client tells an encrypted body from others.
    reads_encrypted: bool,
    /// What was asked and has no answer; of what a receipt ends, the digest that it will name.
    requests: BTreeMap<RequestId, Option<Digest>>,
    credit: Credit,
    outgoing: Outgoing,
    events: VecDeque<ServerEvent>,
}

impl ServerSession {
    /// A session before its first byte.
    ///
    /// # Panics
    /// If the budget of unacknowledged bytes is below two frames: half of it is the share of
    /// backfill (W.26), and a largest frame must fit there.
    pub fn new(config: ServerConfig) -> ServerSession {
        let limits = config.limits;
        assert!(limits.unacknowledged_bytes_max >= 2 * FRAME_BYTES_MAX as u64, "two frames fit");
        ServerSession {
            config,
            phase: Phase::New,
            lanes: Default::default(),
            preambles: [false; 3],
            streams: Streams::new(limits),
            features: Features::default(),
            reads_encrypted: false,
            requests: BTreeMap::new(),
            credit: limits.credit(),
            outgoing: Outgoing::new(limits.outgoing_bytes_max),
            events: VecDeque::new(),
        }
    }

    /// Takes received bytes of a lane. Poll all events before feeding more.
    pub fn handle_bytes(&mut self, lane: Lane, bytes: &[u8], now: Millis) {
        if self.phase == Phase::Closed {
            return;
        }
        // A peer's error ends its session with a code; nothing of it is guessed at (W.9).
        self.lanes[lane as usize].feed(bytes);
        if let Err(code) = self.drain(lane, now) {
            self.close(code);
        }
    }

    /// From now on so many bytes may wait to be sent: a peer that is trusted with more, or less.
    pub fn set_outgoing_bytes_max(&mut self, bytes_max: usize) {
        self.outgoing.set_bytes_max(bytes_max);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// The next bytes to send on a lane: one whole message.
    pub fn poll_transmit(&mut self, lane: Lane) -> Option<Bytes> {
        self.outgoing.pop(lane)
    }

    /// Whether the session is over; what waits may still be sent.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// What was delivered and neither acknowledged nor rejected.
    pub fn unacknowledged(&self) -> UnderWay {
        self.streams.unacknowledged()
    }

    /// Answers the hello, whose receipt the owner compared with its journal (W.46). Marks beyond
    /// `limits::MARKS_MAX` are left out: they are a hint.
    pub fn welcome(&mut self, marks: Vec<Mark>, standing: Standing, now: Millis) {
        if self.phase != Phase::Greeted {
            return;
        }
        self.phase = Phase::Ready;
        self.send(ServerMessage::Welcome(Welcome {
            version: PROTOCOL_VERSION,
            features: self.features,
            scope: self.config.scope,
            signer: self.config.signer,
            standing,
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
        if let Some(next) = self.streams.open(handle, durable) {
            self.send(ServerMessage::StreamOpened { handle, next });
        }
    }

    /// Refuses a stream, opened or not; what comes of it is dropped until the client ends it.
    pub fn refuse_stream(&mut self, handle: StreamHandle, code: RejectCode) {
        let reject = self.streams.refuse(handle, code);
        self.tell(reject);
    }

    /// Sends a receipt of a durable group, with credit, and counts off what it acknowledges.
    pub fn acknowledge(&mut self, receipt: SignedReceipt) {
        // The group was synced meanwhile: its receipt may come after the session has closed.
        if self.phase != Phase::Ready {
            return;
        }
        for item in &receipt.receipt.items().frames {
            self.streams.acknowledge(item);
        }
        // A request to read goes on after its receipt: what it releases follows. An operation is
        // answered by its receipt and by nothing else.
        for item in &receipt.receipt.items().operations {
            self.requests.retain(|_, digest| *digest != Some(item.digest));
        }
        let receipt = Box::new(receipt);
        // The whole budget and not what is left of it: each credit replaces the one before (W.25).
        self.send(ServerMessage::Receipt { receipt, credit: self.credit });
    }

    /// The last sequence of a stream that is acknowledged; `None` of one that is not known.
    pub fn durable(&self, handle: StreamHandle) -> Option<Sequence> {
        self.streams.durable(handle)
    }

    /// Rejects all delivered frames of a stream from `from` on. After a code that may be retried
    /// the stream goes on at `from`; after any other the stream is refused.
    pub fn reject_frames(&mut self, handle: StreamHandle, from: Sequence, code: RejectCode) {
        let reject = self.streams.reject(handle, from, code);
        self.tell(reject);
    }

    /// Decides a request to read. A refusal ends the request.
    pub fn answer_access(&mut self, answer: AccessAnswer) {
        // A permitted one stays until its end: released frames still name its number.
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
        self.outgoing.check_release()?;
        // An older client could not read the message (W.97).
        if released.frame.is_encrypted() && !self.reads_encrypted {
            self.close(RejectCode::Version);
            return Ok(());
        }
        self.send(ServerMessage::Released(released));
        Ok(())
    }

    /// Ends a permitted answer.
    pub fn end_release(&mut self, end: ReleaseEnd) {
        self.requests.remove(&end.request);
        self.send(ServerMessage::ReleaseEnd(end));
    }

    /// Says of each name of a question, in its order, whether the registry knows it.
    pub fn answer_names(&mut self, request: RequestId, known: Vec<bool>) {
        self.requests.remove(&request);
        self.send(ServerMessage::Names(NamesAnswer { request, known }));
    }

    /// Hands out the certificate that was asked for, or says that it waits to be issued.
    pub fn answer_renewal(&mut self, request: RequestId, certificate: Option<Bytes>) {
        self.requests.remove(&request);
        self.send(ServerMessage::Renewal(RenewalAnswer { request, certificate }));
    }

    /// Rejects an operation, request or question.
    pub fn reject_request(&mut self, request: RequestId, code: RejectCode) {
        self.requests.remove(&request);
        self.tell(Some(Reject { code, concern: Concern::Request { request }, count: 1 }));
    }

    /// Changes the credit; at most the limits of the connection.
    pub fn set_credit(&mut self, credit: Credit) {
        // Never more than the budget: the client would spend it and be rejected as busy (W.27).
        self.credit = credit.at_most(self.config.limits.credit());
        if self.phase == Phase::Ready {
            self.send(ServerMessage::Credit(self.credit));
        }
    }

    /// Tells the client why, and ends the session.
    pub fn close(&mut self, code: RejectCode) {
        if self.phase != Phase::Closed {
            // Whatever waits already: the one message that says why must not be lost to a limit.
            self.outgoing.push(Lane::Control, ServerMessage::Closing { code }.encode());
            self.finish(Some(code));
        }
    }

    fn finish(&mut self, code: Option<RejectCode>) {
        self.phase = Phase::Closed;
        // All but `outgoing`: the code that says why is still to be sent.
        self.streams.clear();
        self.requests.clear();
        self.lanes = Default::default();
        self.events.push_back(ServerEvent::Closed { code });
    }

    fn drain(&mut self, lane: Lane, now: Millis) -> Result<(), RejectCode> {
        if !self.preambles[lane as usize] {
            // Cut off before any message: it has no header, and another protocol's first bytes must
            // not be read as a length.
            let Some(preamble) = self.lanes[lane as usize].take(8) else {
                return Ok(());
            };
            if preamble[..] != lane.preamble() {
                return Err(RejectCode::Protocol);
            }
            self.preambles[lane as usize] = true;
        }
        // A message may end the session; what follows it then is nobody's.
        while self.phase != Phase::Closed {
            let whole = self.lanes[lane as usize].next_unshared().map_err(|error| error.code())?;
            let Some(mut bytes) = whole else {
                return Ok(());
            };
            // Here, where nobody shares the bytes yet: a frame is stored as it is from here on, and
            // is copied for its handle by nobody.
            let handle = take_handle(&mut bytes);
            let message = ClientMessage::decode(bytes.freeze());
            match message.map_err(|error| MessageError::code(&error))? {
                ClientMessage::Frame(frame) => {
                    self.take_frame(ReceivedFrame { lane, handle, frame }, now)?;
                }
                ClientMessage::Block(block) => self.take_block(lane, block, now)?,
                message => self.handle_message(lane, message)?,
            }
        }
        Ok(())
    }

    /// Any but frames.
    fn handle_message(&mut self, lane: Lane, message: ClientMessage) -> Result<(), RejectCode> {
        let ready = self.phase == Phase::Ready;
        match message {
            ClientMessage::Hello(hello) if self.phase == Phase::New && lane == Lane::Control => {
                self.greet(hello)
            }
            // Also before the welcome: a client may leave whenever it has said who it is (W.14).
            ClientMessage::Goodbye if self.phase != Phase::New && lane == Lane::Control => {
                self.finish(None);
                Ok(())
            }
            message if ready && lane == Lane::Control => self.handle_control(message),
            _ => Err(RejectCode::Protocol),
        }
    }

    fn greet(&mut self, hello: Hello) -> Result<(), RejectCode> {
        // The version was compared as it was read.
        if !hello.features.contains(Features::RAW) {
            return Err(RejectCode::Version);
        }
        let spoken = match self.config.limits.takes_encrypted {
            true => Features::SPOKEN,
            false => Features::SPOKEN.without(Features::ENCRYPTED),
        };
        self.features = hello.features.and(spoken);
        // Also where none is taken any more: there may be some from before.
        self.reads_encrypted = hello.features.contains(Features::ENCRYPTED);
        // Not ready yet: the owner may look marks up first, and answers with `welcome`.
        self.phase = Phase::Greeted;
        self.events.push_back(ServerEvent::Hello(hello));
        Ok(())
    }

    fn handle_control(&mut self, message: ClientMessage) -> Result<(), RejectCode> {
        match message {
            ClientMessage::OpenStream(open) => self.describe(open),
            ClientMessage::Clock(fact) => {
                self.events.push_back(ServerEvent::Clock(fact));
                Ok(())
            }
            ClientMessage::Operation { request, operation } => {
                if self.admit(request, Some(operation.digest()))? {
                    self.events.push_back(ServerEvent::Operation { request, operation });
                }
                Ok(())
            }
            // What is released is as it was stored, of whichever codec (W.72).
            ClientMessage::Access { request, .. } if !self.features.contains(Features::CODECS) => {
                self.refuse_access(request)
            }
            ClientMessage::Access { request, signed, page } => {
                if self.admit(request, Some(signed.digest()))? {
                    self.events.push_back(ServerEvent::Access { request, signed, page });
                }
                Ok(())
            }
            ClientMessage::Names { request, question } => {
                if self.admit(request, None)? {
                    self.events.push_back(ServerEvent::Names { request, question });
                }
                Ok(())
            }
            ClientMessage::Renewal { request, asked } => {
                if self.admit(request, None)? {
                    self.events.push_back(ServerEvent::Renewal { request, asked });
                }
                Ok(())
            }
            ClientMessage::EndStream { handle } => {
                if self.streams.end(handle) {
                    self.events.push_back(ServerEvent::StreamEnded { handle });
                }
                Ok(())
            }
            _ => Err(RejectCode::Protocol),
        }
    }

    fn describe(&mut self, open: OpenStream) -> Result<(), RejectCode> {
        match self.streams.describe(&open)? {
            None => self.events.push_back(ServerEvent::OpenStream(open)),
            busy => self.tell(busy),
        }
        Ok(())
    }

    /// Enters a request; `false` if there is no room for it, which the client was told.
    fn admit(&mut self, request: RequestId, digest: Option<Digest>) -> Result<bool, RejectCode> {
        // Answers name the number, so it must name one request as long as there is no answer.
        if self.requests.contains_key(&request) {
            return Err(RejectCode::Protocol);
        }
        if self.requests.len() >= self.config.limits.requests_max {
            self.reject_request(request, RejectCode::Busy);
            return Ok(false);
        }
        self.requests.insert(request, digest);
        Ok(true)
    }

    /// Of a client that does not speak every codec.
    fn refuse_access(&mut self, request: RequestId) -> Result<(), RejectCode> {
        if self.admit(request, None)? {
            self.reject_request(request, RejectCode::Version);
        }
        Ok(())
    }

    fn take_frame(&mut self, received: ReceivedFrame, now: Millis) -> Result<(), RejectCode> {
        if self.phase != Phase::Ready {
            return Err(RejectCode::Protocol);
        }
        // Also of a codec that is spoken here: the client was to compare the welcome (W.70).
        let feature = received.frame.header().codec.feature();
        if !feature.is_some_and(|feature| self.features.contains(feature)) {
            return Err(RejectCode::Version);
        }
        let Taken { event, reject } = self.streams.take(received, now)?;
        self.events.extend(event);
        self.tell(reject);
        Ok(())
    }

    /// Takes each frame of a block as if it had come alone: what is wrong with one is told of that
    /// one, and the others go on (W.90).
    fn take_block(&mut self, lane: Lane, block: Block, now: Millis) -> Result<(), RejectCode> {
        if self.phase != Phase::Ready {
            return Err(RejectCode::Protocol);
        }
        if !self.features.contains(Features::BLOCKS) {
            return Err(RejectCode::Version);
        }
        for BlockFrame { handle, frame } in block.into_frames() {
            // What came before one that ends the session was delivered, as if it had come alone.
            self.take_frame(ReceivedFrame { lane, handle, frame }, now)?;
        }
        Ok(())
    }

    fn tell(&mut self, reject: Option<Reject>) {
        if let Some(reject) = reject {
            self.send(ServerMessage::Reject(reject));
        }
    }

    /// Queues a message on its lane; a peer that does not read is closed.
    fn send(&mut self, message: ServerMessage) {
        if self.phase == Phase::Closed {
            return;
        }
        let lane = message.lane();
        let bytes = message.encode();
        if !self.outgoing.fits(&bytes) {
            // Closed and not dropped: a client would wait for ever for a receipt that was left out,
            // but after a reconnect it sends again and gets it (W.24).
            return self.close(RejectCode::Busy);
        }
        self.outgoing.push(lane, bytes);
    }
}
