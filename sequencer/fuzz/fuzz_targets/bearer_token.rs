//! See `hostile::bearer_token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::bearer_token(bytes));
