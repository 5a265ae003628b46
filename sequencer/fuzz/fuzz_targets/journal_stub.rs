//! See `hostile::journal_stub`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::journal_stub(bytes));
