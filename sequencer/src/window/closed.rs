//! A closed window and the batch files made of it.

use std::sync::Arc;

use statement::batch::{PrivateFile, PublicFile};

use super::WindowContents;

/// A window whose close is durable.
#[derive(Clone, Debug)]
pub struct ClosedWindow {
    /// What happened in it.
    pub contents: Arc<WindowContents>,
    /// The journal group that holds the close.
    pub group: u64,
    /// Journal hash after that group.
    pub journal_hash: [u8; 32],
}

/// What is stored, served and settled.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Everything an auditor needs besides the chain; holds the header.
    pub public: PublicFile,
    /// Each patient's opening, sealed.
    pub private: PrivateFile,
}
