//! How connecting, streaming and asking can fail.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::RejectCode;
use thiserror::Error;
use wire::{ClientError, SignedReceipt, StopReason, Violation};

use crate::spool::SpoolError;

/// Why a connection could not be made, or ended for good. Cheap to clone: everybody who waits on
/// the connection gets it.
#[derive(Clone, Debug, Error)]
pub enum ConnectionError {
    /// The machine gives no socket.
    #[error("expected a UDP socket")]
    Socket(#[source] Arc<io::Error>),
    /// Certificate, key or authority do not fit TLS.
    #[error("expected a certificate with its key that TLS can use")]
    Tls(#[source] rustls::Error),
    /// Address or server name cannot be dialled at all.
    #[error("expected an address and server name that can be dialled")]
    Dial(#[from] quinn::ConnectError),
    /// Nothing came back.
    #[error(
        "expected an answer from {address} over UDP within {waited:?}, found none: check that the \
         node runs there and that the network lets UDP port {} through both ways (there is no \
         fallback to TCP; a gateway inside a network that blocks UDP needs that port opened)",
        address.port()
    )]
    NoAnswer {
        /// Who was called.
        address: SocketAddr,
        /// For how long.
        waited: Duration,
    },
    /// One side does not accept the other's certificate or protocol.
    #[error(
        "expected both certificates to be accepted, found that TLS refuses: check that ca.pem is \
         the node's authority, and that cert.pem is issued by it, not expired and not revoked"
    )]
    Certificate(#[source] quinn::ConnectionError),
    /// The connection broke before the node welcomed this client.
    #[error("expected a welcome, found that the connection ended")]
    Lost(#[source] quinn::ConnectionError),
    /// The node ended a lane or a lane broke.
    #[error("expected the lanes to stay open, found that one ended")]
    Lane,
    /// The node closed the session.
    #[error("the node closed the session: {} (code {}); {}", code.meaning(), code.number(),
            code.remedy())]
    Closed {
        /// What it said.
        code: RejectCode,
    },
    /// Readings are to be encrypted, and the node takes no such frames: nothing was sent.
    #[error(
        "expected a node that takes encrypted readings, found one that does not: its operator sets \
         `ingest.limits.encrypted_bodies`"
    )]
    NotEncrypted,
    /// The node broke its word.
    #[error("the node broke the protocol")]
    Violation {
        /// How.
        #[source]
        violation: Violation,
        /// The receipt concerned: evidence.
        evidence: Option<Box<SignedReceipt>>,
    },
    /// Two receipts for one group that differ: proof against the signer.
    #[error("expected one receipt for group {}, found two that differ: keep both",
            first.receipt.group.group)]
    Equivocation {
        /// The one that came first.
        first: Box<SignedReceipt>,
        /// The other.
        second: Box<SignedReceipt>,
    },
    /// No connection came back in time.
    #[error("expected a connection again within {waited:?}, found none")]
    GaveUp {
        /// How long it was tried.
        waited: Duration,
        /// What the last attempt met.
        #[source]
        last: Box<ConnectionError>,
    },
    /// A receipt could not be kept.
    #[error("expected to keep every receipt")]
    Receipts(#[source] Arc<io::Error>),
    /// The folder of receipts is full.
    #[error("expected at most {limit} receipts in the folder: move some away")]
    ReceiptsFull {
        /// Most files.
        limit: u64,
    },
    /// What was sent could not be kept.
    #[error("expected to keep what has no receipt")]
    Spool(#[source] Arc<SpoolError>),
    /// What was kept does not follow what was sent.
    #[error("expected the frames of the state folder to follow those that were sent")]
    Queue(#[source] ClientError),
    /// This side closed the connection.
    #[error("the connection was closed here")]
    ClosedHere,
}

impl ConnectionError {
    /// Whether another attempt may succeed without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            ConnectionError::NoAnswer { .. }
            | ConnectionError::Lost(_)
            | ConnectionError::Lane
            | ConnectionError::Socket(_) => true,
            ConnectionError::Closed { code } => code.retry(),
            _ => false,
        }
    }

    /// Whether it is the certificate that is refused: another one may be accepted.
    pub(crate) fn is_refusal(&self) -> bool {
        let code = RejectCode::Identity;
        matches!(self, ConnectionError::Certificate(_))
            || matches!(self, ConnectionError::Closed { code: found } if *found == code)
    }

    /// Of what QUIC says: alerts of TLS are about certificates, and whoever is not entitled is told
    /// so without a lane.
    pub(crate) fn of_quic(error: quinn::ConnectionError) -> ConnectionError {
        // Of other codes a next attempt may be told on a lane; these no attempt changes.
        let lasting = [RejectCode::Identity, RejectCode::History];
        if let quinn::ConnectionError::ApplicationClosed(close) = &error
            && let number = close.error_code.into_inner()
            && let Some(code) = lasting.into_iter().find(|code| u64::from(code.number()) == number)
        {
            return ConnectionError::Closed { code };
        }
        let code = match &error {
            quinn::ConnectionError::TransportError(error) => Some(u64::from(error.code)),
            quinn::ConnectionError::ConnectionClosed(close) => Some(u64::from(close.error_code)),
            _ => None,
        };
        match code {
            // QUIC carries an alert of TLS as 0x100 plus its number (RFC 9001, section 4.8).
            Some(0x100..=0x1ff) => ConnectionError::Certificate(error),
            _ => ConnectionError::Lost(error),
        }
    }
}

/// Why a stream does not open or go on.
#[derive(Clone, Debug, Error)]
pub enum StreamError {
    /// A limit or rule of this side.
    #[error("the session does not take it")]
    Session(#[from] ClientError),
    /// The node does not take the stream's frames any more.
    #[error("{}", stop_sentence(why))]
    Stopped {
        /// Why.
        why: StopReason,
    },
    /// The node did not open the stream in time, for a reason that passes.
    #[error(
        "expected the node to open the stream within {waited:?}, found it still postponed: {} \
         (code {}); try again later",
        code.meaning(), code.number()
    )]
    Postponed {
        /// What it said last.
        code: RejectCode,
        /// For how long it was asked.
        waited: Duration,
    },
    /// The state folder is full of what is worth more, or became so since.
    #[error("expected room in the state folder, found it full: the readings are given up")]
    GivenUp,
    /// The stream was ended here.
    #[error("expected an open stream, found one that was ended here")]
    Ended,
    /// The connection ended.
    #[error("the connection ended")]
    Connection(#[from] ConnectionError),
    /// What was kept of the stream cannot be used.
    #[error("expected to keep what has no receipt")]
    Spool(#[source] Arc<SpoolError>),
}

fn stop_sentence(why: &StopReason) -> String {
    match why {
        StopReason::Refused(code) => {
            let (meaning, remedy) = (code.meaning(), code.remedy());
            format!("the node refused the stream: {meaning} (code {}); {remedy}", code.number())
        }
        StopReason::Regressed { durable } => format!(
            "expected the node to hold every frame it gave receipts for, found it ends at {}: the \
             receipts are evidence",
            durable.0
        ),
        StopReason::Ahead { durable } => format!(
            "expected no frame at the node that this side does not know of, found {}: begin a new \
             epoch",
            durable.0
        ),
    }
}

/// Why an operation or a request to read has no answer.
#[derive(Clone, Debug, Error)]
pub enum RequestError {
    /// A limit or rule of this side.
    #[error("the session does not take it")]
    Session(#[from] ClientError),
    /// The node rejected it.
    #[error("the node rejected it: {} (code {}); {}", code.meaning(), code.number(), code.remedy())]
    Rejected {
        /// Why.
        code: RejectCode,
    },
    /// The connection broke before the answer: whether it took effect is not known.
    #[error(
        "the connection broke before the answer, so whether it took effect is not known: ask \
         again with the same bytes, which cannot take effect twice"
    )]
    Unknown,
    /// More data was released than this side may hold.
    #[error("expected at most {limit} bytes of released data: ask for a shorter time")]
    TooMuch {
        /// Most bytes.
        limit: usize,
    },
    /// The connection ended.
    #[error("the connection ended")]
    Connection(#[from] ConnectionError),
}
