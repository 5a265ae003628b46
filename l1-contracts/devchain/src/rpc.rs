//! The JSON-RPC methods that only read.

use crate::{
    chain::{Block, Chain, Mined},
    error::RpcError,
    execute,
    limits::Limits,
};
use alloy::{
    consensus::{Header, Transaction},
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U64, U256},
    rpc::types::{
        Block as RpcBlock, BlockTransactions, FeeHistory, Filter, FilterBlockOption,
        Header as RpcHeader, Log, Transaction as RpcTransaction, TransactionRequest,
    },
};
use revm::context_interface::result::ExecutionResult;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Tip that `eth_maxPriorityFeePerGas` suggests, in wei for a unit of gas.
const TIP_WEI: u64 = 1_000_000_000;
/// Blocks that one `eth_feeHistory` covers at most (as geth).
const FEE_HISTORY_BLOCKS_MAX: u64 = 1_024;
const FEE_HISTORY_PERCENTILES_MAX: usize = 100;
/// Longest excerpt of an unknown method's name in an error.
const METHOD_CHARS_MAX: usize = 64;

type Answer = Result<Value, RpcError>;

/// The chain at one moment, as a reader sees it.
pub(crate) struct Reader<'a> {
    pub(crate) chain: &'a Chain,
    pub(crate) limits: &'a Limits,
    /// How many blocks the tags `safe` and `finalized` lie behind the head.
    pub(crate) finality_blocks: u64,
    pub(crate) now_s: u64,
}

/// The parameters of one request, by position.
pub(crate) struct Params<'a>(pub(crate) &'a [Value]);

impl Params<'_> {
    /// Parameter `at`; JSON null if it is missing.
    pub(crate) fn at<T: DeserializeOwned>(&self, at: usize) -> Result<T, RpcError> {
        // Null for a missing one, so that optional parameters need no case of their own.
        let value = self.0.get(at).unwrap_or(&Value::Null);
        T::deserialize(value).map_err(|error| RpcError::Params(format!("number {at}: {error}")))
    }
}

impl Reader<'_> {
    pub(crate) fn answer(&self, method: &str, params: &Params<'_>) -> Answer {
        match method {
            "eth_chainId" => json(U64::from(self.chain.genesis.chain_id)),
            "net_version" => json(self.chain.genesis.chain_id.to_string()),
            "web3_clientVersion" => json(concat!("devchain/", env!("CARGO_PKG_VERSION"))),
            "eth_syncing" => json(false),
            "eth_accounts" => json([(); 0]),
            "eth_blockNumber" => json(U64::from(self.chain.head())),
            // Of the block to come, which is the one that would hold a transaction sent upon this
            // answer.
            "eth_gasPrice" => json(U64::from(self.next_base_fee().saturating_add(TIP_WEI))),
            "eth_maxPriorityFeePerGas" => json(U64::from(TIP_WEI)),
            "eth_feeHistory" => self.fee_history(params),
            "eth_getTransactionCount" => self.account(params, |info| json(U64::from(info.nonce))),
            "eth_getBalance" => self.account(params, |info| json(info.balance)),
            "eth_getCode" => self.code(params),
            "eth_getStorageAt" => self.storage(params),
            "eth_call" => self.call(params),
            "eth_estimateGas" => self.estimate_gas(params),
            "eth_getTransactionByHash" => self.transaction(params),
            "eth_getTransactionReceipt" => self.receipt(params),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => self.block(params),
            "eth_getLogs" => self.logs(params),
            // Cut short, since the name is a stranger's and stands in the answer.
            unknown => {
                Err(RpcError::MethodUnknown(unknown.chars().take(METHOD_CHARS_MAX).collect()))
            }
        }
    }

    fn next_base_fee(&self) -> u64 {
        self.chain.base_fee_after(&self.chain.head_block().header)
    }

    /// The number that a tag stands for. `pending` is the head: a sent transaction is mined.
    fn number_of_tag(&self, tag: BlockNumberOrTag) -> u64 {
        match tag {
            BlockNumberOrTag::Number(number) => number,
            BlockNumberOrTag::Earliest => 0,
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => self.chain.head(),
            BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized => {
                self.chain.head().saturating_sub(self.finality_blocks)
            }
        }
    }

    fn find(&self, id: BlockId) -> Option<&Block> {
        match id {
            // A removed block has no number: its hash must not lead to the block in its place.
            BlockId::Hash(hash) => self.chain.block(self.chain.number_of(&hash.block_hash)?),
            BlockId::Number(tag) => self.chain.block(self.number_of_tag(tag)),
        }
    }

    /// The number of the block that parameter `at` names; the head if it is missing.
    fn number(&self, params: &Params<'_>, at: usize) -> Result<u64, RpcError> {
        let id = params.at::<Option<BlockId>>(at)?.unwrap_or_default();
        let block = self.find(id).ok_or_else(|| RpcError::BlockUnknown(id.to_string()))?;
        Ok(block.header.number)
    }

    fn account(
        &self,
        params: &Params<'_>,
        show: impl FnOnce(revm::state::AccountInfo) -> Answer,
    ) -> Answer {
        let (address, number) = (params.at::<Address>(0)?, self.number(params, 1)?);
        show(self.chain.with_view(number, |view| view.account(address)))
    }

    fn code(&self, params: &Params<'_>) -> Answer {
        let (address, number) = (params.at::<Address>(0)?, self.number(params, 1)?);
        json(self.chain.with_view(number, |view| match view.account(address).code_hash {
            KECCAK256_EMPTY => Bytes::new(),
            hash => view.code(hash).original_bytes(),
        }))
    }

    fn storage(&self, params: &Params<'_>) -> Answer {
        let (address, key) = (params.at::<Address>(0)?, params.at::<U256>(1)?);
        let number = self.number(params, 2)?;
        json(B256::from(self.chain.with_view(number, |view| view.slot(address, key))))
    }

    fn call(&self, params: &Params<'_>) -> Answer {
        let (request, number) = (params.at::<TransactionRequest>(0)?, self.number(params, 1)?);
        let result = expect_success(self.chain.call(request, number, self.now_s)?)?;
        json(result.into_output().unwrap_or_default())
    }

    /// The least gas limit found with which the call succeeds: what it spent, raised by 1/63 at a
    /// time, because an inner call is given at most 63/64 of what remains.
    fn estimate_gas(&self, params: &Params<'_>) -> Answer {
        let (mut request, number) = (params.at::<TransactionRequest>(0)?, self.number(params, 1)?);
        let block_gas_max = self.chain.genesis.block_gas_max;
        let gas_max = request.gas.unwrap_or(u64::MAX).min(execute::tx_gas_max(block_gas_max));
        let first = expect_success(self.chain.call(request.clone(), number, self.now_s)?)?;
        // Refunds come after the run: a limit of the gas used alone would run dry on the way.
        let mut gas = first.gas().total_gas_spent().max(first.tx_gas_used());
        while gas < gas_max {
            request.gas = Some(gas);
            let tried = self.chain.call(request.clone(), number, self.now_s);
            if tried.is_ok_and(|result| result.is_success()) {
                return json(U64::from(gas));
            }
            gas += gas / 63 + 1;
        }
        json(U64::from(gas_max))
    }

    fn transaction(&self, params: &Params<'_>) -> Answer {
        let hash = params.at::<B256>(0)?;
        json(self.chain.find_mined(&hash).map(|(block, mined)| rpc_transaction(block, mined)))
    }

    fn receipt(&self, params: &Params<'_>) -> Answer {
        let hash = params.at::<B256>(0)?;
        json(self.chain.find_mined(&hash).map(|(_, mined)| &mined.receipt))
    }

    fn block(&self, params: &Params<'_>) -> Answer {
        let (id, full) = (params.at::<BlockId>(0)?, params.at::<Option<bool>>(1)?);
        json(self.find(id).map(|block| rpc_block(block, full.unwrap_or(false))))
    }

    fn logs(&self, params: &Params<'_>) -> Answer {
        let filter = params.at::<Filter>(0)?;
        let (from, to) = self.log_range(&filter)?;
        let mut logs: Vec<&Log> = Vec::new();
        for block in (from..=to).map_while(|number| self.chain.block(number)) {
            logs.extend(block.logs().iter().filter(|log| filter.matches(&log.inner)));
            let (max, found) = (self.limits.logs_max, logs.len() as u64);
            // Inside the loop, so that what is over the limit is not collected first.
            if found > max {
                return Err(RpcError::Limit { what: "logs in one answer", max, found });
            }
        }
        json(logs)
    }

    fn log_range(&self, filter: &Filter) -> Result<(u64, u64), RpcError> {
        let (from, to) = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let unknown = || RpcError::BlockUnknown(hash.to_string());
                let number = self.chain.number_of(&hash).ok_or_else(unknown)?;
                (number, number)
            }
            FilterBlockOption::Range { from_block, to_block } => (
                self.number_of_tag(from_block.unwrap_or_default()),
                // Cut at the head before it is counted: what is not there costs nothing to search.
                self.number_of_tag(to_block.unwrap_or_default()).min(self.chain.head()),
            ),
        };
        let (max, found) = (self.limits.log_blocks_max, (to + 1).saturating_sub(from));
        match found > max {
            true => Err(RpcError::Limit { what: "blocks searched for logs", max, found }),
            false => Ok((from, to)),
        }
    }

    fn fee_history(&self, params: &Params<'_>) -> Answer {
        let (count, newest) = (params.at::<U64>(0)?.to::<u64>(), self.number(params, 1)?);
        let percentiles = params.at::<Option<Vec<f64>>>(2)?;
        let columns = percentiles.as_ref().map_or(0, Vec::len);
        if columns > FEE_HISTORY_PERCENTILES_MAX {
            let (max, found) = (FEE_HISTORY_PERCENTILES_MAX as u64, columns as u64);
            return Err(RpcError::Limit { what: "percentiles", max, found });
        }
        let count = count.min(FEE_HISTORY_BLOCKS_MAX).min(newest + 1);
        let oldest_block = newest + 1 - count;
        let mut history = FeeHistory { oldest_block, ..Default::default() };
        let mut rewards = Vec::new();
        for block in (oldest_block..=newest).filter_map(|number| self.chain.block(number)) {
            let header = &block.header;
            history.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or_default().into());
            history.gas_used_ratio.push(header.gas_used as f64 / header.gas_limit as f64);
            history.base_fee_per_blob_gas.push(1);
            history.blob_gas_used_ratio.push(0.0);
            // One transaction a block: every percentile is its tip.
            rewards.push(vec![tip(block); columns]);
        }
        let after = self.chain.block(newest).map(|block| self.chain.base_fee_after(&block.header));
        // One more than blocks: the next block's fee follows from the newest, and callers price by
        // it.
        history.base_fee_per_gas.push(after.unwrap_or_default().into());
        history.base_fee_per_blob_gas.push(1);
        history.reward = percentiles.map(|_| rewards);
        json(history)
    }
}

pub(crate) fn json(value: impl Serialize) -> Answer {
    serde_json::to_value(value).map_err(|error| RpcError::Internal(error.to_string()))
}

fn expect_success(result: ExecutionResult) -> Result<ExecutionResult, RpcError> {
    match result {
        ExecutionResult::Success { .. } => Ok(result),
        ExecutionResult::Revert { output, .. } => Err(RpcError::Reverted(output)),
        ExecutionResult::Halt { reason, .. } => Err(RpcError::Halted(format!("{reason:?}"))),
    }
}

/// What the block's transaction paid above the base fee, in wei for a unit of gas.
fn tip(block: &Block) -> u128 {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let tip = block.mined.as_ref().and_then(|mined| mined.tx.effective_tip_per_gas(base_fee));
    tip.unwrap_or_default()
}

fn rpc_transaction(block: &Block, mined: &Mined) -> RpcTransaction {
    RpcTransaction {
        inner: mined.tx.clone(),
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        transaction_index: Some(0),
        effective_gas_price: Some(mined.receipt.effective_gas_price),
        block_timestamp: Some(block.header.timestamp),
    }
}

fn rpc_block(block: &Block, full: bool) -> RpcBlock<RpcTransaction, RpcHeader<Header>> {
    let mined = block.mined.iter();
    let transactions = match full {
        true => BlockTransactions::Full(mined.map(|mined| rpc_transaction(block, mined)).collect()),
        false => BlockTransactions::Hashes(mined.map(|mined| *mined.tx.tx_hash()).collect()),
    };
    let inner = block.header.clone();
    RpcBlock {
        header: RpcHeader { hash: block.hash, inner, total_difficulty: None, size: None },
        uncles: Vec::new(),
        transactions,
        withdrawals: Some(Default::default()),
    }
}
