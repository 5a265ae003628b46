//! Files that are in an archive: what is here without them opens, reads and goes on, and no power
//! cut removes a file that the archive does not have.

use std::sync::Arc;

use journal::fault::{Cut, FaultArchive, FaultMedium, salts};
use journal::{
    Entry, EntryKind, FetchError, FileFault, FileName, Log, OpenError, Place, PutAwayError,
    ReadError,
};

use crate::support::{GENESIS, all_entries, groups};

/// Groups that fill files of 2 KiB.
const SIZES: [usize; 9] = [1, 3, 1, 2, 2, 4, 1, 2, 1];

fn script() -> Vec<Vec<Entry>> {
    groups(81, &SIZES, 1_200)
}

fn small() -> FaultMedium {
    FaultMedium::default().with_lengths(2_048, 8_192)
}

/// Appends the script, and puts each file away as soon as it was left; how much was acknowledged.
fn run(medium: FaultMedium, objects: &FaultArchive) -> usize {
    let Ok((mut log, _)) = Log::open(medium, GENESIS, salts()) else { return 0 };
    let mut acknowledged = 0;
    for group in &script() {
        if log.append(group).is_err() {
            break;
        }
        acknowledged += 1;
        drop(log.make_ahead());
        drop(objects.put_files_away(&log.reader()));
    }
    acknowledged
}

pub(crate) fn opened(
    medium: FaultMedium,
    objects: &FaultArchive,
) -> Result<Log<FaultMedium>, OpenError> {
    let medium = medium.with_archive(Arc::new(objects.clone()));
    Log::open(medium, GENESIS, salts()).map(|(log, _)| log)
}

/// A medium of which all files but the last are in the archive.
fn away() -> (FaultMedium, FaultArchive) {
    let (medium, objects) = (small(), FaultArchive::default());
    assert_eq!(run(medium.clone(), &objects), SIZES.len());
    (medium, objects)
}

#[test]
fn a_log_opens_and_goes_on_without_its_archived_files_and_reads_them_there() {
    let (medium, objects) = away();
    let logs = |medium: &FaultMedium| {
        let names = medium.files().into_keys();
        names.filter(|name| matches!(name, FileName::Log(_))).collect::<Vec<_>>()
    };
    assert!(logs(&medium).len() <= 2, "the last file and the next: {:?}", logs(&medium));
    let mut log = opened(medium.clone(), &objects).expect("opens");
    assert_eq!(objects.reads(), 0, "to open it costs nothing");
    assert!(log.head().file >= 4, "the test is about some files");
    assert_eq!(all_entries(&log), script().concat());
    assert!(objects.reads() > 0);
    // Where a group stands is known here, and whether it is another one.
    let before = objects.reads();
    let reader = log.reader();
    for group in 1..=log.head().group {
        reader.hash_tag(group).expect("indexed");
        reader.placement(group).expect("indexed");
    }
    assert_eq!(objects.reads(), before);
    let more = groups(82, &[2, 2, 2], 1_200);
    let times = script().concat().last().map_or(0, |entry| entry.time);
    for group in &more {
        let later = |entry: &Entry| Entry { time: entry.time + times, ..entry.clone() };
        log.append(&group.iter().map(later).collect::<Vec<_>>()).expect("append");
    }
    let head = log.head();
    drop(log);
    assert_eq!(opened(medium, &objects).expect("opens").head(), head);
}

#[test]
fn without_an_archive_everything_opens_and_only_reads_of_those_files_fail() {
    let (medium, _) = away();
    let (log, recovery) = Log::open(medium, GENESIS, salts()).expect("opens");
    assert_eq!(recovery.groups as usize, SIZES.len());
    match log.read(1) {
        Err(ReadError::Archived(error)) => {
            let said = error.to_string();
            assert!(said.contains("00000001.log") && said.contains("[archive] url"), "{said}");
        }
        other => panic!("expected the archive to be asked, found {other:?}"),
    }
    log.read(log.head().position).expect("the last file is here");
}

#[test]
fn a_missing_object_is_named_and_costs_no_other_read() {
    let (medium, objects) = away();
    let log = opened(medium, &objects).expect("opens");
    let first = log.reader().placement(1).expect("indexed").file;
    let all: Vec<_> = objects.objects().into_keys().collect();
    assert_eq!(first, 1);
    let archived = log.reader().archived_files().expect("stubs");
    let mut digests: Vec<_> = archived.iter().map(|archived| archived.digest).collect();
    digests.sort_unstable();
    assert_eq!(digests, all);
    for gone in all {
        let bytes = objects.take(&gone).expect("there");
        let mut failed = 0;
        for position in 1..=log.head().position {
            match log.read(position) {
                Ok(_) => {}
                Err(ReadError::Archived(error)) => {
                    assert!(matches!(*error, FetchError::Missing { .. }), "{error}");
                    failed += 1;
                }
                Err(error) => panic!("expected the object to be named, found {error}"),
            }
        }
        assert!(failed > 0 && failed < log.head().position, "{failed}");
        objects.put(bytes);
    }
}

#[test]
fn a_group_that_another_object_holds_is_never_served() {
    let (medium, objects) = away();
    let log = opened(medium, &objects).expect("opens");
    // An archive that lies: each object has a byte changed under its own name.
    objects.change_all(|bytes| bytes[300] ^= 1);
    let entries = script().concat();
    for (position, entry) in (1..).zip(&entries) {
        match log.read(position) {
            Ok(found) => assert_eq!(&found, entry),
            Err(ReadError::Corrupt(_)) => {}
            Err(error) => panic!("expected corruption, found {error}"),
        }
    }
}

#[test]
fn only_the_first_file_that_was_left_and_has_an_index_is_put_away() {
    let medium = small();
    let (mut log, _) = Log::open(medium, GENESIS, salts()).expect("open");
    for group in &script() {
        log.append(group).expect("append");
    }
    let reader = log.reader();
    let unindexed = reader.put_away(1, &[0; 32]).expect_err("no index");
    assert!(matches!(unindexed, PutAwayError::NotIndexed { file: 1 }), "{unindexed}");
    log.make_ahead().expect("indexed");
    let last = log.head().file;
    for file in [2, last, last + 1] {
        let error = reader.put_away(file, &[0; 32]).expect_err("not the first");
        assert!(matches!(error, PutAwayError::NotFirst { first: Some(1), .. }), "{error}");
    }
    reader.put_away(1, &[0; 32]).expect("put away");
    assert_eq!(reader.local_files().expect("listed").first(), Some(&2));
}

#[test]
fn a_file_with_the_group_behind_a_loss_stays() {
    let medium = small();
    let (mut log, _) = Log::open(medium, GENESIS, salts()).expect("open");
    let script = script();
    log.append(&script[0]).expect("append");
    let head = log.head();
    let place = Place { group: head.group + 5, position: head.position + 5 };
    let mut behind = log.builder_beyond(head.last_time, place).expect("begun");
    behind.append(EntryKind::GAP, b"what was lost").expect("fits");
    log.append_built(behind).expect("append");
    for group in &script[1..] {
        log.append(group).expect("append");
    }
    log.make_ahead().expect("indexed");
    let reader = log.reader();
    let holds = reader.placement(place.group).expect("there").file;
    for file in 1..holds {
        reader.put_away(file, &[0; 32]).expect("before the loss");
    }
    let error = reader.put_away(holds, &[0; 32]).expect_err("it says what was lost");
    assert!(matches!(error, PutAwayError::HoldsGap { .. }), "{error}");
    reader.group(place.group).expect("read here");
}

#[test]
fn a_stub_that_is_damaged_is_named_unless_the_file_is_back() {
    let (medium, objects) = away();
    let whole = medium.files();
    let changed = |at: usize| {
        let mut files = whole.clone();
        files.get_mut(&FileName::Archived(2)).expect("a stub")[at] ^= 1;
        files
    };
    for at in [0, 20, 60, 200, 700, 1_023] {
        match opened(FaultMedium::holding(changed(at)), &objects) {
            Err(OpenError::File { file: 2, fault: FileFault::Stub }) => {}
            Err(error) => panic!("expected the stub to be named, found {error}"),
            Ok(_) => panic!("a damaged stub went unnoticed at {at}"),
        }
    }
    // Brought back from the archive, the file counts.
    let mut held = objects.objects().into_values();
    let second = held.find(|bytes| bytes[88..96] == 2_u64.to_le_bytes());
    let mut files = changed(20);
    files.insert(FileName::Log(2), second.expect("archived"));
    let log = opened(FaultMedium::holding(files), &objects).expect("opens");
    assert_eq!(all_entries(&log), script().concat());
    // And without both it is missing.
    let mut files = whole.clone();
    files.remove(&FileName::Archived(2));
    match opened(FaultMedium::holding(files), &objects) {
        Err(OpenError::File { file: 2, fault: FileFault::Missing { before: 1 } }) => {}
        other => panic!("expected a missing file, found {:?}", other.map(drop)),
    }
}

#[test]
fn an_index_that_is_lost_is_made_again_from_the_archived_file() {
    let (medium, objects) = away();
    let mut files = medium.files();
    files.remove(&FileName::Index(2)).expect("an index");
    let log = opened(FaultMedium::holding(files.clone()), &objects).expect("opens");
    assert!(objects.reads() > 0);
    assert_eq!(all_entries(&log), script().concat());
    log.make_ahead().expect("indexed again");
    let reads = objects.reads();
    log.reader().hash_tag(1).expect("indexed");
    assert_eq!(objects.reads(), reads);
    // Without the archive nobody knows where its groups stand, and it is said where they are.
    let error = Log::open(FaultMedium::holding(files), GENESIS, salts()).map(drop);
    let error = error.expect_err("it cannot be walked over");
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("00000002.log is in the archive"), "{error}: {cause}");
}

/// The point of all of it.
#[test]
fn no_power_cut_removes_a_file_that_the_archive_does_not_have() {
    let script = script();
    let calls = {
        let medium = small();
        run(medium.clone(), &FaultArchive::default());
        medium.calls()
    };
    for call in 1..=calls {
        let (medium, objects) = (small(), FaultArchive::default());
        medium.power_off_at(call);
        let acknowledged = run(medium.clone(), &objects);
        for (seed, cut) in (0..4).flat_map(|seed| Cut::ALL.map(|cut| (seed, cut))) {
            let of = format!("call {call}, {cut:?}, seed {seed}");
            // What this image goes on to archive the others do not have.
            let (image, objects) = (medium.after_power_cut(cut, seed), objects.copy());
            let mut log = opened(image.clone(), &objects)
                .unwrap_or_else(|error| panic!("{of}: {error}: {:?}", error));
            let found = log.head().group as usize;
            assert!(found >= acknowledged, "{of}");
            assert_eq!(all_entries(&log), script[..found].concat(), "{of}");
            let files = image.files();
            for file in 1..log.head().file {
                let here = files.contains_key(&FileName::Log(file));
                let stub = files.get(&FileName::Archived(file));
                let digest = stub.and_then(|stub| stub.get(16..48)?.first_chunk().copied());
                assert!(here || digest.is_some_and(|digest| objects.has(&digest)), "{of}: {file}");
            }
            for group in &script[found..] {
                log.append(group).unwrap_or_else(|error| panic!("{of}: {error}"));
            }
            log.make_ahead().unwrap_or_else(|error| panic!("{of}: {error}"));
            objects.put_files_away(&log.reader()).unwrap_or_else(|error| panic!("{of}: {error}"));
            assert_eq!(all_entries(&log), script.concat(), "{of}");
        }
    }
}

#[test]
fn a_failed_call_while_one_is_put_away_is_an_error_and_loses_nothing() {
    for call in 1..=9 {
        let (medium, objects) = (small(), FaultArchive::default());
        let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
        script().iter().for_each(|group| drop(log.append(group).expect("append")));
        log.make_ahead().expect("indexed");
        medium.fail_at(call);
        let failed = objects.put_files_away(&log.reader()).is_err();
        assert!(failed || call > 7, "call {call} is one of those of a file");
        objects
            .put_files_away(&log.reader())
            .unwrap_or_else(|error| panic!("call {call}: {error}"));
        drop(log);
        for cut in Cut::ALL {
            let image = medium.after_power_cut(cut, call);
            let log = opened(image, &objects).expect("opens");
            assert_eq!(all_entries(&log), script().concat(), "call {call}, {cut:?}");
        }
    }
}
