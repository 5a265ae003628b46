//! Why what a ceremony left is refused.

use std::io;

use crate::keys::KeyError;

/// Why the bytes are no file of the kind that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyFileError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// Another kind of file, or another version of it.
    #[error("expected a .{expected} file of version 1")]
    Kind {
        /// The file's usual ending.
        expected: &'static str,
    },
    /// The file ends within a section.
    #[error("section {section}: expected {expected} bytes, found the last {found} of the file")]
    Truncated {
        /// Its number.
        section: u32,
        /// Bytes that it says it has.
        expected: u64,
        /// Bytes that are left.
        found: u64,
    },
    /// A section is missing or there more than once.
    #[error("section {section}: expected it once, found it {found} times")]
    Section {
        /// Its number.
        section: u32,
        /// How often it is there.
        found: usize,
    },
    /// A number of the format, circuit or first phase is another.
    #[error("{what}: expected {expected}, found {found}")]
    Number {
        /// Which number.
        what: &'static str,
        /// What it must be.
        expected: u64,
        /// The file's.
        found: u64,
    },
    /// Another curve.
    #[error("expected the curve bn128, found another modulus")]
    Curve,
    /// A point is not reduced, off its curve or outside its subgroup.
    #[error("point {index} of {section} is not in its group")]
    Point {
        /// Which points.
        section: &'static str,
        /// Counted from 0.
        index: usize,
    },
}

/// Why a `.zkey` is not the key of a circuit.
#[derive(Debug, thiserror::Error)]
pub enum ZkeyError {
    /// The bytes are refused.
    #[error("the .zkey cannot be read")]
    File(#[from] CeremonyFileError),
    /// The circuit is too large for any key.
    #[error("{rows} constraints do not fit the largest domain of 2^27 rows")]
    TooLarge {
        /// Constraints.
        rows: usize,
    },
    /// The key was made for other matrices.
    #[error(
        "cell {index} of the matrices: expected {expected}, found {found}; the key is of another \
         circuit: export the .r1cs of this version, and make the key from it"
    )]
    Circuit {
        /// Counted from 0, in the order of the file.
        index: usize,
        /// The circuit's cell.
        expected: String,
        /// The file's.
        found: String,
    },
    /// Nobody contributed, so whoever held the first phase with nobody else could forge.
    #[error("expected a contribution at least, found the .zkey of `groth16 setup` as it is")]
    NoContribution,
    /// The same number stands in G1 and in G2, or should.
    #[error("{what} in G1 and {what} in G2 are not the same number")]
    TwoNumbers {
        /// Which.
        what: &'static str,
    },
    /// The key's delta is not what the last contribution left.
    #[error("the key's delta is not the delta after the last of {contributions} contributions")]
    Delta {
        /// How many there are.
        contributions: usize,
    },
    /// The transcript does not hold.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    /// The parts do not make a key.
    #[error("the .zkey holds no sound key")]
    Key(#[from] KeyError),
}

/// Why a transcript does not hold. Contributions are counted from 1, as snarkjs shows them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranscriptError {
    /// The bytes end within a contribution, or go on after the last one.
    #[error("contribution {at}: the transcript is cut off, or not in the form of snarkjs")]
    Shape {
        /// Which contribution.
        at: usize,
    },
    /// A point of a contribution is in no group, or is infinity.
    #[error("contribution {at}: expected points of the curve other than infinity")]
    Point {
        /// Which contribution.
        at: usize,
    },
    /// The contribution was made to another transcript than the one before it here.
    #[error("contribution {at} does not follow those before it: one was changed or left out")]
    Order {
        /// Which contribution.
        at: usize,
    },
    /// Whoever contributed did not show that it knew its number.
    #[error("contribution {at}: its maker did not show that the number was known")]
    Unproven {
        /// Which contribution.
        at: usize,
    },
    /// Delta moved by another number than the one that was shown.
    #[error("contribution {at}: delta moved by another number than the one that was shown")]
    Moved {
        /// Which contribution.
        at: usize,
    },
    /// A beacon's number does not follow from its public value.
    #[error("contribution {at}: the beacon's number does not follow from its value")]
    Beacon {
        /// Which contribution.
        at: usize,
    },
    /// A beacon of more hashes than are worth waiting for.
    #[error("contribution {at}: expected a beacon of at most 2^{most} hashes, found 2^{found}")]
    BeaconHashes {
        /// Which contribution.
        at: usize,
        /// Logarithm of the most.
        most: u8,
        /// The file's.
        found: u8,
    },
}

/// Why a key does not come from a first phase.
#[derive(Debug, thiserror::Error)]
pub enum Phase1Error {
    /// The bytes are refused.
    #[error("the .ptau cannot be read")]
    File(#[from] CeremonyFileError),
    /// The circuit is too large for any key.
    #[error("{rows} constraints do not fit the largest domain of 2^27 rows")]
    TooLarge {
        /// Constraints.
        rows: usize,
    },
    /// Too few powers for the circuit.
    #[error("expected a first phase of power {expected} at least, found {found}")]
    Power {
        /// The circuit's.
        expected: u32,
        /// The file's.
        found: u32,
    },
    /// The points are not powers of one number.
    #[error("{what} are not the powers of one number: the .ptau is damaged or crafted")]
    Powers {
        /// Which points.
        what: &'static str,
    },
    /// The key is of another circuit than the matrices.
    #[error("expected the key of circuit {}, found {}", hex::encode(expected), hex::encode(found))]
    Circuit {
        /// Hash of the matrices.
        expected: [u8; 32],
        /// The key's.
        found: [u8; 32],
    },
    /// A part of the key is not what matrices and first phase make.
    #[error("{part} of the key is not what the circuit and this first phase make")]
    Part {
        /// Which part.
        part: &'static str,
    },
}
