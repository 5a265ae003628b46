//! An in-process EVM development chain behind the ordinary provider interface.
//!
//! Programs speak to a base chain through alloy's `Provider`. [`DevChain`] is such a chain without
//! another program: the EVM (revm, Osaka rules) executes, [`EvmTransport`] answers the provider's
//! requests in process, and [`serve_http`] answers the same requests to other processes on this
//! machine. Code that works here works against any node, because it is the same code.
//!
//! # What it is not
//! * No state root: the header field is zero, and there are no Merkle proofs. The other roots, the
//!   bloom and the block hash are those of the header.
//! * No mempool: a transaction is mined at once in a block of its own, or refused. `pending` is
//!   `latest`.
//! * No consensus, peers, blobs (type 3), set-code transactions (type 4), traces, subscriptions or
//!   installed filters; no system contracts (EIP-2935, EIP-4788).
//! * Not a store of value: it has one operator, who can remove blocks.
//!
//! # Time
//! A block's timestamp is `max(parent + 1, clock)`, with the one injected [`Clock`]. A call at the
//! head sees the number and timestamp of the block that a transaction sent at that moment would
//! get; a call at an earlier block sees that block.
//!
//! # Methods
//! `eth_chainId`, `net_version`, `web3_clientVersion`, `eth_blockNumber`, `eth_gasPrice`,
//! `eth_maxPriorityFeePerGas`, `eth_feeHistory`, `eth_getTransactionCount`, `eth_getBalance`,
//! `eth_getCode`, `eth_getStorageAt`, `eth_call`, `eth_estimateGas`, `eth_sendRawTransaction`,
//! `eth_getTransactionByHash`, `eth_getTransactionReceipt`, `eth_getBlockByNumber`,
//! `eth_getBlockByHash`, `eth_getLogs`, `eth_syncing`, `eth_accounts` (empty). Any other is
//! answered with -32601. State can be read at every block; an earlier one costs work in proportion
//! to the blocks since.
//!
//! # Limits
//! Requests: [`REQUEST_BYTES_MAX`] bytes, [`BATCH_MAX`] in a batch,
//! [`REQUESTS_AT_ONCE_MAX`] at once over HTTP. Transactions:
//! [`RAW_TX_BYTES_MAX`] bytes, 2^24 gas (EIP-7825). Blocks, log range and log count: [`Limits`].
//! A call whose sender is a contract is refused (EIP-3607).
//!
//! # Example
//! ```
//! use alloy::{providers::Provider, signers::local::PrivateKeySigner};
//! use devchain::{DevChain, Genesis, Limits};
//! use std::sync::Arc;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let signer = PrivateKeySigner::from_slice(&[7; 32]).unwrap();
//! let genesis = Genesis::funding([signer.address()]);
//! let chain = DevChain::in_memory(genesis, Limits::default(), Arc::new(|| 1_700_000_000));
//! let provider = chain.provider(signer);
//! assert_eq!(provider.get_chain_id().await.unwrap(), 31_337);
//! # });
//! ```

mod chain;
mod codes;
mod devchain;
mod error;
mod execute;
mod genesis;
mod http;
mod journal;
mod limits;
mod rpc;
mod state;
mod transport;

pub use codes::{CODES, REFUSALS, RefusalText, RpcCode};
pub use devchain::{Clock, DevChain, Faults, Replayed};
pub use error::{OpenError, RpcError, TxRefused};
pub use genesis::{CHAIN_ID, FUNDS_WEI, Genesis};
pub use http::{HttpServer, serve_http};
pub use limits::{BATCH_MAX, Limits, RAW_TX_BYTES_MAX, REQUEST_BYTES_MAX, REQUESTS_AT_ONCE_MAX};
pub use transport::EvmTransport;
