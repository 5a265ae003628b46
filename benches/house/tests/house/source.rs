//! The files of the repository.

use std::path::Path;

use crate::cargo::ROOT;

pub(crate) struct File {
    /// Path from the repository's root, with a leading slash.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Build outputs, foreign packages and what version control keeps for itself.
const SKIPPED: &[&str] = &["target", "node_modules", "out", "cache", ".git"];

/// Programs without an extension.
const SCRIPTS: &[&str] = &["run", "deny", "build", "check", "forge", "solc", "snarkjs-check"];

/// Every file with one of these extensions; `sh` stands for scripts without one, too.
pub(crate) fn files(extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    visit(Path::new(ROOT), "", extensions, &mut found);
    assert!(found.len() > 3, "expected the repository's files below {ROOT}");
    found
}

fn visit(dir: &Path, prefix: &str, extensions: &[&str], found: &mut Vec<File>) {
    let entries = std::fs::read_dir(dir).expect("a folder that can be read");
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("an entry")).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}/{name}");
        if entry.path().is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                visit(&entry.path(), &path, extensions, found);
            }
        } else if is_one_of(&name, extensions) {
            let text = std::fs::read_to_string(entry.path()).expect("a text in UTF-8");
            found.push(File { path, text });
        }
    }
}

fn is_one_of(name: &str, extensions: &[&str]) -> bool {
    let script = extensions.contains(&"sh") && SCRIPTS.contains(&name);
    script || name.rsplit_once('.').is_some_and(|(_, own)| extensions.contains(&own))
}
