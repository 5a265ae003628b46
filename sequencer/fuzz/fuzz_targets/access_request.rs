//! See `hostile::access_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::access_request(bytes));
