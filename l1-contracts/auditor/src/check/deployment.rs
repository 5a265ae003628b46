//! The deployment file against the chain.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use l1_contracts::{DEVELOPMENT_CHAINS, Deployment, KeyRecord, SetupKind, bytecode_hash};
use model::{Millis, Word};
use statement::batch::SHAPES;
use statement::fingerprint::{DeploymentFacts, Fingerprint, KeyFact};
use statement::inputs::{C1Inputs, C2Inputs};
use statement::proof::VerifyingKey;
use statement::scope;

use super::parts::{AcceptedKey, Context, Previous};
use crate::broken::{Broken, Item, equal};

/// What the chain says about a deployment.
#[derive(Clone, Debug)]
pub struct OnChain {
    /// Who may settle.
    pub sequencer: Address,
    /// Hash of the registrar's key.
    pub registrar: Word,
    /// Who signs receipts.
    pub receipt_signer: Address,
    /// keccak256 of the code at the contract's address.
    pub runtime_hash: [u8; 32],
    /// Begin of the first window, milliseconds since 1900.
    pub genesis_time: u64,
    /// The keys in the order of the deployment file.
    pub keys: Vec<ChainKey>,
}

/// A verifying key as the contract accepted it.
#[derive(Clone, Debug)]
pub struct ChainKey {
    /// The account whose code holds its words.
    pub code: Address,
    /// For which circuit.
    pub circuit: u8,
    /// The key.
    pub key: VerifyingKey,
}

/// Words of alpha, beta and gamma: what all keys of a setup share.
const SHARED_WORDS: usize = 2 + 4 + 4;

/// What else a contract says means nothing if it is another one.
///
/// # Errors
/// [`Broken`] unless the code at the address is that of the contract.
pub fn contract_code(is_ours: bool) -> Result<(), Broken> {
    if is_ours {
        return Ok(());
    }
    let expected = "the settlement contract that this auditor was built with";
    Err(Broken::outside(Item::Deployment("contract code"), expected, "other code"))
}

/// Compares the file with the chain.
///
/// # Errors
/// [`Broken`] names the first difference.
pub fn deployment(file: &Deployment, chain: &OnChain) -> Result<Context, Broken> {
    compare_constants(file, chain)?;
    // In the order of the file, in which the chain was asked for them.
    let mut keys = BTreeMap::new();
    for (record, found) in file.keys.iter().zip(&chain.keys) {
        keys.insert(record.id.0, accept_key(record, found)?);
    }
    expect_shared_setup(file, chain)?;
    let dev_insecure = check_setup(file, chain)?;
    // Without a key of each the contract could settle operations or claims only.
    for circuit in [1, 2] {
        if !keys.values().any(|key: &AcceptedKey| key.layout.circuit() as u8 == circuit) {
            let expected = format!("a key of circuit {circuit}");
            return Err(Broken::outside(Item::Deployment("keys"), expected, "none"));
        }
    }
    let genesis = Previous::genesis(file.scope(), time(chain.genesis_time)?);
    Ok(Context {
        scope: file.scope(),
        fingerprint: fingerprint(file, chain, &keys)?,
        sig_domain: scope::sig_domain(file.scope()),
        registrar: chain.registrar,
        keys,
        genesis,
        dev_insecure,
    })
}

fn compare_constants(file: &Deployment, chain: &OnChain) -> Result<(), Broken> {
    let item = Item::Deployment;
    // The code at the address was compared before; this holds the file to the same.
    equal(None, item("code hash"), &bytecode_hash().0, &file.code_hash.0)?;
    equal(None, item("sequencer"), &file.sequencer, &chain.sequencer)?;
    equal(None, item("registrar"), &word(&file.registrar)?, &chain.registrar)?;
    equal(None, item("receipt signer"), &file.receipt_signer, &chain.receipt_signer)?;
    equal(None, item("genesis time"), &file.genesis_time, &chain.genesis_time)?;
    equal(None, item("runtime code"), &file.runtime_hash.0, &chain.runtime_hash)
}

/// From what the chain says alone, so that it is the fingerprint of what was audited and not of
/// what a file says; but for the shapes of the keys, which no chain knows: those are the ones that
/// the batches are checked by.
fn fingerprint(
    file: &Deployment,
    chain: &OnChain,
    accepted: &BTreeMap<[u8; 32], AcceptedKey>,
) -> Result<Fingerprint, Broken> {
    let fact = |key: &ChainKey| {
        let AcceptedKey { shape, layout, .. } = accepted.get(&key.key.id())?;
        Some(KeyFact { circuit: key.circuit, id: key.key.id(), shape, layout: *layout })
    };
    let facts = DeploymentFacts {
        scope: file.scope(),
        runtime_hash: chain.runtime_hash,
        // All of the chain's were accepted, or there were an error before.
        keys: chain.keys.iter().filter_map(fact).collect(),
        receipt_signer: chain.receipt_signer.into_array(),
        registrar: chain.registrar,
        sequencer: chain.sequencer.into_array(),
        genesis_time: time(chain.genesis_time)?,
    };
    let (found, expected) = (facts.fingerprint(), file.fingerprint);
    if found == expected {
        return Ok(found);
    }
    let item = Item::Deployment("fingerprint");
    Err(Broken::outside(item, expected.to_string(), found.to_string()))
}

fn accept_key(record: &KeyRecord, found: &ChainKey) -> Result<AcceptedKey, Broken> {
    let item = |part| Item::Key { shape: record.shape.clone(), part };
    let known = SHAPES.into_iter().find(|(name, _)| *name == record.shape);
    let Some((shape, layout)) = known else {
        let expected = SHAPES.map(|(name, _)| name).join(", ");
        return Err(Broken::outside(item("shape"), format!("one of {expected}"), "another"));
    };
    // Hashed here from the words on chain: the contract's word for the id would not bind them.
    equal(None, item("id"), &record.id.0, &found.key.id())?;
    equal(None, item("code address"), &record.code, &found.code)?;
    // With the file and with the shape, of which each could name the other circuit.
    equal(None, item("circuit"), &record.circuit, &found.circuit)?;
    equal(None, item("circuit"), &(layout.circuit() as u8), &found.circuit)?;
    lint_key(&found.key, layout.circuit() as u8, item)?;
    Ok(AcceptedKey { shape, layout, key: found.key.clone() })
}

/// What the contract's constructor checks of a key, once more: the code on chain is compared, but
/// other creation code can leave the same behind and check nothing. That every word is a coordinate
/// and every point on its curve, in its group and not infinity was checked where the key was read.
fn lint_key(
    key: &VerifyingKey,
    circuit: u8,
    item: impl Fn(&'static str) -> Item,
) -> Result<(), Broken> {
    let inputs = if circuit == 1 { C1Inputs::LEN } else { C2Inputs::LEN };
    equal(None, item("public inputs"), &inputs, &key.input_count())?;
    if key.gamma_is_delta() {
        let expected = "a delta of its own, apart from gamma";
        return Err(Broken::outside(item("delta"), expected, "gamma"));
    }
    Ok(())
}

/// Proofs under several keys are verified together on chain only if the keys share a setup.
fn expect_shared_setup(file: &Deployment, chain: &OnChain) -> Result<(), Broken> {
    let shared = |key: &ChainKey| key.key.key_words()[..SHARED_WORDS].to_vec();
    let first = chain.keys.first().map(shared);
    let other = file.keys.iter().zip(&chain.keys).find(|(_, key)| Some(shared(key)) != first);
    match other {
        None => Ok(()),
        Some((record, _)) => {
            let item = Item::Key { shape: record.shape.clone(), part: "alpha, beta and gamma" };
            Err(Broken::outside(item, "those of the first key", "others"))
        }
    }
}

/// A key that is known to be forgeable must be called so. Gives whether some key is.
fn check_setup(file: &Deployment, chain: &OnChain) -> Result<bool, Broken> {
    let mut keys = file.keys.iter().zip(&chain.keys);
    let dev = keys.find(|(_, found)| found.key.is_dev_insecure());
    // As the constructor refuses it, which other creation code need not.
    if let Some((record, _)) = dev.filter(|_| !DEVELOPMENT_CHAINS.contains(&file.chain_id)) {
        let item = Item::Key { shape: record.shape.clone(), part: "setup" };
        let expected = format!("no development key on chain {}", file.chain_id);
        return Err(Broken::outside(item, expected, "one: anybody can forge its proofs"));
    }
    match (file.setup, dev) {
        (SetupKind::Ceremony, Some((record, _))) => {
            let item = Item::Key { shape: record.shape.clone(), part: "setup" };
            let expected = "a key from a ceremony, as the deployment file says";
            Err(Broken::outside(item, expected, "a development key: anybody can forge its proofs"))
        }
        // A file that calls its ceremony keys insecure is believed: nothing is gained by it.
        (setup, dev) => Ok(dev.is_some() || setup == SetupKind::DevInsecure),
    }
}

fn word(text: &str) -> Result<Word, Broken> {
    let item = Item::Deployment("registrar");
    Word::from_hex(text).map_err(|error| Broken::outside(item, "a word", error.to_string()))
}

fn time(found: u64) -> Result<Millis, Broken> {
    let item = Item::Deployment("genesis time");
    Millis::new(found).map_err(|error| Broken::outside(item, "44 bits", error.to_string()))
}
