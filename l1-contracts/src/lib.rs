//! The base-chain side in Rust: bindings of the committed artefacts, the deployment file, and the
//! one edge through which node and auditor read and write the settlement contract.
//!
//! Everything goes through an alloy `Provider`: the embedded chain, anvil and a real node are the
//! same to this crate, and no EVM is linked here. The Solidity project stands beside it; its
//! artefacts are committed, so building this crate needs no node and no solc.
//!
//! This crate never decides what is settled and holds no key: signing happens in the provider.

mod batch;
mod bindings;
mod deployment;
mod edge;
pub mod errors;

pub use batch::{from_abi, to_abi};
pub use bindings::{KeyCode, Settlement, bytecode_hash};
pub use deployment::{Deployment, DeploymentError, KeyRecord, SetupKind};
pub use edge::{DeployConfig, Edge, EdgeError, SettledBatch, SettlementState, deploy, succeeded};
