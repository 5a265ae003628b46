//! The C2 chunks of a batch, folded as the contract folds them.

use model::{BatchHeader, Word};
use statement::batch::ClaimsChunk;
use statement::c2::Capacity;
use statement::claim::root16;
use statement::domain::Domain;
use statement::field::{from_word, to_word};
use statement::inputs::C2Inputs;
use statement::scope::{self, Circuit};

use super::parts::{BatchContext, sum, within};
use super::proofs::{ProofToVerify, find_key};
use crate::Layout;
use crate::broken::{Broken, Item, Show, equal};

const SECTION: &str = "claims";

/// A chunk where it stands in its batch.
#[derive(Clone, Copy)]
struct Place<'a> {
    of: BatchContext<'a>,
    /// Its index in the batch.
    number: usize,
    chunk: &'a ClaimsChunk,
}

impl Place<'_> {
    fn item(&self, part: &'static str) -> Item {
        Item::Claims { chunk: self.number, part }
    }
}

/// Everything but the proofs, which it returns.
pub(super) fn fold<'a>(
    of: BatchContext<'a>,
    chunks: &'a [ClaimsChunk],
) -> Result<Vec<ProofToVerify<'a>>, Broken> {
    let header = of.header;
    // Each chunk proves that it begins behind the last patient and position of the one before, so
    // no claim stands twice in a batch.
    let mut edge = Word::ZERO;
    let mut proofs = Vec::with_capacity(chunks.len());
    for (number, chunk) in chunks.iter().enumerate() {
        proofs.push(fold_chunk(Place { of, number, chunk }, edge)?);
        edge = chunk.edge_out;
    }
    let claims = check_totals(header, chunks)?;
    match chunks.len() {
        // The contract takes none then either: a proof of nothing only costs gas.
        found if found > 0 && claims == 0 => {
            let item = Item::File(SECTION);
            Err(Broken::inside(header.number, item, "no chunk: no claim", found.to_string()))
        }
        _ => Ok(proofs),
    }
}

/// Gives the number of claims.
fn check_totals(header: &BatchHeader, chunks: &[ClaimsChunk]) -> Result<u64, Broken> {
    let item = |part| Item::Total { section: SECTION, part };
    let batch = within(header);
    let total = |of: fn(&ClaimsChunk) -> u32| sum(chunks.iter().map(of));
    let [access, collect] = [total(|c| c.access), total(|c| c.collect)];
    let [break_glass, excluded] = [total(|c| c.break_glass), total(|c| c.excluded)];
    equal(batch, item("access claims"), &u64::from(header.access), &access)?;
    equal(batch, item("collect claims"), &u64::from(header.collect), &collect)?;
    equal(batch, item("break-glass claims"), &u64::from(header.break_glass), &break_glass)?;
    equal(batch, item("excluded claims"), &u64::from(header.excluded), &excluded)?;
    let roots: Vec<_> = chunks.iter().map(|c| from_word(&c.claims_root)).collect();
    equal(batch, item("claims root"), &header.claims_root, &scope::chunk_roots(&roots))?;
    // Excluded claims are counted under their kind as well.
    Ok(access + collect + break_glass)
}

fn fold_chunk<'a>(place: Place<'a>, edge_in: Word) -> Result<ProofToVerify<'a>, Broken> {
    let Place { of: BatchContext { context, previous, header }, chunk, .. } = place;
    let item = |part| place.item(part);
    let batch = within(header);
    let key = find_key(place.of, Circuit::C2, &chunk.key_id, item("key"))?;
    // The number of leaves first: a root alone does not bind the length of its list.
    equal(batch, item("number of leaves"), &key.layout.leaves(), &chunk.leaves.len())?;
    let leaves: Vec<_> = chunk.leaves.iter().map(from_word).collect();
    let root = to_word(&root16(Domain::ClaimsNode, &leaves));
    equal(batch, item("root of the leaves"), &chunk.claims_root, &root)?;
    if let Layout::Claims(capacity) = key.layout {
        check_slots(&place, capacity)?;
    }
    // The inputs come from chain and leaves alone. A prover's word for them would prove nothing.
    let inputs = C2Inputs {
        root: from_word(&header.root_out),
        t0: header.window.t0(),
        t1: header.window.t1(),
        claims_root: from_word(&chunk.claims_root),
        access: chunk.access,
        collect: chunk.collect,
        break_glass: chunk.break_glass,
        excluded: chunk.excluded,
        edge_in: from_word(&edge_in),
        edge_out: from_word(&chunk.edge_out),
        // The bounds of the batch, for every chunk: between chunks the edges keep the order
        // (C2.21).
        position_in: previous.position,
        position_out: header.journal_position,
        domain: scope::domain(context.scope, Circuit::C2, header.key_version, header.number),
    };
    let inputs = inputs.to_field_elements().to_vec();
    Ok(ProofToVerify { key: &key.key, inputs, bytes: &chunk.proof, item: item("proof") })
}

/// As many claims as are counted, and a tag where there is a claim and nowhere else.
fn check_slots(place: &Place<'_>, capacity: Capacity) -> Result<(), Broken> {
    let Place { of: BatchContext { header, .. }, number, chunk } = *place;
    let row = capacity.claims_per_slot + 1;
    let mut claims = 0;
    for (slot, leaves) in chunk.leaves.chunks_exact(row).enumerate() {
        let (tag, slot_claims) = (&leaves[row - 1], &leaves[..row - 1]);
        let present = slot_claims.iter().filter(|leaf| !leaf.is_zero()).count();
        if tag.is_zero() != (present == 0) {
            // A tag without claims would show a patient where there is none; claims without a tag
            // could not be found by theirs.
            let item = Item::ClaimLeaf { chunk: number, leaf: slot * row + row - 1 };
            let expected = "a tag if and only if the slot has claims";
            return Err(Broken::inside(header.number, item, expected, tag.show()));
        }
        claims += present as u64;
    }
    // That they are of these kinds is proven (C2.18); how many there are the leaves show.
    let counted = sum([chunk.access, chunk.collect, chunk.break_glass]);
    equal(within(header), place.item("claims"), &counted, &claims)
}
