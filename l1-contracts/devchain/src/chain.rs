//! The chain as a value: time and transactions come in, blocks come out. A block is prepared
//! (nothing changes), made durable by the caller, then committed.

use crate::{
    error::{RpcError, TxRefused},
    execute::{self, Execution, Nonce, Outcome},
    genesis::Genesis,
    limits::RAW_TX_BYTES_MAX,
    state::{State, Undo, View},
};
use alloy::{
    consensus::{
        EMPTY_OMMER_ROOT_HASH, Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom,
        Transaction, TxEnvelope, TxType,
        constants::EMPTY_WITHDRAWALS,
        proofs::{calculate_receipt_root, calculate_transaction_root},
        transaction::{Recovered, SignerRecoverable},
    },
    eips::{
        eip1559::{BaseFeeParams, calc_next_block_base_fee},
        eip2718::{Decodable2718, Encodable2718},
        eip7685::EMPTY_REQUESTS_HASH,
    },
    primitives::{Address, B256, Bloom, Bytes, Log as EventLog, TxKind},
    rpc::types::{Log, TransactionReceipt, TransactionRequest},
};
use revm::{context_interface::result::ExecutionResult, state::EvmState};
use std::collections::HashMap;

pub(crate) type SignedTx = Recovered<TxEnvelope>;

pub(crate) struct Block {
    pub(crate) header: Header,
    pub(crate) hash: B256,
    pub(crate) mined: Option<Mined>,
    undo: Undo,
}

pub(crate) struct Mined {
    pub(crate) tx: SignedTx,
    pub(crate) receipt: TransactionReceipt,
}

impl Block {
    pub(crate) fn logs(&self) -> &[Log] {
        self.mined.as_ref().map_or(&[], |mined| mined.receipt.inner.logs())
    }
}

/// A block that is not part of the chain yet.
pub(crate) struct Prepared {
    block: Block,
    touched: EvmState,
}

impl Prepared {
    pub(crate) fn block(&self) -> &Block {
        &self.block
    }
}

pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    state: State,
    /// By number; never empty.
    blocks: Vec<Block>,
    number_by_hash: HashMap<B256, u64>,
    number_by_tx: HashMap<B256, u64>,
    /// How often blocks were removed. It stands in every later header, so that a block mined
    /// again after a removal is another block.
    removals: u64,
}

impl Chain {
    pub(crate) fn new(genesis: Genesis) -> Self {
        // Accounts of the genesis are part of no block, so that no removal takes them back.
        let mut state = State::default();
        for (account, balance) in &genesis.funded {
            state.fund(*account, *balance);
        }
        let mut chain = Self {
            state,
            blocks: Vec::new(),
            number_by_hash: HashMap::new(),
            number_by_tx: HashMap::new(),
            removals: 0,
            genesis,
        };
        let header = chain.genesis_header();
        let hash = header.hash_slow();
        chain.number_by_hash.insert(hash, 0);
        chain.blocks.push(Block { header, hash, mined: None, undo: Undo::default() });
        chain
    }

    pub(crate) fn head(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    pub(crate) fn head_block(&self) -> &Block {
        self.blocks.last().expect("genesis is never removed")
    }

    pub(crate) fn block(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn number_of(&self, block_hash: &B256) -> Option<u64> {
        self.number_by_hash.get(block_hash).copied()
    }

    /// The mined transaction of this hash and its block.
    pub(crate) fn find_mined(&self, tx_hash: &B256) -> Option<(&Block, &Mined)> {
        let block = self.block(*self.number_by_tx.get(tx_hash)?)?;
        Some((block, block.mined.as_ref()?))
    }

    /// Base fee of the block after `header`.
    pub(crate) fn base_fee_after(&self, header: &Header) -> u64 {
        let base_fee = header.base_fee_per_gas.unwrap_or_default();
        // The genesis is empty, so EIP-1559 would lower the fee that it was given for block 1.
        if header.number == 0 {
            return base_fee;
        }
        let params = BaseFeeParams::ethereum();
        calc_next_block_base_fee(header.gas_used, header.gas_limit, base_fee, params)
    }

    /// The state after block `number`.
    pub(crate) fn with_view<T>(&self, number: u64, read: impl FnOnce(View<'_>) -> T) -> T {
        // A contract must not see the hash of a block that comes later than the state it runs on.
        let hash_of = |n: u64| match n <= number {
            true => self.block(n).map_or(B256::ZERO, |block| block.hash),
            false => B256::ZERO,
        };
        // Newest first: where two blocks replaced one value, the older one's is the value to see.
        let undone = self.blocks[number as usize + 1..].iter().rev().map(|block| &block.undo);
        read(View::new(&self.state, undone, &hash_of))
    }

    /// Runs a call on the state after block `number`. At the head the call sees the block that a
    /// transaction sent at the same moment would see; earlier, it sees block `number` itself.
    pub(crate) fn call(
        &self,
        request: TransactionRequest,
        number: u64,
        now_s: u64,
    ) -> Result<ExecutionResult, RpcError> {
        let header = match number == self.head() {
            // A simulated settlement is held against the time of the block that it would be in.
            true => self.next_header(now_s),
            false => self.blocks[number as usize].header.clone(),
        };
        let mut env = execute::block_env(&header);
        // A call pays nothing: with a base fee its fee cap of zero would be refused.
        env.basefee = 0;
        let chain_id = self.genesis.chain_id;
        let gas_max = execute::tx_gas_max(self.genesis.block_gas_max);
        let tx = execute::call_env(request, chain_id, gas_max);
        let call = Execution { chain_id, block: env, tx, nonce: Nonce::Ignored };
        let outcome = self.with_view(number, |view| execute::run(view, call));
        let outcome = outcome.map_err(|error| execute::refusal(error, &header, 0))?;
        Ok(outcome.result)
    }

    /// Decodes a signed transaction and checks what needs no state.
    pub(crate) fn decode(&self, raw: &[u8]) -> Result<SignedTx, TxRefused> {
        if raw.len() > RAW_TX_BYTES_MAX {
            return Err(TxRefused::Oversized { max: RAW_TX_BYTES_MAX, found: raw.len() });
        }
        let tx = TxEnvelope::decode_2718_exact(raw)
            .map_err(|error| TxRefused::Malformed(error.to_string()))?;
        // Checked here and not left to the EVM, which would run both of the others.
        if !matches!(tx.tx_type(), TxType::Legacy | TxType::Eip2930 | TxType::Eip1559) {
            return Err(TxRefused::Type(tx.tx_type() as u8));
        }
        let expected = self.genesis.chain_id;
        // A transaction without chain id (before EIP-155) could be replayed on any chain.
        if tx.chain_id() != Some(expected) {
            return Err(TxRefused::ChainId { expected, found: tx.chain_id() });
        }
        tx.try_into_recovered().map_err(|_| TxRefused::Signature)
    }

    /// The block that holds `tx` alone, or nothing.
    pub(crate) fn prepare(&self, tx: Option<SignedTx>, now_s: u64) -> Result<Prepared, TxRefused> {
        let header = self.next_header(now_s);
        let Some(tx) = tx else {
            let hash = header.hash_slow();
            let block = Block { header, hash, mined: None, undo: Undo::default() };
            return Ok(Prepared { block, touched: EvmState::default() });
        };
        let execution = Execution {
            chain_id: self.genesis.chain_id,
            block: execute::block_env(&header),
            tx: execute::tx_env(&tx),
            nonce: Nonce::Checked,
        };
        let outcome = self
            .with_view(self.head(), |view| execute::run(view, execution))
            .map_err(|error| execute::refusal(error, &header, tx.max_fee_per_gas()))?;
        Ok(seal(header, tx, outcome))
    }

    /// Makes `prepared` the head. It must have been prepared on this head.
    pub(crate) fn commit(&mut self, prepared: Prepared) {
        let Prepared { mut block, touched } = prepared;
        // What was prepared on another head was executed on another state.
        assert_eq!(block.header.parent_hash, self.head_block().hash, "a block follows the head");
        // Only here is it known what the block replaces; as it was prepared its undo was empty.
        block.undo = self.state.apply(touched);
        self.number_by_hash.insert(block.hash, block.header.number);
        if let Some(mined) = &block.mined {
            self.number_by_tx.insert(*mined.tx.tx_hash(), block.header.number);
        }
        self.blocks.push(block);
    }

    /// Removes the last `depth` blocks and returns their transactions, oldest first. The genesis
    /// stays: a larger depth removes all others.
    pub(crate) fn remove(&mut self, depth: u64) -> Vec<Bytes> {
        // Also when no block goes: a replay counts the journal's records and must come to the same
        // number.
        self.removals += 1;
        let mut removed = Vec::new();
        for _ in 0..depth.min(self.head()) {
            let block = self.blocks.pop().expect("depth is at most the head's number");
            // From the head downwards, since an undo holds the values of just before its block.
            self.state.undo(block.undo);
            self.number_by_hash.remove(&block.hash);
            if let Some(mined) = block.mined {
                self.number_by_tx.remove(mined.tx.tx_hash());
                removed.push(Bytes::from(mined.tx.encoded_2718()));
            }
        }
        removed.reverse();
        removed
    }

    fn genesis_header(&self) -> Header {
        Header {
            timestamp: self.genesis.timestamp_s,
            gas_limit: self.genesis.block_gas_max,
            base_fee_per_gas: Some(self.genesis.base_fee_wei),
            extra_data: genesis_extra(&self.genesis),
            ..empty_header()
        }
    }

    /// Header of the block that would be mined now, before its transaction is known.
    fn next_header(&self, now_s: u64) -> Header {
        let parent = self.head_block();
        let extra = match self.removals {
            0 => Bytes::new(),
            removals => Bytes::from(removals.to_be_bytes().to_vec()),
        };
        Header {
            parent_hash: parent.hash,
            number: parent.header.number + 1,
            // A clock that stands still or jumps back must not give two blocks one time.
            timestamp: now_s.max(parent.header.timestamp.saturating_add(1)),
            gas_limit: self.genesis.block_gas_max,
            base_fee_per_gas: Some(self.base_fee_after(&parent.header)),
            extra_data: extra,
            ..empty_header()
        }
    }
}

/// The fields every block shares. `state_root` is zero: this chain keeps no trie.
fn empty_header() -> Header {
    Header {
        state_root: B256::ZERO,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

/// Binds the hash of block 0 to all of the genesis, as the absent state root does not.
fn genesis_extra(genesis: &Genesis) -> Bytes {
    let mut bytes = genesis.chain_id.to_be_bytes().to_vec();
    for (account, balance) in &genesis.funded {
        bytes.extend_from_slice(account.as_slice());
        bytes.extend_from_slice(&balance.to_be_bytes::<32>());
    }
    Bytes::from(alloy::primitives::keccak256(bytes).to_vec())
}

fn seal(mut header: Header, tx: SignedTx, outcome: Outcome) -> Prepared {
    let Outcome { result, touched } = outcome;
    let (status, gas_used) = (result.is_success(), result.tx_gas_used());
    let created = result.created_address().filter(|_| tx.kind() == TxKind::Create);
    let receipt = consensus_receipt(tx.tx_type(), status, gas_used, result.into_logs());
    header.gas_used = gas_used;
    header.logs_bloom = *receipt.logs_bloom();
    header.transactions_root = calculate_transaction_root(&[tx.inner()]);
    header.receipts_root = calculate_receipt_root(&[&receipt]);
    // Only now: gas used, bloom and roots are part of what the hash covers.
    let hash = header.hash_slow();
    let receipt = rpc_receipt(At { header: &header, hash }, &tx, receipt, created);
    let mined = Some(Mined { tx, receipt });
    Prepared { block: Block { header, hash, mined, undo: Undo::default() }, touched }
}

fn consensus_receipt(
    tx_type: TxType,
    success: bool,
    gas_used: u64,
    logs: Vec<EventLog>,
) -> ReceiptEnvelope<EventLog> {
    let logs_bloom: Bloom = logs.iter().collect();
    let status = Eip658Value::Eip658(success);
    let receipt = Receipt { status, cumulative_gas_used: gas_used, logs };
    ReceiptEnvelope::from_typed(tx_type, ReceiptWithBloom { receipt, logs_bloom })
}

/// The block that a receipt is of.
#[derive(Clone, Copy)]
struct At<'a> {
    header: &'a Header,
    hash: B256,
}

fn rpc_receipt(
    at: At<'_>,
    tx: &SignedTx,
    receipt: ReceiptEnvelope<EventLog>,
    contract_address: Option<Address>,
) -> TransactionReceipt {
    let At { header, hash: block_hash } = at;
    let (transaction_hash, mut log_index) = (*tx.tx_hash(), 0);
    let mut located = |inner: EventLog| {
        log_index += 1;
        Log {
            inner,
            block_hash: Some(block_hash),
            block_number: Some(header.number),
            block_timestamp: Some(header.timestamp),
            transaction_hash: Some(transaction_hash),
            transaction_index: Some(0),
            log_index: Some(log_index - 1),
            removed: false,
        }
    };
    TransactionReceipt {
        inner: receipt.map_logs(&mut located),
        transaction_hash,
        transaction_index: Some(0),
        block_hash: Some(block_hash),
        block_number: Some(header.number),
        gas_used: header.gas_used,
        effective_gas_price: tx.effective_gas_price(header.base_fee_per_gas),
        blob_gas_used: None,
        blob_gas_price: None,
        from: tx.signer(),
        to: tx.to(),
        contract_address,
    }
}
