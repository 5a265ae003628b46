//! What ingest counts. It knows no metrics: whoever does implements [`Observe`].

use model::RejectCode;
use wire::Role;

/// Something worth counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A connection was turned away before its handshake: too many are open.
    ConnectionRefused,
    /// A peer was asked to prove its address first.
    RetrySent,
    /// A session began.
    SessionOpened(Role),
    /// It ended; `None` if the peer left or was lost.
    SessionClosed(Role, Option<RejectCode>),
    /// The task of a connection panicked; the connection is closed, all others go on.
    SessionPanicked,
    /// A frame with this many bytes was handed to the writer.
    FrameSubmitted {
        /// Header and body.
        bytes: u64,
    },
    /// Frames, a stream, an operation or a request was rejected.
    Rejected(RejectCode),
    /// A receipt was sent, again if it was sent before.
    ReceiptSent {
        /// Whether it answers a frame that came again.
        again: bool,
    },
    /// A frame was released to a practitioner.
    FrameReleased,
}

/// Takes what is observed; called from many threads, must not block.
pub trait Observe: Send + Sync + 'static {
    /// Counts it.
    fn observe(&self, what: Observed);
}

/// Counts nothing.
impl Observe for () {
    fn observe(&self, _: Observed) {}
}
