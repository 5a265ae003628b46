//! See `hostile::published`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::published(bytes));
