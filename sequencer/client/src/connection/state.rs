//! What a connection knows, beside the session machine: fed with events, it opens no socket.

mod events;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use model::{Clock, EpochNumber, Millis, RejectCode, Sequence, StreamHandle};
use wire::{
    ClientConfig, ClientSession, Codec, Descriptor, Frame, Lane, Layout, Mark, Reading, RequestId,
    SignedReceipt, StopReason, StreamName,
};

use super::acknowledged::Acknowledged;
use super::config::{ConnectionConfig, DelayListener, LossListener, ReceiptListener};
use super::error::{ConnectionError, RequestError, StreamError};
use super::moved::Moved;
use super::node_clock::NodeClock;
use super::outcome::{AccessOutcome, Applied, Counts, Loss, ReleasedPage};
use super::requests::Requests;
use crate::encryption::{BodyKey, Encrypting};
use crate::receipts::{NewestReceipt, ReceiptFolder};
use crate::spool::Spool;
use crate::{InputMark, StateBounds};

/// Messages are joined up to this size before they are written: small writes cost most.
const WRITE_BYTES: usize = 64 << 10;

/// Frames without a receipt that the session holds, in order.
#[derive(Default)]
pub(super) struct HeldFrames {
    frames: VecDeque<HeldFrame>,
    /// The sum of theirs.
    bytes: usize,
}

struct HeldFrame {
    readings: u16,
    bytes: usize,
}

impl HeldFrames {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, frame: &Frame) {
        let (readings, bytes) = (frame.header().count, frame.as_bytes().len());
        self.frames.push_back(HeldFrame { readings, bytes });
        self.bytes += bytes;
    }

    /// Takes the first ones off, at most so many; says how many readings stood in them, in how
    /// many bytes.
    fn take(&mut self, frames: u64) -> (u64, u64) {
        let count = usize::try_from(frames).unwrap_or(usize::MAX).min(self.frames.len());
        let (mut readings, before) = (0, self.bytes);
        for held in self.frames.drain(..count) {
            self.bytes -= held.bytes;
            readings += u64::from(held.readings);
        }
        (readings, (before - self.bytes) as u64)
    }
}

/// Most marks of a welcome: with fewer, they name every stream that the node has.
const MARKS_MAX: usize = 512;

/// One stream as its owner sees it.
pub(super) struct StreamState {
    pub(super) name: StreamName,
    pub(super) lane: Lane,
    pub(super) ready: bool,
    /// Why the node last postponed the opening, until it opens the stream.
    pub(super) postponed: Option<RejectCode>,
    pub(super) last_sent: Sequence,
    pub(super) last_receipted: Sequence,
    pub(super) held: HeldFrames,
    /// Sequences that were told and stand for other frames now, because some were given up.
    pub(super) moved: Moved,
    pub(super) ended: bool,
    pub(super) stop: Option<Stop>,
    pub(super) spool: Option<Spool>,
    /// What encrypts the frames of a stream without a spool.
    pub(super) encrypting: Option<Encrypting>,
}

/// Why a stream goes no further, and its frames without a receipt until somebody takes them.
pub(super) struct Stop {
    why: StopReason,
    pub(super) frames: Vec<Frame>,
}

pub(super) struct State {
    pub(super) session: ClientSession,
    /// Whether the session stands at this moment.
    pub(super) welcomed: bool,
    /// Whether it ever stood: before, nothing is tried again.
    pub(super) ever_welcomed: bool,
    /// Whether the driving task has left the last connection.
    pub(super) driver_done: bool,
    pub(super) end_reason: Option<ConnectionError>,
    /// Why the node closed this connection, where another one may be taken.
    pub(super) closed: Option<RejectCode>,
    pub(super) counts: Counts,
    pub(super) streams: BTreeMap<StreamHandle, StreamState>,
    pub(super) requests: Requests,
    marks: Vec<Mark>,
    acknowledged: Acknowledged,
    pub(super) node_clock: NodeClock,
    latest: Option<SignedReceipt>,
    folder: Option<ReceiptFolder>,
    newest: Option<NewestReceipt>,
    /// Why the newest receipt is not kept or not shown, since when something went wrong with it.
    newest_fault: Option<String>,
    /// When something came last.
    now: Millis,
    pub(super) clock: Arc<dyn Clock>,
    codec: Option<Codec>,
    encrypt: Option<Arc<BodyKey>>,
    pub(super) held_bytes_max: usize,
    pub(super) state_bounds: StateBounds,
    listener: Option<ReceiptListener>,
    delay_listener: Option<DelayListener>,
    loss_listener: Option<LossListener>,
    /// Whether another certificate may follow one that is refused.
    renews: bool,
}

impl State {
    pub(super) fn new(config: &ConnectionConfig) -> Result<State, ConnectionError> {
        let mut session = ClientSession::new(session_config(config));
        let folder = config.receipts.as_deref();
        let folder = folder.map(|folder| ReceiptFolder::open(folder, config.receipts_kept_max));
        let receipts = |error: std::io::Error| ConnectionError::Receipts(error.into());
        let folder = folder.transpose().map_err(receipts)?;
        let of_state = || config.state.as_deref().map(NewestReceipt::path_in);
        let mut newest = config.newest.clone().or_else(of_state).map(NewestReceipt::at);
        let kept = folder.as_ref().map_or(Ok(None), ReceiptFolder::newest).map_err(receipts)?;
        // A hint for the node, which finds out from other holders too: a file that does not read
        // keeps no revocation out, stays as it is, and is told at the end.
        let (last, newest_fault) = match newest.as_ref().map_or(Ok(None), NewestReceipt::read) {
            Ok(last) => (last, None),
            Err(error) => {
                newest = None;
                (None, Some(error.to_string()))
            }
        };
        for receipt in kept.iter().chain(&last) {
            // One of another deployment or identity says nothing about this node.
            if session.restore_receipt(receipt).is_ok() {
                newest.iter_mut().for_each(|newest| newest.see(receipt));
            }
        }
        Ok(State {
            session,
            welcomed: false,
            ever_welcomed: false,
            driver_done: false,
            end_reason: None,
            closed: None,
            counts: Counts::default(),
            streams: BTreeMap::new(),
            requests: Requests::new(config.released_bytes_max),
            marks: Vec::new(),
            acknowledged: Acknowledged::default(),
            node_clock: NodeClock::default(),
            latest: None,
            folder,
            newest,
            newest_fault,
            now: config.clock.now(),
            clock: config.clock.clone(),
            codec: config.codec,
            encrypt: config.encrypt.clone(),
            held_bytes_max: config.limits.held_bytes_max,
            state_bounds: config.state_bounds,
            listener: config.on_receipt.clone(),
            delay_listener: config.on_delay.clone(),
            loss_listener: config.on_loss.clone(),
            renews: !config.waits.renewal.is_zero() || config.identity_folder.is_some(),
        })
    }

    pub(super) fn handle_bytes(&mut self, lane: Lane, bytes: &[u8], now: Millis) {
        self.now = now;
        self.session.handle_bytes(lane, bytes, now);
        self.take_events();
    }

    /// What to write on a lane: messages joined, or one large one without a copy.
    pub(super) fn gather(&mut self, lane: Lane) -> Bytes {
        let Some(first) = self.session.poll_transmit(lane) else {
            return Bytes::new();
        };
        let mut joined = BytesMut::new();
        while first.len() + joined.len() < WRITE_BYTES {
            let Some(next) = self.session.poll_transmit(lane) else { break };
            // Only a second message makes the copy worth while: most large frames go alone.
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&next);
        }
        if joined.is_empty() { first } else { joined.freeze() }
    }

    /// The connection is gone.
    pub(super) fn on_disconnect(&mut self) {
        self.session.disconnected();
        (self.welcomed, self.closed) = (false, None);
        self.take_events();
    }

    /// The first reason stays: what follows is mostly its consequence.
    pub(super) fn end(&mut self, why: ConnectionError) {
        self.end_reason.get_or_insert(why);
        // It is over either way: where it cannot be written, the next hello shows an older one.
        let flushed = self.newest.as_mut().map_or(Ok(()), NewestReceipt::flush);
        self.note_newest(flushed);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.end_reason.is_some()
    }

    /// It is over, and whoever opens the state folder next finds it free.
    pub(super) fn close(&mut self) {
        self.end(ConnectionError::ClosedHere);
        self.streams.values_mut().for_each(|stream| stream.spool = None);
    }

    /// The session stands, or never will again.
    pub(super) fn find_welcome(&mut self) -> Option<Result<(), ConnectionError>> {
        match &self.end_reason {
            Some(why) => Some(Err(why.clone())),
            None => self.welcomed.then_some(Ok(())),
        }
    }

    /// Everything sent has a receipt, on every stream that goes on.
    pub(super) fn find_flushed(&mut self) -> Option<Result<(), ConnectionError>> {
        // A stopped stream never gets its receipts: to wait for it would be to wait for ever.
        let waits = |one: &StreamState| one.stop.is_none() && one.last_receipted < one.last_sent;
        if !self.streams.values().any(waits) {
            return Some(Ok(()));
        }
        self.end_reason.clone().map(Err)
    }

    /// Opens a stream with what was kept of it.
    pub(super) fn open_stream(
        &mut self,
        lane: Lane,
        descriptor: Descriptor,
        mut spool: Option<Spool>,
    ) -> Result<StreamHandle, StreamError> {
        if let Some(spool) = &mut spool {
            self.state_bounds.bound(spool);
            spool.lay_out(Layout { codec: self.codec, period: descriptor.period });
            spool.encrypt(self.encrypt.clone());
            // Of what was given up before, this connection told no sequence.
            spool.take_moved();
        }
        if let Some(why) = self.end_reason.clone() {
            return Err(why.into());
        }
        let last_receipted = spool.as_ref().map(Spool::last_receipted).unwrap_or_default();
        let last_sent = spool.as_ref().map(Spool::last).unwrap_or_default();
        let encrypting = self.encrypt.clone();
        let encrypting = encrypting.map(|key| Encrypting::new(key, descriptor.key.clone()));
        let name = descriptor.name();
        let handle = self.session.open_stream(lane, descriptor, last_receipted)?;
        if let Some(spool) = &spool {
            // The same bytes under the same sequence: the node may have them and says so.
            let kept = spool.waiting();
            self.counts.frames_sent += kept.frames;
            self.counts.readings_restored += kept.readings;
            self.counts.bytes_cut += spool.cut_bytes();
            self.session.set_kept(handle, spool.kept_frames());
        }
        let stream = StreamState {
            name,
            lane,
            ready: false,
            postponed: None,
            last_sent,
            last_receipted,
            held: HeldFrames::default(),
            moved: Moved::default(),
            ended: false,
            stop: None,
            encrypting: encrypting.filter(|_| spool.is_none()),
            spool,
        };
        self.streams.insert(handle, stream);
        self.fill();
        Ok(handle)
    }

    /// Stores and queues a frame. `None` while too much is without a receipt.
    pub(super) fn push(
        &mut self,
        handle: StreamHandle,
        readings: &[Reading],
        mark: Option<InputMark>,
    ) -> Option<Result<Sequence, StreamError>> {
        if let Err(error) = self.check_stream(handle) {
            return Some(Err(error));
        }
        let stream = self.streams.get(&handle)?;
        if stream.spool.is_some() {
            return self.push_kept(handle, readings, mark);
        }
        // As if full: whoever sends a backlog, or beside one, leaves the other some.
        if self.is_full_for(stream.lane) {
            return None;
        }
        let stream = self.streams.get_mut(&handle)?;
        let made = match &mut stream.encrypting {
            None => self.session.push(handle, readings),
            Some(encrypting) => push_encrypted(&mut self.session, handle, (readings, encrypting)),
        };
        let frame = match made {
            // Not an error: whoever sends waits until receipts make room.
            Err(wire::ClientError::Full { .. }) => return None,
            Err(error) => return Some(Err(error.into())),
            Ok(frame) => frame,
        };
        let stream = self.streams.get_mut(&handle)?;
        stream.last_sent = frame.sequence();
        stream.held.push(&frame);
        self.counts.frames_sent += 1;
        self.counts.readings_sent += u64::from(frame.header().count);
        Some(Ok(frame.sequence()))
    }

    /// Whether a stream can still take frames.
    pub(super) fn check_stream(&self, handle: StreamHandle) -> Result<&StreamState, StreamError> {
        if let Some(why) = &self.end_reason {
            return Err(why.clone().into());
        }
        let stream = self.streams.get(&handle).ok_or(StreamError::Ended)?;
        match &stream.stop {
            Some(stop) => Err(StreamError::Stopped { why: stop.why }),
            None if stream.ended => Err(StreamError::Ended),
            None => Ok(stream),
        }
    }

    /// The operation's effect once it is receipted, or why there will be none.
    pub(super) fn find_applied(
        &mut self,
        request: RequestId,
    ) -> Option<Result<Applied, RequestError>> {
        // An answer that came before the end counts, whatever ended the connection.
        self.requests.find_applied(request).or_else(|| self.end_reason.clone().map(into_error))
    }

    /// The answer to a question about names, once it has come.
    pub(super) fn find_known(
        &mut self,
        request: RequestId,
    ) -> Option<Result<Vec<bool>, RequestError>> {
        self.requests.find_known(request).or_else(|| self.end_reason.clone().map(into_error))
    }

    /// What became of a request for a certificate, once it is answered.
    pub(super) fn find_certificate(
        &mut self,
        request: RequestId,
    ) -> Option<Result<Option<Bytes>, RequestError>> {
        let answered = self.requests.find_certificate(request);
        answered.or_else(|| self.end_reason.clone().map(into_error))
    }

    /// Everything that was sent or asked on this connection is answered.
    pub(super) fn is_drained(&self) -> bool {
        self.session.under_way().frames == 0 && !self.requests.is_waiting()
    }

    /// The decision, its receipt and all released frames, once everything is there.
    pub(super) fn take_outcome(
        &mut self,
        request: RequestId,
    ) -> Option<Result<AccessOutcome, RequestError>> {
        self.requests.take_outcome(request).or_else(|| self.end_reason.clone().map(into_error))
    }

    /// A further page of released frames, once it is there.
    pub(super) fn take_page(
        &mut self,
        request: RequestId,
    ) -> Option<Result<ReleasedPage, RequestError>> {
        self.requests.take_page(request).or_else(|| self.end_reason.clone().map(into_error))
    }

    /// How far the node has an epoch of a stream, by its marks; `None` if they may not name all.
    pub(super) fn marked(&self, name: &StreamName) -> Option<Sequence> {
        let mark = self.marks.iter().find(|mark| mark.stream == *name);
        let durable = mark.map(|mark| mark.durable);
        let durable = durable.or_else(|| (self.marks.len() < MARKS_MAX).then_some(Sequence(0)))?;
        // They are of the welcome, and receipts came since.
        Some(durable.max(self.acknowledged.find(name)?))
    }

    /// The node lost what it gave receipts for.
    pub(super) fn tell_loss(&mut self, loss: &Loss) {
        self.counts.readings_sent_again += loss.again.readings;
        if let Some(listener) = &self.loss_listener {
            listener(loss);
        }
    }

    /// The highest epoch the node has of a stream, by its marks and by the receipts since.
    pub(super) fn marked_epoch(&self, device: &str, signal: u32) -> Option<EpochNumber> {
        let marks = self.marks.iter().map(|mark| &mark.stream).chain(self.acknowledged.names());
        let same = marks.filter(|name| name.device.as_str() == device && name.signal == signal);
        same.map(|name| name.epoch).max()
    }

    /// Not the end: what was asked for goes on, and what was released arrives.
    fn note_newest(&mut self, outcome: std::io::Result<()>) {
        if let Err(error) = outcome {
            self.newest_fault = Some(error.to_string());
        }
    }

    /// Why the newest receipt is not kept, if it is not.
    pub(super) fn newest_fault(&self) -> Option<&str> {
        self.newest_fault.as_deref()
    }
}

/// Makes the next frame, and queues it with its body encrypted.
fn push_encrypted(
    session: &mut ClientSession,
    handle: StreamHandle,
    made_of: (&[Reading], &mut Encrypting),
) -> Result<Frame, wire::ClientError> {
    let (readings, encrypting) = made_of;
    let frame = encrypting.encrypt(&session.make(handle, readings)?)?;
    session.queue(handle, &frame)?;
    Ok(frame)
}

/// What a session of this connection is.
pub(super) fn session_config(config: &ConnectionConfig) -> ClientConfig {
    ClientConfig {
        scope: config.deployment.scope,
        signer: config.deployment.receipt_signer,
        holder: config.identity.holder(),
        name: config.name.clone(),
        codec: config.codec,
        limits: config.limits,
    }
}

fn into_error<T>(why: ConnectionError) -> Result<T, RequestError> {
    Err(why.into())
}
