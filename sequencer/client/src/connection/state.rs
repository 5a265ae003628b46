//! What a connection knows, beside the session machine: fed with events, it opens no socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use model::{Digest, EpochNumber, Millis, Position, RejectCode, Sequence, StreamHandle};
use wire::{
    AccessAnswer, ClientConfig, ClientEvent, ClientSession, Descriptor, Frame, Lane, Mark,
    Released, RequestId, SignedReceipt, StopReason,
};

use super::config::{ConnectionConfig, ReceiptListener};
use super::error::{ConnectionError, RequestError, StreamError};
use super::outcome::Counts;
use crate::receipts::{NotKept, ReceiptFolder};
use crate::spool::Spool;

/// Messages are joined up to this size before they are written: small writes cost most.
const WRITE_BYTES: usize = 64 << 10;

/// One stream as its owner sees it.
pub(super) struct StreamState {
    pub(super) ready: bool,
    pub(super) sent: Sequence,
    pub(super) receipted: Sequence,
    pub(super) ended: bool,
    pub(super) stopped: Option<(StopReason, Vec<Frame>)>,
    pub(super) spool: Option<Spool>,
}

/// One request that waits for its answer.
pub(super) struct Request {
    digest: Digest,
    answer: Option<AccessAnswer>,
    applied: Option<(Position, Millis)>,
    released: Vec<Released>,
    released_bytes: usize,
    released_all: bool,
    receipt: Option<SignedReceipt>,
    failed: Option<RequestError>,
}

impl Request {
    fn new(digest: Digest) -> Request {
        Request {
            digest,
            answer: None,
            applied: None,
            released: Vec::new(),
            released_bytes: 0,
            released_all: false,
            receipt: None,
            failed: None,
        }
    }
}

/// A decision, its receipt, and the frames that were released.
type Answered = (AccessAnswer, SignedReceipt, Vec<Released>);

pub(super) struct State {
    pub(super) session: ClientSession,
    pub(super) welcomed: bool,
    pub(super) ever_welcomed: bool,
    pub(super) driver_done: bool,
    pub(super) marks: Vec<Mark>,
    pub(super) streams: BTreeMap<StreamHandle, StreamState>,
    pub(super) ended: Option<ConnectionError>,
    pub(super) counts: Counts,
    requests: BTreeMap<RequestId, Request>,
    latest: Option<SignedReceipt>,
    folder: Option<ReceiptFolder>,
    listener: Option<ReceiptListener>,
    released_bytes_max: usize,
}

impl State {
    pub(super) fn new(config: &ConnectionConfig) -> Result<State, ConnectionError> {
        let session = ClientSession::new(ClientConfig {
            scope: config.deployment.scope,
            signer: config.deployment.receipt_signer,
            holder: config.identity.holder(),
            name: config.name.clone(),
            limits: config.limits,
        });
        let folder = config.receipts.as_deref();
        let folder = folder.map(|folder| ReceiptFolder::open(folder, config.receipts_kept_max));
        let folder = folder.transpose().map_err(|error| ConnectionError::Receipts(error.into()))?;
        Ok(State {
            session,
            welcomed: false,
            ever_welcomed: false,
            driver_done: false,
            marks: Vec::new(),
            streams: BTreeMap::new(),
            ended: None,
            counts: Counts::default(),
            requests: BTreeMap::new(),
            latest: None,
            folder,
            listener: config.on_receipt.clone(),
            released_bytes_max: config.released_bytes_max,
        })
    }

    /// Received bytes of a lane.
    pub(super) fn received(&mut self, lane: Lane, bytes: &[u8], now: Millis) {
        self.session.handle_bytes(lane, bytes, now);
        self.take_events();
    }

    /// What to write on a lane: messages joined, or one large one without a copy.
    pub(super) fn gather(&mut self, lane: Lane) -> Bytes {
        if matches!(self.ended, Some(ConnectionError::Spool(_))) {
            return Bytes::new();
        }
        let Some(first) = self.session.poll_transmit(lane) else {
            return Bytes::new();
        };
        let mut joined = BytesMut::new();
        while first.len() + joined.len() < WRITE_BYTES {
            let Some(next) = self.session.poll_transmit(lane) else { break };
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&next);
        }
        if joined.is_empty() { first } else { joined.freeze() }
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self) {
        self.session.disconnected();
        self.welcomed = false;
        self.take_events();
    }

    pub(super) fn end(&mut self, why: ConnectionError) {
        self.ended.get_or_insert(why);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn ended(&self) -> Option<ConnectionError> {
        self.ended.clone()
    }

    /// The session stands, or never will again.
    pub(super) fn welcome(&mut self) -> Option<Result<(), ConnectionError>> {
        match &self.ended {
            Some(why) => Some(Err(why.clone())),
            None => self.welcomed.then_some(Ok(())),
        }
    }

    /// Whether the driving task has left the last connection.
    pub(super) fn driver_done(&self) -> bool {
        self.driver_done
    }

    /// Everything sent has a receipt, on every stream that goes on.
    pub(super) fn flushed(&mut self) -> Option<Result<(), ConnectionError>> {
        let waits = |one: &StreamState| one.stopped.is_none() && one.receipted < one.sent;
        if !self.streams.values().any(waits) {
            return Some(Ok(()));
        }
        self.ended().map(Err)
    }

    /// Opens a stream with what was kept of it.
    pub(super) fn open_stream(
        &mut self,
        lane: Lane,
        descriptor: Descriptor,
        spool: Option<Spool>,
    ) -> Result<StreamHandle, StreamError> {
        if let Some(why) = self.ended() {
            return Err(why.into());
        }
        let receipted = spool.as_ref().map(Spool::receipted).unwrap_or_default();
        let handle = self.session.open_stream(lane, descriptor, receipted)?;
        let mut sent = receipted;
        for frame in spool.iter().flat_map(Spool::frames) {
            self.session.restore(handle, frame)?;
            self.counts.frames_sent += 1;
            sent = frame.sequence();
        }
        let (ready, ended, stopped) = (false, false, None);
        let stream = StreamState { ready, sent, receipted, ended, stopped, spool };
        self.streams.insert(handle, stream);
        Ok(handle)
    }

    /// Stores and queues a frame. `None` while too much is without a receipt.
    pub(super) fn push(
        &mut self,
        handle: StreamHandle,
        readings: &[wire::Reading],
    ) -> Option<Result<Sequence, StreamError>> {
        if let Err(error) = self.check_stream(handle) {
            return Some(Err(error));
        }
        let frame = match self.session.push(handle, readings) {
            Err(wire::ClientError::Full { .. }) => return None,
            Err(error) => return Some(Err(error.into())),
            Ok(frame) => frame,
        };
        let stream = self.streams.get_mut(&handle)?;
        if let Some(spool) = &mut stream.spool
            && let Err(error) = spool.store(&frame)
        {
            let why = ConnectionError::Spool(Arc::new(error));
            self.end(why.clone());
            return Some(Err(why.into()));
        }
        stream.sent = frame.sequence();
        self.counts.frames_sent += 1;
        self.counts.readings_sent += u64::from(frame.header().count);
        Some(Ok(frame.sequence()))
    }

    /// Whether a stream can still take frames.
    pub(super) fn check_stream(&self, handle: StreamHandle) -> Result<&StreamState, StreamError> {
        if let Some(why) = &self.ended {
            return Err(why.clone().into());
        }
        let stream = self.streams.get(&handle).ok_or(StreamError::Ended)?;
        match &stream.stopped {
            Some((why, _)) => Err(StreamError::Stopped { why: *why }),
            None if stream.ended => Err(StreamError::Ended),
            None => Ok(stream),
        }
    }

    pub(super) fn add_request(&mut self, request: RequestId, digest: Digest) {
        self.requests.insert(request, Request::new(digest));
    }

    /// Forgets a request that nobody waits for any more.
    pub(super) fn drop_request(&mut self, request: RequestId) {
        self.requests.remove(&request);
    }

    /// The operation's effect once it is receipted.
    pub(super) fn applied(
        &mut self,
        request: RequestId,
    ) -> Option<Result<(Position, Millis, SignedReceipt), RequestError>> {
        let one = self.requests.get(&request)?;
        if let Some(error) = one.failed.clone() {
            return Some(Err(error));
        }
        if let (Some((position, time)), Some(receipt)) = (one.applied, one.receipt.clone()) {
            return Some(Ok((position, time, receipt)));
        }
        self.ended.clone().map(|why| Err(why.into()))
    }

    /// The decision, its receipt and all released frames, once everything is there.
    pub(super) fn answered(
        &mut self,
        request: RequestId,
    ) -> Option<Result<Answered, RequestError>> {
        let one = self.requests.get_mut(&request)?;
        if let Some(error) = one.failed.clone() {
            return Some(Err(error));
        }
        match (one.answer, &one.receipt) {
            (Some(answer), Some(receipt)) if one.released_all || !answer.permitted => {
                Some(Ok((answer, receipt.clone(), std::mem::take(&mut one.released))))
            }
            _ => self.ended.clone().map(|why| Err(why.into())),
        }
    }

    /// The highest epoch the node has of a stream, by its marks.
    pub(super) fn marked_epoch(&self, device: &str, signal: u32) -> Option<EpochNumber> {
        let marks = self.marks.iter().map(|mark| &mark.stream);
        let same = marks.filter(|name| name.device.as_str() == device && name.signal == signal);
        same.map(|name| name.epoch).max()
    }

    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.event(event);
        }
    }

    fn event(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Welcomed { marks, .. } => {
                (self.welcomed, self.ever_welcomed, self.marks) = (true, true, marks);
            }
            ClientEvent::Receipt(receipt) => self.keep(*receipt),
            ClientEvent::StreamReady { handle, .. } => {
                self.on_stream(handle, |stream| stream.ready = true);
            }
            ClientEvent::Durable { handle, last } => self.durable(handle, last),
            ClientEvent::StreamStopped { handle, why, frames } => {
                self.on_stream(handle, |stream| stream.stopped = Some((why, frames)));
            }
            ClientEvent::StreamEnded { handle } => {
                self.on_stream(handle, |stream| stream.ended = true);
            }
            ClientEvent::Delayed { .. } => self.counts.frames_delayed += 1,
            ClientEvent::Violation { violation, evidence } => {
                self.end(ConnectionError::Violation { violation, evidence });
            }
            ClientEvent::Equivocation { first, second } => {
                self.end(ConnectionError::Equivocation { first, second });
            }
            ClientEvent::Closed { code: None } => self.end(ConnectionError::ClosedHere),
            ClientEvent::Closed { code: Some(code) } => self.closed(code),
            of_request => self.request_event(of_request),
        }
    }

    fn request_event(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::OperationApplied { request, position, time } => {
                let receipt = self.latest.clone();
                self.on_request(request, |one| {
                    (one.applied, one.receipt) = (Some((position, time)), receipt);
                });
            }
            ClientEvent::AccessAnswered(answer) => {
                self.on_request(answer.request, |one| one.answer = Some(answer));
            }
            ClientEvent::Released(released) => self.released(*released),
            ClientEvent::ReleaseEnded { request, .. } => {
                self.on_request(request, |one| one.released_all = true);
            }
            ClientEvent::RequestRejected { request, code } => {
                let why = RequestError::Rejected { code };
                self.on_request(request, |one| one.failed = Some(why));
            }
            ClientEvent::RequestLost { request } => self.on_request(request, |one| {
                one.failed.get_or_insert(RequestError::Unknown);
            }),
            _ => {}
        }
    }

    /// A receipt: first kept, then told, then matched with the requests to read that it decides.
    fn keep(&mut self, receipt: SignedReceipt) {
        self.counts.receipts += 1;
        match self.folder.as_mut().map(|folder| folder.keep(&receipt)) {
            Some(Err(NotKept::Io(error))) => self.end(ConnectionError::Receipts(error.into())),
            Some(Err(NotKept::Full)) => {
                let limit = self.folder.as_ref().map_or(0, ReceiptFolder::limit);
                self.end(ConnectionError::ReceiptsFull { limit });
            }
            Some(Ok(())) | None => {}
        }
        if let Some(listener) = &self.listener {
            listener(&receipt);
        }
        for item in &receipt.receipt.items().accesses {
            let asked = self.requests.values_mut().filter(|one| one.digest == item.digest);
            asked.for_each(|one| one.receipt = Some(receipt.clone()));
        }
        self.latest = Some(receipt);
    }

    fn durable(&mut self, handle: StreamHandle, last: Sequence) {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        self.counts.frames_receipted += last.0 - stream.receipted.0;
        stream.receipted = last;
        let kept = stream.spool.as_mut().map(|spool| spool.receipted_up_to(last));
        if let Some(Err(error)) = kept {
            self.end(ConnectionError::Spool(Arc::new(error)));
        }
    }

    fn released(&mut self, released: Released) {
        let limit = self.released_bytes_max;
        self.on_request(released.request, |one| {
            one.released_bytes += released.frame.as_bytes().len();
            if one.released_bytes > limit {
                one.released = Vec::new();
                one.failed = Some(RequestError::TooMuch { limit });
            } else {
                one.released.push(released);
            }
        });
    }

    /// A session that may be tried again is lost with its connection; any other is over.
    fn closed(&mut self, code: RejectCode) {
        let why = ConnectionError::Closed { code };
        if !why.is_passing() {
            self.end(why);
        }
    }

    fn on_stream(&mut self, handle: StreamHandle, change: impl FnOnce(&mut StreamState)) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            change(stream);
        }
    }

    fn on_request(&mut self, request: RequestId, change: impl FnOnce(&mut Request)) {
        if let Some(one) = self.requests.get_mut(&request) {
            change(one);
        }
    }
}
