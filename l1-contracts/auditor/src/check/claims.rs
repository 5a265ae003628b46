//! The C2 chunks of a batch, folded as the contract folds them.

use ark_bn254::Fr;
use model::{BatchHeader, Word};
use statement::batch::ClaimsChunk;
use statement::c2::Capacity;
use statement::claim::root16;
use statement::domain::Domain;
use statement::field::{from_word, to_word};
use statement::inputs::C2Inputs;
use statement::proof::{self, Proof};
use statement::scope::{self, Circuit};

use super::{AcceptedKey, Context, Previous, within};
use crate::Layout;
use crate::broken::{Broken, Item, Show, equal};

pub(super) fn check(
    context: &Context,
    previous: &Previous,
    header: &BatchHeader,
    chunks: &[ClaimsChunk],
) -> Result<(), Broken> {
    let mut edge = Word::ZERO;
    for (number, chunk) in chunks.iter().enumerate() {
        check_chunk(context, previous, header, edge, number, chunk)?;
        edge = chunk.edge_out;
    }
    let (batch, item) = (within(header), Item::Header);
    let sum = |of: fn(&ClaimsChunk) -> u32| counter(chunks.iter().map(of));
    let [access, collect] = [sum(|c| c.access), sum(|c| c.collect)];
    let [break_glass, excluded] = [sum(|c| c.break_glass), sum(|c| c.excluded)];
    equal(batch, item("access claims"), &access, &u64::from(header.access))?;
    equal(batch, item("collect claims"), &collect, &u64::from(header.collect))?;
    equal(batch, item("break-glass claims"), &break_glass, &u64::from(header.break_glass))?;
    equal(batch, item("excluded claims"), &excluded, &u64::from(header.excluded))?;
    let roots: Vec<_> = chunks.iter().map(|c| from_word(&c.claims_root)).collect();
    equal(batch, item("claims root"), &scope::chunk_roots(&roots), &header.claims_root)?;
    match chunks.len() {
        found if found > 0 && access + collect + break_glass + excluded == 0 => {
            let item = Item::File("claims");
            Err(Broken::inside(header.number, item, "no chunk: no claim", found.to_string()))
        }
        _ => Ok(()),
    }
}

fn check_chunk(
    context: &Context,
    previous: &Previous,
    header: &BatchHeader,
    edge_in: Word,
    number: usize,
    chunk: &ClaimsChunk,
) -> Result<(), Broken> {
    let item = |part| Item::Claims { chunk: number, part };
    let batch = within(header);
    let key = accepted(context, header, Circuit::C2, &chunk.key_id, item("key"))?;
    equal(batch, item("leaves"), &key.layout.leaves(), &chunk.leaves.len())?;
    let leaves: Vec<_> = chunk.leaves.iter().map(from_word).collect();
    let root = to_word(&root16(Domain::ClaimsNode, &leaves));
    equal(batch, item("leaves"), &root, &chunk.claims_root)?;
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
    verify(header, key, &inputs.to_field_elements(), &chunk.proof, item("proof"))
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
    equal(within(header), item, &claims, &counted)
}

/// The key with this id, if it is one of this circuit.
pub(super) fn accepted<'c>(
    context: &'c Context,
    header: &BatchHeader,
    circuit: Circuit,
    id: &[u8; 32],
    item: Item,
) -> Result<&'c AcceptedKey, Broken> {
    let key = context.keys.get(id).filter(|key| key.layout.circuit() == circuit as u8);
    key.ok_or_else(|| {
        let expected = format!("the id of an accepted key of circuit {}", circuit as u8);
        Broken::inside(header.number, item, expected, id.show())
    })
}

/// Decodes and verifies one proof.
pub(super) fn verify(
    header: &BatchHeader,
    key: &AcceptedKey,
    inputs: &[Fr],
    bytes: &[u8; Proof::BYTES],
    item: Item,
) -> Result<(), Broken> {
    let held = match Proof::decode(bytes) {
        Err(error) => Err(error.to_string()),
        Ok(proof) => proof::verify(&key.key, inputs, &proof).map_err(|error| error.to_string()),
    };
    held.map_err(|found| {
        let expected = "a proof that holds for the inputs of chain and file";
        Broken::inside(header.number, item, expected, found)
    })
}

pub(super) fn counter(counts: impl IntoIterator<Item = u32>) -> u64 {
    counts.into_iter().map(u64::from).sum()
}
