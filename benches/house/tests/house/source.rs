//! The tracked files of the repository.

use std::path::Path;

pub(crate) struct File {
    /// Path from the repository's root, with a leading slash.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every file with one of these extensions, without build outputs and foreign packages.
pub(crate) fn files(extensions: &[&str]) -> Vec<File> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut found = Vec::new();
    visit(root, "", extensions, &mut found);
    assert!(found.len() > 3, "expected the repository's files below {root:?}");
    found
}

/// Whether a manifest belongs to a workspace of its own (or is the root's).
pub(crate) fn is_own_workspace(path: &str) -> bool {
    path == "/Cargo.toml" || path.starts_with("/benches/compare/")
}

fn visit(dir: &Path, prefix: &str, extensions: &[&str], found: &mut Vec<File>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).into_iter().flatten().flatten().collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}/{name}");
        let skipped = ["target", "node_modules", "out", "cache", ".git"];
        if entry.path().is_dir() {
            if !skipped.contains(&name.as_str()) {
                visit(&entry.path(), &path, extensions, found);
            }
        } else if extensions.iter().any(|e| name.ends_with(&format!(".{e}"))) {
            if let Ok(text) = std::fs::read_to_string(entry.path()) {
                found.push(File { path, text });
            }
        }
    }
}
