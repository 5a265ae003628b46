//! See `hostile::hl7_messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::hl7_messages(bytes));
