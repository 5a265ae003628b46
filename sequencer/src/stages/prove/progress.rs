//! What the stage tells of its steps.

use statement::scope::Circuit;

use crate::stages::batch::ClaimPlaces;

/// A step of the stage, for progress bars and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A batch is laid out; its first chunks may be proven by then.
    Planned {
        /// Which.
        number: u64,
        /// C1 chunks to prove.
        operations: usize,
        /// C2 chunks to prove.
        claims: usize,
        /// What these hold and could hold.
        places: ClaimPlaces,
    },
    /// A proof of it is begun: here or elsewhere, the first time or again.
    Begun {
        /// Which batch.
        number: u64,
    },
    /// A chunk is proven.
    Proven {
        /// Which batch.
        number: u64,
        /// Of which statement.
        circuit: Circuit,
        /// How long it took from lease to verified proof, milliseconds.
        millis: u64,
    },
    /// The batch is assembled and stored.
    Assembled {
        /// Which.
        number: u64,
    },
}
