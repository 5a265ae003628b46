//! C2: native check and circuit agree on honest chunks, and each rule has a test that breaks it.

mod agree;
pub(crate) mod hunt;
mod moved;
mod rules;
pub(crate) mod twins;
pub(crate) mod world;
