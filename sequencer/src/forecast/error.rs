//! Why there is no forecast.

use model::Millis;
use statement::c2::PackError;
use thiserror::Error;

use super::proving::UnknownProof;
use crate::doors::config::ConfigError;
use crate::stages::ledger::BrokenEntry;

/// Why there is no forecast. `E` is why an arrival cannot be read.
#[derive(Debug, Error)]
pub enum ForecastError<E> {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(E),
    /// The journal has an entry that does not follow from those before it.
    #[error(transparent)]
    Broken(#[from] BrokenEntry),
    /// A window's claims fit no chunk.
    #[error("the window that ends at {t1:?} cannot be laid out")]
    Pack {
        /// End of the window.
        t1: Millis,
        /// Why.
        source: PackError,
    },
    /// Nobody says how long a proof takes.
    #[error(transparent)]
    Proof(#[from] UnknownProof),
    /// A candidate's shapes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing arrived.
    #[error("expected a journal with entries, found none: nothing arrived at this node")]
    Empty,
    /// No window was closed.
    #[error(
        "expected a journal with a closed window, found {entries} entries and no close: let the \
         node run until a window ends (`batch.close_after_ms`)"
    )]
    NoWindow {
        /// Entries that there are.
        entries: u64,
    },
    /// So short windows that there would be too many.
    #[error(
        "expected at most {max} windows in what was recorded, found more: plan with a longer \
         `batch.close_after_ms`"
    )]
    TooManyWindows {
        /// Most.
        max: usize,
    },
}
