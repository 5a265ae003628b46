//! Connection ids that the same node knows as its own after a restart, and that do not repeat.
//!
//! A node that asks a peer to prove its address names an id for what comes next, and quinn draws
//! that one without looking whether a connection has it already. Where one has, the peer's packets
//! go to that connection, which cannot read them, and nobody answers: the handshake hangs until its
//! peer gives it up. Quinn's own keyed generator draws 24 bits. A gateway's connection has eight
//! ids, so that with two thousand of them connected one handshake in a thousand hung.

use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::{InvalidCid, RandomConnectionIdGenerator};

/// Random bytes of an id. Among the 80,000 ids of 10,000 connections the next one is new but once
/// in 3.5 billion times.
const NONCE_BYTES: usize = 6;
/// Bytes that only who has the key can add: of ids that are another's one in 65,536 passes, and
/// costs a look for a reset.
const MARK_BYTES: usize = 2;

/// Makes ids of eight bytes, and knows its own.
pub(super) struct ConnectionIds {
    key: [u8; 32],
    nonces: RandomConnectionIdGenerator,
}

impl ConnectionIds {
    pub(super) fn new(key: [u8; 32]) -> ConnectionIds {
        ConnectionIds { key, nonces: RandomConnectionIdGenerator::new(NONCE_BYTES) }
    }

    fn mark(&self, nonce: &[u8]) -> [u8; MARK_BYTES] {
        let [first, second, ..] = *blake3::keyed_hash(&self.key, nonce).as_bytes();
        [first, second]
    }
}

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let nonce = self.nonces.generate_cid();
        ConnectionId::new(&[&nonce[..], &self.mark(&nonce)].concat())
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let (nonce, mark) = id.split_at_checked(NONCE_BYTES).ok_or(InvalidCid)?;
        if mark == self.mark(nonce) { Ok(()) } else { Err(InvalidCid) }
    }

    fn cid_len(&self) -> usize {
        NONCE_BYTES + MARK_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// With 24 bits some twelve of so many would have come before.
    #[test]
    fn ids_of_thousands_of_gateways_do_not_repeat() {
        let mut ids = ConnectionIds::new([7; 32]);
        let drawn: BTreeSet<Vec<u8>> = (0..20_000).map(|_| ids.generate_cid().to_vec()).collect();
        assert_eq!(drawn.len(), 20_000);
    }

    #[test]
    fn a_node_knows_its_ids_after_a_restart_and_no_others() {
        let (mut ids, again) = (ConnectionIds::new([7; 32]), ConnectionIds::new([7; 32]));
        let id = ids.generate_cid();
        assert_eq!(id.len(), ids.cid_len());
        assert!(again.validate(&id).is_ok());
        for at in NONCE_BYTES..id.len() {
            let mut changed = id.to_vec();
            changed[at] ^= 1;
            assert!(again.validate(&ConnectionId::new(&changed)).is_err(), "byte {at}");
        }
        assert!(again.validate(&ConnectionId::new(&id[..NONCE_BYTES - 1])).is_err());
        let other = ConnectionIds::new([8; 32]);
        let passes = (0..1000).filter(|_| other.validate(&ids.generate_cid()).is_ok()).count();
        assert!(passes < 10, "{passes} of 1000 ids of another node pass");
    }
}
