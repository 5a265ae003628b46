//! One session: events become items, answers and receipts become messages.
//!
//! Replies of the writer come in the order of submission on each lane. Each submission holds a
//! place in the connection's queue of replies before it is made, so that the writer thread never
//! waits and no reply is lost.

mod frames;
mod requests;
mod state;

use std::time::Duration;

use bytes::Bytes;
use model::{RejectCode, Sequence};
use wire::{Credit, GroupIdentity, Hello, Lane, ServerEvent, SignedReceipt, Standing};

use super::config::EVENTS_OF_A_READ_MAX;
use super::peer::PeerId;
use crate::history::HistoryError;

pub(super) use state::{Reply, Session};

impl Session {
    /// Takes received bytes of a lane. The frames in them are submitted together with those of
    /// further bytes, by [`Session::take_events`] at the latest.
    pub(super) fn gather_bytes(&mut self, lane: Lane, bytes: &[u8]) {
        self.wire.handle_bytes(lane, bytes, self.services.clock.now());
        self.poll_events();
    }

    /// Takes a reply.
    pub(super) fn handle_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Opened { handle, id, outcome } => self.handle_opened(handle, id, outcome),
            Reply::Frames { lane, frames, outcome } => {
                self.handle_frame_replies(lane, frames, outcome);
            }
            Reply::Operation { request, digest, withdrawn, outcome } => {
                self.note_withdrawal(withdrawn, &outcome);
                self.handle_operation_reply(request, digest, outcome)
            }
            Reply::Access { asked, outcome } => self.handle_decision(asked, outcome),
            Reply::Compared(compared) => self.handle_comparison(compared),
            Reply::Found(found) => self.handle_found(found),
            Reply::Read(read) => self.handle_read(read),
        }
        self.take_events();
    }

    /// Takes a receipt of a durable group.
    pub(super) fn handle_receipt(&mut self, receipt: SignedReceipt) {
        self.acknowledge(receipt);
        self.take_events();
    }

    /// Closes a peer that may not go on, and a gateway whose frames nobody takes any more.
    /// How long it still may go on, if its certificate was replaced a moment ago.
    pub(super) fn check_identity(&mut self) -> Option<Duration> {
        // Whoever it is: nothing that it sends is taken, and nothing acknowledged.
        if self.services.hub.hold().is_set() {
            self.close(RejectCode::History);
            return None;
        }
        let (view, now) = (&self.services.view, self.services.clock.now());
        let mut drains = None;
        if !self.peer.is_entitled(view, now) {
            drains = self.services.renewals.drains(&self.peer, view, now);
            if drains.is_none() {
                self.close(RejectCode::Identity);
                return None;
            }
        }
        if let (PeerId::Gateway(_), Err(error)) = (&self.peer.id, self.services.admit.check_open())
        {
            self.close(error.code());
        }
        drains.map(Duration::from_millis)
    }

    /// The next message to send on a lane.
    pub(super) fn poll_transmit(&mut self, lane: Lane) -> Option<Bytes> {
        // Only when the lane has room: what is released is read back no faster than it is taken.
        if lane == Lane::Backfill {
            self.send_released();
        }
        self.wire.poll_transmit(lane)
    }

    /// Whether more of a lane may be read: its events would find places, and budget is left. Of
    /// the budget control has all, the other lanes leave an eighth, and backfill takes a half at
    /// most: the shares that a client keeps to (W.26) and any other is held to (W.86).
    pub(super) fn may_read(&self, lane: Lane) -> bool {
        let is_below =
            |used: Credit, most: Credit| used.bytes < most.bytes && used.frames < most.frames;
        let (used, but_alarms) = (self.held(), self.budget.without_eighths(1));
        // Control brings revocations and stops: other data must not keep them waiting.
        let has_budget = match lane {
            Lane::Control => is_below(used, self.budget),
            Lane::Live => is_below(used, but_alarms),
            Lane::Backfill => {
                let half = self.budget.without_eighths(4);
                is_below(used, but_alarms) && is_below(self.held_on(lane), half)
            }
        };
        has_budget && self.ended.is_none() && self.replies.capacity() >= EVENTS_OF_A_READ_MAX
    }

    /// Whether the peer got a receipt or data: what its transport holds may be more from then on.
    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Whether the client said hello.
    pub(super) fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Whether the session is over, and with which code; none if the client said goodbye.
    pub(super) fn ended(&self) -> Option<Option<RejectCode>> {
        self.ended
    }

    /// Whether everything that was admitted is acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        // No place is held, so no answer is outstanding.
        self.replies.capacity() == self.replies.max_capacity()
            && self.wire.unacknowledged().sum().frames == 0
            && self.unreceipted.is_empty()
            && self.releases.is_empty()
    }

    /// Ends the session with a code.
    pub(super) fn close(&mut self, code: RejectCode) {
        self.wire.close(code);
        self.take_events();
    }

    fn take_event(&mut self, event: ServerEvent) {
        let is_frame = matches!(event, ServerEvent::Frame { .. } | ServerEvent::Duplicate { .. });
        if !is_frame {
            // In the order in which they came: what is submitted now stands behind the frames.
            self.submit_gathered();
        }
        match event {
            ServerEvent::Hello(hello) => self.greet(&hello),
            ServerEvent::OpenStream(open) => self.open_stream(open),
            ServerEvent::Frame { handle, frame, measured } => {
                // A frame behind one that was rejected meanwhile is sent again by the client.
                if self.streams.get(&handle).is_some_and(|s| s.next == frame.sequence()) {
                    self.gather_frame(handle, frame, measured);
                }
            }
            ServerEvent::Duplicate { handle, frame } => self.gather_again(handle, frame),
            ServerEvent::FrameRejected { code, .. } => self.observe_reject(code),
            // Clock facts are not kept yet: they change nothing that is stored.
            ServerEvent::Clock(_) => {}
            ServerEvent::Operation { request, operation } => {
                self.submit_operation(request, operation)
            }
            ServerEvent::Access { request, signed, page } => {
                self.submit_request(request, signed, page)
            }
            ServerEvent::Names { request, question } => self.answer_names(request, &question),
            ServerEvent::Renewal { request, asked } => self.answer_renewal(request, &asked),
            // Replies for it that still come find no stream and change nothing.
            ServerEvent::StreamEnded { handle } => {
                self.forget_timed(handle, Sequence(0));
                drop(self.streams.remove(&handle));
            }
            ServerEvent::Closed { code } => self.ended = self.ended.or(Some(code)),
        }
    }

    fn poll_events(&mut self) {
        while let Some(event) = self.wire.poll_event() {
            self.take_event(event);
        }
    }

    /// Takes what an input has brought about; every `handle_` ends with it.
    pub(super) fn take_events(&mut self) {
        self.poll_events();
        self.submit_gathered();
        // After all events: frames that came again together are compared together.
        self.compare_again();
    }

    fn greet(&mut self, hello: &Hello) {
        self.greeted = true;
        // Before anything is promised: the holder may know that this journal lost its end.
        let standing = match self.compare_newest(hello) {
            Ok(standing) => standing,
            Err(code) => return self.wire.close(code),
        };
        // Compared all the same: a held node still learns from whoever comes what it lacks.
        if self.services.hub.hold().is_set() {
            return self.wire.close(RejectCode::History);
        }
        // Before the welcome, so that the client never sends without knowing its limit.
        self.share_credit();
        // A gateway that resumes sends only what is missing behind its marks.
        let marks = match &self.peer.id {
            PeerId::Gateway(gateway) if hello.resume => self.services.view.marks(gateway),
            _ => Vec::new(),
        };
        self.wire.welcome(marks, standing, self.services.clock.now());
    }

    /// Compares the receipt that a hello shows with the journal (W.46), and says how far that is.
    fn compare_newest(&self, hello: &Hello) -> Result<Standing, RejectCode> {
        let hub = &self.services.hub;
        let unreadable = |error: HistoryError| {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "the journal cannot be compared with a receipt");
            RejectCode::Unavailable
        };
        if let Some(newest) = &hello.newest {
            // Not this node's, or another's: that says nothing about the journal, and its sender
            // goes, alone.
            let GroupIdentity { scope, .. } = newest.receipt.group;
            let of_peer = scope == hub.scope() && newest.receipt.holder == self.peer.holder;
            if !of_peer || newest.verify(hub.signer()).is_err() {
                return Err(RejectCode::Signature);
            }
            if !hub.compare(newest).map_err(unreadable)? {
                return Err(RejectCode::History);
            }
        }
        hub.standing().map_err(unreadable)
    }
}
