//! Files that are there whole or not at all.

use std::path::Path;

use files::Audience;

use super::error::KeyFileError;

/// Writes `parts` to `path`, whole or not at all. Keys of circuits are everybody's.
pub(crate) fn write_whole(path: &Path, parts: &[&[u8]]) -> Result<(), KeyFileError> {
    files::replace(path, parts, Audience::Public).map_err(|source| KeyFileError::io(path, source))
}
