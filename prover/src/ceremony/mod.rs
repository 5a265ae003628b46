//! Keys that a ceremony made: reading what snarkjs leaves, and checking it without snarkjs.
//!
//! A ceremony has two phases. The first, which anybody may have held, gives powers of a number tau
//! that nobody knows ([`Phase1`], a `.ptau` file). The second is the circuit's own: each
//! contributor multiplies delta by a number and forgets it. What comes out is a `.zkey` file, with
//! a public record of each contribution ([`Transcript`]). One honest contributor of each phase is
//! enough.
//!
//! [`read_zkey`] takes such a file over as the key of a circuit and checks all that can be checked
//! without the first phase. Then [`Phase1::verify`] says if the key is the one that these powers,
//! this program's matrices and the transcript's delta make, and no other. How a ceremony is held is
//! told in `docs/ceremony.md`.
//!
//! Formats are those of snarkjs 0.7.6.

mod draw;
mod error;
mod phase1;
mod points;
mod sections;
mod transcript;
mod zkey;

pub use error::{CeremonyFileError, Phase1Error, TranscriptError, ZkeyError};
pub use phase1::Phase1;
pub use transcript::{Contribution, Contributor, Transcript};
pub use zkey::{Zkey, read_zkey};

#[cfg(test)]
mod tests;
