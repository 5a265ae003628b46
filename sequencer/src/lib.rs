//! The node: ingest, journal, batches, proving, settlement, and the demo.

pub mod batch;
pub mod ledger;
