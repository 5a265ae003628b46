use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Chain id of a development chain, as Hardhat and Anvil use it.
pub const CHAIN_ID: u64 = 31_337;

/// 10^24 wei (a million ether): what [`Genesis::funding`] gives each account.
pub const FUNDS_WEI: u128 = 1_000_000_000_000_000_000_000_000;

/// What block 0 is made of. Two chains with equal genesis and equal transactions at equal times
/// have equal block hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Chain id that every transaction signs. Default [`CHAIN_ID`]. Never give a development chain
    /// the id of a chain that carries value: its transactions would be valid there too.
    pub chain_id: u64,
    /// Timestamp of block 0 in unix seconds. Default 0, so that any clock may follow.
    pub timestamp_s: u64,
    /// Gas limit of every block. Default 60 million.
    pub block_gas_max: u64,
    /// Base fee of block 1 in wei for a unit of gas; later blocks follow EIP-1559. Default 1 gwei.
    pub base_fee_wei: u64,
    /// Balances of block 0 in wei.
    pub funded: BTreeMap<Address, U256>,
}

impl Default for Genesis {
    fn default() -> Self {
        Self {
            chain_id: CHAIN_ID,
            timestamp_s: 0,
            block_gas_max: 60_000_000,
            base_fee_wei: 1_000_000_000,
            funded: BTreeMap::new(),
        }
    }
}

impl Genesis {
    /// The default chain with [`FUNDS_WEI`] for each of `accounts`.
    pub fn funding(accounts: impl IntoIterator<Item = Address>) -> Self {
        let funded = accounts.into_iter().map(|account| (account, U256::from(FUNDS_WEI))).collect();
        Self { funded, ..Self::default() }
    }
}
