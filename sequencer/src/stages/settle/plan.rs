//! What to do next, decided from what was seen: no chain, no disk, no clock.
//!
//! The settler looks, asks [`next_action`], does that one thing and looks again. Each action is one
//! durable write or one request, so a crash between any two finds the same state as a restart.
//!
//! A look may be wrong: behind one address stand several nodes, some of them blocks behind, and a
//! node may lie for a while. So the contract's counter says what is settled, whatever receipts say,
//! and what would give up something that the outbox remembers is a [`Doubt`] first: it is believed
//! once every look has said so for `settle.doubt_ms`, and at least three looks. While the chain
//! does not answer the time goes on, and one stale look on each side must not be enough.

use std::cmp::Ordering;

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
    /// Last batch that it settles.
    pub last: u64,
    /// How far the outbox says it is.
    pub state: OutboxState,
    /// What the chain says.
    pub found: OnChain,
}

/// What a look says against what the outbox remembers: true after a reorganisation, and else a node
/// that is behind or wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// The block with the transaction of this nonce went away.
    Gone(u64),
    /// The account used this nonce for another transaction.
    UsedOtherwise(u64),
    /// The account is not at this nonce yet: what has it waits for others that nobody sends.
    TooHigh(u64),
    /// The transaction of this nonce was mined and failed.
    Failed(u64),
    /// The transaction of this nonce succeeded, and the contract did not settle its batches.
    NotSettled(u64),
    /// The contract settled less than is recorded.
    TakenBack,
}

/// How many looks must agree on a doubt, the one that believes it included.
pub(super) const LOOKS_MIN: u32 = 3;

/// A doubt that all looks before this one had, those left out that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Doubted {
    /// Which.
    pub what: Doubt,
    /// When it was seen first.
    pub since: Millis,
    /// How many looks had it.
    pub looks: u32,
}

impl Doubted {
    /// What is to be remembered after one more look that has this doubt.
    pub(super) fn seen_again(before: Option<Doubted>, what: Doubt, now: Millis) -> Doubted {
        let before = before.filter(|before| before.what == what);
        let Doubted { since, looks, .. } = before.unwrap_or(Doubted { what, since: now, looks: 0 });
        Doubted { what, since, looks: looks.saturating_add(1) }
    }
}

/// Everything that the next action depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// The operator's time.
    pub now: Millis,
    /// The block that was looked at.
    pub head: u64,
    /// Its hash.
    pub head_hash: [u8; 32],
    /// Next nonce of the account after that block, which was read *before* the rows were looked up.
    pub account_nonce: u64,
    /// Number of the last final block.
    pub finalized: u64,
    /// Last batch that the contract settled by that block.
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
    /// What the looks before this one doubted.
    pub doubt: Option<Doubted>,
    /// Until when nothing new is built, after a transaction that was mined and failed.
    pub hold_until: Option<Millis>,
}

/// The next thing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing until something is assembled.
    Idle,
    /// Nothing before this time, unless the chain moves.
    Wait(Millis),
    /// Look again before this is believed.
    Recheck(Doubt),
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
    /// Give the nonce up: what has it settles nothing any more, and nothing is wrong.
    Void(u64),
    /// Give it up: it was mined and settled nothing.
    Failed(u64),
}

impl Action {
    /// What is done instead while an operator has paused settling: whatever would bring something
    /// to the chain waits, and what the chain says of transactions that are there is recorded.
    pub fn while_paused(self, now: Millis, config: &SettleConfig) -> Action {
        match self {
            Action::Build { .. } | Action::Send(_) | Action::Replace(_) => {
                Action::Wait(now.plus(config.poll_ms))
            }
            Action::Idle
            | Action::Wait(_)
            | Action::Recheck(_)
            | Action::Adopt
            | Action::Record(_)
            | Action::Reopen(_)
            | Action::Finish(_)
            | Action::Void(_)
            | Action::Failed(_) => self,
        }
    }
}

/// What one look says.
enum Verdict {
    /// To be done.
    Sure(Action),
    /// To be done once this is believed.
    Doubtful(Doubt, Action),
}

/// Decides. The same view always gives the same action.
pub fn next_action(view: &View, config: &SettleConfig) -> Action {
    believe(view, decide(view, config), config)
}

fn believe(view: &View, verdict: Verdict, config: &SettleConfig) -> Action {
    match verdict {
        Verdict::Doubtful(doubt, _) if !is_believed(view, doubt, config) => Action::Recheck(doubt),
        Verdict::Sure(action) | Verdict::Doubtful(_, action) => action,
    }
}

/// What is to be done about one row alone, by the same rule.
pub(super) fn row_action(view: &View, row: &Row, config: &SettleConfig) -> Option<Action> {
    row_verdict(view, row, config).map(|verdict| believe(view, verdict, config))
}

fn is_believed(view: &View, doubt: Doubt, config: &SettleConfig) -> bool {
    let before = view.doubt.filter(|doubted| doubted.what == doubt);
    let is_enough = |Doubted { since, looks, .. }: Doubted| {
        view.now >= since.plus(config.doubt_ms) && looks.saturating_add(1) >= LOOKS_MIN
    };
    config.doubt_ms == 0 || before.is_some_and(is_enough)
}

fn decide(view: &View, config: &SettleConfig) -> Verdict {
    // Rows in order of nonce: a later one cannot be mined before an earlier one.
    if let Some(verdict) = view.rows.iter().find_map(|row| row_verdict(view, row, config)) {
        return verdict;
    }
    // Before anything is built: what the contract settled without the store knowing (a lost store,
    // another process of the operator) must not be built again.
    match view.recorded.cmp(&view.settled) {
        Ordering::Less => Verdict::Sure(Action::Adopt),
        Ordering::Greater => Verdict::Doubtful(Doubt::TakenBack, Action::Adopt),
        Ordering::Equal => Verdict::Sure(batch_action(view, config)),
    }
}

fn row_verdict(view: &View, row: &Row, config: &SettleConfig) -> Option<Verdict> {
    use Verdict::{Doubtful, Sure};
    let nonce = row.nonce;
    let is_settled = view.settled >= row.last;
    // The order of the arms matters: what is mined says more than what the outbox remembers.
    Some(match (row.state, row.found) {
        (OutboxState::Final { .. } | OutboxState::Void, _) => return None,
        // Nonce and counter are of an older block: together they would say nonsense.
        (_, OnChain::Mined { block, .. }) if block > view.head => {
            Sure(Action::Wait(view.now.plus(config.poll_ms)))
        }
        // Others settled its batches, or the receipt is wrong: either way there is no work left.
        (_, OnChain::Mined { succeeded: false, .. }) if is_settled => {
            Doubtful(Doubt::Failed(nonce), Action::Void(nonce))
        }
        (_, OnChain::Mined { succeeded: false, .. }) => {
            Doubtful(Doubt::Failed(nonce), Action::Failed(nonce))
        }
        (_, OnChain::Mined { .. }) if !is_settled => {
            Doubtful(Doubt::NotSettled(nonce), Action::Failed(nonce))
        }
        (
            OutboxState::Mined { block_hash: known, .. },
            OnChain::Mined { block, block_hash, .. },
        ) if known == block_hash => {
            // Not final: later rows may go on meanwhile.
            return (block <= view.finalized).then_some(Sure(Action::Finish(nonce)));
        }
        (_, OnChain::Mined { .. }) => Sure(Action::Record(nonce)),
        // The contract has its batches: what is missing is the receipt alone.
        (OutboxState::Mined { block, .. }, OnChain::Nothing { .. })
            if is_settled && view.account_nonce > nonce =>
        {
            return (block <= view.finalized).then_some(Sure(Action::Finish(nonce)));
        }
        (OutboxState::Mined { .. }, OnChain::Nothing { .. }) => {
            Doubtful(Doubt::Gone(nonce), Action::Reopen(nonce))
        }
        (_, OnChain::Nothing { .. }) if view.account_nonce > nonce => {
            Doubtful(Doubt::UsedOtherwise(nonce), Action::Void(nonce))
        }
        // Everything before it is mined, so this is where the account should be.
        (_, OnChain::Nothing { .. }) if view.account_nonce < nonce => {
            Doubtful(Doubt::TooHigh(nonce), Action::Void(nonce))
        }
        (_, OnChain::Nothing { .. }) if view.underpriced => Sure(Action::Replace(nonce)),
        (OutboxState::Built, OnChain::Nothing { .. }) => Sure(Action::Send(nonce)),
        (OutboxState::Sent { at, times }, OnChain::Nothing { known }) => {
            Sure(sent_action(view, config, Sent { nonce, at, times, known }))
        }
    })
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
    if let Some(until) = view.hold_until.filter(|until| view.now < *until) {
        return Action::Wait(until);
    }
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
mod tests;
#[cfg(test)]
mod world;
