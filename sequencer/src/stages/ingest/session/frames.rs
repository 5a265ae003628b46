//! Streams and their frames: submitted once, compared when they come again, rejected together.

use std::collections::VecDeque;

use model::{Interval, Position, RejectCode, Sequence, StreamHandle, with_causes};
use wire::{Credit, Frame, Lane, OpenStream};

use super::state::{Gathered, Outcome, Reply, Session, Stream, Submitted, code_of};
use crate::guard::caught;
use crate::stages::deliver::AgainError;
use crate::stages::ingest::admit::{AdmitError, NotTakenFrames};
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
        self.observe_reject(code);
        self.wire.refuse_stream(handle, code);
    }

    /// Gathers a frame for the next submission. It counts as under way from here on.
    pub(super) fn gather_frame(&mut self, handle: StreamHandle, frame: Frame, measured: Interval) {
        let (PeerId::Gateway(gateway), Some(stream)) =
            (self.peer.id.clone(), self.streams.get_mut(&handle))
        else {
            return;
        };
        let (key, lane, sequence) = (stream.key.clone(), stream.lane, frame.sequence());
        self.next_id += 1;
        let id = self.next_id;
        stream.under_way.push_back((id, sequence));
        // A frame that is sent again does not move the stream on.
        if stream.next == sequence {
            stream.next = Sequence(sequence.0 + 1);
        }
        if self.gathered.lane != lane {
            self.submit_gathered();
            self.gathered = Gathered::on(lane);
        }
        let (readings, bytes) = (frame.header().count, frame.as_bytes().len() as u32);
        self.submitted.add(lane, Credit::of_frame(bytes as usize));
        self.begin_timed(handle, sequence);
        self.gathered.frames.push(Submitted { handle, id, sequence, readings, bytes });
        self.gathered.items.push(Item::Frame { gateway, key, frame, measured });
    }

    /// Submits what is gathered: the writer is woken, and answers, once for all of it.
    pub(super) fn submit_gathered(&mut self) {
        if self.gathered.items.is_empty() {
            return;
        }
        let lane = self.gathered.lane;
        let Gathered { items, frames, .. } =
            std::mem::replace(&mut self.gathered, Gathered::on(lane));
        let Some(place) = self.reserve_place() else {
            return self.reject_untaken(lane, &frames, RejectCode::Busy);
        };
        let (submitted, all) = (frames.clone(), frames.len());
        let reply = move |taken: usize, outcome: Result<Vec<Answer>, AdmitError>| {
            let mut frames = frames;
            // The others are rejected here, at once.
            frames.truncate(taken);
            drop(place.send(Reply::Frames { lane, frames, outcome }));
        };
        if let Err(NotTakenFrames { count, error }) =
            self.services.admit.submit_frames(lane, items, reply)
        {
            let untaken = &submitted[all - count.min(all)..];
            self.reject_untaken(lane, untaken, error.code());
        }
    }

    /// Frames that nobody will answer: they are under way no longer, and their client is told.
    fn reject_untaken(&mut self, lane: Lane, frames: &[Submitted], code: RejectCode) {
        for frame in frames {
            self.submitted.take(lane, Credit::of_frame(frame.bytes as usize));
            // The first of each stream takes those behind it along.
            if self.take_off(frame) {
                self.reject_frames(frame.handle, frame.sequence, code);
            }
        }
    }

    /// A frame that came before. Where it is stored only the ledger knows, so it is submitted like
    /// any other; one that fails its range check cannot be what is stored.
    pub(super) fn gather_again(&mut self, handle: StreamHandle, frame: Frame) {
        let Some(stream) = self.streams.get(&handle) else { return };
        let measured = stream.key.signal().and_then(|signal| frame.check(signal).ok());
        match measured {
            Some(measured) => self.gather_frame(handle, frame, measured),
            None => self.report_conflict(handle, &frame, None),
        }
    }

    /// Takes a submission off the stream; whether its reply still counts: nothing was rejected
    /// below it since.
    fn take_live(&mut self, frame: &Submitted) -> bool {
        let Some(stream) = self.streams.get_mut(&frame.handle) else { return false };
        // Replies of a lane come in the order of submission, so the one that counts is the oldest.
        let live = stream.under_way.front().is_some_and(|(front, _)| *front == frame.id);
        if live {
            stream.under_way.pop_front();
        }
        live
    }

    /// Takes a submission that was not made off the stream, as [`Session::take_live`] does: of
    /// those that were, answers are still to come.
    fn take_off(&mut self, frame: &Submitted) -> bool {
        let Some(stream) = self.streams.get_mut(&frame.handle) else { return false };
        let under_way = stream.under_way.iter().position(|(id, _)| *id == frame.id);
        under_way.and_then(|place| stream.under_way.remove(place)).is_some()
    }

    /// Takes the answers to frames that were submitted together.
    pub(super) fn handle_frame_replies(
        &mut self,
        lane: Lane,
        frames: Vec<Submitted>,
        outcome: Result<Vec<Answer>, AdmitError>,
    ) {
        match outcome {
            Ok(answers) => {
                self.observe_stored(&frames, &answers);
                for (frame, answer) in frames.iter().zip(answers) {
                    self.handle_frame_reply(lane, frame, Ok(answer));
                }
            }
            Err(error) => {
                for frame in &frames {
                    self.handle_frame_reply(lane, frame, Err(error.clone()));
                }
            }
        }
    }

    fn observe_stored(&self, frames: &[Submitted], answers: &[Answer]) {
        let (mut stored, mut readings, mut bytes) = (0, 0, 0);
        let answered = frames.iter().zip(answers);
        for (frame, _) in answered.filter(|(_, answer)| matches!(answer, Answer::FrameStored)) {
            stored += 1;
            readings += u64::from(frame.readings);
            bytes += u64::from(frame.bytes);
        }
        if stored > 0 {
            self.observe(Observed::FramesStored { frames: stored, readings, bytes });
        }
    }

    fn handle_frame_reply(&mut self, lane: Lane, submitted: &Submitted, outcome: Outcome) {
        let Submitted { handle, sequence, bytes, .. } = *submitted;
        self.submitted.take(lane, Credit::of_frame(bytes as usize));
        let live = self.take_live(submitted);
        match outcome {
            // Nothing is sent: the receipt of the group acknowledges it.
            Ok(Answer::FrameStored) => {}
            Ok(Answer::FrameDuplicate { frame, place }) => {
                self.again.push(Again { handle, frame, place });
            }
            // The frames behind a rejected one are rejected with it, and their own answers are gaps
            // that say nothing new.
            other if live => {
                self.log_refusal("frame", &other);
                self.reject_frames(handle, sequence, code_of(&other));
            }
            _ => {}
        }
    }

    pub(in crate::stages::ingest) fn reject_frames(
        &mut self,
        handle: StreamHandle,
        from: Sequence,
        code: RejectCode,
    ) {
        self.forget_timed(handle, from);
        let stored = self.wire.durable(handle).map_or(0, |durable| durable.0);
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        // The client sends again from here on; what it had sent behind is dropped when it arrives.
        // Never back to what has a receipt, which it sends no more: the stream would stand still.
        stream.next = stream.next.min(from).max(Sequence(stored + 1));
        stream.under_way.retain(|(_, sequence)| *sequence < from);
        self.observe_reject(code);
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
