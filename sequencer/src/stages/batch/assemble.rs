//! Puts a proven batch together: header, public file, private file.

use std::collections::BTreeMap;

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::{BatchHeader, DataSource, PatientIndex, Word};
use sha3::{Digest as _, Keccak256};
use statement::batch::{
    ClaimOpening, ClaimsChunk, GroupSummary, OperationOpening, OperationsChunk, PatientOpening,
    PrivateFile, PublicFile, SealScope, data_root,
};
use statement::inputs::{C1Inputs, C2Inputs};
use statement::proof::Proof;
use statement::scope;
use statement::{c1, c2, operation};

use super::{BatchBinding, BatchPlan};
use crate::window::{Assembled, WindowContents};

/// One chunk's proof and the key it verifies under.
#[derive(Clone, Debug)]
pub struct ProvenChunk {
    /// keccak256 of the verifying key's words.
    pub key_id: [u8; 32],
    /// The proof in EIP-197 order.
    pub proof: [u8; Proof::BYTES],
}

/// The journal groups of the batch: those after the previous batch's last, up to the one that
/// holds the close.
#[derive(Clone, Debug)]
pub struct BatchGroups {
    /// Journal hash after the last of them.
    pub journal_hash: [u8; 32],
    /// The groups.
    pub groups: Vec<GroupSummary>,
}

/// A batch with all its proofs, in the order of its plan.
#[derive(Clone, Debug)]
pub struct ProvenBatch {
    /// What happened.
    pub contents: WindowContents,
    /// Its chunks.
    pub plan: BatchPlan,
    /// One for each operations chunk.
    pub operation_proofs: Vec<ProvenChunk>,
    /// One for each claims chunk.
    pub claim_proofs: Vec<ProvenChunk>,
}

/// Assembles a batch. `previous` is the hash of the previous header.
///
/// # Panics
/// If there are not as many proofs as chunks: the caller proves every chunk of the plan.
pub fn assemble(
    batch: &ProvenBatch,
    previous: [u8; 32],
    binding: &BatchBinding,
    journal: BatchGroups,
) -> Assembled {
    assert_eq!(batch.plan.operations.len(), batch.operation_proofs.len(), "a proof a chunk");
    assert_eq!(batch.plan.claims.len(), batch.claim_proofs.len(), "a proof a chunk");
    // The header commits to the sealed bytes, so that an auditor can hold the operator to serving
    // each patient its opening; number and root, to which the seal is bound, do not depend on them.
    let mut header = header(batch, previous, binding.key_version, &journal);
    let seal = SealScope::of_header(binding.scope, &header);
    let private = PrivateFile::seal(&seal, &openings(batch));
    let sealed = private.to_bytes();
    header.ciphertext_hash = Keccak256::digest(&sealed).into();
    header.ciphertext_length = sealed.len() as u64;
    let operations = batch.plan.operations.iter().zip(&batch.operation_proofs);
    let claims = batch.plan.claims.iter().zip(&batch.claim_proofs);
    let public = PublicFile {
        header,
        operations: operations
            .map(|((chunk, inputs), p)| operations_chunk(chunk, inputs, p))
            .collect(),
        claims: claims.map(|((chunk, inputs), p)| claims_chunk(chunk, inputs, p)).collect(),
        segments: batch.contents.segments.clone(),
        groups: journal.groups,
    };
    Assembled { public, private }
}

fn header(
    batch: &ProvenBatch,
    previous: [u8; 32],
    key_version: u32,
    journal: &BatchGroups,
) -> BatchHeader {
    let (contents, plan) = (&batch.contents, &batch.plan);
    let roots = |roots: Vec<Fr>| scope::chunk_roots(&roots);
    let c1 = |count: fn(&C1Inputs) -> u32| plan.operations.iter().map(|(_, i)| count(i)).sum();
    let c2 = |count: fn(&C2Inputs) -> u32| plan.claims.iter().map(|(_, i)| count(i)).sum();
    BatchHeader {
        number: contents.number,
        previous,
        window: contents.window,
        root_in: word(&contents.root_in),
        root_out: word(&contents.root_out),
        forced_first: 0,
        forced_count: 0,
        forced_outcomes: [0; 32],
        operations_root: roots(plan.operations.iter().map(|(_, i)| i.operations_root).collect()),
        claims_root: roots(plan.claims.iter().map(|(_, i)| i.claims_root).collect()),
        operations: c1(|inputs| inputs.operations),
        enrolments: c1(|inputs| inputs.enrolments),
        access: c2(|inputs| inputs.access),
        collect: c2(|inputs| inputs.collect),
        break_glass: c2(|inputs| inputs.break_glass),
        excluded: c2(|inputs| inputs.excluded),
        data_root: data_root(&contents.segments),
        journal_position: contents.position_out,
        journal_hash: journal.journal_hash,
        registry_root: [0; 32],
        data_source: DataSource::Operator,
        ciphertext_hash: [0; 32],
        ciphertext_length: 0,
        key_version,
    }
}

fn operations_chunk(chunk: &c1::Chunk, inputs: &C1Inputs, proven: &ProvenChunk) -> OperationsChunk {
    OperationsChunk {
        key_id: proven.key_id,
        root_out: word(&inputs.root_out),
        time_out: inputs.time_out.get(),
        operations: inputs.operations,
        enrolments: inputs.enrolments,
        operations_root: word(&inputs.operations_root),
        proof: proven.proof,
        leaves: operation_leaves(chunk).iter().map(word).collect(),
    }
}

fn operation_leaves(chunk: &c1::Chunk) -> Vec<Fr> {
    let leaf = |row: &c1::Row| {
        let message = operation::message(chunk.sig_domain, &row.signed.operation);
        operation::leaf(message, row.t_op, row.op_salt)
    };
    let mut leaves: Vec<Fr> = chunk.rows.iter().map(leaf).collect();
    // The tree of a chunk is full whatever it holds; unused leaves are zero, as in the circuit.
    leaves.resize(chunk.capacity, Fr::ZERO);
    leaves
}

fn claims_chunk(chunk: &c2::Chunk, inputs: &C2Inputs, proven: &ProvenChunk) -> ClaimsChunk {
    ClaimsChunk {
        key_id: proven.key_id,
        claims_root: word(&inputs.claims_root),
        access: inputs.access,
        collect: inputs.collect,
        break_glass: inputs.break_glass,
        excluded: inputs.excluded,
        edge_out: word(&inputs.edge_out),
        proof: proven.proof,
        leaves: chunk.leaves().iter().map(word).collect(),
    }
}

/// What each concerned patient may open: its record, claims and operations.
fn openings(batch: &ProvenBatch) -> Vec<PatientOpening> {
    let mut openings: BTreeMap<PatientIndex, PatientOpening> = BTreeMap::new();
    for (patient, state) in &batch.contents.patients {
        let opening = PatientOpening {
            batch: batch.contents.number,
            patient: *patient,
            record: state.record.clone(),
            path: state.path.map(|children| children.map(|child| word(&child))),
            claims: Vec::new(),
            operations: Vec::new(),
            refused: batch.contents.refused.get(patient).cloned().unwrap_or_default(),
        };
        openings.insert(*patient, opening);
    }
    for (number, (chunk, _)) in batch.plan.claims.iter().enumerate() {
        for (patient, opening) in claim_openings(batch, number, chunk) {
            // Every claimed patient has a state, or the plan had failed.
            openings.entry(patient).and_modify(|patient| patient.claims.push(opening));
        }
    }
    for (number, (chunk, _)) in batch.plan.operations.iter().enumerate() {
        for (row, applied) in chunk.rows.iter().enumerate() {
            let opening = OperationOpening {
                chunk: number as u32,
                row: row as u32,
                t_op: applied.t_op,
                signed: applied.signed.to_bytes().to_vec(),
                salt: word(&applied.op_salt),
            };
            let patient = applied.signed.operation.patient;
            openings.entry(patient).and_modify(|patient| patient.operations.push(opening));
        }
    }
    openings.into_values().collect()
}

fn claim_openings(
    batch: &ProvenBatch,
    number: usize,
    chunk: &c2::Chunk,
) -> Vec<(PatientIndex, ClaimOpening)> {
    // A slot has one leaf more than claims: the last is its tag, by which its patient counts them.
    let row = chunk.capacity.claims_per_slot + 1;
    let slots = chunk.slots.iter().enumerate();
    let requests = &batch.contents.requests;
    slots
        .flat_map(|(at, slot)| {
            slot.claims.iter().enumerate().map(move |(i, claim)| {
                let opening = ClaimOpening {
                    chunk: number as u32,
                    leaf: (at * row + i) as u32,
                    covered: !slot.excluded,
                    claim: claim.clone(),
                    salt: word(&chunk.salt(at, i)),
                    // A collection has none.
                    request: requests.get(&claim.position).cloned().unwrap_or_default(),
                };
                (slot.patient, opening)
            })
        })
        .collect()
}

fn word(element: &Fr) -> Word {
    let bytes = statement::field::to_bytes(element);
    Word::from_bytes(bytes).expect("a field element encodes canonically")
}
