use std::io;
use std::net::SocketAddr;

use rustls::server::VerifierBuilderError;
use thiserror::Error;

use crate::setting::LimitError;

/// Why the server does not start.
#[derive(Debug, Error)]
pub enum IngestError {
    /// A limit is out of its own limits.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Certificate, key or authority cannot be used.
    #[error("the server's certificate or key cannot be used")]
    Tls(#[from] rustls::Error),
    /// The authority cannot verify clients.
    #[error("the authority cannot verify clients")]
    Verifier(#[source] VerifierBuilderError),
    /// The socket cannot be opened.
    #[error("the UDP socket {listen} cannot be opened")]
    Socket {
        /// Which.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
}
