//! Whom to connect to, as whom, and what may be held meanwhile.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use machine::{Machine, System};
use model::{Clock, SystemClock};
use wire::{ClientLimits, ClientName, Codec, DecodeError, SignedReceipt};

use super::error::ConnectionError;
use super::outcome::{Delay, Loss};
use super::told::Renewal;
use crate::{BodyKey, Deployment, Identity, StateBounds};

/// Told of every verified receipt, in order, before anything else hears of what it acknowledges.
/// Called with the connection's lock held: must not block and must not call the connection.
pub type ReceiptListener = Arc<dyn Fn(&SignedReceipt) + Send + Sync>;

/// Told of every delay: of each time that the node does not open a stream yet, and of each time
/// that it wants frames again. Called as a [`ReceiptListener`] is.
pub type DelayListener = Arc<dyn Fn(&Delay) + Send + Sync>;

/// Told of every stream of which the node lost what it gave receipts for. Called as a
/// [`ReceiptListener`] is.
pub type LossListener = Arc<dyn Fn(&Loss) + Send + Sync>;

/// Told why the node refuses the certificate.
pub type RefusalListener = Arc<dyn Fn(&ConnectionError) + Send + Sync>;

/// Told of each step of a renewal.
pub type RenewalListener = Arc<dyn Fn(&Renewal) + Send + Sync>;

/// Waits of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waits {
    /// From dialling to the welcome. Default 10 s. Reached: the attempt fails.
    pub connect: Duration,
    /// Before the second attempt after a loss; doubles with each, and a random half is taken off.
    /// Default 200 ms.
    pub retry_first: Duration,
    /// Longest wait between attempts: a node that comes back is found within this and one attempt.
    /// Default 2 s.
    pub retry_most: Duration,
    /// Longest attempt after a loss, at most `connect`: a packet that opens a connection is sent
    /// anew after 1 s, 3 s and 7 s only. Default 2 s.
    pub retry_attempt: Duration,
    /// How long the node may be silent while it was asked something, which an acknowledgement
    /// does not, before the connection is taken for lost. Default 3 s; QUIC's own retransmissions
    /// come ever later after a loss.
    pub silence: Duration,
    /// How long a lost connection is tried for. Default one hour. Reached: the connection ends,
    /// and with a state folder nothing is lost.
    pub retry_for: Duration,
    /// How long [`crate::Connection::open_stream`] waits for a node that does not open the stream
    /// yet. Default one hour. Reached: the call fails and says what the node said last.
    pub open: Duration,
    /// How long a node that refuses the certificate is tried again with the one that stands in
    /// [`ConnectionConfig::identity_folder`] by then. Default 0: a refusal ends the connection.
    pub renewal: Duration,
    /// How long what is under way may take to be acknowledged before its streams go over to a
    /// connection with another certificate. Default 1 s, since alarms wait meanwhile too. Reached:
    /// it is sent again there.
    pub drain: Duration,
    /// How long [`crate::Connection::close`] waits for the node to take the goodbye. Default 2 s.
    pub goodbye: Duration,
}

impl Default for Waits {
    fn default() -> Waits {
        Waits {
            connect: Duration::from_secs(10),
            retry_first: Duration::from_millis(200),
            retry_most: Duration::from_secs(2),
            retry_attempt: Duration::from_secs(2),
            silence: Duration::from_secs(3),
            retry_for: Duration::from_secs(3600),
            open: Duration::from_secs(3600),
            renewal: Duration::ZERO,
            drain: Duration::from_secs(1),
            goodbye: Duration::from_secs(2),
        }
    }
}

/// Everything about a connection. Worst-case memory is about `limits.held_bytes_max` of frames
/// without receipt, 2 MiB for each stream of a state folder, `limits.receipts_max` receipts,
/// `released_bytes_max` for each request to read, 1 MiB on the way out and 4 MiB on the way in:
/// with the defaults some 14 MiB without reading and state folder.
#[derive(Clone)]
pub struct ConnectionConfig {
    /// Where the node listens (UDP).
    pub address: SocketAddr,
    /// Name in the node's certificate.
    pub server_name: String,
    /// Who this client is.
    pub identity: Identity,
    /// Folder that it is read from again before each attempt after a loss, so that a certificate
    /// that was renewed meanwhile is shown; none, or one that does not read or is another's: the
    /// one that there is.
    pub identity_folder: Option<PathBuf>,
    /// How often it is looked whether `identity_folder` has another certificate, and whether the
    /// present one is to be renewed, which it is from the half of its life on: key and certificate
    /// are then kept in that folder. Default none: never. A minute is often enough.
    pub renew_every: Option<Duration>,
    /// Which deployment it expects; another one ends the connection.
    pub deployment: Deployment,
    /// How the program calls itself, for the operator's eyes.
    pub name: ClientName,
    /// The codec of the frames that are made; none: of each the one that fits, a grid where its
    /// times are on that of the stream's period. A node that does not speak it gets rows.
    pub codec: Option<Codec>,
    /// What encrypts the readings of every frame before it is sent, so that the node learns whose
    /// they are and when they were measured, and not what they are; none: they go in the clear. A
    /// node that does not take such frames ends the connection. To be changed only when all that
    /// was sent has its receipt: what has none comes again in other bytes, and is refused.
    pub encrypt: Option<Arc<BodyKey>>,
    /// What the session may hold.
    pub limits: ClientLimits,
    /// Waits.
    pub waits: Waits,
    /// Most bytes of released data for one request to read. Default 64 MiB. Reached: the request
    /// fails and what came is dropped.
    pub released_bytes_max: usize,
    /// Folder that keeps frames without receipt over a restart; none: they live in memory, and a
    /// restart begins new epochs. A frame costs one write then, and the frames that are written
    /// while the disk syncs the ones before share the next sync. What finds no place in
    /// `limits.held_bytes_max`, or in a quarter of `state_bounds.bytes_max`, is on disk only.
    pub state: Option<PathBuf>,
    /// What that folder may hold.
    pub state_bounds: StateBounds,
    /// File that keeps the newest receipt over a restart, to be shown in each hello; none: that of
    /// the state folder, `newest.receipt`, if there is one.
    pub newest: Option<PathBuf>,
    /// Folder that keeps every receipt, one file each.
    pub receipts: Option<PathBuf>,
    /// Most files in it. Default one million. Reached: the connection ends.
    pub receipts_kept_max: u64,
    /// Told of every verified receipt.
    pub on_receipt: Option<ReceiptListener>,
    /// Told of every delay. None: they are only counted.
    pub on_delay: Option<DelayListener>,
    /// Told of every loss of the node. None: what goes again is only counted.
    pub on_loss: Option<LossListener>,
    /// Told once of each time that the node refuses the certificate, while `waits.renewal` lets it
    /// be tried again. Called outside of every lock.
    pub on_refused: Option<RefusalListener>,
    /// Told of each step of a renewal. Called outside of every lock.
    pub on_renewal: Option<RenewalListener>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Whose sockets and threads it uses. Default: the machine's own.
    pub machine: Arc<dyn Machine>,
}

impl ConnectionConfig {
    /// With every default, calling itself `vitals-client`.
    pub fn new(
        address: SocketAddr,
        server_name: impl Into<String>,
        identity: Identity,
        deployment: Deployment,
    ) -> ConnectionConfig {
        ConnectionConfig {
            address,
            server_name: server_name.into(),
            identity,
            identity_folder: None,
            renew_every: None,
            deployment,
            name: ClientName::new("vitals-client").expect("14 printable characters"),
            codec: None,
            encrypt: None,
            limits: ClientLimits::default(),
            waits: Waits::default(),
            released_bytes_max: 64 << 20,
            state: None,
            state_bounds: StateBounds::default(),
            newest: None,
            receipts: None,
            receipts_kept_max: 1_000_000,
            on_receipt: None,
            on_delay: None,
            on_loss: None,
            on_refused: None,
            on_renewal: None,
            clock: Arc::new(SystemClock),
            machine: Arc::new(System),
        }
    }

    /// Under another program name.
    ///
    /// # Errors
    /// [`DecodeError`] unless it has 1 to 64 printable ASCII characters.
    pub fn with_name(mut self, name: &str) -> Result<ConnectionConfig, DecodeError> {
        self.name = ClientName::new(name)?;
        Ok(self)
    }
}
