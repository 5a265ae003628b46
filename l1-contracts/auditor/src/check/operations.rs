//! The C1 chunks of a batch, folded as the contract folds them.

use model::{BatchHeader, Millis, Word};
use statement::batch::OperationsChunk;
use statement::claim::root16;
use statement::domain::Domain;
use statement::field::{from_word, to_word};
use statement::inputs::C1Inputs;
use statement::scope::{self, Circuit};

use super::parts::{BatchContext, sum, within};
use super::proofs::{ProofToVerify, find_key};
use crate::broken::{Broken, Item, equal};

const SECTION: &str = "operations";

/// Where the next chunk begins.
struct Fold {
    root: Word,
    time: Millis,
}

/// Everything but the proofs, which it returns.
pub(super) fn fold<'a>(
    of: BatchContext<'a>,
    chunks: &'a [OperationsChunk],
) -> Result<Vec<ProofToVerify<'a>>, Broken> {
    let header = of.header;
    // Where the batch begins: each chunk goes on from the root and time of the one before (C1.2).
    let mut at = Fold { root: header.root_in, time: header.window.t0() };
    let mut proofs = Vec::with_capacity(chunks.len());
    for (number, chunk) in chunks.iter().enumerate() {
        let proof;
        (proof, at) = fold_chunk(of, at, number, chunk)?;
        proofs.push(proof);
    }
    check_totals(header, chunks, &at)?;
    // The contract takes no chunk then either: a proof of nothing only costs gas.
    let idle = header.operations == 0 && header.root_in == header.root_out;
    match chunks.len() {
        found if found > 0 && idle => {
            let item = Item::File(SECTION);
            Err(Broken::inside(header.number, item, "no chunk: nothing changed", found.to_string()))
        }
        _ => Ok(proofs),
    }
}

fn check_totals(
    header: &BatchHeader,
    chunks: &[OperationsChunk],
    end: &Fold,
) -> Result<(), Broken> {
    let item = |part| Item::Total { section: SECTION, part };
    let batch = within(header);
    // Each proof speaks of its own two roots: that the last is the header's is said only here. Of a
    // batch without a chunk it says that the root stays.
    equal(batch, item("root out"), &header.root_out, &end.root)?;
    let total = |of: fn(&OperationsChunk) -> u32| sum(chunks.iter().map(of));
    equal(batch, item("operations"), &u64::from(header.operations), &total(|c| c.operations))?;
    equal(batch, item("enrolments"), &u64::from(header.enrolments), &total(|c| c.enrolments))?;
    let roots: Vec<_> = chunks.iter().map(|c| from_word(&c.operations_root)).collect();
    equal(batch, item("operations root"), &header.operations_root, &scope::chunk_roots(&roots))
}

fn fold_chunk<'a>(
    of: BatchContext<'a>,
    at: Fold,
    number: usize,
    chunk: &'a OperationsChunk,
) -> Result<(ProofToVerify<'a>, Fold), Broken> {
    let BatchContext { context, header, .. } = of;
    let item = |part| Item::Operations { chunk: number, part };
    let batch = within(header);
    let key = find_key(of, Circuit::C1, &chunk.key_id, item("key"))?;
    // Before the root, which does not bind the length of its list.
    equal(batch, item("number of leaves"), &key.layout.leaves(), &chunk.leaves.len())?;
    let leaves: Vec<_> = chunk.leaves.iter().map(from_word).collect();
    let root = to_word(&root16(Domain::OperationsNode, &leaves));
    equal(batch, item("root of the leaves"), &chunk.operations_root, &root)?;
    // Rows that are not used have a zero leaf, and no operation hashes to zero.
    let present = chunk.leaves.iter().filter(|leaf| !leaf.is_zero()).count();
    equal(batch, item("operations"), &u64::from(chunk.operations), &(present as u64))?;
    let time_out = Millis::new(chunk.time_out).map_err(|error| {
        Broken::inside(header.number, item("time out"), "44 bits", error.to_string())
    })?;
    let inputs = C1Inputs {
        root_in: from_word(&at.root),
        root_out: from_word(&chunk.root_out),
        t0: header.window.t0(),
        t1: header.window.t1(),
        time_in: at.time,
        time_out,
        domain: scope::domain(context.scope, Circuit::C1, header.key_version, header.number),
        sig_domain: context.sig_domain,
        registrar: from_word(&context.registrar),
        operations: chunk.operations,
        enrolments: chunk.enrolments,
        operations_root: from_word(&chunk.operations_root),
    };
    let inputs = inputs.to_field_elements().to_vec();
    let proof = ProofToVerify { key: &key.key, inputs, bytes: &chunk.proof, item: item("proof") };
    Ok((proof, Fold { root: chunk.root_out, time: time_out }))
}
