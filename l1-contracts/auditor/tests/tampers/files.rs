//! Public files that are not what their header says, and some that hold although they look odd.

use ark_bn254::Fq;
use ark_ff::{BigInteger as _, PrimeField as _};
use auditor::Item;
use model::BatchHeader;
use serde_json::{Value, json};
use statement::batch::{GroupSummary, PublicFile};

use super::{Pool, sentence, splice};
use crate::world::{Plan, World, word};

/// A file of a story, changed after it was made or made by an operator who lies.
struct Row {
    name: &'static str,
    plan: Plan,
    batch: usize,
    change: fn(&mut PublicFile),
    /// Changes what the chain has as well.
    settle: fn(&mut BatchHeader),
    patient: Patient,
    expected: Option<Item>,
}

/// What the patient's program must say of the same file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patient {
    /// It refuses what differs from the sound file in anything that it reads.
    Compares,
    /// It refuses the file.
    Refuses,
    /// It is not asked.
    Absent,
}

pub(super) fn rows(pool: &mut Pool) -> Vec<Value> {
    let rows = [lists(), chunks(), proofs(), journal(), forged(), losses(), others()];
    rows.into_iter().flatten().map(|row| play(&row, pool)).collect()
}

fn play(row: &Row, pool: &mut Pool) -> Value {
    let Row { name, batch, .. } = *row;
    let mut world = World::of(&row.plan);
    let made = world.built.iter().map(|built| hex::encode(built.file.to_bytes())).collect();
    let sound = world.built[batch].file.to_bytes();
    let mut file = world.built[batch].file.clone();
    (row.change)(&mut file);
    (row.settle)(&mut file.header);
    (row.settle)(&mut world.built[batch].file.header);
    let bytes = file.to_bytes();
    let found = world.check(batch, &bytes);
    assert_eq!(found.as_ref().err().map(|broken| &broken.item), row.expected.as_ref(), "{name}");
    match row.patient {
        Patient::Compares => drop(world.broken_item(batch, &bytes)),
        Patient::Refuses => assert!(world.check_as_patient(batch, &bytes).is_err(), "{name}"),
        Patient::Absent => {}
    }
    json!({
        "name": name,
        "world": pool.world(made),
        "batch": batch,
        "header": hex::encode(world.built[batch].file.header.to_bytes()),
        "splice": splice(&sound, &bytes),
        "broken": sentence(&found),
        "proofs": found.as_ref().ok().map(|summary| summary.proofs),
        "gaps": found.as_ref().ok().map(|summary| summary.gaps),
    })
}

/// A change of the first sound file.
fn changed(name: &'static str, expected: Item, change: fn(&mut PublicFile)) -> Row {
    Row { expected: Some(expected), patient: Patient::Compares, change, ..sound(name, 0) }
}

fn sound(name: &'static str, batch: usize) -> Row {
    Row {
        name,
        plan: Plan::default(),
        batch,
        change: |_| {},
        settle: |_| {},
        patient: Patient::Absent,
        expected: None,
    }
}

fn lists() -> Vec<Row> {
    let part = "number of leaves";
    vec![
        sound("the first batch as it is", 0),
        sound("the second batch as it is", 1),
        sound("an empty batch as it is", 2),
        changed("a leaf too many", Item::Claims { chunk: 1, part }, |file| {
            file.claims[1].leaves.push(word(0));
        }),
        changed("no leaf at all", Item::Operations { chunk: 0, part }, |file| {
            file.operations[0].leaves.clear();
        }),
        changed(
            "two leaves exchanged",
            Item::Claims { chunk: 0, part: "root of the leaves" },
            |file| file.claims[0].leaves.swap(0, 1),
        ),
    ]
}

fn chunks() -> Vec<Row> {
    let key = Item::Claims { chunk: 0, part: "key" };
    let number = Item::Claims { chunk: 0, part: "number of leaves" };
    let operations = Item::Total { section: "operations", part: "operations root" };
    let claims = Item::Total { section: "claims", part: "claims root" };
    let proof = Item::Claims { chunk: 0, part: "proof" };
    vec![
        changed("claims under a key of operations", key, |file| {
            file.claims[0].key_id = file.operations[0].key_id;
        }),
        // Under the other key of claims the chunk has other leaves.
        changed("claims under the key of another shape", number, |file| {
            file.claims[0].key_id = file.claims[1].key_id;
        }),
        changed("chunks of operations exchanged", operations, |file| file.operations.swap(0, 1)),
        changed("chunks of claims exchanged", claims, |file| file.claims.swap(0, 1)),
        changed("the proof of another chunk", proof, |file| {
            file.claims[0].proof = file.claims[1].proof;
        }),
    ]
}

/// The negative of a coordinate in 32 bytes.
fn negate(coordinate: &mut [u8]) {
    let negative = -Fq::from_be_bytes_mod_order(coordinate);
    coordinate.copy_from_slice(&negative.into_bigint().to_bytes_be());
}

fn proofs() -> Vec<Row> {
    let another_form = |file: &mut PublicFile| {
        let proof = &mut file.claims[0].proof;
        // (-A, -B, C): the ordinate of A, and both halves of that of B.
        [32, 128, 160].into_iter().for_each(|at| negate(&mut proof[at..at + 32]));
    };
    let proof = Item::Claims { chunk: 0, part: "proof" };
    let time_out = Item::Operations { chunk: 2, part: "time out" };
    vec![
        Row { change: another_form, ..sound("a proof in another form proves the same", 0) },
        changed("a proof of which one point is negated", proof.clone(), |file| {
            negate(&mut file.claims[0].proof[32..64]);
        }),
        changed("a proof that is infinity", proof.clone(), |file| file.claims[0].proof.fill(0)),
        changed("a proof with a coordinate that is not reduced", proof, |file| {
            file.claims[0].proof[..32].fill(0xff);
        }),
        Row {
            patient: Patient::Absent,
            ..changed("a time beyond 44 bits", time_out, |file| {
                file.operations[2].time_out = 1 << 44;
            })
        },
    ]
}

fn journal() -> Vec<Row> {
    let group = |index, part| Item::Group { index, part };
    let hash = Item::Journal("hash after the groups");
    vec![
        changed("a number that jumps", group(1, "number"), |file| file.groups[1].number = 3),
        changed("a position that jumps", group(1, "first position"), |file| {
            file.groups[1].first.0 = 6;
        }),
        changed("a group that ends before it begins", group(0, "last position"), |file| {
            file.groups[0].last.0 = 0;
        }),
        changed("other content of a group", hash.clone(), |file| file.groups[0].content[0] ^= 1),
        changed("a group left out", hash, |file| file.groups.truncate(1)),
    ]
}

/// What an operator publishes whose key proves whatever it likes: headers and files agree with each
/// other, so that the lists alone show it.
fn forged() -> Vec<Row> {
    let lies = |name, plan, expected| Row {
        plan,
        patient: Patient::Refuses,
        expected: Some(expected),
        ..sound(name, 0)
    };
    let no_tag = Plan {
        chunk: Some(|_, leaves| *leaves.last_mut().expect("a tag") = word(0)),
        ..Plan::default()
    };
    let count = Plan { chunk: Some(|inputs, _| inputs.access += 1), ..Plan::default() };
    let nothing = Plan {
        chunk: Some(|inputs, leaves| {
            leaves.fill(word(0));
            (inputs.access, inputs.collect) = (0, 0);
            (inputs.break_glass, inputs.excluded) = (0, 0);
        }),
        ..Plan::default()
    };
    vec![
        lies("claims without a tag, proven", no_tag, Item::ClaimLeaf { chunk: 0, leaf: 4 }),
        lies("a claim too many counted, proven", count, Item::Claims { chunk: 0, part: "claims" }),
        lies("chunks of nothing, proven", nothing, Item::File("claims")),
    ]
}

/// Group 3 begins batch 2 and holds positions 9 to 14, its close at 12 among them.
fn losses() -> Vec<Row> {
    let loses = |name, group, part: Option<&'static str>| Row {
        plan: Plan { group: Some(group), ..Plan::default() },
        expected: part.map(|part| Item::Group { index: 0, part }),
        ..sound(name, 1)
    };
    let both: fn(&mut GroupSummary) = |group| third(group, 1_048_579, 10);
    let number: fn(&mut GroupSummary) = |group| third(group, 1_048_579, 9);
    let position: fn(&mut GroupSummary) = |group| third(group, 3, 10);
    let too_far: fn(&mut GroupSummary) = |group| third(group, 3 + (1 << 28), 10);
    vec![
        loses("a loss that was accepted", both, None),
        loses("a number that jumps alone", number, Some("number")),
        loses("a position that jumps alone", position, Some("first position")),
        loses("a jump beyond what a batch may advance", too_far, Some("number")),
    ]
}

/// Renames and moves the third group.
fn third(group: &mut GroupSummary, number: u64, first: u64) {
    if group.number == 3 {
        (group.number, group.first.0) = (number, first);
    }
}

fn others() -> Vec<Row> {
    vec![
        Row {
            settle: |header| header.journal_position.0 = 15,
            expected: Some(Item::Journal("last group")),
            ..sound("a close that no group holds", 2)
        },
        changed("the header of another batch", Item::Header("number"), |file| {
            file.header.number.0 = 2;
        }),
        changed("another private file", Item::Header("ciphertext hash"), |file| {
            file.header.ciphertext_hash[31] ^= 1;
        }),
        changed("segments left out", Item::File("segments"), |file| file.segments.clear()),
    ]
}
