//! See `hostile::http_requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::http_requests(bytes));
