//! A log of many files: each continues the one before, and one that does not is named.

use journal::fault::{Cut, FaultMedium, Files, salts};
use journal::{
    AppendError, DurableEvidence, Entry, EntryKind, FileFault, FileLengths, FileMedium, FileName,
    Genesis, Log, Medium, OpenError,
};

use crate::support::{
    GENESIS, START_MS, all_entries, appended, groups, holding, medium_with, record_bounds,
};

const LEAST: u64 = 2_048;

/// Files of 2 KiB, or of twice that where they are made ahead.
fn small() -> FaultMedium {
    FaultMedium::default().with_lengths(LEAST, 2 * LEAST)
}

fn script() -> Vec<Vec<Entry>> {
    groups(70, &[2, 1, 3, 1, 2, 2, 1, 4], 600)
}

/// The script in at least four files.
fn files() -> Files {
    let files = appended(small(), &script()).files();
    assert!(files.len() >= 4, "expected at least four files, found {}", files.len());
    files
}

fn open(files: Files) -> Result<Log<FaultMedium>, OpenError> {
    Log::open(FaultMedium::holding(files), GENESIS, salts()).map(|(log, _)| log)
}

#[track_caller]
fn check(files: Files, file: u64, fault: FileFault) {
    match open(files) {
        Err(OpenError::File { file: named, fault: found }) => {
            assert_eq!((named, found), (file, fault));
        }
        Err(error) => panic!("expected {fault} of file {file}, found {error}"),
        Ok(_) => panic!("expected {fault} of file {file}, and it opens"),
    }
}

#[test]
fn files_follow_each_other_and_one_that_was_left_never_changes_again() {
    let (medium, script) = (small(), script());
    let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    let mut sealed = Files::new();
    for group in &script {
        log.append(group).expect("append");
        let files = medium.files();
        for (name, bytes) in &sealed {
            assert_eq!(files.get(name), Some(bytes), "{name} was left");
        }
        let last = log.head().file;
        sealed = files.into_iter().filter(|(name, _)| *name < FileName::Log(last)).collect();
    }
    assert!(sealed.len() >= 3);
    assert_eq!(all_entries(&log), script.concat());
    let head = log.head();
    drop(log);
    let (log, recovery) = Log::open(medium, GENESIS, salts()).expect("open");
    assert_eq!((log.head(), recovery.groups as usize), (head, script.len()));
    assert_eq!(log.reader().files(), head.file);
    // From any position on, in whatever file it is.
    let entries = script.concat();
    for (position, entry) in (1..).zip(&entries) {
        assert_eq!(&log.read(position).expect("present"), entry);
        let rest: Vec<_> =
            log.iter_from(position).map(|found| found.expect("readable").1).collect();
        assert_eq!(rest, entries[position as usize - 1..]);
    }
}

#[test]
fn a_file_made_ahead_is_used_and_one_that_was_not_is_counted() {
    let ahead = small();
    let (mut log, _) = Log::open(ahead.clone(), GENESIS, salts()).expect("open");
    for group in &script() {
        log.make_ahead().expect("made");
        log.append(group).expect("append");
    }
    let counts = log.reader().file_counts();
    assert!(log.head().file >= 3);
    assert_eq!((counts.late, counts.failed), (0, 0));
    // As long as all before it together, up to the longest.
    assert_eq!(ahead.file(FileName::Log(2)).len() as u64, LEAST);
    assert_eq!(ahead.file(FileName::Log(3)).len() as u64, 2 * LEAST);
    assert_eq!(all_entries(&log), script().concat());
    drop(log);
    // One that nobody began is made anew after the next start.
    let (log, _) = Log::open(ahead.clone(), GENESIS, salts()).expect("open");
    assert!(!ahead.files().contains_key(&FileName::Log(log.head().file + 1)));

    let (mut log, _) = Log::open(small(), GENESIS, salts()).expect("open");
    script().iter().for_each(|group| drop(log.append(group).expect("append")));
    assert_eq!(log.reader().file_counts().late, log.head().file - 1);
}

#[test]
fn a_full_disk_keeps_no_file_from_being_filled_and_leaves_no_half_file() {
    let (medium, script) = (small(), script());
    let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    // Room for the first file and half of another.
    medium.limit_room(LEAST + LEAST / 2);
    log.make_ahead().expect_err("no room");
    assert_eq!(log.reader().file_counts().failed, 1);
    let calls = medium.calls();
    log.make_ahead().expect("not tried again");
    assert_eq!(medium.calls(), calls);
    let appended = script.iter().take_while(|group| log.append(group).is_ok()).count();
    assert!((1..script.len()).contains(&appended), "the file was filled");
    assert!(log.is_poisoned());
    assert_eq!(medium.files().len(), 1, "what was begun is removed: others need the room");
    drop(log);
    medium.limit_room(u64::MAX);
    let (mut log, recovery) = Log::open(medium, GENESIS, salts()).expect("open");
    assert_eq!((recovery.groups as usize, recovery.cut_bytes), (appended, 0));
    script[appended..].iter().for_each(|group| drop(log.append(group).expect("room again")));
    assert_eq!(all_entries(&log), script.concat());
}

#[test]
fn a_group_that_fits_no_file_makes_one_longer() {
    let large = vec![Entry::new(EntryKind::FRAME, START_MS + 100, vec![7; 9_000])];
    let small_groups = groups(71, &[1, 2], 100);
    let next = vec![Entry::new(EntryKind::FRAME, START_MS + 101, vec![8; 40])];
    let script = [&small_groups[..], &[large, next]].concat();
    let medium = appended(small(), &script);
    let (log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    assert_eq!((all_entries(&log), log.reader().files()), (script.concat(), 3));
    let second = medium.file(FileName::Log(2));
    assert_eq!(record_bounds(&second).len(), 2, "alone in its file");
    assert_eq!(&second[second.len() - 512..][..8], b"VITLSEAL");
}

#[test]
fn a_file_that_is_missing_misplaced_or_foreign_is_named() {
    let whole = files();
    let last = whole.len() as u64;
    for missing in 1..=last {
        let mut files = whole.clone();
        files.remove(&FileName::Log(missing));
        check(files, missing, FileFault::Missing { before: missing - 1 });
    }
    let content = |file: u64| whole[&FileName::Log(file)].clone();
    let with = |file: u64, bytes: Vec<u8>| {
        let mut files = whole.clone();
        files.insert(FileName::Log(file), bytes);
        files
    };
    check(with(2, content(3)), 2, FileFault::Misplaced { found: 3 });
    // Of another journal, and of this one before it went another way.
    let another = Genesis { log_id: [9; 16], ..GENESIS };
    let medium = small();
    let (mut log, _) = Log::open(medium.clone(), another, salts()).expect("open");
    script().iter().for_each(|group| drop(log.append(group).expect("append")));
    check(with(2, medium.file(FileName::Log(2))), 2, FileFault::Foreign);
    let other = appended(small(), &groups(72, &[2, 1, 3, 1, 2, 2, 1, 4], 600));
    let error = open(with(2, other.file(FileName::Log(2)))).map(drop).expect_err("another past");
    let OpenError::File { file: 2, fault: FileFault::Chain(_) } = error else {
        panic!("expected a file that does not continue, found {error}");
    };
}

#[test]
fn a_file_that_lost_its_header_its_seal_or_its_length_is_named() {
    let whole = files();
    let last = whole.len() as u64;
    let changed = |file: u64, change: &dyn Fn(&mut Vec<u8>)| {
        let mut files = whole.clone();
        change(files.get_mut(&FileName::Log(file)).expect("present"));
        files
    };
    for file in 1..=last {
        let no_header = changed(file, &|bytes| bytes[..128].fill(0));
        let why = "there are bytes where groups go";
        check(no_header, file, FileFault::NotBegun { why });
        let emptied = changed(file, &|bytes| bytes.fill(0));
        let why = match file == last {
            true => "the file before it is sealed",
            false => "there are files behind it",
        };
        check(emptied, file, FileFault::NotBegun { why });
        let found = whole[&FileName::Log(file)].len() as u64 - 1;
        let short = changed(file, &|bytes| bytes.truncate(found as usize));
        check(short, file, FileFault::Short { expected: found + 1, found });
    }
    for file in 1..last {
        let unsealed = changed(file, &|bytes| {
            let seal = bytes.len() - 512;
            bytes[seal..].fill(0);
        });
        check(unsealed, file, FileFault::Unsealed);
        let offset = *record_bounds(&whole[&FileName::Log(file)]).last().expect("an end");
        let stray = changed(file, &|bytes| bytes[offset] = 1);
        check(stray, file, FileFault::Stray { offset: offset as u64 });
    }
    // A group that was lost with everything behind it in its file.
    let bounds = record_bounds(&whole[&FileName::Log(2)]);
    let lost = changed(2, &|bytes| bytes[bounds[0]..bounds[bounds.len() - 1]].fill(0));
    match open(lost).map(drop) {
        Err(OpenError::Corrupt(found)) => {
            assert_eq!((found.file, found.offset), (2, 128));
            assert_eq!(found.evidence, DurableEvidence::LaterFile { file: 3 });
        }
        other => panic!("expected corruption, found {other:?}"),
    }
}

#[test]
fn a_copy_goes_on_with_its_last_file_and_all_behind_it() {
    let (medium, script) = (small(), script());
    let (mut copy, mut changes) = (Files::new(), 0);
    for (i, group) in script.iter().enumerate() {
        // The log is open for this group alone: a copy is taken while nothing writes.
        appended(medium.clone(), std::slice::from_ref(group));
        let last = copy.keys().next_back().copied();
        let behind = medium.files().into_iter().filter(|(name, _)| Some(*name) > last);
        let behind: Files = behind.collect();
        if last.is_some() && !behind.is_empty() {
            // The last file of the copy before lacks what came into it since, and its seal.
            let stale = copy.clone().into_iter().chain(behind).collect();
            assert!(open(stale).is_err(), "group {i}: its last file is stale");
            changes += 1;
        }
        copy.extend(medium.files().into_iter().filter(|(name, _)| Some(*name) >= last));
        let log = open(copy.clone()).expect("the copy opens");
        assert_eq!(all_entries(&log), script[..=i].concat());
    }
    assert!(changes >= 3, "expected a copy across three changes of file, found {changes}");
}

#[test]
fn files_made_ahead_are_made_anew_however_many_a_power_cut_left() {
    let script = script();
    let mut files = appended(small(), &script[..6]).files();
    let last = files.len() as u64;
    let mut gap = files.clone();
    gap.insert(FileName::Log(last + 2), vec![0; LEAST as usize]);
    check(gap, last + 1, FileFault::Missing { before: last });
    // The header of one was lost, and behind it the next one had been made.
    for ahead in 1..=3 {
        files.insert(FileName::Log(last + ahead), vec![0; LEAST as usize]);
        for call in 1..=16 {
            let medium = FaultMedium::holding(files.clone()).with_lengths(LEAST, 2 * LEAST);
            medium.power_off_at(call);
            drop(Log::open(medium.clone(), GENESIS, salts()));
            for cut in Cut::ALL {
                let image = medium.after_power_cut(cut, call);
                let (mut log, _) = Log::open(image.clone(), GENESIS, salts())
                    .unwrap_or_else(|error| panic!("{ahead} ahead, call {call}, {cut:?}: {error}"));
                assert_eq!(image.files().len() as u64, last, "none is left");
                script[6..].iter().for_each(|group| drop(log.append(group).expect("append")));
                assert_eq!(all_entries(&log), script.concat());
            }
        }
    }
}

#[test]
fn every_flipped_byte_of_every_file_is_reported() {
    let whole = files();
    for (name, bytes) in &whole {
        let written = match *name == FileName::Log(whole.len() as u64) {
            // Behind its groups is room for the next one, where a torn one looks like this.
            true => *record_bounds(bytes).last().expect("an end"),
            false => bytes.len(),
        };
        for at in 0..written {
            let mut files = whole.clone();
            files.get_mut(name).expect("present")[at] ^= 0x40;
            assert!(open(files).is_err(), "byte {at} of {name} flipped went unnoticed");
        }
    }
}

#[test]
fn records_of_another_file_of_the_log_are_never_served() {
    // As if the zeros had not covered what a file held in an earlier life.
    let whole = files();
    let last = whole.len() as u64;
    let mut stale = whole.clone();
    let earlier = whole[&FileName::Log(2)].clone();
    let content = stale.get_mut(&FileName::Log(last)).expect("present");
    let end = *record_bounds(content).last().expect("an end");
    content.truncate(end);
    content.extend(&earlier[128..record_bounds(&earlier)[1]]);
    content.resize(whole[&FileName::Log(last)].len().max(content.len()), 0);
    if let Ok(log) = open(stale) {
        assert_eq!(all_entries(&log), script().concat());
    }
}

#[test]
fn a_file_of_zeros_is_never_made_over_one_that_has_groups() {
    let medium = medium_with(&script());
    let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    // Somebody put a file where the next one goes.
    let strange = holding(medium.file(FileName::Log(1))).file(FileName::Log(1));
    medium.make_empty(FileName::Log(2)).expect("create");
    medium.write_at(FileName::Log(2), 0, &strange).expect("write");
    log.make_ahead().expect_err("there is one");
    let large = Entry::new(EntryKind::FRAME, START_MS + 200, vec![1; 4_000]);
    let refused = log.append(&[large]).expect_err("there is one");
    assert!(matches!(refused, AppendError::Medium { op: "make the next file", .. }), "{refused}");
    assert_eq!(medium.file(FileName::Log(2)), strange);
}

/// What a folder holds after the script, whether it was written past the cache or not, does not
/// differ from what the model of a disk holds.
#[test]
fn a_folder_holds_the_bytes_that_the_medium_of_these_tests_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    // Of whole blocks, so that zeros and groups are written past the cache where that is done.
    let lengths = FileLengths { least: 4_096, most: 8_192 };
    let on_disk = FileMedium::open(&path).expect("opened").with_lengths(lengths);
    let modelled = FaultMedium::default().with_lengths(lengths.least, lengths.most);
    let (mut log, _) = Log::open(on_disk, GENESIS, salts()).expect("open");
    let (mut twin, _) = Log::open(modelled.clone(), GENESIS, salts()).expect("open");
    for group in &groups(60, &[2, 1, 3, 1, 9, 2, 1, 4], 600) {
        log.append(group).expect("append");
        twin.append(group).expect("append");
        let head = log.head();
        assert_eq!(head, twin.head());
        // Also before anything is synced again: only the last mark may still be owed.
        assert_eq!(log.group(head.group).expect("read"), twin.group(head.group).expect("read"));
    }
    log.rest().expect("synced");
    drop(log);
    let files = modelled.files();
    assert!(files.len() >= 3, "expected some files, found {}", files.len());
    for (name, bytes) in files {
        let found = std::fs::read(path.join(name.to_string())).expect("a file of that name");
        assert!(found == bytes, "{name} differs");
    }
}
