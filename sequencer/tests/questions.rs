//! A system of the hospital asks over HTTP whether consent would allow something: what it is told
//! by which token, what its patient sees of it, and that nothing is claimed by it.

use std::sync::Arc;

use auditor::{Options, Place, Quiet, Source, audit};
use client::batches::Batches;
use client::log::{Audited, Before, Viewer, check};
use client::read_layouts;
use model::{Action, BatchNumber, ClaimKind, Party, Rule, RuleSlot};
use sequencer::node::Node;
use serde_json::{Value, json};
use statement::batch::RefusedAccess;
use statement::scope::{self, ActorKind};

use crate::issued::{Issuer, bearer, publish, trust};
use crate::support::{Site, close_and_settle, operation_item, patient, stream_key};
use crate::watching::send;

/// A site whose hospital has a SMART server: one of its systems may ask about consent, and whoever
/// has a token for it reads AuditEvents.
async fn site(issuer: &Issuer) -> Site {
    let mut site = Site::new().await;
    trust(&mut site, issuer);
    site.config.decisions.systems = vec!["ehr=hospital".into()];
    site
}

/// The line of a head that shows a token of the system.
fn shown(issuer: &Issuer, scope: &str) -> String {
    bearer(issuer, json!({"sub": "ehr", "scope": scope}))
}

/// What is answered to a question of the hospital about the site's patient: status, what the head
/// says of tokens, and the decision or the error.
async fn ask(node: &Node, purpose: &str, token: &str) -> (u16, Option<String>, String) {
    let question = json!({"hook": "patient-consent-consult", "context": {
        "patientId": [{"system": "urn:vitals-rollup:patient",
                       "value": stream_key().patient.get().to_string()}],
        "actor": [{"system": "urn:vitals-rollup:organisation", "value": "hospital"}],
        "purposeOfUse": purpose,
        "category": [{"system": "urn:vitals-rollup:consent:category", "code": "ecg"}]}});
    let head = format!("host: node\r\ncontent-type: application/json\r\n{token}");
    let line = "POST /fhir/$consent-decision";
    let (status, head, body) =
        send(node.endpoints().http, line, head.trim_end(), &question.to_string()).await;
    let authenticate = head.lines().find_map(|line| line.strip_prefix("www-authenticate: "));
    let body: Value = serde_json::from_str(&body).unwrap();
    let said = body["cards"][0]["summary"].as_str().or(body["error"].as_str()).unwrap();
    (status, authenticate.map(str::to_owned), said.to_owned())
}

/// Permits the hospital to read.
async fn permit(site: &mut Site, node: &Node) {
    let organisation = Party::Named(scope::actor(ActorKind::Organisation, "hospital"));
    let rule = Rule::widest(organisation, ClaimKind::Access.only());
    let signed = site.change(Action::Write { slot: RuleSlot::Permit(1), rule });
    let answer = node.submit(operation_item(&signed)).await.unwrap();
    site.apply(&signed, &answer);
}

/// By which tokens nobody is answered, and how each of them is told to ask.
async fn check_refused(node: &Node, issuer: &Issuer) {
    for (token, status, code, authenticate) in [
        (String::new(), 401, "decision-token", "Bearer"),
        (
            shown(&Issuer::new(), "system/Consent.r"),
            401,
            "decision-token",
            "Bearer error=\"invalid_token\", error_description=\"token-signature\"",
        ),
        (
            shown(issuer, "system/AuditEvent.s"),
            403,
            "decision-system",
            "Bearer error=\"insufficient_scope\", scope=\"system/Consent.r\"",
        ),
    ] {
        let answer = ask(node, "TREAT", &token).await;
        assert_eq!(answer, (status, Some(authenticate.to_owned()), code.to_owned()));
    }
    // The same issuer's token that was no good for a question is good for what it grants.
    let audit = "GET /fhir/AuditEvent?patient=12345";
    let at = node.endpoints().http;
    let (status, head, _) = send(at, audit, "host: node", "").await;
    assert!(status == 401 && head.contains("www-authenticate: Bearer"), "{head}");
    let token = shown(issuer, "system/AuditEvent.s");
    let (status, ..) = send(at, audit, &format!("host: node\r\n{}", token.trim_end()), "").await;
    assert_eq!(status, 200);
}

/// What the patient's log lists of the last settled batch, and its proven accesses.
async fn log(site: &Site, node: &Node, last: u64) -> (Vec<RefusedAccess>, usize) {
    let http = format!("http://{}", node.endpoints().http);
    let (data, rpc) = (Source::parse(&http).unwrap(), node.endpoints().rpc.parse().unwrap());
    let place = Place { rpc: &rpc, deployment: &site.deployment, data: &data };
    let report = audit(place, &Options::default(), Arc::new(Quiet)).await;
    assert!(report.holds(), "{}", report.text(auditor::Colour::Plain));
    let kept = report.kept.iter().find(|kept| kept.header.number.0 == last).expect("kept");
    let counts = (kept.header.collect, kept.header.access, kept.header.excluded);
    assert_eq!(counts, (1, 0, 0), "a question is no access, and none that was excluded");
    let batches = Batches::parse(&http).unwrap();
    let fetched = move || batches.fetch(BatchNumber(last), &|_| ());
    let files = tokio::task::spawn_blocking(fetched).await.unwrap().unwrap();
    let viewer = Viewer {
        scope: site.deployment.scope(),
        layouts: read_layouts(site.layout.folder()).unwrap(),
        patient: stream_key().patient,
        view_key: patient().view_key(),
    };
    let audited = Audited { header: &kept.header, edges: &kept.edges };
    let seen = check(&viewer, &audited, &files, Before::Unknown).unwrap();
    let accesses = seen.claims.iter().filter(|seen| seen.claim.kind != ClaimKind::Collect);
    (seen.refused.clone(), accesses.count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_by_a_token_listed_for_its_patient_and_never_counted_as_an_access() {
    let issuer = Issuer::new();
    let mut site = site(&issuer).await;
    let (node, _edge) = site.start().await;
    check_refused(&node, &issuer).await;
    let token = shown(&issuer, "system/Consent.r");
    let denied = ask(&node, "TREAT", &token).await;
    assert_eq!(denied, (200, None, "CONSENT_DENY".into()), "no rule of theirs permits it");
    permit(&mut site, &node).await;
    let permitted = ask(&node, "TREAT", &token).await;
    assert_eq!(permitted, (200, None, "CONSENT_PERMIT".into()));

    // Keys are rolled while the node runs; a file that is none changes nothing.
    let next = Issuer::new();
    std::fs::write(site.beside("jwks.json"), "{\"keys\": [").unwrap();
    assert!(node.reload(&site.config).is_err());
    assert_eq!(ask(&node, "BTG", &token).await, (200, None, "CONSENT_DENY".into()));
    publish(&site, &next);
    node.reload(&site.config).unwrap();
    assert_eq!(ask(&node, "TREAT", &token).await.0, 401, "what the key before signed");
    let after = ask(&node, "TREAT", &shown(&next, "system/Consent.r")).await;
    assert_eq!(after, (200, None, "CONSENT_PERMIT".into()));

    node.submit(site.frame(1)).await.unwrap();
    let last = close_and_settle(&node).await;
    let (listed, accesses) = log(&site, &node, last).await;
    assert_eq!(accesses, 0);
    let asked: Vec<_> =
        listed.iter().map(|one| (one.requester.is_question(), one.uncovered.is_none())).collect();
    assert_eq!(asked, [(true, false), (true, true), (true, false), (true, true)]);
    let text = node.watched().metrics().text();
    for (answer, count) in
        [("permit", 2), ("deny", 2), ("decision-token", 3), ("decision-system", 1)]
    {
        let line = format!("vitals_consent_questions_total{{answer=\"{answer}\"}} {count}");
        assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
    }
    node.stop().await.unwrap();
}
