//! Receipts of operations against what settled batches hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use client::promised::{
    Promised, PromisedBy, PromisedError, PromisesFound, find_promised, read_kept,
};
use client::{Key, KeyKind, Wallet, erasure, keep_operation};
use model::{BatchHeader, BatchNumber, ChainScope, Digest, Millis, PatientIndex, Position};
use statement::operation::SignedOperation;
use wire::{
    ErasureRequest, GroupIdentity, Holder, Items, OperationItem, Receipt, Role, signer_address,
};

use crate::node::signing_key;
use crate::small;

const SCOPE: ChainScope = ChainScope { chain_id: 5, contract: [6; 20] };

fn by() -> PromisedBy {
    PromisedBy { scope: SCOPE, signer: signer_address(&signing_key()) }
}

fn patient(index: u32) -> PatientIndex {
    PatientIndex::new(index).unwrap()
}

/// An enrolment of a patient, as the wallet sends it.
fn operation(index: u32) -> wire::SignedOperation {
    let key = Key::from_secret(KeyKind::Patient, [index as u8; 32]);
    let now = Millis::from_unix_ms(1_777_624_200_000);
    let operation = Wallet::new(SCOPE, patient(index)).enrolment(&key, now, 1000);
    let domain = statement::scope::sig_domain(SCOPE);
    let signed = SignedOperation::sign(operation, domain, &key.signer());
    wire::SignedOperation::new(signed.to_bytes().to_vec()).unwrap()
}

/// Writes the receipt of an operation at this position.
fn promise(folder: &Path, scope: ChainScope, position: u64, digest: Digest) {
    let group = GroupIdentity { scope, term: 0, group: position, journal_hash: [1; 32] };
    let time = Millis::from_unix_ms(1_777_624_200_000);
    let operations = vec![OperationItem { position: Position(position), time, digest }];
    let items = Items { operations, ..Items::default() };
    let receipt = Receipt::new(group, Holder::new(Role::Wallet, "wallet-1"), items).unwrap();
    let bytes = receipt.sign(&signing_key()).to_bytes();
    let path = folder.join(format!("{position:020}.receipt"));
    files::replace(&path, &[&bytes], files::Audience::Owner).unwrap();
}

fn header(number: u64, journal_position: u64) -> BatchHeader {
    BatchHeader { journal_position: Position(journal_position), ..small::header(number) }
}

#[test]
fn an_operation_with_a_receipt_that_its_batch_lacks_is_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, others) = (operation(7), operation(8));
    keep_operation(folder.path(), &mine).unwrap();
    keep_operation(folder.path(), &others).unwrap();
    promise(folder.path(), SCOPE, 12, mine.digest());
    promise(folder.path(), SCOPE, 13, others.digest());
    // Without the signed operation beside it nobody can say whose it is.
    promise(folder.path(), SCOPE, 14, Digest([9; 31]));
    promise(folder.path(), SCOPE, 99, mine.digest());
    let headers = [header(1, 10), header(2, 50)];
    let look = |seen: &[(u64, Digest)]| {
        let mut by_batch: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (batch, digest) in seen {
            by_batch.entry(BatchNumber(*batch)).or_default().insert(digest.0);
        }
        let promised = read_kept(folder.path(), by()).unwrap().promised;
        assert_eq!(promised.len(), 4);
        find_promised(promised, patient(7), &headers, &by_batch)
    };
    let kept = look(&[(2, mine.digest())]);
    let later: Vec<_> = kept.later.iter().map(|one| one.digest).collect();
    assert_eq!(later, [mine.digest()]);
    let later = kept.later.clone();
    let expected =
        PromisesFound { kept: 1, not_settled: 1, not_compared: 1, absent: Vec::new(), later };
    assert_eq!(kept, expected);
    // Nowhere, or in another batch than the one that holds its position.
    for seen in [&[][..], &[(1, mine.digest())]] {
        let PromisesFound { absent, .. } = look(seen);
        let [(Promised { position, digest, group, .. }, batch)] = &absent[..] else { panic!() };
        assert_eq!((position.0, *group, batch.0), (12, 12, 2));
        assert_eq!(*digest, mine.digest());
    }
}

#[test]
fn the_receipt_of_an_erasure_is_no_operation_where_its_request_was_kept() {
    let at = Millis::from_unix_ms(1_777_624_200_000);
    let request = ErasureRequest {
        scope: SCOPE,
        patient: patient(7),
        nonce: 3,
        requested_at: at,
        valid_until: at.plus(1000),
    };
    let key = Key::from_secret(KeyKind::Patient, [7; 32]);
    let signed = erasure::sign(request, &key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    promise(folder.path(), SCOPE, 12, signed.digest().unwrap());
    let unknown = read_kept(folder.path(), by()).unwrap();
    assert_eq!((unknown.promised.len(), unknown.erased.len()), (1, 0), "whose it is nobody knows");
    erasure::keep(folder.path(), &signed).unwrap();
    let kept = read_kept(folder.path(), by()).unwrap();
    assert_eq!((kept.promised.len(), kept.receipts.len()), (0, 1));
    let [one] = &kept.erased[..] else { panic!("one erasure") };
    assert_eq!((one.position, one.request), (Position(12), signed));
}

#[test]
fn receipts_of_another_deployment_or_signer_are_no_promise() {
    let folder = tempfile::tempdir().unwrap();
    promise(folder.path(), ChainScope { chain_id: 6, ..SCOPE }, 12, Digest([9; 31]));
    let found = read_kept(folder.path(), by());
    assert!(matches!(found, Err(PromisedError::Foreign { .. })));
    let folder = tempfile::tempdir().unwrap();
    promise(folder.path(), SCOPE, 12, Digest([9; 31]));
    assert!(read_kept(folder.path(), by()).is_ok());
    let signer = wire::Address([1; 20]);
    let found = read_kept(folder.path(), PromisedBy { signer, ..by() });
    assert!(matches!(found, Err(PromisedError::Foreign { .. })));
}

#[test]
fn a_folder_without_receipts_is_no_check() {
    let folder = tempfile::tempdir().unwrap();
    let found = read_kept(folder.path(), by());
    assert!(matches!(found, Err(PromisedError::None { .. })), "{found:?}");
    let missing = read_kept(&folder.path().join("none"), by());
    assert!(matches!(missing, Err(PromisedError::File { .. })), "{missing:?}");
}

#[test]
fn receipts_and_operations_that_others_may_open_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mine = operation(7);
    keep_operation(folder.path(), &mine).unwrap();
    promise(folder.path(), SCOPE, 12, mine.digest());
    assert_eq!(read_kept(folder.path(), by()).unwrap().promised.len(), 1);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        set(0o644);
        let refused = model::with_causes(&read_kept(folder.path(), by()).unwrap_err());
        assert!(refused.contains(&format!("chmod go-rwx {}", path.display())), "{refused}");
        set(0o600);
    }
}
