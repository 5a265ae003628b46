//! The journal from outside: its bytes, its recovery, its writer.

mod corruption;
mod cut;
mod format;
mod gap;
mod kill;
mod model;
mod power_cut;
mod support;
mod usage;
mod writer;
