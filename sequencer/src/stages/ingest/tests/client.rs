//! The client that gateways, wallets and practitioners run, against this server.

use std::path::Path;

use client::{Connection, ConnectionConfig, Deployment, Identity};
use model::{Category, Millis, Sequence, Word};
use statement::fingerprint::DeploymentFacts;
use wire::{Lane, Role};

use super::support::{Node, descriptor, readings, request};
use crate::folder::authority::{ClientDeployment, Issued};

/// Writes the folder that the operator hands out.
pub(super) fn hand_out(node: &Node, issued: &Issued, own: &Path) {
    let deployment = ClientDeployment {
        facts: DeploymentFacts {
            scope: node.hub.scope(),
            runtime_hash: [1; 32],
            keys: Vec::new(),
            receipt_signer: node.hub.signer().0,
            registrar: Word::ZERO,
            sequencer: [2; 20],
            genesis_time: Millis::default(),
        },
        keys: vec![],
        address: node.address.to_string(),
        server_name: "localhost".into(),
    };
    issued.write_client(own, &deployment).unwrap();
}

/// Connects with nothing but that.
async fn connect(node: &Node, issued: &Issued) -> Connection {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("identity");
    hand_out(node, issued, &own);
    let identity = Identity::load(&own).unwrap();
    let deployment = Deployment::load(&own).unwrap();
    let config = ConnectionConfig::new(node.address, "localhost", identity, deployment);
    Connection::connect(config).await.unwrap()
}

#[tokio::test]
async fn the_client_streams_submits_and_asks() {
    let mut node = Node::start().await;
    let gateway = connect(&node, &node.gateway).await;
    let stream = gateway.open_stream(Lane::Live, descriptor()).await.unwrap();
    for value in 1..=5 {
        stream.send(&readings(value)).await.unwrap();
    }
    stream.wait_for_receipt(Sequence(5)).await.unwrap();
    let doctor = node.registered(Role::Practitioner, "dr").await;
    let doctor = connect(&node, &doctor).await;
    let outcome = doctor.access(request(1, Category::Ecg), wire::Page::FIRST).await.unwrap();
    assert_eq!((outcome.permitted, outcome.released.len()), (true, 5));
    let revocation = node.revocation(1);
    let wallet = connect(&node, &node.registered(Role::Wallet, "patient-app").await).await;
    wallet.submit(revocation).await.unwrap();
    let outcome = doctor.access(request(2, Category::Ecg), wire::Page::FIRST).await.unwrap();
    assert_eq!((outcome.permitted, outcome.released.len()), (false, 0));
    gateway.close().await;
}
