//! The key that signs receipts, and whose a signature is: ECDSA over secp256k1, as the base chain's
//! `ecrecover` takes it.
//!
//! A busy gateway checks thousands of receipts a second: libsecp256k1 recovers a signer in a fifth
//! of the time that the curve in Rust takes.

use std::fmt;
use std::sync::LazyLock;

use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{All, Message, PublicKey, Secp256k1, SecretKey};
use thiserror::Error;

use crate::Address;
use crate::hash::keccak;

/// r, s, v (27 or 28).
pub(crate) type SignatureBytes = [u8; 65];

/// The tables of the curve, made once.
static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// Half of the curve's order, rounded down: the largest s (EIP-2).
const S_MAX: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// A key that signs receipts. Erased when it is dropped.
#[derive(Clone)]
pub struct SigningKey(SecretKey);

/// Bytes that are no key: not 32, zero, or not below the curve's order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected 32 bytes above zero and below the order of secp256k1")]
pub struct NoSigningKey;

impl SigningKey {
    /// From 32 bytes, the highest first.
    ///
    /// # Errors
    /// [`NoSigningKey`].
    pub fn from_slice(bytes: &[u8]) -> Result<SigningKey, NoSigningKey> {
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| NoSigningKey)?;
        SecretKey::from_byte_array(bytes).map(SigningKey).map_err(|_| NoSigningKey)
    }

    /// Signs a digest deterministically (RFC 6979), with the smaller s.
    pub(crate) fn sign(&self, digest: [u8; 32]) -> SignatureBytes {
        let signature = CURVE.sign_ecdsa_recoverable(Message::from_digest(digest), &self.0);
        let (recovery, compact) = signature.serialize_compact();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&compact);
        // 2 and 3 are of an x beyond the order, which nobody has ever met.
        bytes[64] = 27 + i32::from(recovery) as u8;
        bytes
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

/// Prints nothing of the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The address of a receipt key: the last 20 bytes of keccak256 of its uncompressed point.
pub fn signer_address(key: &SigningKey) -> Address {
    address_of(&PublicKey::from_secret_key(&CURVE, &key.0))
}

/// Who signed a digest; none for a high s, another v, or where it is no key's.
pub(crate) fn recover(digest: [u8; 32], signature: &SignatureBytes) -> Option<Address> {
    // One receipt has one encoding: contracts and sets of evidence compare bytes.
    if signature[32..64] > S_MAX[..] {
        return None;
    }
    let recovery = match signature[64] {
        27 => RecoveryId::Zero,
        28 => RecoveryId::One,
        _ => return None,
    };
    let signature = RecoverableSignature::from_compact(&signature[..64], recovery).ok()?;
    let key = CURVE.recover_ecdsa(Message::from_digest(digest), &signature).ok()?;
    Some(address_of(&key))
}

fn address_of(key: &PublicKey) -> Address {
    // Without the byte that names the encoding: the chain hashes the two coordinates alone.
    let hash = keccak(&[&key.serialize_uncompressed()[1..]]);
    let mut address = [0; 20];
    address.copy_from_slice(&hash[12..]);
    Address(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: [u8; 32] = [5; 32];

    fn key() -> SigningKey {
        SigningKey::from_slice(&[0x42; 32]).expect("a key")
    }

    /// n - s, the other s of the same signature.
    fn with_other_s(mut signature: SignatureBytes) -> SignatureBytes {
        let mut borrow = 0;
        for at in (0..32).rev() {
            // The order is twice the half, and one.
            let carry = S_MAX.get(at + 1).map_or(1, |next| next >> 7);
            let order = (S_MAX[at] << 1) | carry;
            let difference = i32::from(order) - i32::from(signature[32 + at]) - borrow;
            borrow = i32::from(difference < 0);
            signature[32 + at] = difference.rem_euclid(256) as u8;
        }
        signature[64] = 55 - signature[64];
        signature
    }

    #[test]
    fn a_signature_names_its_signer_and_is_the_same_each_time() {
        let signature = key().sign(DIGEST);
        assert_eq!(recover(DIGEST, &signature), Some(signer_address(&key())));
        assert_eq!(key().sign(DIGEST), signature);
        assert_ne!(recover([6; 32], &signature), Some(signer_address(&key())));
    }

    #[test]
    fn another_form_of_the_same_signature_is_refused() {
        let sound = key().sign(DIGEST);
        let high = with_other_s(sound);
        assert_eq!(recover(DIGEST, &high), None, "a high s");
        assert_eq!(with_other_s(high), sound);
        for v in [0, 1, 26, 29, 30, 255] {
            let mut other = sound;
            other[64] = v;
            assert_eq!(recover(DIGEST, &other), None, "v {v}");
        }
        for part in [0..32, 32..64] {
            for byte in [0, 0xff] {
                let mut other = sound;
                other[part.clone()].fill(byte);
                assert_eq!(recover(DIGEST, &other), None, "{part:?} all {byte}");
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_a_key_is_never_printed() {
        for bytes in [&[0; 32][..], &[0xff; 32], &[1; 31], &[1; 33], &[]] {
            assert_eq!(SigningKey::from_slice(bytes).expect_err("no key"), NoSigningKey);
        }
        assert_eq!(format!("{:?}", key()), "SigningKey(..)");
    }
}
