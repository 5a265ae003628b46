//! The node: ingest, journal, batches, proving, settlement, and the demo.

pub mod authority;
pub mod batch;
pub mod config;
pub mod deliver;
pub mod http;
pub mod ingest;
pub mod ledger;
pub mod metrics;
pub mod prove;
pub mod secrets;
pub mod settle;
pub mod store;
