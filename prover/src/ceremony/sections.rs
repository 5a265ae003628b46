//! Numbered sections behind a magic: the frame of `.zkey` and `.ptau` files.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::error::CeremonyFileError;

/// A file whose sections were found and not yet read: a first phase is far larger than what a
/// circuit needs of it.
pub(super) struct Sections<R> {
    source: R,
    /// Where each section begins, and its bytes; in the order of the file.
    places: BTreeMap<u32, Vec<(u64, u64)>>,
}

impl<R: Read + Seek> Sections<R> {
    pub(super) fn open(mut source: R, kind: &'static str) -> Result<Self, CeremonyFileError> {
        let end = source.seek(SeekFrom::End(0))?;
        source.rewind()?;
        let mut head = [0; 12];
        let wrong = CeremonyFileError::Kind { expected: kind };
        if end < 12 {
            return Err(wrong);
        }
        source.read_exact(&mut head)?;
        let (words, _) = head.as_chunks::<4>();
        if words[0] != kind.as_bytes() || u32::from_le_bytes(words[1]) != 1 {
            return Err(wrong);
        }
        let mut places: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
        let mut at = 12;
        // A stranger's count: each turn takes 12 bytes of the file at least, so that the file's own
        // length bounds the turns.
        for _ in 0..u32::from_le_bytes(words[2]) {
            let mut frame = [0; 12];
            if end - at < 12 {
                let found = end - at;
                return Err(CeremonyFileError::Truncated { section: 0, expected: 12, found });
            }
            source.read_exact(&mut frame)?;
            at += 12;
            let section = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]);
            let bytes = frame[4..].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            if bytes > end - at {
                let found = end - at;
                return Err(CeremonyFileError::Truncated { section, expected: bytes, found });
            }
            places.entry(section).or_default().push((at, bytes));
            at += bytes;
            source.seek(SeekFrom::Start(at))?;
        }
        expect("bytes after the last section", 0, end - at)?;
        Ok(Self { source, places })
    }

    /// Sections of the file, repeated ones included.
    pub(super) fn count(&self) -> usize {
        self.places.values().map(Vec::len).sum()
    }

    /// Bytes of a section.
    pub(super) fn bytes(&self, section: u32) -> Result<u64, CeremonyFileError> {
        self.place(section).map(|(_, bytes)| bytes)
    }

    /// All of a section, whatever its length: for those that no count says.
    pub(super) fn read_all(&mut self, section: u32) -> Result<Vec<u8>, CeremonyFileError> {
        let bytes = self.bytes(section)?;
        self.read_first(section, bytes)
    }

    /// All of a section, which must have so many bytes.
    pub(super) fn read(
        &mut self,
        section: u32,
        what: &'static str,
        bytes: u64,
    ) -> Result<Vec<u8>, CeremonyFileError> {
        // Compared before anything is allocated.
        expect(what, bytes, self.bytes(section)?)?;
        self.read_first(section, bytes)
    }

    /// The first bytes of a section.
    pub(super) fn read_first(
        &mut self,
        section: u32,
        bytes: u64,
    ) -> Result<Vec<u8>, CeremonyFileError> {
        let (at, found) = self.place(section)?;
        if found < bytes {
            return Err(CeremonyFileError::Truncated { section, expected: bytes, found });
        }
        self.source.seek(SeekFrom::Start(at))?;
        let mut content = Vec::new();
        (&mut self.source).take(bytes).read_to_end(&mut content)?;
        // The file may have been cut since its sections were found.
        let found = content.len() as u64;
        if found == bytes {
            Ok(content)
        } else {
            Err(CeremonyFileError::Truncated { section, expected: bytes, found })
        }
    }

    fn place(&self, section: u32) -> Result<(u64, u64), CeremonyFileError> {
        match self.places.get(&section).map(Vec::as_slice) {
            Some([place]) => Ok(*place),
            // Of two, a reader would take one, and another reader the other.
            found => {
                Err(CeremonyFileError::Section { section, found: found.map_or(0, <[_]>::len) })
            }
        }
    }
}

pub(super) fn expect(
    what: &'static str,
    expected: u64,
    found: u64,
) -> Result<(), CeremonyFileError> {
    if expected == found {
        Ok(())
    } else {
        Err(CeremonyFileError::Number { what, expected, found })
    }
}
