//! The C2 chunks of a batch, folded as the contract folds them.

use model::{BatchHeader, Word};
use statement::batch::ClaimsChunk;
use statement::c2::Capacity;
use statement::claim::root16;
use statement::domain::Domain;
use statement::field::{from_word, to_word};
use statement::inputs::C2Inputs;
use statement::scope::{self, Circuit};

use super::proofs::{ProofToVerify, accepted};
use super::{Context, Previous, counter, within};
use crate::Layout;
use crate::broken::{Broken, Item, Show, equal};

const SECTION: &str = "claims";

/// Everything but the proofs, which it returns.
pub(super) fn fold<'a>(
    context: &'a Context,
    previous: &Previous,
    header: &BatchHeader,
    chunks: &'a [ClaimsChunk],
) -> Result<Vec<ProofToVerify<'a>>, Broken> {
    let mut edge = Word::ZERO;
    let mut proofs = Vec::with_capacity(chunks.len());
    for (number, chunk) in chunks.iter().enumerate() {
        proofs.push(fold_chunk(context, previous, header, edge, number, chunk)?);
        edge = chunk.edge_out;
    }
    let claims = totals(header, chunks)?;
    match chunks.len() {
        found if found > 0 && claims == 0 => {
            let item = Item::File(SECTION);
            Err(Broken::inside(header.number, item, "no chunk: no claim", found.to_string()))
        }
        _ => Ok(proofs),
    }
}

/// Gives the number of claims.
fn totals(header: &BatchHeader, chunks: &[ClaimsChunk]) -> Result<u64, Broken> {
    let item = |part| Item::Total { section: SECTION, part };
    let batch = within(header);
    let sum = |of: fn(&ClaimsChunk) -> u32| counter(chunks.iter().map(of));
    let [access, collect] = [sum(|c| c.access), sum(|c| c.collect)];
    let [break_glass, excluded] = [sum(|c| c.break_glass), sum(|c| c.excluded)];
    equal(batch, item("access claims"), &u64::from(header.access), &access)?;
    equal(batch, item("collect claims"), &u64::from(header.collect), &collect)?;
    equal(batch, item("break-glass claims"), &u64::from(header.break_glass), &break_glass)?;
    equal(batch, item("excluded claims"), &u64::from(header.excluded), &excluded)?;
    let roots: Vec<_> = chunks.iter().map(|c| from_word(&c.claims_root)).collect();
    equal(batch, item("claims root"), &header.claims_root, &scope::chunk_roots(&roots))?;
    Ok(access + collect + break_glass)
}

fn fold_chunk<'a>(
    context: &'a Context,
    previous: &Previous,
    header: &BatchHeader,
    edge_in: Word,
    number: usize,
    chunk: &'a ClaimsChunk,
) -> Result<ProofToVerify<'a>, Broken> {
    let item = |part| Item::Claims { chunk: number, part };
    let batch = within(header);
    let key = accepted(context, header, Circuit::C2, &chunk.key_id, item("key"))?;
    equal(batch, item("number of leaves"), &key.layout.leaves(), &chunk.leaves.len())?;
    let leaves: Vec<_> = chunk.leaves.iter().map(from_word).collect();
    let root = to_word(&root16(Domain::ClaimsNode, &leaves));
    equal(batch, item("root of the leaves"), &chunk.claims_root, &root)?;
    if let Layout::Claims(capacity) = key.layout {
        slots(header, capacity, number, chunk)?;
    }
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
        position_in: previous.position,
        position_out: header.journal_position,
        domain: scope::domain(context.scope, Circuit::C2, header.key_version, header.number),
    };
    let inputs = inputs.to_field_elements().to_vec();
    Ok(ProofToVerify { key: &key.key, inputs, bytes: &chunk.proof, item: item("proof") })
}

/// As many claims as are counted, and a tag where there is a claim and nowhere else.
fn slots(
    header: &BatchHeader,
    capacity: Capacity,
    number: usize,
    chunk: &ClaimsChunk,
) -> Result<(), Broken> {
    let row = capacity.claims_per_slot + 1;
    let mut claims = 0;
    for (slot, leaves) in chunk.leaves.chunks_exact(row).enumerate() {
        let (tag, slot_claims) = (&leaves[row - 1], &leaves[..row - 1]);
        let present = slot_claims.iter().filter(|leaf| !leaf.is_zero()).count();
        if tag.is_zero() != (present == 0) {
            let item = Item::ClaimLeaf { chunk: number, leaf: slot * row + row - 1 };
            let expected = "a tag if and only if the slot has claims";
            return Err(Broken::inside(header.number, item, expected, tag.show()));
        }
        claims += present as u64;
    }
    let counted = counter([chunk.access, chunk.collect, chunk.break_glass]);
    let item = Item::Claims { chunk: number, part: "claims" };
    equal(within(header), item, &counted, &claims)
}
