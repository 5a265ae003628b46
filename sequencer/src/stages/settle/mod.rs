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
//! what the node calls underpriced. After `replacements_max` replacements the last one is sent
//! again and again. An eighth more that would be above `fee_wei_max` is [`SettleError::FeeLimit`]:
//! the round is tried again and fails again, because each begins at the fee that was offered last,
//! and nothing is sent until the limit is raised or what the node holds is mined.
//!
//! Invariants:
//! * Bytes are in the outbox before they are sent, and every hash ever sent for a nonce is kept.
//! * One transaction at a time is unmined; the contract's counter says what is settled (I2).
//! * Lateness is recorded and never an error. A window that is not over for the chain is waited
//!   for.
//! * What the contract refuses is not tried again: the stage ends and says why.
//! * It never makes or changes a batch, and holds no other key than that of the settling account.

mod act;
mod config;
mod error;
mod fees;
mod look;
mod plan;
mod round;
mod settler;
#[cfg(test)]
mod tests;

pub use config::SettleConfig;
pub use error::SettleError;
pub use plan::{Action, OnChain, Row, View, next_action};
pub use settler::{Settler, SettlerParts, Step};
