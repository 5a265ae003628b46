//! Where everything of a node stands in its folder.

use std::path::{Path, PathBuf};

/// A node's folder.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
}

macro_rules! places {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => {
        impl Layout {
            $($(#[$doc])* pub fn $name(&self) -> PathBuf { self.folder.join($path) })*
        }
    };
}

impl Layout {
    /// The layout of `folder`, which need not exist.
    pub fn new(folder: &Path) -> Layout {
        Layout { folder: folder.to_path_buf() }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

places! {
    /// Configuration (TOML).
    config = "node.toml";
    /// Deployment file (JSON): chain, contract, keys.
    deployment = "deployment.json";
    /// Journal of the embedded chain.
    chain_journal = "chain.journal";
    /// The log: frames, operations, requests, refusals, closes.
    journal = "journal.log";
    /// 16 bytes that seed the log's checksums; secret.
    journal_id = "keys/journal-id.key";
    /// Signs settling transactions; secret.
    settlement_key = "keys/settlement.key";
    /// Signs receipts; secret.
    receipt_key = "keys/receipt.key";
    /// Makes the resets by which connections of an earlier run end; secret.
    quic_key = "keys/quic.key";
    /// Blinds edges between chunks; secret.
    edge_key = "keys/edge.key";
    /// Certificate authority: certificate and key.
    authority = "authority";
    /// The node's own certificate and key.
    server = "server";
    /// Batches and outbox.
    store = "store";
    /// Development proving keys.
    proving_keys = "proving-keys";
    /// Owner-only socket of the registry commands.
    admin_socket = "admin.sock";
    /// Where the running node can be reached (JSON), for `sequencer status`.
    endpoints = "endpoints.json";
}
