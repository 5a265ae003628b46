//! The node: ingest, journal, batches, proving, settlement, and the demo.

pub mod admin;
pub mod authority;
pub mod batch;
pub mod config;
pub mod deliver;
pub mod demo;
pub mod http;
pub mod ingest;
pub mod layout;
pub mod ledger;
pub mod metrics;
pub mod node;
pub mod prove;
pub mod recover;
pub mod secrets;
pub mod settle;
pub mod setup;
pub mod sink;
pub mod store;
