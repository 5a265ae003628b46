//! What is cut from a file is kept beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use journal::fault::salts;
use journal::{Entry, EntryKind, FileMedium, Log, OpenError, Recovery};

use crate::support::{GENESIS, START_MS, record_bounds};

/// A folder with a log of two groups, and the bytes of its file.
struct Place {
    folder: tempfile::TempDir,
    whole: Vec<u8>,
    /// Where the last group begins, its second sector, and where it ends.
    last: usize,
    second_sector: usize,
    end: usize,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = open(folder.path()).unwrap();
        for at in 1..=2u8 {
            let entry = Entry::new(EntryKind::FRAME, START_MS, vec![at; 3_000]);
            log.append(&[entry]).unwrap();
        }
        drop(log);
        let whole = fs::read(file(folder.path())).unwrap();
        let bounds = record_bounds(&whole);
        let second_sector = (bounds[1] + 136).next_multiple_of(512);
        Place { folder, last: bounds[1], second_sector, end: bounds[2], whole }
    }

    /// As a power cut leaves the last group, all sectors of which from `from` on are missing.
    fn torn(&self, from: usize) -> Vec<u8> {
        let mut torn = self.whole.clone();
        torn[from..self.end].fill(0);
        torn
    }

    fn write(&self, bytes: &[u8]) {
        fs::write(file(self.folder.path()), bytes).unwrap();
    }

    /// What was kept.
    fn kept(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.display().to_string().contains(".cut-")).collect()
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("00000001.log")
}

fn open(folder: &Path) -> Result<(Log<FileMedium>, Recovery), OpenError> {
    Log::open(FileMedium::open(folder).unwrap(), GENESIS, salts())
}

#[test]
fn what_is_cut_is_kept_beside_for_its_owner_alone_and_once() {
    let place = Place::new();
    let torn = place.torn(place.second_sector + 512);
    let end = torn[..place.end].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for _ in 0..2 {
        // The second time as after a crash between keeping and cutting.
        place.write(&torn);
        let (log, recovery) = open(place.folder.path()).unwrap();
        assert_eq!((recovery.groups, recovery.cut_bytes), (1, (end - place.last) as u64));
        drop(log);
        let kept = place.kept();
        let [kept] = &kept[..] else { panic!("expected one file, found {kept:?}") };
        let name = kept.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("00000001.log.cut-{}-", place.last)), "{name}");
        assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(kept).unwrap(), torn[place.last..end]);
        let found = fs::read(file(place.folder.path())).unwrap();
        assert_eq!(found, place.torn(place.last), "zeros where it was, and as long as before");
    }
    // Another one at the same place replaces nothing, and zeros are nothing to keep.
    place.write(&place.torn(place.second_sector));
    drop(open(place.folder.path()).unwrap());
    assert_eq!(place.kept().len(), 2);
    place.write(&place.torn(place.last));
    assert_eq!(open(place.folder.path()).unwrap().1.cut_bytes, 0);
    assert_eq!(place.kept().len(), 2);
}

#[test]
fn what_cannot_be_kept_is_not_cut_and_the_error_names_the_file() {
    let place = Place::new();
    let torn = place.torn(place.second_sector);
    place.write(&torn);
    drop(open(place.folder.path()).unwrap());
    let kept = place.kept().remove(0);
    // Something that cannot be replaced has the name.
    fs::remove_file(&kept).unwrap();
    fs::create_dir(&kept).unwrap();
    place.write(&torn);
    let error = open(place.folder.path()).map(drop).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(found) = cause {
        text = format!("{text}: {found}");
        cause = found.source();
    }
    assert!(text.contains(kept.to_str().unwrap()), "{text}");
    assert_eq!(fs::read(file(place.folder.path())).unwrap(), torn);
    // And nothing else is left beside.
    assert_eq!(place.kept(), std::slice::from_ref(&kept));
    fs::remove_dir(&kept).unwrap();
    assert_eq!(open(place.folder.path()).unwrap().1.groups, 1);
}
