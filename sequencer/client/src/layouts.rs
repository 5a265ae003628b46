//! Which lists the batches of a deployment have: the keys that its deployment file names.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use statement::batch::{Layout, Layouts};
use thiserror::Error;

/// Largest deployment file that is read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A deployment file that does not say what its batches look like.
#[derive(Debug, Error)]
pub enum LayoutsError {
    /// The file cannot be read.
    #[error("expected the readable file {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not a list of keys with shape and id.
    #[error(
        "expected the verifying keys of the deployment (`keys`, each with `shape` and `id`) in \
         deployment.json: ask the operator for the file anew"
    )]
    Format(#[from] serde_json::Error),
    /// A shape of another release.
    #[error("expected the shape of a key to be one that this release knows, found another")]
    Shape,
    /// An id that is no hash.
    #[error("expected 32 bytes in hex as id of a key")]
    Id,
    /// No key of some circuit.
    #[error("expected a key of each circuit in deployment.json, found none of one")]
    Missing,
}

#[derive(Deserialize)]
struct File {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    shape: String,
    id: String,
}

/// Reads `deployment.json` of an identity's folder.
///
/// Who writes that file could hide claims by it, as could who writes any of it: chain, contract and
/// keys are one deployment.
///
/// # Errors
/// [`LayoutsError`] that says what the file lacks.
pub fn read_layouts(folder: &Path) -> Result<Layouts, LayoutsError> {
    let path = folder.join("deployment.json");
    let bytes = files::read(&path, FILE_BYTES_MAX, files::Audience::Public);
    layouts_from_json(&bytes.map_err(|source| LayoutsError::File { path, source })?)
}

/// From a deployment file's content.
///
/// # Errors
/// As [`read_layouts`].
pub fn layouts_from_json(json: &[u8]) -> Result<Layouts, LayoutsError> {
    let file: File = serde_json::from_slice(json)?;
    let read = |key: &Key| {
        let mut id = [0; 32];
        let digits = key.id.strip_prefix("0x").unwrap_or(&key.id);
        hex::decode_to_slice(digits, &mut id).map_err(|_| LayoutsError::Id)?;
        Ok((id, Layout::of_shape(&key.shape).ok_or(LayoutsError::Shape)?))
    };
    let layouts = file.keys.iter().map(read).collect::<Result<Layouts, LayoutsError>>()?;
    if layouts.are_complete() { Ok(layouts) } else { Err(LayoutsError::Missing) }
}

#[cfg(test)]
mod tests {
    use statement::scope::Circuit;

    use super::*;

    fn read(keys: &str) -> Result<Layouts, LayoutsError> {
        layouts_from_json(format!(r#"{{"chain_id":5,"keys":[{keys}]}}"#).as_bytes())
    }

    fn key(shape: &str, byte: &str) -> String {
        format!(r#"{{"shape":"{shape}","circuit":1,"id":"0x{}"}}"#, byte.repeat(32))
    }

    #[test]
    fn keys_say_how_long_lists_are() {
        let both = [key("c1-17", "01"), key("c2-17", "02")].join(",");
        let layouts = read(&both).unwrap();
        let leaves = |id, circuit| layouts.of_key(&[id; 32], circuit).map(Layout::leaves);
        assert_eq!(leaves(1, Circuit::C1), Some(8));
        assert_eq!(leaves(2, Circuit::C2), Some(60));
        assert_eq!(leaves(2, Circuit::C1), None, "a key is of one circuit");
        assert_eq!(leaves(3, Circuit::C1), None);
    }

    #[test]
    fn what_a_file_lacks_is_named() {
        assert!(matches!(layouts_from_json(b"{}"), Err(LayoutsError::Format(_))));
        assert!(matches!(read(&key("c1-17", "01")), Err(LayoutsError::Missing)));
        assert!(matches!(read(&key("c9-17", "01")), Err(LayoutsError::Shape)));
        assert!(matches!(read(&key("c1-17", "x")), Err(LayoutsError::Id)));
    }
}
