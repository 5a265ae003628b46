//! What a server session is told at its start, and what it tells its owner.

use model::{ChainScope, Interval, RejectCode, StreamHandle};
use thiserror::Error;

use crate::{
    Address, ClockFact, Credit, Frame, Hello, NamesQuestion, OpenStream, Page, RenewalRequest,
    RequestId, SignedAccessRequest, SignedOperation,
};

/// What one connection may hold. Worst-case memory of a connection is about
/// `unacknowledged_bytes_max + outgoing_bytes_max + 3 * 128 KiB`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerLimits {
    /// Most handles, refused ones included. Default 512. Reached: the stream is refused as busy.
    pub streams_max: usize,
    /// Most bytes of frames delivered and neither acknowledged nor rejected; at least two frames.
    /// Default 1 MiB. Reached: the frame is rejected as busy.
    pub unacknowledged_bytes_max: u64,
    /// The same in frames. Default 4096.
    pub unacknowledged_frames_max: u32,
    /// Most operations, requests and questions without an answer. Default 32. Reached: rejected
    /// as busy.
    pub requests_max: usize,
    /// Most bytes waiting to be sent. Default 512 KiB. Reached: the connection is closed as busy.
    pub outgoing_bytes_max: usize,
    /// Whether frames are taken whose bodies their gateway encrypted (W.92). Default no: such a
    /// frame closes the session as of a version that is not spoken.
    pub takes_encrypted: bool,
    /// How far a reading may lie ahead of the server's clock, milliseconds. Default 300 000.
    /// Beyond: rejected as a clock error.
    pub ahead_ms_max: u64,
}

impl Default for ServerLimits {
    fn default() -> ServerLimits {
        ServerLimits {
            streams_max: 512,
            unacknowledged_bytes_max: 1 << 20,
            unacknowledged_frames_max: 4096,
            requests_max: 32,
            outgoing_bytes_max: 512 << 10,
            takes_encrypted: false,
            ahead_ms_max: 300_000,
        }
    }
}

impl ServerLimits {
    /// The most that a connection may have delivered and not seen acknowledged: its whole credit.
    pub fn credit(&self) -> Credit {
        Credit { bytes: self.unacknowledged_bytes_max, frames: self.unacknowledged_frames_max }
    }
}

/// What a server tells every client, and its limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerConfig {
    /// Which settlement contract on which chain.
    pub scope: ChainScope,
    /// Who signs receipts.
    pub signer: Address,
    /// Limits of one connection.
    pub limits: ServerLimits,
}

/// What the session tells its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerEvent {
    /// The client said hello; answer with [`crate::ServerSession::welcome`].
    Hello(Hello),
    /// The client wants to open a stream; answer with [`crate::ServerSession::open_stream`] or
    /// [`crate::ServerSession::refuse_stream`].
    OpenStream(OpenStream),
    /// The next frame of an open stream, every reading checked unless its gateway encrypted them
    /// ([`Frame::is_encrypted`]). Answer with
    /// [`crate::ServerSession::acknowledge`] or [`crate::ServerSession::reject_frames`].
    Frame {
        /// Of which stream.
        handle: StreamHandle,
        /// The frame in its stored form, with handle 0.
        frame: Frame,
        /// From its first to after its last reading.
        measured: Interval,
    },
    /// A frame that came before on this or an earlier connection. If it is stored with the same
    /// bytes, acknowledge with its group's receipt; if with others, reject as a conflict; if it is
    /// still under way, do nothing.
    Duplicate {
        /// Of which stream.
        handle: StreamHandle,
        /// The frame in its stored form, with handle 0.
        frame: Frame,
    },
    /// The session rejected a frame that decodes: out of range, order or time.
    FrameRejected {
        /// Of which stream.
        handle: StreamHandle,
        /// The frame in its stored form, with handle 0.
        frame: Frame,
        /// Why.
        code: RejectCode,
    },
    /// A clock fact.
    Clock(ClockFact),
    /// A signed operation; answer with [`crate::ServerSession::acknowledge`] or
    /// [`crate::ServerSession::reject_request`].
    Operation {
        /// Which request.
        request: RequestId,
        /// The operation.
        operation: SignedOperation,
    },
    /// A signed request to read; answer with [`crate::ServerSession::acknowledge`] and
    /// [`crate::ServerSession::answer_access`], or with [`crate::ServerSession::reject_request`].
    Access {
        /// Which request.
        request: RequestId,
        /// The signed request.
        signed: Box<SignedAccessRequest>,
        /// Which part of it: one that continues is answered with its frames alone.
        page: Page,
    },
    /// A question about names; answer with [`crate::ServerSession::answer_names`] or
    /// [`crate::ServerSession::reject_request`].
    Names {
        /// Which request.
        request: RequestId,
        /// The names.
        question: NamesQuestion,
    },
    /// A request for a certificate; answer with [`crate::ServerSession::answer_renewal`] or
    /// [`crate::ServerSession::reject_request`].
    Renewal {
        /// Which request.
        request: RequestId,
        /// What is to be certified.
        asked: RenewalRequest,
    },
    /// The client ended a stream.
    StreamEnded {
        /// Which.
        handle: StreamHandle,
    },
    /// The session is over; `None` if the client said goodbye.
    Closed {
        /// What the client was told.
        code: Option<RejectCode>,
    },
}

/// Released data was offered while too much waits to be sent already.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected at most {limit} bytes waiting to be sent, found {found}")]
pub struct OutgoingFull {
    /// Bytes that may wait before more is taken.
    pub limit: usize,
    /// Bytes waiting.
    pub found: usize,
}
