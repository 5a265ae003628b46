//! The stages, in the order in which a reading passes them.
//!
//! ```text
//! 1 ingest   QUIC sessions: decode, range-check, submit            a task a connection
//!   rows     evaluates an operation's row before it is journaled  threads of its own
//! 2 ledger   decides on each item and folds the journal            the writer thread
//! 3 deliver  signs receipts, hands closed windows on               the signer thread
//! 4 batch    lays a closed window out as chunks; pure              the planner thread
//! 5 prove    proves the chunks, assembles the batch                prover threads, the batcher
//! 6 settle   brings assembled batches to the base chain            a task
//!   notices  tells who asked for it that somebody read             a task
//! ```
//! The journal stands between 2 and 3 and is a crate of its own.

pub mod batch;
pub mod deliver;
pub mod ingest;
pub mod ledger;
pub mod notices;
pub mod prove;
pub mod rows;
pub mod settle;
pub mod standing;
