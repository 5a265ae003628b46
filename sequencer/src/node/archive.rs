//! Opens the archive of a node, so that its journal is read there too.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use archive::{
    Beginning, Brought, Digest, Fetcher, Known, NotFetched, ObjectName, Objects, PlaceError,
    PublicFile, Room,
};
use journal::{Archive, ArchivedFile, FetchError};
use model::{BatchNumber, with_causes};
use thiserror::Error;

use crate::disk::{FileSystems, FreeSpace};
use crate::doors::config::{Config, ConfigError};
use crate::folder::archive_mark::ArchiveMark;
use crate::folder::checked::CheckedError;
use crate::folder::layout::Layout;
use crate::folder::store::{BatchArchive, BroughtBatch, FileDigest, NotBrought, Store, StoreError};

/// Most public batch files of one manifest, and bytes after which no further one is read: some
/// large ones shall not be in memory at once.
const BATCHES_AT_ONCE: usize = 64;
const BATCH_BYTES: usize = model::limits::BATCH_FILE_BYTES_MAX;

/// Why the archive cannot be used, whether or not it answers.
#[derive(Debug, Error)]
pub enum ArchiveSetupError {
    /// The configuration is not accepted.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The place does not open.
    #[error("`[archive]`")]
    Place(#[from] PlaceError),
    /// What is fetched has nowhere to be.
    #[error("expected to keep fetched files in the folder archived/")]
    Folder(#[source] io::Error),
}

/// An archive that is configured: its objects, and who fetches them for the journal's readers.
#[derive(Clone)]
pub(super) struct OpenedArchive {
    pub(super) objects: Objects,
    pub(super) fetcher: Fetcher,
}

impl OpenedArchive {
    /// That of a configuration, if it names one. Nothing is asked of it yet.
    pub(super) fn open(
        layout: &Layout,
        config: &Config,
    ) -> Result<Option<OpenedArchive>, ArchiveSetupError> {
        let section = &config.archive;
        let Some(place) = section.place()? else { return Ok(None) };
        let objects = place.open(&section.access())?;
        let (folder, reserve) = (layout.archived(), config.journal.reserve_bytes);
        let space = FileSystems::of([folder.clone()]);
        // What readers fetch takes none of the room that frames leave to everything else.
        let room = Room::new(move |bytes| {
            space.free_bytes().is_ok_and(|free| free >= reserve.saturating_add(bytes))
        });
        let fetcher = Fetcher::start(objects.clone(), &folder, section.cache_limits(), room);
        let fetcher = fetcher.map_err(ArchiveSetupError::Folder)?;
        Ok(Some(OpenedArchive { objects, fetcher }))
    }

    /// For the journal's readers.
    pub(super) fn reads(&self) -> Arc<dyn Archive> {
        Arc::new(self.fetcher.clone())
    }

    /// For readers of public batch files.
    pub(super) fn batches(&self) -> Arc<dyn BatchArchive> {
        Arc::new(Batches(self.fetcher.clone()))
    }
}

/// Reads public batch files.
#[derive(Debug)]
struct Batches(Fetcher);

impl BatchArchive for Batches {
    fn bring(
        &self,
        digest: &FileDigest,
        wait: Duration,
    ) -> Result<Box<dyn BroughtBatch>, NotBrought> {
        let FileDigest { blake3, bytes } = *digest;
        let object = ObjectName::Batch(blake3);
        let brought = self.0.clone().waiting(wait).bring(Digest { bytes, blake3 });
        match brought {
            Ok(brought) => Ok(Box::new(InCache { object, brought })),
            Err(error) => Err(not_brought(object, &error)),
        }
    }
}

/// A public batch file that was fetched.
struct InCache {
    object: ObjectName,
    brought: Brought,
}

impl BroughtBatch for InCache {
    fn read(&self) -> Result<Vec<u8>, NotBrought> {
        self.brought.read().map_err(|error| not_brought(self.object, &error))
    }
}

fn not_brought(object: ObjectName, error: &NotFetched) -> NotBrought {
    let why: Box<dyn Error + Send + Sync> = format!("{object}: {error}").into();
    match error {
        NotFetched::Late | NotFetched::Busy { .. } | NotFetched::Promised | NotFetched::Changed => {
            NotBrought::Later(why)
        }
        NotFetched::Missing | NotFetched::Damaged | NotFetched::Failed(_) => {
            NotBrought::Unavailable(why)
        }
    }
}

/// The archive of a folder, as its own configuration says, for whoever only reads its journal.
/// Nothing is opened, no credentials are asked for and no folder is made before a file is read
/// there.
pub fn reads_of(layout: &Layout) -> Arc<dyn Archive> {
    Arc::new(WhenRead { layout: layout.clone(), opened: OnceLock::new() })
}

/// As [`reads_of`], for readers of public batch files.
pub fn batches_of(layout: &Layout) -> Arc<dyn BatchArchive> {
    Arc::new(WhenRead { layout: layout.clone(), opened: OnceLock::new() })
}

/// Opened by the first read; what that found stays.
struct WhenRead {
    layout: Layout,
    opened: OnceLock<Result<Option<OpenedArchive>, String>>,
}

impl fmt::Debug for WhenRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhenRead")
    }
}

impl WhenRead {
    fn open(&self) -> Result<Option<OpenedArchive>, String> {
        if !self.layout.config().exists() {
            return Ok(None);
        }
        let config = Config::read(&self.layout.config()).map_err(|error| with_causes(&error))?;
        OpenedArchive::open(&self.layout, &config).map_err(|error| with_causes(&error))
    }
}

impl Archive for WhenRead {
    fn read_at(
        &self,
        file: &ArchivedFile,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), FetchError> {
        match self.opened.get_or_init(|| self.open()) {
            Ok(Some(opened)) => opened.fetcher.read_at(file, offset, bytes),
            Ok(None) => Err(FetchError::NoArchive { file: file.file }),
            Err(why) => {
                let object = ObjectName::Log(file.digest).to_string();
                Err(FetchError::Unavailable { file: file.file, object, source: why.clone().into() })
            }
        }
    }
}

impl BatchArchive for WhenRead {
    fn bring(
        &self,
        digest: &FileDigest,
        wait: Duration,
    ) -> Result<Box<dyn BroughtBatch>, NotBrought> {
        match self.opened.get_or_init(|| self.open()) {
            Ok(Some(opened)) => opened.batches().bring(digest, wait),
            Ok(None) => {
                Err(NotBrought::Unavailable("no archive is configured (`[archive] url`)".into()))
            }
            Err(why) => Err(NotBrought::Unavailable(why.clone().into())),
        }
    }
}

/// What the archive is held against: the deployment's, and as far as the folder's mark says.
pub(super) fn beginning(layout: &Layout, genesis: [u8; 32]) -> Result<Beginning, CheckedError> {
    let mark = ArchiveMark::read(&layout.archive_mark())?;
    let known = mark.filter(|mark| mark.genesis == genesis);
    let known = known.map(|ArchiveMark { number, hash, .. }| Known { number, hash });
    Ok(Beginning { genesis, known })
}

/// Remembers how far an archive is.
pub(super) fn remember(
    layout: &Layout,
    genesis: [u8; 32],
    last: Option<Known>,
) -> Result<(), CheckedError> {
    let Some(Known { number, hash }) = last else { return Ok(()) };
    ArchiveMark { genesis, number, hash }.write(&layout.archive_mark())
}

/// Public files of the settled batches behind this one, the first few.
pub(super) fn settled_files(store: &Store, last: u64) -> Result<Vec<PublicFile>, StoreError> {
    let rows = store.assembled_from(BatchNumber(last + 1), BATCHES_AT_ONCE)?;
    let (mut files, mut read) = (Vec::new(), 0);
    for (number, row) in rows {
        if read >= BATCH_BYTES {
            break;
        }
        // What is not settled may be made anew, with other bytes.
        if row.settled.is_none() || number.0 != last + 1 + files.len() as u64 {
            break;
        }
        match store.public_bytes(number) {
            Ok(Some(bytes)) => {
                read += bytes.len();
                files.push(PublicFile { batch: number.0, bytes });
            }
            // The scrub makes it anew, and then it is archived.
            Ok(None) | Err(StoreError::Corrupt { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}
