//! Every example, asked by rules and as a tree: both say the same of every claim of a grid.

use model::{
    Categories, Category, Claim, ClaimKind, Digest, Interval, Label, Millis, Party, PatientIndex,
    Position, Purpose, Record, Word, calendar,
};
use pcf::InUtc;
use serde_json::Value;
use statement::c2;

use crate::documents::{examples, names, record};
use crate::tree::{self, Asked};

const ACTORS: [(&str, &str); 5] = [
    ("Practitioner/ex-practitioner", "practitioner:dr-001"),
    ("Practitioner/somebody", "practitioner:dr-002"),
    ("Organization/ex-org-researcher", "organisation:research-lab"),
    ("Organization/another", "organisation:ward-3"),
    ("Group/ex-privilegedUsers", "care-team:emergency"),
];

/// Each purpose of a document with the claim that it is here.
const PURPOSES: [(&str, ClaimKind, Purpose); 7] = [
    ("TREAT", ClaimKind::Access, Purpose::Treatment),
    ("ETREAT", ClaimKind::Access, Purpose::EmergencyTreatment),
    ("HPAYMT", ClaimKind::Access, Purpose::Payment),
    ("HOPERAT", ClaimKind::Access, Purpose::Operations),
    ("HRESCH", ClaimKind::Access, Purpose::Research),
    ("FooBar", ClaimKind::Access, Purpose::PublicHealth),
    ("BTG", ClaimKind::BreakGlass, Purpose::EmergencyTreatment),
];

const LABELS: [(&str, Label); 4] = [
    ("N", Label::Normal),
    ("R", Label::Restricted),
    ("PSY", Label::Psychiatry),
    ("SDV", Label::DomesticViolence),
];

const AT: [&str; 3] = ["2022-06-15T12:00:00Z", "2022-12-31T23:59:59Z", "2023-01-01T00:00:00Z"];
const MEASURED: [&str; 3] =
    ["2021-12-31T23:59:59Z", "2022-06-15T12:00:00Z", "2023-01-01T00:00:00Z"];

const AUTHORS: [(&str, &str); 2] = [
    ("Practitioner/ex-practitioner", "practitioner:dr-001"),
    ("Device/monitor", "device:monitor-1"),
];

fn instant(text: &str) -> Millis {
    calendar::parse_instant(text).expect("an instant").millis()
}

fn word(name: &str) -> Word {
    pcf::Party::parse(name).expect("a name").word()
}

/// One question in both languages.
struct Both {
    asked: Asked,
    claim: Claim,
}

fn grid() -> Vec<Both> {
    let mut grid = Vec::new();
    for actor in ACTORS {
        for purpose in PURPOSES {
            for label in LABELS {
                for at in AT {
                    for measured in MEASURED {
                        let times = (at, measured);
                        grid.extend(AUTHORS.map(|by| both(actor, purpose, label, times, by)));
                    }
                }
            }
        }
    }
    grid
}

fn both(
    (actor, name): (&'static str, &str),
    (purpose, kind, means): (&'static str, ClaimKind, Purpose),
    (label, labelled): (&'static str, Label),
    (at, measured): (&'static str, &'static str),
    (author, source): (&'static str, &str),
) -> Both {
    let nobody = Word::from_u64(1);
    // Rules match an actor wherever a claim names it.
    let [mut individual, mut organisation, mut care_team] = [nobody, nobody, Word::ZERO];
    match name.split_once(':') {
        Some(("organisation", _)) => organisation = word(name),
        Some(("care-team", _)) => care_team = word(name),
        _ => individual = word(name),
    }
    let claim = Claim {
        patient: PatientIndex::new(7).expect("an index"),
        kind,
        individual,
        organisation,
        care_team,
        source: Party::Named(word(source)),
        categories: Category::Ecg.only(),
        purpose: means,
        labels: labelled.only(),
        receipt: Interval::instant(instant(at)),
        measured: Interval::instant(instant(measured)),
        position: Position(1),
        digest: Digest([1; 31]),
    };
    Both { asked: Asked { actor, purpose, label, at, measured, author }, claim }
}

/// How many claims a record covers, each as the tree says.
fn compare(name: &str, document: &Value, record: &Record, grid: &[Both]) -> usize {
    let mut covered = 0;
    for Both { asked, claim } in grid {
        let by_rules = c2::covers(Some(record), claim).is_ok();
        assert_eq!(by_rules, tree::permits(document, asked), "{name}: {asked:?}");
        covered += usize::from(by_rules);
    }
    covered
}

#[test]
fn a_tree_and_its_rules_say_the_same_of_47880_claims() {
    let grid = grid();
    let (mut claims, mut mixed) = (0, Vec::new());
    for example in examples("ihe-pcf") {
        let reading = pcf::read(&example.bytes, &names(), Some(&InUtc)).expect("a Consent");
        let Ok(reading) = reading.compiled() else { continue };
        let document: Value = serde_json::from_slice(&example.bytes).expect("JSON");
        let record = record(&reading.rules);
        let covered = compare(&example.name, &document, &record, &grid);
        claims += grid.len();
        if covered > 0 && covered < grid.len() {
            mixed.push(example.name);
        }
    }
    assert_eq!(claims, 47_880);
    // All but the one that rejects everything: a grid that is always refused would compare nothing.
    assert_eq!(mixed.len(), 18, "{mixed:?}");
}

#[test]
fn what_is_written_and_read_again_says_the_same_of_every_claim() {
    let grid = grid();
    for example in examples("ihe-pcf") {
        let Ok(reading) = crate::documents::reading(&example.bytes).compiled() else { continue };
        let record = record(&reading.rules);
        let again = crate::round_trip::again(&record);
        for Both { claim, .. } in &grid {
            let (before, after) =
                (c2::covers(Some(&record), claim), c2::covers(Some(&again), claim));
            assert_eq!(before.is_ok(), after.is_ok(), "{}", example.name);
        }
    }
}

#[test]
fn a_category_of_the_extension_is_asked_for_like_any_other_element() {
    let mut reading =
        crate::documents::reading(&crate::documents::example("ex-consent-basic-treat"));
    for one in &mut reading.rules {
        one.rule.categories = Category::Spo2.only();
    }
    let record = crate::round_trip::again(&record(&reading.rules));
    let grid = grid();
    let covered = |categories: Categories| {
        let claims = grid.iter().map(|both| Claim { categories, ..both.claim.clone() });
        claims.filter(|claim| c2::covers(Some(&record), claim).is_ok()).count()
    };
    assert_eq!(covered(Category::Ecg.only()), 0);
    assert!(covered(Category::Spo2.only()) > 0);
}
