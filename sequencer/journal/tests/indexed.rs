//! Files that were left keep no groups in memory: their index on the disk says where those stand.

use journal::fault::{Cut, FaultMedium, Files, salts};
use journal::{DurableEvidence, Entry, FileName, Log, Medium, OpenError, ReadError};

use crate::support::{GENESIS, all_entries, appended, groups, record_bounds};

fn script() -> Vec<Vec<Entry>> {
    groups(80, &[2, 1, 3, 1, 2, 2, 1, 4, 1, 1], 600)
}

/// The script in files of 2 KiB, each but the last with an index.
fn indexed() -> FaultMedium {
    let medium = appended(FaultMedium::default().with_lengths(2_048, 2_048), &script());
    open(&medium).make_ahead().expect("indexes are written");
    medium
}

fn open(medium: &FaultMedium) -> Log<FaultMedium> {
    Log::open(medium.clone(), GENESIS, salts()).expect("open").0
}

/// Reads every entry in every way.
fn check_reads(log: &Log<FaultMedium>) {
    let entries = script().concat();
    assert_eq!(all_entries(log), entries);
    for (position, entry) in (1..).zip(&entries) {
        assert_eq!(&log.read(position).expect("present"), entry);
        let number = log.reader().group_of(position).expect("present");
        let group = log.group(number).expect("present");
        assert!((group.first..=group.last).contains(&position));
        let tag = u64::from_le_bytes(group.journal_hash[..8].try_into().expect("eight bytes"));
        assert_eq!(log.reader().hash_tag(number).expect("present"), tag);
        assert_eq!(log.iter_from(position).count() as u64, entries.len() as u64 - position + 1);
    }
}

fn indexes(medium: &FaultMedium) -> Files {
    let is_index = |name: &FileName| matches!(name, FileName::Index(_));
    medium.files().into_iter().filter(|(name, _)| is_index(name)).collect()
}

#[test]
fn memory_keeps_the_groups_of_the_last_file_alone() {
    let medium = FaultMedium::default().with_lengths(2_048, 2_048);
    let mut log = open(&medium);
    let mut most = 0;
    for group in &script() {
        log.append(group).expect("append");
        log.make_ahead().expect("made");
        most = most.max(log.reader().groups_in_memory());
    }
    let files = log.head().file;
    assert!(files >= 4 && most <= 5, "{most} groups of {} in {files} files", script().len());
    check_reads(&log);
    drop(log);
    // Nor after the next start.
    let log = open(&medium);
    let in_last = log.reader().groups_in_memory();
    let bytes = medium.file(FileName::Log(files));
    assert_eq!(in_last, record_bounds(&bytes).len() - 1);
    check_reads(&log);
}

#[test]
fn an_index_holds_offset_position_and_hash_of_each_group() {
    let medium = indexed();
    let log = open(&medium);
    let index = medium.file(FileName::Index(1));
    let bounds = record_bounds(&medium.file(FileName::Log(1)));
    let number = |at: usize| u64::from_le_bytes(index[at..at + 8].try_into().expect("eight"));
    let count = bounds.len() - 1;
    assert_eq!((&index[..8], number(8), number(16)), (&b"VITLINDX"[..], count as u64, 0));
    assert_eq!(index.len(), 64 + count * 24);
    for (at, offset) in bounds[..count].iter().enumerate() {
        let group = log.group(at as u64 + 1).expect("present");
        let found = [0, 8, 16].map(|field| number(64 + at * 24 + field));
        let tag = u64::from_le_bytes(group.journal_hash[..8].try_into().expect("eight bytes"));
        assert_eq!(found, [*offset as u64, group.first, tag]);
    }
}

#[test]
fn an_index_that_is_missing_damaged_or_of_another_file_is_made_again() {
    let medium = indexed();
    let whole = indexes(&medium);
    assert!(whole.len() >= 3);
    let damaged = |change: &dyn Fn(&mut Files)| {
        let mut files = medium.files();
        change(&mut files);
        let medium = FaultMedium::holding(files).with_lengths(2_048, 2_048);
        let log = open(&medium);
        assert_eq!(all_entries(&log), script().concat());
        log.make_ahead().expect("made again");
        assert_eq!(indexes(&medium), whole);
        check_reads(&log);
    };
    let second = FileName::Index(2);
    damaged(&|files| drop(files.remove(&second)));
    damaged(&|files| drop(files.insert(second, whole[&FileName::Index(3)].clone())));
    damaged(&|files| drop(files.insert(second, vec![])));
    for at in 0..whole[&second].len() {
        damaged(&|files| files.get_mut(&second).expect("present")[at] ^= 0x20);
        damaged(&|files| files.get_mut(&second).expect("present").truncate(at));
    }
    // Of the same file in another past.
    let other = appended(
        FaultMedium::default().with_lengths(2_048, 2_048),
        &groups(81, &[2, 1, 3, 1, 2, 2, 1, 4, 1, 1], 600),
    );
    open(&other).make_ahead().expect("written");
    damaged(&|files| drop(files.insert(second, other.file(second))));
}

#[test]
fn an_index_that_is_damaged_while_the_log_is_open_serves_nothing_wrong() {
    let (medium, entries) = (indexed(), script().concat());
    let log = open(&medium);
    let second = FileName::Index(2);
    let whole = medium.file(second);
    for (at, byte) in whole.iter().enumerate() {
        medium.write_at(second, at as u64, &[byte ^ 0x01]).expect("write");
        for (position, entry) in (1..).zip(&entries) {
            match log.read(position) {
                Ok(found) => assert_eq!(&found, entry, "byte {at}, position {position}"),
                Err(ReadError::Index { file: 2 } | ReadError::Corrupt(_)) => {}
                Err(error) => panic!("byte {at}, position {position}: {error}"),
            }
        }
        medium.write_at(second, at as u64, &[*byte]).expect("write");
    }
    check_reads(&log);
}

#[test]
fn damage_in_a_file_with_an_index_is_reported_when_it_is_read() {
    let medium = indexed();
    let bounds = record_bounds(&medium.file(FileName::Log(2)));
    for at in bounds[0]..bounds[1] - 8 {
        let mut files = medium.files();
        files.get_mut(&FileName::Log(2)).expect("present")[at] ^= 0x10;
        // A look at all of it at each start would take as long as the log is old.
        let log = open(&FaultMedium::holding(files));
        let error = log.iter_from(1).find_map(Result::err).expect("reported");
        let ReadError::Corrupt(found) = error else { panic!("byte {at}: {error}") };
        assert_eq!((found.file, found.evidence), (2, DurableEvidence::Committed), "byte {at}");
    }
    // What stands between the files is looked at.
    let mut files = medium.files();
    let seal = files.get_mut(&FileName::Log(2)).expect("present");
    let at = seal.len() - 500;
    seal[at] ^= 1;
    let error = Log::open(FaultMedium::holding(files), GENESIS, salts()).map(drop);
    assert!(matches!(error, Err(OpenError::File { file: 2, .. })), "{error:?}");
}

#[test]
fn an_index_that_cannot_be_written_costs_memory_and_no_entry() {
    let medium = FaultMedium::default().with_lengths(2_048, 2_048);
    appended(medium.clone(), &script());
    let log = open(&medium);
    let kept = log.reader().groups_in_memory();
    for call in 1..=3 {
        medium.fail_at(call);
        log.make_ahead().expect_err("the call fails");
        assert_eq!(log.reader().groups_in_memory(), kept);
        check_reads(&log);
        for cut in Cut::ALL {
            check_reads(&open(&medium.after_power_cut(cut, call)));
        }
    }
    log.make_ahead().expect("tried again");
    assert!(log.reader().groups_in_memory() < kept);
    check_reads(&log);
}
