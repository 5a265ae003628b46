//! The client against a node made of the wire's own server machine, on loopback.

mod asked;
mod blocks;
mod codecs;
mod command_line;
mod consents;
mod delays;
mod encrypted;
mod epochs;
mod fhir;
mod files;
mod formats;
mod lanes;
mod log;
mod lost;
mod mapped;
mod mllp;
mod moving;
mod mqtt;
mod names;
mod node;
mod offline;
mod pinned;
mod promised;
mod reading;
mod receipts;
mod requests;
mod restored;
mod slow;
#[allow(dead_code, reason = "each crate's tests need a part of it")]
#[path = "../../../../circuits/statement/src/batch/small.rs"]
mod small;
#[path = "../../examples/stream_file.rs"]
mod stream_file;
mod streaming;
mod tls;
mod waiting;
mod weight;
