//! Numbers that were given up after a loss: who goes on beyond them, and what is read over them.

use journal::fault::{FaultMedium, salts};
use journal::{
    Entry, EntryKind, Fault, GivenUp, JUMPS_MAX, JumpError, Log, OpenError, Place, ReadError,
};

use crate::support::{
    FIRST, GENESIS, START_MS, appended, checksum, groups, holding, record_bounds,
};

const BEYOND: Place = Place { group: 1_000, position: 5_000 };

/// A log of two groups with two entries each, one that continues at [`BEYOND`], and one more; in
/// files of so many bytes.
fn medium_with_gap(file_bytes: u64) -> FaultMedium {
    let medium = FaultMedium::default().with_lengths(file_bytes, file_bytes);
    let medium = appended(medium, &groups(30, &[2, 2], 20));
    let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    let mut group = log.builder_beyond(START_MS + 50, BEYOND).expect("beyond the head");
    assert_eq!((group.number(), group.next_position()), (1_000, 5_000));
    group.append(EntryKind::GAP, b"lost").expect("fits");
    group.append(EntryKind::FRAME, b"first").expect("fits");
    let committed = log.append_built(group).expect("append");
    assert_eq!((committed.group, committed.first, committed.last), (1_000, 5_000, 5_001));
    log.append(&[Entry::new(EntryKind::FRAME, START_MS + 60, "next")]).expect("append");
    medium
}

#[test]
fn a_log_goes_on_beyond_what_was_given_up_and_reads_over_it() {
    // In one file, and with each group in one of its own.
    for file_bytes in [1 << 16, 512] {
        let medium = medium_with_gap(file_bytes);
        check_reads_over_the_gap(medium.clone());
        // By the indexes of the files that were left.
        let (log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
        log.make_ahead().expect("indexes are written");
        check_reads_over_the_gap(medium);
    }
}

fn check_reads_over_the_gap(medium: FaultMedium) {
    let (log, recovery) = Log::open(medium, GENESIS, salts()).expect("open");
    assert_eq!((recovery.groups, recovery.entries), (4, 7));
    let head = log.head();
    assert_eq!((head.group, head.position), (1_001, 5_002));
    let reader = log.reader();
    let gap = GivenUp { from: Place { group: 3, position: 5 }, until: BEYOND };
    assert_eq!(reader.given_up(), [gap]);
    // Entries follow each other over the gap, from any position before, in or behind it.
    let positions = |from| -> Vec<u64> {
        log.iter_from(from).map(|found| found.expect("readable").0).collect()
    };
    assert_eq!(positions(1), [1, 2, 3, 4, 5_000, 5_001, 5_002]);
    assert_eq!(positions(77), [5_000, 5_001, 5_002]);
    assert_eq!(positions(5_002), [5_002]);
    // So do groups.
    let mut numbers = vec![];
    while let Some(next) = reader.group_after(numbers.last().copied().unwrap_or(0)) {
        numbers.push(next);
    }
    assert_eq!(numbers, [1, 2, 1_000, 1_001]);
    assert_eq!(reader.group_after(500), Some(1_000));
    for number in numbers {
        let group = log.group(number).expect("readable");
        assert_eq!(group.given_up_before, number == 1_000);
        for position in group.first..=group.last {
            assert_eq!(reader.group_of(position).expect("present"), number);
        }
    }
}

#[test]
fn a_number_that_was_given_up_is_named_as_such() {
    let (log, _) = Log::open(medium_with_gap(1 << 16), GENESIS, salts()).expect("open");
    for found in [3, 999] {
        let error = log.group(found).expect_err("given up");
        let (what, first, last) = ("group", 3, 999);
        assert!(
            matches!(error, ReadError::GivenUp { what: w, first: f, last: l, found: n }
                if (w, f, l, n) == (what, first, last, found)),
            "{error}"
        );
    }
    for position in [5, 4_999] {
        let error = log.read(position).expect_err("given up");
        assert!(matches!(error, ReadError::GivenUp { first: 5, last: 4_999, .. }), "{error}");
    }
    assert!(matches!(log.read(5_003), Err(ReadError::Absent { .. })));
}

#[test]
fn a_jump_goes_forwards_in_groups_and_positions_and_all_jumps_stay_below_2_to_the_28() {
    let medium = medium_with_gap(1 << 16);
    let (mut log, _) = Log::open(medium, GENESIS, salts()).expect("open");
    let next = Place { group: 1_002, position: 5_003 };
    // What is left: 997 groups and 4,995 positions were given up already.
    let (groups_left, positions_left) = (JUMPS_MAX - 997, JUMPS_MAX - 4_995);
    for found in [
        next,
        Place { group: next.group + 1, ..next },
        Place { position: next.position + 1, ..next },
        Place { group: 7, position: next.position + 1 },
        Place { group: next.group + groups_left + 1, position: next.position + 1 },
        Place { group: next.group + 1, position: next.position + positions_left + 1 },
        Place { group: u64::MAX, position: u64::MAX },
    ] {
        let refused = log.builder_beyond(START_MS + 70, found).expect_err("no such jump");
        assert_eq!(refused, JumpError { next, groups_left, positions_left, found });
    }
    let last = Place { group: next.group + groups_left, position: next.position + positions_left };
    let mut group = log.builder_beyond(START_MS + 70, last).expect("all that is left");
    group.append(EntryKind::GAP, b"lost").expect("fits");
    log.append_built(group).expect("append");
    let further = Place { group: last.group + 2, position: last.position + 2 };
    assert!(log.builder_beyond(START_MS + 80, further).is_err(), "nothing is left");
}

#[test]
fn a_jump_without_its_flag_or_a_flag_without_a_jump_is_corruption() {
    let seal = |bytes: &mut [u8], at: usize| {
        let crc = checksum(1, &bytes[at..at + 132]);
        bytes[at + 132..at + 136].copy_from_slice(&crc);
    };
    let fault = |bytes: Vec<u8>| match Log::open(holding(bytes), GENESIS, salts()) {
        Err(OpenError::Corrupt(found)) => found.fault,
        other => panic!("expected corruption, found {other:?}"),
    };
    let bytes = medium_with_gap(1 << 16).file(FIRST);
    let bounds = record_bounds(&bytes);
    let mut without_flag = bytes.clone();
    without_flag[bounds[2] + 6] = 0;
    seal(&mut without_flag, bounds[2]);
    let expected = Fault::Field { field: "group number", expected: 3, found: 1_000 };
    assert_eq!(fault(without_flag), expected);
    let mut without_jump = bytes;
    without_jump[bounds[3] + 6] = 1;
    seal(&mut without_jump, bounds[3]);
    let expected = Fault::Field { field: "group number", expected: 1_002, found: 1_001 };
    assert_eq!(fault(without_jump), expected);
}
