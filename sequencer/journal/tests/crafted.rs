//! Files whose checksums hold and whose numbers lie: somebody wrote them, or memory failed before
//! the checksum was made. They are refused like any other damage.

use journal::fault::{FaultMedium, salts};
use journal::{Fault, FileFault, FileName, Log, Medium, OpenError, ReadError};

use crate::support::{
    FIRST, GENESIS, all_entries, appended, checksum, groups, holding, medium_with, record_bounds,
};

/// Files of 4 KiB with some groups each, all but the last with an index.
fn indexed() -> FaultMedium {
    let medium = FaultMedium::default().with_lengths(4_096, 4_096);
    let medium = appended(medium, &groups(90, &[2, 1, 3, 1, 2, 2, 1, 3, 2, 1], 600));
    let (log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    log.make_ahead().expect("indexes are written");
    medium
}

fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

/// The header of a file with another number in it, and a checksum that holds.
fn with_header(mut file: Vec<u8>, at: usize, number: u64) -> Vec<u8> {
    put(&mut file, at, number);
    let sum = crc32c::crc32c(&file[..124]);
    file[124..128].copy_from_slice(&sum.to_le_bytes());
    file
}

#[test]
fn a_file_of_a_length_that_nobody_has_room_for_is_refused() {
    let whole = medium_with(&groups(91, &[2, 1], 300)).file(FIRST);
    for length in [journal::FILE_BYTES_MAX + 1, u64::MAX] {
        let file = with_header(whole.clone(), 96, length);
        // Whoever accepts the loss of its end would have it made again.
        match Log::open_shortened(holding(file), GENESIS, salts()) {
            Err(OpenError::File { file: 1, fault: FileFault::Header(fault) }) => {
                let max = journal::FILE_BYTES_MAX;
                assert_eq!(fault, Fault::Limit { field: "file length", max, found: length });
            }
            other => panic!("expected a limit, found {other:?}"),
        }
    }
}

#[test]
fn a_log_of_one_file_that_says_it_is_another_is_refused() {
    let whole = medium_with(&groups(92, &[2, 1], 300)).file(FIRST);
    let one_file = journal::fault::as_one_file(&whole);
    for number in [1, u64::MAX - 1, u64::MAX] {
        let file = with_header(one_file.clone(), 88, number);
        let refused = journal::is_one_file(&file).expect_err("refused");
        assert!(matches!(refused, OpenError::File { file: 1, .. }), "{refused}");
    }
}

#[test]
fn a_seal_that_names_the_largest_numbers_is_refused() {
    let medium = indexed();
    let whole = medium.file(FIRST);
    for field in [24, 32] {
        let (mut file, seal) = (whole.clone(), whole.len() - 512);
        put(&mut file[seal..], field, u64::MAX);
        let sum = checksum(1, &file[seal..whole.len() - 4]);
        file[whole.len() - 4..].copy_from_slice(&sum);
        let mut files = medium.files();
        files.insert(FIRST, file.clone());
        let found = Log::open(FaultMedium::holding(files), GENESIS, salts());
        // Nor is a file made behind it by whoever accepts the loss of all others.
        for found in [found, Log::open_shortened(holding(file), GENESIS, salts())] {
            match found {
                Err(OpenError::File { file: 1, fault: FileFault::Seal(_) }) => {}
                other => panic!("expected the seal to be refused, found {other:?}"),
            }
        }
    }
}

/// The index of the first file with a gap that is not there, and a checksum that holds.
fn with_gap(medium: &FaultMedium, gap: [u64; 5], groups: u64) -> FaultMedium {
    let mut index = medium.file(FileName::Index(1));
    put(&mut index, 8, groups);
    put(&mut index, 16, 1);
    index.resize(64 + groups as usize * 24, 0);
    index.extend(gap.iter().flat_map(|number| number.to_le_bytes()));
    let file = medium.file(FIRST);
    let seal = &file[file.len() - 512..];
    let sum = checksum(1, &[&seal[48..80], &seal[16..24], &index[..60], &index[64..]].concat());
    index[60..64].copy_from_slice(&sum);
    let mut files = medium.files();
    files.insert(FileName::Index(1), index);
    FaultMedium::holding(files)
}

#[test]
fn an_index_that_says_what_its_file_does_not_say_is_not_believed() {
    let medium = indexed();
    let (log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    let entries = all_entries(&log);
    let groups = record_bounds(&medium.file(FIRST)).len() as u64 - 1;
    // One group less and a number given up in its place: where, nobody could tell.
    for index in [1, 2, u64::MAX] {
        let crafted = with_gap(&medium, [index, 1, 1, 2, 2], groups - 1);
        let (log, _) = Log::open(crafted, GENESIS, salts()).expect("its file has the last word");
        assert_eq!(all_entries(&log), entries, "a gap at group {index}");
    }
}

#[test]
fn an_index_in_which_a_group_has_no_room_serves_nothing_of_it() {
    let medium = indexed();
    let (log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    let name = FileName::Index(1);
    let whole = medium.file(name);
    let number = |at: usize| u64::from_le_bytes(whole[at..at + 8].try_into().expect("eight"));
    let first = number(64);
    for room in [1, 8, 135, 143] {
        // The second group begins where the first one cannot have ended.
        medium.write_at(name, 64 + 24, &(first + room).to_le_bytes()).expect("write");
        match log.read(1) {
            Err(ReadError::Index { file: 1 }) => {}
            other => panic!("{room} bytes: expected a damaged index, found {other:?}"),
        }
    }
}
