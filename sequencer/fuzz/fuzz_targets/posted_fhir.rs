//! See `hostile::posted_fhir`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::posted_fhir(bytes));
