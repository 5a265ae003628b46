//! Members take third-party versions and features from the workspace, add none and declare nothing
//! in vain.

use std::collections::BTreeSet;

use toml::Table;

use crate::cargo::{self, Member, ROOT};
use crate::code;
use crate::source;

/// The three tables of dependencies in a manifest.
const TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Crates that are declared for their features alone, so that programs and tests share one build.
const FEATURES_ONLY: &[&str] = &["either", "zerocopy"];

/// Fewest characters of a crate's page: a line of summary and some that say what it keeps.
const DOCS_MIN: usize = 200;

#[test]
fn members_add_no_versions_and_no_features() {
    let mut wrong = Vec::new();
    for member in cargo::members() {
        let manifest = manifest(&member.folder);
        for (name, value) in TABLES.iter().flat_map(|table| entries(&manifest, table)) {
            let found = value.as_table().expect("a dependency's table");
            if found.len() != 1 || found.get("workspace") != Some(&true.into()) {
                wrong.push(format!("{}: {name} = {value}", member.folder));
            }
        }
        if manifest.contains_key("target") || manifest.contains_key("features") {
            wrong.push(format!("{}: a target's dependencies, or a feature", member.folder));
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected only `name.workspace = true`, found:\n{wrong}");
}

#[test]
fn members_take_lints_and_package_keys_from_the_workspace() {
    let shared: Table = "workspace = true".parse().expect("TOML");
    for member in cargo::members() {
        let manifest = manifest(&member.folder);
        let found = manifest.get("lints").and_then(|lints| lints.as_table());
        let expected = if member.name == "kernel" { &kernel_lints() } else { &shared };
        assert_eq!(found, Some(expected), "[lints] of {}", member.folder);
        let package = manifest["package"].as_table().expect("a package");
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            let found = package.get(key).and_then(|value| value.as_table());
            assert_eq!(found, Some(&shared), "{key} of {}", member.folder);
        }
        assert!(package.contains_key("description"), "{} has no description", member.folder);
    }
}

/// The workspace's, but for the one crate that may write `unsafe`: there each use says why it is
/// sound.
fn kernel_lints() -> Table {
    let mut lints = manifest("")["workspace"]["lints"].as_table().expect("a table").clone();
    let rust = lints["rust"].as_table_mut().expect("a table");
    rust.remove("unsafe_code").expect("forbidden elsewhere");
    rust.insert("unsafe_op_in_unsafe_fn".into(), "deny".into());
    let clippy = lints["clippy"].as_table_mut().expect("a table");
    clippy.insert("undocumented_unsafe_blocks".into(), "deny".into());
    lints
}

#[test]
fn third_party_crates_of_the_workspace_are_used_by_some_member() {
    let root = manifest("");
    let workspace = root["workspace"].as_table().expect("a workspace");
    let mut unused: BTreeSet<&str> = entries(workspace, "dependencies")
        .filter(|(_, value)| value.get("path").is_none())
        .map(|(name, _)| name)
        .collect();
    let members = cargo::members();
    for (name, _) in members.iter().flat_map(|member| &member.dependencies) {
        unused.remove(name.as_str());
    }
    assert!(unused.is_empty(), "expected no version that nobody uses, found {unused:?}");
}

#[test]
fn members_declare_no_crate_that_they_do_not_name() {
    let members = cargo::members();
    let sources = source::files(&["rs"]);
    let mut wrong = Vec::new();
    for member in &members {
        let own = sources.iter().filter(|file| is_owner(&members, member, &file.path));
        let code: String = own.map(|file| code_and_examples(&file.text)).collect();
        let words: BTreeSet<_> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for (name, _) in &member.dependencies {
            let named = words.contains(name.replace('-', "_").as_str());
            if !named && !FEATURES_ONLY.contains(&name.as_str()) {
                wrong.push(format!("{}: {name}", member.folder));
            }
        }
    }
    let wrong = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "expected every declared crate in the source, found none of:\n{wrong}"
    );
}

#[test]
fn every_member_says_what_it_is() {
    let mut wrong = Vec::new();
    for member in cargo::members() {
        let readme = format!("{ROOT}{}/README.md", member.folder);
        let readme = std::fs::read_to_string(readme).unwrap_or_default();
        let roots = member.targets.iter().filter(|(kind, _)| kind == "lib" || kind == "bin");
        let longest = roots.map(|(_, path)| docs(path)).chain([readme.len()]).max();
        if longest < Some(DOCS_MIN) {
            wrong.push(format!("{}: {longest:?} characters", member.folder));
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected a README or crate docs of {DOCS_MIN} characters:\n{wrong}");
}

/// Programs that `cargo test` builds by their name only.
const BY_COMMAND: [&str; 1] = ["/circuits/tests/mutants/main.rs"];

#[test]
fn integration_tests_of_a_crate_are_one_program() {
    for member in cargo::members() {
        let by_command = |path: &str| BY_COMMAND.iter().any(|own| path.ends_with(own));
        let tests =
            member.targets.iter().filter(|(kind, path)| kind == "test" && !by_command(path));
        let tests: Vec<_> = tests.collect();
        assert!(tests.len() <= 1, "{}: expected one integration test: {tests:?}", member.folder);
    }
}

/// Names and values of a manifest's table, if it is there.
fn entries<'a>(
    manifest: &'a Table,
    table: &str,
) -> impl Iterator<Item = (&'a str, &'a toml::Value)> {
    let found = manifest.get(table).and_then(|found| found.as_table());
    found.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn manifest(folder: &str) -> Table {
    let path = format!("{ROOT}{folder}/Cargo.toml");
    std::fs::read_to_string(path).expect("a manifest").parse().expect("TOML")
}

/// Whether the file is below this member's folder and below no deeper member's.
fn is_owner(members: &[Member], member: &Member, path: &str) -> bool {
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let deepest = members.iter().filter(|other| below(&other.folder));
    deepest.max_by_key(|other| other.folder.len()).is_some_and(|owner| owner.name == member.name)
}

/// Code, and the lines of doc comments, whose examples may be all that needs a crate.
fn code_and_examples(text: &str) -> String {
    let docs = text.lines().filter(|line| line.trim_start().starts_with("//! "));
    code::blanked(text) + &docs.collect::<Vec<_>>().join("\n")
}

/// Characters of the crate docs that a root file begins with.
fn docs(path: &str) -> usize {
    let text = std::fs::read_to_string(path).expect("a target's root file");
    text.lines().take_while(|line| line.starts_with("//!")).map(|line| line.len() + 1).sum()
}
