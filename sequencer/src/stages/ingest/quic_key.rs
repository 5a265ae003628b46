//! What of QUIC outlives a run, and a change of the certificate: stateless resets, connection ids
//! and proofs of an address.
//!
//! A node that was killed knows none of its connections, and a peer that is told nothing waits for
//! its idle timeout. QUIC's answer is a reset that only who has the key can make, for a connection
//! id that only the same node gave out (RFC 9000, section 10.3). Both keys have to outlive the run:
//! quinn drops what its generator of connection ids does not know before it thinks of a reset.
//!
//! A peer proves its address with a token that the node sealed (RFC 9000, section 8.1.2), and it
//! may prove it once for each handshake: were the key another one by then, because a certificate
//! was read anew or the node was restarted, the handshake would hang until its peer gives it up.
//!
//! Threat note: who has the key file and sees the traffic can end connections, which then come
//! again; and who has it can have the node answer an address that it forges with more than three
//! times what it sent. It can read, change or forge nothing else.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{hkdf, hmac};
use quinn::{ConnectionIdGenerator, EndpointConfig};
use quinn_proto::crypto::HandshakeTokenKey;

use super::connection_id::ConnectionIds;
use crate::folder::secrets::Secret;

/// Derives the key of resets from the secret.
const RESET_CONTEXT: &str = "vitals 2026 quic stateless resets";
/// Derives the key of connection ids from the secret.
const ID_CONTEXT: &str = "vitals 2026 quic connection ids";
/// Derives the key of proofs of an address from the secret.
const TOKEN_CONTEXT: &str = "vitals 2026 quic address tokens";
/// Resets are sent no more often than this: a ward of a thousand gateways hears of a restart within
/// a second or two. They are shorter than what caused them, so nothing is amplified.
const INTERVAL: Duration = Duration::from_millis(1);

/// Makes resets, connection ids and tokens that outlive a run.
pub struct QuicKey(Secret);

impl QuicKey {
    /// From the node's secret.
    pub fn new(secret: Secret) -> QuicKey {
        QuicKey(secret)
    }

    /// Settings of an endpoint that takes datagrams of so many bytes, and whose resets a peer of
    /// the last run accepts.
    ///
    /// # Panics
    /// Below the 1,200 bytes that QUIC asks of every path.
    pub(super) fn endpoint(&self, datagram_bytes_max: u16) -> EndpointConfig {
        let reset_key = blake3::derive_key(RESET_CONTEXT, self.0.as_slice());
        let id_key = blake3::derive_key(ID_CONTEXT, self.0.as_slice());
        let generator =
            move || -> Box<dyn ConnectionIdGenerator> { Box::new(ConnectionIds::new(id_key)) };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &reset_key);
        let mut config = EndpointConfig::new(Arc::new(key));
        config.cid_generator(generator).min_reset_interval(INTERVAL);
        let taken = config.max_udp_payload_size(datagram_bytes_max);
        taken.expect("the configuration was checked: 1,200 bytes or more");
        config
    }

    /// What seals the tokens by which peers prove their address: of every configuration of the
    /// server the same.
    pub(super) fn tokens(&self) -> Arc<dyn HandshakeTokenKey> {
        let key = Secret::new(blake3::derive_key(TOKEN_CONTEXT, self.0.as_slice()));
        Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(key.as_slice()))
    }
}

/// Prints no key.
impl std::fmt::Debug for QuicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QuicKey(..)")
    }
}
