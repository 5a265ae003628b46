//! Receipts of one journal against batches of that journal and of a forked one.

use model::{Digest, Position};
use wire::{GroupIdentity, Holder, Items, Receipt, RefusalItem, Role, SigningKey};

use super::*;

#[allow(dead_code, reason = "each crate's tests need a part of it")]
#[path = "../../../../circuits/statement/src/batch/small.rs"]
mod small;

const SCOPE: ChainScope = ChainScope { chain_id: 31_337, contract: [9; 20] };

/// Close and groups (number, first, last) of each batch: the second one's close stands amid its
/// last group, and the third batch has no group of its own.
const BATCHES: [(u64, &[Span]); 4] =
    [(9, &[[1, 1, 4], [2, 5, 9]]), (14, &[[3, 10, 20]]), (15, &[]), (30, &[[4, 21, 30]])];
type Span = [u64; 3];

struct World {
    folder: tempfile::TempDir,
    headers: Vec<BatchHeader>,
    /// A receipt of each group, for something at its last position.
    groups: Vec<SignedReceipt>,
}

impl World {
    /// A journal whose third group has this content.
    fn with(third: u8) -> World {
        let folder = tempfile::tempdir().unwrap();
        let (mut previous, mut hash) = ([0; 32], journal::genesis(SCOPE));
        let (mut headers, mut groups) = (Vec::new(), Vec::new());
        for (number, (close, spans)) in (1..).zip(BATCHES) {
            let summary = |&[number, first, last]: &Span| {
                let content = if number == 3 { third } else { number as u8 };
                small::group(number, [first, last], content)
            };
            let of_batch: Vec<_> = spans.iter().map(summary).collect();
            for (group, after) in of_batch.iter().zip(small::hashes(hash, &of_batch)) {
                hash = after;
                groups.push(receipt(group.number, hash, group.last.0));
            }
            let journal_position = Position(close);
            let header = small::header(number);
            let header = BatchHeader { previous, journal_position, journal_hash: hash, ..header };
            previous = scope::header_hash(&header);
            let file = small::public_file(header.clone(), of_batch);
            let path = folder.path().join(format!("{number:06}"));
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("public.bin"), file.to_bytes()).unwrap();
            headers.push(header);
        }
        World { folder, headers, groups }
    }

    fn batches(&self) -> Batches {
        Batches::Folder(self.folder.path().to_owned())
    }

    fn hash(&self, group: usize) -> [u8; 32] {
        self.groups[group].receipt.group.journal_hash
    }
}

fn compare(
    batches: &Batches,
    headers: &[BatchHeader],
    receipt: &SignedReceipt,
) -> Result<Compared, CompareError> {
    super::compare(batches, headers, receipt, &|_| ())
}

fn receipt(group: u64, journal_hash: [u8; 32], position: u64) -> SignedReceipt {
    let group = GroupIdentity { scope: SCOPE, group, term: 0, journal_hash };
    let item = RefusalItem { position: Position(position), digest: Digest([1; 31]) };
    let items = Items { refusals: vec![item], ..Items::default() };
    let receipt = Receipt::new(group, Holder::new(Role::Wallet, "wallet-1"), items).unwrap();
    receipt.sign(&SigningKey::from_slice(&[7; 32]).unwrap())
}

#[test]
fn a_receipt_of_the_settled_journal_is_found_in_its_batch() {
    let world = World::with(3);
    let expected = [1, 1, 2, 4].map(|batch| Compared::Settled { batch: BatchNumber(batch) });
    for (group, expected) in expected.into_iter().enumerate() {
        let found = compare(&world.batches(), &world.headers, &world.groups[group]).unwrap();
        assert_eq!(found, expected, "group {}", group + 1);
    }
    // Of the second batch's last group, behind its close: settled in hash, if not in position.
    let behind = receipt(3, world.hash(2), 18);
    let found = compare(&world.batches(), &world.headers[..3], &behind).unwrap();
    assert_eq!(found, Compared::Settled { batch: BatchNumber(2) });
}

#[test]
fn a_forked_journal_is_found_from_its_first_other_group_on() {
    let (settled, receipted) = (World::with(3), World::with(99));
    let compared = |group: usize| {
        compare(&settled.batches(), &settled.headers, &receipted.groups[group]).unwrap()
    };
    for group in [0, 1] {
        assert!(matches!(compared(group), Compared::Settled { .. }), "{group}");
    }
    for (group, batch) in [(2, 2), (3, 4)] {
        let [receipted, settled] = [&receipted, &settled].map(|world| world.hash(group));
        let batch = BatchNumber(batch);
        assert_eq!(compared(group), Compared::OtherHash { batch, receipted, settled });
    }
}

#[test]
fn a_group_that_no_batch_has_is_missing_once_its_positions_are_settled() {
    let world = World::with(3);
    let compared = |group, position, headers: &[BatchHeader]| {
        compare(&world.batches(), headers, &receipt(group, [1; 32], position)).unwrap()
    };
    let missing = Compared::Missing { batch: BatchNumber(4) };
    assert_eq!(compared(9, 25, &world.headers), missing);
    assert_eq!(compared(9, 31, &world.headers), Compared::NotSettled);
    assert_eq!(compared(1, 1, &[]), Compared::NotSettled);
    // What the first header continues is not known, and nothing is made up.
    assert_eq!(compared(3, 12, &world.headers[1..]), Compared::BeforeHeaders);
}

#[test]
fn files_that_are_not_the_headers_are_refused() {
    let (world, other) = (World::with(3), World::with(99));
    let receipt = &receipt(3, world.hash(2), 12);
    let wrong = compare(&other.batches(), &world.headers, receipt);
    assert!(matches!(wrong, Err(CompareError::OtherFile { batch: 2 })), "{wrong:?}");
    let path = world.folder.path().join("000002/public.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    // The last byte is of the content of the last group.
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let wrong = compare(&world.batches(), &world.headers, receipt);
    assert!(matches!(wrong, Err(CompareError::Groups { batch: 2, .. })), "{wrong:?}");
    std::fs::write(&path, &bytes[..100]).unwrap();
    let wrong = compare(&world.batches(), &world.headers, receipt);
    assert!(matches!(wrong, Err(CompareError::File { batch: 2, .. })), "{wrong:?}");
    std::fs::remove_file(&path).unwrap();
    let wrong = compare(&world.batches(), &world.headers, receipt);
    assert!(matches!(wrong, Err(CompareError::Fetch(_))), "{wrong:?}");
}
