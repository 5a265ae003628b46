//! One public file against its header, and the deployment file against the chain.

use ark_bn254::Fq;
use ark_ff::{BigInteger as _, PrimeField as _};
use auditor::Item;
use auditor::check;
use l1_contracts::SetupKind;
use model::{BatchHeader, Word, limits};
use statement::batch::{GroupSummary, PublicFile};
use statement::inputs::C2Inputs;

use crate::world::{Forge, Plan, Prove, World, deployment, item, word};

#[test]
fn sound_batches_hold_and_the_proofs_are_counted() {
    let world = World::sound();
    let proofs: Vec<u64> = (0..3)
        .map(|at| {
            let bytes = world.built[at].file.to_bytes();
            world.check_as_patient(at, &bytes).expect("the patient agrees");
            world.check(at, &bytes).expect("sound").proofs
        })
        .collect();
    assert_eq!(proofs, [5, 1, 0]);
}

/// Sections of a public file, in order, by their first byte.
const FORMAT: usize = 8;

struct Sections {
    operations: usize,
    claims: usize,
    segments: usize,
    groups: usize,
    end: usize,
}

fn sections(file: &PublicFile) -> Sections {
    let bytes = |file: &PublicFile| file.to_bytes().len();
    let mut part = file.clone();
    part.groups.clear();
    let groups = bytes(&part) - 4;
    part.segments.clear();
    let segments = bytes(&part) - 8;
    part.claims.clear();
    let claims = bytes(&part) - 12;
    let operations = FORMAT + BatchHeader::BYTES;
    Sections { operations, claims, segments, groups, end: bytes(file) }
}

/// Whether `item` is one of the section that holds byte `at`.
fn names_the_section(item: &Item, at: usize, sections: &Sections) -> bool {
    let Sections { operations, claims, segments, groups, .. } = *sections;
    // A wrong count shifts all that follows, so what does not decode then may be any section.
    let counts = [operations, claims, segments, groups];
    if counts.iter().any(|count| (*count..count + 4).contains(&at)) {
        return matches!(item, Item::File(_) | Item::Total { .. } | Item::Journal(_));
    }
    match item {
        Item::File("format") => at < FORMAT,
        Item::File("header") | Item::Header(_) => (FORMAT..operations).contains(&at),
        Item::File("operations") | Item::Operations { .. } => (operations..claims).contains(&at),
        Item::Total { section: "operations", .. } => (operations..claims).contains(&at),
        Item::File("claims") | Item::Claims { .. } => (claims..segments).contains(&at),
        Item::Total { section: "claims", .. } => (claims..segments).contains(&at),
        Item::ClaimLeaf { .. } => (claims..segments).contains(&at),
        Item::File("segments") => (segments..groups).contains(&at),
        Item::File("groups") | Item::Group { .. } | Item::Journal(_) => at >= groups,
        _ => false,
    }
}

#[test]
fn every_changed_byte_of_a_public_file_is_named_in_its_section() {
    let world = World::sound();
    let file = &world.built[0].file;
    let (bytes, sections) = (file.to_bytes(), sections(file));
    assert_eq!(sections.end, bytes.len());
    // Proof bytes are denser than they need be tried: half of them cost a pairing each.
    let proofs = proof_bytes(file, &bytes);
    let thinned = |at: &usize| proofs.iter().any(|p| p.contains(at)) && !at.is_multiple_of(5);
    for at in (0..bytes.len()).filter(|at| !thinned(at)) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let found = world.broken_item(0, &changed);
        assert!(names_the_section(&found, at, &sections), "byte {at} was named {found}");
    }
}

fn proof_bytes(file: &PublicFile, bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let operations = file.operations.iter().map(|chunk| chunk.proof);
    let proofs = operations.chain(file.claims.iter().map(|chunk| chunk.proof));
    let place = |proof: [u8; 256]| bytes.windows(256).position(|window| window == proof);
    proofs.filter_map(place).map(|start| start..start + 256).collect()
}

/// The negative of a coordinate in 32 bytes.
fn negated(coordinate: &[u8]) -> Vec<u8> {
    let negative = -Fq::from_be_bytes_mod_order(coordinate);
    negative.into_bigint().to_bytes_be()
}

#[test]
fn a_proof_in_another_form_proves_the_same_and_holds() {
    let world = World::sound();
    let mut file = world.built[0].file.clone();
    let proof = &mut file.claims[0].proof;
    // (-A, -B, C): the ordinate of A, and both halves of that of B.
    for at in [32, 128, 160] {
        let coordinate = negated(&proof[at..at + 32]);
        proof[at..at + 32].copy_from_slice(&coordinate);
    }
    assert_ne!(file, world.built[0].file);
    world.check(0, &file.to_bytes()).expect("the statement is the same");
    // (-A, B, C) is the form of nothing.
    let ordinate = negated(&file.claims[0].proof[32..64]);
    file.claims[0].proof[32..64].copy_from_slice(&ordinate);
    assert_eq!(world.broken_item(0, &file.to_bytes()), Item::Claims { chunk: 0, part: "proof" });
}

#[test]
fn every_truncation_and_a_byte_too_many_are_refused_with_their_section() {
    let world = World::sound();
    let bytes = world.built[0].file.to_bytes();
    for len in (0..bytes.len()).step_by(7) {
        assert!(matches!(world.broken_item(0, &bytes[..len]), Item::File(_)), "{len} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(world.broken_item(0, &longer), Item::File("groups"));
}

/// Changes the file of the first batch, header untouched, and gives the broken item.
fn changed(change: impl FnOnce(&mut PublicFile)) -> Item {
    let world = World::sound();
    let mut file = world.built[0].file.clone();
    change(&mut file);
    world.broken_item(0, &file.to_bytes())
}

#[test]
fn a_list_of_another_length_or_with_a_misplaced_tag_is_named() {
    let part = "number of leaves";
    assert_eq!(
        changed(|file| file.claims[1].leaves.push(word(0))),
        Item::Claims { chunk: 1, part }
    );
    assert_eq!(
        changed(|file| file.operations[0].leaves.clear()),
        Item::Operations { chunk: 0, part }
    );
    let part = "root of the leaves";
    assert_eq!(changed(|file| file.claims[0].leaves.swap(0, 1)), Item::Claims { chunk: 0, part });
}

#[test]
fn chunks_under_the_wrong_key_or_in_another_order_are_named() {
    let found = changed(|file| file.claims[0].key_id = file.operations[0].key_id);
    assert_eq!(found, Item::Claims { chunk: 0, part: "key" });
    // Under the other key of claims the chunk has other leaves.
    let found = changed(|file| file.claims[0].key_id = file.claims[1].key_id);
    assert_eq!(found, Item::Claims { chunk: 0, part: "number of leaves" });
    let found = changed(|file| file.operations.swap(0, 1));
    assert_eq!(found, Item::Total { section: "operations", part: "operations root" });
    let found = changed(|file| file.claims.swap(0, 1));
    assert_eq!(found, Item::Total { section: "claims", part: "claims root" });
    let found = changed(|file| file.claims[0].proof = file.claims[1].proof);
    assert_eq!(found, Item::Claims { chunk: 0, part: "proof" });
}

/// The broken item of the first batch of an operator whose key proves whatever it likes.
fn forged(chunk: fn(&mut C2Inputs, &mut Vec<Word>)) -> Item {
    let world = World::of(&Plan { chunk: Some(chunk), ..Plan::default() });
    let bytes = world.built[0].file.to_bytes();
    // Headers and files of a liar agree with each other: the patient must see it in the lists.
    assert!(world.check_as_patient(0, &bytes).is_err());
    item(world.check(0, &bytes))
}

#[test]
fn even_under_forged_proofs_leaves_tags_and_counters_must_agree() {
    let found = forged(|_, leaves| *leaves.last_mut().expect("a tag") = word(0));
    assert_eq!(found, Item::ClaimLeaf { chunk: 0, leaf: 4 });
    let found = forged(|inputs, _| inputs.access += 1);
    assert_eq!(found, Item::Claims { chunk: 0, part: "claims" });
    let found = forged(|inputs, leaves| {
        leaves.fill(word(0));
        (inputs.access, inputs.collect) = (0, 0);
        (inputs.break_glass, inputs.excluded) = (0, 0);
    });
    assert_eq!(found, Item::File("claims"));
}

#[test]
fn a_file_beyond_the_limit_is_refused_by_its_size() {
    let world = World::sound();
    let bytes = vec![0; limits::BATCH_FILE_BYTES_MAX + 1];
    assert_eq!(world.broken_item(0, &bytes), Item::File("size"));
}

#[test]
fn journal_groups_must_be_contiguous_give_the_journal_hash_and_hold_the_close() {
    let found = changed(|file| file.groups[1].number = 3);
    assert_eq!(found, Item::Group { index: 1, part: "number" });
    let found = changed(|file| file.groups[1].first.0 = 6);
    assert_eq!(found, Item::Group { index: 1, part: "first position" });
    let found = changed(|file| file.groups[0].last.0 = 0);
    assert_eq!(found, Item::Group { index: 0, part: "last position" });
    let found = changed(|file| file.groups[0].content[0] ^= 1);
    assert_eq!(found, Item::Journal("hash after the groups"));
    let found = changed(|file| file.groups.truncate(1));
    assert_eq!(found, Item::Journal("hash after the groups"));
}

#[test]
fn a_loss_that_was_accepted_is_counted_and_half_a_jump_is_named() {
    // Group 3 begins batch 2 and holds positions 9 to 14, its close at 12 among them.
    let gaps = |group| {
        let world = World::of(&Plan { group: Some(group), ..Plan::default() });
        world.check(1, &world.built[1].file.to_bytes()).map(|summary| summary.gaps)
    };
    assert_eq!(gaps(|_| {}).expect("sound"), 0);
    let both = |group: &mut GroupSummary| {
        if group.number == 3 {
            (group.number, group.first.0) = (1_048_579, 10);
        }
    };
    assert_eq!(gaps(both).expect("a loss"), 1);
    let number_alone = |group: &mut GroupSummary| {
        if group.number == 3 {
            group.number = 1_048_579;
        }
    };
    assert_eq!(item(gaps(number_alone)), Item::Group { index: 0, part: "number" });
    let position_alone = |group: &mut GroupSummary| {
        if group.number == 3 {
            group.first.0 = 10;
        }
    };
    assert_eq!(item(gaps(position_alone)), Item::Group { index: 0, part: "first position" });
    let too_far = |group: &mut GroupSummary| {
        if group.number == 3 {
            (group.number, group.first.0) = (3 + (1 << 28), 10);
        }
    };
    assert_eq!(item(gaps(too_far)), Item::Group { index: 0, part: "number" });
}

#[test]
fn a_close_that_no_group_holds_is_named() {
    let mut world = World::sound();
    world.built[2].file.header.journal_position.0 = 15;
    let bytes = world.built[2].file.to_bytes();
    assert_eq!(item(world.check(2, &bytes)), Item::Journal("last group"));
}

#[test]
fn a_file_of_another_batch_is_named_by_the_header() {
    let world = World::sound();
    let other = world.built[1].file.to_bytes();
    assert_eq!(world.broken_item(0, &other), Item::Header("number"));
}

#[test]
fn the_private_file_is_known_from_outside() {
    let world = World::sound();
    let built = &world.built[0];
    let header = &built.file.header;
    assert_eq!(check::private_file(header, &built.private), Ok(()));
    let longer = [&built.private[..], &[0]].concat();
    assert_eq!(item(check::private_file(header, &longer)), Item::PrivateFile("length"));
    let mut other = built.private.clone();
    other[20] ^= 1;
    assert_eq!(item(check::private_file(header, &other)), Item::PrivateFile("hash"));
}

#[test]
fn each_constant_of_the_deployment_file_is_compared_with_the_chain() {
    type Change = fn(&mut check::OnChain);
    let changes: [(&str, Change); 5] = [
        ("sequencer", |chain| chain.sequencer.0[0] ^= 1),
        ("registrar", |chain| chain.registrar = word(1)),
        ("receipt signer", |chain| chain.receipt_signer.0[0] ^= 1),
        ("runtime code", |chain| chain.runtime_hash[0] ^= 1),
        ("genesis time", |chain| chain.genesis_time += 1),
    ];
    for (part, change) in changes {
        let (file, mut chain) = deployment(Forge::new().keys());
        change(&mut chain);
        assert_eq!(item(check::deployment(&file, &chain)), Item::Deployment(part));
    }
    assert_eq!(item(check::contract_code(false)), Item::Deployment("contract code"));
    let (mut file, chain) = deployment(Forge::new().keys());
    file.code_hash.0[0] ^= 1;
    assert_eq!(item(check::deployment(&file, &chain)), Item::Deployment("code hash"));
}

#[test]
fn replaced_keys_and_keys_of_another_setup_are_named() {
    let key = |part| Item::Key { shape: "c2-test".to_owned(), part };
    let (file, mut chain) = deployment(Forge::new().keys());
    chain.keys[1].key = Forge::other_key();
    assert_eq!(item(check::deployment(&file, &chain)), key("id"));

    let [c1, _, small] = Forge::new().keys();
    let (file, chain) = deployment([c1, Forge::foreign_key(), small]);
    assert_eq!(item(check::deployment(&file, &chain)), key("alpha, beta and gamma"));

    let (file, mut chain) = deployment(Forge::new().keys());
    chain.keys[1].code.0[0] ^= 1;
    assert_eq!(item(check::deployment(&file, &chain)), key("code address"));
    let (file, mut chain) = deployment(Forge::new().keys());
    chain.keys[1].circuit = 1;
    assert_eq!(item(check::deployment(&file, &chain)), key("circuit"));

    let (mut file, mut chain) = deployment(Forge::new().keys());
    file.keys.truncate(1);
    chain.keys.truncate(1);
    assert_eq!(item(check::deployment(&file, &chain)), Item::Deployment("keys"));
    let (mut file, chain) = deployment(Forge::new().keys());
    file.keys[1].shape = "c2-huge".to_owned();
    let expected = Item::Key { shape: "c2-huge".to_owned(), part: "shape" };
    assert_eq!(item(check::deployment(&file, &chain)), expected);
}

#[test]
fn keys_that_a_constructor_let_pass_are_linted_again() {
    let [c1, _, small] = Forge::new().keys();
    for (key, part) in [(Forge::short_key(), "public inputs"), (Forge::gamma_key(), "delta")] {
        let (file, chain) = deployment([c1.clone(), key, small.clone()]);
        let expected = Item::Key { shape: "c2-test".to_owned(), part };
        assert_eq!(item(check::deployment(&file, &chain)), expected);
    }
    for keys in [Forge::new().keys(), Forge::negated_keys()] {
        let (mut file, chain) = deployment(keys);
        file.chain_id = 1;
        let file = file.fingerprinted().expect("sound fields");
        let expected = Item::Key { shape: "c1-test".to_owned(), part: "setup" };
        assert_eq!(item(check::deployment(&file, &chain)), expected);
    }
}

#[test]
fn the_fingerprint_is_that_of_the_chain() {
    let (mut file, chain) = deployment(Forge::new().keys());
    let context = check::deployment(&file, &chain).expect("sound");
    assert_eq!(context.fingerprint, file.fingerprint);
    file.fingerprint = Default::default();
    assert_eq!(item(check::deployment(&file, &chain)), Item::Deployment("fingerprint"));
}

#[test]
fn a_development_key_is_flagged_and_cannot_pass_for_a_ceremony() {
    let (mut file, chain) = deployment(Forge::new().keys());
    assert!(check::deployment(&file, &chain).expect("sound").dev_insecure);
    file.setup = SetupKind::Ceremony;
    let expected = Item::Key { shape: "c1-test".to_owned(), part: "setup" };
    assert_eq!(item(check::deployment(&file, &chain)), expected);
    let (file, chain) = deployment(Forge::negated_keys());
    assert!(check::deployment(&file, &chain).expect("sound").dev_insecure);
}
