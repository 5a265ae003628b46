//! See `hostile::client_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::client_session(bytes));
