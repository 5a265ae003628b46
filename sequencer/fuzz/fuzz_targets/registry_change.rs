//! See `hostile::registry_change`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::registry_change(bytes));
