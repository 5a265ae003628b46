//! A window of time as it passes through the stages: when it ends and what it may hold, what
//! happened in it once it is closed, and the files of its batch.
//!
//! ```text
//! ledger -> ClosedWindow (WindowContents) -> batch, prove -> Assembled -> store, settle, http
//! ```
//! Plain values, owned below every stage, so that no stage knows who makes or takes them.

mod cadence;
mod closed;
mod contents;
mod limits;
mod operation;
mod terms;

pub use cadence::Cadence;
pub use closed::{Assembled, ClosedWindow};
pub use contents::{PatientState, WindowContents};
pub use limits::{Capacities, WindowLimits};
pub use operation::{AppliedOperation, OperationScope};
pub use terms::{NextTerms, WindowTerms};

#[cfg(test)]
pub(crate) mod tests {
    use ark_bn254::Fr;
    use ark_ff::AdditiveGroup;
    use model::{BatchNumber, Millis, Position, Window};
    use statement::tree::CAP;

    use super::{ClosedWindow, WindowContents};

    /// A window in which nothing happened, of no journal.
    pub(crate) fn empty_window(number: u64) -> ClosedWindow {
        let at = |ms| Millis::new(ms).unwrap();
        let contents = WindowContents {
            number: BatchNumber(number),
            window: Window::new(at(number), at(number + 1)).unwrap(),
            root_in: Fr::ZERO,
            root_out: Fr::ZERO,
            cap: Box::new([Fr::ZERO; CAP]),
            operations: vec![],
            claims: vec![],
            requests: Default::default(),
            patients: Default::default(),
            segments: vec![],
            refused: Default::default(),
            position_in: Position(0),
            position_out: Position(0),
        };
        ClosedWindow { contents: contents.into(), group: number, journal_hash: [0; 32] }
    }
}
