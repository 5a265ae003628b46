//! Groth16 over BN254: keys, engines, export.
