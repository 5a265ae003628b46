//! The jobs of one batch, from the first chunk that is laid out to the last proof.

use std::sync::Arc;

use circuits::shapes::Statement;
use statement::scope::Circuit;
use thiserror::Error;

use super::chunk::ChunkJob;
use super::error::JobError;
use super::names::InputHash;
use super::service::{Follows, ProvingService, Unproven};
use super::table::Urgency;
use crate::stages::batch::ProvenChunk;
use crate::stages::prove::keys::ProverKeys;

/// Why a set has no proofs.
#[derive(Debug, Error)]
pub enum SetError {
    /// One of the jobs is failed.
    #[error("chunk {chunk} of {} cannot be proven", name(*circuit))]
    Failed {
        /// Of which statement.
        circuit: Circuit,
        /// Its number among those of its circuit.
        chunk: usize,
        /// Why.
        source: Arc<JobError>,
    },
    /// The node stops, or who waited was told to wait no more. No job is failed by it.
    #[error("the proofs were not waited for")]
    Stopped,
}

fn name(circuit: Circuit) -> &'static str {
    if circuit == Circuit::C1 { "C1" } else { "C2" }
}

/// Chunks of one batch that are wanted proven for as long as this lives; dropped, they are aborted.
pub struct JobSet {
    service: Arc<ProvingService>,
    keys: Arc<ProverKeys>,
    number: u64,
    /// Those that are in the table, in order.
    jobs: Vec<Member>,
    /// The last that was added. It is held back until it is known whether another follows: who
    /// takes the last job of all gives it all cores.
    held: Option<(Member, ChunkJob)>,
    is_growing: bool,
}

struct Member {
    hash: InputHash,
    key_id: [u8; 32],
    urgency: Urgency,
}

impl JobSet {
    /// No chunks yet, of batch `number`.
    pub fn begin(service: Arc<ProvingService>, keys: Arc<ProverKeys>, number: u64) -> JobSet {
        service.begin_set();
        JobSet { service, keys, number, jobs: Vec::new(), held: None, is_growing: true }
    }

    /// Adds a chunk that its native twin has checked: all operations first, each circuit's in
    /// order.
    pub fn push(&mut self, statement: Statement<'_>) {
        let circuit = match statement {
            Statement::C1(..) => Circuit::C1,
            Statement::C2(..) => Circuit::C2,
        };
        self.release(Follows::More);
        let of_circuit = self.jobs.iter().filter(|job| job.urgency.circuit() == circuit).count();
        let urgency = Urgency::new(self.number, circuit, of_circuit);
        let job = ChunkJob::new(self.keys.clone(), statement);
        let (hash, key_id) = (job.input_hash(), job.key_id());
        self.held = Some((Member { hash, key_id, urgency }, job));
    }

    /// Says that no chunk follows.
    pub fn end(&mut self) {
        self.release(Follows::Nothing);
        if std::mem::take(&mut self.is_growing) {
            self.service.end_set();
        }
    }

    fn release(&mut self, follows: Follows) {
        let Some((member, job)) = self.held.take() else { return };
        self.service.submit(member.urgency, job, follows);
        self.jobs.push(member);
        self.is_growing &= follows == Follows::More;
    }

    /// Waits until all are proven, for as long as the node does not stop and `go_on` says so, and
    /// gives the proofs of a circuit in order. They stay with the service until this is dropped.
    ///
    /// # Errors
    /// [`SetError`]; what is proven stays so, and the rest goes on.
    pub fn wait(&self, go_on: &dyn Fn() -> bool) -> Result<SetProofs, SetError> {
        let hashes: Vec<InputHash> = self.jobs.iter().map(|job| job.hash).collect();
        let proofs = self.service.wait(&hashes, go_on).map_err(|unproven| match unproven {
            Unproven::Stopped => SetError::Stopped,
            Unproven::Failed { hash, why } => {
                let found = self.jobs.iter().find(|job| job.hash == hash);
                let urgency = found.expect("one of the hashes that were asked for").urgency;
                let (circuit, chunk) = (urgency.circuit(), urgency.chunk());
                SetError::Failed { circuit, chunk, source: why }
            }
        })?;
        let (mut operations, mut claims) = (Vec::new(), Vec::new());
        for (job, proof) in self.jobs.iter().zip(proofs) {
            let of_circuit = match job.urgency.circuit() {
                Circuit::C1 => &mut operations,
                Circuit::C2 => &mut claims,
            };
            of_circuit.push(ProvenChunk { key_id: job.key_id, proof });
        }
        Ok(SetProofs { operations, claims })
    }

    /// Has those that failed tried once more, by everybody.
    pub fn retry(&self) {
        let hashes: Vec<InputHash> = self.jobs.iter().map(|job| job.hash).collect();
        self.service.retry(&hashes);
    }
}

/// The proofs of a set.
#[derive(Clone, Debug)]
pub struct SetProofs {
    /// One for each chunk of operations.
    pub operations: Vec<ProvenChunk>,
    /// One for each chunk of claims.
    pub claims: Vec<ProvenChunk>,
}

impl Drop for JobSet {
    fn drop(&mut self) {
        if self.is_growing {
            self.service.end_set();
        }
        let hashes: Vec<InputHash> = self.jobs.iter().map(|job| job.hash).collect();
        self.service.forget(&hashes);
    }
}
