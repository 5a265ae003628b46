//! What people and programs touch besides QUIC: the configuration file, the operator's socket,
//! HTTP.

pub mod admin;
pub mod codes;
pub mod config;
pub mod consult;
mod desk_session;
pub mod http;
pub mod key_desk;
pub mod log;
mod machine;
pub mod memory;
pub mod orders;
pub mod page;
mod per_minute;
pub mod reach;
pub mod set;
pub mod token_issuer;
