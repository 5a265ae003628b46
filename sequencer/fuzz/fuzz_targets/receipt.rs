//! See `hostile::receipt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::receipt(bytes));
