//! The bytes are final: a pinned log, the journal hash by hand, limits.

use std::fmt::Write;
use std::path::Path;

use journal::fault::{FaultMedium, salts};
use journal::{
    AppendError, ENTRY_BYTES_MAX, Entry, EntryError, EntryKind, FileMedium, GROUP_ENTRIES_MAX,
    Group, GroupSummary, Log, MILLIS_MAX, MediumError, ReadError, Salts, journal_hash,
};

use crate::support::{GENESIS, START_MS, all_entries, appended, groups, medium_with};

#[test]
fn a_log_of_two_files_has_exactly_these_bytes() {
    let first = Entry::new(EntryKind::STREAM_OPEN, START_MS, "stream");
    let second = Entry::new(EntryKind::FRAME, START_MS, vec![1, 2, 3, 4]);
    let third = Entry::new(EntryKind::OPERATION, START_MS + 1, "");
    let fourth = Entry::new(EntryKind::FRAME, START_MS + 2, vec![5; 40]);
    // Room for two groups before the sector of the seal.
    let medium = FaultMedium::default().with_lengths(1_024, 1_024);
    let medium = appended(medium, &[vec![first, second], vec![third], vec![fourth]]);
    let mut text = String::new();
    for (name, bytes) in medium.files() {
        writeln!(text, "{name}:").expect("a string grows");
        for line in bytes.chunks(16) {
            line.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string grows"));
            text.push('\n');
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/log-v3.hex");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("write the vector");
    }
    assert_eq!(text, std::fs::read_to_string(&path).expect("read the vector"));
}

#[test]
fn a_digest_says_nothing_to_whoever_lacks_the_salt() {
    // One log twice, with other salts: what a public file shows of equal entries differs.
    let entries = groups(6, &[1], 8).concat();
    let digest = |salt: u8| {
        let salts = Salts::new(move || Ok([salt; 32]));
        let (mut log, _) = Log::open(FaultMedium::default(), GENESIS, salts).expect("open");
        log.append(&entries).expect("append");
        let Group { digest, salt: kept, .. } = log.group(1).expect("group");
        assert_eq!(kept, [salt; 32], "the salt comes with the entries");
        digest
    };
    assert_ne!(digest(1), digest(2));
    assert_eq!(digest(1), digest(1));
}

#[test]
fn a_group_without_a_salt_is_not_written_and_the_log_goes_on() {
    let medium = FaultMedium::default();
    let mut draws = [Err(std::io::ErrorKind::Other.into()), Ok([1; 32])].into_iter();
    let source = Salts::new(move || draws.next().expect("two draws"));
    let (mut log, _) = Log::open(medium.clone(), GENESIS, source).expect("open");
    let calls = medium.calls();
    let entries = groups(7, &[1], 8).concat();
    assert!(matches!(log.append(&entries), Err(AppendError::Salt { .. })));
    assert_eq!(medium.calls(), calls, "nothing is written");
    log.append(&entries).expect("the log is not poisoned");
}

#[test]
fn the_journal_hash_is_keccak256_of_five_big_endian_words() {
    // Computed by an independent keccak256 over 0x11.., 7, 100, 163, 0x22...
    let expected = "ffd21f0046f45367421585294871a7a959f43a08fc401e0e19c5d170c28784a4";
    let group = GroupSummary { number: 7, first: 100, last: 163, digest: [0x22; 32] };
    let found = journal_hash(&[0x11; 32], &group);
    assert_eq!(found.map(|byte| format!("{byte:02x}")).concat(), expected);
}

#[test]
fn each_group_continues_the_journal_hash_of_the_one_before() {
    let (log, _) =
        Log::open(medium_with(&groups(1, &[3, 1, 5], 40)), GENESIS, salts()).expect("open");
    let mut hash = GENESIS.journal_hash;
    for number in 1..=3 {
        let Group { first, last, journal_hash: stored, digest, .. } =
            log.group(number).expect("group");
        hash = journal_hash(&hash, &GroupSummary { number, first, last, digest });
        assert_eq!(hash, stored);
    }
    assert_eq!(hash, log.head().journal_hash);
}

#[test]
fn what_is_appended_to_a_file_is_read_back_after_reopening() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("log");
    let written = groups(2, &[1, 7, 2, 30], 3_000);
    let (mut log, recovery) =
        Log::open(FileMedium::open(&path).expect("medium"), GENESIS, salts()).expect("open");
    assert!(recovery.created);
    let committed: Vec<_> = written.iter().map(|group| log.append(group).expect("ok")).collect();
    let before = log.head();
    drop(log);
    let (log, recovery) =
        Log::open(FileMedium::open(&path).expect("medium"), GENESIS, salts()).expect("open");
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
    let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    let (before, late) = (medium.files(), START_MS + 9);
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
    let kind = EntryKind::from_code(13).expect("not zero");
    let unknown = Entry { kind, ..fits.clone() };
    assert_eq!(refused(&mut log, &[unknown]), EntryError::UnknownKind { found: 13 });
    assert!(matches!(log.append(&[]), Err(AppendError::Empty)));
    assert_eq!(medium.files(), before);
    log.append(&[fits]).expect("the log is not poisoned by a refusal");
}

#[test]
fn the_largest_group_is_committed_and_read_back() {
    let largest = vec![Entry::new(EntryKind::FRAME, START_MS, vec![7; ENTRY_BYTES_MAX - 16]); 8];
    let (log, _) =
        Log::open(medium_with(std::slice::from_ref(&largest)), GENESIS, salts()).expect("open");
    assert_eq!(all_entries(&log), largest);
}

#[test]
fn a_group_built_on_an_older_head_is_refused() {
    let (mut log, _) = Log::open(FaultMedium::default(), GENESIS, salts()).expect("open");
    let mut old = log.builder(START_MS);
    old.append(EntryKind::FRAME, b"late").expect("fits");
    log.append(&groups(4, &[1], 8)[0]).expect("append");
    let found = log.append_built(old);
    assert!(matches!(found, Err(AppendError::Stale { expected: 0, found: 1 })));
}

#[test]
fn positions_outside_of_the_log_are_absent() {
    let (log, _) = Log::open(medium_with(&groups(5, &[2, 2], 8)), GENESIS, salts()).expect("open");
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
