//! What may go into an archive, and the one way in which a file leaves the folder.

use std::io;

use crate::archived::{Ends, Stub};
use crate::{
    ArchivedFile, FileFault, FileName, FileNumber, GroupNumber, Medium, Millis, OpenError,
    Position, Reader,
};

/// A file that was left: it never changes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedFile {
    /// Its number.
    pub file: FileNumber,
    /// Its length in bytes.
    pub length: u64,
    /// The number of its first group, unless numbers were given up right before that.
    pub first_group: GroupNumber,
    /// The number of its last group.
    pub last_group: GroupNumber,
    /// The position of its first entry, with the same reservation.
    pub first_position: Position,
    /// The position of its last entry.
    pub last_position: Position,
    /// When its last entry was appended.
    pub last_time: Millis,
    /// Journal hash before its first group.
    pub hash_before: [u8; 32],
    /// Journal hash after its last group.
    pub hash_after: [u8; 32],
}

/// Why a file stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum PutAwayError {
    /// The medium failed; the file is there, or what stands for it is.
    #[error("{}: {op} failed", FileName::Log(*file))]
    Medium {
        /// Which file.
        file: FileNumber,
        /// The call that failed.
        op: &'static str,
        /// Its error.
        #[source]
        source: io::Error,
    },
    /// It does not begin and end as a sealed file does.
    #[error(transparent)]
    File(#[from] OpenError),
    /// It is written to, or an earlier one is still here.
    #[error(
        "{}: expected the first file that is here, with another one behind it, found the first to \
         be {first:?} and the last {last}", FileName::Log(*file)
    )]
    NotFirst {
        /// Which file.
        file: FileNumber,
        /// The first one that is here.
        first: Option<FileNumber>,
        /// The one that groups go into.
        last: FileNumber,
    },
    /// It holds the first group behind numbers that were given up, which says what was lost. That
    /// is asked for at every welcome.
    #[error("{}: expected no group in it that says what was lost", FileName::Log(*file))]
    HoldsGap {
        /// Which file.
        file: FileNumber,
    },
    /// Without its index a start would fetch it at once.
    #[error("{}: expected its index on the disk, found none yet", FileName::Log(*file))]
    NotIndexed {
        /// Which file.
        file: FileNumber,
    },
}

/// What every step of putting a file away may say.
fn failed(file: FileNumber, op: &'static str) -> impl Fn(io::Error) -> PutAwayError {
    move |source| PutAwayError::Medium { file, op, source }
}

impl<M: Medium> Reader<M> {
    /// The numbers of files that were left and are here, the first one first.
    ///
    /// # Errors
    /// If the medium does not list them.
    pub fn local_files(&self) -> io::Result<Vec<FileNumber>> {
        let last = self.head().file;
        let number = |name| match name {
            FileName::Log(number) if number < last => Some(number),
            _ => None,
        };
        let mut found: Vec<_> = self.medium().names()?.into_iter().filter_map(number).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// What a file says of itself that was left, be it here or in an archive.
    ///
    /// # Errors
    /// [`PutAwayError::File`] for one that is not there or not sealed.
    pub fn sealed_file(&self, file: FileNumber) -> Result<SealedFile, PutAwayError> {
        let medium = self.medium();
        let (header, seal, length) = match Ends::read(medium, file) {
            Ok(ends) => {
                let (header, seal) = ends.decode(file)?;
                (header, seal, ends.length)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let missing = FileFault::Missing { before: file.saturating_sub(1) };
                let missing = OpenError::File { file, fault: missing };
                let Stub { header, seal, archived } = Stub::read(medium, file)?.ok_or(missing)?;
                (header, seal, archived.length)
            }
            Err(error) => return Err(failed(file, "read its ends")(error)),
        };
        let (before, after) = (header.head(), seal.0);
        Ok(SealedFile {
            file,
            length,
            first_group: before.group + 1,
            last_group: after.group,
            first_position: before.position + 1,
            last_position: after.position,
            last_time: after.last_time,
            hash_before: before.journal_hash,
            hash_after: after.journal_hash,
        })
    }

    /// Files that are in an archive and not here, the first one first.
    ///
    /// # Errors
    /// [`OpenError`] if what stands for one cannot be read.
    pub fn archived_files(&self) -> Result<Vec<ArchivedFile>, OpenError> {
        let medium = self.medium();
        let names = medium.names();
        let names = names.map_err(|source| OpenError::Medium { op: "list", source })?;
        let is_here = |file: &FileNumber| names.contains(&FileName::Log(*file));
        let number = |name: &FileName| match name {
            FileName::Archived(number) => Some(*number),
            _ => None,
        };
        let mut files: Vec<_> = names.iter().filter_map(number).collect();
        files.retain(|file| !is_here(file));
        files.sort_unstable();
        let stubs = files.into_iter().map(|file| Stub::read(medium, file));
        let stubs = stubs.collect::<Result<Vec<_>, _>>()?;
        Ok(stubs.into_iter().flatten().map(|stub| stub.archived).collect())
    }

    /// Bytes of a file as it stands here.
    ///
    /// # Errors
    /// What the medium says.
    pub fn read_file(&self, file: FileNumber, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.medium().read_at(FileName::Log(file), offset, bytes)
    }

    /// Removes a file that is in an archive under this digest, durably; what stands for it is
    /// durable before. Only the first one that is here goes, so that what is here is one piece. If
    /// it is as long as the next one is to be, that takes over its blocks, and it is kept for that
    /// under another name. Whether the archive has it, and nobody needs it here, the caller knows.
    ///
    /// # Errors
    /// [`PutAwayError`]; it may be called again.
    pub fn put_away(&self, file: FileNumber, digest: &[u8; 32]) -> Result<(), PutAwayError> {
        let medium = self.medium();
        let local = self.local_files().map_err(failed(file, "list the files"))?;
        let (first, last) = (local.first().copied(), self.head().file);
        if first != Some(file) {
            return Err(PutAwayError::NotFirst { file, first, last });
        }
        if !self.is_indexed(file) {
            return Err(PutAwayError::NotIndexed { file });
        }
        let ends = Ends::read(medium, file).map_err(failed(file, "read its ends"))?;
        let (header, seal) = ends.decode(file)?;
        let groups = header.head().group + 1..=seal.0.group;
        if self.given_up().iter().any(|gap| groups.contains(&gap.until.group)) {
            return Err(PutAwayError::HoldsGap { file });
        }
        let (name, stub) = (FileName::Archived(file), ends.stub(header.seed(), digest));
        // An index that reads well may be in memory alone, and from now on much rests on it.
        medium.sync(FileName::Index(file)).map_err(failed(file, "sync its index"))?;
        medium.make_empty(name).map_err(failed(file, "make what stands for it"))?;
        medium.write_at(name, 0, &stub).map_err(failed(file, "write what stands for it"))?;
        medium.sync(name).map_err(failed(file, "sync what stands for it"))?;
        medium.sync_names().map_err(failed(file, "sync the folder"))?;
        let read = Stub::read(medium, file)?.filter(|read| read.seal == seal);
        if read.is_none_or(|read| read.archived.digest != *digest) {
            return Err(OpenError::File { file, fault: FileFault::Stub }.into());
        }
        // Only now: whatever power leaves of the removal, the file is here or its stub is.
        let removed = self.ahead().remove_for_next(medium, file, ends.length);
        removed.map_err(failed(file, "remove it"))
    }
}
