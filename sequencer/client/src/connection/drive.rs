//! The shell around the session machine: copies bytes between three lanes and the state, keeps the
//! time, and connects again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::{Endpoint, RecvStream, SendStream};
use tokio::time::{Instant, sleep, timeout};
use udp::Buffers;
use wire::Lane;

use super::error::ConnectionError;
use super::shared::{Gathered, Shared};
use super::silence::{Counted, Silence};
use crate::identity::Identity;
use crate::renewing::Pending;
use crate::transport;

/// Bytes read from a lane at once.
const READ_BYTES: usize = 64 << 10;

/// Certificates that the node refused, of which so many are remembered: those of a folder are two.
const REFUSED_MAX: usize = 8;

/// Why the lanes of one connection stopped.
enum LaneStop {
    /// The session is over; nothing is to be tried again.
    Over,
    /// The connection broke.
    Lost(ConnectionError),
    /// Another connection takes its place, which shows another certificate.
    Renewed(Dialed),
}

/// What an attempt needs.
pub(super) struct Dialer {
    endpoint: Endpoint,
    certificates: Mutex<Certificates>,
    /// What the socket was granted.
    pub(super) buffers: Buffers,
}

/// What the next attempt shows, and what none shows any more.
struct Certificates {
    shown: Shown,
    /// Certificates that are not shown again.
    refused: VecDeque<Vec<u8>>,
}

/// An identity, and the settings that show it.
#[derive(Clone)]
pub(super) struct Shown {
    settings: quinn::ClientConfig,
    identity: Identity,
}

impl Shown {
    pub(super) fn new(identity: &Identity) -> Result<Shown, ConnectionError> {
        Ok(Shown { settings: transport::settings(identity)?, identity: identity.clone() })
    }

    fn is_of(&self, other: &Shown) -> bool {
        self.identity.certificate() == other.identity.certificate()
    }
}

/// A connection with what it was opened with: by the time that the node closes it another
/// certificate may be shown, which was not refused.
pub(super) struct Dialed {
    pub(super) connection: quinn::Connection,
    shown: Shown,
}

impl Dialer {
    pub(super) fn new(shared: &Shared) -> Result<Dialer, ConnectionError> {
        let shown = Shown::new(&shared.config.identity)?;
        let certificates = Mutex::new(Certificates { shown, refused: VecDeque::new() });
        let config = &shared.config;
        let (endpoint, buffers) = transport::endpoint(config.address, config.machine.as_ref())?;
        Ok(Dialer { endpoint, certificates, buffers })
    }

    /// Moves the connection to a socket of its own anew: another port, and whatever address the
    /// system gives it.
    pub(super) fn rebind(&self, shared: &Shared) -> Result<(), ConnectionError> {
        let wrong = |error| ConnectionError::Socket(Arc::new(error));
        let (socket, _) = transport::socket(shared.config.address)?;
        self.endpoint.rebind(socket).map_err(wrong)
    }

    /// Reads the identity again; whether it has another certificate now, which was not refused.
    fn renew(&self, shared: &Shared) -> bool {
        self.another(shared).is_some_and(|identity| self.show(&identity).is_ok())
    }

    /// The identity of the folder, if it has a certificate that is not shown and was not refused.
    pub(super) fn another(&self, shared: &Shared) -> Option<Identity> {
        let folder = shared.config.identity_folder.as_deref()?;
        // While its files are being replaced they may not fit each other yet.
        let identity = Identity::load(folder).ok()?;
        self.may_show(&identity, shared).then_some(identity)
    }

    /// The same where the one that is shown was refused: then one that was issued and not welcomed
    /// yet may be what the node has registered since.
    fn renew_refused(&self, shared: &Shared) -> bool {
        if self.renew(shared) {
            return true;
        }
        let issued = self.issued(shared);
        issued.is_some_and(|one| self.may_show(&one, shared) && self.show(&one).is_ok())
    }

    /// Whether the folder has a certificate that was not refused, beside the one that is.
    fn has_another(&self, shared: &Shared) -> bool {
        let issued = || self.issued(shared).is_some_and(|one| self.may_show(&one, shared));
        self.another(shared).is_some() || issued()
    }

    fn issued(&self, shared: &Shared) -> Option<Identity> {
        let folder = shared.config.identity_folder.as_deref()?;
        Pending::read(folder).ok().flatten()?.issued().cloned()
    }

    fn may_show(&self, identity: &Identity, shared: &Shared) -> bool {
        let known = self.lock();
        // Receipts are for the holder: somebody else's certificate is another client's.
        identity.holder() == shared.config.identity.holder()
            && identity.certificate() != known.shown.identity.certificate()
            && !known.is_refused(identity)
    }

    /// Shows this identity from the next attempt on.
    pub(super) fn show(&self, identity: &Identity) -> Result<(), ConnectionError> {
        let shown = Shown::new(identity)?;
        self.lock().shown = shown;
        Ok(())
    }

    /// What the next attempt shows.
    pub(super) fn shown(&self) -> Shown {
        self.lock().shown.clone()
    }

    /// The identity that is shown.
    pub(super) fn shown_identity(&self) -> Identity {
        self.lock().shown.identity.clone()
    }

    /// Whether the node has not refused what is shown now.
    fn shows_a_welcome_one(&self) -> bool {
        let known = self.lock();
        !known.is_refused(&known.shown.identity)
    }

    /// The node refused this identity.
    pub(super) fn refuse(&self, identity: &Identity) {
        let mut known = self.lock();
        if known.is_refused(identity) {
            return;
        }
        if known.refused.len() >= REFUSED_MAX {
            known.refused.pop_front();
        }
        known.refused.push_back(identity.certificate().to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Certificates> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One attempt, up to the end of the handshake.
    pub(super) async fn dial(
        &self,
        shared: &Shared,
        shown: Shown,
        waited: Duration,
    ) -> Result<Dialed, ConnectionError> {
        let address = shared.config.address;
        let name = &shared.config.server_name;
        let connecting = self.endpoint.connect_with(shown.settings.clone(), address, name)?;
        match timeout(waited, connecting).await {
            // Silence is silence, whichever timer ends first.
            Err(_) | Ok(Err(quinn::ConnectionError::TimedOut)) => {
                Err(ConnectionError::NoAnswer { address, waited })
            }
            Ok(Err(error)) => Err(ConnectionError::of_quic(error)),
            Ok(Ok(connection)) => Ok(Dialed { connection, shown }),
        }
    }
}

impl Certificates {
    fn is_refused(&self, identity: &Identity) -> bool {
        self.refused.iter().any(|refused| refused == identity.certificate())
    }
}

/// Runs connections one after the other until the session is over.
pub(super) async fn drive(shared: &Shared, dialer: &Dialer, first: Dialed) {
    let (mut dialed, mut began) = (first, Instant::now());
    loop {
        let stop = run(shared, dialer, &dialed).await;
        // Also after a break: if the node can still hear it, it frees the session at once.
        dialed.connection.close(0u32.into(), b"");
        let stop = match stop {
            // It stands already: nothing is waited for, and nothing is lost.
            LaneStop::Renewed(next) => {
                change_over(shared);
                (dialed, began) = (next, Instant::now());
                continue;
            }
            stop => stop,
        };
        let lost = leave(shared, dialer, Left { stop, shown: &dialed.shown });
        shared.notify();
        let Some(why) = lost else { break };
        // A node that was killed and runs again resets what it does not know: nothing is to be
        // waited for. If resets come one after the other, the waits are kept all the same.
        let was_reset = matches!(why, ConnectionError::Lost(quinn::ConnectionError::Reset));
        let waits = shared.config.waits;
        // The node closed the connection of the certificate before, which another one replaced.
        let is_replaced = why.is_refusal() && dialer.shows_a_welcome_one();
        let at_once = is_replaced || was_reset && began.elapsed() > waits.retry_most;
        let wait = if at_once { Duration::ZERO } else { waits.retry_first };
        match reconnect(shared, dialer, why, wait).await {
            Ok(next) => (dialed, began) = (next, Instant::now()),
            Err(why) => {
                shared.lock().end(why);
                break;
            }
        }
    }
    // Last, and told: whoever closes the connection waits for it.
    shared.lock().driver_done = true;
    shared.notify();
}

/// A connection that is over: how it ended, and what it was opened with.
struct Left<'a> {
    stop: LaneStop,
    shown: &'a Shown,
}

/// What to try again for: nothing before the first welcome, after the end, or where it is in vain.
fn leave(shared: &Shared, dialer: &Dialer, left: Left<'_>) -> Option<ConnectionError> {
    let LaneStop::Lost(why) = left.stop else {
        shared.lock().on_disconnect();
        return None;
    };
    // Before the lock: it may read the identity's folder.
    let refused = Refused { why: &why, shown: left.shown };
    let may_pass = may_pass(shared, dialer, refused);
    // A program that ended between two steps of a renewal may have begun with the wrong one of two.
    let has_another = why.is_refusal() && has_another(shared, dialer);
    let mut state = shared.lock();
    state.on_disconnect();
    if (state.ever_welcomed && may_pass || has_another) && !state.is_ended() {
        return Some(why);
    }
    state.end(why);
    None
}

/// Leaves a connection for one that stands, with another certificate.
fn change_over(shared: &Shared) {
    let mut state = shared.lock();
    state.on_disconnect();
    state.counts.renewals += 1;
}

/// What ended an attempt or a connection, and what that was opened with.
struct Refused<'a> {
    why: &'a ConnectionError,
    shown: &'a Shown,
}

/// Whether another attempt may succeed: without a change, or with another certificate.
fn may_pass(shared: &Shared, dialer: &Dialer, refused: Refused<'_>) -> bool {
    if !refused.why.is_refusal() {
        return refused.why.is_passing();
    }
    dialer.refuse(&refused.shown.identity);
    !shared.config.waits.renewal.is_zero() || has_another(shared, dialer)
}

/// Whether there is a certificate that was not refused: shown since, or in the folder.
fn has_another(shared: &Shared, dialer: &Dialer) -> bool {
    dialer.shows_a_welcome_one() || dialer.has_another(shared)
}

/// Waits for a certificate that the node has not refused yet.
async fn await_renewal(
    shared: &Shared,
    dialer: &Dialer,
    why: &ConnectionError,
) -> Result<(), ConnectionError> {
    // Nobody has to do anything where the next one is shown already, or lies there.
    if dialer.shows_a_welcome_one() || dialer.renew_refused(shared) {
        return Ok(());
    }
    if let Some(listener) = &shared.config.on_refused {
        listener(why);
    }
    let (waits, began) = (shared.config.waits, Instant::now());
    while !dialer.renew_refused(shared) {
        if began.elapsed() >= waits.renewal {
            return Err(why.clone());
        }
        sleep(waits.retry_most.min(waits.renewal)).await;
        if let Some(ended) = shared.lock().end_reason.clone() {
            return Err(ended);
        }
    }
    Ok(())
}

/// Tries to connect, first after `wait`, until it succeeds, cannot succeed, or has been tried for
/// long enough.
async fn reconnect(
    shared: &Shared,
    dialer: &Dialer,
    mut last: ConnectionError,
    mut wait: Duration,
) -> Result<Dialed, ConnectionError> {
    let (waits, began) = (shared.config.waits, Instant::now());
    let attempt = waits.retry_attempt.min(waits.connect);
    while began.elapsed() < waits.retry_for {
        sleep(shorten(shared, wait)).await;
        // The owner may have closed the connection meanwhile.
        if let Some(why) = shared.lock().end_reason.clone() {
            return Err(why);
        }
        // A certificate that is refused is not shown again.
        if last.is_refusal() {
            await_renewal(shared, dialer, &last).await?;
        } else {
            dialer.renew(shared);
        }
        let shown = dialer.shown();
        match dialer.dial(shared, shown.clone(), attempt).await {
            Ok(dialed) => {
                shared.lock().counts.reconnects += 1;
                return Ok(dialed);
            }
            // A certificate that was revoked meanwhile will not come back by trying.
            Err(why) if !may_pass(shared, dialer, Refused { why: &why, shown: &shown }) => {
                return Err(why);
            }
            Err(why) => last = why,
        }
        wait = (wait * 2).max(waits.retry_first).min(waits.retry_most);
    }
    Err(ConnectionError::GaveUp { waited: waits.retry_for, last: Box::new(last) })
}

/// Takes a random part of at most a half off, so that a ward of gateways does not come back at
/// once after the node restarts.
pub(super) fn shorten(shared: &Shared, wait: Duration) -> Duration {
    // Without randomness the whole wait is right too, only not spread.
    let random = shared.config.machine.random().unwrap_or_default();
    let part = random.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    wait - wait.mul_f64(f64::from(part) / f64::from(u32::MAX) / 2.0)
}

/// One connection, from opening the lanes to its end.
async fn run(shared: &Shared, dialer: &Dialer, dialed: &Dialed) -> LaneStop {
    let connection = &dialed.connection;
    let mut lanes = Vec::with_capacity(Lane::ALL.len());
    // In this order: the protocol numbers the lanes by the order in which they are opened.
    for lane in Lane::ALL {
        let (send, receive) = match connection.open_bi().await {
            Ok(streams) => streams,
            Err(error) => return LaneStop::Lost(ConnectionError::of_quic(error)),
        };
        // An alarm goes before the backfill that the transport holds already.
        if send.set_priority(lane.priority()).is_err() {
            return LaneStop::Lost(ConnectionError::Lane);
        }
        lanes.push((send, receive));
    }
    shared.lock().session.connected();
    let mut lanes = lanes.into_iter();
    let (Some(control), Some(live), Some(backfill)) = (lanes.next(), lanes.next(), lanes.next())
    else {
        return LaneStop::Lost(ConnectionError::Lane);
    };
    // All in one task: whichever ends first drops the others, and no lane outlives its connection.
    let outcome = tokio::try_join!(
        read(shared, connection, Lane::Control, control.1),
        read(shared, connection, Lane::Live, live.1),
        read(shared, connection, Lane::Backfill, backfill.1),
        write(shared, connection, Lane::Control, control.0),
        write(shared, connection, Lane::Live, live.0),
        write(shared, connection, Lane::Backfill, backfill.0),
        keep_time(shared),
        welcome_in_time(shared),
        notice_silence(shared, connection),
        go_over(shared, dialer, &dialed.shown),
    );
    match outcome {
        Err(stop) => stop,
        Ok((never, ..)) => match never {},
    }
}

/// Leaves the connection for one with another certificate: first that one stands, then nothing new
/// is sent here, and when everything is acknowledged it takes over.
async fn go_over(
    shared: &Shared,
    dialer: &Dialer,
    present: &Shown,
) -> Result<Infallible, LaneStop> {
    let waits = shared.config.waits;
    let next = loop {
        shared.renewed.notified().await;
        // Told of what a reconnect shows already.
        let shown = dialer.shown();
        if !shown.is_of(present) {
            break dial_until_it_stands(shared, dialer).await;
        }
    };
    shared.lock().session.pause();
    let drained = shared.wait_for(|state| state.is_drained().then_some(()));
    // What is not acknowledged by then goes again, as after a loss.
    let _ = timeout(waits.drain, drained).await;
    Err(LaneStop::Renewed(next))
}

/// A connection of what is shown. The one before goes on meanwhile, and if the node closes it, the
/// next attempt shows the new certificate anyway: so there is nothing to give up for.
async fn dial_until_it_stands(shared: &Shared, dialer: &Dialer) -> Dialed {
    let waits = shared.config.waits;
    let mut wait = waits.retry_first;
    loop {
        if let Ok(next) = dialer.dial(shared, dialer.shown(), waits.connect).await {
            return next;
        }
        sleep(shorten(shared, wait)).await;
        wait = (wait * 2).min(waits.retry_most);
    }
}

async fn read(
    shared: &Shared,
    connection: &quinn::Connection,
    lane: Lane,
    mut stream: RecvStream,
) -> Result<Infallible, LaneStop> {
    loop {
        match stream.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => shared.handle_bytes(lane, &chunk.bytes),
            // A node ends no lane before the connection, so an end is as bad as a break.
            Ok(None) | Err(_) => return Err(explain_break(shared, connection)),
        }
    }
}

async fn write(
    shared: &Shared,
    connection: &quinn::Connection,
    lane: Lane,
    mut stream: SendStream,
) -> Result<Infallible, LaneStop> {
    loop {
        let Gathered { bytes, is_last } = shared.gather(lane);
        if !bytes.is_empty() {
            if stream.write_chunk(bytes).await.is_err() {
                return Err(explain_break(shared, connection));
            }
        } else if is_last && lane == Lane::Control {
            // Only the control lane says goodbye; the others wait until it has.
            // The node may be gone already; then there is nobody left to tell.
            let _ = stream.finish();
            let _ = timeout(shared.config.waits.goodbye, stream.stopped()).await;
            return Err(LaneStop::Over);
        } else if is_last {
            pending::<Infallible>().await;
        } else {
            shared.lanes[lane as usize].notified().await;
        }
    }
}

/// What a broken lane means: the session's end if it is over, else what the node said before it
/// ended the lane, else what QUIC says.
fn explain_break(shared: &Shared, connection: &quinn::Connection) -> LaneStop {
    let reason = connection.close_reason();
    let state = shared.lock();
    if state.is_ended() {
        return LaneStop::Over;
    }
    LaneStop::Lost(match (state.closed, reason) {
        // QUIC's last word comes later: without this one, whoever is refused would come again and
        // again, and nobody was told.
        (Some(code), _) => ConnectionError::Closed { code },
        (None, Some(error)) => ConnectionError::of_quic(error),
        (None, None) => ConnectionError::Lane,
    })
}

/// Calls the session when a wait of it is over.
async fn keep_time(shared: &Shared) -> Result<Infallible, LaneStop> {
    let mut changed = shared.subscribe();
    loop {
        let now = shared.config.clock.now();
        let wakeup = shared.lock().session.wakeup();
        match wakeup.map(|at| Duration::from_millis(at.since(now))) {
            Some(wait) if wait.is_zero() => shared.handle_timeout(now),
            // A change may set an earlier wakeup, so it is looked for again after each.
            Some(wait) => {
                if timeout(wait, changed.changed()).await.is_err() {
                    // Told even if the clock does not say that the wait is over: it may have been
                    // set back meanwhile, and only the session knows when the wait began.
                    shared.handle_timeout(shared.config.clock.now());
                }
            }
            None => {
                let _ = changed.changed().await;
            }
        }
    }
}

/// How often it is looked whether the node is silent.
const LISTEN_EVERY: Duration = Duration::from_millis(250);

/// Ends a connection on which the node says nothing although it was asked something. The longer
/// it is silent, the later QUIC sends again: after half a minute so late that a node which is back
/// would wait as long for the packet that it could answer.
async fn notice_silence(
    shared: &Shared,
    connection: &quinn::Connection,
) -> Result<Infallible, LaneStop> {
    let (address, waited) = (shared.config.address, shared.config.waits.silence);
    let mut silence = Silence::begin(Counted::of(&connection.stats()));
    loop {
        sleep(LISTEN_EVERY).await;
        if silence.look(Counted::of(&connection.stats()), Instant::now()) >= waited {
            return Err(LaneStop::Lost(ConnectionError::NoAnswer { address, waited }));
        }
    }
}

/// Ends a connection that nobody welcomes.
async fn welcome_in_time(shared: &Shared) -> Result<Infallible, LaneStop> {
    let (address, waited) = (shared.config.address, shared.config.waits.connect);
    // QUIC may stand while the node says nothing, because it hangs or is some other program.
    let welcomed = shared.wait_for(|state| state.welcomed.then_some(()));
    match timeout(waited, welcomed).await {
        Ok(()) => pending().await,
        Err(_) => Err(LaneStop::Lost(ConnectionError::NoAnswer { address, waited })),
    }
}
