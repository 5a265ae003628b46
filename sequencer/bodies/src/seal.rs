//! The seal of one body: AES-128-GCM under a key of one patient in one group.
//!
//! ```text
//!   group key = first 16 bytes of blake3 keyed with the patient's key of the epoch
//!                 ("vitals body 2026 group key v1", log id, salt of the group)
//!   nonce     = index of the entry in its group u32, append time u64   (little-endian)
//! ```
//! The salt is drawn anew for each group that is begun, also for one that takes the place of a torn
//! one, so that within one group key every nonce has another index. Two groups share a key only if
//! two salts of 32 random bytes are equal, or two hashes of 16 bytes: with 2^32 groups a patient
//! and epoch, once in 2^65.

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::key::{BodyEpoch, BodyKey};

/// By how many bytes a sealed body is longer.
pub const TAG_BYTES: usize = 16;

const DOMAIN: &[u8] = b"vitals body 2026 group key v1";
const GROUP_KEY_BYTES: usize = 16;

/// Where an entry stands in the journal, as far as that is known before it is written. Its position
/// is not: a group that is torn gives its positions to the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryPlace {
    /// Salt of the group.
    pub salt: [u8; 32],
    /// Place among its entries, from 0.
    pub index: u32,
    /// Append time.
    pub time: u64,
}

/// Seals bodies of one patient in one group.
pub struct GroupKey {
    epoch: BodyEpoch,
    key: LessSafeKey,
}

/// Names the epoch alone.
impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupKey({:?})", self.epoch)
    }
}

impl GroupKey {
    pub(crate) fn derive(epoch: BodyEpoch, key: &BodyKey, in_log: (&[u8; 16], &[u8; 32])) -> Self {
        let (log_id, salt) = in_log;
        let mut hash = blake3::Hasher::new_keyed(&key.0);
        // All of fixed length, so that no two pairs give the same bytes.
        hash.update(DOMAIN).update(log_id).update(salt);
        let mut derived = Zeroizing::new([0; GROUP_KEY_BYTES]);
        hash.finalize_xof().fill(derived.as_mut_slice());
        let key = UnboundKey::new(&AES_128_GCM, derived.as_slice());
        GroupKey { epoch, key: LessSafeKey::new(key.expect("a key of AES-128 has 16 bytes")) }
    }

    /// Which key of the patient it is from.
    pub fn epoch(&self) -> BodyEpoch {
        self.epoch
    }

    /// Seals what is to be hidden where it stands, and gives the tag that comes behind it. `clear`
    /// is what stands before it and opens to nobody who changes it.
    pub fn seal(&self, at: &EntryPlace, clear: &[u8], hidden: &mut [u8]) -> [u8; TAG_BYTES] {
        let sealed = self.key.seal_in_place_separate_tag(nonce(at), Aad::from(clear), hidden);
        let tag = sealed.expect("AES-GCM seals any body below 64 GiB");
        let mut bytes = [0; TAG_BYTES];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Opens what [`GroupKey::seal`] made of it, tag at its end, which is cut off; `false` for
    /// another place, other clear bytes or a changed byte.
    pub(crate) fn open(&self, at: &EntryPlace, clear: &[u8], sealed: &mut Vec<u8>) -> bool {
        let opened = self.key.open_in_place(nonce(at), Aad::from(clear), sealed);
        let Ok(length) = opened.map(|plain| plain.len()) else { return false };
        sealed.truncate(length);
        true
    }
}

/// The index makes it the only one under its key. The time is in it so that it is bound as well.
fn nonce(at: &EntryPlace) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&at.index.to_le_bytes());
    nonce[4..].copy_from_slice(&at.time.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: EntryPlace = EntryPlace { salt: [3; 32], index: 7, time: 9 };

    fn group_key(fill: u8, salt: [u8; 32]) -> GroupKey {
        GroupKey::derive(BodyEpoch(1), &BodyKey::of_slice(&[fill; 32]).unwrap(), (&[1; 16], &salt))
    }

    fn sealed(key: &GroupKey, at: &EntryPlace) -> Vec<u8> {
        let mut body = b"readings".to_vec();
        let tag = key.seal(at, b"clear", &mut body);
        [body, tag.to_vec()].concat()
    }

    #[test]
    fn a_body_opens_at_its_own_place_behind_its_own_clear_bytes_alone() {
        let key = group_key(1, PLACE.salt);
        let body = sealed(&key, &PLACE);
        assert_eq!(body.len(), 8 + TAG_BYTES);
        let opens = |key: &GroupKey, at: EntryPlace, clear: &[u8], mut body: Vec<u8>| {
            key.open(&at, clear, &mut body).then_some(body)
        };
        assert_eq!(opens(&key, PLACE, b"clear", body.clone()).unwrap(), b"readings");
        let elsewhere = [EntryPlace { index: 8, ..PLACE }, EntryPlace { time: 8, ..PLACE }];
        assert!(elsewhere.into_iter().all(|at| opens(&key, at, b"clear", body.clone()).is_none()));
        assert!(opens(&key, PLACE, b"cleat", body.clone()).is_none());
        for other in [group_key(2, PLACE.salt), group_key(1, [4; 32])] {
            assert!(opens(&other, PLACE, b"clear", body.clone()).is_none());
        }
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert!(opens(&key, PLACE, b"clear", changed).is_none(), "byte {at}");
        }
        assert!(opens(&key, PLACE, b"clear", body[..TAG_BYTES - 1].to_vec()).is_none());
    }

    #[test]
    fn equal_readings_look_different_in_each_group_entry_and_log() {
        let key = group_key(1, PLACE.salt);
        let body = sealed(&key, &PLACE);
        assert_ne!(body, sealed(&key, &EntryPlace { index: 8, ..PLACE }));
        // A group that is written again after it was torn has another salt.
        let again = EntryPlace { salt: [4; 32], ..PLACE };
        assert_ne!(body, sealed(&group_key(1, again.salt), &again));
        let key_of = BodyKey::of_slice(&[1; 32]).unwrap();
        let other_log = GroupKey::derive(BodyEpoch(1), &key_of, (&[2; 16], &PLACE.salt));
        assert_ne!(body, sealed(&other_log, &PLACE));
    }

    /// Vector: the bytes of the format, which no later version may change.
    #[test]
    fn the_bytes_of_a_sealed_body_are_those_of_the_page() {
        let found = hex::encode(sealed(&group_key(1, PLACE.salt), &PLACE));
        assert_eq!(found, include_str!("../vectors/body.hex").trim());
    }
}
