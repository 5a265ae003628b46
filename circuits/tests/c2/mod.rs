//! C2: native check and circuit agree on honest chunks, and each rule has a test that breaks it.

mod agree;
mod hunt;
mod moved;
mod rules;
mod twins;
mod world;
