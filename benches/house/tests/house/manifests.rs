//! Members take third-party versions and features from the workspace and add none.

use crate::source;

#[test]
fn members_add_no_versions_and_no_features() {
    let mut wrong = Vec::new();
    for manifest in source::files(&["toml"]) {
        if !manifest.path.ends_with("/Cargo.toml") || source::is_own_workspace(&manifest.path) {
            continue;
        }
        let mut in_dependencies = false;
        for (n, line) in manifest.text.lines().enumerate() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') && !line.ends_with(".workspace = true")
            {
                wrong.push(format!("{}:{}: {line}", manifest.path, n + 1));
            }
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected only `name.workspace = true`, found:\n{wrong}");
}
