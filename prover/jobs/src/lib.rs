//! Proofs made on other machines: what a node asks of a worker and what a worker answers, as bytes.
//! The normative text is `prover/docs/jobs.md`.
//!
//! A node writes a [`JobHead`] and the columns of an assignment with [`encode`], and seals them to
//! the workers' key ([`WorkersKey::seal`]), because the columns are the witness: readings'
//! categories, rules and keys of patients. A worker opens them with its [`WorkersSecret`], proves,
//! and sends [`Beat`]s while it does and an [`Answer`] at the end. The node answers each with a
//! [`Verdict`].
//!
//! Whatever carries these bytes carries and never vouches: the node verifies each proof against the
//! inputs that it has itself, and an answer counts only if it names a lease that still holds.
//!
//! Nothing here opens a socket, reads a clock or draws randomness but for the seal.
//!
//! ```
//! use ark_bn254::Fr;
//! use jobs::{JobHead, Lease, LeaseToken, WorkersSecret};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = WorkersSecret::draw();
//! let lease = Lease { token: LeaseToken([1; 16]), attempt: 1, lasts_ms: 30_000 };
//! let (public, private) = ([Fr::from(5)], [Fr::from(6), Fr::from(7)]);
//! let head = JobHead {
//!     shape: "c2-test".parse()?,
//!     circuit_hash: [2; 32],
//!     key_id: [3; 32],
//!     input_hash: jobs::input_hash(&[3; 32], &public),
//!     reply_to: [4; 16],
//!     lease,
//!     failed_on: vec![],
//! };
//! // In the node; `secret.public()` stands in its configuration.
//! let sealed = secret.public().seal(&jobs::encode(&head, &public, &private)?)?;
//! // In a worker.
//! let (opened, columns) = jobs::decode(&secret.open(&sealed)?)?;
//! assert_eq!((&opened, columns.public.as_slice()), (&head, public.as_slice()));
//! assert_eq!(columns.private.as_slice(), private);
//! # Ok(())
//! # }
//! ```

mod answer;
mod codec;
mod envelope;
mod job;
mod name;
mod seal;

pub use answer::{Answer, Beat, FailedBecause, Outcome, Verdict};
pub use codec::DecodeError;
pub use envelope::Envelope;
pub use job::{
    COLUMNS_MAX, Columns, FAILED_ON_MAX, JobHead, Lease, LeaseToken, TooManyColumns, decode,
    encode, input_hash,
};
pub use name::{NameError, ShapeName, WorkerName};
pub use seal::{OpenError, SEALED_BYTES_MAX, SealError, WorkersKey, WorkersSecret};

#[cfg(test)]
mod tests;
