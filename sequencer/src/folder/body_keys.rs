//! The key folder of a node: where the keys of frame bodies stand, apart from the journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bodies::{BodyKeys, KeyFolder, KeyStoreError, Places};

use super::layout::Layout;

/// Where the key folder is: below the node's folder, unless the configuration names another place.
pub fn path(layout: &Layout, folder: &Path) -> PathBuf {
    layout.folder().join(folder)
}

/// Both places, the key folder locked.
///
/// # Errors
/// [`KeyStoreError::Locked`] while a node runs there.
pub fn places(layout: &Layout, folder: &Path) -> Result<Places, KeyStoreError> {
    let path = path(layout, folder);
    let locked = KeyFolder::lock(&path).map_err(|source| KeyStoreError::Medium {
        name: path.display().to_string(),
        action: "opened",
        source,
    })?;
    let keys = Arc::new(locked.ok_or(KeyStoreError::Locked)?);
    Ok(Places { keys, beside: Arc::new(KeyFolder::beside(layout.folder())) })
}

/// Opens the key folder, or makes it for a node that never sealed anything.
///
/// # Errors
/// [`KeyStoreError`]; keys that are lost are named, and never drawn anew.
pub fn open(layout: &Layout, folder: &Path, epoch_ms: u64) -> Result<BodyKeys, KeyStoreError> {
    BodyKeys::open(places(layout, folder)?, epoch_ms)
}

/// The keys of a node that does not run, for whoever looks at its journal: none where there are
/// none, or where a node runs. Nothing is made or changed, also not what a start would finish.
pub fn of_stopped(layout: &Layout, folder: &Path) -> Option<BodyKeys> {
    let keys = Arc::new(KeyFolder::look(&path(layout, folder)).ok()??);
    let beside = Arc::new(KeyFolder::beside(layout.folder()));
    BodyKeys::look(Places { keys, beside }).ok()
}
