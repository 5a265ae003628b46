//! Streams and their frames: submitted once, compared when they come again, rejected together.

use std::collections::VecDeque;

use model::{Interval, Position, RejectCode, Sequence, StreamHandle};
use wire::{Frame, OpenStream};

use super::state::{Outcome, Reply, Session, Stream, code_of};
use crate::stages::deliver::AgainError;
use crate::stages::ingest::observe::Observed;
use crate::stages::ingest::peer::PeerId;
use crate::stages::ingest::stored::{Again, Compared, compare};
use crate::stages::ledger::{Answer, Item};

impl Session {
    pub(super) fn open_stream(&mut self, open: OpenStream) {
        let PeerId::Gateway(gateway) = self.peer.id.clone() else {
            return self.wire.close(RejectCode::Identity);
        };
        let OpenStream { handle, descriptor, .. } = open;
        let (id, key) = (self.id(), descriptor.key.clone());
        let opening = Some(id);
        let stream = Stream { key, opening, next: Sequence(1), under_way: VecDeque::new() };
        self.streams.insert(handle, stream);
        let item = Item::OpenStream { gateway, descriptor };
        if let Err(code) = self.submit(item, move |outcome| Reply::Opened { handle, id, outcome }) {
            self.refuse_stream(handle, code);
        }
    }

    pub(super) fn opened(&mut self, handle: StreamHandle, id: u64, outcome: Outcome) {
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

    pub(super) fn frame(&mut self, handle: StreamHandle, frame: Frame, measured: Interval) {
        let (PeerId::Gateway(gateway), Some(stream)) =
            (self.peer.id.clone(), self.streams.get(&handle))
        else {
            return;
        };
        let (key, sequence) = (stream.key.clone(), frame.sequence());
        let (id, copy) = (self.id(), frame.clone());
        let (readings, bytes) = (frame.header().count, frame.as_bytes().len() as u32);
        let reply = move |outcome| match outcome {
            Ok(Answer::FrameStored) => Reply::Stored { handle, id, readings, bytes },
            outcome => Reply::Frame { handle, id, frame: copy, outcome },
        };
        if let Err(code) = self.submit(Item::Frame { gateway, key, frame, measured }, reply) {
            return self.reject_frames(handle, sequence, code);
        }
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.under_way.push_back((id, sequence));
            if stream.next == sequence {
                stream.next = Sequence(sequence.0 + 1);
            }
        }
    }

    /// A frame that came before. Where it is stored only the ledger knows, so it is submitted like
    /// any other; one that fails its range check cannot be what is stored.
    pub(super) fn duplicate(&mut self, handle: StreamHandle, frame: Frame) {
        let Some(stream) = self.streams.get(&handle) else { return };
        let measured = stream.key.signal().and_then(|signal| frame.check(signal).ok());
        match measured {
            Some(measured) => self.frame(handle, frame, measured),
            None => self.conflict(handle, &frame, None),
        }
    }

    /// Whether the reply to this submission still counts: nothing was rejected below it since.
    pub(super) fn is_live(&mut self, handle: StreamHandle, id: u64) -> bool {
        let Some(stream) = self.streams.get_mut(&handle) else { return false };
        let live = stream.under_way.front().is_some_and(|(front, _)| *front == id);
        if live {
            stream.under_way.pop_front();
        }
        live
    }

    pub(super) fn answered(
        &mut self,
        handle: StreamHandle,
        id: u64,
        frame: Frame,
        outcome: Outcome,
    ) {
        let live = self.is_live(handle, id);
        match outcome {
            Ok(Answer::FrameDuplicate { position }) => {
                self.again.push(Again { handle, frame, position });
            }
            other if live => {
                self.refused("frame", &other);
                self.reject_frames(handle, frame.sequence(), code_of(&other));
            }
            _ => {}
        }
    }

    fn reject_frames(&mut self, handle: StreamHandle, from: Sequence, code: RejectCode) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        stream.next = stream.next.min(from);
        stream.under_way.retain(|(_, sequence)| *sequence < from);
        self.observe(Observed::Rejected(code));
        self.wire.reject_frames(handle, from, code);
    }

    /// Compares what came again with what is stored, everything that waits at once.
    pub(super) fn compare(&mut self) {
        if self.comparing || self.again.is_empty() || self.ended.is_some() {
            return;
        }
        let Some(place) = self.place() else { return };
        self.comparing = true;
        let (hub, holder) = (self.services.hub.clone(), self.peer.holder);
        let frames = std::mem::take(&mut self.again);
        tokio::task::spawn_blocking(move || {
            place.send(Reply::Compared(compare(&hub, holder, frames)));
        });
    }

    pub(super) fn compared(&mut self, compared: Result<Compared, AgainError>) {
        self.comparing = false;
        match compared {
            Ok(Compared { equal, receipts, conflicts }) => {
                (0..equal).for_each(|_| self.observe(Observed::FrameAgain));
                receipts.into_iter().for_each(|receipt| self.acknowledge(receipt));
                for Again { handle, frame, position } in conflicts {
                    self.conflict(handle, &frame, Some(position));
                }
            }
            Err(error) => self.unreadable(&error),
        }
    }

    /// The stored bytes stay. What the operator keeps is that it happened, where, and the digest
    /// of the other bytes; never the bytes.
    fn conflict(&mut self, handle: StreamHandle, frame: &Frame, stored_at: Option<Position>) {
        let (digest, position) = (hex::encode(frame.digest().0), stored_at.map(|at| at.0));
        let (holder, sequence) = (self.peer.holder, frame.sequence().0);
        tracing::warn!(?holder, ?position, sequence, %digest, "a stored frame has other bytes");
        self.reject_frames(handle, frame.sequence(), RejectCode::Conflict);
    }
}
