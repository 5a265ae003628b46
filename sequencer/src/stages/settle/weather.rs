//! The settler in bad weather: a chain's node that does not answer, loses, holds, refuses, asks
//! more than is allowed, and takes blocks back. Once that ends, everything settles without a
//! restart, each batch once.

mod lies;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::network::EthereumWallet;
use alloy::providers::{Provider as _, ProviderBuilder};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{
    ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest,
};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use devchain::DevChain;
use l1_contracts::Edge;
use model::BatchNumber;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use self::lies::{Lies, Receipts};
use super::config::SettleConfig;
use super::error::SettleError;
use super::plan::Action;
use super::round::Next;
use super::settler::{Settler, Step};
use super::tests::{Bench, signer};
use crate::folder::store::OutboxState;
use crate::stages::standing::Cause;

const GWEI: u128 = 1_000_000_000;
/// Blocks that may still be taken back.
const UNFINAL: u64 = 3;
const ROUNDS_MAX: usize = 400;

/// A transaction that the node holds and does not mine.
struct Held {
    transaction: TxEnvelope,
    raw: Vec<u8>,
}

/// What the node does to what it is asked.
#[derive(Default)]
struct Sky {
    /// It does not answer.
    unreachable: bool,
    /// It takes no transaction, in these words.
    words: Option<&'static str>,
    /// It says that it takes so many more transactions, and loses them.
    loses: u32,
    /// What it asks for a unit of gas, if that is not the chain's own.
    market: Option<u128>,
    /// What it says that it asks, if that is less.
    says: Option<u128>,
    /// Whether it refuses what the market is above; else it holds it.
    refuses_low: bool,
    held: Option<Held>,
    /// What it says that is not so.
    lies: Lies,
}

/// A transport to the embedded chain, through the sky.
#[derive(Clone)]
struct Weather {
    chain: DevChain,
    sky: Arc<Mutex<Sky>>,
}

impl Weather {
    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap()
    }

    fn edge_provider(&self) -> alloy::providers::DynProvider {
        let client = RpcClient::new(self.clone(), true);
        let fillers = ProviderBuilder::default()
            .with_gas_estimation()
            .with_simple_nonce_management()
            .fetch_chain_id();
        fillers.wallet(EthereumWallet::from(signer())).connect_client(client).erased()
    }

    /// Mines what is held, once the market allows.
    fn mine_held(&self, sky: &mut Sky) {
        let market = sky.market.unwrap_or(0);
        if let Some(held) = sky.held.take_if(|held| held.transaction.max_fee_per_gas() >= market) {
            // Its nonce may be used by now: then it is no transaction any more.
            drop(self.chain.send_raw(&held.raw));
        }
    }

    fn send(&self, raw: Vec<u8>) -> Result<Value, String> {
        let mut sky = self.sky();
        if let Some(words) = sky.words {
            return Err(words.into());
        }
        let transaction = TxEnvelope::decode_2718(&mut &raw[..]).expect("the settler signs it");
        let hash = json!(transaction.tx_hash());
        if sky.loses > 0 {
            sky.loses -= 1;
            return Ok(hash);
        }
        if let Some(Held { transaction: held, .. }) = &sky.held
            && held.nonce() == transaction.nonce()
        {
            if held.tx_hash() == transaction.tx_hash() {
                return Err("already known".into());
            }
            let dearer = |new: u128, old: u128| new * 10 >= old * 11;
            let tips = [&transaction, held].map(|t| t.max_priority_fee_per_gas().unwrap());
            if !dearer(transaction.max_fee_per_gas(), held.max_fee_per_gas())
                || !dearer(tips[0], tips[1])
            {
                return Err("replacement transaction underpriced".into());
            }
        }
        if transaction.max_fee_per_gas() < sky.market.unwrap_or(0) {
            if sky.refuses_low {
                return Err("max fee per gas less than block base fee".into());
            }
            sky.held = Some(Held { transaction, raw });
            return Ok(hash);
        }
        self.chain.send_raw(&raw).map_err(|error| error.to_string())?;
        sky.held = None;
        Ok(hash)
    }

    /// The node's answer where it is not the chain's.
    fn own_answer(&self, method: &str, params: &[Value]) -> Option<Result<Value, String>> {
        match method {
            "eth_sendRawTransaction" => {
                let raw = params[0].as_str().unwrap().trim_start_matches("0x").to_owned();
                Some(self.send(hex::decode(raw).unwrap()))
            }
            "eth_getTransactionByHash" => {
                let sky = self.sky();
                let held = sky.held.as_ref()?;
                (json!(held.transaction.tx_hash()) == params[0]).then(|| {
                    let mut answer = serde_json::to_value(&held.transaction).unwrap();
                    answer["from"] = json!(signer().address());
                    for field in ["blockHash", "blockNumber", "transactionIndex"] {
                        answer[field] = Value::Null;
                    }
                    Ok(answer)
                })
            }
            "eth_getTransactionCount" if params[1] == "pending" => {
                // One after the other, so that what is held has the next nonce.
                let next = self.sky().held.as_ref()?.transaction.nonce() + 1;
                Some(Ok(json!(format!("{next:#x}"))))
            }
            "eth_feeHistory" => {
                let market = {
                    let sky = self.sky();
                    sky.says.or(sky.market)?
                };
                let mut answer = self.chain.handle(method, params).unwrap();
                for fee in answer["baseFeePerGas"].as_array_mut().unwrap() {
                    *fee = json!(format!("{market:#x}"));
                }
                Some(Ok(answer))
            }
            _ => None,
        }
    }

    fn answer(&self, request: &SerializedRequest) -> Response {
        let params: Vec<Value> =
            serde_json::from_str(request.params().map_or("[]", RawValue::get)).unwrap();
        let method = request.method();
        let refused =
            |words: String| ErrorPayload { code: -32000, message: words.into(), data: None };
        let lie = self.sky().lies.answer(&self.chain, method, &params);
        let answer = match (lie, self.own_answer(method, &params)) {
            (Some(lie), _) => lie,
            (None, Some(own)) => own.map_err(refused),
            (None, None) => self.chain.handle(method, &params).map_err(ErrorPayload::from),
        };
        let payload = match answer {
            Ok(value) => ResponsePayload::Success(to_raw_value(&value).unwrap()),
            Err(error) => ResponsePayload::Failure(error),
        };
        Response { id: request.id().clone(), payload }
    }
}

impl tower::Service<RequestPacket> for Weather {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let weather = self.clone();
        Box::pin(async move {
            {
                let mut sky = weather.sky();
                if sky.unreachable {
                    return Err(TransportErrorKind::custom_str("the node does not answer"));
                }
                weather.mine_held(&mut sky);
            }
            match &packet {
                RequestPacket::Single(request) => {
                    Ok(ResponsePacket::Single(weather.answer(request)))
                }
                RequestPacket::Batch(_) => panic!("the settler asks one thing at a time"),
            }
        })
    }
}

/// A settler under the sky.
struct Voyage {
    bench: Bench,
    weather: Weather,
    settler: Settler,
    /// The chain's longest length: what lies further behind it is final.
    longest: u64,
    /// Blocks of the deployment.
    deployed: u64,
    /// What failed last.
    last: Option<String>,
}

impl Voyage {
    async fn with(batches: u64) -> Voyage {
        let bench = Bench::with(batches).await;
        bench.chain.set_finality(UNFINAL);
        let deployed = bench.edge.provider().get_block_number().await.unwrap();
        let weather = Weather { chain: bench.chain.clone(), sky: Arc::default() };
        let deployment = bench.edge.deployment().clone();
        let edge = Edge::connect(weather.edge_provider(), deployment).await.unwrap();
        let mut settler = bench.settler_on(edge, bench.store.clone());
        settler.config = SettleConfig::default();
        Voyage { bench, weather, settler, longest: deployed, deployed, last: None }
    }

    /// One round, and the time that follows it.
    async fn round(&mut self) -> Option<Action> {
        let round = self.settler.step().await;
        let did = match &round {
            Ok(Step::Did(action)) => Some(*action),
            _ => None,
        };
        if let Err(error) = &round {
            assert!(!error.ends_node(), "{error:?}");
            self.last = Some(error.to_string());
        }
        match self.settler.conclude(round).unwrap() {
            Next::Round => {}
            Next::Wait(time) | Next::Pause(time) => {
                self.bench.advance(time.as_millis() as u64);
            }
        }
        did
    }

    async fn change(&mut self, random: &mut StdRng) {
        let event = random.gen_range(0..14);
        match event {
            0 => self.weather.sky().unreachable = random.gen_bool(0.5),
            1..=3 => {
                let words = [
                    "insufficient funds for gas * price + value",
                    "transaction underpriced",
                    "replacement transaction underpriced",
                ];
                self.weather.sky().words = random.gen_bool(0.5).then(|| words[event - 1]);
            }
            4 | 5 => {
                let mut sky = self.weather.sky();
                sky.market = Some(random.gen_range(1..2500) * GWEI);
                sky.refuses_low = random.gen_bool(0.5);
            }
            6 => self.weather.sky().loses = random.gen_range(0..3),
            7 => self.weather.sky().held = None,
            8 => self.take_blocks_back(random).await,
            9..=12 => self.weather.sky().lies.change(random),
            _ => *self.weather.sky() = Sky { held: None, ..Sky::default() },
        }
    }

    async fn take_blocks_back(&mut self, random: &mut StdRng) {
        let head = self.bench.edge.provider().get_block_number().await.unwrap();
        self.longest = self.longest.max(head);
        let least = self.deployed.max(self.longest - UNFINAL.min(self.longest));
        let removed = self.bench.chain.remove_blocks(random.gen_range(0..=head - least)).unwrap();
        // Some nodes take the transactions of a lost block up again, and some do not.
        for raw in removed {
            if random.gen_bool(0.5) {
                drop(self.bench.chain.send_raw(&raw));
            }
        }
    }

    /// The weather clears: nothing else is done, and everything settles.
    async fn clear(&mut self, batches: u64) {
        {
            let mut sky = self.weather.sky();
            let held = sky.held.take();
            *sky = Sky { held, ..Sky::default() };
        }
        for _ in 0..ROUNDS_MAX {
            let did = self.round().await;
            self.bench.chain.mine_empty().unwrap();
            let settled = self.bench.store.last_settled().unwrap();
            let open = |state| matches!(state, OutboxState::Built | OutboxState::Sent { .. });
            // Blocks may be gone of which the outbox knows nothing yet: while there is anything to
            // do, it is not over.
            if did.is_none()
                && self.settler.doubt.is_none()
                && settled == BatchNumber(batches)
                && self.bench.standing.cause().is_none()
                && !self.bench.rows().iter().any(|row| open(row.state))
            {
                let once: BTreeMap<u64, usize> = (1..=batches).map(|n| (n, 1)).collect();
                assert_eq!(self.bench.counts().await, once);
                assert_eq!(self.bench.metrics.settle_fee_limited.get(), 0);
                return;
            }
        }
        let (rows, last) = (self.bench.rows(), &self.last);
        panic!("not settled after {ROUNDS_MAX} rounds: {rows:?}, last error {last:?}");
    }
}

/// One thing is wrong for some rounds: nothing is lost by it, and it ends with its cause.
async fn check_outlives(what: &str, lies: Lies) {
    let mut voyage = Voyage::with(6).await;
    // Some batches are on their way as it begins.
    voyage.settler.config.batches_max = 2;
    for _ in 0..3 {
        voyage.round().await;
    }
    voyage.weather.sky().lies = lies;
    for _ in 0..40 {
        voyage.round().await;
        voyage.bench.chain.mine_empty().unwrap();
    }
    println!("{what}: {:?}", voyage.last);
    voyage.clear(6).await;
}

#[tokio::test]
async fn each_lie_of_the_node_ends_with_its_cause() {
    let none = Lies::default();
    check_outlives("half of the answers late", Lies { behind: 2, ..none }).await;
    check_outlives("nonces too high", Lies { nonce: 2, ..none }).await;
    check_outlives("nonces too low", Lies { nonce: -1, ..none }).await;
    check_outlives("reverts without words", Lies { reverts: true, ..none }).await;
    for receipts in [Receipts::Inverted, Receipts::Bare, Receipts::Lost] {
        check_outlives("receipts", Lies { receipts: Some(receipts), ..none }).await;
    }
}

/// What some nodes never do otherwise.
async fn check_settles_under(lies: Lies) {
    let mut voyage = Voyage::with(3).await;
    voyage.weather.sky().lies = lies;
    for _ in 0..ROUNDS_MAX {
        voyage.round().await;
        voyage.bench.chain.mine_empty().unwrap();
        if voyage.bench.store.last_settled().unwrap().0 == 3 {
            return voyage.clear(3).await;
        }
    }
    panic!("nothing settles: {:?}", voyage.last);
}

#[tokio::test]
async fn half_of_the_answers_two_blocks_late_keep_nothing_from_settling() {
    check_settles_under(Lies { behind: 2, ..Lies::default() }).await;
}

/// A chain that makes a block for a transaction alone: with nobody else on it, its last block stays
/// older than the window's end for as long as nothing is sent.
#[tokio::test]
async fn a_chain_that_makes_blocks_for_transactions_alone_settles_all_the_same() {
    let mut voyage = Voyage::with(3).await;
    voyage.weather.sky().lies.own_times = true;
    let head = voyage.bench.edge.provider().get_block_number().await.unwrap();
    for _ in 0..20 {
        voyage.round().await;
    }
    let settled = voyage.bench.store.last_settled().unwrap();
    assert_eq!(settled, BatchNumber(3), "{:?}, {:?}", voyage.last, voyage.settler.last_trouble);
    let blocks = voyage.bench.edge.provider().get_block_number().await.unwrap() - head;
    assert_eq!(blocks, 2, "the first alone, which makes a block, and then the others");
    voyage.clear(3).await;
}

/// What lacks the block of the look is asked again: it is not too much gas for all the batches.
#[tokio::test]
async fn an_estimate_of_a_node_without_the_block_makes_no_transaction_smaller() {
    let mut voyage = Voyage::with(3).await;
    voyage.weather.sky().lies.lacks = 2;
    voyage.round().await;
    let rows = voyage.bench.rows();
    assert_eq!(rows.iter().map(|row| (row.first, row.last)).collect::<Vec<_>>(), [(1, 3)]);
    voyage.clear(3).await;
}

#[tokio::test]
async fn an_offer_that_rises_no_more_degrades_the_stage_until_it_is_mined() {
    let mut voyage = Voyage::with(1).await;
    voyage.settler.config.replacements_max = 2;
    {
        let mut sky = voyage.weather.sky();
        (sky.market, sky.says) = (Some(500 * GWEI), Some(GWEI));
    }
    // Each rise waits for its time.
    for _ in 0..ROUNDS_MAX {
        voyage.round().await;
    }
    assert_eq!(voyage.bench.standing.cause(), Some(Cause::FeeLimit));
    let limit = voyage.settler.fee_limit.as_ref();
    assert!(matches!(limit, Some(SettleError::ReplacementLimit { max: 2, .. })), "{limit:?}");
    assert_eq!(voyage.bench.metrics.settle_fee_limited.get(), 0, "no fee is above the highest");
    assert_eq!(voyage.bench.rows()[0].replaced.len(), 2);
    // Once the node says what it asks, the offer follows, also beyond the limit.
    voyage.weather.sky().says = None;
    for _ in 0..ROUNDS_MAX {
        voyage.round().await;
        voyage.bench.chain.mine_empty().unwrap();
    }
    assert_eq!(voyage.bench.rows()[0].replaced.len(), 3);
    assert_eq!(voyage.bench.store.last_settled().unwrap(), BatchNumber(1));
    voyage.clear(1).await;
}

/// Above both limits it is the highest fee that somebody may raise.
#[tokio::test]
async fn an_offer_at_the_highest_fee_is_told_as_that_whatever_its_replacements() {
    let mut voyage = Voyage::with(1).await;
    voyage.settler.config.replacements_max = 0;
    voyage.weather.sky().market = Some(5000 * GWEI);
    for _ in 0..40 {
        voyage.round().await;
    }
    let limit = voyage.settler.fee_limit.as_ref();
    assert!(matches!(limit, Some(SettleError::FeeLimit { .. })), "{limit:?}");
    assert_eq!(voyage.bench.metrics.settle_fee_limited.get(), 1);
    voyage.clear(1).await;
}

#[tokio::test]
async fn receipts_without_logs_and_blocks_without_hashes_keep_nothing_from_settling() {
    check_settles_under(Lies { receipts: Some(Receipts::Bare), ..Lies::default() }).await;
    check_settles_under(Lies { no_hashes: true, ..Lies::default() }).await;
}

#[tokio::test]
async fn a_transaction_that_ran_out_of_gas_is_given_up_told_and_built_anew() {
    let mut voyage = Voyage::with(2).await;
    voyage.weather.sky().lies.starves = true;
    let mut failed = None;
    while failed.is_none() {
        let round = voyage.settler.step().await;
        if let Err(SettleError::Failed { reason, .. }) = &round {
            failed = Some(reason.clone());
        }
        let next = voyage.settler.conclude(round).unwrap();
        if let Next::Wait(time) | Next::Pause(time) = next {
            voyage.bench.advance(time.as_millis() as u64);
        }
    }
    let reason = failed.unwrap();
    assert!(reason.starts_with("it ran out of its"), "{reason}");
    assert_eq!(voyage.bench.standing.cause(), Some(Cause::Refused));
    assert_eq!(voyage.bench.metrics.settle_failed_total.get(), 1);
    assert_eq!(voyage.bench.rows()[0].state, OutboxState::Void);
    voyage.clear(2).await;
}

/// The fees of this test's limit forbid what a spike asks; the node holds nothing.
#[tokio::test]
async fn fees_above_the_limit_are_waited_out_and_what_was_never_taken_is_sent_again() {
    let mut voyage = Voyage::with(1).await;
    {
        let mut sky = voyage.weather.sky();
        (sky.market, sky.refuses_low) = (Some(5000 * GWEI), true);
    }
    for _ in 0..40 {
        voyage.round().await;
    }
    assert_eq!(voyage.bench.standing.cause(), Some(Cause::FeeLimit));
    assert_eq!(voyage.bench.metrics.settle_fee_limited.get(), 1);
    assert_eq!(voyage.bench.metrics.chain_reachable.get(), 1);
    assert!(voyage.bench.metrics.settle_not_taken_total.get() > 0);
    let most = u128::from(voyage.settler.config.fee_wei_max);
    let row = voyage.bench.rows()[0].clone();
    let offered = super::fees::decode(&row.signed).unwrap().max_fee_per_gas;
    assert!(offered <= most, "{offered}");
    voyage.clear(1).await;
    assert_eq!(voyage.bench.rows()[0].hash, row.hash, "the same bytes are mined");
}

#[tokio::test]
async fn fees_above_the_limit_are_waited_out_by_what_the_node_holds() {
    let mut voyage = Voyage::with(1).await;
    voyage.weather.sky().market = Some(5000 * GWEI);
    for _ in 0..40 {
        voyage.round().await;
    }
    assert_eq!(voyage.bench.standing.cause(), Some(Cause::FeeLimit));
    voyage.clear(1).await;
}

#[tokio::test]
async fn a_transaction_that_waits_and_stands_in_no_outbox_is_named_by_its_nonce() {
    let mut voyage = Voyage::with(1).await;
    assert_eq!(voyage.settler.foreign_nonce(&[]).await.unwrap(), None);
    voyage.weather.sky().market = Some(5000 * GWEI);
    while voyage.weather.sky().held.is_none() {
        voyage.round().await;
    }
    let open = voyage.settler.take_stock().await.unwrap();
    let [row] = open[..] else { panic!("one open row, found {open:?}") };
    assert_eq!(voyage.settler.foreign_nonce(&open).await.unwrap(), None);
    // The machine is rolled back to before the row: the pool is not.
    assert_eq!(voyage.settler.foreign_nonce(&[]).await.unwrap(), Some(row.nonce));
    voyage.clear(1).await;
    assert_eq!(voyage.settler.foreign_nonce(&[]).await.unwrap(), None, "mined");
}

#[tokio::test]
async fn a_node_that_takes_nothing_is_named_until_it_takes_something() {
    let mut voyage = Voyage::with(1).await;
    voyage.weather.sky().words = Some("insufficient funds for gas * price + value");
    for _ in 0..10 {
        voyage.round().await;
    }
    assert_eq!(voyage.bench.standing.cause(), Some(Cause::NotTaken));
    voyage.clear(1).await;
}

#[tokio::test]
async fn from_every_state_everything_settles_once_the_weather_clears() {
    for seed in 0..24 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut voyage = Voyage::with(9).await;
        for _ in 0..40 {
            voyage.change(&mut random).await;
            for _ in 0..random.gen_range(1..4) {
                voyage.round().await;
            }
        }
        voyage.clear(9).await;
    }
}
