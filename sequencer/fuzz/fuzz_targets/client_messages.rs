//! See `hostile::client_messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::client_messages(bytes));
