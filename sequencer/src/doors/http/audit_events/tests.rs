use model::ManualClock;
use tokens::{Scopes, User};

use super::*;
use crate::doors::token_issuer::tests::SmartServer;
use crate::folder::operator_log::FILE_BYTES_MAX;
use crate::folder::parts::tests::{
    VIEW_KEY, access, anna, at, deployment, settled_store, settled_store_of, swell,
};

/// Lines of one subject in a minute.
pub(in crate::doors::http) const PER_MINUTE: u64 = 6;

pub(in crate::doors::http) fn bearer(
    scope: &str,
    user: Option<&str>,
    patient: Option<&str>,
) -> Bearer {
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

/// A store with two settled batches and one that is not, and who answers from it.
pub(in crate::doors::http) struct Bench {
    pub(in crate::doors::http) folder: tempfile::TempDir,
    pub(in crate::doors::http) store: Arc<Store>,
    pub(in crate::doors::http) audit: AuditEvents,
}

impl Bench {
    pub(in crate::doors::http) fn new() -> Bench {
        let claims = [
            vec![access(0, "dr-001"), access(1, "dr-002")],
            vec![access(0, "dr-001")],
            vec![access(0, "dr-001")],
        ];
        Bench::of(|folder| settled_store(folder, claims, 2))
    }

    /// Of a store that is made in its folder.
    fn of(store: impl FnOnce(&Path) -> Arc<Store>) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let audit = AuditEvents::new(AuditSetup {
            issuer: Arc::new(SmartServer::new().issuer()),
            scope: deployment(),
            clock: Arc::new(ManualClock::fixed(at(6000))),
            reads: &folder.path().join("audit-reads.log"),
            reads_bytes: IntGauge::new("reads", "bytes").unwrap(),
            per_minute: PER_MINUTE,
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
        let found = found.iter().map(|found| found.entry.reference());
        (found.collect(), next.map(|next| next.to_string()))
    }

    /// The code of why a search finds nothing at all.
    fn refused(&self, parameters: &[(&str, &str)]) -> Option<&'static str> {
        let found = self.reading(Asker::Auditor, parameters).find(VIEW_KEY);
        found.err().map(|refused| refused.answer.code)
    }
}

/// A search of Anna's record by one more parameter.
fn by<'a>(name: &'a str, value: &'a str) -> [(&'a str, &'a str); 2] {
    [("patient", "7"), (name, value)]
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
fn a_time_is_found_on_the_first_page_however_many_batches_were_before_it() {
    let of_batch = |number| match number {
        1 | 258 => vec![access(0, "dr-001")],
        _ => Vec::new(),
    };
    let bench = Bench::of(|folder| settled_store(folder, (1..=259).map(of_batch), 259));
    // Without a time each batch may hold some: a page ends behind 256 of them, and leads on.
    let (found, next) = bench.find(Asker::Auditor, &[("patient", "7")]);
    let cursor = Cursor { batch: BatchNumber(257), claim: 0 }.to_string();
    assert_eq!((found, next.as_deref()), (vec!["1.0.0".to_owned()], Some(cursor.as_str())));
    let rest = (vec!["258.0.0".to_owned()], None);
    assert_eq!(bench.find(Asker::Auditor, &by("_cursor", &cursor)), rest);
    // Its window is the second from 258 s on, and it settled a millisecond after its end.
    for (name, value) in [
        ("date", "ge1900-01-01T00:02:00Z"),
        ("date", "1900-01-01T00:04:18.500Z"),
        ("_lastUpdated", "ge1900-01-01T00:04:19.001Z"),
        ("_lastUpdated", "1900-01-01T00:04:19.001Z"),
    ] {
        assert_eq!(bench.find(Asker::Auditor, &by(name, value)), rest, "{name}={value}");
    }
    for (name, value) in
        [("date", "le1900-01-01T00:02:00Z"), ("_lastUpdated", "lt1900-01-01T00:02:00Z")]
    {
        let first = (vec!["1.0.0".to_owned()], None);
        assert_eq!(bench.find(Asker::Auditor, &by(name, value)), first, "{name}={value}");
    }
    let none = (Vec::new(), None);
    assert_eq!(bench.find(Asker::Auditor, &by("date", "2026")), none);
    assert_eq!(bench.find(Asker::Auditor, &by("_cursor", &"f".repeat(24))), none);
}

#[test]
fn a_batch_in_the_archive_keeps_nothing_from_being_found_but_what_may_be_in_it() {
    let claims = [0; 4].map(|_| vec![access(0, "dr-001")]);
    let bench = Bench::of(|folder| settled_store(folder, claims, 4));
    for away in [1, 3] {
        assert!(bench.store.put_away_public(BatchNumber(away)).unwrap());
    }
    let unavailable = Some("audit-unavailable");
    assert_eq!(bench.refused(&[("patient", "7")]), unavailable);
    // Its window is the second from 2 s on.
    let of_second = || (vec!["2.0.0".to_owned()], None);
    let times = [("date", "ge1900-01-01T00:00:02Z"), ("date", "lt1900-01-01T00:00:03Z")];
    let search = [&[("patient", "7")], times.as_slice()].concat();
    assert_eq!(bench.find(Asker::Auditor, &search), of_second());
    let settled = by("_lastUpdated", "1900-01-01T00:00:03.001Z");
    assert_eq!(bench.find(Asker::Auditor, &settled), of_second());
    // What is before one that is needed is shown, and whoever goes on from there is told.
    let from_second = by("date", "ge1900-01-01T00:00:02Z");
    let (found, next) = bench.find(Asker::Auditor, &from_second);
    let cursor = Cursor { batch: BatchNumber(3), claim: 0 }.to_string();
    assert_eq!((found, next.as_deref()), (of_second().0, Some(cursor.as_str())));
    let on = [from_second.as_slice(), &[("_cursor", cursor.as_str())]].concat();
    assert_eq!(bench.refused(&on), unavailable);
    let last = by("date", "ge1900-01-01T00:00:04Z");
    assert_eq!(bench.find(Asker::Auditor, &last), (vec!["4.0.0".to_owned()], None));
}

#[test]
fn a_page_ends_behind_the_batch_with_which_64_mib_were_opened() {
    let claims = [0; 3].map(|_| vec![access(0, "dr-001")]);
    let bench = Bench::of(|folder| settled_store_of(folder, claims, 3, |it| swell(it, 32 << 20)));
    let (found, next) = bench.find(Asker::Auditor, &[("patient", "7")]);
    assert_eq!(found, ["1.0.0", "2.0.0"]);
    let cursor = next.expect("a third batch");
    let rest = (vec!["3.0.0".to_owned()], None);
    assert_eq!(bench.find(Asker::Auditor, &by("_cursor", &cursor)), rest);
}

#[test]
fn each_event_says_when_it_settled() {
    let bench = Bench::new();
    let (found, next) = bench
        .reading(Asker::Auditor, &[("patient", "7"), ("_count", "3")])
        .find(VIEW_KEY)
        .map_err(|refused| refused.says)
        .unwrap();
    assert_eq!((found.len(), next), (3, None));
    // One millisecond behind the ends of their windows.
    assert_eq!(
        found.iter().map(|found| found.settled.get()).collect::<Vec<_>>(),
        [2001, 2001, 3001]
    );
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
        let asker = asker_of(&bearer(scope, user, patient), Unnamed::IsThePatient);
        asker.map_err(|refused| refused.answer.code)
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
    for other in [None, Some("x"), Some("007"), Some("+7"), Some("99999999")] {
        assert!(asker(patient, None, other) == Err(forbidden));
    }
    for scope in ["", "system/AuditEvent.r", "system/Observation.s", "system/AuditEvent.s?date=x"] {
        assert!(asker(scope, Some("dr-001"), Some("7")) == Err(forbidden), "{scope}");
    }
}

/// An app that a clinician opens from a record is granted `patient/` scopes with that record.
#[test]
fn whoever_opens_an_app_from_a_record_is_not_its_patient() {
    let asker = |kind, id: &str| {
        let user = Some(User { kind, id: id.into() });
        let launched = Bearer { user, ..bearer("patient/AuditEvent.s", None, Some("7")) };
        asker_of(&launched, Unnamed::IsThePatient).map_err(|refused| refused.answer.code)
    };
    let forbidden = codes::AUDIT_FORBIDDEN.code;
    for kind in [UserKind::Practitioner, UserKind::PractitionerRole, UserKind::Person] {
        assert!(asker(kind, "dr-001") == Err(forbidden), "{kind:?}");
        assert!(asker(kind, "7") == Err(forbidden), "{kind:?}");
    }
    assert!(asker(UserKind::Patient, "8") == Err(forbidden));
    assert!(asker(UserKind::Patient, "7") == Ok(Asker::Patient(anna())));
    assert!(asker(UserKind::RelatedPerson, "mother-1") == Ok(Asker::Patient(anna())));
    // The own accesses are what the scope for users shows.
    let both = bearer("patient/AuditEvent.s user/AuditEvent.s", Some("dr-001"), Some("7"));
    let doctor = PractitionerId::new("dr-001").unwrap();
    let found = asker_of(&both, Unnamed::IsThePatient).map_err(|refused| refused.answer.code);
    assert!(found == Ok(Asker::Practitioner(doctor)));
}

#[test]
fn a_token_that_names_no_user_is_nobodys_unless_the_operator_says_that_it_is_the_patients() {
    let launched = bearer("patient/AuditEvent.s", None, Some("7"));
    let by_default = Bench::new().audit.unnamed();
    let refused = asker_of(&launched, by_default).err().unwrap();
    assert_eq!(refused.answer.code, codes::AUDIT_FORBIDDEN.code);
    assert!(refused.says.contains("tokens.requires_fhir_user"), "{}", refused.says);
    let user = Some(User { kind: UserKind::Patient, id: "7".into() });
    let named = Bearer { user, ..bearer("patient/AuditEvent.s", None, Some("7")) };
    assert!(asker_of(&named, by_default).ok() == Some(Asker::Patient(anna())));
    // Scopes of users and systems need none.
    let system = bearer("system/AuditEvent.s patient/AuditEvent.s", None, Some("7"));
    assert!(asker_of(&system, by_default).ok() == Some(Asker::Auditor));
    assert!(asker_of(&launched, Unnamed::IsThePatient).ok() == Some(Asker::Patient(anna())));
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

#[test]
fn a_full_log_of_reads_passes_the_limit_of_its_alert_and_nothing_is_shown() {
    let bench = Bench::new();
    let reading = bench.reading(Asker::Auditor, &[("patient", "7")]);
    let note = || {
        let noted = reading.note(&bearer("system/AuditEvent.s", None, None), at(6000));
        (noted.err().map(|refused| refused.answer.code), bench.audit.0.reads_bytes.get())
    };
    let (refused, bytes) = note();
    assert!(refused.is_none() && bytes > 0);
    // Without blocks behind it: nothing is written for the test.
    let log = bench.folder.path().join("audit-reads.log");
    let file = std::fs::File::options().write(true).open(log).unwrap();
    file.set_len(FILE_BYTES_MAX).unwrap();
    assert_eq!(note(), (Some("audit-unavailable"), 67_108_864));
}

#[test]
fn one_subject_makes_so_many_lines_a_minute_and_no_other_waits_for_it() {
    let bench = Bench::new();
    let desk = bearer("system/AuditEvent.s", None, None);
    let refused = |bearer: &Bearer| bench.audit.admit(bearer).err().map(|why| why.answer.code);
    for _ in 0..PER_MINUTE {
        assert_eq!(refused(&desk), None);
    }
    assert_eq!(refused(&desk), Some("reads-too-often"));
    assert_eq!(refused(&Bearer { subject: "desk-2".into(), ..desk }), None);
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
