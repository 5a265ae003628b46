//! What the node alone decodes, with the samples that the fuzzer begins with and changed bytes of
//! them. The functions are those of `fuzz/node`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ::archive::{BatchEntry, Chain, FileEntry};
use model::with_causes;
use sequencer::doors::config::Config;
use sequencer::stages::ledger::Ledger;

#[path = "../hostile/tests/hostile/changes.rs"]
mod changes;
#[allow(unreachable_pub, reason = "it is a crate of its own, too")]
#[path = "../fuzz/node/src/lib.rs"]
mod targets;

use changes::{Seeded, change};

/// How often each sample is changed.
const CHANGES: u64 = 300;

/// A function of hostile bytes.
type Function = fn(&[u8]);

const TARGETS: [(&str, Function); 3] = [
    ("archive_manifest", targets::archive_manifest),
    ("config", targets::config),
    ("ledger_state", targets::ledger_state),
];

/// Bytes of the hash at the end of a manifest.
const HASH_BYTES: usize = 32;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/node")
}

fn samples(name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = fs::read_dir(root().join("corpus").join(name)).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn samples_of_the_nodes_decoders_and_changed_bytes_of_them_meet_only_refusals() {
    for (name, run) in TARGETS {
        run(&[]);
        for (path, bytes) in samples(name) {
            run(&bytes);
            for round in 0..CHANGES {
                let changed = change(bytes.clone(), &mut Seeded(round));
                let result = std::panic::catch_unwind(|| run(&changed));
                let text = String::from_utf8_lossy(&changed);
                assert!(result.is_ok(), "{name}, round {round} of {}: {text}", path.display());
            }
        }
    }
}

#[test]
fn samples_that_should_decode_do_and_no_error_shows_a_key() {
    let path = Path::new("sequencer.toml");
    let first = Ledger::new(targets::ledger_config()).freeze().to_bytes();
    let manifest = first_manifest();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join("corpus/archive_manifest/first"), &manifest).unwrap();
        fs::write(root().join("corpus/ledger_state/nothing"), &first).unwrap();
        fs::write(root().join("corpus/config/every-key"), Config::default().to_toml()).unwrap();
    }
    let read = |name: &str| {
        let bytes = fs::read(root().join("corpus/config").join(name)).unwrap();
        Config::parse(path, std::str::from_utf8(&bytes).unwrap())
    };
    assert_eq!(read("every-key").unwrap(), Config::default());
    read("a-few-keys").unwrap();
    for name in ["an-address-that-is-none", "a-line-that-is-cut"] {
        let said = with_causes(&read(name).unwrap_err());
        assert!(!said.contains(targets::SECRET), "{said}");
    }
    let state = fs::read(root().join("corpus/ledger_state/nothing")).unwrap();
    assert!(state == first, "a state moved; UPDATE=1 rewrites it");
    let found = fs::read(root().join("corpus/archive_manifest/first")).unwrap();
    assert!(found == manifest, "a manifest moved; UPDATE=1 rewrites it");
}

/// Of two files and a batch, without the hash at its end, which the function puts there.
fn first_manifest() -> Vec<u8> {
    let genesis = [3; 32];
    let file = |file: u64, hash_before: [u8; 32]| FileEntry {
        file,
        bytes: file << 20,
        digest: [7; 32],
        first_group: file * 10 - 9,
        last_group: file * 10,
        first_position: file * 100 - 99,
        last_position: file * 100,
        last_time: 3_976_214_400_000,
        hash_before,
        hash_after: [file as u8; 32],
    };
    let files = vec![file(1, genesis), file(2, [1; 32])];
    let batches = vec![BatchEntry { batch: 1, bytes: 700, digest: [8; 32] }];
    let mut chain = Chain::new(genesis);
    let mut bytes = chain.next(files, batches).to_bytes();
    chain.take(&bytes).unwrap();
    bytes.truncate(bytes.len() - HASH_BYTES);
    bytes
}

#[test]
fn every_function_of_the_node_has_a_program_and_a_corpus() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let program = fs::read_to_string(root().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("fuzz_node::{name}(bytes)")));
        assert!(manifest.contains(&format!("name = \"{name}\"")), "expected [[bin]] {name}");
        assert!(!samples(name).is_empty());
    }
    for (folder, expected) in [("fuzz_targets", TARGETS.len()), ("corpus", TARGETS.len())] {
        assert_eq!(fs::read_dir(root().join(folder)).unwrap().count(), expected, "{folder}");
    }
}
