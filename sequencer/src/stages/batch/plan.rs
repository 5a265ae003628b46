//! Lays a window out as chunks and checks each of them natively before anything is proven.

use crate::window::{AppliedOperation, Capacities, OperationScope, PatientState, WindowContents};
use ark_bn254::Fr;
use circuits::shapes::Statement;
use model::{BatchNumber, ChainScope, PatientIndex, Word, limits};
use statement::c1::{self, C1Error};
use statement::c2::{self, C2Error, PackError, Packed, PricedCapacity};
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

impl BatchPlan {
    /// What the claims chunks hold and could hold.
    pub fn claim_places(&self) -> ClaimPlaces {
        let of_chunk = |(chunk, _): &(c2::Chunk, C2Inputs)| ClaimPlaces {
            all: chunk.capacity.places(),
            taken: chunk.slots.iter().map(|slot| slot.claims.len()).sum(),
        };
        self.claims.iter().map(of_chunk).fold(ClaimPlaces::default(), |sum, one| ClaimPlaces {
            all: sum.all + one.all,
            taken: sum.taken + one.taken,
        })
    }
}

/// Places for claims in some chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClaimPlaces {
    /// All of them: each costs proving time, whether or not a claim is in it.
    pub all: usize,
    /// Those that hold a claim.
    pub taken: usize,
}

impl ClaimPlaces {
    /// The share that stays empty; none of no chunk.
    pub fn padding_ratio(&self) -> Option<f64> {
        (self.all > 0).then(|| (self.all - self.taken) as f64 / self.all as f64)
    }
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
    /// More positions than a batch may advance by: the contract would refuse it after the proving.
    #[error(
        "expected a window of less than {} journal positions, found {found}",
        limits::BATCH_ENTRIES_MAX
    )]
    Positions {
        /// Positions from the close before to this one.
        found: u64,
    },
    /// A patient has a claim but no captured record.
    #[error("expected the record of every claimed patient, found one missing")]
    Patient,
}

/// What every batch of a node is bound to.
#[derive(Clone)]
pub struct BatchBinding {
    /// Chain and contract.
    pub scope: ChainScope,
    /// What operations are judged against.
    pub operations: OperationScope,
    /// Version of the verifying keys.
    pub key_version: u32,
    /// Blinds the edges between chunks: the operator's secret.
    pub edge_secret: [u8; 32],
}

/// Lays out `contents` in chunks of these capacities, those of the claims so that their proofs
/// cost least ([`c2::mix`]).
///
/// # Errors
/// [`PlanError`] if a chunk does not hold natively; nothing is proven then.
pub fn plan(
    contents: &WindowContents,
    binding: &BatchBinding,
    capacities: &Capacities,
) -> Result<BatchPlan, PlanError> {
    plan_each(contents, binding, capacities, &mut |_| ())
}

/// As [`plan`]; `each` is given every chunk as soon as it holds natively, operations first, so that
/// it can be proven while the next one is laid out.
///
/// # Errors
/// [`PlanError`] if a chunk does not hold natively; the batch cannot be made then, whatever was
/// given out before.
pub fn plan_each(
    contents: &WindowContents,
    binding: &BatchBinding,
    capacities: &Capacities,
    each: &mut dyn FnMut(Statement<'_>),
) -> Result<BatchPlan, PlanError> {
    let layout = Layout { contents, binding };
    // The ledger closes a window before it holds so many; the contract takes no batch that does.
    let found = contents.position_out.0.saturating_sub(contents.position_in.0);
    if found >= limits::BATCH_ENTRIES_MAX {
        return Err(PlanError::Positions { found });
    }
    Ok(BatchPlan {
        operations: layout.operation_chunks(capacities.operations, each)?,
        claims: layout.claim_chunks(&capacities.claims, each)?,
    })
}

/// One window that is laid out.
struct Layout<'a> {
    contents: &'a WindowContents,
    binding: &'a BatchBinding,
}

impl Layout<'_> {
    /// Binds a chunk's proof to chain, contract, keys and batch, so that it settles once and here.
    fn domain(&self, circuit: Circuit) -> Fr {
        let BatchBinding { scope, key_version, .. } = self.binding;
        scope::domain(*scope, circuit, *key_version, self.contents.number)
    }

    fn operation_chunks(
        &self,
        capacity: usize,
        each: &mut dyn FnMut(Statement<'_>),
    ) -> Result<Vec<(c1::Chunk, C1Inputs)>, PlanError> {
        let Layout { contents, binding } = self;
        // Each chunk begins where the one before ended: whoever verifies compares these ends.
        let (mut root_in, mut time_in) = (contents.root_in, contents.window.t0());
        let mut chunks = Vec::new();
        for (number, operations) in contents.operations.chunks(capacity).enumerate() {
            let first = number * capacity;
            let row = |(i, applied)| self.row(first + i, applied);
            let chunk = c1::Chunk {
                root_in,
                time_in,
                window: contents.window,
                domain: self.domain(Circuit::C1),
                sig_domain: binding.operations.sig_domain,
                registrar_key_hash: binding.operations.registrar_key_hash,
                capacity,
                rows: operations.iter().enumerate().map(row).collect(),
            };
            // The native twin names the rule that is broken; a prover could only say "unsatisfied",
            // and minutes later.
            let checked = c1::check(&chunk);
            let inputs =
                checked.map_err(|source| PlanError::Operations { chunk: number, source })?;
            (root_in, time_in) = (inputs.root_out, inputs.time_out);
            each(Statement::C1(&inputs, &chunk));
            chunks.push((chunk, inputs));
        }
        // Also without any chunk: a root that moved without an operation could never settle.
        if root_in != contents.root_out {
            return Err(PlanError::Root);
        }
        Ok(chunks)
    }

    fn row(&self, number: usize, applied: &AppliedOperation) -> c1::Row {
        // The salt hides an operation from all but its patient, so it comes from the patient's view
        // key. An enrolment brings the key along; there is no record before it.
        let view_key = match (&applied.old, &applied.signed.operation.action) {
            (_, model::Action::Enrol { view_key, .. }) => *view_key,
            (Some(record), _) => record.view_key,
            (None, _) => Word::ZERO,
        };
        let (domain, root_out) = (self.domain(Circuit::C1), self.contents.root_out);
        c1::Row {
            signed: applied.signed.clone(),
            t_op: applied.t_op,
            old: applied.old.clone(),
            path: applied.path,
            root_out: applied.root_out,
            op_salt: operation::salt(&view_key, domain, root_out, number as u32),
        }
    }

    fn claim_chunks(
        &self,
        offers: &[PricedCapacity],
        each: &mut dyn FnMut(Statement<'_>),
    ) -> Result<Vec<(c2::Chunk, C2Inputs)>, PlanError> {
        let contents = self.contents;
        let record = |patient: PatientIndex| contents.patients.get(&patient).map(|s| &s.record);
        let mut chunks: Vec<(c2::Chunk, C2Inputs)> = Vec::new();
        let mut first_leaf = 0;
        for packed in c2::mix(&contents.claims, record, offers)? {
            let number = chunks.len();
            // The edge carries the last claim of the chunk before, hidden by a salt, so that order
            // is proven across chunks and no verifier learns whose claim stood there.
            let edge_in = chunks.last().map(|(chunk, _)| chunk.edge_out());
            let leaves = packed.capacity.leaves() as u64;
            let chunk = self.claim_chunk(ChunkPlace { number, first_leaf, edge_in }, packed)?;
            let checked = c2::check(&chunk);
            let inputs = checked.map_err(|source| PlanError::Claims { chunk: number, source })?;
            each(Statement::C2(&inputs, &chunk));
            chunks.push((chunk, inputs));
            // Chunks differ in how many they have.
            first_leaf += leaves;
        }
        Ok(chunks)
    }

    fn claim_chunk(&self, place: ChunkPlace, packed: Packed) -> Result<c2::Chunk, PlanError> {
        let Layout { contents, binding } = self;
        let ChunkPlace { number, first_leaf, edge_in } = place;
        let slot = |packed: c2::PackedSlot| {
            let PatientState { record, path } = contents.patients.get(&packed.patient)?;
            Some(c2::Slot {
                patient: packed.patient,
                record: record.clone(),
                // To the cap only: the upper two levels are proven once a chunk, not once a slot.
                path: c2::cap_path(path),
                excluded: packed.excluded,
                claims: packed.claims,
            })
        };
        let slots: Option<Vec<_>> = packed.slots.into_iter().map(slot).collect();
        Ok(c2::Chunk {
            capacity: packed.capacity,
            root: contents.root_out,
            cap: contents.cap.clone(),
            window: contents.window,
            first_leaf,
            position_in: contents.position_in,
            position_out: contents.position_out,
            domain: self.domain(Circuit::C2),
            edge_in,
            edge_salt: edge_salt(&binding.edge_secret, contents.number, number),
            slots: slots.ok_or(PlanError::Patient)?,
        })
    }
}

/// Where a claims chunk stands in its batch.
struct ChunkPlace {
    number: usize,
    /// Leaves of the chunks before.
    first_leaf: u64,
    edge_in: Option<c2::Edge>,
}

/// A salt that only the operator can compute: keyed by its secret, distinct for every chunk.
fn edge_salt(secret: &[u8; 32], batch: BatchNumber, chunk: usize) -> Fr {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(&batch.0.to_be_bytes()).update(&(chunk as u64).to_be_bytes());
    statement::field::from_digest(hasher.finalize().as_bytes())
}
