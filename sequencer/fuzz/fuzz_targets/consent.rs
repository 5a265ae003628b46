//! See `hostile::consent`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::consent(bytes));
