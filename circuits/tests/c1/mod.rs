//! C1: twins agree on honest operations and on every broken rule.

pub(crate) mod case;
mod history;
pub(crate) mod hunt;
mod moved;
mod rules;
mod signers;
