//! Where an audit reads.

use l1_contracts::{Deployment, HttpUrl};

use crate::source::Source;

/// Chain, contract and batch files: everything that an audit reads.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// JSON-RPC address of a node of the base chain, plain HTTP.
    pub rpc: &'a HttpUrl,
    /// Which contract is audited. Take it from where you trust it.
    pub deployment: &'a Deployment,
    /// Where batch files come from. Nothing it delivers is believed.
    pub data: &'a Source,
}
