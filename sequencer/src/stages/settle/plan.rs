//! What to do next, decided from what was seen: no chain, no disk, no clock.
//!
//! The settler looks, asks [`next_action`], does that one thing and looks again. Each action is one
//! durable write or one request, so a crash between any two finds the same state as a restart.

use model::Millis;

use super::config::SettleConfig;
use crate::folder::store::OutboxState;

/// What the chain says of a row's transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnChain {
    /// None is mined. `known`: the node has the latest one.
    Nothing {
        /// Whether the node has the latest transaction.
        known: bool,
    },
    /// One is in a block.
    Mined {
        /// Number of the block.
        block: u64,
        /// Hash of the block.
        block_hash: [u8; 32],
        /// Whether it succeeded.
        succeeded: bool,
    },
}

/// One row of the outbox that is neither final nor void.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The account's nonce.
    pub nonce: u64,
    /// How far the outbox says it is.
    pub state: OutboxState,
    /// What the chain says.
    pub found: OnChain,
}

/// Everything that the next action depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// The operator's time.
    pub now: Millis,
    /// Next nonce of the account at the chain's head, read *before* the rows were looked up.
    pub account_nonce: u64,
    /// Number of the last final block.
    pub finalized: u64,
    /// Last batch that the contract settled.
    pub settled: u64,
    /// Last batch that the store says is settled.
    pub recorded: u64,
    /// Rows by nonce.
    pub rows: Vec<Row>,
    /// The assembled batches after `settled`, in order: number and end of window.
    pub waiting: Vec<(u64, Millis)>,
    /// Whether the open row's bytes were sent since this settler began.
    pub sent_here: bool,
    /// Whether the node refused the open row's fees.
    pub underpriced: bool,
}

/// The next thing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing until something is assembled.
    Idle,
    /// Nothing before this time, unless the chain moves.
    Wait(Millis),
    /// Look up in the contract's events what the store does not know.
    Adopt,
    /// Simulate, sign and write a transaction that settles these batches.
    Build {
        /// First batch.
        first: u64,
        /// Last batch.
        last: u64,
    },
    /// Send the bytes of this nonce.
    Send(u64),
    /// Sign the transaction of this nonce again with higher fees.
    Replace(u64),
    /// Record that it is mined.
    Record(u64),
    /// Record that its block went away.
    Reopen(u64),
    /// Record that it is final.
    Finish(u64),
    /// Give the nonce up: the account used it otherwise.
    Void(u64),
    /// It was mined and failed.
    Failed(u64),
}

/// Decides. The same view always gives the same action.
pub fn next_action(view: &View, config: &SettleConfig) -> Action {
    // Rows in order of nonce: a later one cannot be mined before an earlier one.
    if let Some(action) = view.rows.iter().find_map(|row| row_action(view, row, config)) {
        return action;
    }
    // Before anything is built: what the contract settled without the store knowing (a lost store,
    // another process of the operator) must not be built again.
    if view.recorded != view.settled {
        return Action::Adopt;
    }
    batch_action(view, config)
}

pub(super) fn row_action(view: &View, row: &Row, config: &SettleConfig) -> Option<Action> {
    let nonce = row.nonce;
    // The order of the arms matters: what is mined says more than what the outbox remembers.
    match (row.state, row.found) {
        (OutboxState::Final { .. } | OutboxState::Void, _) => None,
        (_, OnChain::Mined { succeeded: false, .. }) => Some(Action::Failed(nonce)),
        (
            OutboxState::Mined { block_hash: known, .. },
            OnChain::Mined { block, block_hash, .. },
        ) if known == block_hash => {
            // Not final: later rows may go on meanwhile.
            (block <= view.finalized).then_some(Action::Finish(nonce))
        }
        (_, OnChain::Mined { .. }) => Some(Action::Record(nonce)),
        (OutboxState::Mined { .. }, OnChain::Nothing { .. }) => Some(Action::Reopen(nonce)),
        // The account's next nonce was read before the receipts, so none of ours used this one.
        (_, OnChain::Nothing { .. }) if view.account_nonce > nonce => Some(Action::Void(nonce)),
        (_, OnChain::Nothing { .. }) if view.underpriced => Some(Action::Replace(nonce)),
        (OutboxState::Built, OnChain::Nothing { .. }) => Some(Action::Send(nonce)),
        (OutboxState::Sent { at, times }, OnChain::Nothing { known }) => {
            Some(sent_action(view, config, Sent { nonce, at, times, known }))
        }
    }
}

/// A transaction that was sent and is not mined.
struct Sent {
    nonce: u64,
    /// When the last time.
    at: Millis,
    /// How often the same bytes.
    times: u32,
    /// Whether the chain's node has it.
    known: bool,
}

/// After a restart the bytes are sent once more; after the interval once more if the node lost
/// them, otherwise with higher fees.
fn sent_action(view: &View, config: &SettleConfig, sent: Sent) -> Action {
    let Sent { nonce, at, times, known } = sent;
    let due = at.plus(config.resend_after_ms);
    match () {
        // The chain's node may have been restarted as well and have forgotten its pool; the same
        // bytes again cost nothing and cannot settle twice.
        _ if !view.sent_here && !known => Action::Send(nonce),
        _ if view.now < due => Action::Wait(due),
        // A node may drop what it has from its pool. Dropped twice, the fees are too low for it.
        _ if !known && times < 2 => Action::Send(nonce),
        _ => Action::Replace(nonce),
    }
}

fn batch_action(view: &View, config: &SettleConfig) -> Action {
    let Some(&(first, t1)) = view.waiting.first() else { return Action::Idle };
    assert_eq!(first, view.settled + 1, "I2: only what follows the settled batch is settled");
    let over = view.waiting.iter().take(config.batches_max).take_while(|batch| batch.1 <= view.now);
    let numbers = over.map(|batch| batch.0);
    match numbers.last() {
        None => Action::Wait(t1),
        // Each unfinal transaction is looked up each round: their number is bounded.
        Some(_) if view.rows.len() >= config.pending_max => {
            Action::Wait(view.now.plus(config.poll_ms))
        }
        Some(last) => Action::Build { first, last },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINED: OutboxState = OutboxState::Mined { hash: [1; 32], block: 5, block_hash: [5; 32] };

    fn at(ms: u64) -> Millis {
        Millis::new(ms).unwrap()
    }

    fn sent(ms: u64, times: u32) -> OutboxState {
        OutboxState::Sent { at: at(ms), times }
    }

    fn mined(block: u64, hash: u8, succeeded: bool) -> OnChain {
        OnChain::Mined { block, block_hash: [hash; 32], succeeded }
    }

    const NOTHING: OnChain = OnChain::Nothing { known: false };
    const KNOWN: OnChain = OnChain::Nothing { known: true };

    fn view() -> View {
        View {
            now: at(100_000),
            account_nonce: 7,
            finalized: 4,
            settled: 2,
            recorded: 2,
            rows: vec![],
            waiting: vec![],
            sent_here: true,
            underpriced: false,
        }
    }

    #[track_caller]
    fn check(view: View, expected: Action) {
        assert_eq!(next_action(&view, &SettleConfig::default()), expected, "{view:?}");
    }

    fn check_row(state: OutboxState, found: OnChain, expected: Action) {
        check(View { rows: vec![Row { nonce: 7, state, found }], ..view() }, expected);
    }

    #[test]
    fn a_row_goes_from_built_over_sent_and_mined_to_final() {
        check_row(OutboxState::Built, NOTHING, Action::Send(7));
        check_row(sent(99_000, 1), KNOWN, Action::Wait(at(147_000)));
        check_row(sent(99_000, 1), mined(5, 5, true), Action::Record(7));
        check_row(MINED, mined(5, 5, true), Action::Idle);
        check_row(MINED, mined(4, 5, true), Action::Finish(7));
    }

    #[test]
    fn a_transaction_that_was_sent_before_a_crash_is_found_before_it_is_sent_again() {
        check_row(OutboxState::Built, mined(5, 5, true), Action::Record(7));
        let rows = vec![Row { nonce: 7, state: sent(99_000, 1), found: NOTHING }];
        check(View { rows, sent_here: false, ..view() }, Action::Send(7));
        let rows = vec![Row { nonce: 7, state: sent(99_000, 1), found: KNOWN }];
        check(View { rows, sent_here: false, ..view() }, Action::Wait(at(147_000)));
    }

    #[test]
    fn a_lost_transaction_is_sent_again_and_then_replaced() {
        check_row(sent(52_000, 1), NOTHING, Action::Send(7));
        check_row(sent(52_001, 1), NOTHING, Action::Wait(at(100_001)));
        check_row(sent(52_000, 2), NOTHING, Action::Replace(7));
        check_row(sent(52_000, 1), KNOWN, Action::Replace(7));
    }

    #[test]
    fn refused_fees_are_raised_at_once() {
        for state in [OutboxState::Built, sent(99_999, 1)] {
            let rows = vec![Row { nonce: 7, state, found: NOTHING }];
            check(View { rows, underpriced: true, ..view() }, Action::Replace(7));
        }
    }

    #[test]
    fn a_nonce_used_otherwise_is_given_up_and_a_failed_transaction_is_named() {
        let rows = vec![Row { nonce: 6, state: sent(99_999, 1), found: NOTHING }];
        check(View { rows, ..view() }, Action::Void(6));
        check_row(sent(99_999, 1), mined(5, 5, false), Action::Failed(7));
        check_row(MINED, mined(6, 6, false), Action::Failed(7));
    }

    #[test]
    fn a_reorganisation_reopens_or_records_anew() {
        check_row(MINED, NOTHING, Action::Reopen(7));
        check_row(MINED, mined(6, 6, true), Action::Record(7));
    }

    #[test]
    fn earlier_nonces_come_first_and_nothing_is_built_beside_an_open_row() {
        let open = Row { nonce: 7, state: sent(99_000, 1), found: KNOWN };
        let last = Row { nonce: 8, state: OutboxState::Built, found: NOTHING };
        let waiting = vec![(3, at(1))];
        check(View { rows: vec![open, last], waiting, ..view() }, Action::Wait(at(147_000)));
    }

    #[test]
    fn what_the_store_does_not_know_is_adopted_before_anything_is_built() {
        let waiting = vec![(4, at(1))];
        check(View { settled: 3, waiting, ..view() }, Action::Adopt);
        check(View { recorded: 3, waiting: vec![(3, at(1))], ..view() }, Action::Adopt);
    }

    #[test]
    fn batches_whose_window_is_over_are_settled_together_up_to_the_limit() {
        let batches = |count: u64, t1: u64| (3..3 + count).map(|n| (n, at(t1))).collect();
        check(view(), Action::Idle);
        let three = View { waiting: batches(3, 100_000), ..view() };
        check(three, Action::Build { first: 3, last: 5 });
        check(View { waiting: batches(9, 1), ..view() }, Action::Build { first: 3, last: 10 });
        check(View { waiting: batches(1, 100_001), ..view() }, Action::Wait(at(100_001)));
        let waiting = vec![(3, at(1)), (4, at(100_001)), (5, at(1))];
        check(View { waiting, ..view() }, Action::Build { first: 3, last: 3 });
    }

    #[test]
    fn too_many_unfinal_transactions_wait_for_finality() {
        let row = |nonce| Row { nonce, state: MINED, found: mined(5, 5, true) };
        let rows = (0..64).map(row).collect();
        let waiting = vec![(3, at(1))];
        check(View { rows, waiting, ..view() }, Action::Wait(at(102_000)));
    }
}
