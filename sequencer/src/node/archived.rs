//! What is in the archive of a node's folder, for its operator: told, added to, fetched, compared.

use std::io;
use std::path::{Path, PathBuf};

use archive::{
    ArchiveError, Archiver, BatchEntry, Beginning, Chain, Digest, Expected, FileEntry, Manifest,
    ObjectName, Objects, Verified,
};
use files::Audience;
use journal::{
    FileName, FolderView, Genesis, Log, OpenError, PutAwayError, Reader, Salts, ViewEnd,
};
use l1_contracts::{Deployment, DeploymentError};
use model::BatchNumber;
use thiserror::Error;

use super::archive::{ArchiveSetupError, beginning, remember, settled_files};
use super::survey::{self, SurveyError};
use crate::doors::config::Config;
use crate::folder::checked::CheckedError;
use crate::folder::layout::Layout;
use crate::folder::store::{FileDigest, Store, StoreError};

/// Batches whose rows are looked at together.
const ROWS_AT_ONCE: usize = 1_000;

/// Why nothing can be said or done.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// None is configured.
    #[error("expected `[archive] url` in {path}, found that nothing is archived")]
    Off {
        /// The configuration.
        path: PathBuf,
    },
    /// It cannot be used.
    #[error(transparent)]
    Setup(#[from] ArchiveSetupError),
    /// It does not answer, or something in it does not hold.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The deployment file is missing or damaged.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The journal of a stopped node does not open.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// The journal does not open for a look.
    #[error("the journal does not open")]
    Open(#[from] OpenError),
    /// A file of the journal cannot be looked at.
    #[error(transparent)]
    File(#[from] PutAwayError),
    /// The store does not open, or a row cannot be read.
    #[error("the store cannot be asked what is settled")]
    Store(#[from] StoreError),
    /// A file cannot be written.
    #[error("{path} cannot be {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The mark of the archive cannot be read or written.
    #[error(transparent)]
    Mark(#[from] CheckedError),
    /// Files would go into a node's own journal by another way than its own.
    #[error(
        "expected another folder than a node's journal in {path}: to have files back there, leave \
         --to out"
    )]
    OwnJournal {
        /// The folder.
        path: PathBuf,
    },
    /// The archive has no such file.
    #[error("expected {} in the archive, found none: it is not archived yet", FileName::Log(*file))]
    NoFile {
        /// Which.
        file: u64,
    },
}

/// How a folder and its archive stand to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// Manifests.
    pub manifests: u64,
    /// Sealed files of the journal in the archive.
    pub files: u64,
    /// Public batch files there.
    pub batches: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// The last group that is archived; 0 before the first.
    pub last_group: u64,
    /// The last batch that is archived; 0 before the first.
    pub last_batch: u64,
    /// Sealed files in the node's folder.
    pub here: u64,
    /// Of these, those that are not archived.
    pub waiting: u64,
    /// Files that are in the archive alone.
    pub there_alone: u64,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedFile {
    /// Where.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// The archive of a folder.
pub struct ArchiveOf {
    layout: Layout,
    objects: Objects,
    genesis: [u8; 32],
}

impl ArchiveOf {
    /// That of the folder's own configuration.
    ///
    /// # Errors
    /// [`OfflineError`]; nothing is asked of the archive yet.
    pub fn open(layout: &Layout) -> Result<ArchiveOf, OfflineError> {
        let path = layout.config();
        let section = Config::read(&path).map_err(ArchiveSetupError::Config)?.archive;
        let place = section.place().map_err(ArchiveSetupError::Config)?;
        let place = place.ok_or(OfflineError::Off { path })?;
        let objects = place.open(&section.access()).map_err(ArchiveSetupError::Place)?;
        let scope = Deployment::read(&layout.deployment())?.scope();
        let genesis = statement::journal::genesis(scope);
        Ok(ArchiveOf { layout: layout.clone(), objects, genesis })
    }

    /// Each manifest in turn.
    async fn manifests(&self, mut each: impl FnMut(&Manifest)) -> Result<Chain, OfflineError> {
        let mut chain = Chain::new(self.genesis);
        while let Some(manifest) = self.objects.next_manifest(&mut chain).await? {
            each(&manifest);
        }
        Ok(chain)
    }

    /// What is in the archive and what is here, beside a node that runs or not. Reads the
    /// manifests, and nothing that they name.
    ///
    /// # Errors
    /// [`OfflineError`].
    pub async fn status(&self, end: Option<ViewEnd>) -> Result<ArchiveStatus, OfflineError> {
        let log = self.view(end)?;
        let mut status = ArchiveStatus::default();
        let chain = self
            .manifests(|manifest| {
                status.manifests += 1;
                status.files += manifest.files.len() as u64;
                status.batches += manifest.batches.len() as u64;
                let files = manifest.files.iter().map(|file| file.bytes);
                let bytes = files.chain(manifest.batches.iter().map(|batch| batch.bytes));
                // What a manifest says, whoever wrote it.
                status.bytes = bytes.fold(status.bytes, u64::saturating_add);
            })
            .await?;
        let path = self.layout.journal();
        let listed = |source| OfflineError::Io { action: "listed", path, source };
        let local = log.reader().local_files().map_err(listed)?;
        status.last_group = chain.last_file().map_or(0, |last| last.last_group);
        status.last_batch = chain.last_batch();
        status.here = local.len() as u64;
        status.waiting = local.iter().filter(|file| **file >= chain.next_file()).count() as u64;
        status.there_alone = log.reader().archived_files()?.len() as u64;
        Ok(status)
    }

    /// Archives what a stopped node left. Nothing is removed here.
    ///
    /// # Errors
    /// [`OfflineError`]; of a node that runs [`SurveyError::Locked`]: it archives by itself.
    pub async fn push(&self) -> Result<archive::Pushed, OfflineError> {
        let (log, _) = survey::open(&self.layout, self.genesis)?;
        let store = Store::open(&self.layout.store())?;
        let reader: Reader<_> = log.reader();
        let beginning = self.beginning()?;
        let mut archiver = Archiver::open(self.objects.clone(), reader, beginning).await?;
        let mut all = archive::Pushed::default();
        loop {
            let batches = settled_files(&store, archiver.chain().last_batch())?;
            let pushed = archiver.push(batches).await?;
            remember(&self.layout, self.genesis, archiver.chain().last())?;
            let Some(pushed) = pushed else { return Ok(all) };
            all.files += pushed.files;
            all.batches += pushed.batches;
            all.bytes += pushed.bytes;
        }
    }

    fn beginning(&self) -> Result<Beginning, OfflineError> {
        Ok(beginning(&self.layout, self.genesis)?)
    }

    /// Brings files back into the journal of a stopped node, or one: those that it has put away, by
    /// the hash that stands for each. Nothing else that the archive may have: of a journal that was
    /// restored, later files would lie behind one that is not sealed.
    ///
    /// # Errors
    /// [`OfflineError`]; what was brought back before is whole.
    pub async fn bring_back(&self, file: Option<u64>) -> Result<Vec<FetchedFile>, OfflineError> {
        // Locked until it is done: a node that starts meanwhile would find half of it.
        let (log, _) = survey::open(&self.layout, self.genesis)?;
        let away = log.reader().archived_files()?.into_iter();
        let away: Vec<_> = away.filter(|one| file.is_none_or(|file| file == one.file)).collect();
        if let (Some(file), true) = (file, away.is_empty()) {
            return Err(OfflineError::NoFile { file });
        }
        let mut fetched = Vec::new();
        for one in away {
            let path = self.layout.journal().join(FileName::Log(one.file).to_string());
            let digest = Digest { bytes: one.length, blake3: one.digest };
            fetched.extend(self.write(ObjectName::Log(one.digest), digest, path).await?);
        }
        if file.is_none() {
            fetched.extend(self.bring_back_batches().await?);
        }
        drop(log);
        Ok(fetched)
    }

    /// Brings public batch files back that were put away, by the hash in the row of each.
    async fn bring_back_batches(&self) -> Result<Vec<FetchedFile>, OfflineError> {
        let (folder, mut fetched) = (self.layout.store(), Vec::new());
        // None was put away where there is none.
        if !folder.join(Store::DATABASE).exists() {
            return Ok(fetched);
        }
        let (store, mut next) = (Store::open(&folder)?, BatchNumber(1));
        loop {
            let rows = store.assembled_from(next, ROWS_AT_ONCE)?;
            let Some((last, _)) = rows.last() else { return Ok(fetched) };
            next = BatchNumber(last.0 + 1);
            for (number, row) in rows {
                if !store.has_public(number) && store.is_put_away(number, &row) {
                    let FileDigest { blake3, bytes } = row.public;
                    let path = folder.join(format!("batches/{:06}/public.bin", number.0));
                    let name = ObjectName::Batch(blake3);
                    fetched.extend(self.write(name, Digest { bytes, blake3 }, path).await?);
                }
                // Of one that is here: it would be taken for the file by whoever looks later.
                if store.has_public(number) {
                    store.forget_stand_in(number)?;
                }
            }
        }
    }

    /// Writes files of the journal, or one, to a folder that is no node's journal, each held
    /// against its hash; one that is there already stays.
    ///
    /// # Errors
    /// [`OfflineError`]; what was written before is whole.
    pub async fn fetch(
        &self,
        file: Option<u64>,
        to: &Path,
    ) -> Result<Vec<FetchedFile>, OfflineError> {
        let mut wanted: Vec<FileEntry> = Vec::new();
        self.manifests(|manifest| {
            let is_wanted = |entry: &&FileEntry| file.is_none_or(|file| file == entry.file);
            wanted.extend(manifest.files.iter().filter(is_wanted));
        })
        .await?;
        if let (Some(file), true) = (file, wanted.is_empty()) {
            return Err(OfflineError::NoFile { file });
        }
        make_folder(to)?;
        // Another node's as well: its lock stands there.
        if to.join("lock").exists() {
            return Err(OfflineError::OwnJournal { path: to.into() });
        }
        let mut fetched = Vec::new();
        for entry in wanted {
            let path = to.join(FileName::Log(entry.file).to_string());
            let digest = Digest { bytes: entry.bytes, blake3: entry.digest };
            fetched.extend(self.write(ObjectName::Log(entry.digest), digest, path).await?);
        }
        Ok(fetched)
    }

    /// Writes public batch files to a folder, as an auditor reads them (`--data`).
    ///
    /// # Errors
    /// [`OfflineError`]; what was written before is whole.
    pub async fn fetch_batches(&self, to: &Path) -> Result<Vec<FetchedFile>, OfflineError> {
        let mut wanted: Vec<BatchEntry> = Vec::new();
        self.manifests(|manifest| wanted.extend(&manifest.batches)).await?;
        make_folder(to)?;
        let mut fetched = Vec::new();
        for BatchEntry { batch, bytes, digest } in wanted {
            let folder = to.join(format!("{batch:06}"));
            make_folder(&folder)?;
            let name = ObjectName::Batch(digest);
            let digest = Digest { bytes, blake3: digest };
            fetched.extend(self.write(name, digest, folder.join("public.bin")).await?);
        }
        Ok(fetched)
    }

    /// Writes an object to a file; nothing if there is one.
    async fn write(
        &self,
        name: ObjectName,
        digest: Digest,
        path: PathBuf,
    ) -> Result<Option<FetchedFile>, OfflineError> {
        let failed = |action| {
            let path = path.clone();
            move |source| OfflineError::Io { action, path, source }
        };
        if path.exists() {
            return Ok(None);
        }
        // Under another name until it is whole: half a file would look like one that was damaged.
        let beside = path.with_extension("fetching");
        drop(std::fs::remove_file(&beside));
        let mut file = files::create_stream(&beside, Audience::Owner).map_err(failed("written"))?;
        let written =
            self.objects.download(name, &digest, |part| io::Write::write_all(&mut file, part));
        if let Err(error) = written.await {
            drop(std::fs::remove_file(&beside));
            return Err(error.into());
        }
        file.sync_all().map_err(failed("synced"))?;
        files::rename(&beside, &path).map_err(failed("renamed"))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        files::sync_folder(folder).map_err(failed("synced"))?;
        Ok(Some(FetchedFile { bytes: digest.bytes, path }))
    }

    /// Reads everything that the manifests name and all that this folder has put away, and holds
    /// it against its hash; beside a node that runs or not.
    ///
    /// # Errors
    /// [`OfflineError`] if the archive does not answer, its manifests do not hold, or it is another
    /// place than the one that this folder remembers.
    pub async fn verify(&self, end: Option<ViewEnd>) -> Result<Verified, OfflineError> {
        let files = self.view(end)?.reader().archived_files()?;
        let expected = Expected { known: self.beginning()?.known, files };
        Ok(archive::verify(&self.objects, self.genesis, &expected, |_| ()).await?)
    }

    /// The journal for a look, beside whoever writes it.
    fn view(&self, end: Option<ViewEnd>) -> Result<Log<FolderView>, OfflineError> {
        let view = FolderView::new(&self.layout.journal(), end);
        let genesis = Genesis { log_id: [0; 16], journal_hash: self.genesis };
        let none = Salts::new(|| Err(io::ErrorKind::Unsupported.into()));
        Ok(Log::open(view, genesis, none)?.0)
    }
}

fn make_folder(folder: &Path) -> Result<(), OfflineError> {
    let made = files::make_folder(folder, Audience::Owner);
    made.map_err(|source| OfflineError::Io { action: "made", path: folder.into(), source })
}
