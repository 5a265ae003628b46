//! The shell around a session: copies bytes between three lanes and the session, and waits.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use model::RejectCode;
use quinn::{Connection, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use wire::{Lane, Role, SignedReceipt};

use super::admit::AdmitError;
use super::close::close;
use super::config::READ_BYTES_MAX;
use super::observe::{Observe, Observed, RejectedPeer, RenewalStep};
use super::peer::{Peer, PeerId};
use super::places::ConnectionPlace;
use super::session::{Reply, Session};
use super::shared::{Services, Shared};
use super::told::Listener;
use crate::history::Contradiction;

/// Bytes that are handed to the transport at once: fewer and larger writes cost less.
const WRITE_BYTES: usize = 16 << 10;

/// Most replies, and most bytes of a lane, that are taken in one turn: a turn asks every source
/// there is, which costs more than a packet does.
const REPLIES_AT_ONCE: usize = 64;
const BYTES_AT_ONCE: usize = 64 << 10;

/// A lane with what waits to be written.
struct LaneIo {
    send: SendStream,
    receive: RecvStream,
    pending: BytesMut,
}

/// One thing that happened.
enum Turn {
    /// Some, in [`Shell::taken`].
    Replies,
    Receipt(Option<Box<SignedReceipt>>),
    Received(Lane, Result<Option<Bytes>, ReadError>),
    Sent(Result<(), WriteError>),
    CheckIdentity,
    Stop,
    Late,
    Lost,
}

struct Shell {
    connection: Connection,
    lanes: [LaneIo; 3],
    session: Session,
    replies: Receiver<Reply>,
    taken: Vec<Reply>,
    receipts: Receiver<SignedReceipt>,
    registry: Listener,
    held: watch::Receiver<Option<Contradiction>>,
    identity: Interval,
    /// When its certificate was replaced long enough ago.
    drained: Option<Instant>,
    stop: Listener,
    stopping: bool,
    /// Whether the transport has its whole windows.
    widened: bool,
    /// Until when the hello must come, or, while stopping, everything must be acknowledged.
    deadline: Option<Instant>,
    shared: Arc<Shared>,
    /// Held until the connection ends.
    _place: ConnectionPlace,
}

/// Runs a connection until it ends.
pub(super) async fn run(connection: Connection, shared: Arc<Shared>, stop: Listener) {
    let peer = match Peer::of_connection(&connection) {
        Ok(peer) => peer,
        Err(error) => {
            // TLS verified that the authority issued it: what it says is the operator's mistake.
            let error = model::with_causes(&error);
            tracing::info!(error, "a peer's certificate names nobody");
            let observe = shared.services.observe.as_ref();
            return turn_away(&connection, observe, RejectCode::Identity, RejectedPeer::Unknown);
        }
    };
    let (role, rejected) = (role(&peer.id), peer.id.rejected());
    // A peer that opens no lanes must not keep its place for ever.
    let observe = Arc::clone(&shared.services.observe);
    let opening = open_session(connection.clone(), peer, Arc::clone(&shared), stop);
    let shell = match timeout(shared.config.handshake_timeout(), opening).await {
        Ok(Ok(shell)) => shell,
        Ok(Err(code)) => return turn_away(&connection, observe.as_ref(), code, rejected),
        Err(_) => return turn_away(&connection, observe.as_ref(), RejectCode::Protocol, rejected),
    };
    observe.observe(Observed::SessionOpened(role));
    let mut open = OpenSession { observe: observe.as_ref(), role, peer: rejected, code: None };
    open.code = shell.run().await;
}

fn turn_away(connection: &Connection, observe: &dyn Observe, code: RejectCode, peer: RejectedPeer) {
    observe.observe(Observed::Rejected { code, peer });
    close(connection, code);
}

/// An open session: counted as closed however it ends, by a panic as well.
struct OpenSession<'a> {
    observe: &'a dyn Observe,
    role: Role,
    peer: RejectedPeer,
    code: Option<RejectCode>,
}

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        if let Some(code) = self.code {
            self.observe.observe(Observed::Rejected { code, peer: self.peer.clone() });
        }
        self.observe.observe(Observed::SessionClosed(self.role, self.code));
    }
}

fn role(id: &PeerId) -> Role {
    match id {
        PeerId::Gateway(_) => Role::Gateway,
        PeerId::Practitioner(_) => Role::Practitioner,
        PeerId::Wallet(_) => Role::Wallet,
        PeerId::Operator(_) => Role::Operator,
    }
}

/// Asks who the peer is and waits for its three lanes.
async fn open_session(
    connection: Connection,
    peer: Peer,
    shared: Arc<Shared>,
    stop: Listener,
) -> Result<Shell, RejectCode> {
    let services = &shared.services;
    // Before the registry is read, so that a change between the two is seen.
    let registry = services.admit.registry_changes();
    let held = services.hub.hold().subscribe();
    if !peer.is_entitled(&services.view, services.clock.now()) {
        succeed(&peer, services).await?;
    }
    // Without a writer there is no session: its peer comes again when the node does. A held node
    // hears the hello first: the receipt in it is what an operator must know of.
    match services.admit.check_open() {
        Ok(()) | Err(AdmitError::Held) => {}
        Err(error) => return Err(error.code()),
    }
    // Entitled: whoever is not takes no place from those who are.
    let place = shared.places.take(peer.holder, role(&peer.id), &connection);
    let place = place.inspect_err(|_| services.observe.observe(Observed::ConnectionTurnedAway))?;
    // Entitled before its lanes are awaited: nobody else can make the node hold buffers.
    let lanes = [
        accept_lane(&connection, Lane::Control).await?,
        accept_lane(&connection, Lane::Live).await?,
        accept_lane(&connection, Lane::Backfill).await?,
    ];
    // Before the first frame is read, so that no receipt is missed.
    let receipts = services.hub.subscribe(peer.holder);
    let (session, replies) = Session::new(peer, Arc::clone(&shared));
    let period = shared.config.identity_check();
    let mut identity = interval_at(Instant::now() + period, period);
    // After a long turn one check is enough; a burst of late ones would tell nothing more.
    identity.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let deadline = Some(Instant::now() + shared.config.handshake_timeout());
    Ok(Shell {
        connection,
        lanes,
        session,
        replies,
        taken: Vec::new(),
        receipts,
        registry,
        held,
        identity,
        drained: None,
        stop,
        stopping: false,
        widened: false,
        deadline,
        shared,
        _place: place,
    })
}

/// Registers a certificate that was renewed and is shown for the first time.
async fn succeed(peer: &Peer, services: &Services) -> Result<(), RejectCode> {
    let (renewals, now) = (&services.renewals, services.clock.now());
    let adopted = renewals.adopt(peer, &services.desk, now).await;
    match adopted {
        Ok(true) => services.observe.observe(Observed::Renewal(RenewalStep::Taken)),
        Err(RejectCode::Identity) => {
            services.observe.observe(Observed::Renewal(RenewalStep::Refused));
        }
        Ok(false) | Err(_) => {}
    }
    adopted?;
    if peer.is_entitled(&services.view, services.clock.now()) {
        return Ok(());
    }
    Err(RejectCode::Identity)
}

/// The next lane; the session checks by its preamble which one it is.
async fn accept_lane(connection: &Connection, lane: Lane) -> Result<LaneIo, RejectCode> {
    let (send, receive) = connection.accept_bi().await.map_err(|_| RejectCode::Protocol)?;
    // Receipts go before what is released, also of what the transport holds already.
    send.set_priority(lane.priority()).map_err(|_| RejectCode::Protocol)?;
    Ok(LaneIo { send, receive, pending: BytesMut::new() })
}

impl Shell {
    /// The code that the peer was closed with, none if it left or was lost.
    async fn run(mut self) -> Option<RejectCode> {
        loop {
            self.fill_lanes();
            if let Some(code) = self.session.ended() {
                self.say_farewell(code).await;
                return code;
            }
            // Everything admitted is acknowledged: the peer has nothing to send again.
            if self.stopping && self.session.is_idle() {
                self.session.close(RejectCode::Unavailable);
                continue;
            }
            match self.next_turn().await {
                Turn::Lost => return None,
                turn => self.handle_turn(turn),
            }
            if self.session.is_proven() && !self.widened {
                self.widen();
            }
        }
    }

    /// Gives the transport the windows of a connection that is of use. Lanes have theirs from the
    /// begin: the connection's bounds them all.
    fn widen(&mut self) {
        let config = &self.shared.config;
        self.connection.set_receive_window(VarInt::from_u32(config.connection_window_bytes));
        self.connection.set_send_window(config.send_window_bytes);
        self.widened = true;
    }

    /// Waits for one thing. What frees memory comes first, what brings more of it last.
    async fn next_turn(&mut self) -> Turn {
        let reads = Lane::ALL.map(|lane| !self.stopping && self.session.may_read(lane));
        let writes = [0, 1, 2].map(|lane: usize| !self.lanes[lane].pending.is_empty());
        let [control, live, backfill] = &mut self.lanes;
        // `select!` evaluates the future of a disabled branch too, so it needs some time.
        let (to, late) = (self.deadline.unwrap_or_else(Instant::now), self.deadline.is_some());
        let (drained, drains) = (self.drained.unwrap_or(to), self.drained.is_some());
        tokio::select! {
            biased;
            1.. = self.replies.recv_many(&mut self.taken, REPLIES_AT_ONCE) => Turn::Replies,
            receipt = self.receipts.recv() => Turn::Receipt(receipt.map(Box::new)),
            _ = self.connection.closed() => Turn::Lost,
            () = self.stop.next(), if !self.stopping => Turn::Stop,
            () = self.registry.next() => Turn::CheckIdentity,
            Ok(()) = self.held.changed() => Turn::CheckIdentity,
            _ = self.identity.tick() => Turn::CheckIdentity,
            () = sleep_until(drained), if drains => Turn::CheckIdentity,
            () = sleep_until(to), if late => Turn::Late,
            sent = write(&mut control.send, &mut control.pending), if writes[0] => Turn::Sent(sent),
            sent = write(&mut live.send, &mut live.pending), if writes[1] => Turn::Sent(sent),
            sent = write(&mut backfill.send, &mut backfill.pending), if writes[2] => {
                Turn::Sent(sent)
            }
            bytes = read(&mut control.receive), if reads[0] => Turn::Received(Lane::Control, bytes),
            bytes = read(&mut live.receive), if reads[1] => Turn::Received(Lane::Live, bytes),
            bytes = read(&mut backfill.receive), if reads[2] => {
                Turn::Received(Lane::Backfill, bytes)
            }
        }
    }

    fn handle_turn(&mut self, turn: Turn) {
        match turn {
            Turn::Replies => {
                for reply in self.taken.drain(..) {
                    self.session.handle_reply(reply);
                }
            }
            Turn::Receipt(Some(receipt)) => self.session.handle_receipt(*receipt),
            // The hub ended the channel: a receipt is missing, so the client has to come again.
            Turn::Receipt(None) => self.session.close(RejectCode::Busy),
            Turn::Received(lane, Ok(Some(bytes))) => {
                self.session.gather_bytes(lane, &bytes);
                self.receive_more(lane, bytes.len());
                self.session.take_events();
                // The deadline was for the hello; while stopping it is for the last receipts.
                if self.session.is_greeted() && !self.stopping {
                    self.deadline = None;
                }
            }
            // A lane is never ended before goodbye, and a reset lane ends the connection (W.5).
            Turn::Received(_, _) | Turn::Sent(Err(_)) => self.session.close(RejectCode::Protocol),
            Turn::Sent(Ok(())) | Turn::Lost => {}
            Turn::CheckIdentity => {
                let drains = self.session.check_identity();
                self.drained = drains.map(|left| Instant::now() + left);
            }
            // Reads end here and answers go on: what was taken is still acknowledged.
            Turn::Stop => {
                self.stopping = true;
                self.deadline = Some(Instant::now() + self.shared.config.farewell());
            }
            Turn::Late if self.stopping => self.session.close(RejectCode::Unavailable),
            Turn::Late => self.session.close(RejectCode::Protocol),
        }
    }

    /// Takes what else has come on a lane, behind so many bytes, as long as it may be read. What
    /// kept the lane from giving more is met again by the turn that waits for it.
    fn receive_more(&mut self, lane: Lane, mut taken: usize) {
        while taken < BYTES_AT_ONCE && self.session.may_read(lane) {
            let ready = poll_once(read(&mut self.lanes[lane as usize].receive));
            let Some(Ok(Some(bytes))) = ready else { return };
            taken += bytes.len();
            self.session.gather_bytes(lane, &bytes);
        }
    }

    /// Takes messages from the session until enough waits on each lane.
    fn fill_lanes(&mut self) {
        for (lane, io) in Lane::ALL.into_iter().zip(&mut self.lanes) {
            // No further ahead than a write: what waits in the session counts against its limits,
            // and a peer that does not read must reach them.
            while io.pending.len() < WRITE_BYTES
                && let Some(message) = self.session.poll_transmit(lane)
            {
                io.pending.extend_from_slice(&message);
            }
        }
    }

    /// Sends what is left on the control lane, the code above all, and closes.
    async fn say_farewell(mut self, code: Option<RejectCode>) {
        while let Some(message) = self.session.poll_transmit(Lane::Control) {
            self.lanes[0].pending.extend_from_slice(&message);
        }
        let LaneIo { send, pending, .. } = &mut self.lanes[0];
        let last_words = async {
            send.write_all(pending).await.ok()?;
            send.finish().ok()?;
            // Closing at once would drop what the peer has not acknowledged, the code with it.
            send.stopped().await.ok()
        };
        // A peer that does not take them is closed all the same.
        drop(timeout(self.shared.config.farewell(), last_words).await);
        match code {
            Some(code) => close(&self.connection, code),
            None => self.connection.close(VarInt::from_u32(0), b"goodbye"),
        }
    }
}

/// Cancel-safe: what was not written stays in `pending`.
async fn write(send: &mut SendStream, pending: &mut BytesMut) -> Result<(), WriteError> {
    let written = send.write(pending).await?;
    pending.advance(written);
    Ok(())
}

/// What a future gives at once, if it does; for such as may be dropped and asked again.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

async fn read(receive: &mut RecvStream) -> Result<Option<Bytes>, ReadError> {
    let chunk = receive.read_chunk(READ_BYTES_MAX, true).await?;
    Ok(chunk.map(|chunk| chunk.bytes))
}
