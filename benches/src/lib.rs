//! Criterion benches: prove, journal commit, end to end.
