//! What the drill is told.

use std::path::PathBuf;

/// What the drill is told on the command line.
#[derive(Clone, Debug)]
pub struct DrillOptions {
    /// An empty or new folder; one of its own, which is removed at the end, if none.
    pub dir: Option<PathBuf>,
    /// Seed of the cast.
    pub seed: u64,
    /// Whether to end with one JSON object on stdout, and print lines to stderr.
    pub json: bool,
}
