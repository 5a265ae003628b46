//! Certificates at the real program: asked for over a connection, issued by the operator's command,
//! taken over by the client, and revoked by their fingerprint.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use client::{Connection, ConnectionConfig, ConnectionError, Deployment, Identity, Renewal};
use model::RejectCode;
use serde_json::Value;
use tokio::sync::mpsc::unbounded_channel;

use crate::reload::{Program, own_runtime, sequencer};
use crate::support::Site;

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

/// Fingerprint of the gateway's certificate, as the registry has it.
fn registered(site: &Site) -> String {
    let listed = sequencer(site, &["identity", "list", "--role", "gateway", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    listed["identities"][0]["fingerprint"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_gateway_asks_for_is_issued_by_one_command_and_revoked_by_its_fingerprint() {
    let runtime = own_runtime();
    let mut site = runtime.block_on(Site::new());
    // From a day before until a day after: the half of its life is over at once.
    site.config.authority.certificate_days = 1;
    let program = Program::start(&site);
    let folder = site.beside("renewed-gateway");
    let out = folder.to_str().unwrap();
    let by_hand = ["identity", "renew", "gateway", "--role", "gateway", "--out", out];
    let issued = sequencer(&site, &by_hand);
    assert!(issued.status.success(), "{}", said(&issued));
    let first = registered(&site);
    let all = ["identity", "renew", "--all"];
    assert!(said(&sequencer(&site, &all)).contains("no certificate was asked for"));

    let (tell, mut told) = unbounded_channel();
    let identity = Identity::load(&folder).unwrap();
    let deployment = Deployment::load(&folder).unwrap();
    let mut config = ConnectionConfig::new(program.ingest, "localhost", identity, deployment);
    config.identity_folder = Some(folder.clone());
    config.renew_every = Some(Duration::from_millis(5));
    config.on_renewal = Some(Arc::new(move |step: &Renewal| drop(tell.send(step.clone()))));
    let connection = runtime.block_on(Connection::connect(config)).unwrap();
    let asked = runtime.block_on(told.recv()).unwrap();
    assert!(matches!(asked, Renewal::Asked { .. }), "{asked:?}");
    let issued = sequencer(&site, &all);
    assert!(said(&issued).contains("gateway gateway: issued, good until"), "{}", said(&issued));
    runtime.block_on(async {
        while !matches!(told.recv().await.unwrap(), Renewal::Renewed { .. }) {}
    });
    let second = registered(&site);
    assert_ne!(first, second);
    assert!(said(&sequencer(&site, &all)).contains("no certificate was asked for"));

    let revoke =
        |fingerprint: &str| sequencer(&site, &["identity", "revoke", "--fingerprint", fingerprint]);
    // Its connections would have gone on for a while.
    let drained = revoke(&first);
    assert!(said(&drained).contains("its connections end now"), "{}", said(&drained));
    let gone = revoke(&first);
    assert_eq!(gone.status.code(), Some(1), "{}", said(&gone));
    assert!(said(&gone).contains("ended or replaced already"), "{}", said(&gone));
    assert_eq!(revoke("12").status.code(), Some(2), "no fingerprint");
    let ended = revoke(&second);
    assert!(said(&ended).contains("the certificate of gateway gateway is revoked"));
    let closed = runtime.block_on(async {
        // The node closes it, and no other certificate stands in the folder.
        loop {
            if let Some(why) = connection.end_reason() {
                return why;
            }
            tokio::task::yield_now().await;
        }
    });
    let identity = RejectCode::Identity;
    let is_told = matches!(closed, ConnectionError::Closed { code } if code == identity);
    assert!(is_told, "{closed}");
}
