//! Messages by the example of the page, and what is refused.

use bridge::{Map, Measurement, Refusal};
use recordings::Zone;
use recordings::decimal::to_decimal;

use crate::{Published, Taken, Topics, TopicsError};

const PAGE: &str = include_str!("../../docs/mqtt.md");

const MAP: &str = r#"
version = 1
zone = "Europe/Berlin"
patient = [
    { authority = "HOSP", identifier = "4711", patient = 7 },
    { authority = "STUDY", identifier = "anna", patient = 8 },
]
device = [
    { authority = "MQTT", identifier = "bed7", device = "monitor-0001" },
    { authority = "MQTT", identifier = "watch-3", device = "wearable-0003" },
]
code = [
    { system = "99ACME", code = "HR", signal = "heart-rate", unit = "/min" },
    { system = "99ACME", code = "AVG", signal = "heart-rate", unit = "/min" },
    { system = "omh", code = "heart-rate/average", signal = "heart-rate" },
]
"#;

/// The example of the page that begins with this line.
fn example(first: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(first).expect("an example");
    rest.split_once("```").expect("its end").0
}

fn topics() -> Topics {
    Topics::parse(example("```toml\n")).expect("the page's example")
}

fn read_with(map: &str, topic: &str, payload: &str) -> Result<Taken, Refusal> {
    let map = Map::parse(&format!("{map}{MAP}")).expect("a map");
    topics().read(Published { topic, payload: payload.as_bytes() }, &map)
}

fn read(topic: &str, payload: &str) -> Result<Taken, Refusal> {
    read_with("", topic, payload)
}

/// `device patient signal value time`, the value in the signal's unit.
fn shown(one: &Measurement) -> String {
    let value = one.value.map(|value| to_decimal(value, one.signal.decimals));
    let value = value.unwrap_or_else(|| "off".to_owned());
    let (device, patient) = (one.device.as_str(), one.patient.get());
    let utc: Zone = "UTC".parse().expect("a zone");
    format!("{device} {patient} {} {value} {}", one.signal.name, utc.show(one.at))
}

fn check(topic: &str, payload: &str, expected: &[&str]) {
    let taken = read(topic, payload).unwrap_or_else(|refusal| panic!("{payload}: {refusal}"));
    let found: Vec<_> = taken.readings.iter().map(shown).collect();
    assert_eq!(found, expected, "{payload}");
}

fn check_refused(topic: &str, payload: &str, (element, code): (&str, &str)) {
    let refusal = read(topic, payload).expect_err(payload);
    assert_eq!((refusal.element.as_str(), &*refusal.cause.code()), (element, code), "{payload}");
    let said = refusal.to_string();
    assert!(!said.contains("4711") && !said.contains("anna"), "{said} names somebody");
}

const VITALS: &str = "ward/3/4711/bed7/vitals";
const AT: &str = "2026-05-01T08:30:00Z";

#[test]
fn json_is_read_by_its_pointers() {
    check(
        VITALS,
        r#"{"id": "m-1", "ts": 1777624200, "hr": 72.5, "spo2": 97, "temp": {"v": "98.6", "u": "[degF]"}}"#,
        &[
            &format!("monitor-0001 7 heart-rate 72.5 {AT}"),
            &format!("monitor-0001 7 spo2 97.00 {AT}"),
            &format!("monitor-0001 7 temperature 37.00 {AT}"),
        ],
    );
    let taken = read(VITALS, r#"{"id": "m-1", "ts": 1777624200, "hr": 72}"#).unwrap();
    assert_eq!(taken.identity.as_deref(), Some("m-1"));
}

#[test]
fn a_value_that_is_not_there_was_not_measured_and_null_is_what_the_map_says() {
    check(
        VITALS,
        r#"{"id": 1, "ts": 1777624200, "spo2": 97}"#,
        &[&format!("monitor-0001 7 spo2 97.00 {AT}")],
    );
    let null = r#"{"id": 1, "ts": 1777624200, "hr": null, "spo2": 97}"#;
    let count = |map: &str| {
        let taken = read_with(map, VITALS, null)?;
        let off = taken.readings.iter().filter(|one| one.value.is_none()).count();
        Ok::<_, Refusal>((taken.readings.len(), off, taken.left_out_count))
    };
    assert_eq!(count(""), Ok((2, 1, 0)));
    assert_eq!(count("missing = \"leave-out\"\n"), Ok((1, 0, 1)));
    let refused = count("missing = \"refuse\"\n").unwrap_err();
    assert_eq!(refused.cause.code(), "value-missing");
}

#[test]
fn items_of_a_list_have_times_of_their_own() {
    check(
        "wearables/watch-3",
        r#"{"who": "anna", "samples": [
            {"at": "2026-05-01T10:30:00", "kind": "HR", "value": 61},
            {"at": "2026-05-01T08:30:01.25Z", "kind": "HR", "value": 6.2e1}]}"#,
        &[
            "wearable-0003 8 heart-rate 61.0 2026-05-01T08:30:00Z",
            "wearable-0003 8 heart-rate 62.0 2026-05-01T08:30:01.250Z",
        ],
    );
    let again = r#"{"who": "anna", "samples": [
        {"at": "2026-05-01T08:30Z", "kind": "HR", "value": 61},
        {"at": "2026-05-01T10:30:00+02:00", "kind": "HR", "value": 61.0}]}"#;
    let taken = read("wearables/watch-3", again).unwrap();
    assert_eq!((taken.readings.len(), taken.left_out_count), (1, 1));
    assert_eq!(taken.left_out[0].to_string().split(':').next(), Some("payload/samples/1/value"));
    assert_eq!(taken.left_out[0].cause.code(), "repeated");
    let unknown = r#"{"who": "anna", "samples": [
        {"at": "2026-05-01T08:30Z", "kind": "HR", "value": 61},
        {"at": "2026-05-01T08:30Z", "kind": "steps", "value": 9}]}"#;
    let taken = read("wearables/watch-3", unknown).unwrap();
    assert_eq!((taken.readings.len(), taken.left_out_count), (1, 1));
    assert_eq!(taken.left_out[0].element, "payload/samples/1/value");
}

#[test]
fn a_message_that_cannot_be_taken_is_refused_at_its_element() {
    for (payload, expected) in [
        ("\u{1}", ("payload", "malformed")),
        ("{\"id\": 1} {}", ("payload", "malformed")),
        ("{}", ("payload", "malformed")),
        (r#"{"id": 1, "ts": 1777624200}"#, ("payload", "nothing-taken")),
        (r#"{"id": 1, "hr": 72}"#, ("payload/hr", "time-missing")),
        (r#"{"id": 1, "ts": "2026-05-01T08:30Z", "hr": 72}"#, ("payload/ts", "time-malformed")),
        (r#"{"id": 1, "ts": -5e9, "hr": 72}"#, ("payload/ts", "time-malformed")),
        (r#"{"id": 1, "ts": 1777624200, "hr": "anna"}"#, ("payload/hr", "not-a-number")),
        (r#"{"id": 1, "ts": 1777624200, "hr": [4711]}"#, ("payload/hr", "value-type")),
        (r#"{"id": 1, "ts": 1777624200, "hr": 4711}"#, ("payload/hr", "value-range")),
        (r#"{"id": 1, "ts": 1777624200, "hr": 1, "hr": 2}"#, ("payload/hr", "malformed")),
        (r#"{"id": 1, "ts": 1777624200, "temp": {"v": 37}}"#, ("payload/temp/v", "unit-missing")),
    ] {
        check_refused(VITALS, payload, expected);
    }
    let good = r#"{"id": 1, "ts": 1777624200, "hr": 72}"#;
    for (topic, expected) in [
        ("ward/3/4712/bed7/vitals", ("topic, {patient}", "patient-unknown")),
        ("ward/3/4711/bed8/vitals", ("topic, {device}", "device-unknown")),
        ("ward/3/4711/bed7", ("topic", "unsupported")),
        ("spBv1.0/ward/DDATA/bed7", ("topic", "unsupported")),
    ] {
        check_refused(topic, good, expected);
    }
    let twice = r#"{"who": "anna", "samples": [
        {"at": "2026-05-01T08:30Z", "kind": "HR", "value": 61},
        {"at": "2026-05-01T08:30:00Z", "kind": "HR", "value": 62}]}"#;
    check_refused("wearables/watch-3", twice, ("payload/samples/1/value", "codes-meet"));
    // Of an average and a value nobody could tell later which was which, whenever they were.
    let codes = twice.replacen("\"HR\"", "\"AVG\"", 1).replace("08:30:00Z", "08:31:00Z");
    check_refused("wearables/watch-3", &codes, ("payload/samples/1/value", "codes-meet"));
    let item = r#"{"at": "2026-05-01T08:30Z", "kind": "HR", "value": 61}"#;
    let many = vec![item; crate::READINGS_MAX + 1].join(",");
    let many = format!(r#"{{"who": "anna", "samples": [{many}]}}"#);
    check_refused("wearables/watch-3", &many, ("payload/samples", "too-many"));
}

/// A data point of a schema with this body, taken on the example's topic for them.
fn point(schema: &str, body: &str) -> String {
    format!(
        r#"{{"header": {{"id": "p-1", "schema_id": {{"namespace": "omh", "name": "{schema}",
            "version": "2.0"}}}}, "body": {{{body},
            "effective_time_frame": {{"date_time": "2026-05-01T10:30:00+02:00"}}}}}}"#
    )
}

const OMH: &str = "omh/4711/bed7";

#[test]
fn every_schema_of_open_mhealth_is_its_signal() {
    for (schema, body, expected) in [
        ("heart-rate", r#""heart_rate": {"value": 50, "unit": "beats/min"}"#, "heart-rate 50.0"),
        (
            "oxygen-saturation",
            r#""oxygen_saturation": {"value": 96.5, "unit": "%"}, "system": "systemic""#,
            "spo2 96.50",
        ),
        (
            "body-temperature",
            r#""body_temperature": {"value": 98.6, "unit": "F"}, "measurement_location": "oral""#,
            "temperature 37.00",
        ),
        (
            "respiratory-rate",
            r#""respiratory_rate": {"value": 15.5, "unit": "breaths/min"}"#,
            "respiration-rate 15.5",
        ),
        (
            "blood-glucose",
            r#""blood_glucose": {"value": 95, "unit": "mg/dL"}, "specimen_source": "whole blood""#,
            "glucose 95.0",
        ),
        ("body-weight", r#""body_weight": {"value": 70.5, "unit": "kg"}"#, "weight 70.500"),
    ] {
        let (signal, value) = expected.split_once(' ').unwrap();
        check(OMH, &point(schema, body), &[&format!("monitor-0001 7 {signal} {value} {AT}")]);
    }
    let pressure = r#""systolic_blood_pressure": {"value": 120, "unit": "mmHg"},
        "diastolic_blood_pressure": {"value": 80, "unit": "mmHg"}"#;
    check(
        OMH,
        &point("blood-pressure", pressure),
        &[
            &format!("monitor-0001 7 bp-systolic 120.0 {AT}"),
            &format!("monitor-0001 7 bp-diastolic 80.0 {AT}"),
        ],
    );
    let taken = read(OMH, &point("blood-pressure", pressure)).unwrap();
    assert_eq!(taken.identity.as_deref(), Some("p-1"));
}

#[test]
fn what_makes_another_quantity_of_it_needs_a_row_of_the_map() {
    let rate = r#""heart_rate": {"value": 50, "unit": "beats/min"}"#;
    let average = format!(r#"{rate}, "descriptive_statistic": "average""#);
    check(OMH, &point("heart-rate", &average), &[&format!("monitor-0001 7 heart-rate 50.0 {AT}")]);
    let maximum = format!(r#"{rate}, "descriptive_statistic": "maximum""#);
    check_refused(
        OMH,
        &point("heart-rate", &maximum),
        ("payload/body/heart_rate/value", "code-unknown"),
    );
    let plasma = r#""blood_glucose": {"value": 95, "unit": "mg/dL"}, "specimen_source": "plasma""#;
    check_refused(
        OMH,
        &point("blood-glucose", plasma),
        ("payload/body/blood_glucose/value", "code-unknown"),
    );
}

#[test]
fn an_interval_is_placed_only_by_the_word_of_the_file() {
    let body = |frame: &str| {
        format!(
            r#"{{"heart_rate": {{"value": 50, "unit": "beats/min"}},
                "effective_time_frame": {{"time_interval": {{{frame}}}}}}}"#
        )
    };
    let both =
        r#""start_date_time": "2026-05-01T08:30:00Z", "end_date_time": "2026-05-01T08:31:00Z""#;
    // The second row for Open mHealth says that bodies of it are heart rates, placed at their end.
    check(
        "omh/heart/4711/bed7",
        &body(both),
        &["monitor-0001 7 heart-rate 50.0 2026-05-01T08:31:00Z"],
    );
    let start =
        r#""start_date_time": "2026-05-01T08:30:00Z", "duration": {"value": 1, "unit": "h"}"#;
    check_refused(
        "omh/heart/4711/bed7",
        &body(start),
        ("payload/effective_time_frame/time_interval", "time-missing"),
    );
    let point =
        format!(r#"{{"header": {{"schema_id": "omh:heart-rate:1.0"}}, "body": {}}}"#, body(both));
    let at = "payload/body/effective_time_frame/time_interval";
    check_refused(OMH, &point, (at, "unsupported"));
    let other = point.replace("omh:heart-rate", "omh:step-count");
    check_refused(OMH, &other, ("payload/header/schema_id", "unsupported"));
    check_refused(OMH, &body(both), ("payload", "malformed"));
}

#[test]
fn a_file_that_does_not_hold_is_refused_without_its_text() {
    let row = |keys: &str| {
        format!("version = 1\n[[topic]]\ntopic = \"a/{{device}}\"\npayload = \"json\"\n{keys}\n")
    };
    let whole = "patient-is = \"anna\"\ntime = \"/t\"\ntime-format = \"iso\"\n";
    let value = "[[topic.value]]\nat = \"/v\"\n";
    let omh = "[[topic]]\ntopic = \"a/{patient}/{device}\"\npayload = \"open-mhealth\"\n";
    for (text, expected) in [
        ("version = 2".to_owned(), "version 1"),
        ("version = 1".to_owned(), "1 to 256 rows"),
        (row("anna = 1"), "none that is read there"),
        (row("time-format = \"anna\""), "none of those"),
        (row("patient = [\"anna\"]"), "another type"),
        (row(""), "one of {patient} in the topic, `patient` and `patient-is`"),
        (row("patient-is = \"anna\"\ndevice = \"/d\""), "one of {device}"),
        (row("patient = \"anna\""), "pointers as /a/b"),
        (row("patient = \"/a~2b\""), "pointers as /a/b"),
        (row("patient-is = \"anna\""), "`time`, where"),
        (row("patient-is = \"anna\"\ntime = \"/t\""), "`time-format`"),
        (row(whole), "1 to 64 rows of [[topic.value]]"),
        (row(&format!("{whole}{value}")), "one of {code}"),
        (row(&format!("{whole}{value}code = \"x\"\nunit = \"x\"\nunit-at = \"/u\"")), "`unit-at`"),
        (row(&format!("{whole}interval = \"end\"\n{value}code = \"x\"")), "`interval`"),
        (format!("version = 1\n{omh}time = \"/t\""), "whose schemas say them"),
        (format!("version = 1\n{omh}schema = \"anna\""), "a `schema`"),
        (
            "version = 1\n[[topic]]\ntopic = \"spBv1.0/#\"\npayload = \"json\"".to_owned(),
            "Sparkplug B",
        ),
    ] {
        let error = Topics::parse(&text).err().unwrap_or_else(|| panic!("taken: {text}"));
        let error = error.to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("anna"), "{error}");
    }
    let long = format!("version = 1\n#{}", " ".repeat(crate::TOPICS_BYTES_MAX));
    assert_eq!(Topics::parse(&long).err(), Some(TopicsError::TooLong));
}

#[test]
fn no_mangled_message_ends_the_program_or_shows_itself() {
    let whole = [
        (VITALS, r#"{"id": "4711", "ts": 1777624200, "hr": 72, "temp": {"v": 37, "u": "Cel"}}"#),
        (
            "wearables/watch-3",
            r#"{"who": "anna", "samples": [{"at": "2026-05-01T08:30Z", "kind": "HR", "value": 6}]}"#,
        ),
        (OMH, &point("heart-rate", r#""heart_rate": {"value": 50, "unit": "beats/min"}"#)),
    ];
    let (map, topics) = (Map::parse(MAP).expect("a map"), topics());
    let mut refused = 0;
    for (topic, payload) in whole {
        for at in 0..payload.len() {
            let mut flipped = payload.as_bytes().to_vec();
            flipped[at] ^= 1 << (at % 8);
            for payload in [&payload.as_bytes()[..at], &flipped] {
                let read = topics.read(Published { topic, payload }, &map);
                let Err(refusal) = read else { continue };
                let said = format!("{refusal} {refusal:?}");
                assert!(!said.contains("4711") && !said.contains("anna"), "{said}");
                refused += 1;
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn what_nobody_sends_by_mistake_is_refused_at_its_element_at_the_cost_of_its_bytes() {
    let vitals =
        |hr: &str, more: &str| format!(r#"{{"id": 1, "ts": 1777624200, "hr": {hr}{more}}}"#);
    let long = "9".repeat(1_000_000);
    let hr = "payload/hr";
    check_refused(VITALS, &vitals(&long, ""), (hr, "too-many"));
    for number in ["1e999999999", "-1E-999999999", "\"NaN\"", "9999999999999999999999"] {
        check_refused(VITALS, &vitals(number, ""), (hr, "not-a-number"));
    }
    for text in [vitals("NaN", ""), "\u{feff}{}".to_owned(), "[".repeat(1 << 20)] {
        check_refused(VITALS, &text, ("payload", "malformed"));
    }
    // Nobody asks for what is deep here, and it costs no stack.
    let deep = format!(", \"x\": {}{}", "[".repeat(32_768), "]".repeat(32_768));
    let read = read(VITALS, &vitals("72", &deep));
    assert_eq!(read.map(|taken| taken.readings.len()), Ok(1));
    check_refused(VITALS, &vitals("\"\\ud800\"", ""), (hr, "malformed"));
    let many = r#"{"at": "2026-05-01T08:30Z", "kind": "HR"},"#.repeat(crate::READINGS_MAX + 1);
    let many = format!(r#"{{"who": "anna", "samples": [{}]}}"#, many.trim_end_matches(','));
    check_refused("wearables/watch-3", &many, ("payload/samples", "too-many"));
}

#[test]
fn a_topic_that_no_broker_delivers_is_none_of_the_file() {
    let long = "a/".repeat(32_767);
    for topic in ["", "ward/#", "ward/3/+/bed7/vitals/", "ward/3/4711/bed7/vitals\0", &long] {
        check_refused(topic, "{}", ("topic", "unsupported"));
    }
    // As a broker has it, `+` is no wildcard in a topic: nobody is called that.
    let payload = r#"{"id": 1, "ts": 1777624200, "hr": 72}"#;
    check_refused("ward/3/+/bed7/vitals", payload, ("topic, {patient}", "patient-unknown"));
}
