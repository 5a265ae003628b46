//! Where everything of a node stands in its folder.

use std::path::{Path, PathBuf};

use super::secrets::{self, NodeSecret, Secret, SecretError};

/// A node's folder.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
}

macro_rules! places {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => {
        impl Layout {
            /// Every place that a program uses, below the folder.
            pub const PLACES: &[&str] = &[$($path),*];

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

    /// Reads one of the node's secrets.
    ///
    /// # Errors
    /// [`SecretError`]; one that is missing is never drawn.
    pub fn secret(&self, secret: NodeSecret) -> Result<Secret, SecretError> {
        secrets::open_of(&self.folder, secret)
    }

    /// Whether something depends on the secrets of this folder: a contract or a journal.
    ///
    /// # Errors
    /// What the system says of the folder.
    pub fn is_in_use(&self) -> std::io::Result<bool> {
        let journal = self.journal().try_exists()? || self.old_journal().try_exists()?;
        Ok(journal || self.deployment().try_exists()?)
    }

    /// Refuses the folder if others may open anything in it, but for what says nothing about a
    /// patient and is handed out: deployment and proving keys.
    ///
    /// # Errors
    /// [`files::TooOpen`] inside that names the file and the command that closes the folder.
    pub fn check_closed(&self) -> std::io::Result<()> {
        files::check_tree(&self.folder, &[self.deployment(), self.proving_keys()])
    }
}

places! {
    /// Configuration (TOML).
    config = "node.toml";
    /// Deployment file (JSON): chain, contract, keys.
    deployment = "deployment.json";
    /// Journal of the embedded chain.
    chain_journal = "chain.journal";
    /// Folder of the log: frames, operations, requests, refusals, closes.
    journal = "journal";
    /// The log of the version before, in one file: see `folder::old_journal`.
    old_journal = "journal.log";
    /// States of the ledger and the index of stored frames, made again from the journal if they are
    /// gone: see `folder::snapshots`.
    snapshots = "snapshots";
    /// Where archived files are kept while they are read; nothing in it has a name for long.
    archived = "archived";
    /// The last manifest of the archive: see `folder::archive_mark`.
    archive_mark = "archive.mark";
    /// How far the journal was, beside it: see `folder::witness`.
    witness = "head.witness";
    /// What the node believes of the machine's clocks: see `folder::believed`.
    believed = "clock.witness";
    /// What operators told the running node to do: see `folder::operator_log`.
    operator_log = "operator.log";
    /// Who read AuditEvents of whom, as lines of `folder::operator_log`.
    audit_reads = "audit-reads.log";
    /// Who is told that somebody read: see `folder::subscriptions`.
    subscriptions = "subscriptions.json";
    /// Requests to erase that wait for the operator: see `folder::erasure_requests`.
    erasure_requests = "erasures.waiting";
    /// Says that settling is paused: see `folder::paused`.
    paused = "paused.json";
    /// Says that the folder was restored from a backup: see `folder::backup`.
    restored = "restored.mark";
    /// Receipts that holders showed and the journal lacks.
    evidence = "evidence";
    /// Makes the resets by which connections of an earlier run end; secret.
    quic_key = "keys/quic.key";
    /// Keys of frame bodies, unless `[keys] folder` names another place: see `folder::body_keys`.
    body_keys = "body-keys";
    /// What is known of those keys without holding one, beside the journal.
    body_ledger = "body-keys.json";
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
