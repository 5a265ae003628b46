//! What the tests share: one genesis, seeded entries, and the comparison with what must survive.

use journal::fault::{FaultMedium, salts};
use journal::{Entry, EntryKind, FileName, Genesis, Log, Medium, Position};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// 2026-01-01T00:00:00Z.
pub(crate) const START_MS: u64 = 3_976_214_400_000;

pub(crate) const GENESIS: Genesis = Genesis { log_id: [0xa5; 16], journal_hash: [0x11; 32] };

/// Groups of entries with times that do not decrease; bodies of up to `body_max` bytes.
pub(crate) fn groups(seed: u64, sizes: &[usize], body_max: u32) -> Vec<Vec<Entry>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut time = START_MS;
    let mut entry = |_| {
        time += u64::from(rng.next_u32() % 3);
        let mut body = vec![0; (rng.next_u32() % (body_max + 1)) as usize];
        rng.fill_bytes(&mut body);
        let kind = EntryKind::from_code(1 + (rng.next_u32() % 9) as u8).expect("not zero");
        Entry { kind, time, body: body.into() }
    };
    sizes.iter().map(|size| (0..*size).map(&mut entry).collect()).collect()
}

/// The first file.
pub(crate) const FIRST: FileName = FileName::Log(1);

/// A medium that holds these groups in one file, and not much else.
pub(crate) fn medium_with(groups: &[Vec<Entry>]) -> FaultMedium {
    let record = |group: &Vec<Entry>| {
        let bytes: usize = group.iter().map(|entry| 16 + entry.body.len()).sum();
        136 + bytes.next_multiple_of(8) + 8
    };
    let bytes: usize = 128 + groups.iter().map(record).sum::<usize>();
    let length = (bytes.next_multiple_of(512) + 1_024) as u64;
    appended(FaultMedium::default().with_lengths(length, length), groups)
}

/// The medium with these groups appended.
pub(crate) fn appended(medium: FaultMedium, groups: &[Vec<Entry>]) -> FaultMedium {
    let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("the log opens");
    for group in groups {
        log.append(group).expect("append");
    }
    medium
}

/// A medium with one file.
pub(crate) fn holding(bytes: Vec<u8>) -> FaultMedium {
    FaultMedium::holding([(FIRST, bytes)].into())
}

/// A checksum as the file with this number has it.
pub(crate) fn checksum(file: u64, bytes: &[u8]) -> [u8; 4] {
    let seed = crc32c::crc32c(&[&GENESIS.log_id[..], &file.to_le_bytes()].concat());
    crc32c::crc32c_append(seed, bytes).to_le_bytes()
}

pub(crate) fn all_entries<M: Medium>(log: &Log<M>) -> Vec<Entry> {
    let mut next: Position = 1;
    log.iter_from(1)
        .map(|item| {
            let (position, entry) = item.expect("a committed entry is readable");
            assert_eq!(position, next, "positions have no gap");
            next += 1;
            entry
        })
        .collect()
}

/// The offset of each record of a file, and where they end.
pub(crate) fn record_bounds(bytes: &[u8]) -> Vec<usize> {
    let (mut bounds, mut at) = (vec![128], 128);
    while let Some(header) = bytes.get(at..at + 136).filter(|header| header.starts_with(b"VGRP")) {
        let body = u32::from_le_bytes(header[28..32].try_into().expect("four bytes")) as usize;
        at += 136 + body.next_multiple_of(8) + 8;
        bounds.push(at);
    }
    bounds
}

/// A pinned file of bytes in hex.
pub(crate) fn vector(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("hex digits")
    };
    digits.chunks(2).map(byte).collect()
}
