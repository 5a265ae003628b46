//! What cargo says of this workspace, without the network.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The repository's root.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A member of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Folder from the repository's root, with a leading slash.
    pub(crate) folder: String,
    /// Declared dependencies by name, and whether only tests and benches see them.
    pub(crate) dependencies: Vec<(String, bool)>,
    /// Kind and root file of each target.
    pub(crate) targets: Vec<(String, String)>,
}

/// The members in cargo's order. Only manifests are read, so that no crate has to be there.
pub(crate) fn members() -> Vec<Member> {
    let text = run(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).expect("JSON of cargo metadata");
    let root = Path::new(ROOT).canonicalize().expect("the repository's root");
    let root = root.to_str().expect("a path in UTF-8");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages.iter().map(|package| member(package, root)).collect()
}

fn member(package: &Value, root: &str) -> Member {
    let text = |value: &Value| value.as_str().expect("a string of cargo metadata").to_owned();
    let list = |value: &Value| value.as_array().expect("a list of cargo metadata").clone();
    let manifest = text(&package["manifest_path"]);
    let folder = manifest.strip_prefix(root).expect("a manifest below the root");
    Member {
        name: text(&package["name"]),
        folder: folder.strip_suffix("/Cargo.toml").expect("a manifest").to_owned(),
        dependencies: list(&package["dependencies"])
            .iter()
            .map(|used| (text(&used["name"]), used["kind"] == "dev"))
            .collect(),
        targets: list(&package["targets"])
            .iter()
            // What `cargo test` leaves out is a program that is run by command only.
            .filter(|target| target["kind"][0] != "test" || target["test"] == true)
            .map(|target| (text(&target["kind"][0]), text(&target["src_path"])))
            .collect(),
    }
}

/// Lines of `cargo tree` with these arguments, without drawing and without repeats.
pub(crate) fn tree(args: &[&str]) -> Vec<String> {
    let text = run(&[&["tree", "--offline", "--locked", "--prefix", "none"], args].concat());
    let lines = text.lines().map(|line| line.trim_end_matches(" (*)"));
    let mut lines: Vec<_> = lines.filter(|l| !l.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

fn run(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(ROOT).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8 from cargo")
}
