//! See `hostile::extract_files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::extract_files(bytes));
