//! The settler against the embedded chain and the real contract, with windows in which nothing
//! happened: those need no proofs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::primitives::keccak256;
use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use devchain::{DevChain, Faults, Genesis, Limits};
use l1_contracts::{DeployConfig, Edge, KeyWords, SetupKind, deploy};
use model::{BatchNumber, Clock as _, ManualClock, Millis, Window, Word};
use statement::scope::{genesis_hash, header_hash};
use tokio::sync::{Notify, watch};

use super::round::Next;
use super::*;
use crate::folder::store::tests::empty_batch;
use crate::folder::store::{OutboxRow, OutboxState, Store, StoreError};
use crate::metrics::Metrics;
use crate::stages::standing::{Cause, Standing};

const START_S: u64 = 1_800_000_000;
const WINDOW_MS: u64 = 60_000;
const ROUNDS_MAX: usize = 100;

fn root() -> Word {
    statement::field::to_word(&statement::tree::EMPTY_ROOT)
}

pub(super) fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[7; 32]).unwrap()
}

/// Chain, contract, store and clocks.
pub(super) struct Bench {
    pub(super) chain: DevChain,
    chain_clock: Arc<ManualClock>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) edge: Edge,
    pub(super) store: Arc<Store>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) standing: Arc<Stood>,
    folder: tempfile::TempDir,
}

/// What a settler said of itself last.
#[derive(Default)]
pub(super) struct Stood(Mutex<Option<Cause>>);

impl Stood {
    pub(super) fn cause(&self) -> Option<Cause> {
        *self.0.lock().unwrap()
    }
}

impl Standing for Stood {
    fn degrade(&self, cause: Cause, _: &dyn std::error::Error) {
        *self.0.lock().unwrap() = Some(cause);
    }

    fn recover(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl Bench {
    async fn new() -> Bench {
        let start = Millis::from_block_timestamp(START_S);
        let [chain_clock, clock] = [0; 2].map(|_| Arc::new(ManualClock::fixed(start)));
        let hand = chain_clock.clone();
        let seconds = Arc::new(move || hand.now().unix_ms() / 1000);
        let genesis = Genesis::funding([signer().address()]);
        let chain = DevChain::in_memory(genesis, Limits::default(), seconds);
        let provider = chain.provider(signer());
        let config = DeployConfig {
            sequencer: signer().address(),
            registrar: Word::from_u64(5),
            receipt_signer: signer().address(),
            genesis_time: start,
            setup: SetupKind::DevInsecure,
            keys: keys(),
        };
        let deployment = deploy(&provider, config).await.unwrap();
        let edge = Edge::connect(provider, deployment).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let (metrics, standing) = (Metrics::new(), Arc::default());
        let bench = Bench { chain, chain_clock, clock, edge, store, metrics, standing, folder };
        // The blocks of the deployment are a second apart, which may be ahead of the clock.
        bench.advance(60_000);
        bench
    }

    /// A chain with `count` assembled batches whose windows are over.
    pub(super) async fn with(count: u64) -> Bench {
        let bench = Bench::new().await;
        fill(&bench.store, &bench.edge, count, root());
        bench.advance(count * WINDOW_MS);
        bench
    }

    pub(super) fn advance(&self, ms: u64) {
        self.clock.advance(ms);
        self.chain_clock.advance(ms);
    }

    /// As after a start of the node.
    fn settler(&self) -> Settler {
        self.settler_of(self.store.clone())
    }

    fn settler_of(&self, store: Arc<Store>) -> Settler {
        self.settler_on(self.edge.clone(), store)
    }

    /// A settler that reaches the chain through this edge.
    pub(super) fn settler_on(&self, edge: Edge, store: Arc<Store>) -> Settler {
        Settler::new(SettlerParts {
            edge,
            store,
            signer: signer(),
            // The embedded chain is believed at once, as a node does.
            config: SettleConfig { doubt_ms: 0, ..SettleConfig::default() },
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            standing: self.standing.clone(),
        })
    }

    pub(super) fn rows(&self) -> Vec<OutboxRow> {
        (0..100).filter_map(|nonce| self.store.outbox(nonce).unwrap()).collect()
    }

    /// How often the chain settled each batch.
    pub(super) async fn counts(&self) -> BTreeMap<u64, usize> {
        let mut counts = BTreeMap::new();
        for batch in self.edge.settled_batches().await.unwrap() {
            *counts.entry(batch.header.number.0).or_default() += 1;
        }
        counts
    }
}

/// Two real verifying keys; no proof is made for them.
fn keys() -> Vec<KeyWords> {
    let fixture = include_str!("../../../../l1-contracts/test/fixtures/groth16.json");
    let fixture: serde_json::Value = serde_json::from_str(fixture).unwrap();
    let words = |name: &str| {
        let text = fixture[name].as_str().unwrap().trim_start_matches("0x");
        hex::decode(text).unwrap().as_chunks::<32>().0.to_vec()
    };
    let key =
        |shape: &str, circuit, name| KeyWords { shape: shape.into(), circuit, words: words(name) };
    vec![key("c1-test", 1, "operations"), key("c2-test", 2, "claims")]
}

fn fill(store: &Store, edge: &Edge, count: u64, root: Word) {
    let mut t0 = edge.deployment().genesis_time().unwrap();
    let mut previous = genesis_hash(edge.scope(), t0);
    for number in 1..=count {
        let window = Window::new(t0, t0.plus(WINDOW_MS)).unwrap();
        let batch = empty_batch(number, previous, root, window);
        previous = header_hash(&batch.public.header);
        t0 = window.t1();
        store.save_batch(&batch, t0).unwrap();
    }
}

/// Rounds until there is nothing to do; what was done.
async fn rounds(settler: &mut Settler) -> (Vec<Action>, Millis) {
    let mut done = Vec::new();
    for _ in 0..ROUNDS_MAX {
        match settler.step().await.unwrap() {
            Step::Did(action) => done.push(action),
            Step::Wait(until) => return (done, until),
        }
    }
    panic!("still busy after {ROUNDS_MAX} rounds: {done:?}");
}

const ALL_THREE: [(u64, usize); 3] = [(1, 1), (2, 1), (3, 1)];

#[tokio::test]
async fn three_batches_are_settled_in_one_transaction_and_recorded() {
    let bench = Bench::with(3).await;
    let nonce = bench.edge.provider().get_transaction_count(signer().address()).await.unwrap();
    let (done, _) = rounds(&mut bench.settler()).await;
    let build = Action::Build { first: 1, last: 3 };
    let life = [Action::Send(nonce), Action::Record(nonce), Action::Finish(nonce)];
    assert_eq!(done, [&[build], &life[..]].concat());
    assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
    for (event, number) in bench.edge.settled_batches().await.unwrap().iter().zip(1..) {
        let row = bench.store.batch(BatchNumber(number)).unwrap().unwrap();
        let settled = row.settled.unwrap();
        assert_eq!(settled.transaction, event.transaction.0);
        assert_eq!((settled.block, settled.lateness_ms), (event.block, event.lateness_ms));
        assert!(settled.gas > 21_000);
    }
    assert_eq!(bench.metrics.batches_settled_total.get(), 3);
    assert_eq!(rounds(&mut bench.settler()).await.0, []);
}

#[tokio::test]
async fn a_pause_between_any_two_steps_sends_nothing_and_what_was_sent_is_followed() {
    let pause = watch::Sender::new(true);
    for steps_before in 0..4 {
        let bench = Bench::with(3).await;
        let mut settler = bench.settler().paused_by(pause.subscribe());
        pause.send_replace(false);
        for _ in 0..steps_before {
            assert!(matches!(settler.step().await.unwrap(), Step::Did(_)));
        }
        let sends = bench.metrics.settle_sends_total.get();
        pause.send_replace(true);
        let (done, _) = rounds(&mut settler).await;
        let is_quiet = |action: &Action| matches!(action, Action::Record(_) | Action::Finish(_));
        assert!(done.iter().all(is_quiet), "{done:?}");
        // Nothing is built, or it is built and not sent; sent, it is followed to its end.
        assert_eq!(bench.rows().len(), steps_before.min(1));
        assert_eq!(bench.metrics.settle_sends_total.get(), sends);
        assert_eq!(bench.counts().await.is_empty(), steps_before < 2);
        pause.send_replace(false);
        rounds(&mut settler).await;
        assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
    }
}

#[tokio::test(start_paused = true)]
async fn a_settler_that_waits_goes_on_at_once_when_it_is_resumed() {
    let (paused, bench) = (watch::Sender::new(true), Bench::with(1).await);
    let mut settler = bench.settler().paused_by(paused.subscribe());
    let (began, long) = (tokio::time::Instant::now(), Duration::from_secs(600));
    let resume = async {
        paused.send_replace(false);
    };
    tokio::join!(settler.pause(long), resume);
    assert_eq!(began.elapsed(), Duration::ZERO);
    // Nobody changes anything any more.
    drop(paused);
    settler.pause(long).await;
    assert!(began.elapsed() >= long, "{:?}", began.elapsed());
}

#[tokio::test]
async fn batches_that_come_one_by_one_are_settled_in_order() {
    let bench = Bench::new().await;
    let mut settler = bench.settler();
    for count in 1..=3 {
        fill(&bench.store, &bench.edge, count, root());
        bench.advance(WINDOW_MS);
        assert_eq!(rounds(&mut settler).await.0.len(), 4);
    }
    assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
    assert_eq!(bench.rows().len(), 3);
}

#[tokio::test]
async fn a_crash_after_any_step_settles_nothing_twice() {
    let bench = Bench::with(3).await;
    let mut steps = 0;
    while let Step::Did(_) = bench.settler().step().await.unwrap() {
        steps += 1;
        assert!(steps < ROUNDS_MAX);
    }
    assert_eq!(steps, 4, "build, send, record, finish");
    assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
    assert_eq!(bench.rows().len(), 1);
}

#[tokio::test]
async fn a_crash_between_sending_and_writing_that_down_settles_nothing_twice() {
    let bench = Bench::with(3).await;
    assert!(matches!(bench.settler().step().await.unwrap(), Step::Did(Action::Build { .. })));
    let built = &bench.rows()[0];
    assert_eq!(built.state, OutboxState::Built);
    bench.chain.send_raw(&built.signed).unwrap();
    let (done, _) = rounds(&mut bench.settler()).await;
    assert!(matches!(done[..], [Action::Record(_), Action::Finish(_)]), "{done:?}");
    assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
}

#[tokio::test]
async fn a_dropped_transaction_is_sent_again_with_the_same_bytes() {
    let bench = Bench::with(1).await;
    bench.chain.set_faults(Faults { drop: 1, ..Faults::default() });
    let mut settler = bench.settler();
    let (done, until) = rounds(&mut settler).await;
    assert!(matches!(done[..], [Action::Build { .. }, Action::Send(_)]), "{done:?}");
    let sent = bench.rows()[0].clone();
    assert_eq!(until, bench.clock.now().plus(48_000));
    bench.advance(48_000);
    let (done, _) = rounds(&mut settler).await;
    assert!(matches!(done[..], [Action::Send(_), Action::Record(_), Action::Finish(_)]));
    assert_eq!(bench.rows()[0].hash, sent.hash);
    assert_eq!(bench.counts().await, BTreeMap::from([(1, 1)]));
}

#[tokio::test]
async fn a_transaction_lost_before_a_restart_is_sent_at_once() {
    let bench = Bench::with(1).await;
    bench.chain.set_faults(Faults { drop: 1, ..Faults::default() });
    rounds(&mut bench.settler()).await;
    let (done, _) = rounds(&mut bench.settler()).await;
    assert!(matches!(done[..], [Action::Send(_), Action::Record(_), Action::Finish(_)]));
}

#[tokio::test]
async fn a_transaction_lost_twice_is_replaced_with_higher_fees() {
    let bench = Bench::with(1).await;
    bench.chain.set_faults(Faults { drop: 2, ..Faults::default() });
    let mut settler = bench.settler();
    rounds(&mut settler).await;
    let first = bench.rows()[0].clone();
    for _ in 0..2 {
        bench.advance(48_000);
        rounds(&mut settler).await;
    }
    let last = &bench.rows()[0];
    assert_eq!(last.replaced, [first.hash]);
    let mined = bench.edge.provider().get_transaction_by_hash(last.hash.into()).await.unwrap();
    let mined = mined.expect("the replacement is mined");
    let old = fees::decode(&first.signed).unwrap();
    let new = alloy::consensus::Transaction::max_fee_per_gas(&mined);
    assert!(new * 8 > old.max_fee_per_gas * 9, "{new} against {}", old.max_fee_per_gas);
    assert_eq!(bench.counts().await, BTreeMap::from([(1, 1)]));
}

#[tokio::test]
async fn refused_fees_are_raised_and_the_transaction_is_sent_again() {
    let bench = Bench::with(1).await;
    bench.chain.set_faults(Faults { underpriced: 1, ..Faults::default() });
    let mut settler = bench.settler();
    assert!(matches!(settler.step().await.unwrap(), Step::Did(Action::Build { .. })));
    let refused = settler.step().await.unwrap_err();
    assert!(matches!(refused, SettleError::NotTaken { .. }) && refused.is_transient());
    let (done, _) = rounds(&mut settler).await;
    assert!(matches!(done[..3], [Action::Replace(_), Action::Send(_), Action::Record(_)]));
    assert_eq!(bench.rows()[0].replaced.len(), 1);
    assert_eq!(bench.counts().await, BTreeMap::from([(1, 1)]));
}

#[tokio::test]
async fn a_window_that_is_not_over_is_waited_for() {
    let bench = Bench::new().await;
    fill(&bench.store, &bench.edge, 2, root());
    bench.advance(WINDOW_MS / 2);
    let mut settler = bench.settler();
    let (done, _) = rounds(&mut settler).await;
    assert!(matches!(done.first(), Some(Action::Build { first: 1, last: 1 })), "{done:?}");
    let (done, until) = rounds(&mut settler).await;
    assert_eq!(done, []);
    assert_eq!(until, bench.edge.deployment().genesis_time().unwrap().plus(2 * WINDOW_MS));
    // The operator's clock runs ahead of the chain's: the contract says WindowNotOver.
    bench.clock.advance(WINDOW_MS);
    assert_eq!(rounds(&mut settler).await.0, []);
    let trouble = settler.last_trouble.as_deref().unwrap_or_default();
    assert!(trouble.starts_with("batch 2") && trouble.contains("WindowNotOver"), "{trouble}");
    bench.chain_clock.advance(WINDOW_MS);
    assert_eq!(rounds(&mut settler).await.0.len(), 4);
    assert_eq!(bench.counts().await, BTreeMap::from([(1, 1), (2, 1)]));
}

#[tokio::test]
async fn the_newest_window_does_not_hold_back_those_before_it() {
    let bench = Bench::new().await;
    fill(&bench.store, &bench.edge, 3, root());
    bench.advance(WINDOW_MS);
    // For the operator all three are over, for the chain, which began with one, two.
    bench.clock.advance(WINDOW_MS);
    let (done, _) = rounds(&mut bench.settler()).await;
    assert!(matches!(done.first(), Some(Action::Build { first: 1, last: 3 })), "{done:?}");
    assert_eq!(bench.counts().await, BTreeMap::from([(1, 1), (2, 1)]));
    bench.chain_clock.advance(WINDOW_MS);
    rounds(&mut bench.settler()).await;
    assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
}

#[tokio::test]
async fn a_mined_and_failed_transaction_is_named_with_the_reason_of_the_contract() {
    let bench = Bench::with(2).await;
    bench.chain.set_finality(5);
    let mut settler = bench.settler();
    settler.config.batches_max = 1;
    rounds(&mut settler).await;
    let before = bench.rows();
    assert_eq!(before.len(), 2);
    // The chain forgets both, and the account's first nonce there is used for something else.
    bench.chain.remove_blocks(2).unwrap();
    let mut other = fees::decode(&before[0].signed).unwrap();
    (other.input, other.to) = (Default::default(), signer().address().into());
    let fees::Signed { bytes, .. } = fees::sign(&signer(), other).unwrap();
    bench.chain.send_raw(&bytes).unwrap();
    let failed = loop {
        if let Err(error) = settler.step().await {
            break error;
        }
    };
    let SettleError::Failed { reason, .. } = &failed else { panic!("{failed:?}") };
    assert!(reason.starts_with("WrongNumber"), "{reason}");
    let Next::Pause(pause) = settler.conclude(Err(failed)).unwrap() else { panic!("no pause") };
    assert_eq!(bench.standing.cause(), Some(Cause::Refused));
    bench.advance(pause.as_millis() as u64);
    rounds(&mut settler).await;
    let round = settler.step().await;
    settler.conclude(round).unwrap();
    assert_eq!(bench.standing.cause(), None);
    assert_eq!(bench.counts().await, BTreeMap::from([(1, 1), (2, 1)]));
    assert_eq!(bench.metrics.settle_failed_total.get(), 1);
}

#[tokio::test]
async fn a_chain_that_takes_final_blocks_back_is_settled_anew() {
    let bench = Bench::with(3).await;
    let mut settler = bench.settler();
    rounds(&mut settler).await;
    assert!(matches!(bench.rows()[0].state, OutboxState::Final { .. }));
    bench.chain.remove_blocks(1).unwrap();
    rounds(&mut settler).await;
    assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
    assert_eq!(bench.store.last_settled().unwrap(), BatchNumber(3));
}

#[tokio::test]
async fn confirmations_make_final_what_a_chain_never_calls_final() {
    let bench = Bench::with(1).await;
    bench.chain.set_finality(1_000);
    let mut settler = bench.settler();
    settler.config.confirmations = 3;
    rounds(&mut settler).await;
    for _ in 0..2 {
        assert!(matches!(bench.rows()[0].state, OutboxState::Mined { .. }));
        assert_eq!(rounds(&mut settler).await.0, []);
        bench.chain.mine_empty().unwrap();
    }
    assert!(matches!(rounds(&mut settler).await.0[..], [Action::Finish(_)]));
}

#[tokio::test]
async fn so_much_that_waits_is_an_alarm_until_it_is_settled() {
    let bench = Bench::with(3).await;
    let mut settler = bench.settler();
    settler.config.alarm_after_ms = 10 * WINDOW_MS;
    let lagging = || bench.metrics.settle_lagging.get();
    settler.watch_lag();
    assert_eq!((lagging(), bench.metrics.settle_lag_batches.get()), (0, 3));
    bench.advance(10 * WINDOW_MS);
    settler.watch_lag();
    assert_eq!(lagging(), 1, "{} s", bench.metrics.settle_lag_seconds.get());
    settler.config.alarm_after_ms = 100 * WINDOW_MS;
    settler.watch_lag();
    assert_eq!(lagging(), 0);
    settler.config.alarm_batches = 3;
    settler.watch_lag();
    assert_eq!(lagging(), 1);
    rounds(&mut settler).await;
    settler.watch_lag();
    assert_eq!((lagging(), bench.metrics.settle_lag_batches.get()), (0, 0));
    assert!(bench.metrics.settle_balance_wei.get() > 0.0);
    assert!(bench.metrics.settle_base_fee_wei.get() > 0.0);
}

#[tokio::test]
async fn a_batch_that_the_contract_refuses_degrades_the_stage_and_is_tried_again_slowly() {
    let bench = Bench::new().await;
    fill(&bench.store, &bench.edge, 1, Word::from_u64(8));
    bench.advance(WINDOW_MS);
    let mut settler = bench.settler();
    for pause_ms in [1_000, 2_000] {
        let found = settler.step().await;
        let Err(SettleError::Refused { first: 1, last: 1, reason }) = &found else {
            panic!("expected a refusal, found {found:?}");
        };
        assert!(reason.starts_with("WrongRootIn"), "{reason}");
        let pause = Next::Pause(Duration::from_millis(pause_ms));
        assert_eq!(settler.conclude(found).unwrap(), pause);
        assert_eq!(bench.standing.cause(), Some(Cause::Refused));
    }
    assert_eq!(bench.rows(), [], "nothing was signed");
}

#[tokio::test]
async fn a_store_that_fails_and_another_history_degrade_the_stage() {
    let bench = Bench::with(1).await;
    let mut settler = bench.settler();
    let missing = SettleError::Store(StoreError::Missing { what: "batches", key: 1 });
    let diverged = SettleError::Diverged { number: 1 };
    for (error, cause) in [(missing, Cause::StoreFails), (diverged, Cause::Diverged)] {
        let pause = Next::Pause(Duration::from_millis(settler.config.retry_first_ms));
        assert_eq!(settler.conclude(Err(error)).unwrap(), pause);
        assert_eq!(bench.standing.cause(), Some(cause));
        let round = settler.step().await;
        assert!(matches!(settler.conclude(round), Ok(Next::Round)));
        assert_eq!(bench.standing.cause(), None, "it gets on by itself");
    }
}

#[tokio::test]
async fn the_key_of_another_account_is_refused() {
    let bench = Bench::with(1).await;
    let mut settler = bench.settler();
    settler.signer = PrivateKeySigner::from_slice(&[8; 32]).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let found = settler.run(Arc::new(Notify::new()), stopped).await;
    assert!(matches!(found, Err(SettleError::OtherKey { .. })), "{found:?}");
}

#[tokio::test]
async fn stopping_ends_the_stage() {
    let bench = Bench::with(1).await;
    let (_stop, stopped) = watch::channel(true);
    bench.settler().run(Arc::new(Notify::new()), stopped).await.unwrap();
    assert_eq!(bench.rows(), []);
}

#[tokio::test]
async fn a_removed_block_puts_its_batches_back() {
    let bench = Bench::with(3).await;
    bench.chain.set_finality(5);
    let mut settler = bench.settler();
    let (done, _) = rounds(&mut settler).await;
    assert!(matches!(done[..], [Action::Build { .. }, Action::Send(_), Action::Record(_)]));
    bench.chain.remove_blocks(1).unwrap();
    assert_eq!(bench.counts().await, BTreeMap::new());
    assert!(matches!(settler.step().await.unwrap(), Step::Did(Action::Reopen(_))));
    assert_eq!(bench.store.last_settled().unwrap(), BatchNumber(0));
    let (done, _) = rounds(&mut settler).await;
    assert!(matches!(done[..], [Action::Send(_), Action::Record(_)]), "{done:?}");
    assert_eq!(bench.store.last_settled().unwrap(), BatchNumber(3));
    assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
    (0..5).for_each(|_| bench.chain.mine_empty().unwrap());
    let (done, _) = rounds(&mut settler).await;
    assert!(matches!(done[..], [Action::Finish(_)]), "{done:?}");
}

#[tokio::test]
async fn batches_of_many_final_transactions_that_the_chain_takes_back_settle_again() {
    let bench = Bench::with(3).await;
    let deployed = bench.edge.provider().get_block_number().await.unwrap();
    let mut settler = bench.settler();
    settler.config.batches_max = 1;
    rounds(&mut settler).await;
    let finals = |bench: &Bench| {
        let is_final = |row: &&OutboxRow| matches!(row.state, OutboxState::Final { .. });
        bench.rows().iter().filter(is_final).count()
    };
    assert_eq!(finals(&bench), 3, "one for each batch");
    let head = bench.edge.provider().get_block_number().await.unwrap();
    bench.chain.remove_blocks(head - deployed).unwrap();
    assert_eq!(bench.counts().await, BTreeMap::new());
    rounds(&mut settler).await;
    assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
    assert_eq!((finals(&bench), bench.store.last_settled().unwrap()), (3, BatchNumber(3)));
}

#[tokio::test]
async fn a_transaction_that_moved_to_another_block_is_recorded_there() {
    let bench = Bench::with(1).await;
    bench.chain.set_finality(5);
    let mut settler = bench.settler();
    rounds(&mut settler).await;
    bench.advance(10_000);
    assert_eq!(bench.chain.reorganise(1).unwrap(), 1);
    let (done, _) = rounds(&mut settler).await;
    assert!(matches!(done[..], [Action::Record(_)]), "{done:?}");
    let settled = bench.store.batch(BatchNumber(1)).unwrap().unwrap().settled.unwrap();
    let event = &bench.edge.settled_batches().await.unwrap()[0];
    assert_eq!((settled.block, settled.lateness_ms), (event.block, event.lateness_ms));
}

#[tokio::test]
async fn a_nonce_that_the_account_used_otherwise_is_given_up() {
    let bench = Bench::with(1).await;
    bench.settler().step().await.unwrap();
    let built = bench.rows()[0].clone();
    let mut other = fees::decode(&built.signed).unwrap();
    (other.input, other.to) = (Default::default(), signer().address().into());
    let fees::Signed { hash, bytes: raw } = fees::sign(&signer(), other).unwrap();
    assert_eq!(hash, keccak256(&raw).0);
    bench.chain.send_raw(&raw).unwrap();
    let (done, _) = rounds(&mut bench.settler()).await;
    assert!(matches!(done[..2], [Action::Void(_), Action::Build { first: 1, last: 1 }]));
    assert_eq!(bench.counts().await, BTreeMap::from([(1, 1)]));
}

#[tokio::test]
async fn a_store_made_anew_learns_from_the_chain_what_is_settled() {
    let bench = Bench::with(3).await;
    rounds(&mut bench.settler()).await;
    let folder = bench.folder.path().join("anew");
    let store = Arc::new(Store::open(&folder).unwrap());
    let mut settler = bench.settler_of(store.clone());
    assert_eq!(rounds(&mut settler).await.0, [], "its batches are not made yet");
    fill(&store, &bench.edge, 3, root());
    assert_eq!(rounds(&mut settler).await.0, [Action::Adopt]);
    let row = |store: &Store| store.batch(BatchNumber(2)).unwrap().unwrap().settled;
    assert_eq!(row(&store), row(&bench.store));
    assert_eq!(bench.counts().await, BTreeMap::from(ALL_THREE));
}

#[tokio::test]
async fn another_header_under_our_number_is_named() {
    let bench = Bench::with(2).await;
    rounds(&mut bench.settler()).await;
    let store = Arc::new(Store::open(&bench.folder.path().join("other")).unwrap());
    fill(&store, &bench.edge, 2, Word::from_u64(9));
    let found = bench.settler_of(store).step().await;
    assert!(matches!(found, Err(SettleError::Diverged { number: 1 })), "{found:?}");
}

#[test]
fn pauses_double_up_to_the_longest() {
    let config = SettleConfig::default();
    let seconds: Vec<u64> = (1..9).map(|n| config.pause_after(n).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(config.pause_after(u32::MAX).as_secs(), 60);
    let seconds: Vec<u64> = (6..11).map(|n| config.refused_pause(n).as_secs()).collect();
    assert_eq!(seconds, [32, 64, 128, 256, 300]);
}
