//! The bytes are final: a pinned log, the journal hash by hand, limits.

use std::fmt::Write;
use std::path::Path;

use journal::fault::FaultMedium;
use journal::{
    AppendError, ENTRY_BYTES_MAX, Entry, EntryError, EntryKind, FileMedium, GROUP_ENTRIES_MAX, Log,
    MILLIS_MAX, MediumError, ReadError, journal_hash,
};

use crate::support::{GENESIS, START_MS, all_entries, groups, medium_with};

#[test]
fn a_log_of_two_groups_has_exactly_these_bytes() {
    let first = Entry::new(EntryKind::STREAM_OPEN, START_MS, "stream");
    let second = Entry::new(EntryKind::FRAME, START_MS, vec![1, 2, 3, 4]);
    let third = Entry::new(EntryKind::OPERATION, START_MS + 1, "");
    let bytes = medium_with(&[vec![first, second], vec![third]]).bytes();
    let hex = bytes.chunks(16).fold(String::new(), |mut text, line| {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string grows"));
        text + "\n"
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/log-v1.hex");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &hex).expect("write the vector");
    }
    assert_eq!(hex, std::fs::read_to_string(&path).expect("read the vector"));
}

#[test]
fn the_chain_hash_is_keccak256_of_five_big_endian_words() {
    // Computed by an independent keccak256 over 0x11.., 7, 100, 163, 0x22...
    let expected = "ffd21f0046f45367421585294871a7a959f43a08fc401e0e19c5d170c28784a4";
    let found = journal_hash(&[0x11; 32], 7, 100, 163, &[0x22; 32]);
    assert_eq!(found.map(|byte| format!("{byte:02x}")).concat(), expected);
}

#[test]
fn each_group_continues_the_chain_of_the_one_before() {
    let (log, _) = Log::open(medium_with(&groups(1, &[3, 1, 5], 40)), GENESIS).expect("open");
    let mut chain = GENESIS.journal_hash;
    for number in 1..=3 {
        let group = log.group(number).expect("group");
        chain = journal_hash(&chain, number, group.first, group.last, &group.digest);
        assert_eq!(chain, group.journal_hash);
    }
    assert_eq!(chain, log.head().journal_hash);
}

#[test]
fn what_is_appended_to_a_file_is_read_back_after_reopening() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("log");
    let written = groups(2, &[1, 7, 2, 30], 3_000);
    let (mut log, recovery) =
        Log::open(FileMedium::open(&path).expect("medium"), GENESIS).expect("open");
    assert!(recovery.created);
    let committed: Vec<_> = written.iter().map(|group| log.append(group).expect("ok")).collect();
    let before = log.head();
    drop(log);
    let (log, recovery) =
        Log::open(FileMedium::open(&path).expect("medium"), GENESIS).expect("open");
    assert_eq!((recovery.groups, recovery.entries, recovery.cut_bytes), (4, 40, 0));
    assert_eq!((log.head(), recovery.rewrote_last), (before, false));
    assert_eq!(all_entries(&log), written.concat());
    for (position, entry) in (1..).zip(written.concat()) {
        assert_eq!(log.read(position).expect("read"), entry);
    }
    for committed in &committed {
        let group = log.group(committed.group).expect("group");
        assert_eq!((committed.first, committed.last), (group.first, group.last));
        let lengths = group.entries.iter().map(|entry| entry.body.len() + 16);
        assert!(lengths.eq(committed.ranges.iter().map(|range| range.len())));
    }
}

#[test]
fn a_log_that_is_open_cannot_be_opened_again() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("log");
    let first = FileMedium::open(&path).expect("medium");
    assert!(matches!(FileMedium::open(&path), Err(MediumError::Locked { .. })));
    drop(first);
    FileMedium::open(&path).expect("unlocked again");
}

#[test]
fn entries_beyond_a_limit_or_out_of_order_are_refused_and_nothing_is_written() {
    let medium = medium_with(&groups(3, &[2], 10));
    let (mut log, _) = Log::open(medium.clone(), GENESIS).expect("open");
    let (before, late) = (medium.bytes(), START_MS + 9);
    let fits = Entry::new(EntryKind::FRAME, late, vec![0; 40]);
    let refused = |log: &mut Log<FaultMedium>, entries: &[Entry]| match log.append(entries) {
        Err(AppendError::Entry { source, .. }) => source,
        other => panic!("expected a refused entry, found {other:?}"),
    };
    let long = Entry::new(EntryKind::FRAME, late, vec![0; ENTRY_BYTES_MAX - 15]);
    assert!(matches!(refused(&mut log, &[long]), EntryError::TooLong { .. }));
    let full = vec![Entry::new(EntryKind::FRAME, late, vec![0; ENTRY_BYTES_MAX - 16]); 9];
    assert!(matches!(refused(&mut log, &full), EntryError::Full { bytes_left: 0, .. }));
    let many = vec![Entry::new(EntryKind::FRAME, late, ""); GROUP_ENTRIES_MAX + 1];
    assert!(matches!(refused(&mut log, &many), EntryError::Full { entries_left: 0, .. }));
    for time in [0, START_MS - 1, MILLIS_MAX + 1] {
        let entries = [fits.clone(), Entry { time, ..fits.clone() }];
        assert!(matches!(refused(&mut log, &entries), EntryError::Time { .. }));
    }
    let kind = EntryKind::from_code(8).expect("not zero");
    let unknown = Entry { kind, ..fits.clone() };
    assert_eq!(refused(&mut log, &[unknown]), EntryError::UnknownKind { found: 8 });
    assert!(matches!(log.append(&[]), Err(AppendError::Empty)));
    assert_eq!(medium.bytes(), before);
    log.append(&[fits]).expect("the log is not poisoned by a refusal");
}

#[test]
fn the_largest_group_is_committed_and_read_back() {
    let largest = vec![Entry::new(EntryKind::FRAME, START_MS, vec![7; ENTRY_BYTES_MAX - 16]); 8];
    let (log, _) = Log::open(medium_with(std::slice::from_ref(&largest)), GENESIS).expect("open");
    assert_eq!(all_entries(&log), largest);
}

#[test]
fn a_group_built_on_an_older_head_is_refused() {
    let (mut log, _) = Log::open(FaultMedium::default(), GENESIS).expect("open");
    let mut old = log.builder(START_MS);
    old.append(EntryKind::FRAME, b"late").expect("fits");
    log.append(&groups(4, &[1], 8)[0]).expect("append");
    let found = log.append_built(old);
    assert!(matches!(found, Err(AppendError::Stale { expected: 0, found: 1 })));
}

#[test]
fn positions_outside_of_the_log_are_absent() {
    let (log, _) = Log::open(medium_with(&groups(5, &[2, 2], 8)), GENESIS).expect("open");
    for position in [0, 5, u64::MAX] {
        assert!(matches!(log.read(position), Err(ReadError::Absent { last: 4, .. })));
    }
    assert!(matches!(log.group(3), Err(ReadError::Absent { what: "group", last: 2, .. })));
    assert_eq!(log.iter_from(5).count(), 0);
}

#[test]
fn debug_and_errors_show_no_body() {
    let entry = Entry::new(EntryKind::FRAME, START_MS, "secret");
    assert!(!format!("{entry:?}").contains("secret"));
}
