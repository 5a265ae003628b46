//! The client's side: a session that outlives connections.
//!
//! It composes three parts that know nothing of each other: `held` (which frames have no receipt,
//! and which goes next), `requests` (what was asked and not yet answered) and `evidence` (what the
//! server signed). Here stands what concerns all of them: the phases of a connection, the lanes,
//! and the order of events.

use std::collections::VecDeque;

use bytes::Bytes;
use model::{Millis, RejectCode, Sequence, StreamHandle};

use crate::limits::BLOCK_FRAMES_MAX;
use crate::{
    ClientMessage, ClientName, ClockFact, Concern, Credit, Deframer, Descriptor, Features, Frame,
    Hello, Lane, NamesQuestion, Page, Reading, Reject, ReleaseEnd, RenewalRequest, RequestId,
    ServerMessage, SignedAccessRequest, SignedOperation, SignedReceipt, Welcome,
};

mod event;
mod evidence;
mod held;
mod requests;
#[cfg(test)]
mod samples;
mod stream;
mod together;

pub use event::{
    ClientConfig, ClientError, ClientEvent, ClientLimits, KeptFrames, StopReason, Violation,
};
use evidence::Evidence;
use held::HeldFrames;
use requests::Requests;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No connection: streams and frames wait for the next one.
    Disconnected,
    /// The hello is queued; no stream is opened and no frame sent before the welcome (W.14).
    Greeting,
    /// Welcomed: streams are opened, frames go within the credit.
    Ready,
    /// Over: nothing more is taken in; what is queued may still go. A new connection may follow.
    Closed,
}

/// The client's half: outlives connections. Holds no clock, socket or randomness.
pub struct ClientSession {
    name: ClientName,
    phase: Phase,
    /// Whether frames are kept back until the next connection.
    paused: bool,
    /// What both sides speak, since the last welcome.
    features: Features,
    /// Most frames of a block.
    block_frames_max: usize,
    lanes: [Deframer; 3],
    held: HeldFrames,
    requests: Requests,
    evidence: Evidence,
    outgoing: [VecDeque<Bytes>; 3],
    events: VecDeque<ClientEvent>,
}

impl ClientSession {
    /// A session without a connection.
    pub fn new(config: ClientConfig) -> ClientSession {
        ClientSession {
            phase: Phase::Disconnected,
            paused: false,
            features: Features::default(),
            block_frames_max: config.limits.block_frames_max.min(BLOCK_FRAMES_MAX),
            lanes: Default::default(),
            held: HeldFrames::new(config.limits, config.codec),
            requests: Requests::new(config.limits.requests_max),
            evidence: Evidence::new(&config),
            name: config.name,
            outgoing: Default::default(),
            events: VecDeque::new(),
        }
    }

    /// Takes in the newest receipt that the owner kept: every hello shows it to the node (W.45).
    ///
    /// # Errors
    /// [`Violation`] if it is not this deployment's, or for another holder; then it is not shown.
    pub fn restore_receipt(&mut self, kept: &SignedReceipt) -> Result<(), Violation> {
        self.evidence.check(kept)?;
        // Nothing was remembered yet that it could contradict.
        drop(self.evidence.remember(kept));
        Ok(())
    }

    /// A connection with three lanes stands: begins the session on it.
    pub fn connected(&mut self) {
        // Whatever the last connection left is gone, whether or not the owner said so.
        self.disconnected();
        self.phase = Phase::Greeting;
        // On every lane, although it may stay idle: QUIC tells the server of a stream only by its
        // first bytes (W.3).
        for lane in Lane::ALL {
            let preamble = Bytes::copy_from_slice(&lane.preamble());
            self.outgoing[lane as usize].push_back(preamble);
        }
        let newest = self.evidence.newest().cloned().map(Box::new);
        let hello = Hello { newest, ..Hello::new(self.name.clone(), true) };
        self.send(ClientMessage::Hello(hello));
    }

    /// The connection is gone. Streams and frames stay; requests are reported lost.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Disconnected;
        self.paused = false;
        // Half a message of this connection must not be joined with the first bytes of the next.
        self.lanes = Default::default();
        self.outgoing = Default::default();
        self.held.disconnect();
        // Not asked again by itself, as frames are sent again: those are told apart by their
        // sequence, but whether a request took effect only its owner can find out.
        self.events.extend(self.requests.lose());
    }

    /// Takes received bytes of a lane. Poll all events before feeding more.
    pub fn handle_bytes(&mut self, lane: Lane, bytes: &[u8], now: Millis) {
        if !self.is_open() {
            return;
        }
        self.lanes[lane as usize].feed(bytes);
        // A message may end the session; what follows it then is nobody's.
        while self.is_open() {
            let message = match self.lanes[lane as usize].next_message() {
                Ok(None) => return,
                Ok(Some(bytes)) => ServerMessage::decode(bytes).map_err(|_| Violation::Protocol),
                Err(_) => Err(Violation::Protocol),
            };
            // On another lane it would overtake what it is ordered behind (W.15).
            let message = message.and_then(|message| match message.lane() {
                right if right == lane => Ok(message),
                _ => Err(Violation::Protocol),
            });
            let outcome = message.and_then(|message| self.handle_message(message, now));
            if let Err(violation) = outcome {
                self.accuse(violation, None);
            }
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// The next bytes to send on a lane: control messages first, then the frames of the lane's
    /// streams in turn, within the credit. A frame must be stored durably before it is polled here.
    pub fn poll_transmit(&mut self, lane: Lane) -> Option<Bytes> {
        // In every phase: a goodbye is queued just before the session closes.
        if let Some(bytes) = self.outgoing[lane as usize].pop_front() {
            return Some(bytes);
        }
        if self.phase != Phase::Ready || self.paused {
            return None;
        }
        self.next_frames(lane)
    }

    /// Sends no further frame on this connection: its owner is about to go over to another one, and
    /// waits until what is under way is acknowledged.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// When to call [`ClientSession::handle_timeout`], although nothing was received.
    pub fn wakeup(&self) -> Option<Millis> {
        self.held.wakeup()
    }

    /// Lets streams go on whose wait is over; then poll for transmission.
    pub fn handle_timeout(&mut self, now: Millis) {
        let reopened = self.held.resume(now);
        // After a goodbye nothing follows; the next connection asks for all streams.
        if self.phase != Phase::Ready {
            return;
        }
        for open in reopened {
            // The server holds a refused stream's handle and name until it is ended (W.23). One
            // that it had no room for it does not know, and passes over.
            self.send(ClientMessage::EndStream { handle: open.handle });
            self.send(ClientMessage::OpenStream(open));
        }
    }

    /// Opens a stream, now and on every later connection. `receipted` is the last sequence with a
    /// receipt, 0 for a new epoch; frames sent before but without receipt are then restored.
    ///
    /// # Errors
    /// [`ClientError::StreamOpen`], [`ClientError::Full`], or [`ClientError::Descriptor`] for a
    /// signal that is not in the table.
    pub fn open_stream(
        &mut self,
        lane: Lane,
        descriptor: Descriptor,
        receipted: Sequence,
    ) -> Result<StreamHandle, ClientError> {
        let open = self.held.open(lane, descriptor, receipted)?;
        let handle = open.handle;
        // Before the welcome nothing but a hello may be sent (W.14): it is opened with the others.
        if self.phase == Phase::Ready {
            self.send(ClientMessage::OpenStream(open));
        }
        Ok(handle)
    }

    /// Makes the next frame of a stream from readings and queues it. Store the frame durably
    /// before the next [`ClientSession::poll_transmit`].
    ///
    /// # Errors
    /// [`ClientError`] if a reading is out of range or order, or too much is held.
    pub fn push(
        &mut self,
        handle: StreamHandle,
        readings: &[Reading],
    ) -> Result<Frame, ClientError> {
        self.held.push(handle, readings)
    }

    /// Makes the next frame of a stream, as [`ClientSession::push`] does, and holds none: for an
    /// owner that changes its body before it queues it ([`ClientSession::queue`]).
    ///
    /// # Errors
    /// [`ClientError`] if a reading is out of range or order.
    pub fn make(
        &mut self,
        handle: StreamHandle,
        readings: &[Reading],
    ) -> Result<Frame, ClientError> {
        self.held.make(handle, readings)
    }

    /// Queues a frame that was made before a restart and has no receipt; in order of sequence.
    ///
    /// # Errors
    /// [`ClientError::NotNext`] or [`ClientError::Full`].
    pub fn restore(&mut self, handle: StreamHandle, frame: &Frame) -> Result<(), ClientError> {
        self.held.restore(handle, frame)
    }

    /// Queues a frame that its owner made, and never sent before; in order of sequence.
    ///
    /// # Errors
    /// [`ClientError::NotNext`] or [`ClientError::Full`].
    pub fn queue(&mut self, handle: StreamHandle, frame: &Frame) -> Result<(), ClientError> {
        self.held.queue(handle, frame)
    }

    /// Takes in which frames of a stream its owner keeps, beyond those that it gave to the session:
    /// a server may have, and acknowledge, what was sent of them before a restart.
    pub fn set_kept(&mut self, handle: StreamHandle, kept: KeptFrames) {
        self.held.set_kept(handle, kept);
    }

    /// Takes no more frames for a stream, and ends it after its last receipt.
    ///
    /// # Errors
    /// [`ClientError::NoStream`].
    pub fn end_stream(&mut self, handle: StreamHandle) -> Result<(), ClientError> {
        let ended = self.held.end(handle)?;
        self.report(ended);
        Ok(())
    }

    /// Gives a stream up at once, as if the server had stopped it: [`ClientEvent::StreamStopped`]
    /// hands its frames back.
    ///
    /// # Errors
    /// [`ClientError::NoStream`].
    pub fn stop_stream(
        &mut self,
        handle: StreamHandle,
        why: StopReason,
    ) -> Result<(), ClientError> {
        let stopped = self.held.stop(handle, why).ok_or(ClientError::NoStream)?;
        self.report(Some(stopped));
        Ok(())
    }

    /// Sends a clock fact.
    ///
    /// # Errors
    /// [`ClientError::NotConnected`].
    pub fn clock(&mut self, fact: ClockFact) -> Result<(), ClientError> {
        self.check_ready()?;
        self.send(ClientMessage::Clock(fact));
        Ok(())
    }

    /// Submits a signed operation.
    ///
    /// # Errors
    /// [`ClientError::NotConnected`] or [`ClientError::Full`].
    pub fn submit(&mut self, operation: SignedOperation) -> Result<RequestId, ClientError> {
        self.check_ready()?;
        let request = self.requests.add_operation(operation.digest())?;
        self.send(ClientMessage::Operation { request, operation });
        Ok(request)
    }

    /// Submits a signed request to read, or asks for a further page of one.
    ///
    /// # Errors
    /// [`ClientError::NotConnected`] or [`ClientError::Full`].
    pub fn request_access(
        &mut self,
        signed: SignedAccessRequest,
        page: Page,
    ) -> Result<RequestId, ClientError> {
        self.check_ready()?;
        let request = self.requests.add_access(signed.digest(), page.continues)?;
        self.send(ClientMessage::Access { request, signed: Box::new(signed), page });
        Ok(request)
    }

    /// Asks whether the registry knows names.
    ///
    /// # Errors
    /// [`ClientError::NotConnected`], [`ClientError::Full`], or [`ClientError::NotSpoken`] if the
    /// server is of a version that does not take the question.
    pub fn ask_names(&mut self, question: NamesQuestion) -> Result<RequestId, ClientError> {
        self.check_ready()?;
        // An older server would close the session over a message that it does not know (W.7).
        if !self.features.contains(Features::NAMES) {
            return Err(ClientError::NotSpoken { what: "questions about names" });
        }
        let request = self.requests.add_names(question.names().len())?;
        self.send(ClientMessage::Names { request, question });
        Ok(request)
    }

    /// Asks for a certificate to go on with when the one of this connection ends. The same request
    /// may be asked again and again: it waits for the operator.
    ///
    /// # Errors
    /// [`ClientError::NotConnected`], [`ClientError::Full`], or [`ClientError::NotSpoken`] if the
    /// server is of a version that renews nothing.
    pub fn ask_renewal(&mut self, asked: RenewalRequest) -> Result<RequestId, ClientError> {
        self.check_ready()?;
        // An older server would close the session over a message that it does not know (W.7).
        if !self.features.contains(Features::RENEWALS) {
            return Err(ClientError::NotSpoken { what: "requests for certificates" });
        }
        let request = self.requests.add_renewal()?;
        self.send(ClientMessage::Renewal { request, asked });
        Ok(request)
    }

    /// Whether the server speaks these, as of its welcome.
    pub fn speaks(&self, features: Features) -> bool {
        self.features.contains(features)
    }

    /// Says goodbye and ends the session; send what is left, then close the connection.
    pub fn goodbye(&mut self) {
        if self.is_open() {
            self.send(ClientMessage::Goodbye);
            self.close(None);
        }
    }

    /// Frames without a receipt, over all streams, in bytes as they were made.
    pub fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    /// What is under way on this connection.
    pub fn under_way(&self) -> Credit {
        self.held.under_way()
    }

    /// Whether a session is open or being opened.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Greeting | Phase::Ready)
    }

    /// Requests are for a session that stands: a queued one would be decided at a time that nobody
    /// chose. Frames are different, they wait.
    fn check_ready(&self) -> Result<(), ClientError> {
        if self.phase == Phase::Ready { Ok(()) } else { Err(ClientError::NotConnected) }
    }

    fn handle_message(&mut self, message: ServerMessage, now: Millis) -> Result<(), Violation> {
        match (self.phase, message) {
            (Phase::Greeting, ServerMessage::Welcome(welcome)) => self.enter(welcome),
            // Before the welcome too: a version that is not spoken is told like this (W.14).
            (_, ServerMessage::Closing { code }) => {
                self.close(Some(code));
                Ok(())
            }
            (Phase::Ready, message) => self.handle_in_session(message, now),
            _ => Err(Violation::Protocol),
        }
    }

    /// Begins the session with a server that is the expected one.
    fn enter(&mut self, welcome: Welcome) -> Result<(), Violation> {
        // Before any stream is opened: readings go to the expected deployment and to no other.
        let before = self.evidence.take_welcome(&welcome)?;
        self.phase = Phase::Ready;
        self.features = welcome.features;
        self.held.set_spoken(welcome.features);
        self.held.set_credit(welcome.credit);
        let opens: Vec<_> = self.held.opens().cloned().collect();
        opens.into_iter().for_each(|open| self.send(ClientMessage::OpenStream(open)));
        // Marks are for the owner's eyes. What the server has of a stream counts when it is opened,
        // and even then only a receipt frees a frame (W.24).
        let Welcome { server_time, marks, standing, .. } = welcome;
        self.report(Some(ClientEvent::Welcomed { server_time, marks, standing }));
        let (known, term) = (before, standing.term);
        self.report(
            known
                .filter(|known| *known < term)
                .map(|known| ClientEvent::LossAccepted { known, term }),
        );
        Ok(())
    }

    fn handle_in_session(&mut self, message: ServerMessage, now: Millis) -> Result<(), Violation> {
        match message {
            ServerMessage::StreamOpened { handle, next } => {
                let ready = self.held.make_ready(handle, next);
                self.report(ready);
            }
            ServerMessage::Receipt { receipt, credit } => {
                self.held.set_credit(credit);
                if let Err(violation) = self.take_receipt(&receipt) {
                    // With the receipt: its signature is what convinces others (W.37).
                    self.accuse(violation, Some(receipt));
                }
            }
            ServerMessage::AccessAnswer(answer) => {
                self.requests.answer(&answer)?;
                self.report(Some(ClientEvent::AccessAnswered(answer)));
            }
            ServerMessage::Released(released) => {
                self.requests.release(&released)?;
                self.report(Some(ClientEvent::Released(Box::new(released))));
            }
            ServerMessage::ReleaseEnd(end) => {
                self.requests.end_release(&end)?;
                let ReleaseEnd { request, frames, more, partly } = end;
                self.report(Some(ClientEvent::ReleaseEnded { request, frames, more, partly }));
            }
            ServerMessage::Names(answer) => {
                self.requests.answer_names(&answer)?;
                self.report(Some(ClientEvent::NamesAnswered(answer)));
            }
            ServerMessage::Renewal(answer) => {
                self.requests.answer_renewal(answer.request)?;
                self.report(Some(ClientEvent::RenewalAnswered(answer)));
            }
            ServerMessage::Reject(reject) => {
                let event = self.take_reject(reject, now);
                self.report(event);
            }
            ServerMessage::Credit(credit) => self.held.set_credit(credit),
            ServerMessage::Welcome(_) | ServerMessage::Closing { .. } => {
                return Err(Violation::Protocol);
            }
        }
        Ok(())
    }

    fn take_receipt(&mut self, signed: &SignedReceipt) -> Result<(), Violation> {
        // What can be wrong with its frames is looked for before any is counted off: one that was
        // counted off on a bad receipt could not be sent again.
        self.evidence.check(signed)?;
        let items = signed.receipt.items();
        items.frames.iter().try_for_each(|item| self.held.check_sent(item))?;
        if let Err(first) = self.evidence.remember(signed) {
            let second = Box::new(signed.clone());
            self.report(Some(ClientEvent::Equivocation { first, second }));
            self.close(Some(RejectCode::Conflict));
            return Ok(());
        }
        // Before `Durable`, so that the owner keeps the receipt before it drops the frames.
        self.report(Some(ClientEvent::Receipt(Box::new(signed.clone()))));
        for item in &items.frames {
            let freed = self.held.acknowledge(item);
            self.report(freed);
        }
        let applied = self.requests.apply(&items.operations);
        self.report(applied);
        // Asked last: the signature held, so its frames are freed even if it contradicts an answer.
        self.requests.decide(&items.accesses)
    }

    fn take_reject(&mut self, reject: Reject, now: Millis) -> Option<ClientEvent> {
        let code = reject.code;
        match reject.concern {
            Concern::Request { request } => {
                let known = self.requests.reject(request);
                known.then_some(ClientEvent::RequestRejected { request, code })
            }
            // If the stream ended here meanwhile the two have crossed, and nothing is left to do.
            Concern::Stream { handle } => self.held.refuse(handle, code, now),
            Concern::Frames { handle, from } => self.held.reject(handle, from, code, now),
        }
    }

    /// Tells the owner; and the server, where a stream goes no further: it then forgets the handle.
    fn report(&mut self, events: impl IntoIterator<Item = ClientEvent>) {
        for event in events {
            if let ClientEvent::StreamStopped { handle, .. } | ClientEvent::StreamEnded { handle } =
                event
                // Without a session the server has forgotten all handles by itself.
                && self.phase == Phase::Ready
            {
                self.send(ClientMessage::EndStream { handle });
            }
            self.events.push_back(event);
        }
    }

    fn send(&mut self, message: ClientMessage) {
        self.outgoing[Lane::Control as usize].push_back(message.encode());
    }

    /// The server broke its word: tells the owner, and has nothing more to do with it.
    fn accuse(&mut self, violation: Violation, evidence: Option<Box<SignedReceipt>>) {
        self.report(Some(ClientEvent::Violation { violation, evidence }));
        // So that the server ends the session at once. What it did wrong it is not told.
        self.send(ClientMessage::Goodbye);
        self.close(Some(RejectCode::Protocol));
    }

    fn close(&mut self, code: Option<RejectCode>) {
        self.phase = Phase::Closed;
        self.report(Some(ClientEvent::Closed { code }));
    }
}
