//! A file that was fetched: written to a disk that may change it, and so held against what came, a
//! block at a time, by every read.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

/// Bytes that are read and hashed together: some microseconds for the shortest read.
const BLOCK_BYTES: usize = 16 << 10;
/// Bytes of a block's hash that are kept: they tell damage, and nobody chooses blocks. Memory: a
/// thousandth of what is kept.
const HASH_BYTES: usize = 16;

type BlockHash = [u8; HASH_BYTES];

fn hash(block: &[u8]) -> BlockHash {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&blake3::hash(block).as_bytes()[..HASH_BYTES]);
    hash
}

/// A file, and what it held when all of it had been compared.
#[derive(Debug)]
pub(crate) struct Fetched {
    file: File,
    bytes: u64,
    blocks: Vec<BlockHash>,
}

/// A file that is being fetched.
#[derive(Debug)]
pub(crate) struct Fetching {
    file: File,
    bytes: u64,
    blocks: Vec<BlockHash>,
    /// The beginning of the block that comes next.
    begun: Vec<u8>,
}

impl Fetching {
    /// Into an empty file.
    pub(crate) fn new(file: File) -> Fetching {
        let begun = Vec::with_capacity(BLOCK_BYTES);
        Fetching { file, bytes: 0, blocks: Vec::new(), begun }
    }

    /// Appends what came.
    pub(crate) fn write(&mut self, mut part: &[u8]) -> io::Result<()> {
        self.file.write_all(part)?;
        self.bytes += part.len() as u64;
        while !part.is_empty() {
            let (now, later) = part.split_at(part.len().min(BLOCK_BYTES - self.begun.len()));
            self.begun.extend_from_slice(now);
            part = later;
            if self.begun.len() == BLOCK_BYTES {
                self.end_block();
            }
        }
        Ok(())
    }

    fn end_block(&mut self) {
        self.blocks.push(hash(&self.begun));
        self.begun.clear();
    }

    /// All of it came.
    pub(crate) fn done(mut self) -> Fetched {
        if !self.begun.is_empty() {
            self.end_block();
        }
        Fetched { file: self.file, bytes: self.bytes, blocks: self.blocks }
    }
}

impl Fetched {
    /// Fills `out` with what came from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where the disk has other bytes by now; `out` holds none of
    /// them that count. Beyond the end [`io::ErrorKind::UnexpectedEof`].
    pub(crate) fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.bytes);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let mut at = offset;
        while at < end {
            let number = (at / BLOCK_BYTES as u64) as usize;
            let begin = number as u64 * BLOCK_BYTES as u64;
            block.resize((self.bytes - begin).min(BLOCK_BYTES as u64) as usize, 0);
            self.file.read_exact_at(&mut block, begin)?;
            // Before a byte of it is handed on.
            if self.blocks.get(number) != Some(&hash(&block)) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let from = (at - begin) as usize;
            let until = block.len().min((end - begin) as usize);
            let place = (at - offset) as usize;
            out[place..place + until - from].copy_from_slice(&block[from..until]);
            at = begin + until as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at * 7 + at / 251) as u8).collect()
    }

    fn fetched(bytes: &[u8], part: usize) -> Fetched {
        let mut fetching = Fetching::new(tempfile::tempfile().unwrap());
        bytes.chunks(part).for_each(|part| fetching.write(part).unwrap());
        fetching.done()
    }

    #[test]
    fn whatever_parts_it_came_in_every_part_of_it_is_read() {
        for count in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 77] {
            let whole = bytes(count);
            for part in [1_000, BLOCK_BYTES, 5 * BLOCK_BYTES] {
                let fetched = fetched(&whole, part);
                let ends = [0, 1, 99, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 1, count];
                for (from, until) in ends.iter().flat_map(|from| ends.map(|until| (*from, until))) {
                    let Some(expected) = whole.get(from..until) else { continue };
                    let mut out = vec![0; expected.len()];
                    fetched.read_at(from as u64, &mut out).unwrap();
                    assert!(out == expected, "{from}..{until} of {count}");
                }
                let beyond = fetched.read_at(count as u64, &mut [0]).unwrap_err();
                assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
                fetched.read_at(u64::MAX, &mut [0]).unwrap_err();
            }
        }
    }

    #[test]
    fn a_byte_that_the_disk_changed_is_handed_to_nobody_and_others_are() {
        let whole = bytes(2 * BLOCK_BYTES + 10);
        let fetched = fetched(&whole, 1_000);
        let at = BLOCK_BYTES + 5;
        fetched.file.write_all_at(&[whole[at] ^ 1], at as u64).unwrap();
        // The byte itself, one beside it, all of it.
        for (from, count) in [(at, 1), (at + 1, 1), (0, whole.len())] {
            let error = fetched.read_at(from as u64, &mut vec![0; count]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{count} from {from}");
        }
        for (from, count) in [(0, BLOCK_BYTES), (2 * BLOCK_BYTES, 10)] {
            let mut out = vec![0; count];
            fetched.read_at(from as u64, &mut out).unwrap();
            assert!(out == whole[from..from + count]);
        }
        fetched.file.set_len(at as u64).unwrap();
        fetched.read_at(at as u64, &mut [0]).unwrap_err();
    }
}
