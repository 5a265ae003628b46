//! See `fuzz_node::archive_manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_node::archive_manifest(bytes));
