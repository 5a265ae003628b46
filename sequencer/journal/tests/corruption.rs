//! Damage is reported, never served, and never cut away as if it had been a torn write.

use journal::fault::{FaultMedium, salts};
use journal::{
    DurableEvidence, Entry, EntryKind, Fault, FileFault, Genesis, Log, OpenError, ReadError,
};

use crate::support::{
    FIRST, GENESIS, START_MS, all_entries, appended, groups, holding, medium_with, record_bounds,
};

fn open_bytes(bytes: Vec<u8>) -> Result<(Log<FaultMedium>, journal::Recovery), OpenError> {
    Log::open(holding(bytes), GENESIS, salts())
}

fn corruption(bytes: Vec<u8>) -> journal::Corruption {
    match open_bytes(bytes) {
        Err(OpenError::Corrupt(corruption)) => *corruption,
        Err(error) => panic!("expected corruption, found {error}"),
        Ok((_, recovery)) => panic!("expected corruption, found {recovery:?}"),
    }
}

#[test]
fn every_flipped_byte_of_a_durable_log_is_reported() {
    let bytes = medium_with(&groups(10, &[2, 1, 3], 300)).file(FIRST);
    // Behind them is room for the next group, where a torn one looks like this.
    for at in 0..*record_bounds(&bytes).last().expect("an end") {
        for mask in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= mask;
            assert!(open_bytes(damaged).is_err(), "byte {at} flipped by {mask:02x} went unnoticed");
        }
    }
}

#[test]
fn a_flipped_byte_of_a_last_group_without_mark_is_reported_or_the_group_is_cut() {
    // Long zero bodies: their sectors look as if they had never been written.
    let mut written = groups(11, &[2, 1], 300);
    written.push(vec![Entry::new(EntryKind::FRAME, START_MS + 100, vec![0; 1_500])]);
    let bytes = medium_with(&written).file(FIRST);
    let bounds = record_bounds(&bytes);
    let (last, mark) = (bounds[2], bounds[3] - 8);
    let (mut cut, mut reported) = (0, 0);
    for at in last..mark {
        let mut damaged = bytes.clone();
        damaged[mark..mark + 8].fill(0);
        damaged[at] ^= 0x40;
        match open_bytes(damaged) {
            Err(OpenError::Corrupt(found)) => {
                assert_eq!((found.group, found.offset), (3, last as u64));
                reported += 1;
            }
            Err(error) => panic!("byte {at}: {error}"),
            Ok((log, recovery)) => {
                // Up to the last byte that is not zero.
                assert!((1..=mark - last).contains(&(recovery.cut_bytes as usize)));
                assert_eq!(all_entries(&log), written[..2].concat());
                cut += 1;
            }
        }
    }
    assert!(reported >= 136, "damage in the header is always told from tearing: {reported}");
    assert!(cut > 0, "a missing sector and a zero body look alike");
}

#[test]
fn a_damaged_group_is_never_served_and_the_others_are() {
    let written = groups(12, &[2, 2, 2], 200);
    let bytes = medium_with(&written).file(FIRST);
    let bounds = record_bounds(&bytes);
    for at in bounds[1]..bounds[2] - 8 {
        let medium = holding(bytes.clone());
        let (log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
        let byte = bytes[at] ^ 0x10;
        journal::Medium::write_at(&medium, FIRST, at as u64, &[byte]).expect("write");
        for position in [3, 4] {
            match log.read(position) {
                Err(ReadError::Corrupt(found)) => {
                    assert_eq!((found.group, found.evidence), (2, DurableEvidence::Committed));
                }
                other => panic!("byte {at}: expected corruption, found {other:?}"),
            }
        }
        for position in [1, 2, 5, 6] {
            let expected = &written.concat()[position as usize - 1];
            assert_eq!(&log.read(position).expect("undamaged"), expected);
        }
        let served: Vec<_> = log.iter_from(1).collect();
        assert_eq!(served.len(), 3, "two entries, then the error, then nothing");
        assert!(served[2].is_err());
    }
}

#[test]
fn a_file_that_is_shorter_than_it_was_made_is_named() {
    // Power cannot do this: a file has its length before it has a header.
    let bytes = medium_with(&groups(13, &[1, 3, 2], 150)).file(FIRST);
    for found in 1..bytes.len() {
        let expected = if found < 128 { 128 } else { bytes.len() as u64 };
        let fault = FileFault::Short { expected, found: found as u64 };
        match open_bytes(bytes[..found].to_vec()) {
            Err(OpenError::File { file: 1, fault: named }) => assert_eq!(named, fault),
            other => panic!("expected {fault}, found {other:?}"),
        }
    }
}

#[test]
fn a_lost_group_before_an_intact_one_is_corruption() {
    let bytes = medium_with(&groups(14, &[1, 2, 2], 900)).file(FIRST);
    let bounds = record_bounds(&bytes);
    let mut damaged = bytes.clone();
    damaged[bounds[1]..bounds[2]].fill(0);
    let found = corruption(damaged);
    assert_eq!((found.group, found.offset), (2, bounds[1] as u64));
    assert_eq!(found.evidence, DurableEvidence::LaterGroup { number: 3, offset: bounds[2] as u64 });
}

#[test]
fn a_damaged_last_group_with_its_durable_mark_is_corruption() {
    let bytes = medium_with(&groups(15, &[1, 4], 900)).file(FIRST);
    let bounds = record_bounds(&bytes);
    let mut damaged = bytes.clone();
    damaged[bounds[1]..bounds[2] - 8].fill(0);
    let offset = bounds[2] as u64 - 8;
    assert_eq!(corruption(damaged).evidence, DurableEvidence::DurableMark { offset });
}

#[test]
fn bytes_beyond_the_write_in_flight_are_corruption() {
    let medium = FaultMedium::default().with_lengths(9 << 20, 9 << 20);
    let mut bytes = appended(medium, &groups(16, &[1], 100)).file(FIRST);
    let offset = bytes.len() as u64 - 1;
    bytes[offset as usize] = 1;
    assert_eq!(corruption(bytes).evidence, DurableEvidence::BytesBeyond { offset });
}

#[test]
fn a_group_of_another_history_breaks_the_journal_hash() {
    // Same log id, numbers, positions and checksums; another past.
    let (ours, theirs) = (groups(17, &[2, 2], 50), groups(18, &[2, 2], 50));
    let (ours, theirs) = (medium_with(&ours).file(FIRST), medium_with(&theirs).file(FIRST));
    let (a, b) = (record_bounds(&ours), record_bounds(&theirs));
    let mut spliced = [&ours[..a[1]], &theirs[b[1]..b[2]]].concat();
    spliced.resize(ours.len(), 0);
    let found = corruption(spliced);
    assert!(matches!(found.fault, Fault::Hash { field: "journal hash", .. }), "{found}");
    assert_eq!((found.group, found.evidence), (2, DurableEvidence::IntactChecksum));
}

#[test]
fn a_repeated_group_breaks_the_numbers() {
    let bytes = medium_with(&groups(19, &[2, 2], 50)).file(FIRST);
    let bounds = record_bounds(&bytes);
    let mut repeated = [&bytes[..bounds[2]], &bytes[bounds[1]..bounds[2]]].concat();
    repeated.resize(repeated.len().max(bytes.len()), 0);
    let found = corruption(repeated);
    assert_eq!(found.fault, Fault::Field { field: "group number", expected: 3, found: 2 });
}

#[test]
fn a_record_inside_a_body_cannot_pass_for_a_later_group() {
    // A gateway chooses the bytes of its frames: here a whole record of a log with another id.
    let stranger = Genesis { log_id: [1; 16], ..GENESIS };
    let medium = FaultMedium::default();
    let (mut log, _) = Log::open(medium.clone(), stranger, salts()).expect("open");
    groups(20, &[1, 1, 1, 1], 20).iter().for_each(|group| drop(log.append(group).expect("ok")));
    let foreign = medium.file(FIRST);
    let foreign = foreign[128..*record_bounds(&foreign).last().expect("an end")].to_vec();
    let written = groups(21, &[1], 20);
    let torn = appended(FaultMedium::default(), &written);
    let (mut log, _) = Log::open(torn.clone(), GENESIS, salts()).expect("open");
    log.append(&[Entry::new(EntryKind::FRAME, START_MS + 50, foreign)]).expect("append");
    let bytes = torn.file(FIRST);
    let bounds = record_bounds(&bytes);
    let (start, mark) = (bounds[1], bounds[2] - 8);
    let mut cut = bytes;
    // As if the sector of its header were not on the disk, nor its mark.
    cut[start..start + 136].fill(0);
    cut[mark..mark + 8].fill(0);
    let (log, recovery) = Log::open(holding(cut), GENESIS, salts()).expect("a torn tail opens");
    assert_eq!((all_entries(&log), recovery.groups), (written.concat(), 1));
}

#[test]
fn another_genesis_and_foreign_files_are_refused_and_left_alone() {
    let bytes = medium_with(&groups(22, &[1], 20)).file(FIRST);
    let medium = holding(bytes.clone());
    let other = Genesis { journal_hash: [9; 32], ..GENESIS };
    assert!(matches!(Log::open(medium.clone(), other, salts()), Err(OpenError::Genesis { .. })));
    assert_eq!(medium.file(FIRST), bytes);
    for foreign in [&b"x"[..], b"[journal]\nfile = 1\n", &[0x55; 4096]] {
        let medium = holding(foreign.to_vec());
        let found = Log::open(medium.clone(), GENESIS, salts());
        let Err(OpenError::File { file: 1, fault: FileFault::NotALog { .. } }) = found else {
            panic!("expected no log, found {found:?}");
        };
        assert_eq!(medium.file(FIRST), foreign);
    }
}
