//! Deployment files that are not what the chain says, and keys that nobody should take.

use auditor::Item;
use auditor::check::{self, ChainKey, OnChain};
use l1_contracts::{Deployment, SetupKind};
use serde_json::{Value, json};

use super::{Pool, sentence};
use crate::world::{Forge, Prove, deployment, word};

struct Row {
    name: &'static str,
    file: Deployment,
    chain: OnChain,
    expected: Option<Item>,
}

pub(super) fn rows(pool: &mut Pool) -> Vec<Value> {
    let rows = [constants(), keys(), linted(), setups()];
    rows.into_iter().flatten().map(|row| play(&row, pool)).collect()
}

fn play(row: &Row, pool: &mut Pool) -> Value {
    let Row { name, file, chain, expected } = row;
    let found = check::deployment(file, chain);
    assert_eq!(found.as_ref().err().map(|broken| &broken.item), expected.as_ref(), "{name}");
    let mut key = |found: &ChainKey| {
        let words = hex::encode(found.key.key_words().concat());
        json!({ "code": found.code, "circuit": found.circuit, "key": pool.key(words) })
    };
    json!({
        "name": name,
        "file": file,
        "chain": {
            "sequencer": chain.sequencer,
            "registrar": chain.registrar.to_hex(),
            "receipt_signer": chain.receipt_signer,
            "runtime_hash": hex::encode(chain.runtime_hash),
            "genesis_time": chain.genesis_time,
            "keys": chain.keys.iter().map(&mut key).collect::<Vec<_>>(),
        },
        "broken": sentence(&found),
        "dev_insecure": found.as_ref().ok().map(|context| context.dev_insecure),
        "fingerprint": found.as_ref().ok().map(|context| context.fingerprint.to_string()),
    })
}

/// A change of the sound file or of what the chain says of it.
fn changed(name: &'static str, expected: Item, change: fn(&mut Deployment, &mut OnChain)) -> Row {
    let (mut file, mut chain) = deployment(Forge::new().keys());
    change(&mut file, &mut chain);
    Row { name, file, chain, expected: Some(expected) }
}

fn constants() -> Vec<Row> {
    let of = Item::Deployment;
    let (file, chain) = deployment(Forge::new().keys());
    vec![
        Row { name: "a sound deployment", file, chain, expected: None },
        changed("another sequencer", of("sequencer"), |_, chain| chain.sequencer.0[0] ^= 1),
        changed("another registrar", of("registrar"), |_, chain| chain.registrar = word(1)),
        changed("another signer of receipts", of("receipt signer"), |_, chain| {
            chain.receipt_signer.0[0] ^= 1;
        }),
        changed("other code of the contract", of("runtime code"), |_, chain| {
            chain.runtime_hash[0] ^= 1;
        }),
        changed("another genesis time", of("genesis time"), |_, chain| chain.genesis_time += 1),
        changed("other creation code", of("code hash"), |file, _| file.code_hash.0[0] ^= 1),
        changed("another fingerprint", of("fingerprint"), |file, _| {
            file.fingerprint = Default::default();
        }),
    ]
}

fn of_claims(part: &'static str) -> Item {
    Item::Key { shape: "c2-test".to_owned(), part }
}

fn keys() -> Vec<Row> {
    let [c1, _, small] = Forge::new().keys();
    let (file, chain) = deployment([c1, Forge::foreign_key(), small]);
    let foreign = Some(of_claims("alpha, beta and gamma"));
    let unknown = Item::Key { shape: "c2-huge".to_owned(), part: "shape" };
    vec![
        changed("a replaced key", of_claims("id"), |_, chain| {
            chain.keys[1].key = Forge::other_key();
        }),
        Row { name: "a key of another setup", file, chain, expected: foreign },
        changed("a key at another address", of_claims("code address"), |_, chain| {
            chain.keys[1].code.0[0] ^= 1;
        }),
        changed("a key of the other circuit", of_claims("circuit"), |_, chain| {
            chain.keys[1].circuit = 1;
        }),
        changed("no key of claims", Item::Deployment("keys"), |file, chain| {
            file.keys.truncate(1);
            chain.keys.truncate(1);
        }),
        changed("a shape that nobody knows", unknown, |file, _| {
            file.keys[1].shape = "c2-huge".to_owned();
        }),
    ]
}

/// Keys that a constructor let pass are linted again.
fn linted() -> Vec<Row> {
    let [c1, _, small] = Forge::new().keys();
    let of = |name, key, part| {
        let (file, chain) = deployment([c1.clone(), key, small.clone()]);
        Row { name, file, chain, expected: Some(of_claims(part)) }
    };
    vec![
        of("a key with an input too few", Forge::short_key(), "public inputs"),
        of("a key whose delta is its gamma", Forge::gamma_key(), "delta"),
    ]
}

/// A development key is flagged on a chain for them, refused elsewhere, and is no ceremony's.
fn setups() -> Vec<Row> {
    let setup = || Some(Item::Key { shape: "c1-test".to_owned(), part: "setup" });
    let elsewhere = |name, keys| {
        let (mut file, chain) = deployment(keys);
        file.chain_id = 1;
        let file = file.fingerprinted().expect("sound fields");
        Row { name, file, chain, expected: setup() }
    };
    let ceremony = |file: &mut Deployment, _: &mut OnChain| file.setup = SetupKind::Ceremony;
    let (file, chain) = deployment(Forge::negated_keys());
    vec![
        elsewhere("a development key on another chain", Forge::new().keys()),
        elsewhere("a negated development key on another chain", Forge::negated_keys()),
        Row {
            expected: setup(),
            ..changed("a development key that passes for a ceremony's", of_claims("id"), ceremony)
        },
        Row { name: "negated development keys", file, chain, expected: None },
    ]
}
