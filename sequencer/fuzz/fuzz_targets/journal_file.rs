//! See `hostile::journal_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::journal_file(bytes));
