//! The program as it is called, and runs against a node in memory: that of the client's tests, for
//! which this crate names bytes, quinn, rcgen, rustls and rustls_pki_types among its own.

mod arguments;
mod load;
#[allow(dead_code, reason = "the client's own tests use the rest of their node")]
#[path = "../../sequencer/client/tests/client/node.rs"]
mod node;
mod report;
mod scenario;
