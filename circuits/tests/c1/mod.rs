//! C1: twins agree on honest operations and on every broken rule.

mod case;
mod history;
mod hunt;
mod moved;
mod rules;
mod signers;
