//! What wraps keys on the disk. It is drawn anew whenever a key is destroyed: what a disk keeps of
//! older files of keys then opens with nothing that is left.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use model::Millis;
use zeroize::Zeroizing;

use crate::key::{self, BodyKey, KEY_BYTES, KeyId};
use crate::medium::KeyMedium;

/// Bytes of a wrapped key: nonce, key, tag.
pub(crate) const WRAPPED_BYTES: usize = NONCE_LEN + KEY_BYTES + 16;

/// AES-256-GCM with a random nonce for each key. One wrapping key wraps at most 2^22 keys and their
/// successors of some years, far below the 2^32 at which random nonces begin to repeat.
pub(crate) struct WrappingKey {
    secret: Zeroizing<[u8; 32]>,
    store: [u8; 16],
}

/// A key and what is bound to it.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    pub(crate) id: KeyId,
    pub(crate) created: Millis,
}

impl Named {
    fn bound_to(self, store: &[u8; 16]) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(store);
        bytes[16..20].copy_from_slice(&self.id.patient.get().to_be_bytes());
        bytes[20..24].copy_from_slice(&self.id.epoch.0.to_be_bytes());
        bytes[24..].copy_from_slice(&self.created.get().to_be_bytes());
        bytes
    }
}

/// Hides it.
impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappingKey(..)")
    }
}

impl WrappingKey {
    pub(crate) fn draw(
        medium: &dyn KeyMedium,
        store: [u8; 16],
    ) -> Result<WrappingKey, Unspecified> {
        let mut secret = Zeroizing::new([0; 32]);
        medium.draw(secret.as_mut_slice())?;
        Ok(WrappingKey { secret, store })
    }

    /// 64 digits, as every secret of a node is written.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        key::line(self.secret.as_slice())
    }

    pub(crate) fn of_text(store: [u8; 16], text: &[u8]) -> Option<WrappingKey> {
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim_ascii(), secret.as_mut_slice()).ok()?;
        Some(WrappingKey { secret, store })
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, self.secret.as_slice());
        LessSafeKey::new(key.expect("a key of AES-256 has 32 bytes"))
    }

    pub(crate) fn wrap(
        &self,
        medium: &dyn KeyMedium,
        named: Named,
        key: &BodyKey,
    ) -> Result<[u8; WRAPPED_BYTES], Unspecified> {
        let mut wrapped = [0; WRAPPED_BYTES];
        let (nonce, rest) = wrapped.split_at_mut(NONCE_LEN);
        let (sealed, tag) = rest.split_at_mut(KEY_BYTES);
        medium.draw(nonce)?;
        sealed.copy_from_slice(key.0.as_slice());
        let once = Nonce::try_assume_unique_for_key(nonce)?;
        let bound = Aad::from(named.bound_to(&self.store));
        let found = self.cipher().seal_in_place_separate_tag(once, bound, sealed)?;
        tag.copy_from_slice(found.as_ref());
        Ok(wrapped)
    }

    /// The key, unless it is wrapped under another one or named otherwise.
    pub(crate) fn unwrap(&self, named: Named, wrapped: &[u8; WRAPPED_BYTES]) -> Option<BodyKey> {
        let (nonce, sealed) = wrapped.split_at(NONCE_LEN);
        let once = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let bound = Aad::from(named.bound_to(&self.store));
        let mut opened = Zeroizing::new(sealed.to_vec());
        let key = self.cipher().open_in_place(once, bound, opened.as_mut_slice()).ok()?;
        BodyKey::of_slice(key)
    }
}

#[cfg(test)]
mod tests {
    use model::PatientIndex;

    use super::*;
    use crate::fault::FaultyKeys;
    use crate::key::BodyEpoch;

    #[test]
    fn a_key_unwraps_under_its_own_name_and_wrapping_key_alone() {
        let medium = FaultyKeys::default();
        let wrapping = WrappingKey::draw(&medium, [1; 16]).unwrap();
        let id = KeyId { patient: PatientIndex::new(5).unwrap(), epoch: BodyEpoch(2) };
        let named = Named { id, created: Millis::new(9).unwrap() };
        let key = BodyKey::draw(&medium).unwrap();
        let wrapped = wrapping.wrap(&medium, named, &key).unwrap();
        assert!(wrapping.unwrap(named, &wrapped) == Some(key.clone()));
        let elsewhere = [
            KeyId { patient: PatientIndex::new(6).unwrap(), ..id },
            KeyId { epoch: BodyEpoch(3), ..id },
        ];
        for id in elsewhere {
            assert!(wrapping.unwrap(Named { id, ..named }, &wrapped).is_none());
        }
        let later = Named { created: Millis::new(10).unwrap(), ..named };
        assert!(wrapping.unwrap(later, &wrapped).is_none());
        let other = WrappingKey::draw(&medium, [1; 16]).unwrap();
        assert!(other.unwrap(named, &wrapped).is_none());
        let text = wrapping.to_text();
        let read = WrappingKey::of_text([1; 16], text.as_bytes()).unwrap();
        assert!(read.unwrap(named, &wrapped) == Some(key));
        let other_store = WrappingKey::of_text([2; 16], text.as_bytes()).unwrap();
        assert!(other_store.unwrap(named, &wrapped).is_none());
        assert_eq!(format!("{wrapping:?}"), "WrappingKey(..)");
        let other_key = BodyKey::draw(&medium).unwrap();
        assert_ne!(wrapping.wrap(&medium, named, &other_key).unwrap(), wrapped);
    }
}
