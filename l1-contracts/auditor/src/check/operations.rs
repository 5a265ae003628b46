//! The C1 chunks of a batch, folded as the contract folds them.

use model::{BatchHeader, Millis};
use statement::batch::OperationsChunk;
use statement::claim::root16;
use statement::domain::Domain;
use statement::field::{from_word, to_word};
use statement::inputs::C1Inputs;
use statement::scope::{self, Circuit};

use super::claims::{accepted, counter, verify};
use super::{Context, within};
use crate::broken::{Broken, Item, equal};

/// Where the next chunk begins.
struct Fold {
    root: model::Word,
    time: Millis,
}

pub(super) fn check(
    context: &Context,
    header: &BatchHeader,
    chunks: &[OperationsChunk],
) -> Result<(), Broken> {
    let mut fold = Fold { root: header.root_in, time: header.window.t0() };
    for (number, chunk) in chunks.iter().enumerate() {
        fold = check_chunk(context, header, fold, number, chunk)?;
    }
    let (batch, item) = (within(header), Item::Header);
    equal(batch, item("root out"), &fold.root, &header.root_out)?;
    let sum = |of: fn(&OperationsChunk) -> u32| counter(chunks.iter().map(of));
    equal(batch, item("operations"), &sum(|c| c.operations), &u64::from(header.operations))?;
    equal(batch, item("enrolments"), &sum(|c| c.enrolments), &u64::from(header.enrolments))?;
    let roots: Vec<_> = chunks.iter().map(|c| from_word(&c.operations_root)).collect();
    equal(batch, item("operations root"), &scope::chunk_roots(&roots), &header.operations_root)?;
    let idle = header.operations == 0 && header.root_in == header.root_out;
    match chunks.len() {
        found if found > 0 && idle => {
            let item = Item::File("operations");
            Err(Broken::inside(header.number, item, "no chunk: nothing changed", found.to_string()))
        }
        _ => Ok(()),
    }
}

fn check_chunk(
    context: &Context,
    header: &BatchHeader,
    fold: Fold,
    number: usize,
    chunk: &OperationsChunk,
) -> Result<Fold, Broken> {
    let item = |part| Item::Operations { chunk: number, part };
    let batch = within(header);
    let key = accepted(context, header, Circuit::C1, &chunk.key_id, item("key"))?;
    equal(batch, item("leaves"), &key.layout.leaves(), &chunk.leaves.len())?;
    let leaves: Vec<_> = chunk.leaves.iter().map(from_word).collect();
    let root = to_word(&root16(Domain::OperationsNode, &leaves));
    equal(batch, item("leaves"), &root, &chunk.operations_root)?;
    let present = chunk.leaves.iter().filter(|leaf| !leaf.is_zero()).count();
    equal(batch, item("operations"), &(present as u64), &u64::from(chunk.operations))?;
    let time_out = Millis::new(chunk.time_out).map_err(|error| {
        Broken::inside(header.number, item("time out"), "44 bits", error.to_string())
    })?;
    let inputs = C1Inputs {
        root_in: from_word(&fold.root),
        root_out: from_word(&chunk.root_out),
        t0: header.window.t0(),
        t1: header.window.t1(),
        time_in: fold.time,
        time_out,
        domain: scope::domain(context.scope, Circuit::C1, header.key_version, header.number),
        sig_domain: context.sig_domain,
        registrar: from_word(&context.registrar),
        operations: chunk.operations,
        enrolments: chunk.enrolments,
        operations_root: from_word(&chunk.operations_root),
    };
    verify(header, key, &inputs.to_field_elements(), &chunk.proof, item("proof"))?;
    Ok(Fold { root: chunk.root_out, time: time_out })
}
