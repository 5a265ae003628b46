//! See `hostile::private_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::private_file(bytes));
