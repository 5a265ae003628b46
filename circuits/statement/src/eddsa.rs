//! EdDSA over BabyJubJub with Poseidon, byte for byte that of circomlibjs (`signPoseidon`).
//!
//! # Which signatures are accepted
//! With the challenge `h = Poseidon(R8, A, message)`, a signature `(R8, S)` of the key `A` is
//! accepted if and only if `S B8 = R8 + h' 8 A` for an `h'` below `2^254` with `h' = h` modulo `r`.
//! So `h'` is `h`, or `h + r` where that fits: the circuit splits `h` into 254 bits without asking
//! for the canonical ones, and its native twin must take the same set. This doubles a forger's
//! chance per attempted challenge, one bit of about 125, and changes nothing for honest signers.
//!
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
use ark_ff::{BigInteger, PrimeField};
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
    let mut seed = Zeroizing::new([0; 64]);
    seed[..32].copy_from_slice(&key.prefix);
    seed[32..].copy_from_slice(&field::to_bytes_le(&message));
    // Derived and never drawn: a device without good randomness cannot repeat a nonce for two
    // messages, which would reveal its key.
    let digest = Zeroizing::new(blake::blake512(seed.as_slice()));
    let nonce = Zeroizing::new(Scalar::from_le_bytes_mod_order(digest.as_slice()));
    let r8 = babyjubjub::multiply(&babyjubjub::base(), &nonce).into_affine();
    // Of the two challenges that `verify` takes, the one that circomlibjs signs.
    let h = reduce(&challenge(&key.public, message, &r8));
    // Eight eighths: circomlibjs multiplies the challenge by the whole pruned scalar.
    Signature { r8, s: *nonce + h * Scalar::from(8u8) * key.scalar }
}

/// Whether `signature` is one of `public` for `message`; see the module for the exact set.
pub fn verify(public: &PublicKey, message: Fr, signature: &Signature) -> bool {
    // The fields are public: a point that did not come through `decode` may be anything.
    if !signature.r8.is_on_curve() {
        return false;
    }
    // The key is not checked again: a `PublicKey` is a point of the subgroup, however it was made.
    // R8 goes to this side, so that both challenges are compared with one sum.
    let left = babyjubjub::multiply(&babyjubjub::base(), &signature.s) - signature.r8;
    let key = public.0.mul_by_cofactor();
    let h = challenge(public, message, &signature.r8);
    challenges(&h).iter().any(|h| babyjubjub::multiply(&key, h) == left)
}

/// The hash that binds a signature to its key and message.
pub fn challenge(public: &PublicKey, message: Fr, r8: &Point) -> Fr {
    poseidon::hash(Domain::Eddsa.tag(), &[r8.x, r8.y, public.0.x, public.0.y, message])
}

/// Every integer of 254 bits that is `h` modulo `r`, modulo `l`.
fn challenges(h: &Fr) -> Vec<Scalar> {
    // The circuit's 254 bits hold h, and h + r where that is below 2^254.
    let mut alias = h.into_bigint();
    // Nothing is carried out: the sum is below 2^255, and the limbs hold 256 bits.
    alias.add_with_carry(&Fr::MODULUS);
    let alias = (alias.num_bits() <= Fr::MODULUS_BIT_SIZE).then(|| reduce_integer(&alias));
    [Some(reduce(h)), alias].into_iter().flatten().collect()
}

fn reduce(h: &Fr) -> Scalar {
    reduce_integer(&h.into_bigint())
}

fn reduce_integer(integer: &<Fr as PrimeField>::BigInt) -> Scalar {
    // Modulo l, because l times any point of the subgroup, and 8 A is one, is the neutral element.
    Scalar::from_le_bytes_mod_order(&field::limbs_to_bytes_le(integer))
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
