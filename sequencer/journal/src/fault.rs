//! A hostile medium in memory, for tests of the log and of whatever is built on it.
//!
//! It keeps what was synced apart from what was only written. A power cut keeps the synced part and
//! an arbitrary part of the rest; a failed sync drops the rest for good while reads still show it,
//! as a page cache does.

mod archive;
mod disk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::{fmt, io};

pub use archive::FaultArchive;
pub use disk::{Cut, FaultDisk, Power};

use crate::archived;
use crate::file::FILE_HEADER_BYTES;
use crate::record::{
    GROUP_HEADER_BYTES, GROUP_MAGIC, MARK_BYTES, durable_mark, record_bytes, u32_at, u64_at,
};
use crate::{Archive, FileLengths, FileName, Medium, Salts};

/// Salts that anybody can foretell, the same at every start: for tests, whose bytes must not
/// change.
pub fn salts() -> Salts {
    let mut number = 0u64;
    Salts::new(move || {
        number += 1;
        let mut salt = [0x5a; 32];
        salt[..8].copy_from_slice(&number.to_le_bytes());
        Ok(salt)
    })
}

/// The groups of a first file, as the version before wrote them into the one file of a log.
pub fn as_one_file(first: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8], at| u32_at(bytes, at) as usize;
    let mut bytes = first[..FILE_HEADER_BYTES].to_vec();
    bytes[8] = 2;
    bytes[88..104].fill(0);
    let crc = crc32c::crc32c(&bytes[..124]);
    bytes[124..].copy_from_slice(&crc.to_le_bytes());
    let seed = crc32c::crc32c(&first[16..32]);
    while let Some(head) = first[bytes.len()..].first_chunk::<GROUP_HEADER_BYTES>() {
        let (at, end) = (bytes.len(), bytes.len() + record_bytes(number(head, 28)));
        if !head.starts_with(&GROUP_MAGIC) {
            break;
        }
        bytes.extend_from_slice(&first[at..end]);
        let record = &mut bytes[at..];
        let (body, mark) = (GROUP_HEADER_BYTES, end - at - MARK_BYTES);
        let crc = crc32c::crc32c_append(seed, &record[body..mark]);
        record[128..132].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &record[..132]);
        record[132..136].copy_from_slice(&crc.to_le_bytes());
        let durable = durable_mark(seed, u64_at(record, 8));
        record[mark..].copy_from_slice(&durable);
    }
    bytes
}

/// A medium that can lose power and fail. Clones share their content.
#[derive(Clone)]
pub struct FaultMedium {
    disk: FaultDisk<FileName>,
    lengths: FileLengths,
    on_sync: Option<Arc<dyn Fn(FileName) + Send + Sync>>,
    archive: Option<Arc<dyn Archive>>,
    /// Whether every file has another name somewhere.
    linked: bool,
}

impl Default for FaultMedium {
    fn default() -> Self {
        FaultMedium::on(FaultDisk::default())
    }
}

impl fmt::Debug for FaultMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultMedium")
    }
}

/// Files by name, with their content.
pub type Files = BTreeMap<FileName, Vec<u8>>;

impl FaultMedium {
    /// A medium that holds these files, durably.
    pub fn holding(files: Files) -> FaultMedium {
        FaultMedium::on(FaultDisk::holding(files))
    }

    fn on(disk: FaultDisk<FileName>) -> FaultMedium {
        let lengths = FileLengths { least: 1 << 16, most: 1 << 20 };
        FaultMedium { disk, lengths, on_sync: None, archive: None, linked: false }
    }

    /// With files of these lengths, instead of 64 KiB to 1 MiB.
    pub fn with_lengths(self, least: u64, most: u64) -> FaultMedium {
        FaultMedium { lengths: FileLengths { least, most }, ..self }
    }

    /// With the supply of other disks, too.
    pub fn powered_by(self, power: &Power) -> FaultMedium {
        FaultMedium { disk: self.disk.powered_by(power), ..self }
    }

    /// Says "synced" and is not.
    pub fn lying(self) -> FaultMedium {
        self.disk.lie();
        self
    }

    /// Says "synced" of this file, and is not.
    pub fn lying_about(self, name: FileName) -> FaultMedium {
        self.disk.lie_about(&name);
        self
    }

    /// As if somebody kept another name of every file.
    pub fn linked(self) -> FaultMedium {
        FaultMedium { linked: true, ..self }
    }

    /// Calls this before every sync of a file, with its name.
    pub fn on_sync(self, call: impl Fn(FileName) + Send + Sync + 'static) -> FaultMedium {
        FaultMedium { on_sync: Some(Arc::new(call)), ..self }
    }

    /// With an archive, from which files are read that are not here any more.
    pub fn with_archive(self, archive: Arc<dyn Archive>) -> FaultMedium {
        FaultMedium { archive: Some(archive), ..self }
    }

    /// Lets all files together take at most so many bytes from now on.
    pub fn limit_room(&self, bytes: u64) {
        self.disk.limit_room(bytes);
    }

    /// As [`Power::fail_at`].
    pub fn fail_at(&self, call: u64) {
        self.disk.power().fail_at(call);
    }

    /// As [`Power::off_at`].
    pub fn power_off_at(&self, call: u64) {
        self.disk.power().off_at(call);
    }

    /// Changing calls so far.
    pub fn calls(&self) -> u64 {
        self.disk.power().calls()
    }

    /// What reads show.
    pub fn files(&self) -> Files {
        self.disk.files()
    }

    /// What reads of one file show; nothing if it is not there.
    pub fn file(&self, name: FileName) -> Vec<u8> {
        self.disk.read(&name).unwrap_or_default()
    }

    /// As [`FaultDisk::after_power_cut`].
    pub fn after_power_cut(&self, cut: Cut, seed: u64) -> FaultMedium {
        FaultMedium {
            lengths: self.lengths,
            ..FaultMedium::on(self.disk.after_power_cut(cut, seed))
        }
    }
}

impl Medium for FaultMedium {
    fn names(&self) -> io::Result<Vec<FileName>> {
        Ok(self.disk.names())
    }

    fn len(&self, name: FileName) -> io::Result<u64> {
        self.disk.len(&name)
    }

    fn read_at(&self, name: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let missing = match self.disk.read_at(&name, offset, bytes) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => missing,
            outcome => return outcome,
        };
        let archived = archived::read_instead(self, missing, name)?;
        archived::read_at(self.archive.as_deref(), &archived, offset, bytes)
    }

    fn make_empty(&self, name: FileName) -> io::Result<()> {
        self.disk.make_empty(name)
    }

    fn write_at(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_at(&name, offset, bytes)
    }

    fn cut(&self, name: FileName, length: u64) -> io::Result<()> {
        self.disk.set_len(&name, length)
    }

    fn is_linked(&self, name: FileName) -> io::Result<bool> {
        self.disk.len(&name).map(|_| self.linked)
    }

    fn sync(&self, name: FileName) -> io::Result<()> {
        if let Some(call) = &self.on_sync {
            call(name);
        }
        self.disk.sync(&name)
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        self.disk.rename(&from, &to)
    }

    fn remove(&self, name: FileName) -> io::Result<()> {
        self.disk.remove(&name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }

    fn file_lengths(&self) -> FileLengths {
        self.lengths
    }
}
