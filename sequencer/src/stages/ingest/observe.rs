//! What ingest counts. It knows no metrics: whoever does implements [`Observe`].

use std::time::Duration;

use model::{ClaimKind, GatewayId, Millis, RejectCode, RuleNumber};
use wire::Role;

/// Something worth counting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The socket was opened, with these buffers.
    SocketOpened(udp::Buffers),
    /// A peer was asked to prove its address first.
    RetrySent,
    /// A handshake began.
    HandshakeBegun,
    /// A handshake ended, one way or another.
    HandshakeEnded,
    /// A handshake was given up for another one: too many are under way.
    HandshakeGaveWay,
    /// An entitled peer was turned away: all the connections that it may have are open.
    ConnectionTurnedAway,
    /// A connection was closed for another one, of a certificate that has fewer, or of its own.
    ConnectionGaveWay,
    /// A session began.
    SessionOpened(Role),
    /// It ended, by a panic as well; the code it was closed with, which is counted as rejected too.
    SessionClosed(Role, Option<RejectCode>),
    /// The task of a connection panicked; the connection is closed, all others go on.
    SessionPanicked,
    /// Frames that came together are stored.
    FramesStored {
        /// How many.
        frames: u64,
        /// Readings in them.
        readings: u64,
        /// Headers and bodies.
        bytes: u64,
    },
    /// A frame came that was stored already with the same bytes.
    FrameAgain,
    /// A peer was told this code, of frames, a stream, an operation, a request or its connection.
    Rejected {
        /// Which.
        code: RejectCode,
        /// Who was told it.
        peer: RejectedPeer,
    },
    /// A refusal by a numbered rule: no consent covered a frame or a request, or an operation broke
    /// the rule.
    RefusedBy(RuleNumber),
    /// An operation took effect.
    OperationApplied,
    /// A request to read was decided.
    AccessDecided {
        /// Access or break-glass.
        kind: ClaimKind,
        /// The decision.
        permitted: bool,
    },
    /// A name was asked about, which the registry knows or does not.
    NameAsked {
        /// Whether it does.
        known: bool,
    },
    /// Somebody renews their certificate.
    Renewal(RenewalStep),
    /// A frame was released to a practitioner.
    FrameReleased,
    /// A receipt was sent to a session, again if it was sent before.
    ReceiptSent,
    /// The receipt of a frame left so long after the frame was taken in: of one frame at a time on
    /// each connection.
    FrameReceipted {
        /// How long.
        took: Duration,
    },
    /// A stop, a revocation or a denial took effect.
    Withdrawn {
        /// When it was signed.
        signed_at: Millis,
        /// When it took effect.
        time: Millis,
    },
}

/// Who was told a code. Of people it says what they are, and no name: whoever looks for the reason
/// of rejects looks at machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RejectedPeer {
    /// A gateway.
    Gateway(GatewayId),
    /// A wallet, a practitioner or an operator.
    Person(Role),
    /// Whoever handed an operation in over HTTP.
    Http,
    /// A certificate that names nobody.
    Unknown,
}

impl RejectedPeer {
    /// What they are, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            RejectedPeer::Gateway(_) => Role::Gateway.name(),
            RejectedPeer::Person(role) => role.name(),
            RejectedPeer::Http => "http",
            RejectedPeer::Unknown => "unknown",
        }
    }
}

/// How far a renewal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalStep {
    /// A request that was not known waits from now on.
    Asked,
    /// The same, in place of a request for another key.
    Replaced,
    /// The certificate was handed out.
    Issued,
    /// It was shown, and registered.
    Taken,
    /// A request, or the certificate as it was shown, was refused.
    Refused,
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
