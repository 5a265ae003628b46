//! See `hostile::server_messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::server_messages(bytes));
