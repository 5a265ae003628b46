//! Lays a window out as chunks and checks each of them natively before anything is proven.

use crate::window::{AppliedOperation, Capacities, OperationScope, PatientState, WindowContents};
use ark_bn254::Fr;
use model::{BatchNumber, ChainScope, Claim, PatientIndex, Word};
use statement::c1::{self, C1Error};
use statement::c2::{self, C2Error, Capacity, PackError};
use statement::inputs::{C1Inputs, C2Inputs};
use statement::operation;
use statement::scope::{self, Circuit};
use thiserror::Error;

/// The chunks of one batch, each checked by its native twin.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    /// C1 chunks with their public inputs.
    pub operations: Vec<(c1::Chunk, C1Inputs)>,
    /// C2 chunks with their public inputs.
    pub claims: Vec<(c2::Chunk, C2Inputs)>,
}

/// A window that cannot be proven: admission let something pass that the statements refuse.
#[derive(Debug, Error)]
pub enum PlanError {
    /// An operation chunk breaks a rule.
    #[error("operation chunk {chunk} does not hold")]
    Operations {
        /// Number of the chunk.
        chunk: usize,
        /// The rule.
        source: C1Error,
    },
    /// A claims chunk breaks a rule.
    #[error("claims chunk {chunk} does not hold")]
    Claims {
        /// Number of the chunk.
        chunk: usize,
        /// The rule.
        source: C2Error,
    },
    /// Claims that no chunk can hold.
    #[error("the window's claims cannot be packed into slots")]
    Pack(#[from] PackError),
    /// The chunks' roots do not lead from the window's first root to its last.
    #[error("expected the chunks to lead to the window's final root, found another")]
    Root,
    /// A patient has a claim but no captured record.
    #[error("expected the record of every claimed patient, found one missing")]
    Patient,
}

/// Who and what a batch is bound to.
struct Binding<'a> {
    contents: &'a WindowContents,
    chain: ChainScope,
    key_version: u32,
    edge_secret: &'a [u8; 32],
}

impl Binding<'_> {
    fn domain(&self, circuit: Circuit) -> Fr {
        scope::domain(self.chain, circuit, self.key_version, self.contents.number)
    }
}

/// Lays out `contents`. `edge_secret` blinds the edges between chunks; it is the operator's.
///
/// # Errors
/// [`PlanError`] if a chunk does not hold natively; nothing is proven then.
pub fn plan(
    contents: &WindowContents,
    chain: ChainScope,
    operations: &OperationScope,
    key_version: u32,
    capacities: Capacities,
    edge_secret: &[u8; 32],
) -> Result<BatchPlan, PlanError> {
    let binding = Binding { contents, chain, key_version, edge_secret };
    Ok(BatchPlan {
        operations: operation_chunks(&binding, operations, capacities.operations)?,
        claims: claim_chunks(&binding, capacities.claims)?,
    })
}

fn operation_chunks(
    binding: &Binding<'_>,
    scope: &OperationScope,
    capacity: usize,
) -> Result<Vec<(c1::Chunk, C1Inputs)>, PlanError> {
    let contents = binding.contents;
    let (mut root_in, mut time_in) = (contents.root_in, contents.window.t0());
    let mut chunks = Vec::new();
    for (number, operations) in contents.operations.chunks(capacity).enumerate() {
        let first = number * capacity;
        let row = |(i, applied)| row(contents.number, first + i, applied);
        let chunk = c1::Chunk {
            root_in,
            time_in,
            window: contents.window,
            domain: binding.domain(Circuit::C1),
            sig_domain: scope.sig_domain,
            registrar_key_hash: scope.registrar_key_hash,
            capacity,
            rows: operations.iter().enumerate().map(row).collect(),
        };
        let checked = c1::check(&chunk);
        let inputs = checked.map_err(|source| PlanError::Operations { chunk: number, source })?;
        (root_in, time_in) = (inputs.root_out, inputs.time_out);
        chunks.push((chunk, inputs));
    }
    if root_in != contents.root_out {
        return Err(PlanError::Root);
    }
    Ok(chunks)
}

fn row(batch: BatchNumber, number: usize, applied: &AppliedOperation) -> c1::Row {
    let view_key = match (&applied.old, &applied.signed.operation.action) {
        (_, model::Action::Enrol { view_key, .. }) => *view_key,
        (Some(record), _) => record.view_key,
        (None, _) => Word::ZERO,
    };
    c1::Row {
        signed: applied.signed.clone(),
        t_op: applied.t_op,
        old: applied.old.clone(),
        path: applied.path,
        root_out: applied.root_out,
        op_salt: operation::salt(&view_key, batch, number as u32),
    }
}

fn claim_chunks(
    binding: &Binding<'_>,
    capacity: Capacity,
) -> Result<Vec<(c2::Chunk, C2Inputs)>, PlanError> {
    let contents = binding.contents;
    let record = |patient: PatientIndex| contents.patients.get(&patient).map(|s| &s.record);
    let mut rest: &[Claim] = &contents.claims;
    let mut chunks: Vec<(c2::Chunk, C2Inputs)> = Vec::new();
    while !rest.is_empty() {
        let packed = c2::pack(rest, record, capacity)?;
        let number = chunks.len();
        let edge_in = chunks.last().map(|(chunk, _)| chunk.edge_out());
        let chunk = claim_chunk(binding, capacity, number, edge_in, packed.slots)?;
        let checked = c2::check(&chunk);
        let inputs = checked.map_err(|source| PlanError::Claims { chunk: number, source })?;
        chunks.push((chunk, inputs));
        rest = &rest[packed.taken..];
    }
    Ok(chunks)
}

fn claim_chunk(
    binding: &Binding<'_>,
    capacity: Capacity,
    number: usize,
    edge_in: Option<c2::Edge>,
    packed: Vec<c2::PackedSlot>,
) -> Result<c2::Chunk, PlanError> {
    let contents = binding.contents;
    let slot = |packed: c2::PackedSlot| {
        let PatientState { record, path } = contents.patients.get(&packed.patient)?;
        Some(c2::Slot {
            patient: packed.patient,
            record: record.clone(),
            path: c2::cap_path(path),
            excluded: packed.excluded,
            claims: packed.claims,
        })
    };
    let slots: Option<Vec<_>> = packed.into_iter().map(slot).collect();
    Ok(c2::Chunk {
        capacity,
        root: contents.root_out,
        cap: contents.cap.clone(),
        window: contents.window,
        batch: contents.number,
        first_leaf: (number * capacity.leaves()) as u64,
        position_in: contents.position_in,
        position_out: contents.position_out,
        domain: binding.domain(Circuit::C2),
        edge_in,
        edge_salt: edge_salt(binding.edge_secret, contents.number, number),
        slots: slots.ok_or(PlanError::Patient)?,
    })
}

/// A salt that only the operator can compute: keyed by its secret, distinct for every chunk.
fn edge_salt(secret: &[u8; 32], batch: BatchNumber, chunk: usize) -> Fr {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(&batch.0.to_be_bytes()).update(&(chunk as u64).to_be_bytes());
    statement::field::from_digest(hasher.finalize().as_bytes())
}
