//! The index of a file that was left, on the disk: where each of its groups stands. It says nothing
//! that the file does not say: one that is missing or damaged is made again from the groups.

use std::io;

use crate::index::{IndexEntry, Left, OnDisk, Placed, Run};
use crate::record::{RECORD_BYTES_MAX, record_bytes, u32_at, u64_at};
use crate::{FileName, Head, Medium, Place, Position, ReadError};

const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 24;
const GAP_BYTES: usize = 40;
const MAGIC: [u8; 8] = *b"VITLINDX";

/// What memory keeps of an index: where its groups stand is read when it is asked.
#[derive(Debug)]
pub(crate) struct Kept {
    /// How many groups the file has.
    pub(crate) count: usize,
    /// Where numbers were given up right before a group, by that group's place in the file.
    pub(crate) gaps: Vec<Run>,
}

/// Writes the index of a file that was left. Under its name at once: what a crash leaves of it does
/// not pass.
pub(crate) fn write<M: Medium>(medium: &M, left: &Left) -> io::Result<()> {
    let name = FileName::Index(left.last.file);
    medium.make_empty(name)?;
    medium.write_at(name, 0, &encode(left))?;
    medium.sync(name)
}

/// The index of the file that ends at `last`; `None` if there is none that passes.
pub(crate) fn read<M: Medium>(medium: &M, last: &Head, seed: u32) -> io::Result<Option<Kept>> {
    let name = FileName::Index(last.file);
    let len = match medium.len(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        len => len?,
    };
    // An index is smaller than its file; anything else is not worth the memory.
    if len > last.end {
        return Ok(None);
    }
    let mut bytes = vec![0; len as usize];
    medium.read_at(name, 0, &mut bytes)?;
    Ok(decode(&bytes, last, seed))
}

fn encode(left: &Left) -> Vec<u8> {
    let Left { last, seed, groups, gaps } = left;
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&(groups.len() as u64).to_le_bytes());
    bytes[16..24].copy_from_slice(&(gaps.len() as u64).to_le_bytes());
    let mut put = |numbers: &[u64]| {
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    };
    for IndexEntry { offset, first, hash_tag } in groups {
        put(&[*offset, *first, *hash_tag]);
    }
    for Run { index, first, next } in gaps {
        put(&[*index as u64, next.group, next.position, first.group, first.position]);
    }
    let crc = checksum(&bytes, last, *seed);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], last: &Head, seed: u32) -> Option<Kept> {
    let header = bytes.get(..HEADER_BYTES)?;
    if header[..8] != MAGIC || u32_at(header, HEADER_BYTES - 4) != checksum(bytes, last, seed) {
        return None;
    }
    let (count, gaps) = (u64_at(header, 8) as usize, u64_at(header, 16) as usize);
    let entries_end = count.checked_mul(ENTRY_BYTES)?.checked_add(HEADER_BYTES)?;
    if bytes.len() != gaps.checked_mul(GAP_BYTES)?.checked_add(entries_end)? {
        return None;
    }
    let gap = |bytes: &[u8]| Run {
        index: u64_at(bytes, 0) as usize,
        next: Place { group: u64_at(bytes, 8), position: u64_at(bytes, 16) },
        first: Place { group: u64_at(bytes, 24), position: u64_at(bytes, 32) },
    };
    Some(Kept { count, gaps: bytes[entries_end..].chunks(GAP_BYTES).map(gap).collect() })
}

/// Over all but itself. It begins with where the file ends, so that the index of a file of another
/// past does not pass.
fn checksum(bytes: &[u8], last: &Head, seed: u32) -> u32 {
    let crc = crc32c::crc32c_append(seed, &last.journal_hash);
    let crc = crc32c::crc32c_append(crc, &last.end.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &bytes[..HEADER_BYTES - 4]);
    crc32c::crc32c_append(crc, &bytes[HEADER_BYTES..])
}

/// Where a group of a file stands.
pub(crate) fn place<M: Medium>(medium: &M, disk: &OnDisk, at: usize) -> Result<Placed, ReadError> {
    let OnDisk { file, seed, count, end, .. } = *disk;
    // With the next one, where its record ends; the last one ends with all groups.
    let mut bytes = [0; 2 * ENTRY_BYTES];
    let here = if at + 1 < count { &mut bytes[..] } else { &mut bytes[..ENTRY_BYTES] };
    read_entries(medium, disk, at, here)?;
    let entry = entry(&bytes[..ENTRY_BYTES]);
    let end = if at + 1 < count { u64_at(&bytes, ENTRY_BYTES) } else { end };
    // The checksum was compared when the log was opened; damage since then asks for no memory, and
    // for no record that has no room for what every record has.
    let lengths = record_bytes(0) as u64..=RECORD_BYTES_MAX as u64;
    match end.checked_sub(entry.offset) {
        Some(bytes) if lengths.contains(&bytes) && end <= disk.end => {
            Ok(Placed { entry, file, seed, bytes })
        }
        _ => Err(ReadError::Index { file }),
    }
}

/// The place in the file of the group that holds a position.
pub(crate) fn search<M: Medium>(
    medium: &M,
    disk: &OnDisk,
    position: Position,
) -> Result<usize, ReadError> {
    // Groups before `low` begin at or before the position, those from `high` on behind it.
    let (mut low, mut high) = (0, disk.count);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut bytes = [0; ENTRY_BYTES];
        read_entries(medium, disk, middle, &mut bytes)?;
        if entry(&bytes).first <= position {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low.checked_sub(1).ok_or(ReadError::Index { file: disk.file })
}

fn read_entries<M: Medium>(
    medium: &M,
    disk: &OnDisk,
    at: usize,
    bytes: &mut [u8],
) -> Result<(), ReadError> {
    let offset = (HEADER_BYTES + at * ENTRY_BYTES) as u64;
    let read = medium.read_at(FileName::Index(disk.file), offset, bytes);
    read.map_err(|source| ReadError::Medium { op: "read the index", source })
}

fn entry(bytes: &[u8]) -> IndexEntry {
    IndexEntry { offset: u64_at(bytes, 0), first: u64_at(bytes, 8), hash_tag: u64_at(bytes, 16) }
}
