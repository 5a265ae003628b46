//! See `hostile::erasure_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::erasure_request(bytes));
