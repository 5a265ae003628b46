//! A node with keys of a ceremony, on a chain that refuses development keys.

use std::path::Path;
use std::sync::Arc;

use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use ark_bn254::{Bn254, Fr, G1Projective, G2Projective};
use ark_ec::PrimeGroup;
use ark_groth16::Groth16;
use circuits::shapes::Shape;
use devchain::{DevChain, Genesis, Limits};
use l1_contracts::{DeployConfig, Edge, EdgeError, SetupKind, deploy};
use model::{Clock, SystemClock};
use prover::arkworks::Replay;
use prover::qap::CircomReduction;
use prover::{KeyStore, Provenance, ProvingKey, Setup};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sequencer::folder::layout::Layout;
use sequencer::node::setup::{self, BaseChain, GenesisTerms, Reach};
use sequencer::node::{Node, Provided};
use sequencer::stages::prove::{ProverKeys, Wanted};

use crate::support::{Site, check_settled, close_and_settle, proving_keys, registrar};

/// Names a folder of ceremony keys of the shapes for tests, as `prover import-zkey` leaves them
/// (`prover/tools/ceremony-check`). Without it the test makes its own.
const KEYS: &str = "VITALS_CEREMONY_KEYS";

const WANTED: Wanted<'static> = Wanted { setup: Setup::Ceremony, ..Wanted::TEST };

/// As after a ceremony: alpha, beta and gamma are those of one first phase, delta is the circuit's.
fn make_keys(folder: &Path) {
    let store = KeyStore::new(folder);
    let shapes = [WANTED.operations].into_iter().chain(WANTED.claims.iter().copied());
    for (name, delta) in shapes.zip(7u64..) {
        let r1cs = Shape::named(name).unwrap().matrices();
        let key = Groth16::<Bn254, CircomReduction>::generate_parameters_with_qap(
            Replay { r1cs: &r1cs, assignment: None },
            Fr::from(2),
            Fr::from(3),
            Fr::from(1),
            Fr::from(delta),
            G1Projective::generator(),
            G2Projective::generator(),
            &mut StdRng::seed_from_u64(5),
        );
        let provenance = Provenance::Ceremony { transcript: [1; 32] };
        let key = ProvingKey::from_ark(key.unwrap(), r1cs.hash(), r1cs.a.len(), provenance);
        store.keep(&key.unwrap()).unwrap();
    }
}

/// A chain in memory that is none of the development chains.
fn production_chain(layout: &Layout, clock: Arc<dyn Clock>) -> BaseChain {
    let signer = setup::settlement_signer(layout).unwrap();
    let genesis = Genesis { chain_id: 7_000_001, ..Genesis::funding([signer.address()]) };
    let seconds = Arc::new(move || clock.now().unix_ms() / 1000);
    let chain = DevChain::in_memory(genesis, Limits::default(), seconds);
    BaseChain { provider: chain.provider(signer), reach: Reach::Embedded(chain) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_ceremony_prove_and_settle_where_development_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = ProverKeys::open(folder.path(), WANTED, |_| {}).err().unwrap();
    let missing = anyhow::Error::from(missing);
    assert!(format!("{missing:#}").contains("prover import-zkey"), "{missing:#}");
    let keys = match std::env::var_os(KEYS) {
        Some(given) => ProverKeys::open(Path::new(&given), WANTED, |_| {}),
        None => {
            make_keys(folder.path());
            ProverKeys::open(folder.path(), WANTED, |_| {})
        }
    };
    let keys = Arc::new(keys.unwrap());
    assert!(!keys.are_dev_insecure());

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut opened = None;
    let site = Site::on(clock.clone(), &keys, |layout, _| {
        opened.insert(production_chain(layout, clock.clone())).clone()
    });
    let site = site.await;
    let chain = opened.unwrap();
    assert_eq!(site.deployment.setup, SetupKind::Ceremony);

    let terms = GenesisTerms { registrar: registrar().key_hash(), time: clock.now() };
    let account = site.deployment.sequencer;
    let sent = chain.provider.get_transaction_count(account).await.unwrap();
    let refused = setup::deploy(&site.layout, &chain, &proving_keys(), terms).await.unwrap_err();
    let refused = format!("{:#}", anyhow::Error::from(refused));
    assert!(refused.contains("expected no development key on chain 7000001"), "{refused}");
    assert_eq!(chain.provider.get_transaction_count(account).await.unwrap(), sent);

    let edge = Edge::connect(chain.provider.clone(), site.deployment.clone()).await.unwrap();
    let provided = Provided { chain, keys, clock, space: None, poster: None };
    let node = Node::start(site.layout.folder(), &site.config, provided).await.unwrap();
    node.submit(site.frame(1)).await.unwrap();
    assert_eq!(close_and_settle(&node).await, 1);
    check_settled(&edge, node.store(), 1).await;
    let header = &edge.settled_batches().await.unwrap()[0].header;
    assert_eq!((header.operations, header.collect), (2, 1), "proofs of both circuits");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_development_key_among_others_is_refused_before_anything_is_sent() {
    let signer = PrivateKeySigner::from_slice(&[7; 32]).unwrap();
    let genesis = Genesis { chain_id: 7_000_001, ..Genesis::funding([signer.address()]) };
    let chain = DevChain::in_memory(genesis, Limits::default(), Arc::new(|| 1_800_000_000));
    let provider = chain.provider(signer.clone());
    let mut keys = proving_keys().key_words();
    // No key at all, and called one of a ceremony: what the contract would say of it comes later.
    keys[0].words[0] = [0xff; 32];
    let forgeable = keys[1].shape.clone();
    let config = DeployConfig {
        sequencer: signer.address(),
        registrar: registrar().key_hash(),
        receipt_signer: signer.address(),
        genesis_time: SystemClock.now(),
        setup: SetupKind::Ceremony,
        keys,
    };
    let refused = deploy(&provider, config).await.unwrap_err();
    assert!(
        matches!(&refused, EdgeError::DevelopmentKey { shape, chain_id: 7_000_001 }
            if *shape == forgeable),
        "{refused}"
    );
    let said = refused.to_string();
    assert!(said.contains("ceremony") && said.contains("31337, 1337, 31338"), "{said}");
    assert_eq!(provider.get_transaction_count(signer.address()).await.unwrap(), 0);
    assert_eq!(provider.get_block_number().await.unwrap(), 0);
}
