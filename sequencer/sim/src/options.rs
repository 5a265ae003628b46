//! Which run is made, and what comes of it.

use thiserror::Error;

use crate::cast::CastError;
use crate::chain::ChainError;
use crate::check::{Held, Violation};

/// What is wrong with the world itself, for whoever wants to see that a run finds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// Nothing: the disk keeps what it says it has.
    #[default]
    Nothing,
    /// The node's disk says that it synced and did not, so that the node acknowledges what a power
    /// cut takes away.
    LyingDisk,
    /// A gateway's device gives what it measured last once more, in new frames.
    Repetition,
    /// A snapshot that is whole, sealed, and of another state than the journal makes where it
    /// stands.
    OtherState,
    /// The operator issues no certificate, whoever asks.
    NoCertificates,
    /// The chain takes back a block that it called final, when all is over.
    BrokenFinality,
}

/// Which run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Everything is drawn from it.
    pub seed: u64,
    /// Gateways, each on a host of its own.
    pub gateways: usize,
    /// What is wrong with the world itself.
    pub planted: Planted,
    /// What is told of datagrams.
    pub datagrams: Datagrams,
}

/// What a trace says of the datagrams of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Datagrams {
    /// How many there were, and a hash over all of them.
    #[default]
    Hashed,
    /// The same, and a line for each behind the rest: where two runs part that should be the same.
    Listed,
}

impl Options {
    /// The ordinary run of a seed.
    pub fn of_seed(seed: u64) -> Options {
        Options { seed, gateways: 3, planted: Planted::Nothing, datagrams: Datagrams::Hashed }
    }
}

/// A run that went well.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened, line by line; equal for equal seeds.
    pub trace: String,
    /// What the journal held at the end.
    pub held: Held,
}

/// A run that did not. Its text names the seed, with which the run is made again; why is its source
/// ([`model::with_causes`] says both).
#[derive(Debug, Error)]
#[error("seed {seed}")]
pub struct Failed {
    /// Of which seed.
    pub seed: u64,
    /// What happened up to there.
    pub trace: String,
    /// What does not hold.
    #[source]
    pub why: Why,
}

/// What ended a run.
#[derive(Debug, Error)]
pub enum Why {
    /// An invariant.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The world could not be made.
    #[error("the run cannot be set up")]
    Setup(#[from] CastError),
    /// The chain.
    #[error("the base chain")]
    Chain(#[from] ChainError),
    /// A folder for the gateways' spools.
    #[error("no folder can be made for the gateways")]
    Folder(#[from] std::io::Error),
    /// Software of a host ended with an error, or turmoil did.
    #[error("the simulation ended: {0}")]
    Network(String),
}
