//! Where a running node is, for those who look for it in its folder.

use std::net::SocketAddr;

use files::Audience;
use serde::{Deserialize, Serialize};

use super::error::NodeError;
use crate::folder::layout::Layout;

/// Where a running node can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// QUIC.
    pub ingest: SocketAddr,
    /// HTTP: batch files, metrics, health.
    pub http: SocketAddr,
    /// The operator's page, where there is one.
    #[serde(default)]
    pub page: Option<SocketAddr>,
    /// JSON-RPC of the base chain, as it may be shown.
    pub rpc: String,
    /// What tells the deployment from every other.
    #[serde(default)]
    pub fingerprint: String,
}

pub(super) fn write_endpoints(layout: &Layout, endpoints: &Endpoints) -> Result<(), NodeError> {
    let text = serde_json::to_string_pretty(endpoints).expect("addresses and a URL are plain data");
    // The chain's address may hold a key.
    Ok(files::replace(&layout.endpoints(), &[text.as_bytes(), b"\n"], Audience::Owner)?)
}
