//! Every sample through its function, as it is and with some of its bytes another.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hostile::{TARGETS, Target};

use crate::changes::{Seeded, change};

/// How often each sample is changed.
const CHANGES: usize = 60;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The samples of a function, by name.
fn samples(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = root().join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|_| panic!("expected {folder:?}"));
    let paths: BTreeSet<_> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("read"))).collect()
}

/// Runs the function; whatever it panics with, the sample is named before.
fn run(target: &Target, bytes: &[u8], what: &str) {
    let result = std::panic::catch_unwind(|| (target.run)(bytes));
    assert!(result.is_ok(), "{} panics on {what}: {}", target.name, hex::encode(bytes));
}

#[test]
fn every_sample_of_the_corpus_is_replayed() {
    for target in TARGETS {
        run(target, &[], "nothing");
        for (path, bytes) in samples(target) {
            run(target, &bytes, &path.display().to_string());
        }
    }
}

#[test]
fn changed_samples_meet_only_refusals() {
    for target in TARGETS {
        for (path, bytes) in samples(target).into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
            let mut random = Seeded(bytes.len() as u64);
            for round in 0..CHANGES {
                let changed = change(bytes.clone(), &mut random);
                run(target, &changed, &format!("round {round} of {}", path.display()));
            }
        }
    }
}

#[test]
fn every_function_has_a_program_and_every_program_a_function() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "each once");
    let fuzz = root().join("../fuzz");
    let programs = fs::read_dir(fuzz.join("fuzz_targets")).expect("the programs");
    let programs = programs.map(|entry| entry.expect("listed").path());
    let programs: BTreeSet<_> = programs
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, programs, "of fuzz_targets/");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    for name in &names {
        let program = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs")));
        let calls = format!("hostile::{name}(bytes)");
        assert!(program.expect("a program").contains(&calls), "expected {calls} in {name}.rs");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "expected [[bin]] {name}");
    }
}

#[test]
fn the_corpus_is_of_functions_that_there_are_and_is_small() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let folders = fs::read_dir(root().join("corpus")).expect("a corpus");
    let folders = folders.map(|entry| entry.expect("listed").file_name());
    let folders: BTreeSet<_> = folders.map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(names, folders);
    let sizes = TARGETS.iter().flat_map(samples).map(|(_, bytes)| bytes.len());
    // Whatever the fuzzer finds besides stays on the machine that it ran on.
    assert!(sizes.clone().sum::<usize>() <= 512 << 10, "at most 512 KiB in all");
    assert!(sizes.max() <= Some(16 << 10), "at most 16 KiB each");
}
