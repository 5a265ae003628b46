//! TLS 1.3 with certificates on both sides, and the transport's limits.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use quinn_proto::crypto::HandshakeTokenKey;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::config::IngestConfig;
use super::error::IngestError;
use crate::folder::authority::ServerTls;

/// Server settings of quinn, whose peers prove their address with these tokens. The provider is
/// given explicitly: nothing global decides it.
pub(super) fn settings(
    config: &IngestConfig,
    tls: ServerTls,
    tokens: Arc<dyn HandshakeTokenKey>,
) -> Result<quinn::ServerConfig, IngestError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    // Only the node's own authority: the system's roots vouch for names, not for roles.
    let mut roots = RootCertStore::empty();
    for authority in tls.authorities {
        roots.add(authority)?;
    }
    let roots = Arc::new(roots);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(IngestError::Verifier)?;
    let mut server = ServerConfig::builder_with_provider(provider)
        // QUIC knows no other version.
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(tls.certificates, tls.key)?;
    server.alpn_protocols = vec![wire::ALPN.to_vec()];
    // No early data, which could be replayed, and no resumption: each connection shows its
    // certificate, and a revoked one gets no further.
    server.max_early_data_size = 0;
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    let crypto = QuicServerConfig::try_from(server)
        .map_err(|_| rustls::Error::General("the provider lacks the initial suite".into()))?;
    // Not the key that quinn would draw: it would be another one with each certificate.
    let mut settings = quinn::ServerConfig::new(Arc::new(crypto), tokens);
    settings
        .transport_config(Arc::new(transport(config)))
        .max_incoming(config.incoming_max)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFER_BYTES * config.incoming_max as u64);
    Ok(settings)
}

/// What may wait of a peer before its handshake is looked at.
const INCOMING_BUFFER_BYTES: u64 = 64 << 10;

fn transport(config: &IngestConfig) -> TransportConfig {
    let idle = IdleTimeout::from(VarInt::from_u32(config.idle_timeout_ms));
    let mut transport = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(config.datagram_bytes_max());
    transport
        .mtu_discovery_config(Some(discovery))
        .max_concurrent_bidi_streams(VarInt::from_u32(wire::Lane::ALL.len() as u32))
        // Neither is part of the protocol: what is not accepted takes no memory.
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(config.lane_window_bytes))
        // Both are widened when the connection has shown that it is of use.
        .receive_window(VarInt::from_u32(config.idle_connection_window()))
        .send_window(config.idle_send_window())
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(Duration::from_millis(config.keep_alive_ms)));
    transport
}
