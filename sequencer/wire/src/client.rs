//! The client's side: sequences, what is not yet receipted, and receipts that are checked.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use model::{Digest, Millis, RejectCode, Sequence, StreamHandle};

use crate::{
    AccessAnswer, ClientMessage, ClockFact, Concern, Credit, Deframer, Descriptor, Frame,
    FramePlace, Hello, Lane, OpenStream, PROTOCOL_VERSION, Reading, Reject, RequestId,
    ServerMessage, SignedAccessRequest, SignedOperation, SignedReceipt, StreamName, Welcome,
};

mod event;

pub use event::{ClientConfig, ClientError, ClientEvent, ClientLimits, StopReason, Violation};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Disconnected,
    Greeting,
    Ready,
    Closed,
}

struct Stream {
    open: OpenStream,
    /// Whether the server opened it on this connection.
    ready: bool,
    /// The last sequence with a receipt.
    receipted: Sequence,
    /// The last sequence that was sent on any connection.
    sent: Sequence,
    /// Frames without a receipt: sequences `receipted + 1` on.
    held: VecDeque<Frame>,
    /// How many of them are under way on this connection.
    under_way: usize,
    /// Receipted runs, first to last, that do not follow `receipted` yet; at most one a frame held.
    overtaken: BTreeMap<Sequence, Sequence>,
    paused_until: Option<Millis>,
    ending: bool,
}

impl Stream {
    fn next(&self) -> Sequence {
        Sequence(self.receipted.0 + 1 + self.held.len() as u64)
    }

    /// Bytes and frames of a part of what is held.
    fn weight(frames: impl Iterator<Item = usize>) -> Credit {
        frames.map(Credit::of_frame).sum()
    }
}

struct Pending {
    digest: Digest,
    access: bool,
    answered: Option<bool>,
    receipted: Option<bool>,
    released: u64,
    ended: bool,
}

/// The client's half: outlives connections. Holds no clock, socket or randomness.
pub struct ClientSession {
    config: ClientConfig,
    phase: Phase,
    lanes: [Deframer; 3],
    streams: BTreeMap<StreamHandle, Stream>,
    names: BTreeMap<StreamName, StreamHandle>,
    requests: BTreeMap<RequestId, Pending>,
    receipts: BTreeMap<u64, SignedReceipt>,
    next_handle: u32,
    next_request: u64,
    held_bytes: usize,
    credit: Credit,
    under_way: Credit,
    /// The stream served last on each lane, so that streams take turns.
    served: [StreamHandle; 3],
    outgoing: [VecDeque<Bytes>; 3],
    events: VecDeque<ClientEvent>,
}

impl ClientSession {
    /// A session without a connection.
    pub fn new(config: ClientConfig) -> ClientSession {
        ClientSession {
            config,
            phase: Phase::Disconnected,
            lanes: Default::default(),
            streams: BTreeMap::new(),
            names: BTreeMap::new(),
            requests: BTreeMap::new(),
            receipts: BTreeMap::new(),
            next_handle: 1,
            next_request: 1,
            held_bytes: 0,
            credit: Credit::default(),
            under_way: Credit::default(),
            served: [StreamHandle(0); 3],
            outgoing: Default::default(),
            events: VecDeque::new(),
        }
    }

    /// A connection with three lanes stands: begins the session on it.
    pub fn connected(&mut self) {
        self.disconnected();
        self.phase = Phase::Greeting;
        for lane in Lane::ALL {
            let preamble = Bytes::copy_from_slice(&lane.preamble());
            self.outgoing[lane as usize].push_back(preamble);
        }
        self.send(ClientMessage::Hello(Hello::new(self.config.name.clone(), true)));
    }

    /// The connection is gone. Streams and frames stay; requests are reported lost.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Disconnected;
        self.lanes = Default::default();
        self.outgoing = Default::default();
        (self.credit, self.under_way) = (Credit::default(), Credit::default());
        for stream in self.streams.values_mut() {
            (stream.ready, stream.under_way, stream.paused_until) = (false, 0, None);
        }
        for (request, _) in std::mem::take(&mut self.requests) {
            self.events.push_back(ClientEvent::RequestLost { request });
        }
    }

    /// Takes received bytes of a lane. Poll all events before feeding more.
    pub fn handle_bytes(&mut self, lane: Lane, bytes: &[u8], now: Millis) {
        if !self.is_open() {
            return;
        }
        self.lanes[lane as usize].feed(bytes);
        while self.is_open() {
            let message = match self.lanes[lane as usize].next_message() {
                Ok(None) => return,
                Ok(Some(bytes)) => ServerMessage::decode(bytes).map_err(|_| Violation::Protocol),
                Err(_) => Err(Violation::Protocol),
            };
            let outcome = message.and_then(|message| self.message(message, now));
            if let Err(violation) = outcome {
                self.violated(violation, None);
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
        if let Some(bytes) = self.outgoing[lane as usize].pop_front() {
            return Some(bytes);
        }
        if self.phase != Phase::Ready {
            return None;
        }
        let served = self.served[lane as usize];
        let due = |(_, stream): &(&StreamHandle, &Stream)| {
            stream.open.lane == lane
                && stream.ready
                && stream.under_way < stream.held.len()
                && stream.paused_until.is_none()
        };
        let after = self.streams.range(StreamHandle(served.0.saturating_add(1))..);
        let handle = *after.chain(self.streams.range(..=served)).find(due)?.0;
        self.send_frame(lane, handle)
    }

    /// When to call [`ClientSession::handle_timeout`], although nothing was received.
    pub fn wakeup(&self) -> Option<Millis> {
        self.streams.values().filter_map(|stream| stream.paused_until).min()
    }

    /// Lets streams go on whose wait is over; then poll for transmission.
    pub fn handle_timeout(&mut self, now: Millis) {
        for stream in self.streams.values_mut() {
            stream.paused_until = stream.paused_until.filter(|until| *until > now);
        }
    }

    /// Opens a stream, now and on every later connection. `receipted` is the last sequence with a
    /// receipt, 0 for a new epoch; frames sent before but without receipt are then restored.
    ///
    /// # Errors
    /// [`ClientError::StreamOpen`] or [`ClientError::Full`].
    pub fn open_stream(
        &mut self,
        lane: Lane,
        descriptor: Descriptor,
        receipted: Sequence,
    ) -> Result<StreamHandle, ClientError> {
        let (name, limit) = (descriptor.name(), self.config.limits.streams_max);
        if self.names.contains_key(&name) {
            return Err(ClientError::StreamOpen);
        }
        let handle = StreamHandle(self.next_handle);
        let Some(next_handle) =
            self.next_handle.checked_add(1).filter(|_| self.streams.len() < limit)
        else {
            return Err(ClientError::Full { what: "streams", limit });
        };
        self.next_handle = next_handle;
        let open = OpenStream { handle, lane, descriptor };
        if self.phase == Phase::Ready {
            self.send(ClientMessage::OpenStream(open.clone()));
        }
        let stream = Stream {
            open,
            ready: false,
            receipted,
            sent: receipted,
            held: VecDeque::new(),
            under_way: 0,
            overtaken: BTreeMap::new(),
            paused_until: None,
            ending: false,
        };
        self.streams.insert(handle, stream);
        self.names.insert(name, handle);
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
        let stream = self.accepting(handle)?;
        let descriptor = &stream.open.descriptor;
        let signal = descriptor.key.signal().ok_or(ClientError::NoStream)?;
        let place = FramePlace { handle, epoch: descriptor.epoch, sequence: stream.next() };
        let frame = Frame::encode_raw(place, signal, readings)?;
        self.hold(handle, frame.clone())?;
        Ok(frame)
    }

    /// Queues a frame that was made before a restart and has no receipt; in order of sequence.
    ///
    /// # Errors
    /// [`ClientError::NotNext`] or [`ClientError::Full`].
    pub fn restore(&mut self, handle: StreamHandle, frame: &Frame) -> Result<(), ClientError> {
        let stream = self.accepting(handle)?;
        let (expected, found) = (stream.next(), frame.sequence());
        let epoch = stream.open.descriptor.epoch;
        if expected != found || frame.header().epoch != epoch {
            return Err(ClientError::NotNext { expected, found });
        }
        self.hold(handle, frame.with_handle(handle))?;
        // It may have been sent before the restart, so a receipt for it is no surprise.
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.sent = stream.sent.max(found);
        }
        Ok(())
    }

    /// Takes no more frames for a stream, and ends it after its last receipt.
    ///
    /// # Errors
    /// [`ClientError::NoStream`].
    pub fn end_stream(&mut self, handle: StreamHandle) -> Result<(), ClientError> {
        let stream = self.streams.get_mut(&handle).ok_or(ClientError::NoStream)?;
        stream.ending = true;
        self.end_if_done(handle);
        Ok(())
    }

    /// Sends a clock fact.
    ///
    /// # Errors
    /// [`ClientError::NotConnected`].
    pub fn clock(&mut self, fact: ClockFact) -> Result<(), ClientError> {
        if self.phase != Phase::Ready {
            return Err(ClientError::NotConnected);
        }
        self.send(ClientMessage::Clock(fact));
        Ok(())
    }

    /// Submits a signed operation.
    ///
    /// # Errors
    /// [`ClientError::NotConnected`] or [`ClientError::Full`].
    pub fn submit(&mut self, operation: SignedOperation) -> Result<RequestId, ClientError> {
        let request = self.ask(operation.digest(), false)?;
        self.send(ClientMessage::Operation { request, operation });
        Ok(request)
    }

    /// Submits a signed request to read.
    ///
    /// # Errors
    /// [`ClientError::NotConnected`] or [`ClientError::Full`].
    pub fn request_access(
        &mut self,
        signed: SignedAccessRequest,
    ) -> Result<RequestId, ClientError> {
        let request = self.ask(signed.digest(), true)?;
        self.send(ClientMessage::Access { request, signed: Box::new(signed) });
        Ok(request)
    }

    /// Says goodbye and ends the session; send what is left, then close the connection.
    pub fn goodbye(&mut self) {
        if self.is_open() {
            self.send(ClientMessage::Goodbye);
            self.close(None);
        }
    }

    /// Frames without a receipt, over all streams, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// What is under way on this connection.
    pub fn under_way(&self) -> Credit {
        self.under_way
    }

    /// Whether a session is open or being opened.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Greeting | Phase::Ready)
    }

    fn accepting(&self, handle: StreamHandle) -> Result<&Stream, ClientError> {
        let stream = self.streams.get(&handle).filter(|stream| !stream.ending);
        stream.ok_or(ClientError::NoStream)
    }

    fn hold(&mut self, handle: StreamHandle, frame: Frame) -> Result<(), ClientError> {
        let (bytes, limit) = (frame.as_bytes().len(), self.config.limits.held_bytes_max);
        if self.held_bytes + bytes > limit {
            return Err(ClientError::Full { what: "bytes without a receipt", limit });
        }
        let stream = self.streams.get_mut(&handle).ok_or(ClientError::NoStream)?;
        stream.held.push_back(frame);
        self.held_bytes += bytes;
        Ok(())
    }

    fn ask(&mut self, digest: Digest, access: bool) -> Result<RequestId, ClientError> {
        let limit = self.config.limits.requests_max;
        if self.phase != Phase::Ready {
            return Err(ClientError::NotConnected);
        }
        if self.requests.len() >= limit {
            return Err(ClientError::Full { what: "requests without an answer", limit });
        }
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let (answered, receipted) = (None, None);
        let pending = Pending { digest, access, answered, receipted, released: 0, ended: false };
        self.requests.insert(request, pending);
        Ok(request)
    }

    fn send(&mut self, message: ClientMessage) {
        self.outgoing[Lane::Control as usize].push_back(message.encode());
    }

    /// Sends the next frame of a stream if the lane's share of the credit allows.
    fn send_frame(&mut self, lane: Lane, handle: StreamHandle) -> Option<Bytes> {
        let stream = self.streams.get_mut(&handle)?;
        let frame = stream.held.get(stream.under_way)?;
        let bytes = frame.as_bytes().clone();
        let after = self.under_way + Credit::of_frame(bytes.len());
        // A frame larger than its lane's share may go when nothing else is under way.
        let alone = self.under_way.frames == 0;
        let share = if alone { self.credit } else { self.credit.share(lane) };
        if !after.fits(share) {
            return None;
        }
        self.under_way = after;
        stream.under_way += 1;
        stream.sent = stream.sent.max(frame.sequence());
        self.served[lane as usize] = handle;
        Some(bytes)
    }

    fn message(&mut self, message: ServerMessage, now: Millis) -> Result<(), Violation> {
        match (self.phase, message) {
            (Phase::Greeting, ServerMessage::Welcome(welcome)) => self.welcome(welcome),
            (_, ServerMessage::Closing { code }) => {
                self.close(Some(code));
                Ok(())
            }
            (Phase::Ready, message) => self.ready_message(message, now),
            _ => Err(Violation::Protocol),
        }
    }

    fn ready_message(&mut self, message: ServerMessage, now: Millis) -> Result<(), Violation> {
        match message {
            ServerMessage::StreamOpened { handle, next } => self.opened(handle, next),
            ServerMessage::Receipt { receipt, credit } => {
                self.credit = credit;
                self.receipt(*receipt);
            }
            ServerMessage::AccessAnswer(answer) => self.answered(answer)?,
            ServerMessage::Released(released) => {
                let pending = self.permitted(released.request)?;
                if released.index != pending.released {
                    return Err(Violation::Answer);
                }
                pending.released += 1;
                self.events.push_back(ClientEvent::Released(Box::new(released)));
            }
            ServerMessage::ReleaseEnd(end) => {
                let pending = self.permitted(end.request)?;
                if end.frames != pending.released {
                    return Err(Violation::Answer);
                }
                pending.ended = true;
                let (request, frames) = (end.request, end.frames);
                self.events.push_back(ClientEvent::ReleaseEnded { request, frames });
                self.forget_if_done(request);
            }
            ServerMessage::Reject(reject) => self.rejected(reject, now),
            ServerMessage::Credit(credit) => self.credit = credit,
            ServerMessage::Welcome(_) | ServerMessage::Closing { .. } => {
                return Err(Violation::Protocol);
            }
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: Welcome) -> Result<(), Violation> {
        let expected = &self.config;
        let known = welcome.version == PROTOCOL_VERSION && welcome.scope == expected.scope;
        if !known || welcome.signer != expected.signer {
            return Err(Violation::Welcome);
        }
        self.phase = Phase::Ready;
        self.credit = welcome.credit;
        let opens: Vec<_> = self.streams.values().map(|stream| stream.open.clone()).collect();
        opens.into_iter().for_each(|open| self.send(ClientMessage::OpenStream(open)));
        let Welcome { server_time, marks, .. } = welcome;
        self.events.push_back(ClientEvent::Welcomed { server_time, marks });
        Ok(())
    }

    fn opened(&mut self, handle: StreamHandle, next: Sequence) {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        let durable = Sequence(next.0 - 1);
        if durable < stream.receipted {
            self.stop(handle, StopReason::Regressed { durable });
        } else if durable >= stream.next() {
            self.stop(handle, StopReason::Ahead { durable });
        } else {
            stream.ready = true;
            self.events.push_back(ClientEvent::StreamReady { handle, next });
            self.end_if_done(handle);
        }
    }

    fn receipt(&mut self, signed: SignedReceipt) {
        if let Err(violation) = self.check_receipt(&signed) {
            return self.violated(violation, Some(Box::new(signed)));
        }
        let group = signed.receipt.group.group;
        match self.receipts.get(&group) {
            Some(first) if first.receipt != signed.receipt => {
                let (first, second) = (Box::new(first.clone()), Box::new(signed));
                self.events.push_back(ClientEvent::Equivocation { first, second });
                return self.close(Some(RejectCode::Conflict));
            }
            _ => self.receipts.insert(group, signed.clone()),
        };
        while self.receipts.len() > self.config.limits.receipts_max {
            self.receipts.pop_first();
        }
        self.events.push_back(ClientEvent::Receipt(Box::new(signed.clone())));
        for item in &signed.receipt.items().frames {
            if let Some(handle) = self.names.get(&item.stream).copied() {
                self.durable(handle, item.sequences);
            }
        }
        if let Err(violation) = self.decided(&signed) {
            self.violated(violation, Some(Box::new(signed)));
        }
    }

    /// Everything that can be wrong with a receipt, before anything of it is applied.
    fn check_receipt(&self, signed: &SignedReceipt) -> Result<(), Violation> {
        signed.verify(self.config.signer)?;
        let receipt = &signed.receipt;
        if receipt.group.scope != self.config.scope || receipt.holder != self.config.holder {
            return Err(Violation::Receiver);
        }
        for item in &receipt.items().frames {
            let handle = self.names.get(&item.stream);
            let Some(stream) = handle.and_then(|handle| self.streams.get(handle)) else {
                continue;
            };
            let last = item.sequences.1;
            if last > stream.sent {
                return Err(Violation::NotSent { expected: stream.sent, found: last });
            }
        }
        Ok(())
    }

    /// Counts off receipted frames. A receipt that overtakes the one before it waits for that one:
    /// after a reconnect, what is stored already is acknowledged later than what is new.
    fn durable(&mut self, handle: StreamHandle, (first, last): (Sequence, Sequence)) {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        if first.0 > stream.receipted.0 + 1 {
            let latest = stream.overtaken.entry(first).or_insert(last);
            *latest = last.max(*latest);
            return;
        }
        self.count_off(handle, last);
        while let Some(last) = self.next_overtaken(handle) {
            self.count_off(handle, last);
        }
    }

    /// Takes a run that follows by now.
    fn next_overtaken(&mut self, handle: StreamHandle) -> Option<Sequence> {
        let stream = self.streams.get_mut(&handle)?;
        let run = stream.overtaken.first_entry()?;
        (run.key().0 <= stream.receipted.0 + 1).then(|| run.remove())
    }

    fn count_off(&mut self, handle: StreamHandle, last: Sequence) {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        let Some(more) = last.0.checked_sub(stream.receipted.0).filter(|more| *more > 0) else {
            return;
        };
        // At most what is held: `check_receipt` compared with what was sent.
        let count = usize::try_from(more).unwrap_or(usize::MAX).min(stream.held.len());
        let freed_here = count.min(stream.under_way);
        let sizes: Vec<_> =
            stream.held.drain(..count).map(|frame| frame.as_bytes().len()).collect();
        let under_way = Stream::weight(sizes[..freed_here].iter().copied());
        stream.under_way -= freed_here;
        stream.receipted = last;
        self.under_way -= under_way;
        self.held_bytes -= sizes.iter().sum::<usize>();
        self.events.push_back(ClientEvent::Durable { handle, last });
        self.end_if_done(handle);
    }

    /// Matches the operations and accesses of a receipt with what was asked.
    fn decided(&mut self, signed: &SignedReceipt) -> Result<(), Violation> {
        for item in &signed.receipt.items().operations {
            let asked = |(_, pending): &(&RequestId, &Pending)| {
                !pending.access && pending.digest == item.digest
            };
            if let Some(request) = self.requests.iter().find(asked).map(|(request, _)| *request) {
                self.requests.remove(&request);
                let (position, time) = (item.position, item.time);
                self.events.push_back(ClientEvent::OperationApplied { request, position, time });
            }
        }
        for item in &signed.receipt.items().accesses {
            let asked = |(_, pending): &(&RequestId, &mut Pending)| {
                pending.access && pending.digest == item.digest
            };
            let Some((request, pending)) = self.requests.iter_mut().find(asked) else {
                continue;
            };
            pending.receipted = Some(item.permitted);
            if pending.answered.is_some_and(|permitted| permitted != item.permitted) {
                return Err(Violation::Answer);
            }
            let request = *request;
            self.forget_if_done(request);
        }
        Ok(())
    }

    fn answered(&mut self, answer: AccessAnswer) -> Result<(), Violation> {
        let pending = self.requests.get_mut(&answer.request).filter(|pending| pending.access);
        let pending = pending.ok_or(Violation::Protocol)?;
        let contradicts = pending.receipted.is_some_and(|other| other != answer.permitted);
        if contradicts || pending.answered.is_some() || pending.digest != answer.digest {
            return Err(Violation::Answer);
        }
        pending.answered = Some(answer.permitted);
        pending.ended = !answer.permitted;
        self.events.push_back(ClientEvent::AccessAnswered(answer));
        self.forget_if_done(answer.request);
        Ok(())
    }

    /// The request that frames may be released for.
    fn permitted(&mut self, request: RequestId) -> Result<&mut Pending, Violation> {
        let pending = self.requests.get_mut(&request).ok_or(Violation::Protocol)?;
        let open = pending.answered == Some(true) && !pending.ended;
        if open { Ok(pending) } else { Err(Violation::Answer) }
    }

    fn forget_if_done(&mut self, request: RequestId) {
        let done = |pending: &Pending| pending.ended && pending.receipted.is_some();
        if self.requests.get(&request).is_some_and(done) {
            self.requests.remove(&request);
        }
    }

    fn rejected(&mut self, reject: Reject, now: Millis) {
        let code = reject.code;
        match reject.concern {
            Concern::Request { request } => {
                if self.requests.remove(&request).is_some() {
                    self.events.push_back(ClientEvent::RequestRejected { request, code });
                }
            }
            Concern::Stream { handle } => self.stop(handle, StopReason::Refused(code)),
            Concern::Frames { handle, .. } if !code.retry() => {
                self.stop(handle, StopReason::Refused(code));
            }
            Concern::Frames { handle, from } => self.rewind(handle, from, code, now),
        }
    }

    /// Sends again from `from` on: at once after a gap, else after a while.
    fn rewind(&mut self, handle: StreamHandle, from: Sequence, code: RejectCode, now: Millis) {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        if code == RejectCode::Gap && from <= stream.receipted {
            // What has a receipt is not held any more, so a gap there cannot be mended.
            let durable = Sequence(from.0 - 1);
            return self.stop(handle, StopReason::Regressed { durable });
        }
        // A receipt may have come before the reject: then everything without one is sent again.
        let kept = from.0.saturating_sub(stream.receipted.0 + 1);
        let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(stream.under_way);
        let back = stream.held.range(kept..stream.under_way).map(|frame| frame.as_bytes().len());
        let back = Stream::weight(back);
        stream.under_way = kept;
        if code != RejectCode::Gap {
            stream.paused_until = Some(now.plus(self.config.limits.retry_after_ms));
        }
        self.under_way -= back;
        self.events.push_back(ClientEvent::Delayed { handle, code });
    }

    fn stop(&mut self, handle: StreamHandle, why: StopReason) {
        let Some(stream) = self.streams.get(&handle) else {
            return;
        };
        let sizes = stream.held.iter().take(stream.under_way).map(|frame| frame.as_bytes().len());
        let under_way = Stream::weight(sizes);
        self.under_way -= under_way;
        if let Some(stream) = self.remove(handle) {
            let frames: Vec<_> = stream.held.into();
            self.events.push_back(ClientEvent::StreamStopped { handle, why, frames });
        }
    }

    fn end_if_done(&mut self, handle: StreamHandle) {
        let done = |stream: &Stream| stream.ending && stream.held.is_empty();
        if self.streams.get(&handle).is_some_and(done) {
            self.remove(handle);
            self.events.push_back(ClientEvent::StreamEnded { handle });
        }
    }

    fn remove(&mut self, handle: StreamHandle) -> Option<Stream> {
        let stream = self.streams.remove(&handle)?;
        self.names.remove(&stream.open.descriptor.name());
        self.held_bytes -= stream.held.iter().map(|frame| frame.as_bytes().len()).sum::<usize>();
        if self.phase == Phase::Ready {
            self.send(ClientMessage::EndStream { handle });
        }
        Some(stream)
    }

    fn violated(&mut self, violation: Violation, evidence: Option<Box<SignedReceipt>>) {
        self.events.push_back(ClientEvent::Violation { violation, evidence });
        self.send(ClientMessage::Goodbye);
        self.close(Some(RejectCode::Protocol));
    }

    fn close(&mut self, code: Option<RejectCode>) {
        self.phase = Phase::Closed;
        self.events.push_back(ClientEvent::Closed { code });
    }
}
