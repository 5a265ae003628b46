//! See `fuzz_node::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_node::config(bytes));
