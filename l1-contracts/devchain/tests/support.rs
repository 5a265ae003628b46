//! A chain with a clock to turn, funded accounts, and a small contract.

use alloy::{
    primitives::{Address, U256},
    providers::{DynProvider, Provider},
    signers::local::PrivateKeySigner,
    sol,
};
use devchain::{Clock, DevChain, Genesis, Limits};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

pub(crate) const START_S: u64 = 1_700_000_000;

sol! {
    // solc 0.8.37, optimizer 200 runs, evmVersion osaka, no metadata, of:
    //
    //   event Kept(uint256 indexed value, uint256 time);
    //   error TooLarge(uint256 value, uint256 max);
    //   uint256 public kept;
    //   function keep(uint256 value) external {
    //       if (value > 1000) revert TooLarge(value, 1000);
    //       kept = value;
    //       emit Kept(value, block.timestamp);
    //   }
    //   function time() external view returns (uint256) { return block.timestamp; }
    //   function number() external view returns (uint256) { return block.number; }
    //   function hashOf(uint256 number_) external view returns (bytes32) {
    //       return blockhash(number_);
    //   }
    //   function burn(uint256 rounds) external {
    //       for (uint256 i; i < rounds; ++i) kept = i;
    //   }
    #[sol(rpc, bytecode = "\
                6080604052348015600e575f5ffd5b5061015f8061001c5f395ff3fe60806040523480156100\
                0f575f5ffd5b5060043610610060575f3560e01c806316ada5471461006457806342966c6814\
                6100785780637e551b751461008d5780638381f58a1461009f578063acc3e84f146100a55780\
                63bfc207cf146100ad575b5f5ffd5b425b60405190815260200160405180910390f35b61008b\
                610086366004610148565b6100c0565b005b61006661009b366004610148565b4090565b4361\
                0066565b6100665f5481565b61008b6100bb366004610148565b6100da565b5f5b8181101561\
                00d6575f8190556001016100c2565b5050565b6103e881111561010c5760405163677fd0e360\
                e01b8152600481018290526103e8602482015260440160405180910390fd5b5f819055604051\
                42815281907fa16ccfd5d2ccd70dc903a0fb72729d7ea0dbf964b93ec1c2e2dd8734c4641f2d\
                9060200160405180910390a250565b5f60208284031215610158575f5ffd5b503591905056")]
    contract Ledger {
        event Kept(uint256 indexed value, uint256 time);
        error TooLarge(uint256 value, uint256 max);
        function kept() external view returns (uint256);
        function keep(uint256 value) external;
        function time() external view returns (uint256);
        function number() external view returns (uint256);
        function hashOf(uint256 number_) external view returns (bytes32);
        function burn(uint256 rounds) external;
    }
}

/// The account of number `n`; the first eight are funded by [`genesis`].
pub(crate) fn signer(n: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[n + 1; 32]).expect("a small number is a key")
}

pub(crate) fn genesis() -> Genesis {
    Genesis::funding((0..8).map(|n| signer(n).address()))
}

/// A clock that stands until it is turned.
#[derive(Clone)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START_S)))
    }

    pub(crate) fn clock(&self) -> Clock {
        let hand = self.0.clone();
        Arc::new(move || hand.load(Ordering::SeqCst))
    }

    pub(crate) fn turn(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

pub(crate) fn chain() -> DevChain {
    DevChain::in_memory(genesis(), Limits::default(), Hand::new().clock())
}

pub(crate) async fn deploy(chain: &DevChain) -> Ledger::LedgerInstance<DynProvider> {
    Ledger::deploy(chain.provider(signer(0))).await.expect("deploys")
}

/// Keeps `value` and returns the number of the block.
pub(crate) async fn keep(ledger: &Ledger::LedgerInstance<DynProvider>, value: u64) -> u64 {
    let sent = ledger.keep(U256::from(value)).send().await.expect("is taken");
    let receipt = sent.get_receipt().await.expect("is mined");
    assert!(receipt.status());
    receipt.block_number.expect("is in a block")
}

/// Everything that two chains must have in common: every block and the balances.
pub(crate) async fn fingerprint(provider: &impl Provider) -> Vec<Value> {
    let head = provider.get_block_number().await.expect("answers");
    let mut all = Vec::new();
    for number in 0..=head {
        let block: Value = provider
            .raw_request("eth_getBlockByNumber".into(), (format!("{number:#x}"), true))
            .await
            .expect("answers");
        all.push(block);
    }
    for account in (0..8).map(|n| signer(n).address()).chain([Address::ZERO]) {
        all.push(provider.get_balance(account).await.expect("answers").to_string().into());
    }
    all
}
