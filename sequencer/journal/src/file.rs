//! The bytes with which a file of the log begins and ends: its header and its seal; see
//! `docs/journal.md`.

use crate::record::{SECTOR_BYTES, array_at, field, hash, limit, u16_at, u32_at, u64_at};
use crate::{
    FILE_BYTES_MAX, Fault, FileFault, FileNumber, Genesis, GroupNumber, Head, Millis, OpenError,
    Position,
};

pub(crate) const FILE_HEADER_BYTES: usize = 128;
/// A sector of its own: power cannot fail within it.
pub(crate) const SEAL_BYTES: usize = SECTOR_BYTES as usize;

const FILE_MAGIC: [u8; 8] = *b"VITALLOG";
const SEAL_MAGIC: [u8; 8] = *b"VITLSEAL";
/// What is written.
const VERSION: u16 = 3;
/// A log of one file, which is never sealed; read as the first file, and not appended to.
const ONE_FILE: u16 = 2;

/// The first 128 bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    version: u16,
    pub(crate) log_id: [u8; 16],
    pub(crate) number: FileNumber,
    /// How long the file was made; it may grow beyond for a group that fits no file.
    pub(crate) length: u64,
    first_group: GroupNumber,
    first_position: Position,
    last_time: Millis,
    pub(crate) journal_hash: [u8; 32],
}

impl FileHeader {
    /// Of the first file.
    pub(crate) fn genesis(genesis: Genesis, length: u64) -> FileHeader {
        let Genesis { log_id, journal_hash } = genesis;
        let head = Head { group: 0, position: 0, journal_hash, last_time: 0, file: 0, end: 0 };
        FileHeader::after(&head, log_id, length)
    }

    /// Of the file that continues the log behind `head`.
    pub(crate) fn after(head: &Head, log_id: [u8; 16], length: u64) -> FileHeader {
        FileHeader {
            version: VERSION,
            log_id,
            number: head.file + 1,
            length,
            first_group: head.group + 1,
            first_position: head.position + 1,
            last_time: head.last_time,
            journal_hash: head.journal_hash,
        }
    }

    pub(crate) fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&FILE_MAGIC);
        bytes[8..10].copy_from_slice(&self.version.to_le_bytes());
        bytes[10..12].copy_from_slice(&(FILE_HEADER_BYTES as u16).to_le_bytes());
        bytes[16..32].copy_from_slice(&self.log_id);
        bytes[32..40].copy_from_slice(&self.first_group.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first_position.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.last_time.to_le_bytes());
        bytes[56..88].copy_from_slice(&self.journal_hash);
        bytes[88..96].copy_from_slice(&self.number.to_le_bytes());
        bytes[96..104].copy_from_slice(&self.length.to_le_bytes());
        // Not seeded as every other: the seed is made of the log id, which these bytes hold.
        let crc = crc32c::crc32c(&bytes[..124]);
        bytes[124..128].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Of the file with this number.
    pub(crate) fn decode(
        bytes: &[u8; FILE_HEADER_BYTES],
        file: FileNumber,
    ) -> Result<FileHeader, OpenError> {
        let of = |fault| OpenError::File { file, fault };
        // The magic before the checksum: the file of another program is not called a damaged log.
        if !could_be_log(bytes) {
            return Err(of(FileFault::NotALog { found: bytes[..8].to_vec() }));
        }
        let (expected, found) = (u32_at(bytes, 124), crc32c::crc32c(&bytes[..124]));
        if expected != found {
            return Err(of(FileFault::Header(Fault::HeaderCrc { expected, found })));
        }
        let own = FileHeader {
            version: u16_at(bytes, 8),
            log_id: array_at(bytes, 16),
            number: u64_at(bytes, 88),
            length: u64_at(bytes, 96),
            first_group: u64_at(bytes, 32),
            first_position: u64_at(bytes, 40),
            last_time: u64_at(bytes, 48),
            journal_hash: array_at(bytes, 56),
        };
        // By name and before every other field: what those mean is the version's to say.
        let own = match own.version {
            1 => return Err(OpenError::FirstVersion),
            // The first of its log and the only one; where the number stands it has zeros.
            ONE_FILE => FileHeader { number: own.number.saturating_add(1), ..own },
            _ => own,
        };
        own.check_fields(bytes).map_err(|fault| of(FileFault::Header(fault)))?;
        // A whole file under another name: not damaged, but not where it belongs.
        if own.number != file {
            return Err(of(FileFault::Misplaced { found: own.number }));
        }
        Ok(own)
    }

    fn check_fields(&self, bytes: &[u8; FILE_HEADER_BYTES]) -> Result<(), Fault> {
        if self.version != ONE_FILE {
            field("file version", VERSION.into(), self.version.into())?;
        }
        // What is missing of the last file may be made again, and nobody has more room than that.
        limit("file length", FILE_BYTES_MAX, self.length)?;
        // Nothing came before the first file, and a group at least before every other.
        if self.number <= 1 {
            field("file number", 1, self.number)?;
            field("first group", 1, self.first_group)?;
            field("first position", 1, self.first_position)?;
            field("last time", 0, self.last_time)?;
        }
        let reserved: u64 = bytes[104..124].iter().map(|byte| u64::from(*byte)).sum();
        field("file header length", 128, u16_at(bytes, 10).into())?;
        field("file flags", 0, u32_at(bytes, 12).into())?;
        field("file reserved", 0, reserved)
    }

    /// Where the first group goes.
    pub(crate) fn head(&self) -> Head {
        Head {
            group: self.first_group.wrapping_sub(1),
            position: self.first_position.wrapping_sub(1),
            journal_hash: self.journal_hash,
            last_time: self.last_time,
            file: self.number,
            end: FILE_HEADER_BYTES as u64,
        }
    }

    /// Checks that this file continues the log behind `head`.
    pub(crate) fn check_continues(&self, head: &Head) -> Result<(), Fault> {
        field("first group", head.group + 1, self.first_group)?;
        field("first position", head.position + 1, self.first_position)?;
        field("last time", head.last_time, self.last_time)?;
        hash("journal hash", head.journal_hash, self.journal_hash)
    }

    /// Whether groups are appended to the file: not to a log of one file, which has no zeros to
    /// write over and no sector for a seal.
    pub(crate) fn takes_groups(&self) -> bool {
        self.version == VERSION
    }

    /// What every other checksum of the file starts from: a record of another file, or of an
    /// earlier life of this one, does not pass.
    pub(crate) fn seed(&self) -> u32 {
        let seed = crc32c::crc32c(&self.log_id);
        match self.takes_groups() {
            true => crc32c::crc32c_append(seed, &self.number.to_le_bytes()),
            false => seed,
        }
    }
}

/// Whether a file that begins with these bytes, the first 128 of it or all that it has, is a log of
/// one file, which becomes the first file of a folder as it is; `false` where power failed before
/// anything was acknowledged in it.
///
/// # Errors
/// [`OpenError`] for anything else; [`OpenError::FirstVersion`] for a log of the first version.
pub fn is_one_file(beginning: &[u8]) -> Result<bool, OpenError> {
    let Some(bytes) = beginning.first_chunk::<FILE_HEADER_BYTES>() else {
        let torn = could_be_log(&beginning[..beginning.len().min(FILE_MAGIC.len())]);
        let found = || beginning.iter().take(8).copied().collect();
        return match torn || beginning.iter().all(|byte| *byte == 0) {
            true => Ok(false),
            false => Err(OpenError::File { file: 1, fault: FileFault::NotALog { found: found() } }),
        };
    };
    FileHeader::decode(bytes, 1).map(|_| true)
}

/// Whether the bytes are a beginning, however short, of a log.
pub(crate) fn could_be_log(bytes: &[u8]) -> bool {
    bytes.iter().zip(FILE_MAGIC).all(|(found, magic)| *found == magic)
}

/// The last sector of a file to which nothing more is written: where its groups end. It is written
/// once the next file has its header, so a sealed file without a next one is a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal(pub(crate) Head);

impl Seal {
    pub(crate) fn encode(&self, seed: u32) -> [u8; SEAL_BYTES] {
        let Head { group, position, journal_hash, last_time, file, end } = self.0;
        let mut bytes = [0; SEAL_BYTES];
        bytes[0..8].copy_from_slice(&SEAL_MAGIC);
        for (at, number) in (8..).step_by(8).zip([file, end, group, position, last_time]) {
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        bytes[48..80].copy_from_slice(&journal_hash);
        let crc = crc32c::crc32c_append(seed, &bytes[..SEAL_BYTES - 4]);
        bytes[SEAL_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` for what is no seal of this file.
    pub(crate) fn decode(bytes: &[u8; SEAL_BYTES], seed: u32) -> Option<Seal> {
        let crc = crc32c::crc32c_append(seed, &bytes[..SEAL_BYTES - 4]);
        // Nothing beside the two is compared: what passes was written by this log, at this file's
        // end, and what it says is held against the groups.
        let reserved = &bytes[80..SEAL_BYTES - 4];
        if bytes[..8] != SEAL_MAGIC
            || u32_at(bytes, SEAL_BYTES - 4) != crc
            || reserved.iter().any(|byte| *byte != 0)
        {
            return None;
        }
        let [file, end, group, position, last_time] =
            [8, 16, 24, 32, 40].map(|at| u64_at(bytes, at));
        let journal_hash = array_at(bytes, 48);
        Some(Seal(Head { group, position, journal_hash, last_time, file, end }))
    }

    /// Checks that something can follow the last numbers.
    pub(crate) fn check_last(&self) -> Result<(), Fault> {
        limit("last group", u64::MAX - 1, self.0.group)?;
        limit("last position", u64::MAX - 1, self.0.position)
    }

    /// Checks that the groups of the file end as it says.
    pub(crate) fn check(&self, head: &Head) -> Result<(), Fault> {
        field("file number", head.file, self.0.file)?;
        field("end of the groups", head.end, self.0.end)?;
        field("last group", head.group, self.0.group)?;
        field("last position", head.position, self.0.position)?;
        field("last time", head.last_time, self.0.last_time)?;
        hash("journal hash", head.journal_hash, self.0.journal_hash)
    }
}

/// Where the seal stands in a file of `length` bytes whose groups reach to `end`: its last whole
/// sector, or the first one behind the groups where those go as far.
pub(crate) fn seal_offset(length: u64, end: u64) -> u64 {
    last_sector(length).max(end.next_multiple_of(SECTOR_BYTES))
}

/// Where the last whole sector of a file begins.
pub(crate) fn last_sector(length: u64) -> u64 {
    length.saturating_sub(SECTOR_BYTES) / SECTOR_BYTES * SECTOR_BYTES
}
