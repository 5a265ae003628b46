//! EdDSA over BabyJubJub with Poseidon, byte for byte that of circomlibjs (`signPoseidon`).
//!
//! # Which signatures are accepted
//! With the challenge `h = Poseidon(R8, A, message)`, an integer below `r`, a signature `(R8, S)`
//! of the key `A` is accepted if and only if `S B8 = R8 + h 8 A` and `h >> 126 < r >> 126`.
//!
//! * The second condition is what the circuit can ask for at the price of one range: it works with
//!   254 bits that are `h` modulo `r`, and of `h` and `h + r` never both have upper bits below
//!   those of `r`. So the circuit's witness, its rows and [`verify`] take one and the same set.
//! * About one challenge in `2^128` has the upper bits of `r` itself, and then no signature with
//!   this `R8` is accepted; [`sign`] takes its next nonce.
//! * A key is a point of the prime-order subgroup and not its neutral element; no other key exists.
//! * `S` is below `l`: [`Signature::decode`] refuses the rest. The circuit takes digits of any
//!   representative of `S` modulo `l`, which are the same signatures.
//! * `R8` is a point of the curve; the equation puts it into the subgroup, so that no relaxation by
//!   the cofactor remains.
//! * A signature is not unique: the signer can make others for the same message. Whoever needs each
//!   statement once must put a nonce into the message.

mod blake;

use crate::babyjubjub::{self, BabyJubJub, Point, PointError, Scalar};
use crate::domain::Domain;
use crate::{field, poseidon};
use ark_bn254::Fr;
use ark_ec::{AffineRepr, CurveConfig, CurveGroup};
use ark_ff::{BigInt, PrimeField};
use model::Word;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A key that signs. Its memory is overwritten when it is dropped.
///
/// Signing takes a time that depends on the key: for devices and tests, not for shared machines.
pub struct SecretKey {
    /// An eighth of circomlibjs's pruned scalar.
    scalar: Scalar,
    /// What makes nonces unpredictable.
    prefix: [u8; 32],
    public: PublicKey,
}

/// A point of the prime-order subgroup other than the neutral element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(Point);

/// A signature: a point of the curve and a reduced scalar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The commitment `R8`.
    pub r8: Point,
    /// The response `S`.
    pub s: Scalar,
}

/// Why bytes are no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The first 32 bytes.
    #[error("expected a packed point in the first half of a signature")]
    R8(#[from] PointError),
    /// The last 32 bytes.
    #[error("expected S below the order of the subgroup in the second half of a signature")]
    SNotReduced,
}

impl SecretKey {
    /// The key that circomlibjs derives from the same 32 bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        let mut digest = Zeroizing::new(blake::blake512(secret));
        // circomlibjs prunes as Ed25519 does: a multiple of 8, of a fixed length.
        digest[0] &= 0xf8;
        digest[31] = digest[31] & 0x7f | 0x40;
        let mut prefix = [0; 32];
        prefix.copy_from_slice(&digest[32..]);
        // The base point here is `Base8`; circomlibjs multiplies it by an eighth of the pruned
        // scalar.
        let eighth = BabyJubJub::COFACTOR_INV;
        let scalar = Scalar::from_le_bytes_mod_order(&digest[..32]) * eighth;
        let public = PublicKey(babyjubjub::multiply(&babyjubjub::base(), &scalar).into_affine());
        Self { scalar, prefix, public }
    }

    /// The key that verifies.
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.scalar.zeroize();
        self.prefix.zeroize();
    }
}

impl PublicKey {
    /// The key with these coordinates.
    ///
    /// # Errors
    /// A [`PointError`] unless they are a point of the subgroup other than the neutral element.
    pub fn new(x: Fr, y: Fr) -> Result<Self, PointError> {
        Self::from_point(babyjubjub::point(x, y)?)
    }

    /// Reads circomlibjs's `packPoint`.
    ///
    /// # Errors
    /// A [`PointError`] unless the bytes are the one packing of a point of the subgroup other than
    /// the neutral element.
    pub fn decode(bytes: &[u8; 32]) -> Result<Self, PointError> {
        Self::from_point(babyjubjub::unpack(bytes)?)
    }

    fn from_point(point: Point) -> Result<Self, PointError> {
        // Under the neutral element as key, everybody can sign everything.
        if point.is_zero() {
            return Err(PointError::Identity);
        }
        babyjubjub::in_subgroup(&point).then_some(Self(point)).ok_or(PointError::OutsideSubgroup)
    }

    /// Writes circomlibjs's `packPoint`.
    pub fn encode(&self) -> [u8; 32] {
        babyjubjub::pack(&self.0)
    }

    /// The point itself.
    pub fn point(&self) -> Point {
        self.0
    }

    /// The word by which records and rules name this key.
    pub fn hash(&self) -> Fr {
        poseidon::hash(Domain::KeyHash.tag(), &[self.0.x, self.0.y])
    }
}

impl Signature {
    /// Reads circomlibjs's `packSignature`: the packed `R8`, then `S` in little-endian order.
    ///
    /// # Errors
    /// A [`SignatureError`] if `R8` is no point of the curve or `S` is not reduced.
    pub fn decode(bytes: &[u8; 64]) -> Result<Self, SignatureError> {
        let (r8, s) = bytes.split_at(32);
        let r8 = babyjubjub::unpack(r8.try_into().expect("the first half"))?;
        let s = field::limbs_from_bytes_le(s.try_into().expect("the second half"));
        // Else `S + l` would be a second encoding of the same signature.
        let s = Scalar::from_bigint(s).ok_or(SignatureError::SNotReduced)?;
        Ok(Self { r8, s })
    }

    /// Writes circomlibjs's `packSignature`.
    pub fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&babyjubjub::pack(&self.r8));
        bytes[32..].copy_from_slice(&field::limbs_to_bytes_le(&self.s.into_bigint()));
        bytes
    }
}

/// Signs `message` as circomlibjs does; equal inputs give equal signatures.
pub fn sign(key: &SecretKey, message: Fr) -> Signature {
    // The first attempt is the signature of circomlibjs; with a chance of 2^-128 its challenge is
    // one that `verify` refuses, and the next nonce is as good.
    let mut attempts = (0u64..).filter_map(|attempt| sign_with(key, message, attempt));
    attempts.next().expect("all but one challenge in 2^128 are accepted")
}

/// The signature with the nonce of this attempt, unless its challenge is one that is refused.
fn sign_with(key: &SecretKey, message: Fr, attempt: u64) -> Option<Signature> {
    let nonce = nonce(key, message, attempt);
    let r8 = babyjubjub::multiply(&babyjubjub::base(), &nonce).into_affine();
    let h = challenge(&key.public, message, &r8);
    // Eight eighths: circomlibjs multiplies the challenge by the whole pruned scalar.
    let signature = Signature { r8, s: *nonce + reduce(&h) * Scalar::from(8u8) * key.scalar };
    has_one_form(&h).then_some(signature)
}

/// Derived and never drawn: a device without good randomness cannot repeat a nonce for two
/// messages, which would reveal its key.
fn nonce(key: &SecretKey, message: Fr, attempt: u64) -> Zeroizing<Scalar> {
    let mut seed = Zeroizing::new([0; 72]);
    seed[..32].copy_from_slice(&key.prefix);
    seed[32..64].copy_from_slice(&field::to_bytes_le(&message));
    seed[64..].copy_from_slice(&attempt.to_le_bytes());
    // The first as circomlibjs, which knows no attempts.
    let seed = if attempt == 0 { &seed[..64] } else { seed.as_slice() };
    let digest = Zeroizing::new(blake::blake512(seed));
    Zeroizing::new(Scalar::from_le_bytes_mod_order(digest.as_slice()))
}

/// Whether `signature` is one of `public` for `message`; see the module for the exact set.
pub fn verify(public: &PublicKey, message: Fr, signature: &Signature) -> bool {
    // The fields are public: a point that did not come through `decode` may be anything.
    if !signature.r8.is_on_curve() {
        return false;
    }
    let h = challenge(public, message, &signature.r8);
    if !has_one_form(&h) {
        return false;
    }
    // The key is not checked again: a `PublicKey` is a point of the subgroup, however it was made.
    let left = babyjubjub::multiply(&babyjubjub::base(), &signature.s) - signature.r8;
    babyjubjub::multiply(&public.0.mul_by_cofactor(), &reduce(&h)) == left
}

/// As [`verify`], of bytes: whether they are a signature of the key for the message. Bytes that are
/// no key or no signature at all verify nothing; which of the two was wrong helps nobody.
pub fn verify_bytes(public: &[u8; 32], message: Word, signature: &[u8; 64]) -> bool {
    match (PublicKey::decode(public), Signature::decode(signature)) {
        (Ok(public), Ok(signature)) => verify(&public, field::from_word(&message), &signature),
        _ => false,
    }
}

/// The word by which records and rules name the key with these bytes; none of what is no key.
pub fn hash_bytes(public: &[u8; 32]) -> Option<Word> {
    PublicKey::decode(public).ok().map(|public| field::to_word(&public.hash()))
}

/// The hash that binds a signature to its key and message.
pub fn challenge(public: &PublicKey, message: Fr, r8: &Point) -> Fr {
    poseidon::hash(Domain::Eddsa.tag(), &[r8.x, r8.y, public.0.x, public.0.y, message])
}

/// First of the upper bits of a challenge: 128 of its 254 lie from here on.
pub const CHALLENGE_UPPER: u32 = 126;
/// The upper bits of `r`: those of a challenge that is accepted lie below.
pub const CHALLENGE_UPPER_BOUND: u128 = upper_bits(&Fr::MODULUS);

/// Whether the circuit can hold `h` in one way only: `h + r` never passes, because its upper bits
/// are at least those of `r`.
fn has_one_form(h: &Fr) -> bool {
    upper_bits(&h.into_bigint()) < CHALLENGE_UPPER_BOUND
}

/// The bits from 126 to 253 of an integer that has no more.
const fn upper_bits(integer: &BigInt<4>) -> u128 {
    let [_, second, third, fourth] = integer.0;
    // 126 = 64 + 62: two bits of the second limb, then the third and 62 bits of the fourth.
    (second >> 62) as u128 | (third as u128) << 2 | (fourth as u128) << 66
}

fn reduce(h: &Fr) -> Scalar {
    // Modulo l, because l times any point of the subgroup, and 8 A is one, is the neutral element.
    Scalar::from_le_bytes_mod_order(&field::limbs_to_bytes_le(&h.into_bigint()))
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = blake3::hash(&self.encode()).to_hex();
        write!(f, "PublicKey(#{})", &digest[..8])
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = blake3::hash(&self.encode()).to_hex();
        write!(f, "Signature(#{})", &digest[..8])
    }
}

#[cfg(test)]
mod tests;
