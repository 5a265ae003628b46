//! Views one by one.

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
        head: 6,
        head_hash: [6; 32],
        account_nonce: 7,
        finalized: 4,
        settled: 2,
        recorded: 2,
        rows: vec![],
        waiting: vec![],
        sent_here: true,
        underpriced: false,
        doubt: None,
        hold_until: None,
    }
}

/// Of batch 3.
fn row(nonce: u64, state: OutboxState, found: OnChain) -> Row {
    Row { nonce, last: 3, state, found }
}

/// After the contract settled batch 3 by the transaction of nonce 7.
fn after() -> View {
    View { account_nonce: 8, settled: 3, recorded: 3, ..view() }
}

/// Looked at again first, and done once it was seen for long enough; then `view` with it.
#[track_caller]
fn check_doubted(view: View, what: Doubt, believed: Action) {
    check(view.clone(), Action::Recheck(what));
    let early = Some(Doubted { what, since: at(76_001), looks: 9 });
    check(View { doubt: early, ..view.clone() }, Action::Recheck(what));
    let other = Some(Doubted { what: Doubt::Gone(99), since: at(1), looks: 9 });
    check(View { doubt: other, ..view.clone() }, Action::Recheck(what));
    // One before the chain stopped answering, and this one after it.
    let seldom = Some(Doubted { what, since: at(1), looks: 1 });
    check(View { doubt: seldom, ..view.clone() }, Action::Recheck(what));
    let long = Some(Doubted { what, since: at(76_000), looks: 2 });
    check(View { doubt: long, ..view }, believed);
}

#[track_caller]
fn check(view: View, expected: Action) {
    assert_eq!(next_action(&view, &SettleConfig::default()), expected, "{view:?}");
}

#[track_caller]
fn check_row(state: OutboxState, found: OnChain, expected: Action) {
    check(View { rows: vec![row(7, state, found)], ..view() }, expected);
}

#[track_caller]
fn check_row_after(state: OutboxState, found: OnChain, expected: Action) {
    check(View { rows: vec![row(7, state, found)], ..after() }, expected);
}

#[test]
fn a_row_goes_from_built_over_sent_and_mined_to_final() {
    check_row(OutboxState::Built, NOTHING, Action::Send(7));
    check_row(sent(99_000, 1), KNOWN, Action::Wait(at(147_000)));
    check_row_after(sent(99_000, 1), mined(5, 5, true), Action::Record(7));
    check_row_after(MINED, mined(5, 5, true), Action::Idle);
    check_row_after(MINED, mined(4, 5, true), Action::Finish(7));
}

#[test]
fn a_transaction_that_was_sent_before_a_crash_is_found_before_it_is_sent_again() {
    check_row_after(OutboxState::Built, mined(5, 5, true), Action::Record(7));
    let rows = vec![row(7, sent(99_000, 1), NOTHING)];
    check(View { rows, sent_here: false, ..view() }, Action::Send(7));
    let rows = vec![row(7, sent(99_000, 1), KNOWN)];
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
        let rows = vec![row(7, state, NOTHING)];
        check(View { rows, underpriced: true, ..view() }, Action::Replace(7));
    }
}

#[test]
fn a_nonce_that_does_not_fit_is_given_up_once_every_look_says_so() {
    let open = |nonce| View { rows: vec![row(nonce, sent(99_999, 1), NOTHING)], ..view() };
    check_doubted(open(6), Doubt::UsedOtherwise(6), Action::Void(6));
    check_doubted(open(9), Doubt::TooHigh(9), Action::Void(9));
    let built = View { rows: vec![row(9, OutboxState::Built, NOTHING)], ..view() };
    check_doubted(built, Doubt::TooHigh(9), Action::Void(9));
}

#[test]
fn a_failed_transaction_is_given_up_and_told_unless_its_batches_are_settled() {
    for state in [sent(99_999, 1), MINED] {
        let rows = vec![row(7, state, mined(6, 6, false))];
        let failed = View { rows: rows.clone(), ..view() };
        check_doubted(failed, Doubt::Failed(7), Action::Failed(7));
        check_doubted(View { rows, ..after() }, Doubt::Failed(7), Action::Void(7));
    }
}

#[test]
fn the_contract_is_believed_and_not_the_receipt() {
    for state in [sent(99_999, 1), MINED] {
        let lie = View { rows: vec![row(7, state, mined(5, 5, true))], ..view() };
        check_doubted(lie, Doubt::NotSettled(7), Action::Failed(7));
    }
    // Without its receipt, but the nonce is used and the batches are settled.
    check_row_after(MINED, NOTHING, Action::Idle);
    let rows = vec![row(7, MINED, NOTHING)];
    check(View { rows, finalized: 5, ..after() }, Action::Finish(7));
}

#[test]
fn a_receipt_of_a_later_block_than_the_one_looked_at_is_looked_up_again() {
    for succeeded in [true, false] {
        check_row(sent(99_000, 1), mined(7, 7, succeeded), Action::Wait(at(102_000)));
    }
}

#[test]
fn a_reorganisation_reopens_or_records_anew() {
    let gone = View { rows: vec![row(7, MINED, NOTHING)], ..view() };
    check_doubted(gone, Doubt::Gone(7), Action::Reopen(7));
    check_row_after(MINED, mined(6, 6, true), Action::Record(7));
}

#[test]
fn what_the_contract_took_back_is_taken_back_once_every_look_says_so() {
    check_doubted(View { recorded: 3, ..view() }, Doubt::TakenBack, Action::Adopt);
}

#[test]
fn after_a_failed_transaction_nothing_is_built_for_a_while() {
    let waiting = vec![(3, at(1))];
    let held = View { waiting, hold_until: Some(at(100_001)), ..view() };
    check(held.clone(), Action::Wait(at(100_001)));
    check(View { now: at(100_001), ..held }, Action::Build { first: 3, last: 3 });
}

#[test]
fn without_a_time_of_doubt_one_look_is_believed() {
    let config = SettleConfig { doubt_ms: 0, ..SettleConfig::default() };
    let gone = View { rows: vec![row(7, MINED, NOTHING)], ..view() };
    assert_eq!(next_action(&gone, &config), Action::Reopen(7));
}

#[test]
fn earlier_nonces_come_first_and_nothing_is_built_beside_an_open_row() {
    let open = row(7, sent(99_000, 1), KNOWN);
    let last = row(8, OutboxState::Built, NOTHING);
    let waiting = vec![(3, at(1))];
    check(View { rows: vec![open, last], waiting, ..view() }, Action::Wait(at(147_000)));
}

#[test]
fn what_the_store_does_not_know_is_adopted_before_anything_is_built() {
    let waiting = vec![(4, at(1))];
    check(View { settled: 3, waiting, ..view() }, Action::Adopt);
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
    let rows = (0..64).map(|nonce| row(nonce, MINED, mined(5, 5, true))).collect();
    let waiting = vec![(4, at(1))];
    check(View { rows, waiting, ..after() }, Action::Wait(at(102_000)));
}

#[test]
fn while_settling_is_paused_whatever_would_reach_the_chain_waits_and_the_rest_is_done() {
    let (config, now) = (SettleConfig::default(), at(100_000));
    let waits = Action::Wait(now.plus(config.poll_ms));
    for sends in [Action::Build { first: 1, last: 2 }, Action::Send(7), Action::Replace(7)] {
        assert_eq!(sends.while_paused(now, &config), waits, "{sends:?}");
    }
    for kept in [
        Action::Idle,
        Action::Wait(at(5)),
        Action::Recheck(Doubt::Gone(7)),
        Action::Adopt,
        Action::Record(7),
        Action::Reopen(7),
        Action::Finish(7),
        Action::Void(7),
        Action::Failed(7),
    ] {
        assert_eq!(kept.while_paused(now, &config), kept);
    }
}
