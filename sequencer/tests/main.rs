//! The node from outside: killed, stopped, damaged, and what patients see of it; and the
//! page of codes.

mod addresses;
mod codes;
mod commands;
mod degraded;
mod kill;
mod reset;
mod restart;
mod story;
mod support;
