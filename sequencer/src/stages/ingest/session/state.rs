//! What a session holds, and the steps that all its parts take.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use model::{
    ClaimKind, Digest, Millis, PatientIndex, Position, RejectCode, Sequence, StreamHandle,
    with_causes,
};
use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};
use wire::{
    Credit, Lane, RequestId, ServerConfig, ServerSession, SignedReceipt, StreamKey, UnderWay,
};

use crate::stages::deliver::AgainError;
use crate::stages::ingest::admit::AdmitError;
use crate::stages::ingest::config::EVENTS_OF_A_READ_MAX;
use crate::stages::ingest::observe::Observed;
use crate::stages::ingest::peer::Peer;
use crate::stages::ingest::shared::{Services, Shared};
use crate::stages::ingest::stored::{Again, Compared, StoredEntry};
use crate::stages::ledger::{Answer, Found, FramesAsked, Item, Refusal};
use crate::stages::rows::Urgency;

pub(super) type Outcome = Result<Answer, AdmitError>;

/// What comes back to a session from the writer thread or a reading task.
pub(crate) enum Reply {
    Opened {
        handle: StreamHandle,
        id: u64,
        outcome: Outcome,
    },
    /// Of frames that were submitted together, on this lane; each has its answer, or all failed.
    Frames {
        lane: Lane,
        frames: Vec<Submitted>,
        outcome: Result<Vec<Answer>, AdmitError>,
    },
    Operation {
        request: RequestId,
        digest: Digest,
        withdrawn: Option<Millis>,
        outcome: Outcome,
    },
    Access {
        asked: Asked,
        outcome: Outcome,
    },
    Compared(Result<Compared, AgainError>),
    Found(Result<Found, AgainError>),
    Read(Result<Vec<StoredEntry>, AgainError>),
}

/// Which submission of which frame.
#[derive(Clone, Copy)]
pub(crate) struct Submitted {
    pub(super) handle: StreamHandle,
    pub(super) id: u64,
    pub(super) sequence: Sequence,
    pub(super) readings: u16,
    pub(super) bytes: u32,
}

/// Frames that came together and are to be submitted together.
pub(crate) struct Gathered {
    /// Of their streams, which may be ended before the answers come.
    pub(super) lane: Lane,
    pub(super) items: Vec<Item>,
    /// As many, in the same order.
    pub(super) frames: Vec<Submitted>,
}

impl Gathered {
    pub(super) fn on(lane: Lane) -> Gathered {
        Gathered { lane, items: Vec::new(), frames: Vec::new() }
    }
}

/// The frame whose receipt is timed. One at a time: a clock read for each frame would cost more
/// than some of the steps that it times.
pub(crate) struct Timed {
    pub(super) handle: StreamHandle,
    pub(super) sequence: Sequence,
    pub(super) since: Instant,
}

/// A request to read that waits for its decision, or a further page of one.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(super) request: RequestId,
    pub(super) digest: Digest,
    pub(super) patient: PatientIndex,
    pub(super) kind: ClaimKind,
    /// Whether it was decided before.
    pub(super) continues: bool,
}

/// A stream that the client opened on this connection.
pub(crate) struct Stream {
    pub(super) key: StreamKey,
    /// The one that its frames come on: they also wait for the writer on it.
    pub(super) lane: Lane,
    /// The submission that opens it, until it is answered.
    pub(super) opening: Option<u64>,
    /// The sequence that is submitted next.
    pub(super) next: Sequence,
    /// Submissions without a reply, oldest first; those rejected meanwhile are taken out.
    pub(super) under_way: VecDeque<(u64, Sequence)>,
}

/// A permitted request whose frames are being sent.
pub(crate) struct Release {
    pub(super) request: RequestId,
    pub(super) patient: PatientIndex,
    /// Which frames, until they are looked for.
    pub(super) asked: Option<Box<FramesAsked>>,
    /// Found and not read yet, in their order.
    pub(super) positions: VecDeque<Position>,
    /// Read, not sent yet.
    pub(super) read: VecDeque<StoredEntry>,
    /// Whether a task looks for them or reads them.
    pub(super) reading: bool,
    pub(super) sent: u64,
    /// Whether more were asked for than were found.
    pub(super) more: bool,
    /// Frames that lie only partly in the period that was asked for.
    pub(super) partly: u64,
}

impl Release {
    pub(super) fn new(asked: Asked, frames: Option<Box<FramesAsked>>) -> Release {
        let Asked { request, patient, .. } = asked;
        Release {
            request,
            patient,
            asked: frames,
            positions: VecDeque::new(),
            read: VecDeque::new(),
            reading: false,
            sent: 0,
            more: false,
            partly: 0,
        }
    }
}

/// The server's side of one connection, without its lanes.
pub(crate) struct Session {
    pub(super) peer: Peer,
    pub(super) wire: ServerSession,
    pub(super) services: Arc<Services>,
    pub(super) shared: Arc<Shared>,
    /// The credit given last.
    pub(super) credit: Credit,
    pub(super) budget: Credit,
    /// Whether a receipt was given, or a frame released: until then little is held for it.
    pub(super) proven: bool,
    /// Frames that the writer has not answered, whatever became of their stream since.
    pub(super) submitted: UnderWay,
    /// The frame under way whose receipt is timed.
    pub(super) timed: Option<Timed>,
    pub(super) replies: Sender<Reply>,
    pub(super) greeted: bool,
    pub(super) next_id: u64,
    pub(super) streams: BTreeMap<StreamHandle, Stream>,
    /// Frames that are not submitted yet: never any between two inputs.
    pub(super) gathered: Gathered,
    /// Operations and requests whose receipt has not come.
    pub(super) unreceipted: BTreeSet<Digest>,
    /// Stops, revocations and denies that came to nothing before the writer.
    pub(super) vain_operations: u32,
    /// Frames that came again and wait to be compared.
    pub(super) again: Vec<Again>,
    /// Whether a task compares; one at a time, so that a peer cannot fill the pool of tasks.
    pub(super) comparing: bool,
    /// Those that are being compared.
    pub(super) compared_frames: Vec<(StreamHandle, Sequence)>,
    /// One after the other, oldest first.
    pub(super) releases: VecDeque<Release>,
    /// Set when it is over: the code that it was closed with, none after a goodbye.
    pub(super) ended: Option<Option<RejectCode>>,
}

impl Session {
    /// A session of an entitled peer, and where its replies come.
    pub(crate) fn new(peer: Peer, shared: Arc<Shared>) -> (Session, Receiver<Reply>) {
        let (services, config) = (Arc::clone(&shared.services), &shared.config);
        // Counted before the first credit is given, so that the share counts this session too.
        shared.sessions.fetch_add(1, Ordering::Relaxed);
        let (scope, signer) = (services.hub.scope(), services.hub.signer());
        let limits = config.session_limits(services.ahead_ms_max);
        // As long as the most submissions under way: with a place held, sending a reply never
        // waits.
        // Never fewer than one read can bring, or nothing could be read.
        let places = config.submissions_max.max(EVENTS_OF_A_READ_MAX);
        let (replies, received) = channel(places);
        let session = Session {
            peer,
            wire: ServerSession::new(ServerConfig { scope, signer, limits }),
            services,
            credit: Credit::default(),
            // What a peer may really have under way; the credit is what it is told to keep to.
            budget: config.idle_budget(),
            proven: false,
            submitted: UnderWay::default(),
            timed: None,
            shared,
            replies,
            greeted: false,
            next_id: 1,
            streams: BTreeMap::new(),
            gathered: Gathered::on(Lane::Live),
            unreceipted: BTreeSet::new(),
            vain_operations: 0,
            again: Vec::new(),
            comparing: false,
            compared_frames: Vec::new(),
            releases: VecDeque::new(),
            ended: None,
        };
        (session, received)
    }

    pub(super) fn observe(&self, what: Observed) {
        self.services.observe.observe(what);
    }

    /// The peer was told a code.
    pub(super) fn observe_reject(&self, code: RejectCode) {
        self.observe(Observed::Rejected { code, peer: self.peer.id.rejected() });
    }

    /// What a connection holds of the node: what has no receipt, and what waits for the writer. A
    /// stream that ends, or is rejected, counts off the first; its frames stay in the queue.
    pub(super) fn held(&self) -> Credit {
        more_of(self.wire.unacknowledged().sum(), self.submitted.sum())
    }

    /// The same of one lane.
    pub(super) fn held_on(&self, lane: Lane) -> Credit {
        more_of(self.wire.unacknowledged().on(lane), self.submitted.on(lane))
    }

    /// A place for one reply; `None` while too many are under way.
    pub(super) fn reserve_place(&self) -> Option<OwnedPermit<Reply>> {
        self.replies.clone().try_reserve_owned().ok()
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Submits a stream of this lane, whose reply `wrap` makes; the code if it is not taken.
    pub(super) fn submit_on(
        &mut self,
        lane: Lane,
        item: Item,
        wrap: impl FnOnce(Outcome) -> Reply + Send + 'static,
    ) -> Result<(), RejectCode> {
        let place = self.reserve_place().ok_or(RejectCode::Busy)?;
        let reply = move |outcome| drop(place.send(wrap(outcome)));
        self.services.admit.submit_on(lane, item, reply).map_err(|error| error.code())
    }

    /// As [`Session::submit_on`], of an operation or a request; what protects a patient also has
    /// the reserved places of the queue.
    pub(super) fn submit_as(
        &mut self,
        urgency: Urgency,
        item: Item,
        wrap: impl FnOnce(Outcome) -> Reply + Send + 'static,
    ) -> Result<(), RejectCode> {
        // First the place, then the item: the writer thread must never find the queue full.
        let place = self.reserve_place().ok_or(RejectCode::Busy)?;
        let reply = move |outcome| drop(place.send(wrap(outcome)));
        self.services.admit.submit_as(urgency, item, reply).map_err(|error| error.code())
    }

    /// Gives this session its share of the credit, if that changed.
    pub(super) fn share_credit(&mut self) {
        let sessions = self.shared.sessions.load(Ordering::Relaxed);
        let credit = self.shared.config.credit(sessions);
        // A message only when it changes: a thousand sessions would otherwise be told at each
        // receipt.
        if credit != self.credit {
            self.credit = credit;
            self.wire.set_credit(credit);
        }
    }

    /// Ends the session: what the journal does not serve can be neither confirmed nor denied (I8).
    pub(super) fn close_unreadable(&mut self, error: &AgainError) {
        tracing::error!(error = with_causes(error), "the journal does not serve a stored group");
        self.wire.close(RejectCode::Unavailable);
    }

    pub(in crate::stages::ingest) fn acknowledge(&mut self, receipt: SignedReceipt) {
        let items = receipt.receipt.items();
        let operations = items.operations.iter().map(|item| item.digest);
        let mut is_own = false;
        for digest in operations.chain(items.accesses.iter().map(|item| item.digest)) {
            is_own |= self.unreceipted.remove(&digest);
        }
        self.observe(Observed::ReceiptSent);
        // With a receipt rather than on a timer: a peer that sends hears of its share soon enough.
        self.share_credit();
        let waiting = self.wire.unacknowledged().sum();
        self.wire.acknowledge(receipt);
        self.end_timed();
        // A receipt goes to every connection of its holder: one that did nothing for it has proven
        // nothing.
        if is_own || self.wire.unacknowledged().sum().frames < waiting.frames {
            self.prove();
        }
    }

    /// Begins to time the receipt of a frame, unless that of another one is timed.
    pub(super) fn begin_timed(&mut self, handle: StreamHandle, sequence: Sequence) {
        self.timed.get_or_insert_with(|| Timed { handle, sequence, since: Instant::now() });
    }

    /// Frames of this stream from `from` on get no receipt now, or never.
    pub(super) fn forget_timed(&mut self, handle: StreamHandle, from: Sequence) {
        self.timed.take_if(|timed| timed.handle == handle && timed.sequence >= from);
    }

    /// Tells how long the receipt took, if it has left.
    fn end_timed(&mut self) {
        let Some(Timed { handle, sequence, since }) = &self.timed else { return };
        let took = match self.wire.durable(*handle) {
            Some(durable) if durable < *sequence => return,
            Some(_) => Some(since.elapsed()),
            // The session is over.
            None => None,
        };
        self.timed = None;
        if let Some(took) = took {
            self.observe(Observed::FrameReceipted { took });
        }
    }

    /// The peer has done what connections are for: it gets the whole of what it may have.
    pub(super) fn prove(&mut self) {
        if !self.proven {
            let config = &self.shared.config;
            (self.proven, self.budget) = (true, config.budget());
            self.wire.set_outgoing_bytes_max(config.outgoing_bytes_max);
        }
    }

    /// The rule behind a refusal is for the operator; who and whose data stand in the journal only.
    pub(super) fn log_refusal(&self, what: &str, outcome: &Outcome) {
        let Ok(Answer::Refused(Refusal { code, rule, position, .. })) = outcome else { return };
        if let Some(rule) = rule {
            self.observe(Observed::RefusedBy(*rule));
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

fn more_of(one: Credit, other: Credit) -> Credit {
    Credit { bytes: one.bytes.max(other.bytes), frames: one.frames.max(other.frames) }
}

/// What a peer is told of an outcome that it did not hope for.
pub(super) fn code_of(outcome: &Outcome) -> RejectCode {
    match outcome {
        Ok(Answer::Refused(refusal)) => refusal.code,
        // An answer of another kind is a fault of this program; the peer can only come again.
        Ok(_) => RejectCode::Unavailable,
        Err(error) => error.code(),
    }
}
