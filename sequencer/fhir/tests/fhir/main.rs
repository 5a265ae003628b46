//! Examples that others published, and Bundles, through the whole crate.

mod bundles;
mod examples;
mod hostile;
