//! Appends that go past the system's cache of file pages. Filling new pages of that cache took
//! four tenths of a busy node's CPU time, and nobody reads most of them again.
//!
//! The disk takes whole blocks from memory that begins at one. So the block that the last append
//! ended in is kept here, and the next one writes it once more with what follows; the system does
//! no other with its pages. Behind an append there are zeros up to the end of its last block.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::FileName;

/// What every disk and file system that can do this takes: a multiple of their own blocks.
pub(crate) const BLOCK_BYTES: usize = 4_096;

/// Zeros that are written at once, which take no memory of their own.
const ZEROS_BYTES: usize = 256 << 10;
static ZEROS: Zeros = Zeros([0; ZEROS_BYTES]);

/// Aligned to [`BLOCK_BYTES`].
#[repr(align(4096))]
struct Zeros([u8; ZEROS_BYTES]);

/// The end of the file that is appended to.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) name: FileName,
    /// Opened to go past the cache.
    file: File,
    /// Where the block begins that the last append ended in.
    block: u64,
    /// That block as far as it is written, and then what is being appended.
    bytes: Aligned,
    filled: usize,
    /// Whether the block here says more than the one on the disk.
    owed: bool,
}

impl Tail {
    /// Behind `offset` in this file, whose bytes before it, from the begin of their block on,
    /// `read` fills in.
    pub(crate) fn begin(
        name: FileName,
        file: File,
        offset: u64,
        read: impl FnOnce(u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<Tail> {
        let filled = (offset % BLOCK_BYTES as u64) as usize;
        let block = offset - filled as u64;
        let mut bytes = Aligned::zeros(BLOCK_BYTES);
        read(block, &mut bytes.as_mut()[..filled])?;
        Ok(Tail { name, file, block, bytes, filled, owed: false })
    }

    /// Where the next append goes.
    pub(crate) fn end(&self) -> u64 {
        self.block + self.filled as u64
    }

    /// Where the last block of an append of so many bytes ends.
    pub(crate) fn end_with(&self, count: usize) -> u64 {
        (self.end() + count as u64).next_multiple_of(BLOCK_BYTES as u64)
    }

    /// Writes these bytes behind what is there.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.filled + bytes.len();
        let padded = end.next_multiple_of(BLOCK_BYTES);
        self.bytes.grow(padded, self.filled);
        let buffer = self.bytes.as_mut();
        buffer[self.filled..end].copy_from_slice(bytes);
        // What an earlier, longer append left here.
        buffer[end..padded].fill(0);
        // Also where it fails: then nobody knows what the disk holds, and nothing goes over it.
        self.owed = false;
        self.file.write_all_at(&buffer[..padded], self.block)?;
        // The last one that holds a byte: a mark may still be written over its end.
        let last = end.saturating_sub(1) / BLOCK_BYTES * BLOCK_BYTES;
        buffer.copy_within(last..end, 0);
        (self.block, self.filled) = (self.block + last as u64, end - last);
        Ok(())
    }

    /// Writes over bytes of the last block, which the disk gets with the next append or
    /// [`Tail::settle`]; `false` if they do not lie in it.
    pub(crate) fn mark(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let Some(at) = offset.checked_sub(self.block) else { return false };
        let Ok(at) = usize::try_from(at) else { return false };
        match self.bytes.as_mut().get_mut(at..at + bytes.len()) {
            Some(place) if at + bytes.len() <= self.filled => {
                place.copy_from_slice(bytes);
                self.owed = true;
                true
            }
            _ => false,
        }
    }

    /// Whether the disk lacks a mark.
    pub(crate) fn owes(&self) -> bool {
        self.owed
    }

    /// Writes what the disk has not got yet.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if self.owed {
            self.append(&[])?;
        }
        Ok(())
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // Without its mark the next open writes the last group again; nobody hears of it otherwise.
        drop(self.settle());
    }
}

/// Writes zeros from `offset`, which like `count` is a multiple of [`BLOCK_BYTES`].
pub(crate) fn write_zeros(file: &File, offset: u64, count: u64) -> io::Result<()> {
    let (mut at, end) = (offset, offset + count);
    while at < end {
        let step = ZEROS.0.len().min((end - at) as usize);
        file.write_all_at(&ZEROS.0[..step], at)?;
        at += step as u64;
    }
    Ok(())
}

/// Whether this says that the file system does not do it, and not that a disk failed.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// Bytes that begin at a block's begin in memory.
#[derive(Debug)]
struct Aligned {
    /// A block longer than what is used of it.
    bytes: Vec<u8>,
    begin: usize,
}

impl Aligned {
    fn zeros(count: usize) -> Aligned {
        let bytes = vec![0; count + BLOCK_BYTES];
        // Where it cannot be told, the write is refused, and goes through the cache.
        let begin = bytes.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        Aligned { bytes, begin }
    }

    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.begin..self.bytes.len() - BLOCK_BYTES + self.begin]
    }

    fn as_mut(&mut self) -> &mut [u8] {
        let end = self.bytes.len() - BLOCK_BYTES + self.begin;
        &mut self.bytes[self.begin..end]
    }

    /// Makes room for so many bytes; the first `kept` stay.
    fn grow(&mut self, count: usize, kept: usize) {
        if self.as_ref().len() < count {
            // No longer than asked: the largest group bounds it, and is soon met.
            let mut longer = Aligned::zeros(count);
            longer.as_mut()[..kept].copy_from_slice(&self.as_ref()[..kept]);
            *self = longer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use files::Audience;

    const NAME: FileName = FileName::Log(1);

    /// A file of zeros, through the cache: what is written does not depend on how.
    fn file(folder: &tempfile::TempDir, blocks: usize) -> File {
        let file = files::open(&folder.path().join("file"), Audience::Owner).expect("made");
        file.write_all_at(&vec![0; blocks * BLOCK_BYTES], 0).expect("written");
        file
    }

    fn content(folder: &tempfile::TempDir) -> Vec<u8> {
        std::fs::read(folder.path().join("file")).expect("read")
    }

    #[test]
    fn appends_of_every_length_and_their_marks_stand_where_they_belong() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = file(&folder, 16);
        file.write_all_at(b"header", 0).expect("written");
        let read = |at, bytes: &mut [u8]| file.read_exact_at(bytes, at);
        let again = file.try_clone().expect("a descriptor");
        let mut tail = Tail::begin(NAME, again, 6, read).expect("begun");
        let mut expected = b"header".to_vec();
        for (number, count) in [10, 4_080, 1, 4_095, 8_192, 20_000, 8].into_iter().enumerate() {
            let byte = number as u8 + 1;
            assert_eq!(tail.end(), expected.len() as u64);
            tail.append(&vec![byte; count]).expect("appended");
            expected.extend(vec![byte; count]);
            // Over the last byte, also where a block ends with it.
            assert!(tail.mark(expected.len() as u64 - 1, &[0xee]));
            *expected.last_mut().expect("some") = 0xee;
        }
        let before = content(&folder);
        assert_eq!(before[expected.len() - 1], 7, "the last mark is owed");
        tail.settle().expect("written");
        let found = content(&folder);
        assert_eq!(found[..expected.len()], expected);
        assert!(found[expected.len()..].iter().all(|byte| *byte == 0), "zeros behind it");
        assert_eq!(found.len(), 16 * BLOCK_BYTES, "as long as it was made");
    }

    #[test]
    fn a_mark_elsewhere_than_in_the_last_block_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = file(&folder, 4);
        let mut tail = Tail::begin(NAME, file, 4_000, |_, _| Ok(())).expect("begun");
        tail.append(&[1; 200]).expect("appended");
        assert!(!tail.mark(4_090, &[2; 4]), "before it");
        assert!(!tail.mark(4_198, &[2; 4]), "beyond its end");
        assert!(tail.mark(4_196, &[2; 4]));
    }

    #[test]
    fn zeros_are_written_in_steps() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = file(&folder, 0);
        file.write_all_at(&[1; 3 * BLOCK_BYTES], 0).expect("written");
        let count = ZEROS_BYTES as u64 + BLOCK_BYTES as u64;
        write_zeros(&file, BLOCK_BYTES as u64, count).expect("written");
        let found = content(&folder);
        assert_eq!(found.len(), ZEROS_BYTES + 2 * BLOCK_BYTES);
        let ones = found.iter().filter(|byte| **byte == 1).count();
        assert_eq!((ones, found[0]), (BLOCK_BYTES, 1));
    }
}
