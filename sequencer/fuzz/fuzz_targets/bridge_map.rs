//! See `hostile::bridge_map`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::bridge_map(bytes));
