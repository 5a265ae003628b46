//! See `fuzz_node::ledger_state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_node::ledger_state(bytes));
