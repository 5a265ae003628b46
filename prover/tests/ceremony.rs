//! Keys of a ceremony in a store: kept once checked, never made, never mixed.

use std::fs;

use ark_bn254::{Bn254, Fr, G1Projective, G2Projective};
use ark_ec::PrimeGroup;
use ark_ff::Field;
use ark_groth16::Groth16;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use circuits::builder::R1cs;
use prover::arkworks::Replay;
use prover::keys::{KeyFileError, StoreError};
use prover::qap::CircomReduction;
use prover::{KeyStore, Provenance, ProvingKey, Setup};

use crate::cli::run;
use crate::sample::ladder;

/// A key of the first phase with this alpha, after a contribution of this delta.
fn key(r1cs: &R1cs, alpha: u64, delta: u64) -> ProvingKey {
    let key = Groth16::<Bn254, CircomReduction>::generate_parameters_with_qap(
        Replay { r1cs, assignment: None },
        Fr::from(alpha),
        Fr::from(3),
        Fr::ONE,
        Fr::from(delta),
        G1Projective::generator(),
        G2Projective::generator(),
        &mut StdRng::seed_from_u64(5),
    );
    let provenance = Provenance::Ceremony { transcript: [delta as u8; 32] };
    ProvingKey::from_ark(key.expect("small"), r1cs.hash(), r1cs.a.len(), provenance).expect("sound")
}

#[test]
fn a_key_of_a_ceremony_is_found_again_and_a_missing_one_is_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = KeyStore::new(folder.path().join("keys"));
    let (r1cs, _) = ladder(10, 5);
    store.open(Setup::DevInsecure, &r1cs).expect("made");
    let missing = store.open(Setup::Ceremony, &r1cs).err();
    assert!(matches!(missing, Some(StoreError::NoCeremony { .. })), "{missing:?}");
    let told = missing.map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("prover import-zkey"), "{told}");

    let made = key(&r1cs, 2, 7);
    let path = store.keep(&made).expect("kept");
    assert_eq!(store.keep(&made).expect("kept already"), path);
    let found = store.open(Setup::Ceremony, &r1cs).expect("there");
    assert_eq!((found.provenance(), found.to_ark()), (made.provenance(), made.to_ark()));
    let development = store.open(Setup::DevInsecure, &r1cs).expect("there too");
    assert_ne!(development.verifying_key().id(), found.verifying_key().id());
    assert!(matches!(store.keep(&development), Err(StoreError::Development)));
    let listed: Vec<_> =
        store.list().expect("readable").into_iter().map(|one| (one.setup, one.is_pinned)).collect();
    assert_eq!(listed, [(Setup::Ceremony, true), (Setup::DevInsecure, true)]);
}

#[test]
fn keys_of_two_first_phases_or_of_two_ceremonies_do_not_stand_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = KeyStore::new(folder.path());
    let (one, other) = (ladder(10, 5).0, ladder(40, 5).0);
    let path = store.keep(&key(&one, 2, 7)).expect("kept");
    let mixed = store.keep(&key(&other, 4, 7));
    assert!(matches!(&mixed, Err(StoreError::OtherSetup { path: named }) if *named == path));
    store.keep(&key(&other, 2, 9)).expect("of the same first phase");
    let replaced = store.keep(&key(&one, 2, 8));
    assert!(matches!(&replaced, Err(StoreError::Kept { path: named, .. }) if *named == path));
    let mut bytes = fs::read(&path).expect("readable");
    bytes[3000] ^= 1;
    fs::write(&path, bytes).expect("writable");
    let refused = store.open(Setup::Ceremony, &one);
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
}

#[test]
fn a_key_of_another_circuit_in_the_place_is_refused_and_made_anew_on_demand() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = KeyStore::new(folder.path());
    let (one, other) = (ladder(10, 5).0, ladder(11, 5).0);
    let old = ProvingKey::dev_insecure(&other).expect("small");
    // As if the name of a circuit had changed under its key.
    let path = store.path(Setup::DevInsecure, &one.hash());
    let pin = hex::encode(old.write(&path).expect("writable"));
    fs::write(format!("{}.blake3", path.display()), pin).expect("writable");
    let refused = store.open(Setup::DevInsecure, &one).err();
    let source = match &refused {
        Some(StoreError::Refused { source, .. }) => source,
        other => panic!("expected a refusal, found {other:?}"),
    };
    assert!(matches!(**source, KeyFileError::Circuit { .. }), "{source:?}");
    assert!(store.list().expect("readable")[0].header.is_err());
    let told = refused.map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("prover keys regenerate"), "{told}");
    let made = store.regenerate(&one).expect("made");
    assert_eq!(made.to_ark(), store.open(Setup::DevInsecure, &one).expect("there").to_ark());
    assert!(store.list().expect("readable")[0].header.is_ok());
}

#[test]
fn the_program_lists_keys_and_refuses_files_of_no_ceremony() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = || run(folder.path(), &["keys", "list", "--json"]);
    assert_eq!(list().1["keys"], serde_json::json!([]), "a folder that is not there");
    let (code, made) = run(folder.path(), &["keys", "regenerate", "--shape", "c2-test", "--json"]);
    assert_eq!((code, &made["dev_insecure"]), (Some(0), &true.into()));
    fs::write(folder.path().join("keys/00.ceremony.key"), "no key").expect("writable");
    let (code, report) = list();
    let keys = report["keys"].as_array().cloned().unwrap_or_default();
    assert_eq!((code, keys.len()), (Some(0), 2), "{report}");
    assert!(keys[0]["error"].is_string() && keys[0]["shape"].is_null(), "{report}");
    assert_eq!((&keys[1]["shape"], &keys[1]["key_id"]), (&"c2-test".into(), &made["key_id"]));

    fs::write(folder.path().join("no.zkey"), "no key").expect("writable");
    let import = |file| {
        let (code, report) =
            run(folder.path(), &["import-zkey", "--shape", "c2-test", "--zkey", file, "--json"]);
        (code, report["error"].as_str().unwrap_or_default().to_owned())
    };
    let (code, error) = import("no.zkey");
    assert!(code == Some(1) && error.contains("expected a .zkey file"), "{code:?}: {error}");
    assert_eq!(import("missing.zkey").0, Some(3));
    let prove = ["export", "--shape", "c2-test", "--setup", "ceremony", "--vkey", "out.json"];
    assert_eq!(run(folder.path(), &prove).0, Some(1), "no key of a ceremony is made");
}
