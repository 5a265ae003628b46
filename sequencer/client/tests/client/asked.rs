//! The signed request behind a claim: what a reader asked for, held against what the node claimed.

use client::{Key, KeyKind};
use model::{
    Category, ChainScope, Claim, ClaimKind, Interval, Label, Labels, Millis, OrganisationId, Party,
    PatientIndex, Position, PractitionerId, Purpose, RequestWords, Word,
};
use statement::{eddsa, field, scope};
use wire::{AccessKind, AccessRequest, Reason, SignedAccessRequest, Source};

const SCOPE: ChainScope = ChainScope { chain_id: 1, contract: [1; 20] };

fn at(ms: u64) -> Millis {
    Millis::new(ms).unwrap()
}

fn signed(change: impl FnOnce(&mut AccessRequest)) -> SignedAccessRequest {
    let mut request = AccessRequest {
        scope: SCOPE,
        patient: PatientIndex::new(3).unwrap(),
        practitioner: PractitionerId::new("dr-001").unwrap(),
        organisation: OrganisationId::new("ward-3").unwrap(),
        care_team: None,
        source: Source::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::EmergencyTreatment,
        labels: Label::Normal.only(),
        data: Interval::instant(at(5)),
        requested_at: at(10),
        valid_until: at(20),
        nonce: 1,
        kind: AccessKind::BreakGlass { reason: Reason::new("found on the floor").unwrap() },
    };
    change(&mut request);
    let key = Key::from_secret(KeyKind::Practitioner, [9; 32]);
    let message = field::from_word(&request.signing_hash().unwrap().word());
    let signature = eddsa::sign(&key.signer(), message).encode();
    SignedAccessRequest::new(request, key.public().encode(), signature).unwrap()
}

fn words(request: &AccessRequest) -> RequestWords {
    scope::request_words(&request.practitioner, &request.organisation, request.device())
}

/// As the patient's log and the auditor ask.
fn first_difference(
    signed: &SignedAccessRequest,
    claim: &Claim,
    of: ChainScope,
) -> Option<&'static str> {
    signed.first_difference(claim, of, words(signed.request()), eddsa::verify_bytes)
}

#[test]
fn a_claim_says_what_its_request_asks_for_and_nothing_else() {
    let request = signed(|_| ());
    let claim = request.claim(words(request.request()), Position(5), at(12));
    assert_eq!(first_difference(&request, &claim, SCOPE), None);
    let other = Word::from_u64(1);
    let wider: [(&str, Claim); 12] = [
        ("request", Claim { digest: model::Digest([1; 31]), ..claim.clone() }),
        ("patient", Claim { patient: PatientIndex::new(4).unwrap(), ..claim.clone() }),
        ("kind", Claim { kind: ClaimKind::Access, ..claim.clone() }),
        ("practitioner", Claim { individual: other, ..claim.clone() }),
        ("organisation", Claim { organisation: other, ..claim.clone() }),
        ("care team", Claim { care_team: other, ..claim.clone() }),
        ("source", Claim { source: Party::Named(other), ..claim.clone() }),
        ("categories", Claim { categories: Category::Spo2.only(), ..claim.clone() }),
        ("purpose", Claim { purpose: Purpose::Treatment, ..claim.clone() }),
        ("labels", Claim { labels: Labels::ALL, ..claim.clone() }),
        ("data period", Claim { measured: Interval::ALWAYS, ..claim.clone() }),
        // Decided when the request was over.
        ("time", Claim { receipt: Interval::instant(at(20)), ..claim.clone() }),
    ];
    for (part, claim) in wider {
        assert_eq!(first_difference(&request, &claim, SCOPE), Some(part));
    }
    let elsewhere = ChainScope { chain_id: 2, ..SCOPE };
    assert_eq!(first_difference(&request, &claim, elsewhere), Some("deployment"));
}

#[test]
fn a_request_that_nobody_signed_is_no_request() {
    let request = signed(|_| ());
    let other = signed(|request| request.nonce = 2);
    for (key, signature) in
        [(request.public_key, other.signature), ([7; 32], request.signature), ([0; 32], [0; 64])]
    {
        let forged = SignedAccessRequest::new(request.request().clone(), key, signature);
        let forged = forged.unwrap();
        // As a node would claim it: the claim names these very bytes.
        let claim = forged.claim(words(forged.request()), Position(5), at(12));
        assert_eq!(first_difference(&forged, &claim, SCOPE), Some("signature"));
    }
}
