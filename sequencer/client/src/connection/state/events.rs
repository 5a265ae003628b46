//! What the session machine tells, taken into the state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use model::{Millis, RejectCode, Sequence, StreamHandle};
use wire::{ClientEvent, Features, SignedReceipt, StopReason, StreamName};

use super::super::error::ConnectionError;
use super::super::outcome::{Delay, Delayed};
use super::{State, Stop, StreamState};
use crate::receipts::{NotKept, ReceiptFolder};

impl State {
    pub(in super::super) fn take_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.on_event(event);
        }
        // Receipts made room.
        self.fill();
    }

    fn on_event(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Welcomed { marks, standing, server_time } => {
                self.node_clock.note(server_time, Instant::now());
                // Before any frame goes: that none would be taken is not found out by trying.
                if self.encrypt.is_some() && !self.session.speaks(Features::ENCRYPTED) {
                    return self.end(ConnectionError::NotEncrypted);
                }
                (self.welcomed, self.ever_welcomed, self.marks) = (true, true, marks);
                self.acknowledged.clear();
                self.counts.term = standing.term;
            }
            ClientEvent::LossAccepted { known, term } => {
                self.counts.losses_accepted += term - known;
            }
            ClientEvent::Receipt(receipt) => self.on_receipt(*receipt),
            ClientEvent::StreamReady { handle, next } => {
                self.change_stream(handle, |stream| {
                    (stream.ready, stream.postponed) = (true, None);
                    let durable = Sequence(next.0.saturating_sub(1));
                    stream.spool.iter_mut().for_each(|spool| spool.let_go(durable));
                });
            }
            ClientEvent::Regressed { handle, next, receipted } => {
                self.on_regressed(handle, next, receipted);
            }
            ClientEvent::Durable { handle, last } => self.on_durable(handle, last),
            ClientEvent::StreamStopped { handle, why, frames } => {
                if let Some(stream) = self.streams.get_mut(&handle) {
                    // What of it the node has nobody knows, so its epoch counts as used: as far as
                    // the node says, where it has more.
                    let last = match why {
                        StopReason::Ahead { durable } => durable,
                        StopReason::Refused(_) | StopReason::Regressed { .. } => {
                            stream.last_receipted
                        }
                    };
                    let name = stream.name.clone();
                    stream.stop = Some(Stop { why, frames });
                    // Nothing is added any more, and whoever goes on in a new epoch needs it.
                    stream.spool = None;
                    let streams = &self.streams;
                    self.acknowledged.note_used(&name, last, |name| is_open(streams, name));
                }
            }
            ClientEvent::StreamEnded { handle } => {
                self.change_stream(handle, |stream| (stream.ended, stream.spool) = (true, None));
            }
            ClientEvent::Delayed { handle, code, again_at } => {
                self.counts.frames_delayed += 1;
                self.tell_delay(handle, Delayed::Frames, code, again_at);
            }
            ClientEvent::StreamPostponed { handle, code, again_at } => {
                self.counts.streams_delayed += 1;
                self.change_stream(handle, |stream| stream.postponed = Some(code));
                self.tell_delay(handle, Delayed::Opening, code, again_at);
            }
            ClientEvent::Violation { violation, evidence } => {
                self.end(ConnectionError::Violation { violation, evidence });
            }
            ClientEvent::Equivocation { first, second } => {
                self.end(ConnectionError::Equivocation { first, second });
            }
            ClientEvent::Closed { code: None } => self.end(ConnectionError::ClosedHere),
            ClientEvent::Closed { code: Some(code) } => self.on_closed(code),
            of_request => self.requests.on_event(of_request, self.latest.as_ref()),
        }
    }

    /// A receipt: first kept, then told, then matched with the requests to read that it decides.
    /// Whoever hears of an acknowledgement can rely on its evidence being on disk.
    fn on_receipt(&mut self, receipt: SignedReceipt) {
        self.counts.receipts += 1;
        match self.folder.as_mut().map(|folder| folder.keep(&receipt)) {
            Some(Err(NotKept::Io(error))) => self.end(ConnectionError::Receipts(error.into())),
            Some(Err(NotKept::Full)) => {
                let limit = self.folder.as_ref().map_or(0, ReceiptFolder::limit);
                self.end(ConnectionError::ReceiptsFull { limit });
            }
            Some(Ok(())) | None => {}
        }
        let now = self.now;
        let taken = self.newest.as_mut().map_or(Ok(()), |newest| newest.take(&receipt, now));
        self.note_newest(taken);
        if let Some(listener) = &self.listener {
            listener(&receipt);
        }
        self.requests.on_receipt(&receipt);
        self.latest = Some(receipt);
    }

    fn on_durable(&mut self, handle: StreamHandle, last: Sequence) {
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        let frames = last.0 - stream.last_receipted.0;
        self.counts.frames_receipted += frames;
        // None is behind the last frame sent: the session refuses receipts of what was not.
        let (readings, bytes) = stream.held.take(frames);
        self.counts.readings_receipted += readings;
        self.counts.bytes_receipted += bytes;
        stream.last_receipted = last;
        let (name, streams) = (stream.name.clone(), &self.streams);
        self.acknowledged.note(&name, last, |name| is_open(streams, name));
        let Some(stream) = self.streams.get_mut(&handle) else {
            return;
        };
        let at = self.clock.now();
        match stream.spool.as_mut().map(|spool| spool.forget_up_to(last, at)) {
            None => {}
            // Sent before a restart, and not held again yet.
            Some(Ok(passed)) => self.counts.readings_receipted += passed.readings,
            Some(Err(error)) => self.end(ConnectionError::Spool(Arc::new(error))),
        }
        // What can be sent again may begin later now.
        if let Some(kept) = self.streams.get(&handle).and_then(StreamState::kept_frames) {
            self.session.set_kept(handle, kept);
        }
    }

    /// A session that may be tried again is lost with its connection; any other is over.
    fn on_closed(&mut self, code: RejectCode) {
        let why = ConnectionError::Closed { code };
        let may_pass = why.is_passing() || self.renews && why.is_refusal();
        if may_pass {
            self.closed = Some(code);
        } else {
            self.end(why);
        }
    }

    fn tell_delay(&self, handle: StreamHandle, what: Delayed, code: RejectCode, again_at: Millis) {
        if let (Some(listener), Some(one)) = (&self.delay_listener, self.streams.get(&handle)) {
            listener(&Delay { stream: one.name.clone(), what, code, again_at });
        }
    }

    fn change_stream(&mut self, handle: StreamHandle, change: impl FnOnce(&mut StreamState)) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            change(stream);
        }
    }
}

fn is_open(streams: &BTreeMap<StreamHandle, StreamState>, name: &StreamName) -> bool {
    streams.values().any(|one| one.name == *name && one.stop.is_none() && !one.ended)
}
