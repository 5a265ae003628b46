//! C1: the consent root after a chunk of operations (SPEC.md section 9), twin of `statement::c1`.
//!
//! One universal row for each operation. The kind is one-hot and multiplies what it demands; every
//! row opens a record, closes one, hashes, verifies and updates the tree, whatever its kind, so
//! that the structure does not depend on values:
//!
//! ```text
//! kind, slot, index, times --> head ----+
//! argument words --> argument ----------+--> message --> signature by record's or registrar's key
//!       |                               |        |
//!       +--> rule (unpacked) --+        |        +--> row leaf --> operations_root
//! old record --> old rule -----+--> new record
//!    |   nonce ----------------|--------+   |
//!    +--> old leaf --> root before          +--> new leaf --> root after
//! ```
//!
//! The roots and times between rows are private values given beforehand, so that a witness run
//! takes the rows in parallel; each row ties its two roots and its two times together.
//!
//! # Widths
//! All bounds follow from the public times, which the contract keeps below 2^44: times ascend by
//! less than 2^27 a row and end before t1 (C1.2, C1.3), so every `t_op` is one of the window. Rule
//! times are unpacked to 44 bits (C1.14). `signed_at` and `valid_until` are pinned by C1.4, C1.5
//! and the signature (SPEC.md section 5). Hence no difference that is range-checked can wrap.

mod check;
mod chunk;
mod parts;
mod row;
mod rule;
mod values;

pub use check::{RowError, check_row};
pub use chunk::{assign, circuit};
pub use values::{RowValues, Values};
