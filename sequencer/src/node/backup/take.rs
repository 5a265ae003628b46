//! Takes a backup of a node's folder.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use journal::{ArchivedFile, FileName};
use l1_contracts::Deployment;
use model::{BatchNumber, Millis};

use super::copies::{Copier, Copies, Extent, Pace, Progress, Written, digest_of, is_free};
use super::error::BackupError;
use super::pin::{Pin, Stopped, rows_path};
use crate::disk::FreeSpace;
use crate::folder::backup::{BackupFolder, CONTENTS, Content, EndRecord, Fate, Name, Part};
use crate::folder::layout::Layout;
use crate::folder::store::{BatchRow, FileDigest, Store};
use crate::folder::witness::Witness;
use crate::node::survey;

/// Batches whose rows are looked at together.
const ROWS_AT_ONCE: usize = 1_000;
/// Room that is left beside what is known to be copied: the manifest, folders, small files.
const SLACK_BYTES: u64 = 16 << 20;

/// Why a file is left out that nothing of a node is called like.
const NO_NAME: &str = "has a name that no file of a node has";

/// Where the node is found.
pub enum Source {
    /// It runs, and said where the backup ends.
    Running(Pin),
    /// It is stopped.
    Stopped(Box<Stopped>),
}

/// What is asked for.
pub struct Terms<'a> {
    /// The node's folder.
    pub layout: &'a Layout,
    /// Where the backup goes: a new or empty folder.
    pub to: &'a Path,
    /// Where a backup of the secrets goes, if one is wanted: another such folder.
    pub secrets_to: Option<&'a Path>,
    /// How fast.
    pub pace: Pace,
    /// How much room there is where they go.
    pub space: &'a dyn FreeSpace,
    /// What time it is.
    pub now: Millis,
}

/// Something that is not in the backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Below the node's folder.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// A backup that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// What it says of itself.
    pub end: EndRecord,
    /// What the backup of the secrets says of itself, if one was taken.
    pub secrets: Option<EndRecord>,
    /// What is in neither.
    pub left_out: Vec<LeftOut>,
    /// Files of the journal that are in the archive alone: what is restored reads them there.
    pub relies_on: Vec<ArchivedFile>,
    /// Public files of batches that are there alone, by their blake3.
    pub relies_on_batches: Vec<[u8; 32]>,
}

/// Folders that a backup may go to. Before the node is asked anything.
pub struct Prepared<'a>(Terms<'a>);

impl<'a> Prepared<'a> {
    /// Makes the folders, if they are not there.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`], [`BackupError::Within`], or what the system says.
    pub fn new(terms: Terms<'a>) -> Result<Prepared<'a>, BackupError> {
        check_folders(&terms)?;
        Ok(Prepared(terms))
    }

    /// Takes a backup: copies what the pin covers, looks whether the copy of the journal ends
    /// there, and writes the end record last. Reads and writes for as long as the pace wants.
    ///
    /// # Errors
    /// [`BackupError`]; without an end record the folder is no backup then.
    pub fn take(
        &self,
        source: Source,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Taken, BackupError> {
        let taken = back_up(&source, &self.0, tell);
        // The copy of the rows served, or the next one is made anew.
        drop(fs::remove_file(rows_path(self.0.layout)));
        taken
    }
}

fn back_up(
    source: &Source,
    terms: &Terms<'_>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Taken, BackupError> {
    let deployment = Deployment::read(&terms.layout.deployment())?;
    let genesis = statement::journal::genesis(deployment.scope());
    let to = BackupFolder::new(terms.to);
    let pin = match source {
        Source::Running(pin) => pin.clone(),
        Source::Stopped(stopped) => stopped.pin(&rows_path(terms.layout), terms.now)?,
    };
    if pin.genesis != genesis {
        return Err(BackupError::OtherDeployment);
    }
    let needed = needed(terms.layout, &pin)?;
    let free = terms.space.free_bytes();
    let free = free.map_err(failed("measured", terms.to))?;
    if free < needed {
        return Err(BackupError::NoRoom { path: terms.to.into(), needed, free });
    }
    let progress = Progress { bytes: 0, of: needed - SLACK_BYTES };
    let copier = Copier { pace: terms.pace, progress, tell };
    let copies = Copies::begin(to.clone(), copier)?;
    let (left_out, relies_on_batches) = (Vec::new(), Vec::new());
    let mut taking =
        Taking { layout: terms.layout, pin: &pin, copies, left_out, relies_on_batches };
    taking.store(&deployment)?;
    taking.small_files()?;
    taking.chain()?;
    taking.journal()?;
    taking.witness()?;
    let Taking { copies, mut left_out, relies_on_batches, .. } = taking;
    let relies_on = check_copy(&to, &pin)?;
    let written = copies.finish()?;
    // The secrets before the end record of the journal: who asked for both finds both, or neither.
    let secrets = match terms.secrets_to {
        Some(folder) => Some(take_secrets(terms, folder, &pin, &mut left_out)?),
        None => None,
    };
    left_out.extend(others(terms.layout, secrets.is_some())?);
    let end = end_record(Part::Node, &pin, &written);
    end.write(&to.end())?;
    Ok(Taken { end, secrets, left_out, relies_on, relies_on_batches })
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { action, path, source }
}

fn end_record(part: Part, pin: &Pin, written: &Written) -> EndRecord {
    let Pin { genesis, term, group, position, journal_hash, taken_at_ms, .. } = *pin;
    let Written { files, bytes, manifest } = *written;
    EndRecord {
        part,
        genesis,
        term,
        group,
        position,
        journal_hash,
        taken_at_ms,
        files,
        bytes,
        manifest,
    }
}

/// Both folders are free, and neither they nor the node's lie within each other.
fn check_folders(terms: &Terms<'_>) -> Result<(), BackupError> {
    let mut own = vec![real(terms.layout.folder())?];
    for folder in [Some(terms.to), terms.secrets_to].into_iter().flatten() {
        if !is_free(folder).map_err(failed("listed", folder))? {
            return Err(BackupError::NotEmpty { path: folder.into() });
        }
        files::make_folder(folder, files::Audience::Owner).map_err(failed("made", folder))?;
        let path = real(folder)?;
        let within = |other: &&PathBuf| path.starts_with(other) || other.starts_with(&path);
        if let Some(other) = own.iter().find(within) {
            return Err(BackupError::Within { path, other: other.clone() });
        }
        own.push(path);
    }
    Ok(())
}

fn real(folder: &Path) -> Result<PathBuf, BackupError> {
    fs::canonicalize(folder).map_err(failed("found", folder))
}

/// Bytes that the backup takes at most, with slack.
fn needed(layout: &Layout, pin: &Pin) -> Result<u64, BackupError> {
    let mut bytes = SLACK_BYTES + pin.rows_bytes + pin.chain_bytes.unwrap_or(0) + pin.end;
    let batches = layout.store().join("batches");
    for folder in [batches, layout.journal(), layout.evidence()] {
        for name in below(&folder)? {
            let path = folder.join(&name);
            let is_copied = match FileName::parse(&name) {
                Some(FileName::Log(number)) => number < pin.file,
                Some(FileName::Next | FileName::Spare) => false,
                _ => true,
            };
            if is_copied {
                // Gone since it was listed is nothing to copy.
                bytes += fs::metadata(&path).map_or(0, |found| found.len());
            }
        }
    }
    Ok(bytes)
}

/// The files below a folder by their names from there, in order; none of a folder that is not
/// there.
fn below(folder: &Path) -> Result<BTreeSet<String>, BackupError> {
    let mut found = BTreeSet::new();
    let mut ahead = vec![PathBuf::new()];
    while let Some(inner) = ahead.pop() {
        let path = folder.join(&inner);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed("listed", &path))?,
        };
        for entry in entries {
            let entry = entry.map_err(failed("listed", &path))?;
            let inner = inner.join(entry.file_name());
            match entry.file_type().map_err(failed("inspected", &path))?.is_dir() {
                true => ahead.push(inner),
                false => drop(found.insert(inner.to_string_lossy().into_owned())),
            }
        }
    }
    Ok(found)
}

/// A backup of the node that is being taken.
struct Taking<'a> {
    layout: &'a Layout,
    pin: &'a Pin,
    copies: Copies<'a>,
    left_out: Vec<LeftOut>,
    relies_on_batches: Vec<[u8; 32]>,
}

impl Taking<'_> {
    /// The rows, as the pin has them, and the files that they name.
    fn store(&mut self, deployment: &Deployment) -> Result<(), BackupError> {
        let copied = Layout::new(&self.copies.to.node());
        let rows = copied.store().join(Store::DATABASE);
        let from = rows_path(self.layout);
        if self.copies.copier.copy(&from, &rows, Extent::Whole)? != self.pin.rows() {
            return Err(BackupError::OtherRows);
        }
        let store = Store::open(&copied.store())?;
        store.bind(deployment.scope())?;
        let mut next = BatchNumber(1);
        loop {
            let batches = store.assembled_from(next, ROWS_AT_ONCE)?;
            let Some((last, _)) = batches.last() else { break };
            next = BatchNumber(last.0 + 1);
            for (number, row) in &batches {
                self.batch(*number, row)?;
            }
        }
        // Closed before it is hashed: opening a database writes to it.
        drop(store);
        let name = format!("store/{}", Store::DATABASE);
        let name = Name::new(&name).expect("the store is copied");
        let digest = digest_of(&rows).map_err(failed("read", &rows))?;
        self.copies.note(&name, digest)
    }

    /// The files of a batch, or what stands for one that is in the archive alone.
    fn batch(&mut self, number: BatchNumber, row: &BatchRow) -> Result<(), BackupError> {
        let stands = format!("store/{}", Store::stand_in_of(number));
        for file in Store::files_of(number, row) {
            let name = format!("store/{}", file.name);
            // One that is here counts, whatever stands beside it; asked again where it leaves for
            // the archive just now, as what stands for it is whole by then.
            let is_here = self.layout.folder().join(&name).is_file();
            let is_away = || file.digest == row.public && self.stands_for(&stands, row);
            let copied = match is_here || !is_away() {
                true => match self.copy_if_there(&name) {
                    Err(error) if is_gone(&error) && file.digest == row.public => None,
                    copied => Some(copied?),
                },
                false => None,
            };
            match copied {
                None => {
                    self.copy_if_there(&stands)?;
                    self.relies_on_batches.push(file.digest.blake3);
                }
                Some(Some(found)) if found != file.digest => {
                    let why = "is copied, and not as its row says: damaged, or made anew \
                               meanwhile; a node that is restored makes it again";
                    self.left_out.push(LeftOut { name, why: why.to_owned() });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether this stands for the public file of a batch: of other bytes than the row's it stands
    /// for nothing.
    fn stands_for(&self, stands: &str, row: &BatchRow) -> bool {
        let found = fs::read(self.layout.folder().join(stands));
        found.is_ok_and(|found| found == row.public.blake3)
    }

    /// Copies a file of the node's folder if it is there and a copy may have its name.
    fn copy_if_there(&mut self, name: &str) -> Result<Option<FileDigest>, BackupError> {
        let path = self.layout.folder().join(name);
        let why = match Name::new(name) {
            None => NO_NAME,
            Some(_) if !path.is_file() => "is not there",
            Some(name) => return self.copies.copy(&path, &name, Extent::Whole).map(Some),
        };
        self.left_out.push(LeftOut { name: name.to_owned(), why: why.to_owned() });
        Ok(None)
    }

    fn small_files(&mut self) -> Result<(), BackupError> {
        let evidence = below(&self.layout.evidence())?;
        let evidence = evidence.into_iter().map(|name| format!("evidence/{name}"));
        // Most nodes have neither, and nobody misses them in the list of what is left out.
        let is_there = |name: &&str| self.layout.folder().join(name).is_file();
        let rare = ["operator.log", "audit-reads.log", "erasures.waiting", "subscriptions.json"];
        let rare = rare.into_iter().chain(["paused.json"]).filter(is_there);
        let names = ["deployment.json", "node.toml"].into_iter().chain(rare).map(String::from);
        let names: Vec<String> = names.chain(evidence).collect();
        names.iter().try_for_each(|name| self.copy_if_there(name).map(drop))
    }

    fn chain(&mut self) -> Result<(), BackupError> {
        let Some(bytes) = self.pin.chain_bytes else { return Ok(()) };
        let name = Name::new("chain.journal").expect("the embedded chain is copied");
        self.copies.copy(&self.layout.chain_journal(), &name, Extent::First(bytes)).map(drop)
    }

    /// Every file that was left, with its index, and the last one up to the pin. What was cut from
    /// them and kept is copied as well.
    fn journal(&mut self) -> Result<(), BackupError> {
        let folder = self.layout.journal();
        for file in below(&folder)? {
            let extent = match FileName::parse(&file) {
                Some(FileName::Log(number)) if number < self.pin.file => Extent::Whole,
                Some(FileName::Log(number)) if number == self.pin.file => {
                    let path = folder.join(&file);
                    let length = fs::metadata(&path).map_err(failed("inspected", &path))?.len();
                    Extent::Padded { used: self.pin.end, length }
                }
                // Of a file that the copy does not know as one that was left.
                Some(FileName::Index(number)) if number >= self.pin.file => continue,
                Some(FileName::Index(_)) => Extent::Whole,
                // Made ahead, or begun since; and what stands for archived files comes last.
                Some(FileName::Log(_) | FileName::Next | FileName::Spare) => continue,
                Some(FileName::Archived(_)) => continue,
                None if file == "lock" => continue,
                None => Extent::Whole,
            };
            let name = format!("journal/{file}");
            match Name::new(&name) {
                Some(name) => match self.copy_of_journal(&folder.join(&file), &name, extent) {
                    // It left for the archive, and what stands for it was whole before.
                    Err(error) if is_gone(&error) => {}
                    copied => copied?,
                },
                None => {
                    let why = NO_NAME.to_owned();
                    self.left_out.push(LeftOut { name, why });
                }
            }
        }
        self.stubs(&folder)
    }

    /// Copies a file of the journal, unless it leaves for the archive meanwhile: the node writes
    /// the next one over it then.
    fn copy_of_journal(
        &mut self,
        path: &Path,
        name: &Name,
        extent: Extent,
    ) -> Result<(), BackupError> {
        let open = fs::File::open(path).map_err(failed("opened", path))?;
        let copy = name.below(&self.copies.to.node());
        let digest = self.copies.copier.copy(path, &copy, extent)?;
        // Opened before and asked behind it: what was copied in between is the file itself.
        if !files::is_named(&open, path).map_err(failed("inspected", path))? {
            return fs::remove_file(&copy).map_err(failed("removed", &copy));
        }
        self.copies.note(name, digest)
    }

    /// What stands for archived files, listed once more: each is whole before its file goes, so
    /// that of whatever was gone when it was to be copied the stub is here by now.
    fn stubs(&mut self, folder: &Path) -> Result<(), BackupError> {
        for file in below(folder)? {
            if let Some(FileName::Archived(number)) = FileName::parse(&file)
                && number < self.pin.file
            {
                self.copy_if_there(&format!("journal/{file}"))?;
            }
        }
        Ok(())
    }

    /// Of the journal as it is copied: the node's own is of a moment later, and would say that the
    /// copy lacks what came between.
    fn witness(&mut self) -> Result<(), BackupError> {
        let Pin { genesis, term, group, position, journal_hash, .. } = *self.pin;
        let name = Name::new("head.witness").expect("the witness is copied");
        let path = name.below(&self.copies.to.node());
        Witness { genesis, term, group, position, journal_hash }.write(&path)?;
        let digest = digest_of(&path).map_err(failed("read", &path))?;
        self.copies.note(&name, digest)
    }
}

/// Whether a file was gone when it was to be copied.
fn is_gone(error: &BackupError) -> bool {
    let BackupError::File { action: "opened", source, .. } = error else { return false };
    source.kind() == io::ErrorKind::NotFound
}

/// Opens the copied journal, as a restored node would, looks where it ends, and which of its files
/// are in the archive alone.
fn check_copy(to: &BackupFolder, pin: &Pin) -> Result<Vec<ArchivedFile>, BackupError> {
    let copied = Layout::new(&to.node());
    let (log, _) = survey::open_with(&copied, pin.genesis, survey::Archived::NotRead)?;
    let (head, archived) = (log.head(), log.reader().archived_files()?);
    drop(log);
    // Opening locks the folder by a file, which is no part of the backup.
    let lock = copied.journal().join("lock");
    fs::remove_file(&lock).map_err(failed("removed", &lock))?;
    match (head.group, head.journal_hash) == (pin.group, pin.journal_hash) {
        true => Ok(archived),
        false => Err(BackupError::End { expected: pin.group, found: head.group }),
    }
}

/// Takes the backup of keys and certificates.
fn take_secrets(
    terms: &Terms<'_>,
    to: &Path,
    pin: &Pin,
    left_out: &mut Vec<LeftOut>,
) -> Result<EndRecord, BackupError> {
    let to = BackupFolder::new(to);
    let (progress, tell) = (Progress { bytes: 0, of: 0 }, &mut |_| ());
    let copier = Copier { pace: Pace::new(None), progress, tell };
    let mut copies = Copies::begin(to.clone(), copier)?;
    let apart = CONTENTS.iter().filter(|one| one.fate == Fate::Apart);
    for Content { name: folder, .. } in apart {
        for file in below(&terms.layout.folder().join(folder))? {
            let name = format!("{folder}/{file}");
            let Some(copied) = Name::new(&name) else {
                left_out.push(LeftOut { name, why: NO_NAME.to_owned() });
                continue;
            };
            copies.copy(&copied.below(terms.layout.folder()), &copied, Extent::Whole)?;
        }
    }
    let written = copies.finish()?;
    let end = end_record(Part::Secrets, pin, &written);
    end.write(&to.end())?;
    Ok(end)
}

/// What stands in the node's folder and is in no backup.
fn others(layout: &Layout, with_secrets: bool) -> Result<Vec<LeftOut>, BackupError> {
    let mut left_out = Vec::new();
    let folder = layout.folder();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(failed("listed", folder))? {
        let entry = entry.map_err(failed("listed", folder))?;
        names.insert(entry.file_name().to_string_lossy().into_owned());
    }
    for name in names {
        let why = match Content::of(&name) {
            None => "is nothing of a node's".to_owned(),
            Some(Content { fate: Fate::Copied, .. }) => continue,
            Some(Content { fate: Fate::Apart, .. }) if with_secrets => continue,
            Some(Content { fate: Fate::Apart, why, .. }) => {
                format!("{why}: copied apart from the journal (--secrets-to)")
            }
            Some(Content { why, .. }) => (*why).to_owned(),
        };
        left_out.push(LeftOut { name, why });
    }
    Ok(left_out)
}
