mod full_disk;
mod power_cut;

use std::fs;

use model::{BatchHeader, BatchNumber, ChainScope, Millis, Window, Word};
use statement::batch::PrivateFile;
use statement::scope::header_hash;

use super::database::{BATCHES, META};
use super::error::db;
use super::*;
use crate::window::Assembled;

#[allow(dead_code, reason = "each crate's tests need a part of it")]
#[path = "../../../../circuits/statement/src/batch/small.rs"]
mod small;

/// A batch in whose window nothing happened.
pub(crate) fn empty_batch(
    number: u64,
    previous: [u8; 32],
    root: Word,
    window: Window,
) -> Assembled {
    let private = PrivateFile::default();
    let header = BatchHeader {
        previous,
        window,
        root_in: root,
        root_out: root,
        ciphertext_length: private.to_bytes().len() as u64,
        ..small::header(number)
    };
    let public = small::public_file(header, vec![]);
    Assembled { public, private }
}

fn millis(n: u64) -> Millis {
    Millis::new(n).unwrap()
}

/// Batches 1 to `count`, a second each.
fn chain(count: u64) -> Vec<Assembled> {
    let mut previous = [0; 32];
    let next = |number| {
        let window = Window::new(millis(1000 * number), millis(1000 * number + 1000)).unwrap();
        let batch = empty_batch(number, previous, Word::from_u64(7), window);
        previous = header_hash(&batch.public.header);
        batch
    };
    (1..=count).map(next).collect()
}

fn filled(count: u64) -> (tempfile::TempDir, Store, Vec<Assembled>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let batches = chain(count);
    for batch in &batches {
        assert_eq!(store.save_batch(batch, millis(5)).unwrap(), Saved::New);
    }
    (folder, store, batches)
}

/// Replaces the bytes of a batch's row; gives back what was there.
pub(crate) fn exchange_row(store: &Store, number: u64, bytes: &[u8]) -> Vec<u8> {
    let exchange = |tx: &redb::WriteTransaction| {
        let mut table = tx.open_table(BATCHES).map_err(db)?;
        let before = table.insert(number, bytes).map_err(db)?;
        Ok(before.unwrap().value().to_vec())
    };
    store.write(exchange).unwrap()
}

fn row(first: u64, last: u64, state: OutboxState) -> OutboxRow {
    OutboxRow { first, last, hash: [9; 32], signed: vec![1], replaced: vec![], state }
}

#[test]
fn a_copy_holds_the_rows_of_one_moment_and_is_a_store() {
    let (folder, store, batches) = filled(2);
    let scope = ChainScope { chain_id: 31_337, contract: [8; 20] };
    store.bind(scope).unwrap();
    store.outbox_put(7, &row(1, 2, OutboxState::Built), &[]).unwrap();
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join(Store::DATABASE);
    fs::write(&path, b"what an earlier copy left").unwrap();
    store.copy_to(&path).unwrap();
    store.mark_settled(&[(BatchNumber(1), Some(SETTLED))]).unwrap();

    let copy = Store::open(other.path()).unwrap();
    copy.bind(scope).unwrap();
    assert_eq!(copy.last_settled().unwrap(), BatchNumber(0), "not what came later");
    assert_eq!(copy.outbox(7).unwrap(), Some(row(1, 2, OutboxState::Built)));
    for number in [1, 2].map(BatchNumber) {
        let found = copy.batch(number).unwrap().unwrap();
        let files = Store::files_of(number, &found);
        for FileOfBatch { name, digest } in files {
            assert_eq!(FileDigest::of(&fs::read(folder.path().join(name)).unwrap()), digest);
        }
    }
    assert_eq!(batches.len(), 2);
}

const SETTLED: Settled = Settled { transaction: [3; 32], block: 4, lateness_ms: 5, gas: 6 };

#[test]
fn what_was_saved_is_there_after_opening_anew() {
    let (folder, store, batches) = filled(3);
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    for batch in &batches {
        let number = batch.public.header.number;
        assert_eq!(store.public_bytes(number).unwrap(), Some(batch.public.to_bytes()));
        assert_eq!(store.private_bytes(number).unwrap(), Some(batch.private.to_bytes()));
        let row = store.batch(number).unwrap().unwrap();
        assert_eq!(row.header_hash, header_hash(&batch.public.header));
        assert_eq!((row.t1, row.settled), (batch.public.header.window.t1(), None));
    }
    assert_eq!(store.last_assembled().unwrap().unwrap().0, BatchNumber(3));
    let two = store.assembled_from(BatchNumber(2), 1).unwrap();
    assert_eq!(two.iter().map(|(number, _)| number.0).collect::<Vec<_>>(), [2]);
    assert_eq!(store.public_bytes(BatchNumber(4)).unwrap(), None);
}

#[test]
fn saving_the_same_bytes_again_changes_nothing_and_other_bytes_are_a_conflict() {
    let (_folder, store, batches) = filled(2);
    assert_eq!(store.save_batch(&batches[0], millis(99)).unwrap(), Saved::Known);
    assert_eq!(store.batch(BatchNumber(1)).unwrap().unwrap().assembled_at, millis(5));
    let mut other = batches[0].clone();
    other.public.header.journal_hash = [8; 32];
    let found = store.save_batch(&other, millis(5));
    assert!(matches!(found, Err(StoreError::Conflict { number: 1 })));
    assert_eq!(store.public_bytes(BatchNumber(1)).unwrap(), Some(batches[0].public.to_bytes()));
}

#[test]
fn a_batch_that_does_not_follow_is_refused() {
    let (_folder, store, _) = filled(1);
    let batches = chain(3);
    let found = store.save_batch(&batches[2], millis(5));
    assert!(matches!(found, Err(StoreError::OutOfOrder { expected: 2, found: 3 })));
    let mut other = batches[1].clone();
    other.public.header.previous = [8; 32];
    let found = store.save_batch(&other, millis(5));
    assert!(matches!(found, Err(StoreError::OtherPredecessor { number: 2 })));
}

#[test]
fn files_without_a_row_are_of_a_crash_and_are_written_anew() {
    let (folder, store, batches) = filled(1);
    let left = folder.path().join("batches/000002");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("public.bin"), b"torn").unwrap();
    fs::write(left.join("private.bin.new"), b"torn").unwrap();
    assert_eq!(store.public_bytes(BatchNumber(2)).unwrap(), None);
    let next = &chain(2)[1];
    assert_eq!(next.public.header.previous, header_hash(&batches[0].public.header));
    assert_eq!(store.save_batch(next, millis(5)).unwrap(), Saved::New);
    assert_eq!(store.public_bytes(BatchNumber(2)).unwrap(), Some(next.public.to_bytes()));
}

#[test]
fn a_file_that_changed_shrank_or_went_away_is_reported_and_never_served() {
    let (folder, store, batches) = filled(1);
    let path = folder.path().join("batches/000001/public.bin");
    let good = batches[0].public.to_bytes();
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    for bytes in [&flipped[..], &good[1..], &[]] {
        fs::write(&path, bytes).unwrap();
        let found = store.public_bytes(BatchNumber(1));
        assert!(matches!(found, Err(StoreError::Corrupt { key: 1, .. })));
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(store.public_bytes(BatchNumber(1)), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_damaged_row_is_reported() {
    let (_folder, store, _) = filled(1);
    exchange_row(&store, 1, &[1, 2, 3]);
    let found = store.public_bytes(BatchNumber(1));
    assert!(matches!(found, Err(StoreError::Row { what: "batches", key: 1, .. })));
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let (folder, store, _) = filled(1);
    store
        .write(|tx| {
            let mut meta = tx.open_table(META).map_err(db)?;
            meta.insert("format", 2u64.to_be_bytes().as_slice()).map_err(db)?;
            Ok(())
        })
        .unwrap();
    drop(store);
    let found = Store::open(folder.path());
    assert!(matches!(found, Err(StoreError::Format { expected: 1, found: 2 })));
}

#[test]
fn a_store_has_one_user_and_one_contract() {
    let (folder, store, _) = filled(0);
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Busy)));
    let scope = ChainScope { chain_id: 1, contract: [2; 20] };
    store.bind(scope).unwrap();
    store.bind(scope).unwrap();
    let other = ChainScope { chain_id: 2, contract: [2; 20] };
    assert!(matches!(store.bind(other), Err(StoreError::Scope { .. })));
}

#[test]
fn settling_is_recorded_with_the_transaction_or_not_at_all() {
    let (_folder, store, _) = filled(3);
    assert_eq!(store.last_settled().unwrap(), BatchNumber(0));
    store.outbox_put(7, &row(1, 2, OutboxState::Built), &[]).unwrap();
    let mined = row(1, 2, OutboxState::Mined { hash: [9; 32], block: 4, block_hash: [1; 32] });
    let batches = [1, 2, 4].map(|n| (BatchNumber(n), Some(SETTLED)));
    let found = store.outbox_update(7, &mined, &batches);
    assert!(matches!(found, Err(StoreError::Missing { what: "batches", key: 4 })));
    assert_eq!(store.outbox(7).unwrap().unwrap().state, OutboxState::Built);
    assert_eq!(store.last_settled().unwrap(), BatchNumber(0));
    store.outbox_update(7, &mined, &batches[..2]).unwrap();
    assert_eq!(store.last_settled().unwrap(), BatchNumber(2));
    assert_eq!(store.batch(BatchNumber(2)).unwrap().unwrap().settled, Some(SETTLED));
    store.mark_settled(&[(BatchNumber(2), None)]).unwrap();
    assert_eq!(store.last_settled().unwrap(), BatchNumber(1));
}

#[test]
fn what_is_recorded_as_settled_has_no_hole() {
    let (_folder, store, _) = filled(4);
    let marked = |number| (BatchNumber(number), Some(SETTLED));
    let settled = || -> Vec<u64> {
        let rows = store.assembled_from(BatchNumber(1), 9).unwrap();
        rows.iter().filter(|(_, row)| row.settled.is_some()).map(|(n, _)| n.0).collect()
    };
    store.mark_settled(&[1, 2, 3, 4].map(marked)).unwrap();
    // The transaction of one in the middle is given up while that of a later one stands.
    store.mark_settled(&[(BatchNumber(2), None)]).unwrap();
    assert_eq!(settled(), [1]);
    // The later one is found mined first.
    store.mark_settled(&[marked(4)]).unwrap();
    assert_eq!((settled(), store.last_settled().unwrap()), (vec![1], BatchNumber(1)));
    store.mark_settled(&[2, 3, 4].map(marked)).unwrap();
    assert_eq!(settled(), [1, 2, 3, 4]);
}

#[test]
fn a_nonce_is_given_once_and_pending_rows_end_at_a_final_one() {
    let (_folder, store, _) = filled(0);
    let last = OutboxState::Final { hash: [9; 32], block: 1 };
    let mined = OutboxState::Mined { hash: [9; 32], block: 2, block_hash: [1; 32] };
    let states = [OutboxState::Built, last, mined, OutboxState::Void, OutboxState::Built];
    for (nonce, state) in (5..).zip(states) {
        store.outbox_put(nonce, &row(1, 1, state), &[]).unwrap();
    }
    let again = store.outbox_put(7, &row(1, 1, OutboxState::Built), &[]);
    assert!(matches!(again, Err(StoreError::NonceTaken { nonce: 7 })));
    let pending: Vec<u64> = store.outbox_pending().unwrap().iter().map(|row| row.0).collect();
    assert_eq!(pending, [7, 9]);
    store.outbox_put(8, &row(1, 1, OutboxState::Built), &[]).unwrap();
    let unknown = store.outbox_update(77, &row(1, 1, OutboxState::Built), &[]);
    assert!(matches!(unknown, Err(StoreError::Missing { what: "outbox", key: 77 })));
}

#[test]
fn a_row_at_a_nonce_that_a_final_one_had_is_pending_whatever_was_final_behind_it() {
    let (_folder, store, _) = filled(3);
    let last = OutboxState::Final { hash: [9; 32], block: 1 };
    for (nonce, number) in (4..).zip(1..=3) {
        store.outbox_put(nonce, &row(number, number, OutboxState::Built), &[]).unwrap();
        let settled = [(BatchNumber(number), Some(SETTLED))];
        store.outbox_update(nonce, &row(number, number, last), &settled).unwrap();
    }
    let again = row(2, 3, OutboxState::Built);
    assert!(matches!(store.outbox_put(5, &again, &[]), Err(StoreError::NonceTaken { nonce: 5 })));
    store.mark_settled(&[2, 3].map(|number| (BatchNumber(number), None))).unwrap();
    store.outbox_put(5, &again, &[]).unwrap();
    assert_eq!(store.outbox_pending().unwrap(), [(5, again)]);
    assert_eq!(store.outbox(4).unwrap().unwrap().state, last, "its batch is settled as before");
    assert_eq!(store.outbox(6).unwrap().unwrap().state, OutboxState::Void);
}

#[test]
fn what_is_signed_with_proofs_that_are_replaced_meanwhile_is_no_row() {
    let (_folder, store, batches) = filled(2);
    let digest = |batch: &Assembled| FileDigest::of(&batch.public.to_bytes());
    let carried = [(BatchNumber(2), digest(&batches[1]))];
    // The same statement with other proofs, as it is made while the settler simulates and signs.
    let mut again = batches[1].clone();
    again.public.groups.push(small::group(1, [1, 2], 4));
    assert!(store.replace_unsent(&again).unwrap());
    let put = |carried| store.outbox_put(7, &row(2, 2, OutboxState::Built), carried);
    assert!(matches!(put(&carried), Err(StoreError::OtherProofs { number: 2 })));
    assert_eq!(store.outbox_pending().unwrap(), []);
    put(&[(BatchNumber(2), digest(&again))]).unwrap();
    // And from then on nothing replaces what it carries.
    assert!(!store.replace_unsent(&batches[1]).unwrap());
}

#[test]
fn a_damaged_file_is_found_and_replaced_by_its_own_bytes_only() {
    let (folder, store, batches) = filled(2);
    let path = folder.path().join("batches/000002/private.bin");
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(store.damaged_files(BatchNumber(2)).unwrap(), Some(vec![]));
    std::fs::write(&path, b"other").unwrap();
    assert_eq!(store.damaged_files(BatchNumber(2)).unwrap(), Some(vec![BatchFile::Private]));
    assert_eq!(store.damaged_files(BatchNumber(3)).unwrap(), None);
    // A file that the system does not open, as one on a bad sector.
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&path, &path).unwrap();
    assert_eq!(store.damaged_files(BatchNumber(2)).unwrap(), Some(vec![BatchFile::Private]));
    let other = batches[0].public.to_bytes();
    assert!(!store.restore_file(BatchNumber(2), BatchFile::Private, &other).unwrap());
    assert!(store.restore_file(BatchNumber(2), BatchFile::Private, &whole).unwrap());
    assert_eq!(store.damaged_files(BatchNumber(2)).unwrap(), Some(vec![]));
}

#[test]
fn a_damaged_batch_is_forgotten_with_those_after_it_unless_it_is_under_way() {
    let (folder, store, _) = filled(4);
    let damage = |number: u64| {
        let path = folder.path().join(format!("batches/{number:06}/public.bin"));
        std::fs::write(path, b"damaged").unwrap();
    };
    assert_eq!(store.forget_damaged().unwrap(), None);
    store.mark_settled(&[(BatchNumber(1), Some(SETTLED))]).unwrap();
    store.outbox_put(7, &row(2, 2, OutboxState::Built), &[]).unwrap();
    // Settled, and signed: what is sent stands elsewhere.
    damage(1);
    damage(2);
    assert_eq!(store.forget_damaged().unwrap(), None);
    damage(3);
    assert_eq!(store.forget_damaged().unwrap(), Some(BatchNumber(3)));
    assert_eq!(store.last_assembled().unwrap().unwrap().0, BatchNumber(2));
}

#[test]
fn batches_that_are_given_up_are_assembled_anew_and_settled_ones_stay() {
    let (_folder, store, batches) = filled(3);
    store.mark_settled(&[(BatchNumber(1), Some(SETTLED))]).unwrap();
    assert_eq!(store.give_up_after(BatchNumber(1)).unwrap(), Some((2, 3)));
    assert_eq!(store.last_assembled().unwrap().unwrap().0, BatchNumber(1));
    assert_eq!(store.public_bytes(BatchNumber(2)).unwrap(), None);
    assert_eq!(store.give_up_after(BatchNumber(1)).unwrap(), None);
    // Other bytes may take the number now, and replace the files that were left.
    let mut other = batches[1].clone();
    other.public.header.journal_hash = [8; 32];
    assert_eq!(store.save_batch(&other, millis(9)).unwrap(), Saved::New);
    assert_eq!(store.public_bytes(BatchNumber(2)).unwrap(), Some(other.public.to_bytes()));
}
