//! Examples that others published, and Bundles, through the whole crate.

mod bundles;
mod capabilities;
mod conformance;
mod examples;
mod hostile;
