//! Every byte of a public file changed, and the file cut everywhere: each is named in its section.

use auditor::Item;
use model::BatchHeader;
use serde_json::{Value, json};
use statement::batch::PublicFile;

use super::Pool;
use crate::world::World;

/// Of the bytes of proofs only each fifth is tried: they are denser than they need be tried.
const PROOF_STEP: usize = 5;
const CUT_STEP: usize = 7;

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

fn proof_bytes(file: &PublicFile, bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let operations = file.operations.iter().map(|chunk| chunk.proof);
    let proofs = operations.chain(file.claims.iter().map(|chunk| chunk.proof));
    let place = |proof: [u8; 256]| bytes.windows(256).position(|window| window == proof);
    proofs.filter_map(place).map(|start| start..start + 256).collect()
}

pub(super) fn rows(pool: &mut Pool) -> Value {
    let world = World::sound();
    let made = world.built.iter().map(|built| hex::encode(built.file.to_bytes())).collect();
    let file = &world.built[0].file;
    let (bytes, sections) = (file.to_bytes(), sections(file));
    assert_eq!(sections.end, bytes.len());
    let proofs = proof_bytes(file, &bytes);
    let thinned =
        |at: &usize| proofs.iter().any(|p| p.contains(at)) && !at.is_multiple_of(PROOF_STEP);
    let changed = (0..bytes.len()).filter(|at| !thinned(at)).map(|at| {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let found = world.broken_item(0, &changed);
        assert!(names_the_section(&found, at, &sections), "byte {at} was named {found}");
        (at, found)
    });
    let changed = runs(changed);
    let cut = (0..bytes.len()).step_by(CUT_STEP).map(|len| {
        let found = world.broken_item(0, &bytes[..len]);
        assert!(matches!(found, Item::File(_)), "{len} bytes");
        (len, found)
    });
    let cut = runs(cut);
    let longer = world.broken_item(0, &[&bytes[..], &[0]].concat());
    assert_eq!(longer, Item::File("groups"));
    json!({
        "world": pool.world(made),
        "batch": 0,
        "proofs": proofs.iter().map(|proof| [proof.start, proof.end]).collect::<Vec<_>>(),
        "proof_step": PROOF_STEP,
        "changed": changed,
        "cut_step": CUT_STEP,
        "cut": cut,
        "longer": longer.to_string(),
    })
}

/// What follows each other under one name: first place, last place, name.
fn runs(found: impl Iterator<Item = (usize, Item)>) -> Vec<Value> {
    let mut runs: Vec<(usize, usize, String)> = Vec::new();
    for (at, item) in found {
        let name = item.to_string();
        match runs.last_mut().filter(|run| run.2 == name) {
            Some(run) => run.1 = at,
            None => runs.push((at, at, name)),
        }
    }
    runs.into_iter().map(|(first, last, item)| json!([first, last, item])).collect()
}
