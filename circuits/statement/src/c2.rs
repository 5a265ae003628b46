//! C2: every claim of a chunk is covered by its patient's record, or is counted as excluded
//! (SPEC.md section 10).
//!
//! Four questions, from small to large: does a record cover one claim ([`covers`], asked at
//! admission, in previews and by auditors); how do claims fill the slots of a chunk ([`pack`]);
//! which chunks does a batch consist of, where they may differ in capacity ([`mix`]); does a whole
//! chunk fulfil the statement ([`check`], asked before it is proven).
//! [`check`] is the circuit's twin: it accepts exactly the chunks for which a proof exists.

mod check;
mod chunk;
mod covers;
mod hull;
mod mix;
mod pack;

pub use check::{C2Error, check, check_inputs, check_leaves};
pub use chunk::{CapPath, Capacity, Chunk, Edge, Slot, cap_path};
pub use covers::{best_rule, covers};
pub use hull::Hull;
pub use mix::{PricedCapacity, mix};
pub use pack::{PackError, Packed, PackedSlot, pack};

#[cfg(test)]
mod tests;
