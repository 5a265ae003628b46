//! What the tests share: one genesis, seeded entries, and the comparison with what must survive.

use journal::fault::{FaultMedium, salts};
use journal::{Entry, EntryKind, Genesis, Log, Medium, Position};
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

/// A medium that holds these groups.
pub(crate) fn medium_with(groups: &[Vec<Entry>]) -> FaultMedium {
    let medium = FaultMedium::default();
    let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("a new log opens");
    for group in groups {
        log.append(group).expect("append");
    }
    medium
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

/// The offset of each record of a log, and its end.
pub(crate) fn record_bounds(bytes: &[u8]) -> Vec<usize> {
    let mut bounds = vec![128];
    while let Some(header) = bytes.get(bounds[bounds.len() - 1]..).and_then(|b| b.get(..136)) {
        let body = u32::from_le_bytes(header[28..32].try_into().expect("four bytes")) as usize;
        bounds.push(bounds[bounds.len() - 1] + 136 + body.next_multiple_of(8) + 8);
    }
    bounds
}
