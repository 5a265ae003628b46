//! See `hostile::server_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::server_session(bytes));
