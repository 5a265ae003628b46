//! The node from outside: killed, stopped, damaged, what patients see of it and what others may
//! open of it; and the page of codes.

mod addresses;
mod closed;
mod codes;
mod commands;
mod degraded;
mod kill;
mod loss;
mod recover;
mod reset;
mod restart;
mod sealed;
mod story;
mod support;
