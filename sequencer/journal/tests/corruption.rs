//! Damage is reported, never served, and never cut away as if it had been a torn write.

use journal::fault::{FaultMedium, salts};
use journal::{DurableEvidence, Entry, EntryKind, Fault, Genesis, Log, OpenError, ReadError};

use crate::support::{GENESIS, START_MS, all_entries, groups, medium_with, record_bounds};

fn open_bytes(bytes: Vec<u8>) -> Result<(Log<FaultMedium>, journal::Recovery), OpenError> {
    Log::open(FaultMedium::holding(bytes), GENESIS, salts())
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
    let bytes = medium_with(&groups(10, &[2, 1, 3], 300)).bytes();
    for at in 0..bytes.len() {
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
    let bytes = medium_with(&written).bytes();
    let last = record_bounds(&bytes)[2];
    let (mut cut, mut reported) = (0, 0);
    for at in last..bytes.len() - 8 {
        let mut damaged = bytes.clone();
        let mark = damaged.len() - 8;
        damaged[mark..].fill(0);
        damaged[at] ^= 0x40;
        match open_bytes(damaged) {
            Err(OpenError::Corrupt(found)) => {
                assert_eq!((found.group, found.offset), (3, last as u64));
                reported += 1;
            }
            Err(error) => panic!("byte {at}: {error}"),
            Ok((log, recovery)) => {
                assert_eq!(recovery.cut_bytes as usize, bytes.len() - last);
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
    let bytes = medium_with(&written).bytes();
    let bounds = record_bounds(&bytes);
    for at in bounds[1]..bounds[2] - 8 {
        let medium = FaultMedium::holding(bytes.clone());
        let (log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
        let mut byte = [0];
        journal::Medium::read_at(&medium, at as u64, &mut byte).expect("read");
        journal::Medium::write_at(&medium, at as u64, &[byte[0] ^ 0x10]).expect("write");
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
fn a_log_cut_at_any_length_yields_its_whole_groups_and_says_what_was_cut() {
    let written = groups(13, &[1, 3, 2], 150);
    let bytes = medium_with(&written).bytes();
    let bounds = record_bounds(&bytes);
    for len in 0..bytes.len() {
        let (log, recovery) = open_bytes(bytes[..len].to_vec()).expect("a prefix opens");
        // A record is whole once its padded entries are: the mark comes later.
        let whole = bounds[1..].iter().filter(|end| **end - 8 <= len).count();
        let partial_mark = whole > 0 && len < bounds[whole];
        assert_eq!(recovery.groups as usize, whole);
        assert_eq!(all_entries(&log), written[..whole].concat());
        if len >= 128 {
            let cut = if partial_mark { 0 } else { len - bounds[whole] };
            assert_eq!((recovery.cut_bytes as usize, recovery.created), (cut, false));
        }
    }
}

#[test]
fn a_lost_group_before_an_intact_one_is_corruption() {
    let bytes = medium_with(&groups(14, &[1, 2, 2], 900)).bytes();
    let bounds = record_bounds(&bytes);
    let mut damaged = bytes.clone();
    damaged[bounds[1]..bounds[2]].fill(0);
    let found = corruption(damaged);
    assert_eq!((found.group, found.offset), (2, bounds[1] as u64));
    assert_eq!(found.evidence, DurableEvidence::LaterGroup { number: 3, offset: bounds[2] as u64 });
}

#[test]
fn a_damaged_last_group_with_its_durable_mark_is_corruption() {
    let bytes = medium_with(&groups(15, &[1, 4], 900)).bytes();
    let bounds = record_bounds(&bytes);
    let mut damaged = bytes.clone();
    damaged[bounds[1]..bounds[2] - 8].fill(0);
    let offset = bounds[2] as u64 - 8;
    assert_eq!(corruption(damaged).evidence, DurableEvidence::DurableMark { offset });
}

#[test]
fn bytes_beyond_the_write_in_flight_are_corruption() {
    let mut bytes = medium_with(&groups(16, &[1], 100)).bytes();
    bytes.resize(bytes.len() + (8 << 20) + 200, 0);
    bytes.push(1);
    let offset = bytes.len() as u64 - 1;
    assert_eq!(corruption(bytes).evidence, DurableEvidence::BytesBeyond { offset });
}

#[test]
fn a_group_of_another_history_breaks_the_journal_hash() {
    // Same log id, numbers, positions and checksums; another past.
    let (ours, theirs) = (groups(17, &[2, 2], 50), groups(18, &[2, 2], 50));
    let (ours, theirs) = (medium_with(&ours).bytes(), medium_with(&theirs).bytes());
    let (a, b) = (record_bounds(&ours), record_bounds(&theirs));
    let spliced = [&ours[..a[1]], &theirs[b[1]..]].concat();
    let found = corruption(spliced);
    assert!(matches!(found.fault, Fault::Hash { field: "journal hash", .. }), "{found}");
    assert_eq!((found.group, found.evidence), (2, DurableEvidence::IntactChecksum));
}

#[test]
fn a_repeated_group_breaks_the_numbers() {
    let bytes = medium_with(&groups(19, &[2, 2], 50)).bytes();
    let bounds = record_bounds(&bytes);
    let found = corruption([&bytes[..bounds[2]], &bytes[bounds[1]..bounds[2]]].concat());
    assert_eq!(found.fault, Fault::Field { field: "group number", expected: 3, found: 2 });
}

#[test]
fn a_record_inside_a_body_cannot_pass_for_a_later_group() {
    // A gateway chooses the bytes of its frames: here a whole record of a log with another id.
    let stranger = Genesis { log_id: [1; 16], ..GENESIS };
    let medium = FaultMedium::default();
    let (mut log, _) = Log::open(medium.clone(), stranger, salts()).expect("open");
    groups(20, &[1, 1, 1, 1], 20).iter().for_each(|group| drop(log.append(group).expect("ok")));
    let foreign = medium.bytes()[128..].to_vec();
    let written = groups(21, &[1], 20);
    let mut torn = medium_with(&written);
    let (mut log, _) = Log::open(torn.clone(), GENESIS, salts()).expect("open");
    log.append(&[Entry::new(EntryKind::FRAME, START_MS + 50, foreign)]).expect("append");
    let bytes = torn.bytes();
    let start = record_bounds(&bytes)[1];
    let mut cut = bytes[..bytes.len() - 8].to_vec();
    cut[start..start + 136].fill(0);
    torn = FaultMedium::holding(cut);
    let (log, recovery) = Log::open(torn, GENESIS, salts()).expect("a torn tail opens");
    assert_eq!((all_entries(&log), recovery.groups), (written.concat(), 1));
}

#[test]
fn another_genesis_and_foreign_files_are_refused_and_left_alone() {
    let bytes = medium_with(&groups(22, &[1], 20)).bytes();
    let medium = FaultMedium::holding(bytes.clone());
    let other = Genesis { journal_hash: [9; 32], ..GENESIS };
    assert!(matches!(Log::open(medium.clone(), other, salts()), Err(OpenError::Genesis { .. })));
    assert_eq!(medium.bytes(), bytes);
    for foreign in [&b"x"[..], b"[journal]\nfile = 1\n", &[0x55; 4096], &[0; 4096]] {
        let medium = FaultMedium::holding(foreign.to_vec());
        let found = Log::open(medium.clone(), GENESIS, salts());
        assert!(matches!(found, Err(OpenError::NotALog { .. })));
        assert_eq!(medium.bytes(), foreign);
    }
}
