//! See `hostile::operation`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::operation(bytes));
