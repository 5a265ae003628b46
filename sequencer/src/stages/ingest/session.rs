//! One session: events become items, answers and receipts become messages.
//!
//! Replies of the writer come in the order of submission. Each submission holds a place in the
//! connection's queue of replies before it is made, so that the writer thread never waits and no
//! reply is lost.

mod frames;
mod requests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use model::{ClaimKind, Digest, PatientIndex, Position, RejectCode, Sequence, StreamHandle};
use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};
use wire::{
    Credit, Frame, FrameEntry, Hello, Lane, RequestId, ServerConfig, ServerEvent, ServerSession,
    SignedReceipt, StreamKey,
};

use super::admit::AdmitError;
use super::config::EVENTS_OF_A_READ_MAX;
use super::observe::Observed;
use super::peer::{Peer, PeerId};
use super::server::{Services, Shared};
use super::stored::{Again, Compared};
use crate::stages::deliver::AgainError;
use crate::stages::ledger::{Answer, Item, Refusal};

type Outcome = Result<Answer, AdmitError>;

/// What comes back to a session from the writer thread or a reading task.
pub(super) enum Reply {
    Opened { handle: StreamHandle, id: u64, outcome: Outcome },
    Stored { handle: StreamHandle, id: u64, readings: u16, bytes: u32 },
    Frame { handle: StreamHandle, id: u64, frame: Frame, outcome: Outcome },
    Operation { request: RequestId, digest: Digest, outcome: Outcome },
    Access { asked: Asked, outcome: Outcome },
    Compared(Result<Compared, AgainError>),
    Read(Result<Vec<FrameEntry>, AgainError>),
}

/// A request to read that waits for its decision.
pub(super) struct Asked {
    request: RequestId,
    digest: Digest,
    patient: PatientIndex,
    kind: ClaimKind,
}

struct Stream {
    key: StreamKey,
    /// The submission that opens it, until it is answered.
    opening: Option<u64>,
    /// The sequence that is submitted next.
    next: Sequence,
    /// Submissions without a reply, oldest first; those rejected meanwhile are taken out.
    under_way: VecDeque<(u64, Sequence)>,
}

/// A permitted request whose frames are being sent.
struct Release {
    request: RequestId,
    patient: PatientIndex,
    /// Not read yet, oldest first.
    positions: VecDeque<Position>,
    /// Read, not sent yet.
    read: VecDeque<FrameEntry>,
    reading: bool,
    sent: u64,
}

/// The server's side of one connection, without its lanes.
pub(super) struct Session {
    peer: Peer,
    wire: ServerSession,
    services: Arc<Services>,
    shared: Arc<Shared>,
    /// The credit given last.
    credit: Credit,
    budget: Credit,
    replies: Sender<Reply>,
    greeted: bool,
    next_id: u64,
    streams: BTreeMap<StreamHandle, Stream>,
    /// Operations and requests whose receipt has not come.
    unreceipted: BTreeSet<Digest>,
    again: Vec<Again>,
    comparing: bool,
    releases: VecDeque<Release>,
    ended: Option<Option<RejectCode>>,
}

impl Session {
    /// A session of an entitled peer, and where its replies come.
    pub(super) fn new(peer: Peer, shared: Arc<Shared>) -> (Session, Receiver<Reply>) {
        let (services, config) = (Arc::clone(&shared.services), &shared.config);
        shared.sessions.fetch_add(1, Ordering::Relaxed);
        let (scope, signer) = (services.hub.scope(), services.hub.signer());
        let limits = config.session_limits(services.ahead_ms_max);
        let (replies, received) = channel(config.submissions_max);
        let session = Session {
            peer,
            wire: ServerSession::new(ServerConfig { scope, signer, limits }),
            services,
            credit: Credit::default(),
            budget: Credit {
                bytes: config.unacknowledged_bytes_max,
                frames: config.unacknowledged_frames_max,
            },
            shared,
            replies,
            greeted: false,
            next_id: 1,
            streams: BTreeMap::new(),
            unreceipted: BTreeSet::new(),
            again: Vec::new(),
            comparing: false,
            releases: VecDeque::new(),
            ended: None,
        };
        (session, received)
    }

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

    fn observe(&self, what: Observed) {
        self.services.observe.observe(what);
    }

    /// A place for one reply; `None` while too many are under way.
    fn place(&self) -> Option<OwnedPermit<Reply>> {
        self.replies.clone().try_reserve_owned().ok()
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Submits an item whose reply `wrap` makes; the code if it is not taken.
    fn submit(
        &mut self,
        item: Item,
        wrap: impl FnOnce(Outcome) -> Reply + Send + 'static,
    ) -> Result<(), RejectCode> {
        let place = self.place().ok_or(RejectCode::Busy)?;
        let reply = move |outcome| drop(place.send(wrap(outcome)));
        self.services.admit.submit_with(item, reply).map_err(|error| error.code())
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

    /// Gives this session its share of the credit, if that changed.
    fn share_credit(&mut self) {
        let sessions = self.shared.sessions.load(Ordering::Relaxed);
        let credit = self.shared.config.credit(sessions);
        if credit != self.credit {
            self.credit = credit;
            self.wire.set_credit(credit);
        }
    }

    fn unreadable(&mut self, error: &AgainError) {
        tracing::error!(error = %Chain(error), "the journal does not serve a stored group");
        self.wire.close(RejectCode::Unavailable);
    }

    fn acknowledge(&mut self, receipt: SignedReceipt) {
        let items = receipt.receipt.items();
        let operations = items.operations.iter().map(|item| item.digest);
        for digest in operations.chain(items.accesses.iter().map(|item| item.digest)) {
            self.unreceipted.remove(&digest);
        }
        self.observe(Observed::ReceiptSent);
        self.share_credit();
        self.wire.acknowledge(receipt);
    }

    /// The rule behind a refusal is for the operator; who and whose data stand in the journal only.
    fn refused(&self, what: &str, outcome: &Outcome) {
        let Ok(Answer::Refused(Refusal { code, rule, position, .. })) = outcome else { return };
        if let Some(rule) = rule {
            self.observe(Observed::Refused(*rule));
        }
        let position = position.map(|position| position.0);
        tracing::info!(?code, ?rule, ?position, "refused a {what}");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a peer is told of an outcome that it did not hope for.
fn code_of(outcome: &Outcome) -> RejectCode {
    match outcome {
        Ok(Answer::Refused(refusal)) => refusal.code,
        Ok(_) => RejectCode::Unavailable,
        Err(error) => error.code(),
    }
}

/// An error with its causes, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
