//! What a chain's node answers that is behind, overloaded or wrong, and answers all the same.

use alloy::primitives::U256;
use alloy::rpc::json_rpc::ErrorPayload;
use alloy::sol_types::SolError as _;
use devchain::DevChain;
use l1_contracts::{Settlement, headers_of_calldata};
use model::Millis;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

/// What is wrong with a receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Receipts {
    /// Success is failure, and failure success.
    Inverted,
    /// Without logs.
    Bare,
    /// None.
    Lost,
}

/// What the node says that is not so.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Lies {
    /// Every second answer comes from a node that is so many blocks behind.
    pub(super) behind: u64,
    /// What is added to the account's nonce.
    pub(super) nonce: i64,
    pub(super) receipts: Option<Receipts>,
    /// An estimate ends with a revert without words.
    pub(super) reverts: bool,
    /// An estimate is three fifths of what is needed.
    pub(super) starves: bool,
    /// It takes no block by its hash.
    pub(super) no_hashes: bool,
    /// An estimate at a named block has the block's own time, as with a real node.
    pub(super) own_times: bool,
    /// So many more estimates come from nodes without the block.
    pub(super) lacks: u32,
    pub(super) asked: u64,
}

type Answer = Result<Value, ErrorPayload>;

fn number_of(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

impl Lies {
    /// Another lie, or none any more.
    pub(super) fn change(&mut self, random: &mut StdRng) {
        let yes = random.gen_bool(0.5);
        match random.gen_range(0..6) {
            0 => self.behind = random.gen_range(0..3),
            1 => self.nonce = if yes { random.gen_range(-2..=3) } else { 0 },
            2 => {
                let all = [Receipts::Inverted, Receipts::Bare, Receipts::Lost];
                self.receipts = yes.then(|| all[random.gen_range(0..3)]);
            }
            3 => self.reverts = yes,
            4 => self.starves = yes,
            _ => *self = Lies::default(),
        }
    }

    /// The answer where it is not the chain's.
    pub(super) fn answer(
        &mut self,
        chain: &DevChain,
        method: &str,
        params: &[Value],
    ) -> Option<Answer> {
        self.asked += 1;
        let head = number_of(&chain.handle("eth_blockNumber", &[]).unwrap()).unwrap();
        if self.no_hashes && params.iter().any(|param| param.get("blockHash").is_some()) {
            let message = "invalid argument 1: hex string without 0x prefix".into();
            return Some(Err(ErrorPayload { code: -32602, message, data: None }));
        }
        let seen = if self.asked.is_multiple_of(2) { head } else { head - self.behind };
        match method {
            "eth_blockNumber" => Some(Ok(json!(format!("{seen:#x}")))),
            "eth_getBlockByNumber" if params[0] == "latest" => {
                let params = [json!(format!("{seen:#x}")), json!(false)];
                Some(chain.handle(method, &params).map_err(ErrorPayload::from))
            }
            "eth_getTransactionReceipt" => self.receipt(chain, params, seen),
            "eth_getTransactionCount" if params[1] != "pending" => {
                let behind = missing(chain, params, seen);
                Some(behind.map_or_else(|| self.count(chain, params), Err))
            }
            "eth_estimateGas" if self.reverts => {
                let message = "execution reverted".into();
                Some(Err(ErrorPayload { code: 3, message, data: None }))
            }
            "eth_estimateGas" if self.lacks > 0 => {
                self.lacks -= 1;
                Some(Err(not_found()))
            }
            "eth_estimateGas" => {
                let not_over = || self.own_times.then(|| not_over(chain, params)).flatten();
                let behind = missing(chain, params, seen).or_else(not_over);
                Some(behind.map_or_else(|| self.estimate(chain, params), Err))
            }
            "eth_call" | "eth_getBalance" => missing(chain, params, seen).map(Err),
            _ => None,
        }
    }

    fn count(&self, chain: &DevChain, params: &[Value]) -> Answer {
        let answer = chain.handle("eth_getTransactionCount", params)?;
        let nonce = number_of(&answer).unwrap().saturating_add_signed(self.nonce);
        Ok(json!(format!("{nonce:#x}")))
    }

    fn estimate(&self, chain: &DevChain, params: &[Value]) -> Answer {
        let answer = chain.handle("eth_estimateGas", params)?;
        let gas = number_of(&answer).unwrap();
        let gas = if self.starves { gas * 3 / 5 } else { gas };
        Ok(json!(format!("{gas:#x}")))
    }

    fn receipt(&self, chain: &DevChain, params: &[Value], seen: u64) -> Option<Answer> {
        let mut receipt = chain.handle("eth_getTransactionReceipt", params).unwrap();
        let block = number_of(&receipt["blockNumber"])?;
        if block > seen {
            return Some(Ok(Value::Null));
        }
        match self.receipts? {
            Receipts::Lost => return Some(Ok(Value::Null)),
            Receipts::Bare => receipt["logs"] = json!([]),
            Receipts::Inverted => {
                let inverted = if receipt["status"] == "0x1" { "0x0" } else { "0x1" };
                receipt["status"] = json!(inverted);
            }
        }
        Some(Ok(receipt))
    }
}

/// What a node says of a block that it does not have yet.
fn missing(chain: &DevChain, params: &[Value], seen: u64) -> Option<ErrorPayload> {
    // By its hash alone, as text or within an object; "pending" is the block to come.
    let block = params.get(1)?;
    let hash = block.get("blockHash").unwrap_or(block);
    hash.as_str().filter(|hash| hash.len() == 66)?;
    let block = chain.handle("eth_getBlockByHash", &[hash.clone(), json!(false)]).unwrap();
    let is_ahead = number_of(&block["number"]).is_some_and(|number| number > seen);
    is_ahead.then(not_found)
}

fn not_found() -> ErrorPayload {
    ErrorPayload { code: -32000, message: "header not found".into(), data: None }
}

/// What the contract says of a window that ends after the block that an estimate names.
fn not_over(chain: &DevChain, params: &[Value]) -> Option<ErrorPayload> {
    // By its hash alone, as text or within an object; "pending" is the block to come.
    let block = params.get(1)?;
    let hash = block.get("blockHash").unwrap_or(block);
    hash.as_str().filter(|hash| hash.len() == 66)?;
    let block = chain.handle("eth_getBlockByHash", &[hash.clone(), json!(false)]).unwrap();
    let time = Millis::from_block_timestamp(number_of(&block["timestamp"])?);
    let input = params[0]["input"].as_str()?.trim_start_matches("0x");
    let headers = headers_of_calldata(&hex::decode(input).unwrap()).unwrap();
    let t1 = headers.last()?.window.t1();
    (t1 > time).then(|| {
        let [time, t1] = [time, t1].map(|time| U256::from(time.unix_ms()));
        let words = Settlement::WindowNotOver { blockTime: time, t1 }.abi_encode();
        let data = Some(to_raw_value(&format!("0x{}", hex::encode(words))).unwrap());
        ErrorPayload { code: 3, message: "execution reverted".into(), data }
    })
}
