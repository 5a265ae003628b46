//! The node from outside: killed, stopped, damaged, and what patients see of it.

mod commands;
mod kill;
mod restart;
mod story;
mod support;
