//! The node of the rollup: everything between a gateway's frame and a settled batch, and the demo.
//!
//! ```text
//! ingest -> ledger (admission) -> journal -> [close] -> batch + prove -> store -> settle
//!    ^ receipts: deliver                                                     `-> http
//! ```
//! [`ledger`] decides and is a fold of the journal; [`batch`] lays a closed window out and is pure;
//! [`prove`], [`settle`], [`ingest`] and [`http`] are shells around pure cores; [`node`] is the one
//! place that knows them all. `sequencer/README.md` follows one reading through.
//!
//! This crate never holds a patient's signing key, never decides consent outside of the native twin
//! of the statements, and acknowledges nothing before it is durable.

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
