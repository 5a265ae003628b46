//! Every example of a vital sign that HL7 publishes goes in, or is refused for the reason that
//! stands beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bridge::Map;
use fhir::{Bundle, BundleType, Defaults, Entry, Issue, Mapped, Observation, map_observation};
use model::DeviceId;

/// Names of the examples, as a hospital's map would have them.
pub(crate) const MAP: &str = r#"
version = 1
round = true
unknown = "refuse"

[[patient]]
identifier = "Patient/example"
patient = 1
[[patient]]
identifier = "Patient/f001"
patient = 2
[[patient]]
identifier = "Patient/patientExample-1"
patient = 3

[[device]]
identifier = "DeviceMetric/example"
device = "oximeter"
[[device]]
identifier = "Device/phd-74E8FFFEFF051C00.001C05FFE874"
device = "nonin-3230"
[[device]]
identifier = "Device/phd-711000FEFF5F49B0.B0495F001071"
device = "and-bpm"
[[device]]
identifier = "Device/phd-00601900010E9234.F45EABA80832"
device = "glucometer"

[[code]]
system = "MDC"
code = "131329"
signal = "ecg"
"#;

/// What becomes of an example: how many readings, or the code and the element.
type Row = (&'static str, Result<usize, (&'static str, &'static str)>);

const TIME: &str = "Observation.effectiveDateTime";
const CODE: &str = "Observation.code";

/// A day is no instant, and which of its seconds it was stands nowhere: most examples of R4.
const DATE_ONLY: Result<usize, (&str, &str)> = Err(("date-only", TIME));
/// What a device says of itself is no vital sign here.
const CODE_UNKNOWN: Result<usize, (&str, &str)> = Err(("code-unknown", CODE));

const PART_UNKNOWN: Result<usize, (&str, &str)> =
    Err(("code-unknown", "Observation.component[0].code"));

const ROWS: &[Row] = &[
    // A peak flow: no signal of this system, for a patient whom the map does not know.
    ("r4/Observation-656.json", Err(("patient-unknown", "Observation.subject"))),
    ("r4/Observation-blood-pressure.json", DATE_ONLY),
    ("r4/Observation-blood-pressure-dar.json", DATE_ONLY),
    ("r4/Observation-body-temperature.json", DATE_ONLY),
    // Three leads, and neither says in what its numbers are.
    (
        "r4/Observation-ekg.json",
        Err(("unit-missing", "Observation.component[0].valueSampledData.origin")),
    ),
    // It says itself that it is wrong.
    ("r4/Observation-f202.json", Err(("status", "Observation.status"))),
    ("r4/Observation-heart-rate.json", DATE_ONLY),
    ("r4/Observation-respiratory-rate.json", DATE_ONLY),
    ("r4/Observation-satO2.json", Ok(1)),
    ("r4/Observation-vitals-panel.json", Err(("panel-without-values", "Observation"))),
    ("r5/Observation-656.json", Err(("patient-unknown", "Observation.subject"))),
    ("r5/Observation-blood-pressure.json", DATE_ONLY),
    ("r5/Observation-body-temperature.json", DATE_ONLY),
    // R5 calls the period of samples otherwise: no valid R4.
    (
        "r5/Observation-ekg.json",
        Err(("element-missing", "Observation.component[0].valueSampledData.period")),
    ),
    ("r5/Observation-heart-rate.json", DATE_ONLY),
    ("r5/Observation-respiratory-rate.json", DATE_ONLY),
    ("r5/Observation-satO2.json", Ok(1)),
    ("r5/Observation-vitals-panel.json", Err(("panel-without-values", "Observation"))),
    // What a device says of itself, bit by bit.
    ("phd/bits-observation.json", PART_UNKNOWN),
    ("phd/bpm-status.json", PART_UNKNOWN),
    // Clocks of devices, whose subject is a device.
    ("phd/coin-20181119174911.json", Err(("patient-unknown", "Observation.subject"))),
    ("phd/coin-20181119202022.json", Err(("patient-unknown", "Observation.subject"))),
    ("phd/coin-example-1.json", Err(("patient-unknown", "Observation.subject"))),
    ("phd/coin-example-timefault.json", Err(("patient-unknown", "Observation.subject"))),
    // The mean pressure is no signal; where the map leaves unknown codes out, two readings go in.
    (
        "phd/compound-numeric-blood-pressure.json",
        Err(("code-unknown", "Observation.component[2].code")),
    ),
    (
        "phd/compound-numeric-blood-pressure-no-mean.json",
        Err(("code-unknown", "Observation.component[2].code")),
    ),
    (
        "phd/compound-observation-glucose.json",
        Err(("code-unknown", "Observation.component[1].code")),
    ),
    // Of plasma, which is another quantity than of whole blood.
    ("phd/glucose-observation.json", CODE_UNKNOWN),
    ("phd/meal-context-observation.json", CODE_UNKNOWN),
    ("phd/numeric-observation-not-a-number.json", CODE_UNKNOWN),
    // A value, and an alarm or the kind of value as a component: the latter are no signals.
    ("phd/numeric-spo2-alarm.json", PART_UNKNOWN),
    ("phd/numeric-spotnumeric.json", PART_UNKNOWN),
    // Between two of its samples stands another blank than the one of FHIR (U+00A0).
    ("phd/rtsa-example-2.json", Err(("sample-malformed", "Observation.valueSampledData.data"))),
    ("phd/rtsa-example.json", Ok(6)),
    ("phd/string-observation-1.json", CODE_UNKNOWN),
    ("phd/stringenum-1234.json", CODE_UNKNOWN),
    ("phd/temperature-observation.json", Ok(1)),
];

/// What becomes of each entry of these stands in a test of its own.
const BUNDLES: [&str; 2] = [CONTINUOUS, UPLOAD];
/// Observations of an oximeter, one after another.
const CONTINUOUS: &str = "phd/bundle-continuousnonin.json";
/// What a gateway uploads first: a patient and devices beside what was measured.
const UPLOAD: &str = "phd/bundle-example-1.json";

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples")
}

pub(crate) fn read(name: &str) -> Vec<u8> {
    std::fs::read(examples().join(name)).expect(name)
}

pub(crate) fn defaults() -> Defaults {
    Defaults { device: Some(DeviceId::new("written-down").unwrap()), period_at: None }
}

pub(crate) fn map(text: &str) -> Map {
    Map::parse(text).expect("a map")
}

fn take(bytes: &[u8], map: &Map) -> Result<Mapped, Issue> {
    map_observation(&Observation::parse(bytes)?, map, &defaults())
}

#[test]
fn every_example_goes_in_or_is_refused_for_its_reason() {
    let map = map(MAP);
    let wrong: Vec<_> = ROWS
        .iter()
        .filter_map(|(name, expected)| {
            let found = take(&read(name), &map).map(|mapped| mapped.measurements.len());
            let found = found.map_err(|issue| (issue.fault.code(), issue.expression));
            let expected = expected.map_err(|(code, at)| (code.to_owned(), at.to_owned()));
            (found != expected).then(|| format!("{name}: expected {expected:?}, found {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_of_the_examples_has_its_row() {
    let mut found = Vec::new();
    for folder in ["r4", "r5", "phd"] {
        for entry in std::fs::read_dir(examples().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name != "LICENSE.txt" {
                found.push(format!("{folder}/{name}"));
            }
        }
    }
    found.sort();
    let rows = ROWS.iter().map(|(name, _)| *name);
    let mut expected: Vec<_> = rows.chain(BUNDLES).map(str::to_owned).collect();
    expected.sort();
    assert_eq!(found, expected);
}

/// What was missing was the only thing: with a time of day the same bytes go in.
#[test]
fn a_time_of_day_is_all_that_the_examples_with_a_date_lack() {
    let map = map(MAP);
    let readings = BTreeMap::from([
        ("blood-pressure", vec![("bp-systolic", 1070), ("bp-diastolic", 600)]),
        // The other one was not performed: no reading, and no sensor that was off.
        ("blood-pressure-dar", vec![("bp-systolic", 1070)]),
        ("body-temperature", vec![("temperature", 3650)]),
        ("heart-rate", vec![("heart-rate", 440)]),
        ("respiratory-rate", vec![("respiration-rate", 260)]),
    ]);
    for (name, expected) in readings {
        let text = String::from_utf8(read(&format!("r4/Observation-{name}.json"))).unwrap();
        let timed = ["1999-07-02", "2012-09-17"].iter().fold(text, |text, day| {
            text.replace(
                &format!("\"effectiveDateTime\": \"{day}\""),
                &format!("\"effectiveDateTime\": \"{day}T08:30:00Z\""),
            )
        });
        let mapped = take(timed.as_bytes(), &map).expect(name);
        let found = mapped.measurements.iter().map(|one| (one.signal.name, one.value.unwrap()));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{name}");
        let left_out = usize::from(name == "blood-pressure-dar");
        assert_eq!(mapped.left_out.len(), left_out, "{name}");
    }
}

#[test]
fn a_map_that_leaves_unknown_codes_out_takes_the_rest_of_a_compound() {
    let map = map(&MAP.replace("\"refuse\"", "\"leave-out\""));
    let values = |name: &str| {
        let mapped = take(&read(name), &map).expect(name);
        let found = mapped.measurements.iter().map(|one| (one.signal.name, one.value.unwrap()));
        (found.collect::<Vec<_>>(), mapped.left_out.len())
    };
    let pressures = vec![("bp-systolic", 1160), ("bp-diastolic", 710)];
    let compound = "phd/compound-numeric-blood-pressure.json";
    assert_eq!(values(compound), (pressures.clone(), 1));
    assert_eq!(values("phd/compound-numeric-blood-pressure-no-mean.json"), (pressures, 1));
    // 6.3 mmol/L.
    assert_eq!(values("phd/compound-observation-glucose.json"), (vec![("glucose", 1135)], 2));
    assert_eq!(values("phd/bits-observation.json"), (vec![], 5));
    assert_eq!(values("phd/numeric-spo2-alarm.json"), (vec![("spo2", 7900)], 1));
    assert_eq!(values("phd/numeric-spotnumeric.json"), (vec![("pulse-rate", 480)], 1));
}

#[test]
fn three_leads_of_one_device_need_a_channel_each() {
    let ekg = String::from_utf8(read("r4/Observation-ekg.json")).unwrap();
    let ekg = ekg.replace("\"value\": 2048", "\"value\": -3300, \"code\": \"uV\"");
    let codes = |channels: &str| {
        let code = |code: &str| {
            format!("[[code]]\nsystem = \"MDC\"\ncode = \"{code}\"\nsignal = \"ecg\"\n")
        };
        let device = "[[device]]\nidentifier = \"ecg-cart\"\ndevice = \"cart\"\n";
        format!("{MAP}{}{}{device}{channels}", code("131330"), code("131389"))
    };
    let named =
        ekg.replace("\"display\": \"12 lead EKG Device Metric\"", "\"reference\": \"ecg-cart\"");
    let issue = take(named.as_bytes(), &map(&codes(""))).unwrap_err();
    assert_eq!(issue.fault.code(), "codes-meet");
    assert_eq!(issue.expression, "Observation.component[1].code");
    let channels = "channels = { \"131329\" = \"cart-i\", \"131330\" = \"cart-ii\" }\n";
    let mapped = take(named.as_bytes(), &map(&codes(channels))).expect("three leads");
    let mut devices: Vec<_> =
        mapped.measurements.iter().map(|one| one.device.to_string()).collect();
    devices.dedup();
    assert_eq!(devices, ["cart-i", "cart-ii", "cart"]);
    // The first sample is 2041 steps of 1.612 above -3300.
    assert_eq!(mapped.measurements[0].value, Some(-10));
    let apart_us = mapped.measurements[1].at.micros() - mapped.measurements[0].at.micros();
    assert_eq!(apart_us, 10_000);
}

#[test]
fn bundles_of_devices_are_read_entry_by_entry() {
    let map = map(&MAP.replace("\"refuse\"", "\"leave-out\""));
    let bundle = Bundle::parse(&read(CONTINUOUS)).unwrap();
    let mut found = BTreeMap::<_, usize>::new();
    for entry in &bundle.entries {
        let entry = entry.as_ref().expect("an Observation");
        let mapped = map_observation(&entry.observation, &map, &defaults()).unwrap();
        for one in &mapped.measurements {
            *found.entry(one.signal.name).or_default() += 1;
        }
    }
    assert_eq!(bundle.entries.len(), 47);
    assert_eq!(found, BTreeMap::from([("pulse-rate", 12), ("spo2", 12)]));
}

#[test]
fn an_upload_with_its_patient_and_devices_is_refused_at_those_and_at_who_is_meant() {
    let map = map(MAP);
    let bundle = Bundle::parse(&read(UPLOAD)).unwrap();
    assert_eq!(bundle.bundle_type, BundleType::Transaction);
    let outcome = |entry: &Result<Entry, Issue>| {
        let mapped =
            entry.clone().and_then(|entry| map_observation(&entry.observation, &map, &defaults()));
        let issue = mapped.expect_err("none of it can be taken as it is");
        format!("{} {}", issue.fault.code(), issue.expression)
    };
    let found: Vec<_> = bundle.entries.iter().map(outcome).collect();
    let entry = |n: usize, what: &str, at: &str| format!("{what} Bundle.entry[{n}].{at}");
    // Identifiers that are only of the Bundle are not followed: whose it is stands in no map.
    let request = |n| entry(n, "request", "request.url");
    let subject = |n| entry(n, "patient-unknown", "resource.subject");
    let expected = [request(0), request(1), request(2), subject(3), subject(4), subject(5)];
    assert_eq!(found, expected);
    // By a map with rows of them what was measured goes in, the pulse by its code of MDC.
    let row = |kind: &str, uuid: &str, is: &str| {
        format!("[[{kind}]]\nidentifier = \"urn:uuid:{uuid}\"\n{kind} = {is}\n")
    };
    let patient = row("patient", "5b7842fe-978d-4182-a41f-0d07a8617bc2", "4");
    let device = row("device", "c87cc91b-8b31-4e6f-b636-75e52891d10a", "\"nonin-3150\"");
    let leaves_out = MAP.replace("\"refuse\"", "\"leave-out\"");
    let map = self::map(&format!("{leaves_out}{patient}{device}"));
    let value = |n: usize| {
        let entry = bundle.entries[n].as_ref().expect("an Observation");
        let mapped = map_observation(&entry.observation, &map, &defaults()).expect("one value");
        let one = &mapped.measurements[0];
        (one.signal.name, one.value)
    };
    assert_eq!([4, 5].map(value), [("spo2", Some(9800)), ("pulse-rate", Some(470))]);
}
