//! One session: events become items, answers and receipts become messages.
//!
//! Replies of the writer come in the order of submission. Each submission holds a place in the
//! connection's queue of replies before it is made, so that the writer thread never waits and no
//! reply is lost.

mod frames;
mod requests;
mod state;

use bytes::Bytes;
use model::RejectCode;
use wire::{Hello, Lane, ServerEvent, SignedReceipt};

use super::config::EVENTS_OF_A_READ_MAX;
use super::observe::Observed;
use super::peer::PeerId;

pub(super) use state::{Reply, Session};

impl Session {
    /// Takes received bytes of a lane.
    pub(super) fn handle_bytes(&mut self, lane: Lane, bytes: &[u8]) {
        self.wire.handle_bytes(lane, bytes, self.services.clock.now());
        self.after();
    }

    /// Takes a reply.
    pub(super) fn handle_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Opened { handle, id, outcome } => self.opened(handle, id, outcome),
            Reply::Stored { handle, id, readings, bytes } => {
                self.observe(Observed::FrameStored { readings, bytes });
                self.is_live(handle, id);
            }
            Reply::Frame { handle, id, frame, outcome } => {
                self.answered(handle, id, frame, outcome)
            }
            Reply::Operation { request, digest, outcome } => {
                self.operated(request, digest, outcome)
            }
            Reply::Access { asked, outcome } => self.decided(asked, outcome),
            Reply::Compared(compared) => self.compared(compared),
            Reply::Read(read) => self.read(read),
        }
        self.after();
    }

    /// Takes a receipt of a durable group.
    pub(super) fn handle_receipt(&mut self, receipt: SignedReceipt) {
        self.acknowledge(receipt);
        self.after();
    }

    /// Closes a peer that may not go on, and a gateway whose frames nobody takes any more.
    pub(super) fn check_identity(&mut self) {
        let now = self.services.clock.now();
        // A practitioner is asked for again at each request, a gateway only here and at its frames.
        let entitled = match &self.peer.id {
            PeerId::Gateway(_) => self.peer.is_entitled(&self.services.view, now),
            _ => self.peer.is_current(now),
        };
        if !entitled {
            return self.close(RejectCode::Identity);
        }
        if let (PeerId::Gateway(_), Err(error)) = (&self.peer.id, self.services.admit.check_open())
        {
            self.close(error.code());
        }
    }

    /// The next message to send on a lane.
    pub(super) fn poll_transmit(&mut self, lane: Lane) -> Option<Bytes> {
        if lane == Lane::Backfill {
            self.send_released();
        }
        self.wire.poll_transmit(lane)
    }

    /// Whether more of a lane may be read: its events would find places, and budget is left. Of
    /// the budget control has all, the other lanes leave an eighth.
    pub(super) fn may_read(&self, lane: Lane) -> bool {
        let (used, budget) = (self.wire.unacknowledged(), self.budget);
        let bytes = match lane {
            Lane::Control => budget.bytes,
            Lane::Live | Lane::Backfill => budget.bytes / 8 * 7,
        };
        self.ended.is_none()
            && self.replies.capacity() >= EVENTS_OF_A_READ_MAX
            && used.bytes < bytes
            && used.frames < budget.frames
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
        self.replies.capacity() == self.replies.max_capacity()
            && self.wire.unacknowledged().frames == 0
            && self.unreceipted.is_empty()
            && self.releases.is_empty()
    }

    /// Ends the session with a code.
    pub(super) fn close(&mut self, code: RejectCode) {
        self.wire.close(code);
        self.after();
    }

    fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Hello(hello) => self.hello(&hello),
            ServerEvent::OpenStream(open) => self.open_stream(open),
            ServerEvent::Frame { handle, frame, measured } => {
                // A frame behind one that was rejected meanwhile is sent again by the client.
                if self.streams.get(&handle).is_some_and(|s| s.next == frame.sequence()) {
                    self.frame(handle, frame, measured);
                }
            }
            ServerEvent::Duplicate { handle, frame } => self.duplicate(handle, frame),
            ServerEvent::FrameRejected { code, .. } => self.observe(Observed::Rejected(code)),
            // Clock facts are not kept yet: they change nothing that is stored.
            ServerEvent::Clock(_) => {}
            ServerEvent::Operation { request, operation } => self.operation(request, operation),
            ServerEvent::Access { request, signed } => self.access(request, signed),
            ServerEvent::StreamEnded { handle } => drop(self.streams.remove(&handle)),
            ServerEvent::Closed { code } => self.ended = self.ended.or(Some(code)),
        }
    }

    /// What every input may have brought about.
    fn after(&mut self) {
        while let Some(event) = self.wire.poll_event() {
            self.event(event);
        }
        self.compare();
    }

    fn hello(&mut self, hello: &Hello) {
        self.greeted = true;
        self.share_credit();
        let marks = match &self.peer.id {
            PeerId::Gateway(gateway) if hello.resume => self.services.view.marks(gateway),
            _ => Vec::new(),
        };
        self.wire.welcome(marks, self.services.clock.now());
    }
}
