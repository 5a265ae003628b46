//! Streams and their frames: submitted once, compared when they come again, rejected together.

use std::collections::VecDeque;

use model::{Interval, Position, RejectCode, Sequence, StreamHandle, with_causes};
use wire::{Credit, Frame, OpenStream};

use super::state::{Outcome, Reply, Session, Stream, Submitted, code_of};
use crate::guard::caught;
use crate::stages::deliver::AgainError;
use crate::stages::ingest::observe::Observed;
use crate::stages::ingest::peer::PeerId;
use crate::stages::ingest::stored::{Again, Compared, Conflict, compare};
use crate::stages::ledger::{Answer, Item};

impl Session {
    pub(super) fn open_stream(&mut self, open: OpenStream) {
        let PeerId::Gateway(gateway) = self.peer.id.clone() else {
            return self.wire.close(RejectCode::Identity);
        };
        let OpenStream { handle, lane, descriptor } = open;
        if !self.shared.sources.may_open(self.peer.holder, self.services.clock.as_ref()) {
            return self.refuse_stream(handle, RejectCode::Busy);
        }
        let (id, key) = (self.next_id(), descriptor.key.clone());
        let opening = Some(id);
        let (next, under_way) = (Sequence(1), VecDeque::new());
        let stream = Stream { key, lane, opening, next, under_way };
        self.streams.insert(handle, stream);
        let item = Item::OpenStream { gateway, descriptor };
        let reply = move |outcome| Reply::Opened { handle, id, outcome };
        // On the lane of its frames: they come behind its answer, and neither waits behind others.
        if let Err(code) = self.submit_on(lane, item, reply) {
            self.refuse_stream(handle, code);
        }
    }

    pub(super) fn handle_opened(&mut self, handle: StreamHandle, id: u64, outcome: Outcome) {
        // A handle may have been ended and opened again meanwhile: only the latest answer counts.
        let Some(stream) = self.streams.get_mut(&handle).filter(|s| s.opening == Some(id)) else {
            return;
        };
        stream.opening = None;
        match outcome {
            Ok(Answer::StreamOpened { next }) => {
                stream.next = next;
                self.wire.open_stream(handle, Sequence(next.0.saturating_sub(1)));
            }
            other => self.refuse_stream(handle, code_of(&other)),
        }
    }

    fn refuse_stream(&mut self, handle: StreamHandle, code: RejectCode) {
        self.observe(Observed::Rejected(code));
        self.wire.refuse_stream(handle, code);
    }

    pub(super) fn submit_frame(&mut self, handle: StreamHandle, frame: Frame, measured: Interval) {
        let (PeerId::Gateway(gateway), Some(stream)) =
            (self.peer.id.clone(), self.streams.get(&handle))
        else {
            return;
        };
        let (key, lane, sequence) = (stream.key.clone(), stream.lane, frame.sequence());
        // The frame is shared, not copied: if it came again, its bytes are compared with the stored
        // ones.
        let (place, copy) = (Submitted { handle, id: self.next_id(), lane }, frame.clone());
        let (readings, bytes) = (frame.header().count, frame.as_bytes().len() as u32);
        let reply = move |outcome| match outcome {
            Ok(Answer::FrameStored) => Reply::Stored { place, readings, bytes },
            outcome => Reply::Frame { place, frame: copy, outcome },
        };
        let item = Item::Frame { gateway, key, frame, measured };
        if let Err(code) = self.submit_on(lane, item, reply) {
            return self.reject_frames(handle, sequence, code);
        }
        self.submitted.add(lane, Credit::of_frame(bytes as usize));
        self.begin_timed(handle, sequence);
        // Only what was taken is under way, and a frame sent again does not move the stream on.
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.under_way.push_back((place.id, sequence));
            if stream.next == sequence {
                stream.next = Sequence(sequence.0 + 1);
            }
        }
    }

    /// A frame that came before. Where it is stored only the ledger knows, so it is submitted like
    /// any other; one that fails its range check cannot be what is stored.
    pub(super) fn submit_again(&mut self, handle: StreamHandle, frame: Frame) {
        let Some(stream) = self.streams.get(&handle) else { return };
        let measured = stream.key.signal().and_then(|signal| frame.check(signal).ok());
        match measured {
            Some(measured) => self.submit_frame(handle, frame, measured),
            None => self.report_conflict(handle, &frame, None),
        }
    }

    /// Takes a submission off the stream; whether its reply still counts: nothing was rejected
    /// below it since.
    pub(super) fn take_live(&mut self, place: Submitted) -> bool {
        let Some(stream) = self.streams.get_mut(&place.handle) else { return false };
        // Replies of a lane come in the order of submission, so the one that counts is the oldest.
        let live = stream.under_way.front().is_some_and(|(front, _)| *front == place.id);
        if live {
            stream.under_way.pop_front();
        }
        live
    }

    pub(super) fn handle_frame_reply(&mut self, place: Submitted, frame: Frame, outcome: Outcome) {
        let (handle, live) = (place.handle, self.take_live(place));
        match outcome {
            Ok(Answer::FrameDuplicate { place }) => {
                self.again.push(Again { handle, frame, place });
            }
            // The frames behind a rejected one are rejected with it, and their own answers are gaps
            // that say nothing new.
            other if live => {
                self.log_refusal("frame", &other);
                self.reject_frames(handle, frame.sequence(), code_of(&other));
            }
            _ => {}
        }
    }

    fn reject_frames(&mut self, handle: StreamHandle, from: Sequence, code: RejectCode) {
        self.forget_timed(handle, from);
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        // The client sends again from here on; what it had sent behind is dropped when it arrives.
        stream.next = stream.next.min(from);
        stream.under_way.retain(|(_, sequence)| *sequence < from);
        self.observe(Observed::Rejected(code));
        self.wire.reject_frames(handle, from, code);
    }

    /// Compares what came again with what is stored, everything that waits at once.
    pub(super) fn compare_again(&mut self) {
        if self.comparing || self.again.is_empty() || self.ended.is_some() {
            return;
        }
        // Without a place the next event tries again.
        let Some(place) = self.reserve_place() else { return };
        self.comparing = true;
        let (hub, holder) = (self.services.hub.clone(), self.peer.holder);
        let frames = std::mem::take(&mut self.again);
        let place_of = |again: &Again| (again.handle, again.frame.sequence());
        self.compared_frames = frames.iter().map(place_of).collect();
        // Reading the journal blocks; the connection's task goes on meanwhile.
        self.services.machine.run_blocking(Box::new(move || {
            // A panic is told as an error: the session compares nothing more before this reply.
            let compared = caught(|| compare(&hub, holder, frames));
            place.send(Reply::Compared(compared.unwrap_or_else(|panic| Err(panic.into()))));
        }));
    }

    pub(super) fn handle_comparison(&mut self, compared: Result<Compared, AgainError>) {
        self.comparing = false;
        let compared_frames = std::mem::take(&mut self.compared_frames);
        match compared {
            Ok(Compared { equal, receipts, conflicts, unopened }) => {
                (0..equal).for_each(|_| self.observe(Observed::FrameAgain));
                receipts.into_iter().for_each(|receipt| self.acknowledge(receipt));
                for Conflict { handle, frame, position } in conflicts {
                    self.report_conflict(handle, &frame, Some(position));
                }
                // The stream alone: others of its gateway go on.
                for (Conflict { handle, frame, position }, error) in unopened {
                    let (position, error) = (position.0, with_causes(&error));
                    tracing::error!(position, error, "a stored frame cannot be compared");
                    self.reject_frames(handle, frame.sequence(), RejectCode::Unavailable);
                }
            }
            // Only for now, perhaps: they come again, and everything else goes on.
            Err(error) if error.is_of_archive() => {
                tracing::warn!(error = with_causes(&error), "frames that came again wait");
                for (handle, from) in compared_frames {
                    self.reject_frames(handle, from, RejectCode::Unavailable);
                }
            }
            Err(error) => self.close_unreadable(&error),
        }
    }

    /// The stored bytes stay. What the operator keeps is that it happened and where: the log names
    /// signal, epoch and number, and the position at which the journal has the stored frame, with
    /// its device. Of the other bytes nothing: readings are found by trying behind any digest.
    fn report_conflict(
        &mut self,
        handle: StreamHandle,
        frame: &Frame,
        stored_at: Option<Position>,
    ) {
        let (holder, position) = (self.peer.holder, stored_at.map(|at| at.0));
        let sequence = frame.sequence().0;
        let stream = self.streams.get(&handle).map(|stream| stream.key.name(frame.header().epoch));
        tracing::warn!(?holder, ?stream, ?position, sequence, "a stored frame has other bytes");
        self.reject_frames(handle, frame.sequence(), RejectCode::Conflict);
    }
}
