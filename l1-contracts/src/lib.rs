//! The base-chain side in Rust: bindings of the committed artefacts, the deployment file, and the
//! one edge through which node and auditor read and write the settlement contract.
//!
//! Everything goes through an alloy `Provider`: the embedded chain, anvil and a real node are the
//! same to this crate, and no EVM is linked here. The Solidity project stands beside it; its
//! artefacts are committed, so building this crate needs no node and no solc.
//!
//! ```
//! use alloy::sol_types::{SolCall, SolEvent};
//! use l1_contracts::{Settlement, from_abi, to_abi};
//! use statement::batch::PublicFile;
//! use statement::scope::header_hash;
//!
//! # // The file of an empty batch over one minute.
//! # let mut words = [[0; 32]; 26];
//! # for (word, number) in [(0, 2), (3, 4_002_000_000_000_u64), (4, 4_002_000_060_000)] {
//! #     words[word][24..].copy_from_slice(&number.to_be_bytes());
//! # }
//! # let bytes = [b"VTLBPUB\x02".as_slice(), words.as_flattened(), &[0; 16]].concat();
//! // From a batch file to the call that settles it.
//! let file = PublicFile::from_bytes(&bytes)?;
//! let call = Settlement::settleCall { batches: vec![to_abi(&file)] };
//! assert_eq!(call.abi_encode()[..4], Settlement::settleCall::SELECTOR);
//!
//! // From the log that settling leaves to the header, and to the hash that the next header names.
//! # let header = to_abi(&file).header;
//! # let hash = header_hash(&file.header).into();
//! # let number = header.number;
//! # let lateness = alloy::primitives::U256::from(1500);
//! # let event = Settlement::BatchSettled { number, headerHash: hash, header, lateness };
//! # let log = event.encode_log_data();
//! let event = Settlement::BatchSettled::decode_log_data(&log)?;
//! let header = from_abi(&event.header)?;
//! assert_eq!(header, file.header);
//! assert_eq!(header_hash(&header), event.headerHash.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate never decides what is settled and holds no key: signing happens in the provider.

mod batch;
mod bindings;
mod deployment;
mod edge;
pub mod errors;
pub mod gas;
mod history;
mod log_range;
mod patience;
mod proofs;
mod transport;
mod url;

pub use batch::{from_abi, to_abi};
pub use bindings::{DEVELOPMENT_CHAINS, KeyCode, Settlement, bytecode_hash};
pub use deployment::{Damage, Deployment, DeploymentError, KeyRecord, SetupKind};
pub use edge::{
    Constants, DeployConfig, Edge, EdgeError, KeyWords, Runtime, SettlementState, deploy,
    expect_success, headers_of_calldata,
};
pub use history::{Block, SettledBatch};
pub use log_range::{LogRange, suggested_blocks};
pub use patience::{Busy, Patience, StayedBusy, TellWait, Wait, Waits};
pub use proofs::{SettledProof, SettledProofs};
pub use transport::{
    HttpClientError, RPC_ANSWER_BYTES_MAX, answer_in_words, http_client, is_answer_too_large,
    is_no_tls, patient_rpc_client, rpc_client, speaks_no_tls,
};
pub use url::{HttpUrl, HttpUrlError};
