//! See `hostile::frame_block`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::frame_block(bytes));
