//! The client against a node made of the wire's own server machine, on loopback.

mod command_line;
mod log;
mod node;
mod requests;
mod streaming;
mod weight;
