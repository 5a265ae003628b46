//! What a worker says of a lease, and what the node answers.

use statement::proof::Proof;

use crate::codec::{DecodeError, Reader, push_name};
use crate::job::LeaseToken;
use crate::name::{EXPECTED, WorkerName};

const BEAT: &[u8; 8] = b"VTLBEAT\x01";
const ANSWER: &[u8; 8] = b"VTLBANS\x01";

/// The worker is at it; the lease holds for its whole length again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Which lease.
    pub token: LeaseToken,
    /// Who.
    pub worker: WorkerName,
}

/// The end of a lease. The proof is nothing to keep secret: it goes on chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which lease.
    pub token: LeaseToken,
    /// What was to be proven, as the job named it.
    pub input_hash: [u8; 32],
    /// Who.
    pub worker: WorkerName,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a lease ends in a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a proof.
    Proven {
        /// What is claimed to be one. Any bytes: the node alone says what they are worth.
        proof: Box<[u8; Proof::BYTES]>,
        /// Milliseconds from opening the job to the proof.
        took_ms: u32,
    },
    /// Without one. The job is not given to this worker again.
    Failed(FailedBecause),
}

/// Why a worker has no proof. A closed list: no text of a stranger gets into the node's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailedBecause {
    /// No such shape, or its matrices are others there.
    #[error("the worker knows no such circuit: its program is of another version")]
    Circuit,
    /// No proving key of that id.
    #[error("the worker has no proving key of that id")]
    Key,
    /// The columns are not the circuit's or break a rule.
    #[error("the worker found the columns to break a rule")]
    Violated,
    /// The engine made no proof that verifies, or panicked.
    #[error("the worker's engine made no proof")]
    Engine,
}

impl FailedBecause {
    /// Every reason, in the order of its number on the wire, from 1.
    pub const ALL: [FailedBecause; 4] = [
        FailedBecause::Circuit,
        FailedBecause::Key,
        FailedBecause::Violated,
        FailedBecause::Engine,
    ];
}

/// What the node says to a beat or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Of a beat: the lease holds, go on. Of an answer: taken.
    Holds,
    /// The lease has expired, was withdrawn or was answered, or never was. The job is dropped.
    Over,
}

impl Beat {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = [BEAT.as_slice(), &self.token.0].concat();
        push_name(&mut bytes, self.worker.as_str());
        bytes
    }

    /// Reads a beat from anywhere.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Beat, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.magic("beat", BEAT)?;
        let token = LeaseToken(reader.array("token of the lease")?);
        let worker = reader.name("name of the worker", EXPECTED)?;
        reader.end()?;
        Ok(Beat { token, worker })
    }
}

impl Answer {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = [ANSWER.as_slice(), &self.token.0, &self.input_hash].concat();
        push_name(&mut bytes, self.worker.as_str());
        match &self.outcome {
            Outcome::Proven { proof, took_ms } => {
                bytes.push(0);
                bytes.extend(took_ms.to_le_bytes());
                bytes.extend(proof.as_slice());
            }
            Outcome::Failed(because) => bytes.push(*because as u8 + 1),
        }
        bytes
    }

    /// Reads an answer from anywhere. The proof's bytes are taken as they are.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Answer, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.magic("answer", ANSWER)?;
        let token = LeaseToken(reader.array("token of the lease")?);
        let input_hash = reader.array("hash of the inputs")?;
        let worker = reader.name("name of the worker", EXPECTED)?;
        let outcome = match reader.u8("outcome")? {
            0 => {
                let took_ms = reader.u32("milliseconds")?;
                Outcome::Proven { took_ms, proof: Box::new(reader.array("proof")?) }
            }
            number => {
                let because = FailedBecause::ALL.get(usize::from(number) - 1).copied();
                let (what, expected) = ("outcome", "0 to 4");
                Outcome::Failed(because.ok_or(DecodeError::Value { what, expected })?)
            }
        };
        reader.end()?;
        Ok(Answer { token, input_hash, worker, outcome })
    }
}

impl Verdict {
    /// The one byte.
    pub fn encode(self) -> [u8; 1] {
        match self {
            Verdict::Holds => [1],
            Verdict::Over => [0],
        }
    }

    /// Reads the byte.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Verdict, DecodeError> {
        let mut reader = Reader::new(bytes);
        let verdict = match reader.u8("verdict")? {
            0 => Verdict::Over,
            1 => Verdict::Holds,
            _ => return Err(DecodeError::Value { what: "verdict", expected: "0 or 1" }),
        };
        reader.end()?;
        Ok(verdict)
    }
}
