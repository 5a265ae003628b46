//! The client against a node made of the wire's own server machine, on loopback.

mod command_line;
mod delays;
mod log;
mod node;
mod promised;
mod receipts;
mod requests;
#[path = "../../examples/stream_file.rs"]
mod stream_file;
mod streaming;
mod weight;
