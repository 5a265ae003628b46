//! The native twin: hashes, signatures, encodings, consent evaluation, batch files and proof verification.
