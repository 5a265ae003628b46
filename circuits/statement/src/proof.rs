//! Groth16 proofs and verifying keys over BN254 in the layout that the chain uses.
//!
//! A [`Proof`] is 256 bytes and a [`VerifyingKey`] is a list of 32-byte big-endian words, both in
//! the order of [EIP-197](https://eips.ethereum.org/EIPS/eip-197): the imaginary part of an Fq2
//! element comes first. Whoever holds these two types and the public inputs can verify; nothing of
//! the prover is needed, which is what lets the auditor do without it.
//!
//! Decoding accepts exactly what the pairing precompile accepts in a proof: reduced coordinates, on
//! the curve, in the subgroup of order r, the point at infinity written as zeros. A verifying key
//! is held to more: no point of it may be infinity.

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInt, BigInteger, PrimeField};
use ark_groth16::{Groth16, PreparedVerifyingKey, prepare_verifying_key};
use sha3::{Digest, Keccak256};

/// Alpha of every development key: the ASCII bytes of "vitals-dev". A key whose first point is the
/// generator of G1 times this number was made from public toxic waste and proves anything.
pub const DEV_ALPHA: u128 = 0x7669_7461_6c73_2d64_6576;

/// A Groth16 proof whose points are on the curve and in their subgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    a: G1Affine,
    b: G2Affine,
    c: G1Affine,
}

impl Proof {
    /// Bytes of the canonical form: A.x, A.y, B.x.c1, B.x.c0, B.y.c1, B.y.c0, C.x, C.y.
    pub const BYTES: usize = 256;

    /// Takes over a proof of ark-groth16, whose points are trusted to be in their subgroup: it
    /// comes from a prover of this process. What comes from outside goes through [`Proof::decode`].
    pub fn from_ark(proof: &ark_groth16::Proof<Bn254>) -> Self {
        Self { a: proof.a, b: proof.b, c: proof.c }
    }

    /// The same proof in ark-groth16's type.
    pub fn to_ark(&self) -> ark_groth16::Proof<Bn254> {
        ark_groth16::Proof { a: self.a, b: self.b, c: self.c }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut words = Vec::with_capacity(8);
        push_g1(&mut words, &self.a);
        push_g2(&mut words, &self.b);
        push_g1(&mut words, &self.c);
        let mut bytes = [0; Self::BYTES];
        for (slot, word) in bytes.chunks_exact_mut(32).zip(&words) {
            slot.copy_from_slice(word);
        }
        bytes
    }

    /// Reads the canonical bytes of a proof from anywhere.
    ///
    /// # Errors
    /// [`PointError`] for a wrong length, a coordinate that is not reduced, a point off the curve
    /// or outside the subgroup.
    pub fn decode(bytes: &[u8]) -> Result<Self, PointError> {
        if bytes.len() != Self::BYTES {
            return Err(PointError::Length { expected: Self::BYTES, found: bytes.len() });
        }
        let words = to_words(bytes);
        Ok(Self { a: g1(&words, 0)?, b: g2(&words, 2)?, c: g1(&words, 6)? })
    }
}

/// A verifying key with its pairing precomputed; about 40 KiB of memory.
#[derive(Clone)]
pub struct VerifyingKey {
    prepared: Box<PreparedVerifyingKey<Bn254>>,
    id: [u8; 32],
}

impl VerifyingKey {
    /// Words before the first IC point: alpha, beta, gamma, delta.
    const FIXED_WORDS: usize = 2 + 3 * 4;

    /// Takes over a key of ark-groth16.
    ///
    /// # Errors
    /// [`PointError`] when there is no IC point, or a point is infinity, off its curve or outside
    /// its subgroup.
    pub fn from_ark(key: ark_groth16::VerifyingKey<Bn254>) -> Result<Self, PointError> {
        // By way of the words, so that one place decides which points a key may have.
        Self::from_words(&words_of(&key))
    }

    /// Reads the words of the on-chain layout.
    ///
    /// # Errors
    /// [`PointError`] as for a proof, and for a point at infinity, which would leave an input or a
    /// part of the equation unbound.
    pub fn from_words(words: &[[u8; 32]]) -> Result<Self, PointError> {
        let shortest = Self::FIXED_WORDS + 2;
        if words.len() < shortest || !words.len().is_multiple_of(2) {
            return Err(PointError::Length { expected: shortest * 32, found: words.len() * 32 });
        }
        // With alpha or beta at infinity anybody makes a proof from the key itself, with gamma no
        // input is bound, and an IC point at infinity frees its own.
        let key = ark_groth16::VerifyingKey {
            alpha_g1: finite(g1(words, 0)?, 0)?,
            beta_g2: finite(g2(words, 2)?, 2)?,
            gamma_g2: finite(g2(words, 6)?, 6)?,
            delta_g2: finite(g2(words, 10)?, 10)?,
            gamma_abc_g1: (Self::FIXED_WORDS..words.len())
                .step_by(2)
                .map(|word| finite(g1(words, word)?, word))
                .collect::<Result<_, _>>()?,
        };
        // Of the words as they came: with every coordinate reduced, they are the only form of this
        // key.
        let id = Keccak256::digest(words.concat()).into();
        Ok(Self { prepared: Box::new(prepare_verifying_key(&key)), id })
    }

    /// The on-chain layout: alpha G1 (x, y), beta G2 (x.c1, x.c0, y.c1, y.c0), gamma G2, delta G2,
    /// then the IC points (x, y), the first belonging to the constant one.
    pub fn key_words(&self) -> Vec<[u8; 32]> {
        words_of(self.ark())
    }

    /// keccak256 of [`VerifyingKey::key_words`]: the name of the key on chain and in receipts.
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// Number of public inputs, without the constant one.
    pub fn input_count(&self) -> usize {
        self.ark().gamma_abc_g1.len() - 1
    }

    /// Whether alpha is [`DEV_ALPHA`] or its negative: anyone can forge proofs under such a key.
    pub fn is_dev_insecure(&self) -> bool {
        // By the point and not by a list of ids: every development key has it, whatever its
        // circuit. By its first coordinate, as the contract does: of -alpha everybody knows the
        // logarithm as well.
        let public = (G1Affine::generator() * Fr::from(DEV_ALPHA)).into_affine();
        self.ark().alpha_g1.x == public.x
    }

    /// Whether gamma is delta: then nothing keeps inputs and witness apart, and proofs under the
    /// key can be made for other inputs.
    pub fn gamma_is_delta(&self) -> bool {
        self.ark().gamma_g2 == self.ark().delta_g2
    }

    /// The same key in ark-groth16's type.
    pub fn ark(&self) -> &ark_groth16::VerifyingKey<Bn254> {
        &self.prepared.vk
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyingKey({:02x?}.., {} inputs)", &self.id[..4], self.input_count())
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        // The rest was computed from it.
        self.ark() == other.ark()
    }
}

impl Eq for VerifyingKey {}

/// Checks a proof of the public `inputs` (without the constant one) under `key`.
///
/// ```
/// # use ark_bn254::{Bn254, G1Affine, G2Affine};
/// # use ark_ec::{AffineRepr, CurveGroup};
/// # use ark_ff::Field;
/// use ark_bn254::Fr;
/// use statement::proof::{Proof, VerifyError, VerifyingKey, verify};
///
/// # // A key of known secrets, and a true proof under it made from them.
/// # fn from_elsewhere() -> (Vec<[u8; 32]>, Vec<u8>) {
/// #     let in_g1 = |x: u64| (G1Affine::generator() * Fr::from(x)).into_affine();
/// #     let in_g2 = |x: u64| (G2Affine::generator() * Fr::from(x)).into_affine();
/// #     let key = ark_groth16::VerifyingKey::<Bn254> {
/// #         alpha_g1: in_g1(2), beta_g2: in_g2(3), gamma_g2: in_g2(5), delta_g2: in_g2(7),
/// #         gamma_abc_g1: vec![in_g1(11), in_g1(13)],
/// #     };
/// #     let bound = Fr::from(11 + 13 * 42);
/// #     let c = (Fr::from(17 * 19 - 2 * 3) - bound * Fr::from(5))
/// #         * Fr::from(7).inverse().unwrap();
/// #     let c = (G1Affine::generator() * c).into_affine();
/// #     let proof = ark_groth16::Proof { a: in_g1(17), b: in_g2(19), c };
/// #     let words = VerifyingKey::from_ark(key).unwrap().key_words();
/// #     (words, Proof::from_ark(&proof).encode().to_vec())
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The words as the chain keeps them, the proof as a public batch file holds it.
/// let (words, proof) = from_elsewhere();
/// let key = VerifyingKey::from_words(&words)?;
/// let proof = Proof::decode(&proof)?;
///
/// verify(&key, &[Fr::from(42)], &proof)?;
/// assert_eq!(verify(&key, &[Fr::from(43)], &proof), Err(VerifyError::Rejected));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`VerifyError::Inputs`] when their number is not the key's, [`VerifyError::Rejected`] when the
/// pairing equation does not hold.
pub fn verify(key: &VerifyingKey, inputs: &[Fr], proof: &Proof) -> Result<(), VerifyError> {
    if inputs.len() != key.input_count() {
        return Err(VerifyError::Inputs { expected: key.input_count(), found: inputs.len() });
    }
    // An error of arkworks says that inputs and key do not fit, which was excluded above; whatever
    // else it may come to say, it is no accepted proof.
    let held = Groth16::<Bn254>::verify_proof(&key.prepared, &proof.to_ark(), inputs);
    if matches!(held, Ok(true)) { Ok(()) } else { Err(VerifyError::Rejected) }
}

/// Why bytes or words are no proof or no verifying key. Words are counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// The length is not that of the type.
    #[error("expected {expected} bytes (a key: or more, in whole points), found {found}")]
    Length {
        /// Bytes expected, or the fewest.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A coordinate has a second form: it is not below the modulus of the base field.
    #[error("word {word}: expected a coordinate below the base field modulus, found a larger one")]
    NotReduced {
        /// Index of the coordinate.
        word: usize,
    },
    /// A point does not satisfy the curve equation.
    #[error("the point that begins at word {word} is not on its curve")]
    NotOnCurve {
        /// Index of the point's first word.
        word: usize,
    },
    /// A point of G2 has a component outside the subgroup of order r.
    #[error("the point that begins at word {word} is not in the subgroup of order r")]
    NotInSubgroup {
        /// Index of the point's first word.
        word: usize,
    },
    /// A point of a verifying key is infinity.
    #[error("the point of the verifying key that begins at word {word} is infinity")]
    Infinity {
        /// Index of the point's first word.
        word: usize,
    },
}

/// Why a proof is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Another number of public inputs than the key has.
    #[error("expected {expected} public inputs, found {found}")]
    Inputs {
        /// The key's number.
        expected: usize,
        /// The caller's number.
        found: usize,
    },
    /// The pairing equation does not hold.
    #[error("the proof does not hold for these public inputs under this key")]
    Rejected,
}

fn words_of(key: &ark_groth16::VerifyingKey<Bn254>) -> Vec<[u8; 32]> {
    let mut words = Vec::with_capacity(VerifyingKey::FIXED_WORDS + 2 * key.gamma_abc_g1.len());
    push_g1(&mut words, &key.alpha_g1);
    for point in [&key.beta_g2, &key.gamma_g2, &key.delta_g2] {
        push_g2(&mut words, point);
    }
    for point in &key.gamma_abc_g1 {
        push_g1(&mut words, point);
    }
    words
}

fn push_g1(words: &mut Vec<[u8; 32]>, point: &G1Affine) {
    // Infinity has no coordinates. Zeros can stand for it, as (0, 0) is not on this curve or its
    // twist.
    let (x, y) = point.xy().unwrap_or_default();
    words.extend([word(&x), word(&y)]);
}

fn push_g2(words: &mut Vec<[u8; 32]>, point: &G2Affine) {
    let (x, y) = point.xy().unwrap_or_default();
    words.extend([word(&x.c1), word(&x.c0), word(&y.c1), word(&y.c0)]);
}

fn word(value: &Fq) -> [u8; 32] {
    let mut word = [0; 32];
    word.copy_from_slice(&value.into_bigint().to_bytes_be());
    word
}

fn to_words(bytes: &[u8]) -> Vec<[u8; 32]> {
    let (words, _) = bytes.as_chunks::<32>();
    words.to_vec()
}

fn coordinate(words: &[[u8; 32]], at: usize) -> Result<Fq, PointError> {
    let mut limbs = [0; 4];
    let (chunks, _) = words[at].as_chunks::<8>();
    for (limb, chunk) in limbs.iter_mut().rev().zip(chunks) {
        *limb = u64::from_be_bytes(*chunk);
    }
    // Refused and not reduced: x and x + p would be two forms of one proof.
    Fq::from_bigint(BigInt::new(limbs)).ok_or(PointError::NotReduced { word: at })
}

fn g1(words: &[[u8; 32]], at: usize) -> Result<G1Affine, PointError> {
    if words[at..at + 2].iter().all(|word| *word == [0; 32]) {
        return Ok(G1Affine::zero());
    }
    // The cofactor of G1 is one: on the curve is in the group.
    let point = G1Affine::new_unchecked(coordinate(words, at)?, coordinate(words, at + 1)?);
    if point.is_on_curve() { Ok(point) } else { Err(PointError::NotOnCurve { word: at }) }
}

fn g2(words: &[[u8; 32]], at: usize) -> Result<G2Affine, PointError> {
    if words[at..at + 4].iter().all(|word| *word == [0; 32]) {
        return Ok(G2Affine::zero());
    }
    let x = Fq2::new(coordinate(words, at + 1)?, coordinate(words, at)?);
    let y = Fq2::new(coordinate(words, at + 3)?, coordinate(words, at + 2)?);
    let point = G2Affine::new_unchecked(x, y);
    if !point.is_on_curve() {
        return Err(PointError::NotOnCurve { word: at });
    }
    // The pairing is defined on the subgroup only; the precompile refuses other points too.
    if !point.is_in_correct_subgroup_assuming_on_curve() {
        return Err(PointError::NotInSubgroup { word: at });
    }
    Ok(point)
}

fn finite<P: AffineRepr>(point: P, word: usize) -> Result<P, PointError> {
    if point.is_zero() { Err(PointError::Infinity { word }) } else { Ok(point) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{Field, UniformRand, Zero};
    use ark_std::rand::{SeedableRng, rngs::StdRng};

    /// A key with known toxic waste and a true proof under it, made in the exponent.
    fn sample(alpha: Fr, inputs: &[Fr]) -> (VerifyingKey, Proof) {
        let mut rng = StdRng::seed_from_u64(7);
        let mut draw = || Fr::rand(&mut rng);
        let (beta, gamma, delta, a, b) = (draw(), draw(), draw(), draw(), draw());
        let ic: Vec<Fr> = (0..=inputs.len()).map(|_| draw()).collect();
        let bound = ic[0] + inputs.iter().zip(&ic[1..]).map(|(x, y)| *x * y).sum::<Fr>();
        let c = (a * b - alpha * beta - bound * gamma) * delta.inverse().expect("not zero");
        let in_g1 = |x: Fr| (G1Affine::generator() * x).into_affine();
        let in_g2 = |x: Fr| (G2Affine::generator() * x).into_affine();
        let key = ark_groth16::VerifyingKey {
            alpha_g1: in_g1(alpha),
            beta_g2: in_g2(beta),
            gamma_g2: in_g2(gamma),
            delta_g2: in_g2(delta),
            gamma_abc_g1: ic.into_iter().map(in_g1).collect(),
        };
        let proof = Proof { a: in_g1(a), b: in_g2(b), c: in_g1(c) };
        (VerifyingKey::from_ark(key).expect("a sound key"), proof)
    }

    #[test]
    fn a_true_proof_is_accepted_and_every_changed_input_is_rejected() {
        let inputs = [Fr::from(3), Fr::from(5)];
        let (key, proof) = sample(Fr::from(11), &inputs);
        assert_eq!(verify(&key, &inputs, &proof), Ok(()));
        for at in 0..inputs.len() {
            let mut wrong = inputs;
            wrong[at] += Fr::from(1);
            assert_eq!(verify(&key, &wrong, &proof), Err(VerifyError::Rejected));
        }
        let short = verify(&key, &inputs[..1], &proof);
        assert_eq!(short, Err(VerifyError::Inputs { expected: 2, found: 1 }));
    }

    #[test]
    fn proofs_and_keys_survive_their_own_encoding() {
        let (key, proof) = sample(Fr::from(11), &[Fr::from(3)]);
        assert_eq!(Proof::decode(&proof.encode()), Ok(proof));
        let again = VerifyingKey::from_words(&key.key_words()).expect("own words");
        assert_eq!((again.id(), &again), (key.id(), &key));
        assert_eq!(key.key_words().len(), 14 + 2 * 2);
    }

    #[test]
    fn a_proof_with_one_flipped_bit_is_never_accepted() {
        let inputs = [Fr::from(3)];
        let (key, proof) = sample(Fr::from(11), &inputs);
        let bytes = proof.encode();
        for at in (0..Proof::BYTES).step_by(5) {
            let mut flipped = bytes;
            flipped[at] ^= 1 << (at % 8);
            let accepted =
                Proof::decode(&flipped).is_ok_and(|proof| verify(&key, &inputs, &proof).is_ok());
            assert!(!accepted, "bit of byte {at}");
        }
    }

    #[test]
    fn decoding_refuses_lengths_large_coordinates_and_points_off_the_curve() {
        let (_, proof) = sample(Fr::from(11), &[Fr::from(3)]);
        let bytes = proof.encode();
        let short = Proof::decode(&bytes[..255]);
        assert_eq!(short, Err(PointError::Length { expected: 256, found: 255 }));
        for word in 0..8 {
            let mut large = bytes;
            large[word * 32..word * 32 + 32].copy_from_slice(&Fq::MODULUS.to_bytes_be());
            assert_eq!(Proof::decode(&large), Err(PointError::NotReduced { word }));
        }
        for word in [0, 2, 6] {
            let mut off = bytes;
            off[word * 32 + 31] ^= 1;
            assert_eq!(Proof::decode(&off), Err(PointError::NotOnCurve { word }));
        }
    }

    #[test]
    fn decoding_refuses_a_g2_point_outside_the_subgroup() {
        let (_, proof) = sample(Fr::from(11), &[Fr::from(3)]);
        let outside = (1u64..)
            .filter_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
            .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
            .expect("most points are outside");
        let bad = Proof { b: outside, ..proof };
        assert_eq!(Proof::decode(&bad.encode()), Err(PointError::NotInSubgroup { word: 2 }));
    }

    #[test]
    fn infinity_is_zeros_in_a_proof_and_refused_in_a_key() {
        let (key, proof) = sample(Fr::from(11), &[Fr::from(3)]);
        let none = Proof { c: G1Affine::zero(), ..proof };
        assert_eq!(none.encode()[192..], [0; 64]);
        assert_eq!(Proof::decode(&none.encode()), Ok(none));
        for (word, len) in [(0, 2), (2, 4), (6, 4), (10, 4), (14, 2), (16, 2)] {
            let mut words = key.key_words();
            words[word..word + len].fill([0; 32]);
            let refused = VerifyingKey::from_words(&words).err();
            assert_eq!(refused, Some(PointError::Infinity { word }));
        }
    }

    #[test]
    fn a_key_needs_whole_points_and_at_least_one_ic_point() {
        let (key, _) = sample(Fr::from(11), &[]);
        let words = key.key_words();
        for len in [0, 14, 15] {
            assert!(VerifyingKey::from_words(&words[..len]).is_err(), "{len} words");
        }
    }

    #[test]
    fn a_development_key_is_recognised_by_its_first_point() {
        let text: u128 = b"vitals-dev".iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        assert_eq!(DEV_ALPHA, text);
        assert!(sample(Fr::from(DEV_ALPHA), &[]).0.is_dev_insecure());
        assert!(sample(-Fr::from(DEV_ALPHA), &[]).0.is_dev_insecure());
        assert!(!sample(Fr::from(11), &[]).0.is_dev_insecure());
        assert!(!Fr::from(DEV_ALPHA).is_zero());
    }
}
