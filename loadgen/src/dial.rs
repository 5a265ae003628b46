//! What a peer that speaks byte by byte dials with: settings of TLS and a socket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use client::{ConnectionError, Identity, IdentityError, quic_settings};
use quinn::Endpoint;
use thiserror::Error;

/// Why nothing can be dialled.
#[derive(Debug, Error)]
pub enum DialError {
    /// An identity folder cannot be used.
    #[error("the identity {folder} cannot be used")]
    Identity {
        /// Which.
        folder: PathBuf,
        /// Why not.
        source: IdentityError,
    },
    /// There is no TLS for it.
    #[error("expected TLS settings for {folder}")]
    Tls {
        /// Which.
        folder: PathBuf,
        /// Why not.
        source: ConnectionError,
    },
    /// There is no socket.
    #[error("expected a free UDP port of this machine")]
    Socket(#[source] io::Error),
}

/// TLS and transport of an identity.
pub(crate) fn settings(folder: &Path) -> Result<quinn::ClientConfig, DialError> {
    let wrong = |source| DialError::Identity { folder: folder.to_path_buf(), source };
    let identity = Identity::load(folder).map_err(wrong)?;
    quic_settings(&identity)
        .map_err(|source| DialError::Tls { folder: folder.to_path_buf(), source })
}

/// A socket for connections to `node`.
pub(crate) fn endpoint(node: SocketAddr) -> Result<Endpoint, DialError> {
    // A socket of one family reaches no address of the other.
    let any: SocketAddr = match node {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    Endpoint::client(any).map_err(DialError::Socket)
}
