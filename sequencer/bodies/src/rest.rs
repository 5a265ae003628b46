//! The last readings of a segment that is still open, as a snapshot holds them: sealed under the
//! patient's own key, so that whoever destroys it destroys them there, too.
//!
//! ```text
//!   key   = blake3 keyed with the patient's key of the epoch
//!             ("vitals body 2026 open segment key v1", log id)
//!   nonce = position of the segment's last frame u64 (little-endian), 4 zeros
//! ```
//! AES-256-GCM-SIV: the same state is sealed to the same bytes, so that a snapshot can be compared
//! with what the journal makes, and a state that differs at the same place gives nothing away but
//! that it does.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::BodyError;
use crate::key::{BodyKey, KEY_BYTES, KeyId};
use crate::keys::BodyKeys;
use crate::seal::TAG_BYTES;

const DOMAIN: &[u8] = b"vitals body 2026 open segment key v1";

/// Where the readings are, which they are bound to.
#[derive(Clone, Copy)]
pub struct RestAt<'a> {
    /// Id of the log.
    pub log_id: &'a [u8; 16],
    /// Position of the segment's last frame.
    pub position: u64,
    /// Name of the device.
    pub device: &'a [u8],
}

/// Names no device.
impl fmt::Debug for RestAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RestAt({})", self.position)
    }
}

impl RestAt<'_> {
    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&self.position.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

fn cipher(key: &BodyKey, log_id: &[u8; 16]) -> LessSafeKey {
    let mut hash = blake3::Hasher::new_keyed(&key.0);
    // Both of fixed length.
    hash.update(DOMAIN).update(log_id);
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    hash.finalize_xof().fill(derived.as_mut_slice());
    let key = UnboundKey::new(&AES_256_GCM_SIV, derived.as_slice());
    LessSafeKey::new(key.expect("a key of AES-256 has 32 bytes"))
}

impl BodyKeys {
    /// The readings, sealed, 16 bytes longer; nothing where the key is not here.
    pub fn seal_rest(&self, id: KeyId, at: &RestAt<'_>, rest: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(id).ok()?;
        // At its whole length: nothing in the clear is left behind by one that grows.
        let mut sealed = Vec::with_capacity(rest.len() + TAG_BYTES);
        sealed.extend_from_slice(rest);
        let cipher = cipher(&key, at.log_id);
        let done = cipher.seal_in_place_append_tag(at.nonce(), Aad::from(at.device), &mut sealed);
        done.ok().map(|()| sealed)
    }

    /// What [`BodyKeys::seal_rest`] sealed.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn open_rest(
        &self,
        id: KeyId,
        at: &RestAt<'_>,
        sealed: &[u8],
    ) -> Result<Vec<u8>, BodyError> {
        let epoch = id.epoch.0;
        let key = self.key(id)?;
        let mut opened = sealed.to_vec();
        let cipher = cipher(&key, at.log_id);
        let length = cipher
            .open_in_place(at.nonce(), Aad::from(at.device), &mut opened)
            .map(|plain| plain.len())
            .map_err(|_| BodyError::Broken { epoch })?;
        opened.truncate(length);
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use model::{Millis, PatientIndex};

    use super::*;
    use crate::fault;

    const AT: RestAt<'_> = RestAt { log_id: &[1; 16], position: 7, device: b"monitor" };

    #[test]
    fn the_last_readings_open_at_their_own_place_until_their_key_is_destroyed() {
        let (keys, now) = (fault::keys(), Millis::new(4_000_000_000_000).unwrap());
        let [patient, other] = [1, 2].map(|index| PatientIndex::new(index).unwrap());
        keys.make(&[patient, other], now).unwrap();
        let id = KeyId { patient, epoch: keys.epochs_begun() };
        let sealed = keys.seal_rest(id, &AT, b"readings").unwrap();
        assert_eq!(sealed.len(), 8 + TAG_BYTES);
        assert_eq!(keys.seal_rest(id, &AT, b"readings"), Some(sealed.clone()), "the same bytes");
        assert_eq!(keys.open_rest(id, &AT, &sealed).as_deref(), Ok(&b"readings"[..]));
        let broken = Err(BodyError::Broken { epoch: 1 });
        for elsewhere in [
            RestAt { position: 8, ..AT },
            RestAt { device: b"monitos", ..AT },
            RestAt { log_id: &[2; 16], ..AT },
        ] {
            assert_eq!(keys.open_rest(id, &elsewhere, &sealed), broken);
        }
        assert_eq!(keys.open_rest(KeyId { patient: other, ..id }, &AT, &sealed), broken);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open_rest(id, &AT, &changed), broken, "byte {at}");
            assert_eq!(keys.open_rest(id, &AT, &sealed[..at]), broken, "cut {at}");
        }
        keys.destroy(&[patient], now).unwrap();
        assert_eq!(keys.seal_rest(id, &AT, b"readings"), None);
        let destroyed = Err(BodyError::KeyDestroyed { epoch: 1 });
        assert_eq!(keys.open_rest(id, &AT, &sealed), destroyed);
    }
}
