//! The journal from outside: its bytes, its recovery, its writer.

mod corruption;
mod crafted;
mod cut;
mod format;
mod gap;
mod gated;
mod indexed;
mod kill;
mod lanes;
mod lost_end;
mod model;
mod one_file;
mod power_cut;
mod put_away;
mod recycle;
mod rotation;
mod support;
mod usage;
mod writer;
