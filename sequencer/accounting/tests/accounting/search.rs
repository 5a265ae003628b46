//! Searches for AuditEvents: what is found, by whom, and what is refused.

use accounting::{Asker, Entry, Found, Page, Search, SearchError};
use model::{BatchNumber, Millis, PatientIndex, PractitionerId};

use crate::claims::{Access, RESEARCH, at, collection, deployment, entry, patient};

fn read(parameters: &[(&str, &str)]) -> Result<Search, SearchError> {
    let owned = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Search::parse(&owned.collect::<Vec<_>>())
}

fn doctor(name: &str) -> Asker {
    Asker::Practitioner(PractitionerId::new(name).expect("a name"))
}

/// Two accesses of two doctors and a collection, on the first three days.
fn entries() -> [Entry; 3] {
    let other = Access { who: "dr-002", day: 2, ..RESEARCH };
    [RESEARCH.entry(), other.entry(), entry(collection(3))]
}

/// Days of what is found.
fn found(asker: &Asker, parameters: &[(&str, &str)]) -> Vec<u32> {
    let all = [&[("patient", "7")], parameters].concat();
    let search = read(&all).expect("a search");
    let entries = entries();
    let wanted = entries.iter().filter(|entry| search.wants(asker, entry));
    wanted.map(|entry| entry.place().1).collect()
}

#[test]
fn a_patient_and_an_auditor_see_all_and_a_practitioner_what_they_read() {
    assert_eq!(found(&Asker::Patient(patient()), &[]), [1, 2, 3]);
    assert_eq!(found(&Asker::Auditor, &[]), [1, 2, 3]);
    assert_eq!(found(&doctor("dr-002"), &[]), [2]);
    // A device of that name is nobody's account.
    assert!(found(&doctor("monitor-1"), &[]).is_empty());
    let search = read(&[("patient", "7")]).expect("a search");
    let other = PatientIndex::new(8).expect("24 bits");
    assert_eq!(search.allow(&Asker::Patient(other)), Err(SearchError::Forbidden));
    assert_eq!(search.allow(&Asker::Patient(patient())), Ok(()));
    // Asked again of each claim: nothing is seen because a check before it was left out.
    assert!(entries().iter().all(|entry| !search.wants(&Asker::Patient(other), entry)));
}

#[test]
fn dates_and_agents_narrow_what_is_found() {
    let of = |parameters: &[(&str, &str)]| found(&Asker::Auditor, parameters);
    // The first day is 2026-10-04, at 07:06:40.
    assert_eq!(of(&[("date", "2026-10-05")]), [2]);
    assert_eq!(of(&[("date", "ge2026-10-05")]), [2, 3]);
    assert_eq!(of(&[("date", "gt2026-10-05")]), [3]);
    assert_eq!(of(&[("date", "le2026-10-05")]), [1, 2]);
    assert_eq!(of(&[("date", "lt2026-10-05")]), [1]);
    assert_eq!(of(&[("date", "2026-10")]), [1, 2, 3]);
    assert_eq!(of(&[("date", "ge2026-10-05"), ("date", "lt2026-10-06")]), [2]);
    assert_eq!(of(&[("date", "eq2026-10-04T07:06:40Z")]), [1]);
    assert_eq!(of(&[("date", "gt2026-10-04T09:06:40+02:00")]), [2, 3]);
    assert_eq!(of(&[("agent", "Practitioner/dr-001")]), [1]);
    assert_eq!(of(&[("agent", "Organization/ward-3")]), [1, 2, 3]);
    assert!(of(&[("agent", "Organization/ward-4")]).is_empty());
}

/// Seconds from when times are counted.
fn second(count: u64) -> Millis {
    Millis::new(1000 * count).expect("48 bits")
}

fn of(parameter: &str, value: &str) -> Search {
    read(&[("patient", "7"), (parameter, value)]).expect("a search")
}

#[test]
fn batches_are_chosen_by_when_they_settled() {
    let (day, other) = (at(1), at(2));
    let (from, until) = (of("_lastUpdated", "ge2026-10-05"), of("_lastUpdated", "lt2026-10-05"));
    // When its window was says nothing of that.
    for window in [second(1), at(9)] {
        assert_eq!([day, other].map(|settled| from.is_before(window, settled)), [true, false]);
        assert_eq!([day, other].map(|settled| from.is_behind(window, settled)), [false, false]);
        assert_eq!([day, other].map(|settled| until.is_before(window, settled)), [false, false]);
        assert_eq!([day, other].map(|settled| until.is_behind(window, settled)), [false, true]);
    }
}

/// Against the simplest model: every instant that a claim of the window may have.
#[test]
fn a_batch_is_passed_over_where_no_instant_of_its_window_is_asked_for_and_nowhere_else() {
    let settled = second(100);
    for prefix in ["eq", "ge", "gt", "le", "lt"] {
        let search = of("date", &format!("{prefix}1900-01-01T00:00:04Z"));
        // One with `eq` is that millisecond.
        let asked = |ms: u64| match prefix {
            "eq" => ms == 4000,
            "ge" => ms >= 4000,
            "gt" => ms > 4000,
            "le" => ms <= 4000,
            _ => ms < 4000,
        };
        for (begin, end) in (0..9).flat_map(|begin| (begin + 1..10).map(move |end| (begin, end))) {
            let is_read = !search.is_before(second(end), settled)
                && !search.is_behind(second(begin), settled);
            let has_any = (1000 * begin..1000 * end).any(asked);
            assert_eq!(is_read, has_any, "{prefix} of {begin} to {end}");
        }
    }
}

#[test]
fn what_is_no_search_is_refused_and_nothing_is_passed_over() {
    let refused = |parameters: &[(&str, &str)]| read(parameters).err();
    assert_eq!(refused(&[]), Some(SearchError::Patient));
    let wrong = ["", "x", "-7", "+7", "007", "16777216", "Patient/", "Group/7", "Patient/07"];
    for patient in wrong {
        assert_eq!(refused(&[("patient", patient)]), Some(SearchError::Patient), "{patient}");
    }
    assert_eq!(refused(&[("patient", "7"), ("patient", "8")]), Some(SearchError::Patient));
    for name in ["subject", "entity", "_include", "patient:identifier", "_sort"] {
        assert_eq!(refused(&[("patient", "7"), (name, "x")]), Some(SearchError::Unknown), "{name}");
    }
    let values = [
        ("date", "yesterday"),
        ("date", "ne2026-10-05"),
        ("date", "2026-10-05T08:00"),
        ("date", "now"),
        ("date", "\u{e9}2026"),
        ("date", "g"),
        ("_lastUpdated", ""),
        ("agent", "dr-001"),
        ("agent", "Practitioner/Dr X"),
        ("_count", "0"),
        ("_count", "-1"),
        ("_count", "+5"),
        ("_count", "05"),
        ("_cursor", "00"),
        ("_cursor", "../../etc/passwd"),
        ("_format", "xml"),
    ];
    for (name, value) in values {
        let refused = refused(&[("patient", "7"), (name, value)]);
        assert!(refused.is_some(), "{name}={value}");
        let text = refused.map(|error| error.to_string()).unwrap_or_default();
        assert!(value.len() < 3 || !text.contains(value), "{text}");
    }
    let many = vec![("date", "2026"); 16];
    assert_eq!(refused(&[vec![("patient", "7")], many].concat()), Some(SearchError::Many));
}

/// The claim, of a batch that settled on that day.
fn settled(entry: &Entry, day: u64) -> Found {
    Found { entry: entry.clone(), settled: at(day) }
}

#[test]
fn a_page_is_a_searchset_whose_links_lead_on() {
    let asked =
        [("patient", "Patient/7"), ("date", "ge2026-10-01T00:00:00+02:00"), ("_count", "2")];
    let search = read(&asked).expect("a search");
    let next = accounting::Cursor { batch: BatchNumber(4), claim: 2 };
    let page = Page {
        entries: entries()[..2].iter().map(|entry| settled(entry, 4)).collect(),
        next: Some(next),
        base: "https://node.example.org/fhir",
        scope: deployment(),
    };
    let bundle = search.bundle(&page);
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&"Bundle".into(), &"searchset".into()));
    assert_eq!(bundle["entry"].as_array().map(Vec::len), Some(4), "two events an access");
    assert_eq!(bundle["entry"][0]["search"]["mode"], "match");
    for entry in bundle["entry"].as_array().expect("entries") {
        // What a poller goes on from is read by the search itself.
        let updated = entry["resource"]["meta"]["lastUpdated"].as_str().expect("a time");
        assert_eq!(updated, "2026-10-07T07:06:40.000Z");
        let on = of("_lastUpdated", &format!("ge{updated}"));
        assert_eq!([3, 4].map(|day| on.is_before(at(9), at(day))), [true, false]);
    }
    let url = bundle["link"][1]["url"].as_str().expect("a link");
    assert_eq!(
        url,
        "https://node.example.org/fhir/AuditEvent?patient=Patient%2F7&\
         date=ge2026-10-01T00%3A00%3A00%2B02%3A00&_count=2&_cursor=000000000000000400000002"
    );
    let on = read(&[asked.as_slice(), &[("_cursor", "000000000000000400000002")]].concat());
    assert_eq!(on.map(|search| (search.from, search.count)), Ok((next, 2)));
    let none = Page { entries: Vec::new(), next: None, ..page };
    let bundle = search.bundle(&none);
    assert_eq!(bundle["link"].as_array().map(Vec::len), Some(1));
    assert!(bundle.get("entry").is_none());
    assert_eq!(read(&[("patient", "7"), ("_count", "9999")]).map(|search| search.count), Ok(200));
}
