//! The node from outside: killed, stopped, damaged, what patients see of it and what others may
//! open of it; and the page of codes.

mod addresses;
mod archive;
mod backup;
#[path = "../client/tests/client/blocks.rs"]
mod blocks;
mod body_keys;
mod ceremony;
mod certificates;
mod chain_program;
mod chain_trouble;
mod closed;
mod codes;
mod commands;
mod convert;
mod decoders;
mod degraded;
mod deploy;
mod doctor;
mod drain;
mod drill;
mod elsewhere;
mod erase;
mod guides;
mod inspect;
mod issued;
mod kill;
mod loss;
mod notices;
mod operate;
mod orders;
mod pages;
#[path = "../client/tests/client/pinned.rs"]
mod pinned;
mod plan;
mod proxy;
mod questions;
mod recover;
mod reload;
mod reset;
mod restart;
mod sealed;
mod service;
#[allow(dead_code, reason = "each crate's tests need a part of it")]
#[path = "../../circuits/statement/src/batch/small.rs"]
mod small;
mod story;
mod support;
mod walker;
mod watching;
