//! A log of one file, as the version before wrote it: read as the first file, and left behind.

use journal::fault::{self, FaultMedium, salts};
use journal::{Entry, FIRST_VERSION, FileName, Genesis, Log, OpenError};

use crate::support::{
    FIRST, GENESIS, all_entries, appended, groups, holding, medium_with, record_bounds, vector,
};

/// A log of two groups with three entries.
fn one_file() -> Vec<u8> {
    vector(include_str!("../vectors/log-v2.hex"))
}

/// The groups with times behind those of the log.
fn later(mut groups: Vec<Vec<Entry>>) -> Vec<Vec<Entry>> {
    groups.iter_mut().flatten().for_each(|entry| entry.time += 100);
    groups
}

#[test]
fn a_log_of_one_file_is_read_and_goes_on_in_the_next_file() {
    let medium = holding(one_file()).with_lengths(2_048, 2_048);
    let (log, recovery) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    assert_eq!((recovery.groups, recovery.entries, recovery.cut_bytes), (2, 3, 0));
    let before = all_entries(&log);
    drop(log);
    let more = later(groups(60, &[1, 2], 40));
    appended(medium.clone(), &more);
    let first = medium.file(FIRST);
    assert!(first.starts_with(&one_file()), "nothing of it is changed");
    assert_eq!(&first[first.len() - 512..][..8], b"VITLSEAL");
    let (log, recovery) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    assert_eq!((recovery.groups, log.reader().files()), (4, 2));
    assert_eq!(all_entries(&log), [before, more.concat()].concat());
    // It cannot stand in another place.
    let mut files = medium.files();
    files.insert(FileName::Log(2), one_file());
    let error = Log::open(FaultMedium::holding(files), GENESIS, salts()).expect_err("misplaced");
    assert!(error.to_string().contains("00000001.log"), "{error}");
}

#[test]
fn a_log_of_one_file_cut_at_any_length_yields_its_whole_groups() {
    let (bytes, whole) = (one_file(), 3);
    let bounds = record_bounds(&bytes);
    for len in 128..bytes.len() {
        let medium = holding(bytes[..len].to_vec()).with_lengths(1_024, 1_024);
        let (log, recovery) = Log::open(medium.clone(), GENESIS, salts()).expect("a prefix opens");
        // A record is whole once its padded entries are: the mark comes later.
        let groups_found = bounds[1..].iter().filter(|end| **end - 8 <= len).count();
        assert_eq!(recovery.groups as usize, groups_found, "{len} bytes");
        assert!(all_entries(&log).len() <= whole);
        drop(log);
        let more = later(groups(61, &[2], 30));
        appended(medium.clone(), &more);
        let (log, again) = Log::open(medium, GENESIS, salts()).expect("opens once it goes on");
        assert_eq!((again.groups, again.cut_bytes), (recovery.groups + 1, 0));
        assert_eq!(log.iter_from(recovery.entries + 1).count(), 2);
    }
}

#[test]
fn a_log_of_the_first_version_is_refused_by_name_and_left_as_it_is() {
    let bytes = vector(include_str!("../vectors/log-v1.hex"));
    // Also with another genesis: by its version first, whatever deployment it is of.
    for genesis in [GENESIS, Genesis { journal_hash: [7; 32], ..GENESIS }] {
        let medium = holding(bytes.clone());
        let error = Log::open(medium.clone(), genesis, salts()).expect_err("first version");
        assert!(matches!(error, OpenError::FirstVersion), "{error}");
        assert_eq!(error.to_string(), FIRST_VERSION);
        assert_eq!((medium.file(FIRST), medium.calls()), (bytes.clone(), 0), "nothing is changed");
    }
}

#[test]
fn groups_that_are_read_from_one_file_are_those_that_were_appended() {
    let script = groups(62, &[3, 1, 2], 500);
    let medium = medium_with(&script);
    let medium = holding(fault::as_one_file(&medium.file(FIRST)));
    let (log, recovery) = Log::open(medium, GENESIS, salts()).expect("open");
    assert_eq!((all_entries(&log), recovery.rewrote_last), (script.concat(), false));
}
