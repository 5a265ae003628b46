//! One manifest: what was archived in one go, and which manifest came before it.

use std::fmt;

/// First bytes of every manifest.
const MAGIC: [u8; 8] = *b"VITLMANI";
/// What is written, and all that is read.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 92;
const FILE_BYTES: usize = 152;
const BATCH_BYTES: usize = 48;
const HASH_BYTES: usize = 32;

/// A sealed file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its number in the journal.
    pub file: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// blake3 of all its bytes: the object's name.
    pub digest: [u8; 32],
    /// Its first and last group.
    pub first_group: u64,
    /// See `first_group`.
    pub last_group: u64,
    /// The positions of its first and last entry.
    pub first_position: u64,
    /// See `first_position`.
    pub last_position: u64,
    /// When its last entry was appended: milliseconds since 1900-01-01T00:00:00Z.
    pub last_time: u64,
    /// Journal hash before its first group and after its last one.
    pub hash_before: [u8; 32],
    /// See `hash_before`.
    pub hash_after: [u8; 32],
}

/// The public file of a settled batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    /// The batch's number.
    pub batch: u64,
    /// The file's length in bytes.
    pub bytes: u64,
    /// blake3 of all its bytes: the object's name.
    pub digest: [u8; 32],
}

/// What was archived in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Journal hash before the first group: which deployment's journal it is.
    pub genesis: [u8; 32],
    /// Its number, from 1.
    pub number: u64,
    /// blake3 of the manifest before it; zeros in the first.
    pub previous: [u8; 32],
    /// Files of the journal, in order.
    pub files: Vec<FileEntry>,
    /// Public batch files, in order.
    pub batches: Vec<BatchEntry>,
}

/// Bytes that are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The first bytes are another thing's.
    #[error("expected a manifest of an archive, found other bytes")]
    Magic,
    /// It is of a version that this program does not know.
    #[error("manifest version: expected {VERSION}, found {found}: read it with a later release")]
    Version {
        /// Found.
        found: u32,
    },
    /// It names more than one may.
    #[error("{what} of a manifest: expected at most {most}, found {found}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// Most of them.
        most: usize,
        /// Found.
        found: u32,
    },
    /// It is shorter or longer than what it names.
    #[error("manifest: expected {expected} bytes, found {found}")]
    Length {
        /// Bytes of what it names.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// Its hash is another one.
    #[error("manifest: expected the hash at its end to be that of the bytes before, found another")]
    Hash,
}

impl Manifest {
    /// Most files of the journal in one.
    pub const FILES_MAX: usize = 1_024;
    /// Most batch files in one.
    pub const BATCHES_MAX: usize = 4_096;
    /// Longest manifest, bytes.
    pub const BYTES_MAX: usize =
        HEADER_BYTES + Self::FILES_MAX * FILE_BYTES + Self::BATCHES_MAX * BATCH_BYTES + HASH_BYTES;

    /// The bytes, which `docs/archive.md` lays out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Manifest { genesis, number, previous, files, batches } = self;
        let mut out = Vec::with_capacity(length(files.len(), batches.len()));
        out.extend(MAGIC);
        out.extend(VERSION.to_be_bytes());
        out.extend(genesis);
        out.extend(number.to_be_bytes());
        out.extend(previous);
        out.extend((files.len() as u32).to_be_bytes());
        out.extend((batches.len() as u32).to_be_bytes());
        for entry in files {
            out.extend(entry.file.to_be_bytes());
            out.extend(entry.bytes.to_be_bytes());
            out.extend(entry.digest);
            let FileEntry { first_group, last_group, first_position, last_position, .. } = *entry;
            for one in [first_group, last_group, first_position, last_position, entry.last_time] {
                out.extend(one.to_be_bytes());
            }
            out.extend(entry.hash_before);
            out.extend(entry.hash_after);
        }
        for BatchEntry { batch, bytes, digest } in batches {
            out.extend(batch.to_be_bytes());
            out.extend(bytes.to_be_bytes());
            out.extend(digest);
        }
        out.extend(blake3::hash(&out).as_bytes());
        out
    }

    /// Reads them again. Nothing is allocated for what is not there.
    ///
    /// # Errors
    /// [`ManifestError`] for the first thing that is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let found = bytes.len();
        if !bytes.starts_with(&MAGIC) {
            return Err(ManifestError::Magic);
        }
        let short = ManifestError::Length { expected: length(0, 0), found };
        if found < length(0, 0) {
            return Err(short);
        }
        let mut left = Left(&bytes[MAGIC.len()..]);
        match left.u32() {
            VERSION => {}
            found => return Err(ManifestError::Version { found }),
        }
        let (genesis, number, previous) = (left.array(), left.u64(), left.array());
        let files = within("files", left.u32(), Self::FILES_MAX)?;
        let batches = within("batches", left.u32(), Self::BATCHES_MAX)?;
        let expected = length(files, batches);
        if found != expected {
            return Err(ManifestError::Length { expected, found });
        }
        let (before, hash) = bytes.split_at(found - HASH_BYTES);
        if blake3::hash(before).as_bytes() != hash {
            return Err(ManifestError::Hash);
        }
        let files = (0..files).map(|_| left.file()).collect();
        let batches = (0..batches).map(|_| left.batch()).collect();
        Ok(Manifest { genesis, number, previous, files, batches })
    }
}

/// Bytes of a manifest with so many files and batches.
fn length(files: usize, batches: usize) -> usize {
    HEADER_BYTES + files * FILE_BYTES + batches * BATCH_BYTES + HASH_BYTES
}

fn within(what: &'static str, found: u32, most: usize) -> Result<usize, ManifestError> {
    let count = found as usize;
    if count > most { Err(ManifestError::Limit { what, most, found }) } else { Ok(count) }
}

/// What is left of bytes whose length was compared with what they hold.
struct Left<'a>(&'a [u8]);

impl Left<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    fn file(&mut self) -> FileEntry {
        FileEntry {
            file: self.u64(),
            bytes: self.u64(),
            digest: self.array(),
            first_group: self.u64(),
            last_group: self.u64(),
            first_position: self.u64(),
            last_position: self.u64(),
            last_time: self.u64(),
            hash_before: self.array(),
            hash_after: self.array(),
        }
    }

    fn batch(&mut self) -> BatchEntry {
        BatchEntry { batch: self.u64(), bytes: self.u64(), digest: self.array() }
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { number, files, batches, .. } = self;
        write!(f, "manifest {number}: {} files, {} batches", files.len(), batches.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = |file: u64| FileEntry {
            file,
            bytes: file << 20,
            digest: [file as u8; 32],
            first_group: file * 10,
            last_group: file * 10 + 9,
            first_position: file * 100,
            last_position: file * 100 + 99,
            last_time: file * 1_000,
            hash_before: [1; 32],
            hash_after: [2; 32],
        };
        let batch = |batch: u64| BatchEntry { batch, bytes: 7, digest: [batch as u8; 32] };
        Manifest {
            genesis: [3; 32],
            number: 4,
            previous: [5; 32],
            files: vec![file(1), file(2)],
            batches: vec![batch(1), batch(2), batch(3)],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_its_layout_is_pinned() {
        let bytes = manifest().to_bytes();
        assert_eq!(Manifest::from_bytes(&bytes), Ok(manifest()));
        assert_eq!(bytes.len(), length(2, 3));
        // A change of any of it is a change of the version.
        let pinned = "a7d15dec";
        let found: String =
            blake3::hash(&bytes).as_bytes()[..4].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found, pinned);
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let whole = manifest().to_bytes();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(Manifest::from_bytes(&changed).is_err(), "byte {at}");
            assert!(Manifest::from_bytes(&whole[..at]).is_err(), "cut at {at}");
        }
        assert!(Manifest::from_bytes(&[&whole[..], &[0]].concat()).is_err());
    }

    #[test]
    fn more_than_may_be_named_is_refused_before_it_is_read() {
        let mut bytes = manifest().to_bytes();
        bytes[84..88].copy_from_slice(&u32::MAX.to_be_bytes());
        let error = Manifest::from_bytes(&bytes).expect_err("too many");
        assert!(matches!(error, ManifestError::Limit { what: "files", .. }), "{error}");
        let mut newer = manifest().to_bytes();
        newer[11] = 2;
        assert_eq!(Manifest::from_bytes(&newer), Err(ManifestError::Version { found: 2 }));
    }
}
