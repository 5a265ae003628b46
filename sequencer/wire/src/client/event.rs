//! What a client session is told at its start, and what it tells its owner.

use model::{ChainScope, Millis, Position, RejectCode, Sequence, StreamHandle};
use thiserror::Error;

use crate::limits::BLOCK_FRAMES_MAX;
use crate::{
    AccessAnswer, Address, ClientName, Codec, DecodeError, Frame, FrameError, Holder, Mark,
    NamesAnswer, ReceiptError, Released, RenewalAnswer, RequestId, SignedReceipt, Standing,
};

/// Whom a client expects, and what it may hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientConfig {
    /// Which settlement contract on which chain; another one is a violation.
    pub scope: ChainScope,
    /// Who signs receipts, as registered in the contract.
    pub signer: Address,
    /// Whom receipts must be for: this client.
    pub holder: Holder,
    /// The program's name.
    pub name: ClientName,
    /// The codec of the frames that it makes; none: whichever fits ([`crate::Layout`]). A server
    /// that does not speak it gets rows.
    pub codec: Option<Codec>,
    /// Limits and waits.
    pub limits: ClientLimits,
}

/// What a client session may hold, and how long it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientLimits {
    /// Most bytes of frames without a receipt, as they were made. Default 8 MiB. Reached: `push`
    /// fails. A server that does not speak their codec gets longer ones, held besides as far as
    /// its credit goes.
    pub held_bytes_max: usize,
    /// Most streams. Default 512. Reached: `open_stream` fails.
    pub streams_max: usize,
    /// Most operations and requests without an answer. Default 32. Reached: asking fails.
    pub requests_max: usize,
    /// Most small frames that go in one message to a server that takes them so (W.91). Default 64;
    /// below 2 each goes alone.
    pub block_frames_max: usize,
    /// Receipts remembered to recognise two for one group. Default 1024; at most 64 KiB each,
    /// mostly some hundred bytes. Reached: the oldest group is forgotten.
    pub receipts_max: usize,
    /// Wait before sending again what was rejected and may be retried. Default 1000 ms.
    pub retry_after_ms: u64,
    /// Longest wait before a stream is asked for again that the server did not open yet. It begins
    /// at `retry_after_ms` and doubles each time. Default 60,000 ms.
    pub reopen_after_ms_max: u64,
}

impl Default for ClientLimits {
    fn default() -> ClientLimits {
        ClientLimits {
            held_bytes_max: 8 << 20,
            streams_max: 512,
            requests_max: 32,
            block_frames_max: BLOCK_FRAMES_MAX,
            receipts_max: 1024,
            retry_after_ms: 1000,
            reopen_after_ms_max: 60_000,
        }
    }
}

/// What the session tells its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientEvent {
    /// The session is open; streams are being opened again.
    Welcomed {
        /// The server's time.
        server_time: Millis,
        /// What the server has of this client.
        marks: Vec<Mark>,
        /// How far its journal is.
        standing: Standing,
    },
    /// The node's operator accepted a loss since this client heard of it last: what was
    /// acknowledged in an earlier term may be gone, and its receipts are the evidence.
    LossAccepted {
        /// The term known before.
        known: u32,
        /// The term now.
        term: u32,
    },
    /// Frames of a stream are being sent, from this sequence on.
    StreamReady {
        /// Which.
        handle: StreamHandle,
        /// The first sequence that is not durable at the server.
        next: Sequence,
    },
    /// The server lost frames that it gave receipts for, and the owner keeps them: it restores all
    /// from `next` on, in place of what the session held of the stream.
    Regressed {
        /// Which stream.
        handle: StreamHandle,
        /// The first sequence that is not durable at the server.
        next: Sequence,
        /// The last sequence that had a receipt.
        receipted: Sequence,
    },
    /// A receipt, verified: keep it.
    Receipt(Box<SignedReceipt>),
    /// Everything up to `last` is durable and receipted; the spool may drop it.
    Durable {
        /// Of which stream.
        handle: StreamHandle,
        /// Last receipted sequence.
        last: Sequence,
    },
    /// An operation took effect, by a verified receipt.
    OperationApplied {
        /// Which request.
        request: RequestId,
        /// Journal position.
        position: Position,
        /// Effective time.
        time: Millis,
    },
    /// A request to read was decided. Released frames follow if it was permitted.
    AccessAnswered(AccessAnswer),
    /// A released frame.
    Released(Box<Released>),
    /// All frames of a page have come.
    ReleaseEnded {
        /// Which request.
        request: RequestId,
        /// How many frames came.
        frames: u64,
        /// Whether more were asked for: the next page begins behind the last of these.
        more: bool,
        /// Frames passed over because they lie only partly in the period that was asked for.
        partly: u64,
    },
    /// A question about names was answered.
    NamesAnswered(NamesAnswer),
    /// A request for a certificate was answered.
    RenewalAnswered(RenewalAnswer),
    /// An operation, request or question was rejected.
    RequestRejected {
        /// Which.
        request: RequestId,
        /// Why.
        code: RejectCode,
    },
    /// The connection ended before the answer; whether it took effect is not known.
    RequestLost {
        /// Which.
        request: RequestId,
    },
    /// Frames were rejected and are sent again.
    Delayed {
        /// Of which stream.
        handle: StreamHandle,
        /// Why.
        code: RejectCode,
        /// When.
        again_at: Millis,
    },
    /// The server does not open a stream now, for a reason that passes. What it has stays held, and
    /// the server is asked again, on each connection until it opens the stream or refuses it.
    StreamPostponed {
        /// Which.
        handle: StreamHandle,
        /// Why.
        code: RejectCode,
        /// When it is asked again.
        again_at: Millis,
    },
    /// A stream goes no further; the frames without a receipt are handed back.
    StreamStopped {
        /// Which.
        handle: StreamHandle,
        /// Why.
        why: StopReason,
        /// Frames without a receipt, in order.
        frames: Vec<Frame>,
    },
    /// A stream that was ended has its last receipt.
    StreamEnded {
        /// Which.
        handle: StreamHandle,
    },
    /// The server broke its word; the session is over. A receipt is evidence.
    Violation {
        /// How.
        violation: Violation,
        /// The receipt concerned.
        evidence: Option<Box<SignedReceipt>>,
    },
    /// Two receipts for one group that differ: proof against the signer. The session is over.
    Equivocation {
        /// The one that came first.
        first: Box<SignedReceipt>,
        /// The other.
        second: Box<SignedReceipt>,
    },
    /// The session is over; `None` if this side ended it.
    Closed {
        /// What the server said; else what this side found: Protocol, or Conflict for equivocation.
        code: Option<RejectCode>,
    },
}

/// What the owner of a stream keeps of it, of which the session holds the first ones only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeptFrames {
    /// The first sequence that can be sent again, with a receipt or without; 0 if that is none
    /// but those that the session holds.
    pub first: Sequence,
    /// The last sequence that may have been sent, before a restart too.
    pub sent: Sequence,
    /// The last sequence that there is.
    pub last: Sequence,
}

/// Why a stream stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// The server refuses it.
    Refused(RejectCode),
    /// The server lost frames that it gave receipts for. The receipts are evidence.
    Regressed {
        /// What the server still has.
        durable: Sequence,
    },
    /// The server has frames that this client does not know of: begin a new epoch.
    Ahead {
        /// What the server has.
        durable: Sequence,
    },
}

/// How a server can break its word.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Violation {
    /// Version, scope or signer of the welcome are not the expected ones.
    #[error("expected the welcome of the configured deployment")]
    Welcome,
    /// The journal ends before a group that it gave a receipt for, and no loss was accepted.
    #[error(
        "expected a journal of term {known_term} with group {expected}, found one of term \
             {term} that ends at group {found}"
    )]
    Behind {
        /// Term of the newest receipt or welcome.
        known_term: u32,
        /// Group of the newest receipt.
        expected: u64,
        /// The term of the welcome.
        term: u32,
        /// Its last group.
        found: u64,
    },
    /// A receipt does not verify.
    #[error("a receipt does not verify")]
    Receipt(#[from] ReceiptError),
    /// A receipt for another chain, contract or holder.
    #[error("expected a receipt of this deployment for this holder")]
    Receiver,
    /// A receipt for frames that were not sent.
    #[error("expected a receipt up to sequence {expected:?}, found {found:?}")]
    NotSent {
        /// Last sequence sent.
        expected: Sequence,
        /// Last sequence acknowledged.
        found: Sequence,
    },
    /// An answer that contradicts its receipt, or released frames out of count.
    #[error("expected an answer that agrees with its receipt and its frames")]
    Answer,
    /// A message that does not decode or comes in the wrong state.
    #[error("expected another message")]
    Protocol,
}

/// Why a client's own call is not taken.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ClientError {
    /// No stream has this handle, or it is being ended.
    #[error("expected an open stream, found none with this handle")]
    NoStream,
    /// The stream is open already.
    #[error("expected a stream that is not open")]
    StreamOpen,
    /// A limit of the session is reached; the caller keeps what it has.
    #[error("expected at most {limit} {what}")]
    Full {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A restored frame that is not the next one of its stream.
    #[error("expected the frame with sequence {expected:?}, found {found:?}")]
    NotNext {
        /// Sequence expected.
        expected: Sequence,
        /// Sequence found.
        found: Sequence,
    },
    /// A frame is not valid.
    #[error("the frame is not valid")]
    Frame(#[from] FrameError),
    /// The server would refuse to read the descriptor.
    #[error("the stream cannot be described")]
    Descriptor(#[from] DecodeError),
    /// The server is of a version that does not speak of this.
    #[error("expected a node that takes {what}, found one of an earlier version")]
    NotSpoken {
        /// Of what.
        what: &'static str,
    },
    /// There is no session.
    #[error("expected an open session")]
    NotConnected,
}
