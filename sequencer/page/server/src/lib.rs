//! Serves the page that verifies batches, and what it asks for.
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /` and the page's files | the crate `page`, with its headers and an ETag |
//! | `GET /page.json` | who serves it, and so what it may say |
//! | `GET /deployment.json` | the deployment file |
//! | `GET /batches` | JSON: numbers of the last assembled and settled batch, what is under way |
//! | `GET /batches/{n}` | the public file |
//! | `POST /chain/{k}` | one JSON-RPC question that reads, of the k-th node of the chain |
//! | `/desk`, `/desk/session` | the operator's [`Desk`] of a node, for whoever is let in |
//!
//! The page asks nobody but this server, so that no other host has to allow it (CORS) and none
//! learns who looks. It has no state and writes nothing. HTTP/1.1 without TLS, for loopback: a
//! [verifier's](Trust::Verifier) page and a [wallet's](Trust::Wallet) answer to no other host name,
//! or a site that has its name point to this machine could read them in its visitor's browser.

mod answer;
pub mod base64;
mod chain;
mod desk;
mod reach;
mod reply;
mod saved;
mod serve;
mod shown;
#[cfg(test)]
mod tests;

pub use chain::READS;
pub use desk::{Admitted, Closed, Desk};
pub use page::Trust;
pub use reach::{BatchState, Proofs, Reach, UNDER_WAY_MAX, UnderWay};
pub use saved::{FILES_BYTES_MAX, SaveError, Saving, saved_page};
pub use serve::PageServer;
pub use shown::{ANSWERS_MAX, CHAINS_MAX, Files, Found, PageError, Shown};
