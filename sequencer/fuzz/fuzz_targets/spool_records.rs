//! See `hostile::spool_records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::spool_records(bytes));
