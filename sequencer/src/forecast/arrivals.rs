//! What arrived at a node, as its journal has it.

use wire::Entry;

use crate::stages::ledger::Placed;

/// One entry of a journal.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What it is.
    pub entry: Entry,
    /// Where it stands, and when it was appended.
    pub placed: Placed,
    /// How many groups of the journal there were before its own.
    pub groups: u64,
}

/// All entries of a journal, to be gone through as often as there are candidates: they are too many
/// to be kept.
pub trait Arrivals {
    /// Why one cannot be read.
    type Error;

    /// From the first on, in order.
    fn all(&self) -> impl Iterator<Item = Result<Arrival, Self::Error>>;
}
