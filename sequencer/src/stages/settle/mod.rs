//! Brings assembled batches to the base chain, in order and once.
//!
//! [`next_action`] decides, [`Settler`] looks and acts. One round reads the outbox, the account,
//! the contract and the receipts of every transaction that is not final, takes one action and
//! begins again:
//!
//! ```text
//! build  simulate, sign, write to the outbox     mined    receipt found: record where and how late
//! send   the written bytes, as often as needed   final    its block is final: done
//! ```
//!
//! A first offer is what the chain's node asks, at most `fee_wei_max`. What is not mined within
//! `resend_after_ms` is sent again as it is if the node has lost it, and else, or when it was lost
//! twice, replaced by a transaction that pays at least an eighth more; so is, without any wait,
//! what the node calls underpriced; one of which it holds nothing is offered again at what the
//! chain asks by then. Where an eighth more would be above `fee_wei_max`, the last one is sent
//! again and again, with the stage degraded: it is mined once fees fall, or replaced once a running
//! node is given a higher limit. After `replacements_max` replacements the offer follows what the
//! chain asks and rises by itself no more, with the stage degraded as well.
//!
//! Invariants:
//! * Bytes are in the outbox before they are sent, and every hash ever sent for a nonce is kept.
//! * One transaction at a time is unmined; the contract's counter says what is settled (I2).
//! * Lateness is recorded and never an error. A window that is not over for the chain, neither at
//!   the block of the look nor at the next one, is waited for.
//! * One look is of one block; receipts are held against the contract's counter; what contradicts
//!   the outbox is believed once every look has said so for `doubt_ms`, and three looks at least.
//! * What was mined and settled nothing is given up and built anew, after a pause that grows.
//! * What the contract refuses is tried again ever more slowly, and the stage is degraded and says
//!   why. Whatever the chain or its node does, the node lives, and no trouble outlasts its cause.
//! * It never makes or changes a batch, and holds no other key than that of the settling account.

mod act;
mod config;
mod error;
mod fees;
mod lag;
mod look;
mod plan;
mod round;
mod settler;
mod stock;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod weather;

pub use config::SettleConfig;
pub use error::SettleError;
pub use look::last_sent;
pub use plan::{Action, Doubt, Doubted, OnChain, Row, View, next_action};
pub use settler::{Settler, SettlerParts, Step};
pub use stock::{Open, carried_headers};
