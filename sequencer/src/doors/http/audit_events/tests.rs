use model::{
    Category, Claim, ClaimKind, Digest, Interval, Label, ManualClock, Party, Position, Purpose,
    Record, Window,
};
use statement::batch::ClaimOpening;
use statement::scope::{self, ActorKind, header_hash};
use tokens::{Scopes, User};

use super::*;
use crate::doors::token_issuer::tests::SmartServer;
use crate::folder::store::Settled;
use crate::folder::store::tests::empty_batch;
use crate::window::Assembled;

const VIEW_KEY: Word = Word::from_u64(77);

fn deployment() -> ChainScope {
    ChainScope { chain_id: 31337, contract: [0x5e; 20] }
}

fn at(ms: u64) -> Millis {
    Millis::new(ms).unwrap()
}

fn anna() -> PatientIndex {
    PatientIndex::new(7).unwrap()
}

fn bearer(scope: &str, user: Option<&str>, patient: Option<&str>) -> Bearer {
    let kind = UserKind::Practitioner;
    Bearer {
        subject: "desk-1".into(),
        user: user.map(|id| User { kind, id: id.into() }),
        patient: patient.map(str::to_owned),
        token_id: Some("7f3a".into()),
        scopes: Scopes::parse(scope),
        expires: at(9000),
    }
}

/// What a practitioner read, as an opening has it.
fn access(leaf: u32, who: &str) -> ClaimOpening {
    let claim = Claim {
        patient: anna(),
        kind: ClaimKind::Access,
        individual: scope::actor(ActorKind::Practitioner, who),
        organisation: Word::from_u64(5),
        care_team: Word::ZERO,
        source: Party::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        receipt: Interval::instant(at(1500)),
        measured: Interval::instant(at(1400)),
        position: Position(u64::from(leaf)),
        digest: Digest([leaf as u8; 31]),
    };
    let salt = Word::from_u64(9);
    ClaimOpening { chunk: 0, leaf, covered: true, claim, salt, request: Vec::new() }
}

/// A batch with these claims of Anna's.
fn batch(number: u64, previous: [u8; 32], claims: Vec<ClaimOpening>) -> Assembled {
    let window = Window::new(at(1000 * number), at(1000 * number + 1000)).unwrap();
    let mut batch = empty_batch(number, previous, Word::from_u64(7), window);
    let one = Word::from_u64(1);
    let opening = PatientOpening {
        batch: BatchNumber(number),
        patient: anna(),
        record: Record::enrolled(one, VIEW_KEY, one),
        path: [[Word::ZERO; 8]; 8],
        claims,
        operations: Vec::new(),
        refused: Vec::new(),
    };
    let scope = SealScope::of_header(deployment(), &batch.public.header);
    batch.private = PrivateFile::seal(&scope, &[opening]);
    batch.public.header.ciphertext_length = batch.private.to_bytes().len() as u64;
    batch
}

/// A store with two settled batches and one that is not, and who answers from it.
struct Bench {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    audit: AuditEvents,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let mut previous = [0; 32];
        let claims = [
            vec![access(0, "dr-001"), access(1, "dr-002")],
            vec![access(0, "dr-001")],
            vec![access(0, "dr-001")],
        ];
        for (number, claims) in (1..).zip(claims) {
            let batch = batch(number, previous, claims);
            previous = header_hash(&batch.public.header);
            store.save_batch(&batch, at(5000)).unwrap();
        }
        let settled = Settled { transaction: [1; 32], block: 1, lateness_ms: 1, gas: 1 };
        let settled = [1, 2].map(|number| (BatchNumber(number), Some(settled)));
        store.mark_settled(&settled).unwrap();
        let audit = AuditEvents::new(AuditSetup {
            issuer: Arc::new(SmartServer::new().issuer()),
            scope: deployment(),
            clock: Arc::new(ManualClock::fixed(at(6000))),
            reads: &folder.path().join("audit-reads.log"),
        });
        Bench { store, audit, folder }
    }

    fn reading(&self, asker: Asker, parameters: &[(&str, &str)]) -> Reading {
        let owned = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let search = Search::parse(&owned.collect::<Vec<_>>()).unwrap();
        let (store, audit) = (self.store.clone(), self.audit.clone());
        Reading { search, asker, view_key: Some(VIEW_KEY), store, audit }
    }

    /// References of what is found, and where the next page begins.
    fn find(&self, asker: Asker, parameters: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let reading = self.reading(asker, parameters);
        let (found, next) = reading.find(VIEW_KEY).map_err(|refused| refused.says).unwrap();
        (found.iter().map(Entry::reference).collect(), next.map(|next| next.to_string()))
    }
}

#[test]
fn settled_batches_are_shown_and_a_practitioner_sees_the_own_accesses() {
    let bench = Bench::new();
    let patient = [("patient", "7")];
    let (all, next) = bench.find(Asker::Patient(anna()), &patient);
    assert_eq!((all, next), (vec!["1.0.0".into(), "1.0.1".into(), "2.0.0".into()], None));
    let doctor = || Asker::Practitioner(PractitionerId::new("dr-002").unwrap());
    assert_eq!(bench.find(doctor(), &patient).0, ["1.0.1"]);
    let late = [("patient", "7"), ("_lastUpdated", "ge1900-01-01T00:00:03Z")];
    assert_eq!(bench.find(Asker::Auditor, &late).0, ["2.0.0"]);
}

#[test]
fn pages_lead_on_and_nothing_is_shown_twice_or_left_out() {
    let bench = Bench::new();
    let (mut shown, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..4 {
        let mut parameters = vec![("patient", "7"), ("_count", "1")];
        parameters.extend(cursor.as_deref().map(|cursor| ("_cursor", cursor)));
        let (found, next) = bench.find(Asker::Auditor, &parameters);
        assert!(found.len() <= 1);
        shown.extend(found);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((shown, cursor), (vec!["1.0.0".into(), "1.0.1".into(), "2.0.0".to_owned()], None));
}

#[test]
fn of_another_view_key_nothing_opens() {
    let bench = Bench::new();
    let reading = bench.reading(Asker::Auditor, &[("patient", "7")]);
    let (found, next) = reading.find(Word::from_u64(78)).map_err(|refused| refused.says).unwrap();
    assert_eq!((found.len(), next), (0, None));
}

#[test]
fn a_token_says_who_asks_by_the_widest_scope() {
    let asker = |scope, user, patient| {
        asker_of(&bearer(scope, user, patient)).map_err(|refused| refused.answer.code)
    };
    let (system, user) = ("system/AuditEvent.s", "user/AuditEvent.rs");
    assert!(asker(system, None, None) == Ok(Asker::Auditor));
    let both = format!("patient/AuditEvent.s {system}");
    assert!(asker(both.as_str(), None, Some("7")) == Ok(Asker::Auditor));
    let doctor = PractitionerId::new("dr-001").unwrap();
    assert!(asker(user, Some("dr-001"), None) == Ok(Asker::Practitioner(doctor)));
    let forbidden = codes::AUDIT_FORBIDDEN.code;
    assert!(asker(user, None, None) == Err(forbidden));
    assert!(asker(user, Some("Dr X"), None) == Err(forbidden));
    let patient = "patient/AuditEvent.s";
    assert!(asker(patient, None, Some("7")) == Ok(Asker::Patient(anna())));
    for other in [None, Some("x"), Some("99999999")] {
        assert!(asker(patient, None, other) == Err(forbidden));
    }
    for scope in ["", "system/AuditEvent.r", "system/Observation.s", "system/AuditEvent.s?date=x"] {
        assert!(asker(scope, Some("dr-001"), Some("7")) == Err(forbidden), "{scope}");
    }
}

#[test]
fn that_somebody_reads_is_a_line_before_it_is_shown() {
    let bench = Bench::new();
    let reading = bench.reading(Asker::Auditor, &[("patient", "7")]);
    reading.note(&bearer("system/AuditEvent.s", None, None), at(6000)).map_err(|e| e.says).unwrap();
    let lines = OperatorLog::new(&bench.folder.path().join("audit-reads.log")).last().unwrap();
    let [line] = lines.as_slice() else { panic!("expected one line: {lines:?}") };
    assert_eq!((line.order.as_str(), line.key.as_deref()), ("read-audit-events", Some("7")));
    let read = line.to.as_ref().unwrap();
    assert_eq!((&read["as"], &read["subject"]), (&"auditor".into(), &"desk-1".into()));
    // Where it cannot be written, nothing is shown.
    std::fs::remove_file(bench.folder.path().join("audit-reads.log")).unwrap();
    std::fs::create_dir(bench.folder.path().join("audit-reads.log")).unwrap();
    let refused = reading.note(&bearer("system/AuditEvent.s", None, None), at(6000));
    assert_eq!(refused.err().map(|refused| refused.answer.code), Some("audit-unavailable"));
}

#[tokio::test]
async fn what_is_refused_is_an_operation_outcome() {
    let refused = Refused::of_token(TokenError::Expired).into_response();
    assert_eq!(refused.status(), 401);
    let asks = refused.headers().get(header::WWW_AUTHENTICATE).unwrap();
    assert_eq!(asks, "Bearer error=\"invalid_token\", error_description=\"token-expired\"");
    let body = axum::body::to_bytes(refused.into_body(), 4096).await.unwrap();
    let outcome: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    assert_eq!(outcome["issue"][0]["details"]["coding"][0]["code"], "token-refused");
}
