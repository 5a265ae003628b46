//! The journal: every block's time and transaction, in order, in one append-only file.
//!
//! ```text
//! file    = "DEVCHN01" length:u32 crc32c:u32 genesis-as-json record*
//! record  = length:u32 crc32c(length):u32 crc32c(body):u32 body
//! body    = 0:u8 timestamp:u64 block_hash:32 raw_transaction    a block; empty = no transaction
//!         | 1:u8 depth:u64                                      the last `depth` blocks go
//! ```
//!
//! Integers are little-endian. A record is on the medium (fsync) before its block exists for
//! anyone. The length has its own checksum, so that a damaged length is not taken for a torn tail.
//!
//! Assumption about the medium: a write that a power cut interrupts leaves a prefix of the record
//! (ext4 in its ordered mode, for one). Such a tail was never acknowledged and is cut. Anything
//! else is damage to what may have been acknowledged: it is named, and nothing is changed.

use crate::{error::OpenError, genesis::Genesis, limits::RAW_TX_BYTES_MAX};
use alloy::primitives::B256;
use files::{Audience, LockedFile};
use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"DEVCHN01";
const HEAD_BYTES: usize = 12;
const BLOCK_BODY_BYTES: usize = 1 + 8 + 32;
const BODY_BYTES_MAX: usize = BLOCK_BODY_BYTES + RAW_TX_BYTES_MAX;
/// A genesis of more JSON than this is refused: about 50,000 funded accounts.
const GENESIS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One step of the chain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Block { timestamp_s: u64, hash: B256, raw: Vec<u8> },
    Remove { depth: u64 },
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Block { timestamp_s, hash, raw } => {
                [&[0][..], &timestamp_s.to_le_bytes(), hash.as_slice(), raw].concat()
            }
            Self::Remove { depth } => [&[1][..], &depth.to_le_bytes()].concat(),
        }
    }

    fn decode(body: &[u8]) -> Result<Self, String> {
        let found = || format!("expected a block or a removal, found {} bytes", body.len());
        let (kind, rest) = body.split_first().ok_or_else(found)?;
        let (number, rest) = rest.split_first_chunk().ok_or_else(found)?;
        let number = u64::from_le_bytes(*number);
        match (kind, rest.split_first_chunk::<32>(), rest) {
            (0, Some((hash, raw)), _) => {
                Ok(Self::Block { timestamp_s: number, hash: hash.into(), raw: raw.to_vec() })
            }
            // Nothing may follow: bytes that a reader skips could say something to another version.
            (1, _, []) => Ok(Self::Remove { depth: number }),
            _ => Err(format!("expected kind 0 or 1, found kind {kind} of {} bytes", body.len())),
        }
    }
}

/// What [`Journal::open`] found. A torn last record is still in the file: it is cut by
/// [`Opened::accept`], once the records are found to be those of this chain.
pub(crate) struct Opened {
    journal: Journal,
    pub(crate) records: Vec<Located>,
    /// Where the whole records end.
    end: u64,
    /// Bytes behind them, of a torn last record; or of a torn header, which is written anew.
    torn_bytes: u64,
}

impl Opened {
    /// The error of a record that is well formed but does not fit the chain.
    pub(crate) fn broken_record(&self, located: &Located, reason: String) -> OpenError {
        let Located { number, offset, .. } = *located;
        let path = self.journal.path.clone();
        OpenError::Record { path, record: number, offset, reason }
    }

    /// Cuts what is torn, after which records are appended. Gives how many bytes that was.
    pub(crate) fn accept(self) -> Result<(Journal, u64), OpenError> {
        let Self { mut journal, end, torn_bytes, .. } = self;
        // Cut before anything is appended: a record behind a torn one could never be read.
        if torn_bytes > 0 {
            journal.truncate(end)?;
        }
        let seek = journal.file.seek(SeekFrom::End(0));
        seek.map_err(io_error(&journal.path, "seek to its end"))?;
        Ok((journal, torn_bytes))
    }
}

/// A record, its number from 1 and where it begins.
pub(crate) struct Located {
    pub(crate) record: Record,
    pub(crate) number: u64,
    pub(crate) offset: u64,
}

/// The open file, positioned at its end and locked against other processes.
pub(crate) struct Journal {
    file: LockedFile,
    path: PathBuf,
    failed: bool,
}

/// Why a record was not written.
pub(crate) enum AppendError {
    Io(io::Error),
    Closed,
}

impl Journal {
    pub(crate) fn open(path: &Path, genesis: &Genesis) -> Result<Opened, OpenError> {
        // Before the file is made: what is refused leaves nothing behind.
        let header = encode_header(path, genesis)?;
        let mut file = lock(path)?;
        let mut bytes = Vec::new();
        // Whole, since every record is executed and kept in memory anyway.
        file.read_to_end(&mut bytes).map_err(io_error(path, "read it"))?;
        let mut journal = Self { file, path: path.to_owned(), failed: false };
        // A crash while the file was made leaves part of the header and no block: begin anew.
        if is_torn(&bytes, &header) {
            journal.truncate(0)?;
            journal.begin(&header)?;
            let (end, torn_bytes) = (header.len() as u64, bytes.len() as u64);
            return Ok(Opened { journal, records: Vec::new(), end, torn_bytes });
        }
        check_header(path, &bytes, &header)?;
        let (records, end) = read_records(path, &bytes, header.len())?;
        let torn_bytes = (bytes.len() - end) as u64;
        Ok(Opened { journal, records, end: end as u64, torn_bytes })
    }

    /// A journal on a file that refuses every write.
    #[cfg(test)]
    pub(crate) fn unwritable(path: &Path) -> io::Result<Self> {
        let mut file = lock(path).map_err(io::Error::other)?;
        *file = std::fs::File::open(path)?;
        Ok(Self { file, path: path.to_owned(), failed: false })
    }

    /// Writes and syncs. After an error the end of the file is unknown, so that nothing more is
    /// written until the journal is opened anew; the record may then turn out to be there, as an
    /// unanswered request may turn out to have been carried out.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), AppendError> {
        if self.failed {
            return Err(AppendError::Closed);
        }
        // As one buffer, so that a power cut leaves a prefix of the record. Syncing the data
        // includes the file's new length; nobody needs its times.
        let written =
            self.file.write_all(&encode_whole(record)).and_then(|()| self.file.sync_data());
        // A sync that failed once may report success the next time although the bytes are lost.
        self.failed = written.is_err();
        written.map_err(AppendError::Io)
    }

    fn begin(&mut self, header: &[u8]) -> Result<(), OpenError> {
        let written = self.file.write_all(header).and_then(|()| self.file.sync_all());
        written.map_err(io_error(&self.path, "write its header"))?;
        // The name is durable only with its folder: a synced file that nobody finds is lost too.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        files::sync_folder(folder).map_err(io_error(&self.path, "sync its folder"))
    }

    fn truncate(&mut self, bytes: u64) -> Result<(), OpenError> {
        let cut = self.file.set_len(bytes).and_then(|()| self.file.sync_all());
        cut.and_then(|()| self.file.rewind()).map_err(io_error(&self.path, "cut a torn tail"))
    }
}

fn lock(path: &Path) -> Result<LockedFile, OpenError> {
    let file = files::open_locked(path, Audience::Owner);
    let file = file.map_err(io_error(path, "open and lock it"))?;
    file.ok_or_else(|| OpenError::Busy { path: path.to_owned() })
}

fn io_error<'a>(path: &'a Path, action: &'static str) -> impl Fn(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io { path: path.to_owned(), action, source }
}

fn encode_header(path: &Path, genesis: &Genesis) -> Result<Vec<u8>, OpenError> {
    let json = serde_json::to_vec(genesis).expect("a genesis has string keys only");
    let (max, found) = (GENESIS_BYTES_MAX, json.len());
    if found > max {
        return Err(OpenError::GenesisTooLarge { path: path.to_owned(), max, found });
    }
    let length = (json.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c(&json).to_le_bytes();
    Ok([&MAGIC[..], &length, &crc, &json].concat())
}

/// Whether `bytes` are what is left of writing `header` and nothing else: no block was ever kept.
fn is_torn(bytes: &[u8], header: &[u8]) -> bool {
    bytes.len() < header.len() && header.starts_with(bytes)
}

fn check_header(path: &Path, bytes: &[u8], expected: &[u8]) -> Result<(), OpenError> {
    if bytes.starts_with(expected) {
        return Ok(());
    }
    let broken = |reason: String| OpenError::Header { path: path.to_owned(), reason };
    let found = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        broken(format!("expected to begin with {}", String::from_utf8_lossy(MAGIC)))
    })?;
    // A whole genesis of another chain and a damaged one need different remedies.
    let json = header_json(found)
        .ok_or_else(|| broken("expected a genesis with its checksum, found damage".into()))?;
    let shown = |json: &[u8]| String::from_utf8_lossy(json).into_owned();
    let expected = shown(&expected[MAGIC.len() + 8..]);
    Err(OpenError::Genesis { path: path.to_owned(), expected, found: shown(json) })
}

fn header_json(found: &[u8]) -> Option<&[u8]> {
    let (length, rest) = found.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let json = rest.get(..u32::from_le_bytes(*length) as usize)?;
    (crc32c::crc32c(json) == u32::from_le_bytes(*crc)).then_some(json)
}

/// A record with its length and both checksums.
fn encode_whole(record: &Record) -> Vec<u8> {
    let body = record.encode();
    assert!(body.len() <= BODY_BYTES_MAX, "a record is at most {BODY_BYTES_MAX} bytes");
    let length = (body.len() as u32).to_le_bytes();
    let length_crc = crc32c::crc32c(&length).to_le_bytes();
    let body_crc = crc32c::crc32c(&body).to_le_bytes();
    [&length[..], &length_crc, &body_crc, &body].concat()
}

/// All records and the offset at which the whole ones end.
fn read_records(
    path: &Path,
    bytes: &[u8],
    start: usize,
) -> Result<(Vec<Located>, usize), OpenError> {
    let (mut records, mut offset) = (Vec::new(), start);
    while offset < bytes.len() {
        let number = records.len() as u64 + 1;
        match read_record(&bytes[offset..]) {
            Ok(Some((record, length))) => {
                records.push(Located { record, number, offset: offset as u64 });
                offset += length;
            }
            // Only at the end of the file can a record be torn, so there is nothing after it to
            // look for.
            Ok(None) => break,
            Err(reason) => {
                let (path, offset) = (path.to_owned(), offset as u64);
                return Err(OpenError::Record { path, record: number, offset, reason });
            }
        }
    }
    Ok((records, offset))
}

/// The first record of `bytes` and its length; nothing if it is torn.
fn read_record(bytes: &[u8]) -> Result<Option<(Record, usize)>, String> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(0) as usize;
    // Before the length is used: a damaged one would make the rest look like a torn tail, and cut
    // records that were acknowledged.
    if crc32c::crc32c(&head[..4]) != word(4) || length > BODY_BYTES_MAX {
        return Err(format!("expected a length that matches its checksum, found {length}"));
    }
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    if crc32c::crc32c(body) != word(8) {
        return Err(format!("expected {length} bytes that match their checksum, found others"));
    }
    Record::decode(body).map(|record| Some((record, HEAD_BYTES + length)))
}
