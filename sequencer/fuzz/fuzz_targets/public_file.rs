//! See `hostile::public_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::public_file(bytes));
