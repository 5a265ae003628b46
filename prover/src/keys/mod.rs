//! Proving keys: what one is, and how a development key is made, and how all are stored
//! and found again.

mod dev;
mod file;
mod key;
mod multiples;
mod setup;
mod store;

pub use file::{KeyFileError, KeyHeader, Trust};
pub use key::{KeyError, Provenance, ProvingKey};
pub use setup::SetupError;
pub use store::{KeyStore, Listed, Setup, StoreError, UnknownSetup};
