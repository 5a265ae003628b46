//! The C2 chunks of a batch, folded as the contract folds them.

use model::Word;
use statement::batch::ClaimsChunk;
use statement::field::from_word;
use statement::inputs::C2Inputs;
use statement::scope::{self, Circuit};

use super::parts::BatchContext;
use super::proofs::{ProofToVerify, find_key};
use crate::broken::{Broken, Item};

/// Everything that the proofs of a file's chunks are verified with; its lists were found sound.
pub(super) fn fold<'a>(
    of: BatchContext<'a>,
    chunks: &'a [ClaimsChunk],
) -> Result<Vec<ProofToVerify<'a>>, Broken> {
    // Each chunk proves that it begins behind the last patient and position of the one before, so
    // no claim stands twice in a batch.
    let mut edge = Word::ZERO;
    let mut proofs = Vec::with_capacity(chunks.len());
    for (number, chunk) in chunks.iter().enumerate() {
        proofs.push(fold_chunk(of, number, chunk, edge)?);
        edge = chunk.edge_out;
    }
    Ok(proofs)
}

fn fold_chunk<'a>(
    of: BatchContext<'a>,
    number: usize,
    chunk: &'a ClaimsChunk,
    edge_in: Word,
) -> Result<ProofToVerify<'a>, Broken> {
    let BatchContext { context, previous, header } = of;
    let item = |part| Item::Claims { chunk: number, part };
    let key = find_key(of, Circuit::C2, &chunk.key_id, item("key"))?;
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
