//! What comes to the doors of a node over HTTP: subscriptions to notices, and requests to erase.

use std::sync::LazyLock;

use accounting::notices::{
    AskedSubscription, Endpoint, Hosts, Kept, NoticeSecret, SubscriptionError, SubscriptionId,
    listed, resource,
};
use model::{BatchNumber, ChainScope, Millis, PatientIndex};
use statement::{eddsa, field};
use wire::limits::ERASURE_VALIDITY_MS_MAX;
use wire::{ErasureOf, ErasureRequest, KeyChecks, SignedErasure};

/// Hosts that an operator lets be told.
static HOSTS: LazyLock<Hosts> = LazyLock::new(|| {
    let list = ["app.example.org", "hook.example.net:8443"].map(str::to_owned);
    Hosts::parse(&list).expect("a list of hosts")
});
const SECRET: &str = "whsec_of-the-one-answer";

/// A FHIR Subscription as an app posts it, the endpoint that it names, and a list of hosts.
///
/// # Panics
/// If one that is taken would be kept or shown as another one, or names a host that is not listed;
/// if an address is read that has two readings; if a refusal names no element.
pub fn subscription(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        is_one_address(text);
        let list: Vec<_> = text.lines().map(str::to_owned).collect();
        if let Ok(hosts) = Hosts::parse(&list) {
            assert_eq!(hosts.is_empty(), list.is_empty());
        }
    }
    match AskedSubscription::parse(bytes, &HOSTS) {
        Ok(asked) => is_shown_as_asked(&asked),
        Err(error) => {
            assert!(error.expression().starts_with("Subscription"), "{error}");
            let is_unserved = matches!(error, SubscriptionError::Unserved { .. });
            assert_eq!(error.is_unserved(), is_unserved);
        }
    }
}

/// What is read of an address is written in one way, which no other program reads otherwise.
fn is_one_address(text: &str) {
    let Some(endpoint) = Endpoint::parse(text) else { return };
    let written = endpoint.to_string();
    assert!(Endpoint::parse(&written).as_ref() == Some(&endpoint), "{written}");
    assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written}");
    let rest = written.strip_prefix("https://").expect("nothing else is told");
    let (place, path) = rest.split_at(rest.find('/').expect("every endpoint has a path"));
    let port = if endpoint.port() == 443 { String::new() } else { format!(":{}", endpoint.port()) };
    assert_eq!(place, format!("{}{port}", endpoint.host()));
    assert!(!path.contains(['\\', '#']) && !endpoint.host().contains(['@', '[', '%']));
    assert!(endpoint.host().parse::<std::net::IpAddr>().is_err(), "a number is no name");
}

fn is_shown_as_asked(asked: &AskedSubscription) {
    assert!(HOSTS.contains(&asked.endpoint), "a host that nobody listed");
    let kept = Kept {
        id: SubscriptionId::new([7; 16]),
        patient: asked.patient,
        endpoint: asked.endpoint.clone(),
        reason: asked.reason.clone(),
        end: asked.end,
        secret: NoticeSecret::new([9; 32]),
        told: BatchNumber(1),
        failing_since: None,
        fault: None,
        given_up: false,
    };
    let now = Millis::from_unix_ms(1_777_624_200_000);
    let first = resource(&kept, now, Some(SECRET));
    assert_eq!(first["channel"]["extension"][0]["valueString"], SECRET, "to whoever asked");
    let mut shown = resource(&kept, now, None);
    assert!(shown["channel"].get("extension").is_none(), "and to nobody else");
    let all = listed(std::slice::from_ref(&kept), now, "https://node.example.org/fhir");
    assert_eq!(all["entry"][0]["resource"], shown, "in a list as it is alone");
    // What is shown may be posted again, and asks for the same.
    shown["status"] = "requested".into();
    let again = AskedSubscription::parse(shown.to_string().as_bytes(), &HOSTS);
    assert!(again.as_ref() == Ok(asked), "another one");
}

const CHECKS: KeyChecks = KeyChecks { verifies: eddsa::verify_bytes, hash: eddsa::hash_bytes };
static SIGNED: LazyLock<SignedErasure> = LazyLock::new(|| {
    let requested_at = Millis::from_unix_ms(1_777_624_200_000);
    let request = ErasureRequest {
        scope: ChainScope { chain_id: 31_337, contract: [9; 20] },
        patient: PatientIndex::new(7).expect("below 2^24"),
        nonce: 4,
        requested_at,
        valid_until: requested_at.plus(ERASURE_VALIDITY_MS_MAX),
    };
    let key = eddsa::SecretKey::from_bytes(&[6; 32]);
    let message = field::from_word(&request.signing_hash().expect("well-formed").word());
    let signature = eddsa::sign(&key, message).encode();
    SignedErasure { request, public_key: key.public().encode(), signature }
});

/// The one request to erase that a patient signed here.
pub fn signed_erasure() -> Vec<u8> {
    SIGNED.to_bytes().expect("well-formed")
}

/// The body of a request to erase.
///
/// # Panics
/// If one that is read has other bytes than it would be sent with, is good for ever, or passes as
/// the patient's although it is not the one that the patient signed.
pub fn erasure_request(bytes: &[u8]) {
    let Ok(signed) = SignedErasure::from_bytes(bytes) else { return };
    assert_eq!(bytes.len(), SignedErasure::BYTES);
    assert_eq!(signed.to_bytes().as_deref(), Ok(bytes), "one request, one encoding");
    let request = &signed.request;
    let valid_ms = request.valid_until.since(request.requested_at);
    assert!((1..=ERASURE_VALIDITY_MS_MAX).contains(&valid_ms), "not for ever");
    assert!(signed.digest().is_ok() && request.signing_hash().is_ok(), "what is read has a name");
    let ErasureRequest { scope, patient, nonce, .. } = SIGNED.request;
    let key_hash = eddsa::hash_bytes(&SIGNED.public_key).expect("the key of a patient");
    let of = ErasureOf { scope, patient, key_hash, nonce };
    let is_own = signed.first_difference(&of, CHECKS).is_none();
    assert_eq!(is_own, bytes == signed_erasure(), "what its patient signed");
    assert!(!is_own || signed.is_signed(eddsa::verify_bytes));
}
