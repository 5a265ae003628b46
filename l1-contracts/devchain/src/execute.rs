//! One transaction through the EVM. No state is changed here.

use crate::{error::TxRefused, state::View};
use alloy::{
    consensus::{Header, Transaction, TxEnvelope, Typed2718, transaction::Recovered},
    primitives::{TxKind, U256},
    rpc::types::TransactionRequest,
};
use revm::{
    Context, ExecuteEvm, MainBuilder, MainContext,
    context::{BlockEnv, TxEnv},
    context_interface::{
        block::BlobExcessGasAndPrice,
        result::{EVMError, ExecutionResult, InvalidTransaction},
    },
    database_interface::WrapDatabaseRef,
    primitives::{eip7825::TX_GAS_LIMIT_CAP, hardfork::SpecId},
    state::EvmState,
};
use std::convert::Infallible;

const SPEC: SpecId = SpecId::OSAKA;

/// Whether the nonce of a transaction must be the account's next one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nonce {
    Checked,
    Ignored,
}

/// What the EVM says of a transaction: its result and the accounts it touched.
pub(crate) struct Outcome {
    pub(crate) result: ExecutionResult,
    pub(crate) touched: EvmState,
}

/// A transaction, the block that it is the only one of, and how it is run.
pub(crate) struct Execution {
    pub(crate) chain_id: u64,
    pub(crate) block: BlockEnv,
    pub(crate) tx: TxEnv,
    pub(crate) nonce: Nonce,
}

/// Runs a transaction on the state that `view` shows.
pub(crate) fn run(view: View<'_>, execution: Execution) -> Result<Outcome, EVMError<Infallible>> {
    let Execution { chain_id, block, tx, nonce } = execution;
    let mut evm = Context::mainnet()
        .with_db(WrapDatabaseRef(view))
        .modify_cfg_chained(|config| {
            config.chain_id = chain_id;
            // Rules and gas tables in one call: a new rule set with old prices would run silently.
            config.set_spec_and_mainnet_gas_params(SPEC);
            // A call names no nonce; a transaction without this check could be replayed.
            config.disable_nonce_check = nonce == Nonce::Ignored;
        })
        .with_block(block)
        .build_mainnet();
    let outcome = evm.transact(tx)?;
    Ok(Outcome { result: outcome.result, touched: outcome.state })
}

/// The block as contracts see it. The proposer is the zero address (tips go there), randomness is
/// zero, there are no blobs.
pub(crate) fn block_env(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        prevrandao: Some(header.mix_hash),
        // There are no blobs, but since Cancun the EVM refuses a block that does not price them.
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
            excess_blob_gas: 0,
            blob_gasprice: 1,
        }),
        ..Default::default()
    }
}

pub(crate) fn tx_env(tx: &Recovered<TxEnvelope>) -> TxEnv {
    TxEnv {
        tx_type: tx.ty(),
        caller: tx.signer(),
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        ..Default::default()
    }
}

/// A call costs its sender nothing: the fee fields of the request are not read.
pub(crate) fn call_env(request: TransactionRequest, chain_id: u64, gas_max: u64) -> TxEnv {
    TxEnv {
        caller: request.from.unwrap_or_default(),
        // Callers that name no limit, or an endless one, get what a transaction could have.
        gas_limit: request.gas.unwrap_or(u64::MAX).min(gas_max),
        // With a price the caller would need funds, and reading is for everybody.
        gas_price: 0,
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        data: request.input.into_input().unwrap_or_default(),
        access_list: request.access_list.unwrap_or_default(),
        chain_id: Some(chain_id),
        ..Default::default()
    }
}

/// Most gas that one transaction may carry: EIP-7825 or the block, whichever is less.
pub(crate) fn tx_gas_max(block_gas_max: u64) -> u64 {
    TX_GAS_LIMIT_CAP.min(block_gas_max)
}

pub(crate) fn refusal(error: EVMError<Infallible>, block: &Header, fee_cap: u128) -> TxRefused {
    use InvalidTransaction as I;
    match error {
        EVMError::Transaction(I::NonceTooLow { tx, state }) => {
            TxRefused::NonceTooLow { expected: state, found: tx }
        }
        EVMError::Transaction(I::NonceTooHigh { tx, state }) => {
            TxRefused::NonceTooHigh { expected: state, found: tx }
        }
        EVMError::Transaction(I::LackOfFundForMaxFee { fee, balance }) => {
            TxRefused::Funds { balance: *balance, cost: *fee }
        }
        EVMError::Transaction(I::GasPriceLessThanBasefee) => TxRefused::FeeTooLow {
            base_fee_wei: block.base_fee_per_gas.unwrap_or_default(),
            found: fee_cap,
        },
        // Programs match on geth's words for those above; what is left is for people.
        EVMError::Transaction(other) => TxRefused::Invalid(other.to_string()),
        other => TxRefused::Invalid(other.to_string()),
    }
}
