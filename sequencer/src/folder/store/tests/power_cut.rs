//! The power is cut while the database writes rows, at any call; and any of its bytes is another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::{io, panic};

use journal::fault::{Cut, FaultDisk};
use redb::{Database, StorageBackend};

use super::*;

/// Rows of the script.
const ROWS: u64 = 12;
/// Images of each call; by command as many as somebody has time for.
fn seeds() -> u64 {
    std::env::var("VITALS_POWER_CUT_SEEDS").map_or(5, |seeds| seeds.parse().unwrap())
}

/// The file of a database on a disk that can lose power.
#[derive(Clone, Debug)]
struct Faulty(FaultDisk<()>);

impl Faulty {
    /// An empty database. One whose making was cut off is refused, and has nothing in it.
    fn begun(folder: &tempfile::TempDir) -> Faulty {
        let file = Faulty(FaultDisk::holding([((), Vec::new())].into()));
        drop(open(&file, folder).unwrap());
        file.copy()
    }

    /// Another one with the same content, all of it durable.
    fn copy(&self) -> Faulty {
        Faulty(FaultDisk::holding(self.0.files()))
    }

    fn after_power_cut(&self, cut: Cut, seed: u64) -> Faulty {
        Faulty(self.0.after_power_cut(cut, seed))
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.0.len(&())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(&(), offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(&(), len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync(&())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(&(), offset, data)
    }
}

fn open(file: &Faulty, folder: &tempfile::TempDir) -> Result<Store, StoreError> {
    let mut builder = Database::builder();
    // Small, so that what is not in it is read.
    builder.set_cache_size(64 << 10);
    let database = builder.create_with_backend(file.clone()).map_err(StoreError::of_opening)?;
    Store::on(database, folder.path())
}

/// The row of a nonce: longer with each, so that pages are split.
fn signed(nonce: u64, state: OutboxState) -> OutboxRow {
    OutboxRow { signed: vec![nonce as u8; 300 * nonce as usize], ..row(nonce, nonce, state) }
}

const MINED: OutboxState = OutboxState::Mined { hash: [8; 32], block: 9, block_hash: [10; 32] };

/// Puts rows, every other one twice; gives what was acknowledged.
fn run(file: &Faulty, folder: &tempfile::TempDir) -> BTreeMap<u64, OutboxRow> {
    let mut acknowledged = BTreeMap::new();
    let Ok(store) = open(file, folder) else { return acknowledged };
    go_on(&store, &mut acknowledged);
    acknowledged
}

/// Goes on behind what was acknowledged, until the power fails.
fn go_on(store: &Store, acknowledged: &mut BTreeMap<u64, OutboxRow>) {
    for nonce in 1..=ROWS {
        let built = signed(nonce, OutboxState::Built);
        if let Entry::Vacant(vacant) = acknowledged.entry(nonce) {
            // Durable, and the power failed before anybody was told.
            let known = store.outbox(nonce).ok().flatten();
            if known.is_none() && store.outbox_put(nonce, &built, &[]).is_err() {
                return;
            }
            vacant.insert(known.unwrap_or(built));
        }
        let mined = signed(nonce, MINED);
        if nonce % 2 == 0 {
            if store.outbox_update(nonce, &mined, &[]).is_err() {
                return;
            }
            acknowledged.insert(nonce, mined);
        }
    }
}

/// All that was acknowledged is there, in the state that it had or in the one that was under way.
fn check(store: &Store, acknowledged: &BTreeMap<u64, OutboxRow>, of: &str) {
    for (nonce, row) in acknowledged {
        let found = store.outbox(*nonce).unwrap_or_else(|error| panic!("{of}: {error}"));
        let found = found.unwrap_or_else(|| panic!("{of}: nonce {nonce} is lost"));
        let next = signed(*nonce, MINED);
        assert!(found == *row || found == next, "{of}: nonce {nonce} is another row");
    }
    let last = acknowledged.keys().next_back().map_or(1, |last| last + 1);
    for nonce in last + 1..=ROWS {
        assert_eq!(store.outbox(nonce).unwrap(), None, "{of}: nobody wrote that one");
    }
}

#[test]
fn what_was_acknowledged_outlives_a_power_cut_at_any_call_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, mut images) = (Faulty::begun(&folder), 0);
    let file = begun.copy();
    assert_eq!(run(&file, &folder).len() as u64, ROWS);
    let calls = file.0.power().calls();
    for call in 1..=calls {
        let file = begun.copy();
        file.0.power().off_at(call);
        let acknowledged = run(&file, &folder);
        for seed in 0..seeds() {
            let cut = Cut::ALL[((call + seed) % 5) as usize];
            let of = format!("call {call} of {calls}, {cut:?}, seed {seed}");
            let mut image = file.after_power_cut(cut, call * 1_000 + seed);
            let mut known = acknowledged.clone();
            if images % 3 == 0 {
                // Once more, while it is opened or goes on.
                image.0.power().off_at(1 + images % 40);
                if let Ok(store) = open(&image, &folder) {
                    go_on(&store, &mut known);
                }
                image = image.after_power_cut(Cut::ALL[(images / 3 % 5) as usize], images);
            }
            let store = open(&image, &folder).unwrap_or_else(|error| panic!("{of}: {error}"));
            check(&store, &known, &of);
            images += 1;
        }
    }
    println!("{calls} calls, {images} images");
}

#[test]
fn any_call_of_the_database_may_fail_and_nothing_that_was_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Faulty::begun(&folder);
    let file = begun.copy();
    run(&file, &folder);
    for call in 1..=file.0.power().calls() {
        let file = begun.copy();
        file.0.power().fail_at(call);
        let mut acknowledged = run(&file, &folder);
        let of = format!("call {call}");
        let store = open(&file, &folder).unwrap_or_else(|error| panic!("{of}: {error}"));
        check(&store, &acknowledged, &of);
        go_on(&store, &mut acknowledged);
        drop(store);
        let store = open(&file.after_power_cut(Cut::Drop, 0), &folder).unwrap();
        check(&store, &acknowledged, &of);
    }
}

#[test]
fn whatever_byte_of_the_database_is_another_no_other_row_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = Faulty::begun(&folder);
    let written = run(&file, &folder);
    let bytes = file.0.read(&()).unwrap();
    let filled = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at);
    let (mut whole, mut reported, mut panicked) = (0, 0, 0);
    // A prime apart: every page is met at other places.
    for at in filled.step_by(53) {
        let damaged = file.after_power_cut(Cut::Keep, 0);
        damaged.0.flip(&(), at).unwrap();
        // The database may panic over pages that make no sense: the stage says so and ends.
        let looked = panic::catch_unwind(|| {
            let store = open(&damaged, &folder)?;
            (1..=ROWS).map(|nonce| store.outbox(nonce)).collect::<Result<Vec<_>, _>>()
        });
        match looked {
            Ok(Ok(rows)) => {
                whole += 1;
                for (nonce, found) in (1..).zip(rows) {
                    // A row that cannot be found any more is another matter than another row.
                    assert!(found.is_none() || found.as_ref() == written.get(&nonce), "byte {at}");
                }
            }
            Ok(Err(_)) => reported += 1,
            Err(_) => panicked += 1,
        }
    }
    println!("{whole} without effect, {reported} reported, {panicked} panics");
    assert!(whole > 0 && reported > 0);
}
