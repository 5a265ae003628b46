//! See `hostile::subscription`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::subscription(bytes));
