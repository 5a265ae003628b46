//! Files that are in an archive and no longer here: what stands for one, and how it is read.
//!
//! A file that was left never changes again, so it may go elsewhere. In its place stands a *stub*:
//! its header and its seal, its length and the hash of all its bytes. With that and its index a log
//! opens without it, and says of every group where it stands; what the groups hold is read from the
//! archive by whoever asks for it. See `docs/journal.md`.

use std::io;

use crate::file::{FILE_HEADER_BYTES, FileHeader, SEAL_BYTES, Seal, last_sector};
use crate::record::{array_at, u32_at, u64_at};
use crate::{
    Archive, ArchivedFile, FetchError, FileFault, FileName, FileNumber, Medium, OpenError,
};

/// Bytes of a stub: two sectors.
const STUB_BYTES: usize = 1_024;
const MAGIC: [u8; 8] = *b"VITLSTUB";
const HEADER_AT: usize = 48;
const SEAL_AT: usize = HEADER_AT + FILE_HEADER_BYTES;
const RESERVED_AT: usize = SEAL_AT + SEAL_BYTES;
const CRC_AT: usize = STUB_BYTES - 4;

/// What stands for a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stub {
    pub(crate) header: FileHeader,
    pub(crate) seal: Seal,
    pub(crate) archived: ArchivedFile,
}

/// The header and the seal of a file as they stand in it.
pub(crate) struct Ends {
    header: [u8; FILE_HEADER_BYTES],
    seal: [u8; SEAL_BYTES],
    pub(crate) length: u64,
}

impl Ends {
    /// Reads them of a file that is here.
    pub(crate) fn read<M: Medium>(medium: &M, file: FileNumber) -> io::Result<Ends> {
        let name = FileName::Log(file);
        let length = medium.len(name)?;
        let (mut header, mut seal) = ([0; FILE_HEADER_BYTES], [0; SEAL_BYTES]);
        medium.read_at(name, 0, &mut header)?;
        medium.read_at(name, last_sector(length), &mut seal)?;
        Ok(Ends { header, seal, length })
    }

    /// What they say, if they are those of this file.
    pub(crate) fn decode(&self, file: FileNumber) -> Result<(FileHeader, Seal), OpenError> {
        let header = FileHeader::decode(&self.header, file)?;
        let unsealed = OpenError::File { file, fault: FileFault::Unsealed };
        let seal = Seal::decode(&self.seal, header.seed()).ok_or(unsealed)?;
        Ok((header, seal))
    }

    /// The stub of the file, which has this digest.
    pub(crate) fn stub(&self, seed: u32, digest: &[u8; 32]) -> Vec<u8> {
        let mut bytes = vec![0; STUB_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..HEADER_AT].copy_from_slice(digest);
        bytes[HEADER_AT..SEAL_AT].copy_from_slice(&self.header);
        bytes[SEAL_AT..RESERVED_AT].copy_from_slice(&self.seal);
        let crc = crc32c::crc32c_append(seed, &bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

impl Stub {
    /// Reads the stub of a file that is not here; `None` if there is none either.
    pub(crate) fn read<M: Medium>(medium: &M, file: FileNumber) -> Result<Option<Stub>, OpenError> {
        let name = FileName::Archived(file);
        let failed = |source| OpenError::Medium { op: "read what stands for a file", source };
        let len = match medium.len(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            len => len.map_err(failed)?,
        };
        let damaged = OpenError::File { file, fault: FileFault::Stub };
        if len != STUB_BYTES as u64 {
            return Err(damaged);
        }
        let mut bytes = [0; STUB_BYTES];
        medium.read_at(name, 0, &mut bytes).map_err(failed)?;
        Stub::decode(&bytes, file).ok_or(damaged).map(Some)
    }

    /// `None` for what is no stub of this file.
    fn decode(bytes: &[u8; STUB_BYTES], file: FileNumber) -> Option<Stub> {
        let ends = Ends {
            header: array_at(bytes, HEADER_AT),
            seal: *bytes[SEAL_AT..].first_chunk()?,
            length: u64_at(bytes, 8),
        };
        let header = FileHeader::decode(&ends.header, file).ok()?;
        let crc = crc32c::crc32c_append(header.seed(), &bytes[..CRC_AT]);
        let reserved = &bytes[RESERVED_AT..CRC_AT];
        let is_whole = bytes[..8] == MAGIC
            && u32_at(bytes, CRC_AT) == crc
            && reserved.iter().all(|byte| *byte == 0);
        let (header, seal) = if is_whole { ends.decode(file).ok()? } else { return None };
        let (length, digest) = (ends.length, array_at(bytes, 16));
        // The seal stands behind the groups, so a shorter file is none.
        (length >= header.length && length >= seal.0.end).then_some(Stub {
            header,
            seal,
            archived: ArchivedFile { file, length, digest },
        })
    }
}

/// What a medium reads where a file of it is not here: from the archive, if a stub says that the
/// file is there. `missing` is what it found instead.
pub(crate) fn read_instead<M: Medium>(
    medium: &M,
    missing: io::Error,
    name: FileName,
) -> io::Result<ArchivedFile> {
    let FileName::Log(file) = name else { return Err(missing) };
    if missing.kind() != io::ErrorKind::NotFound {
        return Err(missing);
    }
    match Stub::read(medium, file) {
        Ok(Some(stub)) => Ok(stub.archived),
        Ok(None) => Err(missing),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// As the medium hands it on.
fn as_io(error: FetchError) -> io::Error {
    io::Error::other(error)
}

/// Reads of an archived file.
pub(crate) fn read_at(
    archive: Option<&dyn Archive>,
    file: &ArchivedFile,
    offset: u64,
    bytes: &mut [u8],
) -> io::Result<()> {
    let Some(archive) = archive else {
        return Err(as_io(FetchError::NoArchive { file: file.file }));
    };
    archive.read_at(file, offset, bytes).map_err(as_io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultMedium, salts};
    use crate::{Entry, EntryKind, Genesis, Log};

    /// A log of some files.
    fn medium() -> FaultMedium {
        let medium = FaultMedium::default().with_lengths(2_048, 2_048);
        let genesis = Genesis { log_id: [7; 16], journal_hash: [0; 32] };
        let (mut log, _) = Log::open(medium.clone(), genesis, salts()).unwrap();
        for _ in 0..20 {
            let entry = Entry::new(EntryKind::FRAME, 3_900_000_000_000, vec![1; 200]);
            log.append(&[entry]).unwrap();
        }
        medium
    }

    #[test]
    fn a_stub_says_what_its_file_says_and_every_changed_byte_of_it_is_noticed() {
        let medium = medium();
        let ends = Ends::read(&medium, 2).unwrap();
        let (header, seal) = ends.decode(2).unwrap();
        let stub: [u8; STUB_BYTES] = ends.stub(header.seed(), &[9; 32]).try_into().unwrap();
        let read = Stub::decode(&stub, 2).unwrap();
        assert_eq!((read.header, read.seal), (header, seal));
        assert_eq!(read.archived, ArchivedFile { file: 2, length: 2_048, digest: [9; 32] });
        assert!(Stub::decode(&stub, 3).is_none(), "of another file");
        for at in 0..STUB_BYTES {
            let mut changed = stub;
            changed[at] ^= 0x10;
            assert!(Stub::decode(&changed, 2).is_none(), "byte {at}");
        }
        // A power cut leaves a beginning, or one of its sectors.
        for (from, to) in [(0, 512), (512, STUB_BYTES)] {
            let mut torn = [0; STUB_BYTES];
            torn[from..to].copy_from_slice(&stub[from..to]);
            assert!(Stub::decode(&torn, 2).is_none(), "{from} to {to}");
        }
    }
}
