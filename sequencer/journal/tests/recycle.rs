//! A file that was put away gives its blocks to the next one: nothing of its bytes is ever read as
//! that one's, wherever power fails, and nobody who still reads it gets anything but its bytes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use journal::fault::{Cut, FaultArchive, FaultMedium, salts};
use journal::{
    Entry, FileLengths, FileMedium, FileName, FolderView, Log, ReadError, Reader, ViewEnd,
};

use crate::put_away::opened;
use crate::support::{GENESIS, all_entries, groups};

/// Groups that fill files of 2 KiB, and two that fit none.
const SIZES: [usize; 16] = [1, 3, 1, 2, 2, 4, 1, 2, 8, 1, 2, 1, 2, 8, 1, 1];

fn script() -> Vec<Vec<Entry>> {
    groups(91, &SIZES, 1_200)
}

/// All files are equally long, so that each may become the next one.
fn equal() -> FaultMedium {
    FaultMedium::default().with_lengths(2_048, 2_048)
}

/// Appends the script from behind what is there on, and as soon as a file was left puts it away and
/// makes the next one; how much was acknowledged, and how many files were made of others.
fn run(medium: FaultMedium, archive: &FaultArchive, script: &[Vec<Entry>]) -> (usize, u64) {
    let Ok(mut log) = opened(medium, archive) else { return (0, 0) };
    let mut acknowledged = log.head().group as usize;
    for group in &script[acknowledged..] {
        if log.append(group).is_err() {
            break;
        }
        acknowledged += 1;
        // A failure is the writer's to meet, and the archive comes again.
        drop(log.make_ahead());
        drop(archive.put_files_away(&log.reader()));
    }
    (acknowledged, log.reader().file_counts().reused)
}

/// Opens what a cut left; all that was acknowledged is there, and it goes on to the end.
fn check(image: &FaultMedium, archive: &FaultArchive, acknowledged: usize, of: &str) {
    let script = script();
    for (name, bytes) in image.files() {
        let begins = bytes.get(..8) == Some(b"VITALLOG");
        let is_log = matches!(name, FileName::Log(_));
        let zeros = bytes.iter().all(|byte| *byte == 0);
        assert!(!is_log || begins || zeros, "{of}: {name} has bytes and no header");
    }
    let log = opened(image.clone(), archive).unwrap_or_else(|error| panic!("{of}: {error}"));
    let found = log.head().group as usize;
    assert!(found >= acknowledged, "{of}");
    assert_eq!(all_entries(&log), script[..found].concat(), "{of}");
    assert!(!image.files().contains_key(&FileName::Spare), "{of}: one is kept over a start");
    drop(log);
    assert_eq!(run(image.clone(), archive, &script).0, script.len(), "{of}");
    let log = opened(image.clone(), archive).unwrap_or_else(|error| panic!("{of}: {error}"));
    assert_eq!(all_entries(&log), script.concat(), "{of}");
}

#[test]
fn the_next_file_is_made_of_one_that_was_put_away_and_takes_no_room() {
    let (medium, archive) = (equal(), FaultArchive::default());
    // None of them is longer than a file.
    let script = groups(94, &[1; 40], 1_000);
    let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    while log.head().file < 3 {
        log.append(&script[log.head().group as usize]).expect("append");
        log.make_ahead().expect("made");
    }
    let last = log.head().file;
    assert_eq!(archive.put_files_away(&log.reader()).expect("put away"), last - 1);
    let files = medium.files();
    let kept = &files[&FileName::Spare];
    assert!(kept.starts_with(b"VITALLOG"), "the first one, as it was");
    // Up to the next file, which is ready: then one is made where there is room for no more than an
    // index.
    let taken: usize = files.values().map(Vec::len).sum();
    medium.limit_room(taken as u64 + 1_000);
    while log.head().file == last {
        log.append(&script[log.head().group as usize]).expect("append");
    }
    log.ask_room(|_| false);
    log.make_ahead().expect("made of the other one");
    let counts = log.reader().file_counts();
    assert_eq!((counts.reused, counts.failed, counts.late), (1, 0, 0));
    let files = medium.files();
    assert!(!files.contains_key(&FileName::Spare));
    assert_eq!(files[&FileName::Log(last + 2)], [0; 2_048]);
}

#[test]
fn what_is_too_short_or_has_another_name_somewhere_is_removed() {
    let growing = FaultMedium::default().with_lengths(2_048, 8_192);
    for medium in [growing, equal().linked()] {
        let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
        let script = script();
        while log.head().file < 3 {
            log.append(&script[log.head().group as usize]).expect("append");
        }
        log.make_ahead().expect("made");
        FaultArchive::default().put_files_away(&log.reader()).expect("put away");
        assert!(!medium.files().contains_key(&FileName::Spare));
        log.make_ahead().expect("made");
        assert_eq!(log.reader().file_counts().reused, 0);
    }
}

#[test]
fn no_power_cut_lets_bytes_of_a_file_that_was_put_away_pass_for_those_of_the_next_one() {
    let script = script();
    let calls = {
        let medium = equal();
        let (acknowledged, reused) = run(medium.clone(), &FaultArchive::default(), &script);
        assert_eq!(acknowledged, script.len());
        assert!(reused >= 4, "the script is about files that are made of others: {reused}");
        medium.calls()
    };
    for call in 1..=calls {
        let (medium, archive) = (equal(), FaultArchive::default());
        medium.power_off_at(call);
        let (acknowledged, _) = run(medium.clone(), &archive, &script);
        for (seed, cut) in (0..3).flat_map(|seed| Cut::ALL.map(|cut| (seed, cut))) {
            let of = format!("call {call}, {cut:?}, seed {seed}");
            // What this image goes on to archive the others do not have.
            check(&medium.after_power_cut(cut, seed), &archive.copy(), acknowledged, &of);
        }
    }
}

#[test]
fn a_failed_call_while_a_file_becomes_another_one_loses_nothing() {
    let script = script();
    let calls = {
        let medium = equal();
        run(medium.clone(), &FaultArchive::default(), &script);
        medium.calls()
    };
    for call in 1..=calls {
        let (medium, archive) = (equal(), FaultArchive::default());
        medium.fail_at(call);
        let (acknowledged, _) = run(medium.clone(), &archive, &script);
        for cut in Cut::ALL {
            let of = format!("call {call}, {cut:?}");
            check(&medium.after_power_cut(cut, call), &archive.copy(), acknowledged, &of);
        }
        // And without a power cut: what a failed sync dropped reads as if it were there.
        let of = format!("call {call}, reopened");
        check(&medium, &archive, acknowledged, &of);
        check(&medium.after_power_cut(Cut::Drop, 0), &archive, script.len(), &of);
    }
}

#[test]
fn these_tests_notice_a_disk_that_lies_about_the_zeros() {
    let script = script();
    let (medium, archive) = (equal().lying_about(FileName::Next), FaultArchive::default());
    let (acknowledged, _) = run(medium.clone(), &archive, &script);
    assert_eq!(acknowledged, script.len());
    let noticed = Cut::ALL.iter().filter(|cut| {
        let image = medium.after_power_cut(**cut, 1);
        opened(image, &archive).map_or(true, |log| all_entries(&log) != script.concat())
    });
    assert!(noticed.count() >= 2);
}

/// A log in a folder, whose files are all 64 KiB long.
fn in_folder(path: &Path, archive: &FaultArchive) -> Log<FileMedium> {
    let medium = FileMedium::open(path).expect("the folder");
    let lengths = FileLengths { least: 64 << 10, most: 64 << 10 };
    let medium = medium.with_lengths(lengths).with_archive(Arc::new(archive.clone()));
    Log::open(medium, GENESIS, salts()).expect("open").0
}

#[test]
fn whoever_reads_a_file_that_becomes_another_one_meanwhile_gets_its_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let archive = FaultArchive::default();
    let mut log = in_folder(&path, &archive);
    let script = groups(92, &[6; 120], 2_000);
    log.append(&script[0]).expect("append");
    log.append(&script[1]).expect("append");
    let end = ViewEnd { file: log.head().file, bytes: log.head().end };
    let first = script[..2].concat();
    // By another process, which has had the file open all the time.
    let view = FolderView::new(&path, Some(end)).with_archive(Arc::new(archive.clone()));
    let (view, _) = Log::open(view, GENESIS, salts()).expect("seen");
    assert_eq!(all_entries(&view), first);
    let (reader, done) = (log.reader(), AtomicBool::new(false));
    let counted = std::thread::scope(|scope| {
        let read = || {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                check_first(&reader, &first);
                rounds += 1;
            }
            rounds
        };
        let readers = [(); 2].map(|()| scope.spawn(read));
        for group in &script[2..] {
            log.append(group).expect("append");
            log.make_ahead().expect("made");
            archive.put_files_away(&log.reader()).expect("put away");
        }
        done.store(true, Ordering::Relaxed);
        readers.map(|reader| reader.join().expect("nothing else was served"))
    });
    assert!(counted.iter().all(|rounds| *rounds > 1), "{counted:?}");
    let reused = log.reader().file_counts().reused;
    assert!(reused >= 3, "{reused}");
    assert_eq!(all_entries(&log), script.concat());
    assert_eq!(all_entries(&view), first, "from the archive");
    drop((reader, log));
    assert_eq!(all_entries(&in_folder(&path, &archive)), script.concat());
}

fn check_first(reader: &Reader<FileMedium>, first: &[Entry]) {
    for (position, entry) in (1..).zip(first) {
        assert_eq!(&reader.read(position).expect("never damaged"), entry);
    }
}

#[test]
fn a_file_that_somebody_has_a_link_to_stays_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let archive = FaultArchive::default();
    let mut log = in_folder(&path, &archive);
    let script = groups(93, &[6; 60], 2_000);
    let linked = folder.path().join("linked.log");
    std::fs::hard_link(path.join("00000001.log"), &linked).expect("linked");
    for group in &script {
        log.append(group).expect("append");
        log.make_ahead().expect("made");
        archive.put_files_away(&log.reader()).expect("put away");
    }
    let bytes = std::fs::read(&linked).expect("there");
    assert!(archive.has(blake3::hash(&bytes).as_bytes()), "it is the one that was archived");
    assert!(log.reader().file_counts().reused > 0, "others are");
    match log.read(1) {
        Ok(entry) => assert_eq!(entry, script[0][0]),
        Err(error @ ReadError::Archived(_)) => panic!("expected it from the archive: {error}"),
        Err(error) => panic!("expected it whole: {error}"),
    }
}
