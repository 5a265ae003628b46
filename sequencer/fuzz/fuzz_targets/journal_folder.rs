//! See `hostile::journal_folder`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::journal_folder(bytes));
