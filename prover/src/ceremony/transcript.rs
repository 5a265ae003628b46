//! What contributors left: a chain from the first delta to the last, each link signed by knowledge.
//!
//! A contributor with the number d shows `s` and `d * s` in G1, and `d * p` in G2, where `p`
//! follows from everything before it and from `s` and `d * s`. So nobody can show a link without
//! knowing d, nor move it to another place. Delta after the link is d times delta before it.

use ark_bn254::{Bn254, Fq, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, PrimeField};
use blake2::{Blake2b512, Digest};
use sha2::Sha256;

use super::draw::Draw;
use super::error::TranscriptError;
use super::points::{G1_BYTES, G2_BYTES, one_g1, one_g2};

/// Most hashes of a beacon that are computed again, as a power of two; a minute or so.
const BEACON_HASHES_LOG2_MAX: u8 = 30;

/// The record of a second phase.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// Hash of the `.zkey` that the ceremony began with, as snarkjs computes it.
    circuit: [u8; 64],
    links: Vec<Link>,
    hash: [u8; 32],
}

/// A contribution that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Who it says it is from.
    pub contributor: Contributor,
    /// What snarkjs showed its maker as the contribution hash, to publish.
    pub hash: [u8; 64],
}

/// Where a contribution's number came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contributor {
    /// From whoever says to have this name. Anybody may have written it.
    Named(String),
    /// From a public value that nobody could know before, hashed 2 to this many times.
    Beacon {
        /// The public value.
        value: Vec<u8>,
        /// Logarithm of the number of hashes.
        hashes_log2: u8,
    },
}

#[derive(Clone, Debug)]
struct Link {
    delta: G1Affine,
    s: G1Affine,
    ds: G1Affine,
    dp: G2Affine,
    /// Hash of everything before, and of `s` and `ds`.
    challenge: [u8; 64],
    contributor: Contributor,
}

impl Transcript {
    /// Reads the section of a `.zkey`.
    pub(super) fn parse(section: &[u8]) -> Result<Self, TranscriptError> {
        let mut rest = section;
        let shape = |at| TranscriptError::Shape { at };
        let circuit = *take(&mut rest).ok_or(shape(0))?;
        let count = number(&mut rest).ok_or(shape(0))?;
        let mut links = vec![];
        for at in 1..=count as usize {
            links.push(Link::parse(&mut rest, at)?);
        }
        if !rest.is_empty() {
            return Err(shape(links.len()));
        }
        Ok(Self { circuit, links, hash: *blake3::hash(section).as_bytes() })
    }

    /// The name of the transcript in a key file: BLAKE3 of the section's bytes.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The hash that snarkjs shows as "Circuit Hash" to each contributor. It is the ceremony's name
    /// for what it began with; that the key is this circuit's is checked without it.
    pub fn circuit(&self) -> [u8; 64] {
        self.circuit
    }

    /// How many contributed, beacons included.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether nobody did.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Delta after the last contribution.
    pub(super) fn delta(&self) -> Option<G1Affine> {
        self.links.last().map(|link| link.delta)
    }

    /// Follows the chain from the generator on: each link is in its place, its maker knew its
    /// number, delta moved by this number, and a beacon's number follows from its value. Some
    /// milliseconds a link, and a beacon's hashes.
    ///
    /// # Errors
    /// [`TranscriptError`], which names the first contribution that does not hold.
    pub fn verify(&self) -> Result<Vec<Contribution>, TranscriptError> {
        let mut before = Blake2b512::new().chain_update(self.circuit);
        let mut delta = G1Affine::generator();
        let mut contributions = vec![];
        for (at, link) in (1..).zip(&self.links) {
            link.verify(at, before.clone(), delta)?;
            link.hash_into(&mut before);
            delta = link.delta;
            let mut own = Blake2b512::new();
            link.hash_into(&mut own);
            let hash = own.finalize().into();
            contributions.push(Contribution { contributor: link.contributor.clone(), hash });
        }
        Ok(contributions)
    }
}

impl Link {
    fn parse(rest: &mut &[u8], at: usize) -> Result<Self, TranscriptError> {
        let shape = TranscriptError::Shape { at };
        let mut g1 = || {
            let bytes = take::<G1_BYTES>(rest).ok_or(TranscriptError::Shape { at })?;
            let point = one_g1(bytes).filter(|point| !point.is_zero());
            point.ok_or(TranscriptError::Point { at })
        };
        let (delta, s, ds) = (g1()?, g1()?, g1()?);
        let bytes = take::<G2_BYTES>(rest).ok_or(shape.clone())?;
        let dp = one_g2(bytes).filter(|point| !point.is_zero());
        let dp = dp.ok_or(TranscriptError::Point { at })?;
        let challenge = *take(rest).ok_or(shape.clone())?;
        let contributor = contributor(rest).ok_or(shape)?;
        Ok(Self { delta, s, ds, dp, challenge, contributor })
    }

    fn verify(
        &self,
        at: usize,
        before: Blake2b512,
        delta: G1Affine,
    ) -> Result<(), TranscriptError> {
        let challenge = before.chain_update(uncompressed_g1(self.s));
        let challenge: [u8; 64] =
            challenge.chain_update(uncompressed_g1(self.ds)).finalize().into();
        if challenge != self.challenge {
            return Err(TranscriptError::Order { at });
        }
        let p = Draw::seeded(&self.challenge).g2();
        if !same_ratio([self.s, self.ds], [p, self.dp]) {
            return Err(TranscriptError::Unproven { at });
        }
        if !same_ratio([delta, self.delta], [p, self.dp]) {
            return Err(TranscriptError::Moved { at });
        }
        match &self.contributor {
            Contributor::Named(_) => Ok(()),
            Contributor::Beacon { value, hashes_log2 } => {
                self.verify_beacon(at, value, *hashes_log2)
            }
        }
    }

    fn verify_beacon(&self, at: usize, value: &[u8], log2: u8) -> Result<(), TranscriptError> {
        // A stranger's number: the program must not hash for years because a file says so.
        if log2 > BEACON_HASHES_LOG2_MAX {
            let most = BEACON_HASHES_LOG2_MAX;
            return Err(TranscriptError::BeaconHashes { at, most, found: log2 });
        }
        let first: [u8; 32] = Sha256::digest(value).into();
        let last = (1..1u64 << log2).fold(first, |hash, _| Sha256::digest(hash).into());
        let mut draw = Draw::seeded(&last);
        let (d, s) = (draw.scalar(), draw.g1());
        if (s, (s * d).into_affine()) == (self.s, self.ds) {
            Ok(())
        } else {
            Err(TranscriptError::Beacon { at })
        }
    }

    fn hash_into(&self, hasher: &mut Blake2b512) {
        for point in [self.delta, self.s, self.ds] {
            hasher.update(uncompressed_g1(point));
        }
        hasher.update(uncompressed_g2(self.dp));
        hasher.update(self.challenge);
    }
}

/// Whether the second points are the first ones times the same number.
pub(super) fn same_ratio([a, b]: [G1Affine; 2], [p, q]: [G2Affine; 2]) -> bool {
    // Infinity would be any multiple of itself.
    if a.is_zero() || b.is_zero() || p.is_zero() || q.is_zero() {
        return false;
    }
    Bn254::multi_pairing([a, -b], [q, p]).0 == ark_ff::Field::ONE
}

/// The kind of a contribution and what it says of itself: parameters in ascending order, each with
/// its length.
fn contributor(rest: &mut &[u8]) -> Option<Contributor> {
    let kind = number(rest)?;
    let bytes = number(rest)? as usize;
    let (mut parameters, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    let (mut name, mut hashes_log2, mut value) = (vec![], None, None);
    let mut last = 0;
    while let Some((number, more)) = parameters.split_first() {
        let (len, more) = more.split_first()?;
        if *number <= last {
            return None;
        }
        last = *number;
        // The second parameter is its own value; the others have a length before theirs.
        let taken = if *number == 2 { 0 } else { usize::from(*len) };
        let (content, more) = more.split_at_checked(taken)?;
        parameters = more;
        match number {
            1 => name = content.to_vec(),
            2 => hashes_log2 = Some(*len),
            3 => value = Some(content.to_vec()),
            _ => return None,
        }
    }
    match (kind, hashes_log2, value) {
        (0, None, None) => Some(Contributor::Named(String::from_utf8_lossy(&name).into_owned())),
        (1, Some(hashes_log2), Some(value)) => Some(Contributor::Beacon { value, hashes_log2 }),
        _ => None,
    }
}

fn take<'a, const BYTES: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; BYTES]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(|bytes| u32::from_le_bytes(*bytes))
}

fn uncompressed_g1(point: G1Affine) -> Vec<u8> {
    [point.x, point.y].iter().flat_map(big_endian).collect()
}

fn uncompressed_g2(point: G2Affine) -> Vec<u8> {
    [point.x.c1, point.x.c0, point.y.c1, point.y.c0].iter().flat_map(big_endian).collect()
}

fn big_endian(value: &Fq) -> Vec<u8> {
    value.into_bigint().to_bytes_be()
}
