//! See `hostile::journal_damage`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::journal_damage(bytes));
