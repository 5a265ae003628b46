//! A connection to a node: streams of frames, operations and requests to read over three QUIC
//! lanes, with receipts that are checked before anything is called durable.
//!
//! One task drives the session machine of [`wire`]; everybody else talks to it through a lock held
//! for microseconds. With a state folder that is for a write a frame, and for a sync or two where a
//! file of frames ends, goes or is given up; what is sent is synced without it. A lost connection
//! loses nothing: frames without a receipt are kept and sent again, requests without an answer are
//! reported as unknown and can be asked again with the same bytes.
//!
//! ```text
//!   Connection, Stream --lock--> State (session machine, streams, requests) <--lock-- drive
//!          |                                                                            |
//!          +--------wait until a change <-------- Shared --------> wake a lane ---------+--> QUIC
//! ```

mod acknowledged;
mod collect;
mod config;
mod drive;
mod error;
mod kept;
mod memory;
mod moved;
mod node_clock;
mod outcome;
mod renewal;
mod requests;
mod shared;
mod silence;
mod state;
mod stream;
mod syncs;
mod told;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use model::{EpochNumber, Millis};
use tokio::sync::{Notify, watch};
use udp::Buffers;
use wire::{
    ClientError, ClockFact, Descriptor, Lane, NamesQuestion, Page, Period, RequestId,
    SignedAccessRequest, SignedOperation, StreamKey, StreamName,
};

pub use config::{
    ConnectionConfig, DelayListener, LossListener, ReceiptListener, RefusalListener,
    RenewalListener, Waits,
};
pub use error::{ConnectionError, RequestError, StreamError};
pub use outcome::{AccessOutcome, Again, Applied, Counts, Delay, Delayed, Loss, ReleasedPage};
pub use stream::Stream;
pub use told::{Renewal, RenewalError};

use crate::Backlog;
use crate::spool::{NO_EPOCH, Spool, SpoolError};
use drive::Dialer;
use shared::Shared;
use state::State;

/// A session with a node. Cloning shares it; when the last clone is gone it ends without goodbye.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    dialer: Arc<Dialer>,
    _driver: Arc<Driver>,
}

/// Ends the driving task with its last owner.
struct Driver {
    task: tokio::task::JoinHandle<()>,
    shared: Arc<Shared>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Without this the task would hold the socket and connect again for an hour, for nobody.
        self.task.abort();
        // The task goes later than this returns, and with it what it knows.
        self.shared.lock().close();
        self.shared.notify();
    }
}

impl Connection {
    /// Connects, says hello and waits for the welcome. Must be called within a tokio runtime with
    /// IO and time.
    ///
    /// # Errors
    /// [`ConnectionError`] of the first attempt: nothing is retried before the first welcome.
    pub async fn connect(config: ConnectionConfig) -> Result<Connection, ConnectionError> {
        let state = Mutex::new(State::new(&config)?);
        let (lanes, unsynced, renewed) = (Default::default(), Notify::new(), Notify::new());
        let changes = watch::Sender::new(());
        let shared = Arc::new(Shared { config, state, lanes, unsynced, renewed, changes });
        // The first attempt is made here rather than in the task: a wrong address or certificate is
        // then the caller's error at once, and not a connection that is tried for an hour.
        let dialer = Arc::new(Dialer::new(&shared)?);
        let first = dialer.dial(&shared, dialer.shown(), shared.config.waits.connect).await?;
        let (driven, dialing) = (shared.clone(), dialer.clone());
        let task = tokio::spawn(async move {
            tokio::select! {
                // All three are polled each time; which one first is no matter of chance, so that a
                // run can be made again.
                biased;
                () = drive::drive(&driven, &dialing, first) => {}
                never = syncs::keep(&driven) => match never {},
                never = renewal::run(&driven, &dialing) => match never {},
            }
        });
        let driver = Arc::new(Driver { task, shared: shared.clone() });
        let connection = Connection { shared, dialer, _driver: driver };
        connection.shared.wait_for(|state| state.find_welcome()).await?;
        Ok(connection)
    }

    /// Moves the connection to another socket of this machine, without a new handshake: for whoever
    /// knows that its network changed. Without it the connection follows to another address too, as
    /// long as its socket lives. Nothing is lost and nothing is sent twice for it.
    ///
    /// # Errors
    /// [`ConnectionError::Socket`]; the connection stays where it was.
    pub fn rebind(&self) -> Result<(), ConnectionError> {
        self.dialer.rebind(&self.shared)
    }

    /// What buffers the system granted the connection's socket. Where they are
    /// [short](Buffers::short), whoever sends much should be told.
    pub fn udp_buffers(&self) -> Buffers {
        self.dialer.buffers
    }

    /// The epoch to open a stream in: that of what a state folder keeps of the patient, the one
    /// after what it keeps of another, else the one after the node's latest (its marks name at most
    /// 512 streams; 1 if it names none of this).
    ///
    /// # Errors
    /// [`StreamError::Spool`] if what is kept cannot be read.
    pub fn epoch(&self, key: &StreamKey) -> Result<EpochNumber, StreamError> {
        let folder = self.shared.config.state.as_deref();
        let kept = folder.map(|folder| Spool::kept_epoch(folder, key)).transpose();
        if let Some(epoch) = kept.map_err(spool_error)?.flatten() {
            return Ok(epoch);
        }
        self.next_epoch(key)
    }

    fn next_epoch(&self, key: &StreamKey) -> Result<EpochNumber, StreamError> {
        // Where no folder says which sequences were used, only a new epoch is sure not to give one
        // sequence to two byte strings.
        let marked = self.shared.lock().marked_epoch(key.device.as_str(), key.signal);
        let next = marked.map_or(Some(1), |epoch| epoch.0.checked_add(1));
        let folder = self.shared.config.state.as_deref().unwrap_or(Path::new(""));
        let used = || SpoolError::EpochsUsed { path: Spool::path(folder, key) };
        next.map(EpochNumber).ok_or_else(|| spool_error(used()))
    }

    /// Opens a stream on a lane, with what a state folder keeps of it, and waits until the node
    /// takes its frames: [`Connection::begin_stream`] and [`Stream::opened`].
    ///
    /// # Errors
    /// [`StreamError`], above all [`StreamError::Stopped`] if the node refuses it, and
    /// [`StreamError::Postponed`] if it did not open it in time: what a state folder keeps of it is
    /// sent all the same once the node opens it.
    pub async fn open_stream(
        &self,
        lane: Lane,
        descriptor: Descriptor,
    ) -> Result<Stream, StreamError> {
        let stream = self.begin_stream(lane, descriptor)?;
        stream.opened().await.map(|()| stream)
    }

    /// Opens a stream as [`Connection::open_stream`] does, and does not wait: it takes frames from
    /// now on, and they are sent once the node opens it.
    ///
    /// # Errors
    /// [`StreamError`] of this side.
    pub fn begin_stream(&self, lane: Lane, descriptor: Descriptor) -> Result<Stream, StreamError> {
        // Read before the lock is taken: a spool of many frames would hold up every other stream.
        let folder = self.shared.config.state.as_deref();
        let spool = folder.map(|folder| Spool::open(folder, &descriptor.key, descriptor.epoch));
        self.begin(lane, descriptor, spool.transpose().map_err(spool_error)?)
    }

    /// As [`Connection::begin_stream`], of a stream whose frames were collected without a
    /// connection.
    ///
    /// # Errors
    /// [`StreamError`] of this side.
    pub fn begin_backlog(
        &self,
        lane: Lane,
        period: Option<Period>,
        backlog: Backlog,
    ) -> Result<Stream, StreamError> {
        let Backlog { key, mut spool } = backlog;
        let epoch = match spool.epoch() {
            NO_EPOCH => self.next_epoch(&key)?,
            // Nothing was sent in it: where another folder used it, it goes behind that.
            kept if spool.is_epoch_empty() => kept.max(self.next_epoch(&key)?),
            // Nothing of it waits, and the node has more of it: the folder is one of before.
            kept if spool.waiting().frames == 0 && self.is_beyond(&key, &spool) => {
                kept.max(self.next_epoch(&key)?)
            }
            kept => kept,
        };
        spool.begin(epoch).map_err(spool_error)?;
        self.begin(lane, Descriptor { key, period, epoch }, Some(spool))
    }

    /// Whether the node is known to have frames of an epoch that a folder does not know of.
    fn is_beyond(&self, key: &StreamKey, spool: &Spool) -> bool {
        let StreamKey { device, signal, .. } = key.clone();
        let name = StreamName { device, signal, epoch: spool.epoch() };
        self.shared.lock().marked(&name).is_some_and(|durable| durable > spool.last())
    }

    fn begin(
        &self,
        lane: Lane,
        descriptor: Descriptor,
        mut spool: Option<Spool>,
    ) -> Result<Stream, StreamError> {
        let mut descriptor = descriptor;
        let handle = {
            let mut state = self.shared.lock();
            if let Some(spool) = &mut spool {
                state.renew(&descriptor.name(), spool).map_err(spool_error)?;
                descriptor.epoch = spool.epoch();
            }
            state.open_stream(lane, descriptor, spool)?
        };
        self.shared.wake(Lane::Control);
        Ok(Stream { shared: self.shared.clone(), lane, handle })
    }

    /// Sends what a device's clock showed.
    ///
    /// # Errors
    /// [`ClientError::NotConnected`] while the connection is lost.
    pub fn send_clock(&self, fact: ClockFact) -> Result<(), ClientError> {
        self.shared.lock().session.clock(fact)?;
        self.shared.wake(Lane::Control);
        Ok(())
    }

    /// Submits a signed operation and waits for its receipt.
    ///
    /// # Errors
    /// [`RequestError`]; after [`RequestError::Unknown`] the same bytes may be submitted again.
    pub async fn submit(&self, operation: SignedOperation) -> Result<Applied, RequestError> {
        let digest = operation.digest();
        let request = {
            let mut state = self.lock_welcomed().await?;
            let request = state.session.submit(operation)?;
            state.requests.add(request, digest);
            request
        };
        let _forget = ForgetRequest { shared: &self.shared, request };
        self.shared.wake(Lane::Control);
        self.shared.wait_for(|state| state.find_applied(request)).await
    }

    /// Asks whether the registry knows names, and waits for the answer: one for each, in order.
    ///
    /// # Errors
    /// [`RequestError`]: above all [`RequestError::Session`] with [`ClientError::NotSpoken`] where
    /// the node is of a version that takes no such question, and [`RequestError::Rejected`] with
    /// Busy where names were asked about too often.
    pub async fn ask_names(&self, question: NamesQuestion) -> Result<Vec<bool>, RequestError> {
        let request = {
            let mut state = self.lock_welcomed().await?;
            let request = state.session.ask_names(question)?;
            state.requests.add_question(request);
            request
        };
        let _forget = ForgetRequest { shared: &self.shared, request };
        self.shared.wake(Lane::Control);
        self.shared.wait_for(|state| state.find_known(request)).await
    }

    /// Asks to read, and waits for decision, receipt and the frames of the first page, which holds
    /// at most as many as the node lets one answer hold: [`AccessOutcome::more`].
    ///
    /// # Errors
    /// [`RequestError`]; a refusal is no error.
    pub async fn access(
        &self,
        signed: SignedAccessRequest,
        page: Page,
    ) -> Result<AccessOutcome, RequestError> {
        let page = Page { continues: false, ..page };
        let asked = self.ask_to_read(signed, page).await?;
        self.shared.wait_for(|state| state.take_outcome(asked.request)).await
    }

    /// Asks for a further page ([`Page::behind`]) of a request that was permitted. It stays one
    /// claim, decided again by the consent of now: there is no further receipt.
    ///
    /// # Errors
    /// [`RequestError::Rejected`] with Validity once the request or its window has ended, which
    /// needs a new signature, with NotPermitted where consent has ended meanwhile, and with Busy
    /// where it is to be asked again later. After [`RequestError::Unknown`] the same page may be
    /// asked for again.
    pub async fn read_on(
        &self,
        signed: SignedAccessRequest,
        page: Page,
    ) -> Result<ReleasedPage, RequestError> {
        let page = Page { continues: true, ..page };
        let asked = self.ask_to_read(signed, page).await?;
        self.shared.wait_for(|state| state.take_page(asked.request)).await
    }

    async fn ask_to_read(
        &self,
        signed: SignedAccessRequest,
        page: Page,
    ) -> Result<ForgetRequest<'_>, RequestError> {
        let digest = signed.digest();
        let request = {
            let mut state = self.lock_welcomed().await?;
            let request = state.session.request_access(signed, page)?;
            state.requests.add(request, digest);
            request
        };
        self.shared.wake(Lane::Control);
        Ok(ForgetRequest { shared: &self.shared, request })
    }

    /// Waits until everything sent has a receipt, over all streams that go on.
    ///
    /// # Errors
    /// [`ConnectionError`] if the connection ends before.
    pub async fn flush(&self) -> Result<(), ConnectionError> {
        self.shared.wait_for(State::find_flushed).await
    }

    /// What the node's clock shows, by its last welcome and what passed since; whatever the clock
    /// of this side shows. `None` before the first welcome.
    pub fn node_time(&self) -> Option<Millis> {
        self.shared.lock().node_clock.now(Instant::now())
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Bytes of frames without a receipt, of at most `limits.held_bytes_max`.
    pub fn held_bytes(&self) -> usize {
        self.shared.lock().session.held_bytes()
    }

    /// Whether the session stands at this moment; it may be connecting again.
    pub fn is_connected(&self) -> bool {
        self.shared.lock().welcomed
    }

    /// Why the connection ended, once it has.
    pub fn end_reason(&self) -> Option<ConnectionError> {
        self.shared.lock().end_reason.clone()
    }

    /// Says goodbye and waits until the node has heard it, at most `waits.goodbye`. What has no
    /// receipt is dropped, or stays in the state folder, which is free for another program then:
    /// [`Connection::flush`] first.
    pub async fn close(self) {
        {
            let mut state = self.shared.lock();
            state.session.goodbye();
            state.take_events();
            state.end(ConnectionError::ClosedHere);
        }
        self.shared.notify();
        let waits = self.shared.config.waits;
        let over = self.shared.wait_for(|state| state.driver_done.then_some(()));
        // A node that never confirms must not keep a program from ending; the frames are safe.
        let _ = tokio::time::timeout(waits.goodbye, over).await;
        self.shared.lock().close();
    }

    /// Why the newest receipt is not kept to be shown in the next hello, if it is not. Nothing else
    /// is the worse for it.
    pub fn newest_fault(&self) -> Option<String> {
        self.shared.lock().newest_fault().map(str::to_owned)
    }

    /// The state, locked, once a session stands.
    async fn lock_welcomed(&self) -> Result<MutexGuard<'_, State>, ConnectionError> {
        loop {
            self.shared.wait_for(|state| state.find_welcome()).await?;
            let state = self.shared.lock();
            // The session may have been lost between the two locks; then wait for the next one.
            if state.welcomed {
                return Ok(state);
            }
        }
    }
}

/// Forgets a request when nobody waits for it any more, also when the waiting future is dropped.
struct ForgetRequest<'a> {
    shared: &'a Shared,
    request: RequestId,
}

impl Drop for ForgetRequest<'_> {
    fn drop(&mut self) {
        self.shared.lock().requests.forget(self.request);
    }
}

fn spool_error(error: SpoolError) -> StreamError {
    StreamError::Spool(Arc::new(error))
}
