//! Official Consents in and out, what is refused, and two readings of one document compared.

mod consult;
mod documents;
mod grid;
mod lint;
mod round_trip;
mod tree;
