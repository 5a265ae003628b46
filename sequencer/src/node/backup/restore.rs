//! Makes a node's folder of a backup.
//!
//! It is made beside its name and renamed last, so that what a cut leaves is never started as a
//! node; and its first file is the mark that holds the node until somebody has said what is to
//! become of whatever came after the backup ([`Restored`]).

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use files::Audience;

use super::copies::{Copier, Extent, Pace, Progress, Unsynced, digest_of, is_free, sync_all};
use super::error::{BackupError, RestoreError};
use super::verify::{Verified, verify};
use crate::disk::FreeSpace;
use crate::folder::backup::{BackupFolder, EndRecord, Lines, Part, Restored};
use crate::folder::layout::Layout;

/// What is asked for.
pub struct RestoreTerms<'a> {
    /// The backup of the node.
    pub from: &'a Path,
    /// The backup of its secrets, if they are not put there by hand.
    pub secrets: Option<&'a Path>,
    /// Where the node goes: a new or empty folder.
    pub layout: &'a Layout,
    /// Whether what was restored is read as well, before it gets its name.
    pub verify: bool,
    /// How much room there is where it goes.
    pub space: &'a dyn FreeSpace,
}

/// A folder that was restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestoredFolder {
    /// What the backup said of itself.
    pub end: EndRecord,
    /// Whether the secrets were restored with it.
    pub has_secrets: bool,
    /// What was found when it was read, if that was asked for.
    pub verified: Option<Verified>,
}

/// Restores a backup.
///
/// # Errors
/// [`RestoreError`]; then nothing stands under the node's name.
pub fn restore(
    terms: &RestoreTerms<'_>,
    tell: &mut dyn FnMut(Progress),
) -> Result<RestoredFolder, RestoreError> {
    let from = BackupFolder::new(terms.from);
    let end = check_manifest(&from, Part::Node)?;
    let secrets = terms.secrets.map(BackupFolder::new);
    let secrets = match &secrets {
        Some(folder) => Some((folder, check_manifest(folder, Part::Secrets)?)),
        None => None,
    };
    if let Some((folder, _)) = secrets.filter(|(_, own)| own.genesis != end.genesis) {
        return Err(RestoreError::OtherDeployment { path: folder.folder().into() });
    }
    let target = &target_of(terms.layout.folder())?;
    let beside = beside(target);
    if beside.try_exists().map_err(failed("found", &beside))? {
        return Err(RestoreError::Leftover { path: beside });
    }
    files::make_folder(&beside, Audience::Owner).map_err(failed("made", &beside))?;
    let made = Restoring { terms, end, beside: &beside }.fill(&from, secrets, tell);
    let verified = made.inspect_err(|_| {
        // What stopped us is the error to report; what is left is refused by its name.
        drop(fs::remove_dir_all(&beside));
    })?;
    let renamed = files::rename(&beside, target).map_err(failed("renamed", &beside));
    renamed.inspect_err(|_| drop(fs::remove_dir_all(&beside)))?;
    let parent = parent_of(target);
    files::sync_folder(parent).map_err(failed("synced", parent))?;
    Ok(RestoredFolder { end, has_secrets: secrets.is_some(), verified })
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::File { action, path, source }
}

/// Where the node goes, by its own name in a folder that is there, so that what is made beside it
/// can take that name: a link, `.`, or the place of a mounted disk cannot be renamed over.
fn target_of(folder: &Path) -> Result<PathBuf, RestoreError> {
    let refused = |why| RestoreError::Target { path: folder.into(), why };
    // Without a slash at its end, or what is appended to the name would be a file in the folder.
    let plain: PathBuf = folder.components().collect();
    let name = plain.file_name().ok_or_else(|| refused("it has no name of its own"))?;
    let parent = parent_of(&plain);
    files::make_folder(parent, Audience::Owner).map_err(failed("made", parent))?;
    let parent = fs::canonicalize(parent).map_err(failed("found", parent))?;
    let target = parent.join(name);
    let found = match fs::symlink_metadata(&target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target),
        found => found.map_err(failed("inspected", &target))?,
    };
    if found.is_symlink() {
        return Err(refused("it is a link: name the folder that it leads to"));
    }
    if found.dev() != fs::metadata(&parent).map_err(failed("inspected", &parent))?.dev() {
        return Err(refused("a disk is mounted there: name a folder in it"));
    }
    match is_free(&target).map_err(failed("listed", &target))? {
        true => Ok(target),
        false => Err(RestoreError::NotEmpty { path: target }),
    }
}

/// Where the folder is made.
fn beside(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".restoring");
    name.into()
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads the end record, and holds the manifest against it, before any of it is believed.
fn check_manifest(folder: &BackupFolder, part: Part) -> Result<EndRecord, RestoreError> {
    let Some(end) = EndRecord::read(&folder.end())? else {
        let (path, begun) = (folder.folder().to_owned(), folder.node());
        return match begun.try_exists().map_err(failed("found", &begun))? {
            true => Err(RestoreError::CutOff { path }),
            false => Err(RestoreError::Absent { path }),
        };
    };
    if end.part != part {
        let path = folder.folder().to_owned();
        return Err(RestoreError::OtherPart { path, expected: part, found: end.part });
    }
    let path = folder.manifest();
    let found = match digest_of(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        found => Some(found.map_err(failed("read", &path))?.blake3),
    };
    match found == Some(end.manifest) {
        true => Ok(end),
        false => Err(RestoreError::Manifest { path }),
    }
}

/// A folder that is being made.
struct Restoring<'a> {
    terms: &'a RestoreTerms<'a>,
    end: EndRecord,
    beside: &'a Path,
}

impl Restoring<'_> {
    fn fill(
        &self,
        from: &BackupFolder,
        secrets: Option<(&BackupFolder, EndRecord)>,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Option<Verified>, RestoreError> {
        let parts = || [Some((from, self.end)), secrets].into_iter().flatten();
        let needed = parts().map(|(_, end)| end.bytes).fold(0, u64::saturating_add);
        let free = self.terms.space.free_bytes().map_err(failed("measured", self.beside))?;
        if free < needed {
            let path = self.beside.to_owned();
            return Err(RestoreError::NoRoom { path, needed, free });
        }
        let made = Layout::new(self.beside);
        Restored::of(&self.end).write(&made.restored())?;
        let progress = Progress { bytes: 0, of: needed };
        let mut copier = Copier { pace: Pace::new(None), progress, tell };
        for (folder, end) in parts() {
            copy_all(folder, end.part, self.beside, &mut copier)?;
        }
        sync_all(self.beside).map_err(|Unsynced { path, source }| RestoreError::File {
            action: "synced",
            path,
            source,
        })?;
        match self.terms.verify {
            true => Ok(Some(verify(&made, &self.end)?)),
            false => Ok(None),
        }
    }
}

/// Copies what the manifest lists, each held against it while it is copied.
fn copy_all(
    from: &BackupFolder,
    part: Part,
    to: &Path,
    copier: &mut Copier<'_>,
) -> Result<(), RestoreError> {
    let path = from.manifest();
    let manifest = File::open(&path).map_err(failed("opened", &path))?;
    for line in Lines::new(BufReader::new(manifest)) {
        let line = line?;
        let path = line.name.below(&from.node());
        let damaged = |how| RestoreError::Damaged { path: path.clone(), how };
        let length = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("missing"));
            }
            found => found.map_err(failed("inspected", &path))?.len(),
        };
        // Its length first: one that grew costs neither time nor room.
        if length != line.digest.bytes {
            return Err(damaged("of another length"));
        }
        if line.name.part() != part {
            return Err(damaged("in the wrong part"));
        }
        let copied = copier.copy(&path, &line.name.below(to), Extent::Whole);
        if copied.map_err(not_copied)? != line.digest {
            return Err(damaged("changed"));
        }
    }
    Ok(())
}

/// What the copying of a file says, which knows of no pins here.
fn not_copied(error: BackupError) -> RestoreError {
    match error {
        BackupError::File { action, path, source } => RestoreError::File { action, path, source },
        other => unreachable!("a whole file is copied or the system refuses: {other}"),
    }
}
