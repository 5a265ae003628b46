//! QUIC as the protocol asks for it: TLS 1.3 only, certificates on both sides, one ALPN, no early
//! data, and buffers that measured best on one long-lived stream a lane.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use machine::Machine;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use rustls::crypto::aws_lc_rs;
use udp::Buffers;

use crate::connection::ConnectionError;
use crate::identity::{Identity, TlsParts};

/// Bytes sent and not yet acknowledged by the peer's transport. Larger ones are slower: they leave
/// the cache, and small writes make the sender search longer.
const UNACKNOWLEDGED_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a lane that may arrive before they are read, so no more of released data is on its way
/// at once: half of what a node's transport takes ahead of this one (its `send_window_bytes`, by
/// default), so that it takes receipts beside them and sends those first (rule W.87).
const LANE_UNREAD_BYTES_MAX: u32 = 512 << 10;
/// The same over all lanes.
const UNREAD_BYTES_MAX: u32 = 4 << 20;
/// A connection is given up after this much silence.
const IDLE_MS: u32 = 30_000;
/// Silence is broken this often, well within [`IDLE_MS`] and most NAT bindings.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A socket for connections to `address`, and the buffers that it was granted.
pub(crate) fn socket(address: SocketAddr) -> Result<(UdpSocket, Buffers), ConnectionError> {
    // A socket of one family reaches no address of the other.
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let bound = udp::bind(any, udp::BUFFER_BYTES);
    bound.map_err(|error| ConnectionError::Socket(Arc::new(error)))
}

/// What makes connections to `address`, and the buffers that its socket was granted.
pub(crate) fn endpoint(
    address: SocketAddr,
    machine: &dyn Machine,
) -> Result<(Endpoint, Buffers), ConnectionError> {
    let (socket, buffers) = socket(address)?;
    let mut settings = EndpointConfig::default();
    settings.rng_seed(machine.random());
    settings.max_udp_payload_size(udp::DATAGRAM_BYTES_MAX).expect("more than QUIC's least");
    let endpoint = Endpoint::new(settings, None, socket, machine.quic());
    let endpoint = endpoint.map_err(|error| ConnectionError::Socket(Arc::new(error)))?;
    Ok((endpoint, buffers))
}

/// TLS and transport settings of QUIC for one identity: for programs that speak the protocol byte
/// by byte, as tests with hostile peers do. A [`Connection`](crate::Connection) has its own.
///
/// # Errors
/// [`ConnectionError::Tls`].
pub fn settings(identity: &Identity) -> Result<quinn::ClientConfig, ConnectionError> {
    let wrong = |error: rustls::Error| ConnectionError::Tls(error);
    let TlsParts { certificates, key, roots } = identity.tls_parts();
    let mut provider = aws_lc_rs::default_provider();
    // Packet protection with AES-128 costs least at both ends.
    provider.cipher_suites = vec![
        aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
        aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(wrong)?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, key)
        .map_err(wrong)?;
    tls.alpn_protocols = vec![wire::ALPN.to_vec()];
    // QUIC protects its first packets with AES-128, which is among the suites above.
    let crypto = QuicClientConfig::try_from(tls)
        .map_err(|_| ConnectionError::Tls(rustls::Error::General("no initial suite".into())))?;
    let mut settings = quinn::ClientConfig::new(Arc::new(crypto));
    settings.transport_config(Arc::new(transport()));
    Ok(settings)
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(udp::DATAGRAM_BYTES_MAX);
    transport
        .mtu_discovery_config(Some(discovery))
        .send_window(UNACKNOWLEDGED_BYTES_MAX)
        .stream_receive_window(VarInt::from_u32(LANE_UNREAD_BYTES_MAX))
        .receive_window(VarInt::from_u32(UNREAD_BYTES_MAX))
        // The client opens all lanes; a node has nothing to open.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .keep_alive_interval(Some(KEEP_ALIVE));
    transport
}
