//! How far batches are, as anybody is told: what is settled and stored is in the store, what is
//! under way is in memory.

use std::collections::BTreeMap;

use model::BatchNumber;
use page_server::{BatchState, Proofs, Reach, UNDER_WAY_MAX, UnderWay};

use crate::folder::store::{Store, StoreError};

/// Who knows what is under way.
pub trait TellWindows: Send + Sync {
    /// The windows behind the batches, as they stand now.
    fn windows(&self) -> Windows;
}

/// Windows and what becomes of them, as the stages reported them last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// The last batch whose transaction was given to the chain's node.
    pub sent: u64,
    /// The last window that is closed.
    pub closed: u64,
    /// The window that takes in; none while the journal is absorbed.
    pub open: Option<OpenWindow>,
    /// Those whose proofs are being made.
    pub proving: BTreeMap<u64, Proofs>,
}

/// The window that takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenWindow {
    /// Its number.
    pub number: u64,
    /// When it began, milliseconds since 1970.
    pub since_unix_ms: u64,
}

/// How far batches are.
///
/// # Errors
/// [`StoreError`] if the store does not say which are stored and settled.
pub(super) fn reach(store: &Store, windows: &Windows) -> Result<Reach, StoreError> {
    let assembled = store.last_assembled()?.map_or(BatchNumber(0), |(number, _)| number);
    Ok(compose(assembled, store.last_settled()?, windows))
}

/// Numbers were looked at one after the other, so that one may be ahead of what it follows: a
/// batch is told as far as somebody has seen it.
fn compose(assembled: BatchNumber, settled: BatchNumber, windows: &Windows) -> Reach {
    let Windows { sent, closed, open, proving } = windows;
    let last = assembled.0.max(*closed);
    let state = |number: u64| match proving.get(&number) {
        _ if number <= assembled.0 && number <= *sent => BatchState::Sent,
        _ if number <= assembled.0 => BatchState::Assembled,
        Some(proofs) => BatchState::Proving(*proofs),
        None => BatchState::Closed,
    };
    let under_way = |number, state| UnderWay { number: BatchNumber(number), state };
    let waiting = last.saturating_sub(settled.0);
    // The open window has a place whatever waits: it is what everything else comes behind.
    let told = waiting.min(UNDER_WAY_MAX as u64 - 1);
    let ended = (settled.0 + 1..=settled.0 + told).map(|number| under_way(number, state(number)));
    let open = open
        .filter(|open| open.number > last)
        .map(|open| under_way(open.number, BatchState::Open { since_unix_ms: open.since_unix_ms }));
    let (under_way, left_out) = (ended.chain(open).collect(), waiting - told);
    Reach { assembled, settled, under_way, left_out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(assembled: u64, settled: u64, windows: &Windows) -> Vec<(u64, &'static str)> {
        let reach = compose(BatchNumber(assembled), BatchNumber(settled), windows);
        reach.under_way.iter().map(|one| (one.number.0, one.state.name())).collect()
    }

    fn windows(sent: u64, closed: u64, proving: &[u64]) -> Windows {
        let proofs = |number: &u64| (*number, Proofs { done: 1, all: Some(4) });
        let open = OpenWindow { number: closed + 1, since_unix_ms: 7 };
        Windows { sent, closed, open: Some(open), proving: proving.iter().map(proofs).collect() }
    }

    #[test]
    fn each_window_is_told_as_far_as_it_is() {
        assert_eq!(
            told(4, 2, &windows(3, 6, &[5])),
            [(3, "sent"), (4, "assembled"), (5, "proving"), (6, "closed"), (7, "open")]
        );
        assert_eq!(told(0, 0, &windows(0, 0, &[])), [(1, "open")]);
        // A node that starts knows of no window yet.
        assert_eq!(told(3, 2, &Windows::default()), [(3, "assembled")]);
    }

    #[test]
    fn a_number_that_was_looked_at_earlier_takes_nothing_back() {
        // The store is asked later than the counters: the batch is stored, and counted as closed a
        // moment later; its window is open no more.
        let open = Some(OpenWindow { number: 5, since_unix_ms: 7 });
        let before = Windows { sent: 9, closed: 4, open, ..windows(9, 4, &[5]) };
        assert_eq!(told(5, 4, &before), [(5, "sent")]);
        // After a reorganisation or a lost store less is settled than was sent.
        assert_eq!(told(3, 3, &windows(7, 4, &[])), [(4, "closed"), (5, "open")]);
    }

    #[test]
    fn of_more_than_are_told_the_first_are_and_the_open_one_is() {
        let reach = compose(BatchNumber(0), BatchNumber(0), &windows(0, 100, &[1]));
        assert_eq!(reach.under_way.len(), UNDER_WAY_MAX);
        assert_eq!(reach.under_way.last().map(|one| one.number), Some(BatchNumber(101)));
        assert_eq!(reach.under_way[UNDER_WAY_MAX - 2].number, BatchNumber(31));
        assert_eq!(reach.left_out, 69);
    }
}
