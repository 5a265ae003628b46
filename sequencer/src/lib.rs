//! The node: ingest, journal, batches, proving, settlement, and the demo.

pub mod batch;
pub mod config;
pub mod ledger;
pub mod prove;
pub mod secrets;
