//! Keys: the same everywhere, and refused when anything about their file is off.

use std::fs;
use std::path::PathBuf;

use prover::keys::{KeyFileError, KeyHeader, StoreError, Trust};
use prover::{KeyStore, Provenance, ProvingKey, Setup};
use tempfile::TempDir;

use crate::sample::ladder;

struct Written {
    _folder: TempDir,
    path: PathBuf,
    key: ProvingKey,
    hash: [u8; 32],
}

fn written() -> Written {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    let key = ProvingKey::dev_insecure(&ladder(30, 5).0).expect("small");
    let hash = key.write(&path).expect("writable");
    Written { _folder: folder, path, key, hash }
}

impl Written {
    fn read(&self, trust: Trust) -> Result<ProvingKey, KeyFileError> {
        ProvingKey::read(&self.path, &self.key.circuit_hash(), trust)
    }

    /// Changes the file, and its own hash too if `rehash`.
    fn edit(&self, rehash: bool, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(&self.path).expect("readable");
        change(&mut bytes);
        if rehash {
            let hash = blake3::Hasher::new().update(&bytes[..160]).update(&bytes[192..]).finalize();
            bytes[160..192].copy_from_slice(hash.as_bytes());
        }
        fs::write(&self.path, bytes).expect("writable");
    }
}

#[test]
fn a_development_key_is_the_same_every_time_and_says_what_it_is() {
    let (r1cs, _) = ladder(30, 5);
    let one = ProvingKey::dev_insecure(&r1cs).expect("small");
    let two = ProvingKey::dev_insecure(&r1cs).expect("small");
    assert!(one.to_ark() == two.to_ark());
    assert_eq!(one.provenance(), Provenance::DevInsecure);
    assert!(one.verifying_key().is_dev_insecure());
    let other = ProvingKey::dev_insecure(&ladder(31, 5).0).expect("small");
    let (one, other) = (one.verifying_key(), other.verifying_key());
    assert_eq!(one.key_words()[..10], other.key_words()[..10], "alpha, beta, gamma are shared");
    assert_ne!(one.id(), other.id());
}

#[test]
fn a_key_file_gives_the_key_back() {
    let file = written();
    for trust in [Trust::Nothing, Trust::Pinned(file.hash)] {
        let read = file.read(trust).expect("untouched");
        assert!(read.to_ark() == file.key.to_ark());
        assert_eq!(read.circuit_hash(), file.key.circuit_hash());
    }
    let header = KeyHeader::read(&file.path).expect("untouched");
    assert_eq!(header.file_hash, file.hash);
    assert_eq!(header.key_id, file.key.verifying_key().id());
    let bytes = fs::metadata(&file.path).expect("there").len();
    assert_eq!(header.file_bytes(), Some(bytes as usize));
}

#[test]
fn one_flipped_bit_anywhere_is_refused() {
    let file = written();
    let bytes = fs::read(&file.path).expect("readable");
    for at in (0..bytes.len()).step_by(61) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&file.path, flipped).expect("writable");
        assert!(file.read(Trust::Nothing).is_err(), "byte {at}");
        assert!(file.read(Trust::Pinned(file.hash)).is_err(), "byte {at}, pinned");
    }
}

#[test]
fn a_changed_file_with_a_hash_to_match_fails_the_pin_or_the_point_checks() {
    let file = written();
    file.edit(true, |bytes| *bytes.last_mut().expect("not empty") ^= 1);
    let pinned = file.read(Trust::Pinned(file.hash)).err();
    assert!(matches!(pinned, Some(KeyFileError::Hash { expected, .. }) if expected == file.hash));
    let checked = file.read(Trust::Nothing).err();
    assert!(matches!(checked, Some(KeyFileError::Point { section: "H" })), "{checked:?}");
}

#[test]
fn a_short_or_long_file_is_refused() {
    let file = written();
    let bytes = fs::read(&file.path).expect("readable");
    for len in [0, 100, 191, 192, bytes.len() - 1] {
        fs::write(&file.path, &bytes[..len]).expect("writable");
        let refused = file.read(Trust::Nothing).err();
        assert!(matches!(refused, Some(KeyFileError::Length { .. })), "{len}: {refused:?}");
    }
    fs::write(&file.path, [bytes.as_slice(), &[0]].concat()).expect("writable");
    assert!(matches!(file.read(Trust::Nothing), Err(KeyFileError::Length { .. })));
}

#[test]
fn a_header_of_another_kind_is_refused() {
    type Refusal = fn(&KeyFileError) -> bool;
    let cases: [(usize, u8, Refusal); 7] = [
        (0, b'V', |error| matches!(error, KeyFileError::Magic)),
        (8, 2, |error| matches!(error, KeyFileError::Version { version: 2, .. })),
        (12, 0, |error| matches!(error, KeyFileError::Version { reduction: 0, .. })),
        (16, 3, |error| matches!(error, KeyFileError::Provenance { found: 3 })),
        (16, 2, |error| matches!(error, KeyFileError::Key(_))),
        (63, 1, |error| matches!(error, KeyFileError::Reserved)),
        (128, 0xff, |error| matches!(error, KeyFileError::KeyId { .. })),
    ];
    for (at, value, expected) in cases {
        let file = written();
        file.edit(true, |bytes| bytes[at] = value);
        let refused = file.read(Trust::Nothing).expect_err("changed");
        assert!(expected(&refused), "byte {at}: {refused:?}");
    }
}

#[test]
fn the_key_of_another_circuit_is_refused() {
    let file = written();
    let (other, _) = ladder(31, 5);
    let refused = ProvingKey::read(&file.path, &other.hash(), Trust::Nothing).err();
    assert!(matches!(refused, Some(KeyFileError::Circuit { .. })));
}

#[test]
fn a_store_makes_a_key_once_and_finds_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = KeyStore::new(folder.path().join("keys"));
    let (r1cs, _) = ladder(30, 5);
    let made = store.open_or_make(&r1cs).expect("made");
    let path = store.path(Setup::DevInsecure, &r1cs.hash());
    assert!(path.to_string_lossy().contains("dev-insecure"));
    let before = fs::metadata(&path).and_then(|file| file.modified()).expect("there");
    let found = store.open_or_make(&r1cs).expect("found");
    let after = fs::metadata(&path).and_then(|file| file.modified()).expect("there");
    assert_eq!(before, after);
    assert!(made.to_ark() == found.to_ark());
}

#[test]
fn a_store_checks_a_key_without_a_pin_and_refuses_one_that_was_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = KeyStore::new(folder.path());
    let (r1cs, _) = ladder(30, 5);
    store.open_or_make(&r1cs).expect("made");
    let path = store.path(Setup::DevInsecure, &r1cs.hash());
    let pin = PathBuf::from(format!("{}.blake3", path.display()));
    fs::remove_file(&pin).expect("there");
    store.open_or_make(&r1cs).expect("checked");
    assert!(pin.exists(), "pinned again after the check");
    fs::write(&pin, "no hash").expect("writable");
    assert!(matches!(store.open_or_make(&r1cs), Err(StoreError::Pin { .. })));
    fs::remove_file(&pin).expect("there");
    let mut bytes = fs::read(&path).expect("readable");
    bytes[5000] ^= 1;
    fs::write(&path, &bytes).expect("writable");
    let refused = store.open_or_make(&r1cs);
    let source = match refused {
        Err(StoreError::Refused { path: named, source }) if named == path => source,
        other => panic!("expected a refusal of {}, found {other:?}", path.display()),
    };
    assert!(matches!(*source, KeyFileError::Hash { .. }), "{source:?}");
    assert_eq!(fs::read(&path).expect("readable"), bytes, "left for inspection");
}

#[test]
fn many_who_ask_at_once_get_one_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = KeyStore::new(folder.path());
    let (r1cs, _) = ladder(30, 5);
    let ask = || store.open_or_make(&r1cs).expect("made or found").verifying_key().id();
    let ids: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    let left = fs::read_dir(folder.path()).expect("there").count();
    assert_eq!(left, 3, "key, pin and lock; no temporary file");
}
