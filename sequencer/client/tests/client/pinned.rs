//! Files that are made of what the programs read, so that the two cannot differ. Tests of other
//! crates take this file, too.

use std::path::Path;

/// Compares a committed file of this crate with what it should say, or has it say so (`UPDATE=1`).
#[track_caller]
pub(crate) fn check(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} differs; run with UPDATE=1", path.display());
}
