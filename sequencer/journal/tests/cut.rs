//! What is cut from a file is kept beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use journal::fault::salts;
use journal::{FileMedium, Log};

use crate::support::{GENESIS, groups, record_bounds};

#[test]
fn what_is_cut_is_kept_beside_for_its_owner_alone_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let open = || Log::open(FileMedium::open(&path).unwrap(), GENESIS, salts()).unwrap();
    let (mut log, _) = open();
    for group in groups(1, &[1, 2, 3], 2_000) {
        log.append(&group).unwrap();
    }
    drop(log);
    let whole = fs::read(&path).unwrap();
    let bounds = record_bounds(&whole);
    let last = bounds[2];
    // As a power cut leaves it, or somebody who shortened the file within its last group.
    let torn = &whole[..bounds[3] - 9];
    let beside = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|found| *found != path).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        // The second time as after a crash between keeping and cutting.
        fs::write(&path, torn).unwrap();
        let (log, recovery) = open();
        assert_eq!((recovery.groups, recovery.cut_bytes), (2, (torn.len() - last) as u64));
        drop(log);
        let kept = beside();
        let [kept] = &kept[..] else { panic!("expected one file, found {kept:?}") };
        let name = kept.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("log.cut-{last}-")), "{name}");
        assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o600);
        let end = torn.iter().rposition(|byte| *byte != 0).unwrap();
        assert_eq!(fs::read(kept).unwrap(), torn[last..=end]);
    }
    // Another one at the same place replaces nothing, and zeros are nothing to keep.
    fs::write(&path, &torn[..last + 40]).unwrap();
    drop(open());
    assert_eq!(beside().len(), 2);
    fs::write(&path, [&whole[..last], &[0; 4_096]].concat()).unwrap();
    assert_eq!(open().1.cut_bytes, 4_096);
    assert_eq!(beside().len(), 2);
}

#[test]
fn what_cannot_be_kept_is_not_cut_and_the_error_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let open = || Log::open(FileMedium::open(&path).unwrap(), GENESIS, salts());
    let (mut log, _) = open().unwrap();
    for group in groups(1, &[1, 2], 2_000) {
        log.append(&group).unwrap();
    }
    drop(log);
    let whole = fs::read(&path).unwrap();
    let bounds = record_bounds(&whole);
    let torn = &whole[..bounds[2] - 9];
    let beside = || {
        let mut names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        names.find(|found| *found != path)
    };
    fs::write(&path, torn).unwrap();
    drop(open().unwrap());
    let kept = beside().unwrap();
    // Something that cannot be replaced has the name.
    fs::remove_file(&kept).unwrap();
    fs::create_dir(&kept).unwrap();
    fs::write(&path, torn).unwrap();
    let error = open().map(drop).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(found) = cause {
        text = format!("{text}: {found}");
        cause = found.source();
    }
    assert!(text.contains(kept.to_str().unwrap()), "{text}");
    assert_eq!(fs::read(&path).unwrap(), torn);
    // And nothing else is left beside.
    assert_eq!(beside().unwrap(), kept);
    fs::remove_dir(&kept).unwrap();
    assert_eq!(open().unwrap().1.groups, 1);
}
