//! Sealed files of the journal and public batch files in an object store: a local folder, or
//! whatever speaks S3.
//!
//! ```text
//!   journal/<blake3>.log    a sealed file, byte by byte
//!   batches/<blake3>.bin    the public file of a settled batch
//!   manifests/00000001 ..   what was archived, in order; each names the hash of the one before
//! ```
//! * [`Objects`] puts, reads and confirms objects; a name is given once.
//! * [`Manifest`] and [`Chain`] say what is there, without IO.
//! * [`Archiver`] brings files there and writes the manifest that names them.
//! * [`Fetcher`] reads archived files for a [`journal::Reader`], and public batch files, from a
//!   bounded cache.
//! * [`verify`] holds every object against its hash.
//!
//! Nothing here decides that a file may leave the node's folder: whoever does asks
//! [`Archiver::confirm`] first, and [`journal::Reader::put_away`] does it. Formats and what an
//! archive is worth stand in `docs/archive.md` of the node.

mod archiver;
mod cache;
mod chain;
mod error;
mod fetch;
mod fetched;
mod manifest;
mod objects;
mod place;
mod verify;

pub use archiver::{Archiver, Beginning, PublicFile, Pushed};
pub use cache::{CacheLimits, Room};
pub use chain::{Chain, Known};
pub use error::{ArchiveError, ObjectError};
pub use fetch::{Brought, Fetcher, NotFetched};
pub use manifest::{BatchEntry, FileEntry, Manifest, ManifestError};
pub use objects::{Digest, ObjectName, Objects, Put};
pub use place::{Access, Place, PlaceError};
pub use verify::{Expected, Finding, Verified, verify};
