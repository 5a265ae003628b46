//! The C1 chunks of a batch, folded as the contract folds them.

use model::{Millis, Word};
use statement::batch::OperationsChunk;
use statement::field::from_word;
use statement::inputs::C1Inputs;
use statement::scope::{self, Circuit};

use super::parts::{BatchContext, within};
use super::proofs::{ProofToVerify, find_key};
use crate::broken::{Broken, Item, equal};

/// Where the next chunk begins.
struct Fold {
    root: Word,
    time: Millis,
}

/// Everything that the proofs of a file's chunks are verified with; its lists were found sound.
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
    // Each proof speaks of its own two roots: that the last is the header's is said only here. Of a
    // batch without a chunk it says that the root stays.
    let item = Item::Total { section: "operations", part: "root out" };
    equal(within(header), item, &header.root_out, &at.root)?;
    Ok(proofs)
}

fn fold_chunk<'a>(
    of: BatchContext<'a>,
    at: Fold,
    number: usize,
    chunk: &'a OperationsChunk,
) -> Result<(ProofToVerify<'a>, Fold), Broken> {
    let BatchContext { context, header, .. } = of;
    let item = |part| Item::Operations { chunk: number, part };
    let key = find_key(of, Circuit::C1, &chunk.key_id, item("key"))?;
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
