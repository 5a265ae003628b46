//! What patients opened against what was committed, and against the rules.

use auditor::check::{
    self, Coverage, FramesCounts, NamedErasure, NamedFrames, NamedOpening, Opened, Readings,
    ReadingsCounts, SoundBatch,
};
use auditor::{Broken, Item};
use model::{Categories, ChainScope, ClaimKind, DeviceId, Digest, Interval, Party, Position};
use statement::batch::{
    ClaimOpening, JournalSpan, PatientOpening, ReleasedFrame, ReleasedFrames, SegmentEntry,
    SegmentFrames, SegmentKey,
};

use statement::eddsa::{self, SecretKey};
use statement::field;
use wire::{ErasureRequest, SignedErasure};

use crate::world::{PATIENT, Plan, World, a_scope, item, patient_key, request, word};

fn batch(world: &World) -> SoundBatch<'_> {
    let file = &world.built[0].file;
    SoundBatch { context: &world.context, header: &file.header, file }
}

fn evaluate(world: &World, opening: &PatientOpening) -> Result<Opened, Broken> {
    let named = NamedOpening { name: "a.opening".to_owned(), opening: opening.clone() };
    check::opening(batch(world), &named)
}

/// Evaluates the first batch's opening and then the batch as if it were the only one.
fn evaluate_all(world: &World) -> Result<(), Broken> {
    let built = &world.built[0];
    world.check(0, &built.file.to_bytes())?;
    let opened = evaluate(world, &built.openings[0])?;
    check::coverage(batch(world), &[opened], Coverage::All)
}

/// Changes the opening of the first batch, and gives the broken item.
fn changed(change: impl FnOnce(&mut PatientOpening)) -> Item {
    let world = World::sound();
    let mut opening = world.built[0].openings[0].clone();
    change(&mut opening);
    item(evaluate(&world, &opening))
}

fn whole(part: &'static str) -> Item {
    Item::Opening { file: "a.opening".to_owned(), part }
}

fn claim(claim: usize, part: &'static str) -> Item {
    Item::OpenedClaim { file: "a.opening".to_owned(), claim, part }
}

fn operation(operation: usize, part: &'static str) -> Item {
    Item::OpenedOperation { file: "a.opening".to_owned(), operation, part }
}

#[test]
fn a_sound_opening_opens_everything() {
    let world = World::sound();
    assert_eq!(evaluate_all(&world), Ok(()));
    let opened = evaluate(&world, &world.built[0].openings[0]).expect("sound");
    assert_eq!(opened.claims, [(0, 0), (0, 1), (1, 0)]);
    assert_eq!(opened.operations, [(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn what_is_not_as_committed_is_named() {
    assert_eq!(changed(|opening| opening.batch.0 = 2), whole("batch"));
    assert_eq!(changed(|opening| opening.record.nonce += 1), whole("record"));
    assert_eq!(changed(|opening| opening.path[7][0] = word(1)), whole("record"));
    assert_eq!(changed(|opening| opening.claims[0].chunk = 9), claim(0, "place"));
    assert_eq!(changed(|opening| opening.claims[0].leaf = 4), claim(0, "place"));
    assert_eq!(changed(|opening| opening.claims[1].salt = word(1)), claim(1, "salt"));
    assert_eq!(changed(|opening| opening.claims[1].covered = false), claim(1, "leaf"));
    assert_eq!(changed(|opening| opening.claims[2].claim.position.0 += 1), claim(2, "leaf"));
    let moved = |opening: &mut PatientOpening| opening.claims.swap(0, 1);
    assert_eq!(check_moved(moved), Ok(()));
    let other = model::PatientIndex::new(PATIENT + 1).expect("24 bits");
    assert_eq!(changed(|opening| opening.claims[0].claim.patient = other), claim(0, "patient"));
}

#[test]
fn a_request_that_the_claim_does_not_name_is_named() {
    let other = request(a_scope(), "looked for a friend").to_bytes();
    let swapped = changed(|opening| opening.claims[1].request = other);
    assert_eq!(swapped, claim(1, "request"));
    let cut = changed(|opening| opening.claims[1].request.truncate(100));
    assert_eq!(cut, claim(1, "request"));
    // Of another claim, which was never asked for.
    let moved = changed(|opening| opening.claims[0].request = opening.claims[1].request.clone());
    assert_eq!(moved, claim(0, "request"));
    let withheld = |opening: &mut PatientOpening| opening.claims[1].request.clear();
    assert_eq!(check_moved(withheld), Ok(()), "it says nothing");
}

#[test]
fn a_claim_that_says_more_than_its_request_asks_for_is_named() {
    let plan = Plan {
        slots: Some(|slots| {
            let claims = slots.iter_mut().flat_map(|slot| &mut slot.claims);
            let emergencies = claims.filter(|claim| claim.kind == ClaimKind::BreakGlass);
            emergencies.for_each(|claim| claim.categories = Categories::ALL);
        }),
        ..Plan::default()
    };
    let world = World::of(&plan);
    let mut opening = world.built[0].openings[0].clone();
    let found = evaluate(&world, &opening).expect_err("wider than what was signed");
    assert_eq!(found.item, claim(1, "request"));
    assert!(found.to_string().contains("found another categories"), "{found}");
    opening.claims[1].request.clear();
    assert!(evaluate(&world, &opening).is_ok(), "withheld, it says nothing");
}

/// The order of claims in an opening says nothing.
fn check_moved(change: impl FnOnce(&mut PatientOpening)) -> Result<(), Broken> {
    let world = World::sound();
    let mut opening = world.built[0].openings[0].clone();
    change(&mut opening);
    evaluate(&world, &opening).map(drop)
}

#[test]
fn a_claim_that_is_left_out_is_noticed_by_its_tag() {
    let without_one = |opening: &mut PatientOpening| {
        opening.claims.remove(1);
    };
    assert_eq!(changed(without_one), whole("claims"));
    assert_eq!(changed(|opening| opening.claims.clear()), whole("claims"));
}

#[test]
fn operations_are_compared_down_to_the_signature() {
    assert_eq!(changed(|opening| opening.operations[1].row = 1), operation(1, "place"));
    let later = |opening: &mut PatientOpening| {
        opening.operations[1].t_op = opening.operations[1].t_op.plus(1);
    };
    assert_eq!(changed(later), operation(1, "leaf"));
    assert_eq!(changed(|opening| opening.operations[0].salt = word(1)), operation(0, "salt"));
    assert_eq!(changed(|opening| opening.operations[0].signed[0] ^= 1), operation(0, "encoding"));
    let end = statement::operation::SignedOperation::BYTES;
    let scalar = end - 32;
    assert_eq!(changed(|o| o.operations[0].signed[scalar] ^= 1), operation(0, "signature"));
    let foreign = |opening: &mut PatientOpening| {
        let signer = opening.operations[0].signed[end - 96..end - 64].to_vec();
        opening.operations[1].signed[end - 96..end - 64].copy_from_slice(&signer);
    };
    assert_eq!(changed(foreign), operation(1, "signature"));
}

#[test]
fn a_claim_that_was_excluded_wrongly_is_named() {
    let plan = Plan {
        slots: Some(|slots| slots.iter_mut().for_each(|slot| slot.excluded = true)),
        ..Plan::default()
    };
    let found = evaluate_all(&World::of(&plan)).expect_err("excluded wrongly");
    assert_eq!(found.item, claim(0, "coverage"));
    assert!(found.found.contains("excluded wrongly"), "{found}");
}

#[test]
fn a_claim_that_was_covered_wrongly_is_named_with_the_rule() {
    let plan = Plan {
        slots: Some(|slots| slots.iter_mut().for_each(|slot| slot.excluded = false)),
        ..Plan::default()
    };
    let found = evaluate_all(&World::of(&plan)).expect_err("covered wrongly");
    assert_eq!(found.item, claim(2, "coverage"));
    assert!(found.found.contains("C2.12"), "{found}");
}

#[test]
fn a_claim_without_data_and_an_unclaimed_segment_are_named() {
    let plan = Plan { segments: Some(|segments| segments.clear()), ..Plan::default() };
    assert_eq!(item(evaluate_all(&World::of(&plan))), claim(0, "claim without data"));
    let more: fn(&mut Vec<SegmentEntry>) =
        |segments| segments.push(SegmentEntry::new(Digest([0xee; 31]), 1));
    let plan = Plan { segments: Some(more), ..Plan::default() };
    assert_eq!(item(evaluate_all(&World::of(&plan))), Item::Segment { segment: 1 });
}

#[test]
fn what_nobody_opened_is_left_over_if_all_were_said_to_be_given() {
    let world = World::sound();
    let coverage = |opened: &[Opened], all| check::coverage(batch(&world), opened, all);
    assert_eq!(coverage(&[], Coverage::Some), Ok(()));
    let expected = Item::OperationLeaf { chunk: 0, row: 0 };
    assert_eq!(item(coverage(&[], Coverage::All)), expected);
    let opened = evaluate(&world, &world.built[0].openings[0]).expect("sound");
    let fewer = Opened { claims: vec![(0, 0), (0, 1)], ..opened.clone() };
    assert_eq!(item(coverage(&[fewer], Coverage::All)), Item::Claims { chunk: 1, part: "claims" });
    let twice = [opened.clone(), opened.clone()];
    assert_eq!(item(coverage(&twice, Coverage::Some)), whole("places"));
    // Another patient's claim at the same journal position: each proof alone is sound.
    let other = Opened {
        claims: vec![(9, 0)],
        operations: vec![],
        collected: vec![],
        positions: vec![opened.positions[1]],
        ..opened.clone()
    };
    assert_eq!(item(coverage(&[opened, other], Coverage::Some)), claim(0, "position"));
}

#[test]
fn released_frames_are_held_against_the_opened_collections() {
    let world = World::sound();
    let mut opening = world.built[0].openings[0].clone();
    let (scope, device) = (world.context.scope, DeviceId::new("monitor").unwrap());
    let position = opening.claims[0].claim.position;
    let bytes = b"a frame".to_vec();
    let facts = SegmentFrames {
        content: *blake3::hash(&bytes).as_bytes(),
        bytes: bytes.len() as u64,
        position,
    };
    let opened = &mut opening.claims[0].claim;
    opened.individual = statement::scope::device(&device);
    opened.digest = SegmentKey::derive(&opening.record.view_key, scope).digest(&facts);
    let frames = |frames: Vec<ReleasedFrame>| NamedFrames {
        name: "dr.frames".to_owned(),
        released: ReleasedFrames {
            scope,
            patient: opening.patient,
            categories: Categories::ALL,
            data: Interval::ALWAYS,
            source: Party::Any,
            frames,
        },
    };
    let frame =
        |bytes: &[u8]| ReleasedFrame { position, device: device.clone(), bytes: bytes.to_vec() };
    let named = NamedOpening { name: "a.opening".to_owned(), opening: opening.clone() };
    let span = JournalSpan { after: Position(0), until: Position(8) };
    let compare = |released: &[NamedFrames]| check::frames(batch(&world), span, &named, released);
    let counts = |equal, not_compared, frames| Ok(FramesCounts { equal, not_compared, frames });
    assert_eq!(compare(&[frames(vec![frame(&bytes)])]), counts(1, 0, 1));
    assert_eq!(compare(&[frames(vec![])]), counts(0, 1, 0));
    let found = compare(&[frames(vec![frame(b"another")])]);
    assert_eq!(item(found), claim(0, "released frames"));
    // Withheld, although a later frame was released; and that one is of no collection.
    let later = ReleasedFrame { position: Position(7), ..frame(&bytes) };
    assert_eq!(item(compare(&[frames(vec![later.clone()])])), claim(0, "released frames"));
    let made_up = compare(&[frames(vec![frame(&bytes), later])]);
    assert_eq!(item(made_up), whole("released frames"));
    let mut others = frames(vec![frame(b"another")]);
    others.released.patient = model::PatientIndex::new(PATIENT + 1).expect("24 bits");
    assert_eq!(compare(&[others]), counts(0, 0, 0));
}

#[test]
fn readings_are_given_erased_at_their_patients_request_or_withheld() {
    let world = World::sound();
    let opening = world.built[0].openings[0].clone();
    let named = NamedOpening { name: "a.opening".to_owned(), opening: opening.clone() };
    let span =
        JournalSpan { after: Position(0), until: world.built[0].file.header.journal_position };
    let collected = |one: &&ClaimOpening| one.claim.kind == ClaimKind::Collect;
    let all = opening.claims.iter().filter(collected).count() as u64;
    assert!(all > 0);
    let account = |erasures: &[NamedErasure]| {
        let given = Readings { released: &[], erasures };
        check::readings(batch(&world), span, &named, given)
    };
    let withheld = ReadingsCounts { given: 0, erased: 0, withheld: all };
    assert_eq!(account(&[]), Ok(withheld));

    let at = opening.operations[0].t_op;
    let request = ErasureRequest {
        scope: a_scope(),
        patient: opening.patient,
        nonce: opening.record.nonce + 1,
        requested_at: at,
        valid_until: at.plus(60_000),
    };
    let sign = |request: ErasureRequest, key: &SecretKey| {
        let hash = field::from_word(&request.signing_hash().expect("valid").word());
        let signature = eddsa::sign(key, hash).encode();
        let signed = SignedErasure { request, public_key: key.public().encode(), signature };
        [NamedErasure { name: "a.erasure".to_owned(), signed }]
    };
    let key = patient_key();
    let erased = ReadingsCounts { given: 0, erased: all, withheld: 0 };
    assert_eq!(account(&sign(request, &key)), Ok(erased));
    // Of somebody else's it says nothing.
    let other = model::PatientIndex::new(PATIENT + 1).expect("24 bits");
    assert_eq!(account(&sign(ErasureRequest { patient: other, ..request }, &key)), Ok(withheld));

    // Signed before the stop: nobody carries it out.
    let early = ErasureRequest { nonce: opening.record.nonce, ..request };
    let number = "number of operations";
    let of = Item::Erasure { file: "a.erasure".to_owned(), part: number };
    assert_eq!(item(account(&sign(early, &key))), of);

    // What no patient signed is no reason to call anything erased.
    let broken = |part| Item::Erasure { file: "a.erasure".to_owned(), part };
    let operator = SecretKey::from_bytes(&[77; 32]);
    assert_eq!(item(account(&sign(request, &operator))), broken("key"));
    let other_chain = ChainScope { chain_id: 9, ..a_scope() };
    let elsewhere = ErasureRequest { scope: other_chain, ..request };
    assert_eq!(item(account(&sign(elsewhere, &key))), broken("deployment"));
    let [mut forged] = sign(request, &key);
    forged.signed.request.nonce += 1;
    assert_eq!(item(account(&[forged])), broken("signature"));
}

#[test]
fn a_broken_opening_shows_nothing_of_what_it_opens() {
    let world = World::sound();
    let mut opening = world.built[0].openings[0].clone();
    opening.claims[0].claim.receipt = Interval::ALWAYS;
    let text = evaluate(&world, &opening).expect_err("another claim").to_string();
    assert_eq!(
        text,
        "batch 1, opening a.opening, claim 0, leaf: expected the claim that is committed there, \
         found another"
    );
}
