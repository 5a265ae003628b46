//! See `hostile::released_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::released_frames(bytes));
