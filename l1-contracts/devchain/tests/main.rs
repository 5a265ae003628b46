//! The chain as programs use it: through the provider, over HTTP, and after a restart.

mod contract;
mod faults;
mod http;
mod journal;
mod methods;
mod support;
