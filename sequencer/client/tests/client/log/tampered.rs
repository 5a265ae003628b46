//! A patient's log of one batch, and every way to tamper with it.

use client::batches::BatchFiles;
use client::log::{Audited, Before, LogError, Viewer, check};
use model::{BatchHeader, Digest, Position, RuleSlot, Uncovered, Word};
use statement::batch::{ClaimsChunk, List, ListsError};
use statement::domain::Domain;

use super::world::{EMERGENCY, OPERATIONS_KEY, REASON, SLOTS, request};
use super::world::{Fault, World, at, patient, refused, root, viewer};

#[test]
fn a_patient_sees_every_claim_and_operation_with_its_rule() {
    let seen = World::new(Fault::None).check().unwrap();
    let positions: Vec<_> = seen.claims.iter().map(|one| one.claim.position.0).collect();
    assert_eq!(positions, [12, 14, 20]);
    assert_eq!(seen.claims[0].verdict, Ok(RuleSlot::Permit(0)));
    assert_eq!(seen.claims[1].verdict, Ok(RuleSlot::Policy(0)));
    let reasons: Vec<_> = seen.claims.iter().map(|one| one.reason.as_deref()).collect();
    assert_eq!(reasons, [None, Some(REASON), None]);
    assert!(!seen.claims[2].covered);
    assert_eq!(seen.claims[2].verdict, Err(Uncovered::ActorNotNamed));
    assert_eq!(seen.refused, [refused()]);
    let times: Vec<_> = seen.operations.iter().map(|one| one.t_op).collect();
    assert_eq!(times, [at(100), at(200), at(300)]);
    let Before::Known(Some(record)) = seen.after else { panic!() };
    assert_eq!(record.nonce, 2);
}

#[test]
fn a_batch_that_does_not_concern_the_patient_leaves_the_record_as_it_was() {
    let nobody = Viewer { patient: patient(99), view_key: Word::from_u64(99), ..viewer() };
    let (header, files) = World::new(Fault::None).files();
    let audited = Audited { header: &header, edges: &[] };
    let seen = check(&nobody, &audited, &files, Before::Known(None)).unwrap();
    assert!(seen.claims.is_empty() && seen.operations.is_empty());
    assert_eq!(seen.after, Before::Known(None));
}

/// Settles a tampered batch and names what is found.
fn found(fault: Fault, tamper: impl FnOnce(&mut World)) -> LogError {
    let mut world = World::new(fault);
    tamper(&mut world);
    world.check().expect_err("tampered with")
}

#[test]
fn files_that_are_not_those_of_the_header_are_named() {
    let world = World::new(Fault::None);
    let (header, files) = world.files();
    let with = |header: &BatchHeader, public: &[u8], private: &[u8]| {
        let files = BatchFiles { public: public.to_vec(), private: private.to_vec() };
        let audited = Audited { header, edges: &[] };
        check(&viewer(), &audited, &files, Before::Known(None)).expect_err("tampered with")
    };
    let other = BatchHeader { access: 5, ..header.clone() };
    assert_eq!(with(&other, &files.public, &files.private), LogError::Lists(ListsError::Header));
    let cut = &files.public[..files.public.len() - 1];
    assert!(matches!(with(&header, cut, &files.private), LogError::Public(_)));
    let mut changed = files.private.clone();
    changed[40] ^= 1;
    let ciphertext = with(&header, &files.public, &changed);
    assert!(matches!(ciphertext, LogError::Ciphertext { .. }));
    let cut = &files.private[..files.private.len() - 1];
    assert!(matches!(with(&header, &files.public, cut), LogError::Ciphertext { .. }));
}

/// What of the lists is named.
fn found_in_lists(tamper: impl FnOnce(&mut World)) -> ListsError {
    match found(Fault::None, tamper) {
        LogError::Lists(error) => error,
        other => panic!("expected an error of the lists, found {other:?}"),
    }
}

#[test]
fn leaves_that_do_not_hash_to_the_header_are_named() {
    let leaf = Word::from_u64(4);
    let claims = found_in_lists(|world| world.public.claims[0].leaves[0] = leaf);
    assert!(matches!(claims, ListsError::Root { list: List::Claims, chunk: 0, .. }));
    let operations = found_in_lists(|world| world.public.operations[0].leaves[0] = leaf);
    assert!(matches!(operations, ListsError::Root { list: List::Operations, chunk: 0, .. }));
    let claims = found_in_lists(|world| {
        world.public.claims[0].leaves[0] = leaf;
        let header = world.public.header.claims_root;
        world.reroot();
        world.public.header.claims_root = header;
    });
    assert!(matches!(claims, ListsError::TotalRoot { list: List::Claims, .. }));
    let operations = found_in_lists(|world| {
        let chunk = world.public.operations[0].clone();
        world.public.operations.push(chunk);
    });
    assert!(matches!(operations, ListsError::Total { list: List::Operations, .. }));
}

/// The operator settles the claims about Anna as proven, leaves her opening out of the private file
/// that it commits to, and serves *her* the inner nodes of the list of leaves for the list, while
/// auditors get the true one. Her log must not say that nothing happened.
#[test]
fn inner_nodes_in_place_of_leaves_hide_no_claim() {
    let mut world = World::new(Fault::None);
    world.openings.remove(0);
    let leaves = world.public.claims[0].leaves.clone();
    let nodes = |leaves: &[Word]| -> Vec<Word> {
        leaves.chunks(16).map(|group| root(Domain::ClaimsNode, group)).collect()
    };
    for (list, depth) in [(nodes(&leaves), 1), (nodes(&nodes(&leaves)), 2), (vec![], 0)] {
        let found = list.len();
        world.public.claims[0].leaves = list;
        let Err(LogError::Lists(error)) = world.check() else { panic!("{depth}") };
        let expected = SLOTS.leaves();
        assert_eq!(error, ListsError::Length { list: List::Claims, chunk: 0, expected, found });
    }
    world.public.claims[0].leaves = leaves;
    let rows = &mut world.public.operations[0].leaves;
    *rows = rows.chunks(16).map(|group| root(Domain::OperationsNode, group)).collect();
    let Err(LogError::Lists(error)) = world.check() else { panic!("rows") };
    assert!(matches!(error, ListsError::Length { list: List::Operations, found: 1, .. }));
}

#[test]
fn counters_keys_and_padding_that_the_leaves_contradict_are_named() {
    let count = |chunk: fn(&mut ClaimsChunk), header: fn(&mut BatchHeader)| {
        found_in_lists(|world| {
            chunk(&mut world.public.claims[0]);
            header(&mut world.public.header);
        })
    };
    // Fewer claims than there are, in chunk and header alike.
    let fewer = count(|chunk| chunk.access = 1, |header| header.access = 1);
    assert!(matches!(fewer, ListsError::Count { what: "claims", expected: 3, found: 4, .. }));
    let excluded = count(|chunk| chunk.excluded = 9, |header| header.excluded = 9);
    assert!(matches!(excluded, ListsError::Count { what: "excluded claims", .. }));
    let header = count(|_| {}, |header| header.collect = 2);
    assert!(matches!(header, ListsError::Total { what: "collect claims", .. }));
    let other = count(|chunk| chunk.key_id = OPERATIONS_KEY, |_| {});
    assert!(matches!(other, ListsError::Key { list: List::Claims, chunk: 0, .. }));
    let unknown = count(|chunk| chunk.key_id = [9; 32], |_| {});
    assert!(matches!(unknown, ListsError::Key { .. }));

    let moved = |tamper: fn(&mut Vec<Word>)| {
        found_in_lists(|world| {
            tamper(&mut world.public.claims[0].leaves);
            world.reroot();
        })
    };
    let tag = moved(|leaves| leaves[9] = Word::ZERO);
    assert_eq!(tag, ListsError::Tag { chunk: 0, leaf: 9, found: Word::ZERO });
    let stray = moved(|leaves| leaves[29] = Word::from_u64(1));
    assert!(matches!(stray, ListsError::Tag { chunk: 0, leaf: 29, .. }));
    let hole = moved(|leaves| leaves.swap(5, 7));
    assert!(matches!(hole, ListsError::Padding { leaf: 6, .. }), "{hole:?}");
    let later = moved(|leaves| {
        (leaves[20], leaves[24]) = (leaves[10], leaves[14]);
        (leaves[10], leaves[14]) = (Word::ZERO, Word::ZERO);
    });
    assert!(matches!(later, ListsError::Padding { leaf: 20, .. }), "{later:?}");
    let rows = found_in_lists(|world| {
        world.public.operations[0].leaves.swap(2, 3);
        world.reroot();
    });
    assert!(matches!(rows, ListsError::Padding { list: List::Operations, leaf: 3, .. }));
}

/// Behind another edge no tag is found, and the edge stands in no header: it is the auditor's.
#[test]
fn an_edge_that_nobody_verified_is_not_believed() {
    let mut world = World::new(Fault::None);
    let mut empty = world.public.claims[0].clone();
    empty.leaves.fill(Word::ZERO);
    (empty.access, empty.collect) = (0, 0);
    (empty.break_glass, empty.excluded) = (0, 0);
    world.public.claims.push(empty);
    world.reroot();
    let (header, files) = world.files();
    let edge = world.public.claims[0].edge_out;
    let check = |edges: &[Word]| {
        check(&viewer(), &Audited { header: &header, edges }, &files, Before::Known(None))
    };
    assert_eq!(check(&[edge]).map(|seen| seen.claims.len()), Ok(3));
    assert_eq!(check(&[Word::from_u64(1)]), Err(LogError::Edge { chunk: 0 }));
    assert_eq!(check(&[]), Err(LogError::Edges { expected: 1, found: 0 }));
}

#[test]
fn segments_that_are_not_those_of_the_header_are_named() {
    let more = statement::batch::SegmentEntry::new(Digest([9; 31]), 5);
    let found = found_in_lists(|world| world.public.segments.push(more));
    assert!(matches!(found, ListsError::DataRoot { .. }));
}

#[test]
fn withheld_doubled_and_made_up_claims_are_counted() {
    let count = |expected, found| LogError::Count { chunk: 0, expected, found };
    assert_eq!(found(Fault::None, |world| drop(world.openings.remove(0))), count(3, 0));
    let without_one = |world: &mut World| {
        world.anna().claims.remove(1);
    };
    assert_eq!(found(Fault::None, without_one), count(3, 2));
    let doubled = found(Fault::None, |world| {
        let first = world.anna().claims[0].clone();
        world.anna().claims.push(first);
    });
    assert_eq!(doubled, count(3, 3));
    let beside = found(Fault::None, |world| world.anna().claims[0].leaf = 0);
    assert_eq!(beside, count(3, 2));
    let elsewhere = found(Fault::None, |world| world.anna().claims[0].chunk = 9);
    assert_eq!(elsewhere, count(3, 2));
}

#[test]
fn slots_in_another_order_do_not_hide_claims() {
    let swapped = found(Fault::None, |world| {
        let leaves = &mut world.public.claims[0].leaves;
        // Another's slot and Anna's first one: their tags name the slots in which they were proven.
        for leaf in 0..5 {
            leaves.swap(leaf, 5 + leaf);
        }
        world.reroot();
    });
    assert_eq!(swapped, LogError::Count { chunk: 0, expected: 1, found: 1 });
}

#[test]
fn a_changed_claim_salt_or_verdict_is_named_by_its_position() {
    let leaf = LogError::ClaimLeaf { position: Position(12) };
    let who = |world: &mut World| world.anna().claims[0].claim.individual = Word::from_u64(3);
    assert_eq!(found(Fault::None, who), leaf);
    let digest = |world: &mut World| world.anna().claims[0].claim.digest = Digest([1; 31]);
    assert_eq!(found(Fault::None, digest), leaf);
    assert_eq!(found(Fault::None, |world| world.anna().claims[0].covered = false), leaf);
    let salt = found(Fault::None, |world| world.anna().claims[0].salt = Word::from_u64(3));
    assert_eq!(salt, LogError::ClaimSalt { position: Position(12) });
}

#[test]
fn a_request_that_the_claim_does_not_name_is_told() {
    let wrong = |position| LogError::Request { position: Position(position) };
    let other = request("looked for a friend").to_bytes();
    let swapped = found(Fault::None, |world| world.anna().claims[1].request = other);
    assert_eq!(swapped, wrong(EMERGENCY));
    let cut = |world: &mut World| world.anna().claims[1].request.truncate(100);
    assert_eq!(found(Fault::None, cut), wrong(EMERGENCY));
    // Of another claim, by the same doctor.
    let moved = |world: &mut World| world.anna().claims[0].request = request(REASON).to_bytes();
    assert_eq!(found(Fault::None, moved), wrong(12));
}

#[test]
fn a_claim_that_says_more_than_was_signed_is_told() {
    let (position, part) = (Position(EMERGENCY), "categories");
    assert_eq!(found(Fault::Wider, |_| {}), LogError::Asked { position, part });
    // Withheld, nobody can hold it against the claim.
    let withheld = |world: &mut World| world.anna().claims[1].request.clear();
    let mut world = World::new(Fault::Wider);
    withheld(&mut world);
    assert!(world.check().is_ok());
}

#[test]
fn a_claim_that_counts_as_covered_without_a_rule_is_named() {
    let (position, uncovered) = (Position(20), Uncovered::ActorNotNamed);
    assert_eq!(found(Fault::Covered, |_| {}), LogError::NotCovered { position, uncovered });
}

#[test]
fn another_record_patient_or_path_is_named() {
    let record = |world: &mut World| world.anna().record.rules[0] = None;
    assert_eq!(found(Fault::None, record), LogError::Record);
    let path = |world: &mut World| world.anna().path[5][2] = Word::from_u64(3);
    assert_eq!(found(Fault::None, path), LogError::Record);
    // Sealed for another patient it is not found, and the tags tell what is missing.
    let other = |world: &mut World| world.anna().patient = patient(8);
    let missing = LogError::Count { chunk: 0, expected: 3, found: 0 };
    assert_eq!(found(Fault::None, other), missing);
}

#[test]
fn withheld_changed_and_unsigned_operations_are_named() {
    let withheld = found(Fault::None, |world| drop(world.anna().operations.pop()));
    assert_eq!(withheld, LogError::History);
    let both = found(Fault::None, |world| world.anna().operations.clear());
    assert_eq!(both, LogError::History);
    let leaf = LogError::OperationLeaf { index: 1 };
    assert_eq!(found(Fault::None, |world| world.anna().operations[1].t_op = at(300)), leaf);
    let salt = |world: &mut World| world.anna().operations[1].salt = Word::from_u64(3);
    assert_eq!(found(Fault::None, salt), leaf);
    assert_eq!(found(Fault::None, |world| world.anna().operations[1].row = 9), leaf);
    let bytes = |world: &mut World| world.anna().operations[1].signed = vec![1, 2, 3];
    assert_eq!(found(Fault::None, bytes), LogError::Operation { index: 1 });
    assert_eq!(found(Fault::Signer, |_| {}), LogError::Signature { index: 1 });
}
