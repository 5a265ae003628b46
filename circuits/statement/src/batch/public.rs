//! The public file: header, proofs, leaf commitments, segment digests and journal groups.

use model::{BatchHeader, DecodeError, Position, Reader, Word, limits};

use super::error::{FileError, find_version, section};
use super::segment::{SegmentEntry, are_sorted};
use crate::proof::Proof;

const MAGIC: &[u8; 8] = b"VTLBPUB\x02";
const WHAT: &str = "public batch file";
/// Fewest bytes of a chunk of operations with one leaf, rounded down: they bound what a count can
/// make a reader allocate.
const OPERATIONS_CHUNK_BYTES_MIN: usize = 400;
/// Fewest bytes of a chunk of claims with one leaf, rounded down.
const CLAIMS_CHUNK_BYTES_MIN: usize = 380;
const GROUP_BYTES: usize = 3 * 8 + 32;

/// One C1 proof and what it needs beside storage and header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationsChunk {
    /// keccak256 of the verifying key's words.
    pub key_id: [u8; 32],
    /// Consent root after the chunk.
    pub root_out: Word,
    /// Time of its last operation, milliseconds since 1900.
    pub time_out: u64,
    /// Operations in it.
    pub operations: u32,
    /// Of these, enrolments.
    pub enrolments: u32,
    /// Root over `leaves`.
    pub operations_root: Word,
    /// The proof in EIP-197 order.
    pub proof: [u8; Proof::BYTES],
    /// One leaf a row, zero for padding.
    pub leaves: Vec<Word>,
}

/// One C2 proof and what it needs beside storage and header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimsChunk {
    /// keccak256 of the verifying key's words.
    pub key_id: [u8; 32],
    /// Root over `leaves`.
    pub claims_root: Word,
    /// Access claims.
    pub access: u32,
    /// Collect claims.
    pub collect: u32,
    /// Break-glass claims.
    pub break_glass: u32,
    /// Claims of excluded slots.
    pub excluded: u32,
    /// Salted commitment to the last patient and position.
    pub edge_out: Word,
    /// The proof in EIP-197 order.
    pub proof: [u8; Proof::BYTES],
    /// Slot by slot its claim leaves, then its tag; zero where there is none.
    pub leaves: Vec<Word>,
}

/// One journal group: enough to recompute the journal hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupSummary {
    /// Number of the group.
    pub number: u64,
    /// Position of its first entry.
    pub first: Position,
    /// Position of its last entry.
    pub last: Position,
    /// blake3 of its contiguous entry bytes, keyed with the group's salt.
    pub content: [u8; 32],
}

/// Everything an auditor needs of a batch besides the base chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicFile {
    /// The header, as the contract emitted it.
    pub header: BatchHeader,
    /// C1 chunks in order.
    pub operations: Vec<OperationsChunk>,
    /// C2 chunks in order.
    pub claims: Vec<ClaimsChunk>,
    /// Segments by digest.
    pub segments: Vec<SegmentEntry>,
    /// Journal groups since the previous batch's.
    pub groups: Vec<GroupSummary>,
}

impl PublicFile {
    /// Canonical bytes, big-endian: magic and version, header, then four counted sections.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.header.to_bytes());
        put_count(&mut out, self.operations.len());
        self.operations.iter().for_each(|chunk| put_operations(&mut out, chunk));
        put_count(&mut out, self.claims.len());
        self.claims.iter().for_each(|chunk| put_claims(&mut out, chunk));
        put_count(&mut out, self.segments.len());
        self.segments.iter().for_each(|segment| segment.write(&mut out));
        put_count(&mut out, self.groups.len());
        for group in &self.groups {
            for number in [group.number, group.first.0, group.last.0] {
                out.extend(number.to_be_bytes());
            }
            out.extend(group.content);
        }
        out
    }

    /// Reads canonical bytes; what they say is not checked here.
    ///
    /// ```
    /// # use model::{BatchHeader, BatchNumber, DataSource, Millis, Position, Window, Word};
    /// use statement::batch::PublicFile;
    /// use statement::scope;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let header = BatchHeader {
    /// #     number: BatchNumber(1),
    /// #     previous: [1; 32],
    /// #     window: Window::new(Millis::new(1000)?, Millis::new(2000)?)?,
    /// #     root_in: Word::from_u64(5),
    /// #     root_out: Word::from_u64(5),
    /// #     forced_first: 0,
    /// #     forced_count: 0,
    /// #     forced_outcomes: [0; 32],
    /// #     operations_root: [0; 32],
    /// #     claims_root: [0; 32],
    /// #     operations: 0,
    /// #     enrolments: 0,
    /// #     access: 0,
    /// #     collect: 0,
    /// #     break_glass: 0,
    /// #     excluded: 0,
    /// #     data_root: [0; 32],
    /// #     journal_position: Position(9),
    /// #     journal_hash: [5; 32],
    /// #     registry_root: [0; 32],
    /// #     data_source: DataSource::Operator,
    /// #     ciphertext_hash: [0; 32],
    /// #     ciphertext_length: 0,
    /// #     key_version: BatchHeader::KEY_VERSION,
    /// # };
    /// # let empty = PublicFile {
    /// #     header, operations: vec![], claims: vec![], segments: vec![], groups: vec![],
    /// # };
    /// # let bytes = empty.to_bytes();
    /// // `bytes` are those of `GET /batches/1`, or of `000001/public.bin` in the node's folder.
    /// let file = PublicFile::from_bytes(&bytes)?;
    /// assert_eq!(file.header.number, BatchNumber(1));
    /// // What the contract keeps of the batch; compare before anything in the file is believed.
    /// let header_hash = scope::header_hash(&file.header);
    /// assert_eq!(statement::batch::data_root(&file.segments), file.header.data_root);
    /// # let _ = header_hash;
    ///
    /// assert!(PublicFile::from_bytes(&bytes[1..]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`FileError`] that names the section.
    pub fn from_bytes(bytes: &[u8]) -> Result<PublicFile, FileError> {
        // Whoever serves the file is not trusted: size and magic stand before any allocation.
        let (expected, found) = (limits::BATCH_FILE_BYTES_MAX, bytes.len());
        if found > expected {
            return Err(FileError::TooLarge { what: WHAT, expected, found });
        }
        let mut reader = Reader::new(find_version(WHAT, MAGIC, bytes)?);
        let header = reader.take(BatchHeader::BYTES).map_err(section("header"))?;
        Ok(PublicFile {
            // Fields are evaluated in the order in which they stand, which is that of the file.
            header: BatchHeader::from_bytes(header)?,
            operations: read_list(&mut reader, OPERATIONS_CHUNK_BYTES_MIN, read_operations)
                .map_err(section("operations"))?,
            claims: read_list(&mut reader, CLAIMS_CHUNK_BYTES_MIN, read_claims)
                .map_err(section("claims"))?,
            segments: read_segments(&mut reader).map_err(section("segments"))?,
            groups: read_last_list(&mut reader, GROUP_BYTES, read_group)
                .map_err(section("groups"))?,
        })
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    // A file of 64 MiB holds fewer than 2^32 items of any section.
    out.extend((count as u32).to_be_bytes());
}

fn put_words(out: &mut Vec<u8>, words: &[Word]) {
    put_count(out, words.len());
    words.iter().for_each(|word| out.extend(word.to_bytes()));
}

fn put_operations(out: &mut Vec<u8>, chunk: &OperationsChunk) {
    out.extend(chunk.key_id);
    out.extend(chunk.root_out.to_bytes());
    out.extend(chunk.time_out.to_be_bytes());
    out.extend(chunk.operations.to_be_bytes());
    out.extend(chunk.enrolments.to_be_bytes());
    out.extend(chunk.operations_root.to_bytes());
    out.extend(chunk.proof);
    put_words(out, &chunk.leaves);
}

fn put_claims(out: &mut Vec<u8>, chunk: &ClaimsChunk) {
    out.extend(chunk.key_id);
    out.extend(chunk.claims_root.to_bytes());
    for counter in [chunk.access, chunk.collect, chunk.break_glass, chunk.excluded] {
        out.extend(counter.to_be_bytes());
    }
    out.extend(chunk.edge_out.to_bytes());
    out.extend(chunk.proof);
    put_words(out, &chunk.leaves);
}

type Read<T> = fn(&mut Reader<'_>) -> Result<T, DecodeError>;

fn read_list<T>(
    reader: &mut Reader<'_>,
    item: usize,
    read: Read<T>,
) -> Result<Vec<T>, DecodeError> {
    // Compared with what is left of the file, so that a stranger's number allocates no more than
    // that.
    let count = reader.count(item)?;
    (0..count).map(|_| read(reader)).collect()
}

fn read_last_list<T>(
    reader: &mut Reader<'_>,
    item: usize,
    read: Read<T>,
) -> Result<Vec<T>, DecodeError> {
    let items = read_list(reader, item, read)?;
    // As part of the last section, so that bytes behind it are named like any other damage of it.
    reader.finish()?;
    Ok(items)
}

fn read_operations(reader: &mut Reader<'_>) -> Result<OperationsChunk, DecodeError> {
    Ok(OperationsChunk {
        key_id: reader.array()?,
        root_out: reader.word()?,
        time_out: reader.u64()?,
        operations: reader.u32()?,
        enrolments: reader.u32()?,
        operations_root: reader.word()?,
        proof: reader.array()?,
        leaves: read_list(reader, 32, |reader| reader.word())?,
    })
}

fn read_claims(reader: &mut Reader<'_>) -> Result<ClaimsChunk, DecodeError> {
    Ok(ClaimsChunk {
        key_id: reader.array()?,
        claims_root: reader.word()?,
        access: reader.u32()?,
        collect: reader.u32()?,
        break_glass: reader.u32()?,
        excluded: reader.u32()?,
        edge_out: reader.word()?,
        proof: reader.array()?,
        leaves: read_list(reader, 32, |reader| reader.word())?,
    })
}

fn read_segments(reader: &mut Reader<'_>) -> Result<Vec<SegmentEntry>, DecodeError> {
    let list = |reader: &mut Reader<'_>| read_list(reader, SegmentEntry::BYTES, SegmentEntry::read);
    let sorted = |segments: Vec<_>| are_sorted(&segments).then_some(segments);
    // Another order would tell what belongs together, and one segment twice is none.
    reader.map("segments by ascending digest", list, sorted)
}

fn read_group(reader: &mut Reader<'_>) -> Result<GroupSummary, DecodeError> {
    Ok(GroupSummary {
        number: reader.u64()?,
        first: Position(reader.u64()?),
        last: Position(reader.u64()?),
        content: reader.array()?,
    })
}

#[cfg(test)]
mod tests {
    use model::{BatchNumber, DataSource, Digest, Millis, Window};

    use super::*;

    fn file() -> PublicFile {
        let window = Window::new(Millis::new(1000).unwrap(), Millis::new(2000).unwrap()).unwrap();
        let header = BatchHeader {
            number: BatchNumber(1),
            previous: [1; 32],
            window,
            root_in: Word::from_u64(5),
            root_out: Word::from_u64(6),
            forced_first: 0,
            forced_count: 0,
            forced_outcomes: [0; 32],
            operations_root: [2; 32],
            claims_root: [3; 32],
            operations: 1,
            enrolments: 1,
            access: 0,
            collect: 1,
            break_glass: 0,
            excluded: 0,
            data_root: [4; 32],
            journal_position: Position(9),
            journal_hash: [5; 32],
            registry_root: [0; 32],
            data_source: DataSource::Operator,
            ciphertext_hash: [0; 32],
            ciphertext_length: 0,
            key_version: BatchHeader::KEY_VERSION,
        };
        let operations = vec![OperationsChunk {
            key_id: [7; 32],
            root_out: Word::from_u64(6),
            time_out: 1500,
            operations: 1,
            enrolments: 1,
            operations_root: Word::from_u64(8),
            proof: [9; 256],
            leaves: vec![Word::from_u64(1), Word::ZERO],
        }];
        let claims = vec![ClaimsChunk {
            key_id: [8; 32],
            claims_root: Word::from_u64(11),
            access: 0,
            collect: 1,
            break_glass: 0,
            excluded: 0,
            edge_out: Word::from_u64(12),
            proof: [10; 256],
            leaves: vec![Word::from_u64(3); 5],
        }];
        let segments = vec![SegmentEntry::new(Digest([6; 31]), 1234)];
        let (first, last) = (Position(1), Position(9));
        let groups = vec![GroupSummary { number: 1, first, last, content: [1; 32] }];
        PublicFile { header, operations, claims, segments, groups }
    }

    #[test]
    fn bytes_round_trip_and_every_truncation_is_refused() {
        let bytes = file().to_bytes();
        assert_eq!(PublicFile::from_bytes(&bytes), Ok(file()));
        for len in 0..bytes.len() {
            assert!(PublicFile::from_bytes(&bytes[..len]).is_err(), "{len} bytes were accepted");
        }
        assert!(PublicFile::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_lying_count_is_refused_without_allocating_for_it() {
        let mut bytes = file().to_bytes();
        let at = MAGIC.len() + BatchHeader::BYTES;
        bytes[at..at + 4].fill(0xff);
        let found = PublicFile::from_bytes(&bytes);
        assert!(matches!(found, Err(FileError::Section { section: "operations", .. })));
    }

    #[test]
    fn segments_out_of_order_or_twice_are_refused() {
        let entry = |byte| SegmentEntry::new(Digest([byte; 31]), 5);
        let read = |segments: Vec<SegmentEntry>| {
            PublicFile::from_bytes(&PublicFile { segments, ..file() }.to_bytes())
        };
        assert!(read(vec![entry(1), entry(2)]).is_ok());
        for segments in [vec![entry(2), entry(1)], vec![entry(1), entry(1)]] {
            let found = read(segments);
            assert!(matches!(found, Err(FileError::Section { section: "segments", .. })));
        }
    }

    #[test]
    fn another_magic_is_named_and_the_first_version_refused_with_its_reason() {
        let mut bytes = file().to_bytes();
        bytes[0] = b'X';
        assert_eq!(PublicFile::from_bytes(&bytes), Err(FileError::Magic { expected: WHAT }));
        let first = PublicFile::from_bytes(b"VTLBPUB\x01 and whatever it holds").unwrap_err();
        assert_eq!(first, FileError::FirstVersion { found: WHAT });
        assert!(first.to_string().ends_with(model::FIRST_VERSION), "{first}");
    }
}
