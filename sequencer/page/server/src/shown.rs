//! What a page shows, where it comes from, and why it is not served.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use l1_contracts::{HttpClientError, HttpUrl};
use model::BatchNumber;
use page::Trust;
use thiserror::Error;

use crate::desk::Desk;
use crate::reach::Reach;

/// What a page shows.
pub struct Shown {
    /// Who serves it.
    pub trust: Trust,
    /// The deployment file, as JSON.
    pub deployment: Vec<u8>,
    /// Nodes of the base chain, 1 to [`CHAINS_MAX`]: with two the page compares what they say.
    pub chains: Vec<HttpUrl>,
    /// Where batch files come from.
    pub files: Box<dyn Files>,
    /// The operator's desk; a node alone has one.
    pub desk: Option<Arc<dyn Desk>>,
}

/// Most nodes of the base chain behind one page.
pub const CHAINS_MAX: usize = 4;

/// Files that are in memory at once, of up to 64 MiB each, and as many answers of the chain, of up
/// to 16 MiB of text, which takes several times as much while it is read.
pub const ANSWERS_MAX: usize = 4;

/// Where batch files come from. Nothing it gives is believed by the page.
pub trait Files: Send + Sync {
    /// How far batches are.
    fn reach(&self) -> Found<'_, Reach>;
    /// The public file of a batch; `None` if there is none of that number.
    fn public_file(&self, number: BatchNumber) -> Found<'_, Option<Vec<u8>>>;
}

/// An answer that takes a while, or why there is none, in words for whoever looks at the page.
pub type Found<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Why a page is not served.
#[derive(Debug, Error)]
pub enum PageError {
    /// The address cannot be bound.
    #[error("expected {address} to be free for the page")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// It would be open to the network.
    #[error("expected a loopback address for the page, found {0}: put a proxy before it")]
    Open(SocketAddr),
    /// No node of the base chain, or too many.
    #[error("expected 1 to {CHAINS_MAX} nodes of the base chain, found {0}")]
    Chains(usize),
    /// The deployment file is no JSON.
    #[error("expected the deployment file as JSON")]
    Deployment(#[source] serde_json::Error),
    /// It names no contract.
    #[error("expected the deployment file to name its contract as `settlement`")]
    Contract,
    /// No node can be asked.
    #[error("a node of the base chain cannot be asked")]
    Client(#[from] HttpClientError),
}
