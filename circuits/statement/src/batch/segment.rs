//! Segments: what a batch says in public about the frames behind a collection.
//!
//! ```text
//!   frames --blake3--> content, length     (whoever has the frames)
//!   view key, chain, contract --> key      (whoever has the patient's opening)
//!   key over content, length, position --> digest: in the claim, and in the public list
//! ```
//! Threat note: a digest without a key could be computed for each reading that a frame may hold,
//! and would tell which it was. The list is sorted by digest, so that the order tells nothing, and
//! says of a length no more than its power of two.

use model::{ChainScope, DecodeError, Digest, Position, Reader, Word};
use zeroize::Zeroizing;

/// What keys the digests of one record's segments.
pub struct SegmentKey(Zeroizing<[u8; 32]>);

/// Prints nothing of it.
impl std::fmt::Debug for SegmentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SegmentKey(..)")
    }
}

/// The frames of a segment, as far as its digest goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFrames {
    /// blake3 of the frames as they are stored, one after the other.
    pub content: [u8; 32],
    /// The sum of their lengths.
    pub bytes: u64,
    /// Position of the last one, which is the claim's.
    pub position: Position,
}

impl SegmentKey {
    /// The key of a record, which has one view key for ever.
    pub fn derive(view_key: &Word, scope: ChainScope) -> SegmentKey {
        // All widths are fixed: no two deployments or view keys give the same material.
        let mut material = Zeroizing::new(view_key.to_bytes().to_vec());
        material.extend(scope.chain_id.to_be_bytes());
        material.extend(scope.contract);
        let key = blake3::derive_key("vitals rollup 2026 segment digest v2", &material);
        SegmentKey(Zeroizing::new(key))
    }

    /// The key as bytes, for whoever its patient shows readings to. It opens nothing; but with it a
    /// guess at all frames of a segment of this record, of now and of later, can be tested.
    pub fn to_bytes(&self) -> [u8; 32] {
        *self.0
    }

    /// The key that a patient has shown.
    pub fn from_bytes(bytes: [u8; 32]) -> SegmentKey {
        SegmentKey(Zeroizing::new(bytes))
    }

    /// The digest of a segment.
    pub fn digest(&self, frames: &SegmentFrames) -> Digest {
        let SegmentFrames { content, bytes, position } = frames;
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // With the position, so that the same frames sent twice do not look the same.
        hasher.update(content).update(&bytes.to_be_bytes()).update(&position.0.to_be_bytes());
        // 31 bytes, because a digest has to fit into one field element.
        let mut digest = [0; 31];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..31]);
        Digest(digest)
    }
}

/// A segment in the public list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentEntry {
    /// The one in its claim.
    pub digest: Digest,
    /// Its length is at most this: the next power of two, and at least
    /// [`SegmentEntry::BYTES_MAX_LEAST`].
    pub bytes_max: u64,
}

impl SegmentEntry {
    /// Length of the canonical bytes.
    pub const BYTES: usize = 31 + 8;
    /// What short segments are said to have at most: as much as one frame may have.
    pub const BYTES_MAX_LEAST: u64 = model::limits::FRAME_BYTES_MAX as u64;

    /// The entry of a segment of `bytes`.
    pub fn new(digest: Digest, bytes: u64) -> SegmentEntry {
        let least = bytes.max(SegmentEntry::BYTES_MAX_LEAST);
        // Beyond 2^63 there is no next power of two, and no disk.
        let bytes_max = least.checked_next_power_of_two().unwrap_or(1 << 63);
        SegmentEntry { digest, bytes_max }
    }

    /// Appends canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.digest.0);
        out.extend(self.bytes_max.to_be_bytes());
    }

    /// Reads one from a longer byte string.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<SegmentEntry, DecodeError> {
        let digest = Digest(reader.array()?);
        let least = SegmentEntry::BYTES_MAX_LEAST;
        let grid = |bytes: u64| (bytes >= least && bytes.is_power_of_two()).then_some(bytes);
        let bytes_max = reader.map("a power of two from 65536 on", Reader::u64, grid)?;
        Ok(SegmentEntry { digest, bytes_max })
    }
}

/// Puts segments into the order of the public list, by digest: the order in which they were cut
/// would tell which belong together.
pub fn sort_segments(segments: &mut [SegmentEntry]) {
    segments.sort_by_key(|segment| segment.digest.0);
}

/// Whether no two segments are equal and all stand by digest.
pub(super) fn are_sorted(segments: &[SegmentEntry]) -> bool {
    segments.is_sorted_by(|one, next| one.digest.0 < next.digest.0)
}

/// What a header commits to of its segments: blake3 over digest and `bytes_max` (u64, big-endian)
/// of each in order; zero for none.
pub fn data_root(segments: &[SegmentEntry]) -> [u8; 32] {
    if segments.is_empty() {
        return [0; 32];
    }
    // Fields have fixed widths, so that no two lists give the hasher the same bytes.
    let mut bytes = Vec::with_capacity(segments.len() * SegmentEntry::BYTES);
    segments.iter().for_each(|segment| segment.write(&mut bytes));
    *blake3::hash(&bytes).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(byte: u8, bytes: u64) -> SegmentEntry {
        SegmentEntry::new(Digest([byte; 31]), bytes)
    }

    #[test]
    fn the_data_root_binds_order_digests_and_lengths() {
        let root = data_root(&[entry(1, 5), entry(2, 6)]);
        assert_eq!(data_root(&[]), [0; 32]);
        assert_ne!(root, data_root(&[entry(2, 6), entry(1, 5)]));
        assert_ne!(root, data_root(&[entry(1, 5), entry(2, 1 << 20)]));
        assert_ne!(root, data_root(&[entry(1, 5)]));
    }

    #[test]
    fn a_length_is_said_to_the_power_of_two() {
        let said = |bytes| entry(1, bytes).bytes_max;
        assert_eq!([0, 1, 65_536].map(said), [65_536; 3]);
        assert_eq!([65_537, 100_000, 131_072].map(said), [131_072; 3]);
        assert_eq!(said(u64::MAX), 1 << 63);
        let read = |entry: SegmentEntry| {
            let mut bytes = Vec::new();
            entry.write(&mut bytes);
            SegmentEntry::read(&mut Reader::new(&bytes))
        };
        assert_eq!(read(entry(3, 7)), Ok(entry(3, 7)));
        for bytes_max in [0, 32_768, 65_537, u64::MAX] {
            assert!(read(SegmentEntry { bytes_max, ..entry(3, 7) }).is_err(), "{bytes_max}");
        }
    }

    #[test]
    fn a_digest_depends_on_key_deployment_frames_and_position() {
        let scope = ChainScope { chain_id: 1, contract: [2; 20] };
        let frames = SegmentFrames { content: [3; 32], bytes: 4, position: Position(5) };
        let digest = |view_key, scope, frames| {
            SegmentKey::derive(&Word::from_u64(view_key), scope).digest(&frames)
        };
        let other_chain = ChainScope { chain_id: 2, ..scope };
        let other_contract = ChainScope { contract: [1; 20], ..scope };
        let digests = [
            digest(1, scope, frames),
            digest(2, scope, frames),
            digest(1, other_chain, frames),
            digest(1, other_contract, frames),
            digest(1, scope, SegmentFrames { content: [4; 32], ..frames }),
            digest(1, scope, SegmentFrames { bytes: 5, ..frames }),
            digest(1, scope, SegmentFrames { position: Position(6), ..frames }),
        ];
        let distinct: std::collections::BTreeSet<_> = digests.iter().map(|one| one.0).collect();
        assert_eq!(distinct.len(), digests.len());
    }
}
