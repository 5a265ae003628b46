//! The map by its example, and what is refused.

use model::calendar::{Written, parse_instant};

use crate::measure::Said;
use crate::{Cause, Coding, Foreign, Map, MapError, Unit};

const PAGE: &str = include_str!("../docs/map.md");

fn example() -> &'static str {
    let (_, rest) = PAGE.split_once("```toml\n").expect("an example");
    rest.split_once("```").expect("its end").0
}

fn map() -> Map {
    Map::parse(example()).expect("the page's example")
}

fn loinc(code: &str) -> Coding<'_> {
    Coding { system: "LN", code }
}

#[test]
fn the_page_shows_a_map() {
    let map = map();
    let hospital = |identifier| Foreign { authority: "HOSP", identifier };
    let other = Foreign { authority: "LAB", identifier: "4711" };
    assert_eq!(map.patient([other, hospital("4711")]).map(|one| one.get()), Ok(7));
    assert_eq!(map.patient([other]), Err(Cause::PatientUnknown));
    assert_eq!(map.patient([]), Err(Cause::PatientMissing));
}

#[test]
fn two_patients_of_one_message_are_none() {
    let text = "version = 1\n[[patient]]\nidentifier = \"a\"\npatient = 1\n[[patient]]\n\
                identifier = \"b\"\npatient = 2\n";
    let map = Map::parse(text).unwrap();
    let both = ["a", "b"].map(|identifier| Foreign { authority: "", identifier });
    assert_eq!(map.patient(both), Err(Cause::PatientAmbiguous));
}

#[test]
fn a_device_is_the_first_that_is_known_and_its_channel_where_there_is_one() {
    let map = map();
    let bed = Foreign { authority: "PV1-3", identifier: "ICU^201^A" };
    let monitor = Foreign { authority: "PHILIPS", identifier: "MX800-4453" };
    let stranger = Foreign { authority: "PHILIPS", identifier: "MX1" };
    let device = |all: &[Foreign<'_>], code| {
        let coding = Coding { system: "MDC", code };
        map.device(all.iter().copied(), &[coding]).map(|device| device.as_str().to_owned())
    };
    assert_eq!(device(&[stranger, monitor, bed], "147842"), Ok("monitor-0002".into()));
    assert_eq!(device(&[monitor], "131330"), Ok("monitor-0002-ii".into()));
    assert_eq!(device(&[bed, monitor], "131330"), Ok("monitor-0001".into()));
    assert_eq!(device(&[stranger], "147842"), Err(Cause::DeviceUnknown));
    assert_eq!(device(&[], "147842"), Err(Cause::DeviceMissing));
}

#[test]
fn a_value_is_exactly_what_its_unit_makes_of_it() {
    let map = map();
    for (code, value, unit, expected) in [
        ("8867-4", "72.5", "/min", 725),
        ("8867-4", "72", "Schl/min", 720),
        ("8867-4", "72", "264864", 720),
        ("8310-5", "98.6", "[degF]", 3700),
        ("15074-8", "5.5", "mmol/L", 991),
        ("2708-6", "0.975", "1", 9750),
        ("8480-6", "16", "kPa", 1200),
    ] {
        let measure = map.measure(&[loinc(code)]).unwrap();
        assert_eq!(measure.value(value, Some(Unit(unit))), Ok(Some(expected)), "{value} {unit}");
    }
}

#[test]
fn what_is_no_value_of_its_signal_is_refused_by_its_cause() {
    let map = map();
    for (code, value, unit, expected) in [
        ("8867-4", "72.55", "/min", "value-finer"),
        ("8867-4", "7200", "/min", "value-range"),
        ("8867-4", "72", "Cel", "unit-unknown"),
        ("8867-4", "72", "", "unit-missing"),
        ("8867-4", "0", "/min", "value-sentinel"),
        ("8867-4", "72 bpm", "/min", "not-a-number"),
    ] {
        let measure = map.measure(&[loinc(code)]).unwrap();
        let refused = measure.value(value, Some(Unit(unit))).unwrap_err();
        assert_eq!(refused.code(), expected, "{value} {unit}");
        assert!(!refused.to_string().contains("72"), "{refused} says the value");
    }
    let spo2 = map.measure(&[loinc("2708-6")]).unwrap();
    assert_eq!(spo2.value("0", Some(Unit("%"))), Ok(None), "the map says that it is none");
    let rounding = Map::parse("version = 1\nround = true").unwrap();
    let rate = rounding.measure(&[loinc("8867-4")]).unwrap();
    assert_eq!(rate.value("72.55", Some(Unit("/min"))), Ok(Some(726)));
}

#[test]
fn codes_lead_to_one_signal_or_to_none() {
    let map = map();
    let own = Coding { system: "99ACME", code: "HR" };
    let measure = map.measure(&[own, loinc("8867-4")]).unwrap();
    assert_eq!(measure.value("72", None), Ok(Some(720)), "the unit of the row");
    let cause = |codings: &[Coding<'_>]| map.measure(codings).map(|_| ()).unwrap_err();
    assert_eq!(cause(&[own, loinc("8310-5")]), Cause::CodeAmbiguous);
    assert_eq!(cause(&[loinc("8478-0")]), Cause::CodeUnknown);
    assert_eq!(cause(&[]), Cause::CodeMissing);
    // Of a pulse rate LOINC's translation is a rate of the heart: MDC says what it is, and a row
    // of either says the rest, but never another category.
    let pulse = Coding { system: "MDC", code: "149530" };
    let measure = map.measure(&[loinc("8867-4"), pulse]).unwrap();
    assert_eq!(measure.signal.name, "pulse-rate");
    let rate = Coding { system: "MDC", code: "147842" };
    let measure = map.measure(&[rate, own]).unwrap();
    assert_eq!(measure.value("72", None), Ok(Some(720)), "the unit of the row");
    assert_eq!(cause(&[pulse, loinc("9279-1")]), Cause::CodeAmbiguous);
    assert_eq!(cause(&[pulse, rate]), Cause::CodeAmbiguous);
}

#[test]
fn samples_are_what_the_message_says_and_else_the_map() {
    let map = map();
    let lead = map.measure(&[Coding { system: "MDC", code: "131329" }]).unwrap();
    let samples = lead.samples(Said::default()).unwrap();
    assert_eq!(samples.value("-29"), Ok(Some(-145)), "0.005 mV a step");
    assert_eq!(samples.value("5000"), Err(Cause::Range(lead.signal)));
    let factor = "0.0001".parse().ok();
    let samples = lead.samples(Said { factor, ..Said::default() }).unwrap();
    assert_eq!(samples.value("5006"), Ok(Some(501)), "rounded: a converter's step");
    assert!(lead.period().is_some());
}

#[test]
fn a_time_without_zone_is_placed_by_the_map_or_refused() {
    let local = Written::parse("2026-07-01T12:00").unwrap();
    let noon = parse_instant("2026-07-01T10:00Z").unwrap();
    assert_eq!(map().place(local), Ok(noon));
    let without = Map::parse("version = 1").unwrap();
    assert_eq!(without.place(local), Err(Cause::ZoneMissing));
    assert_eq!(without.place(Written::Instant(noon)), Ok(noon));
    let twice = Written::parse("2026-10-25T02:30").unwrap();
    assert_eq!(map().place(twice).unwrap_err().code(), "zone-time");
    let day = Written::parse("2026-10-25").unwrap();
    assert_eq!(map().place(day).unwrap_err().code(), "time-malformed");
}

#[test]
fn a_map_that_does_not_hold_is_refused_without_its_text() {
    let secret = "4711-anna";
    let patient = format!("[[patient]]\nidentifier = \"{secret}\"\n");
    let rate = "[[code]]\ncode = \"x\"\nsignal = \"ecg\"\n";
    for (text, expected) in [
        ("version = 2".to_owned(), "expected version 1"),
        (format!("version = 1\n{patient}"), "line 2: expected a map"),
        (format!("version = 1\n{patient}patient = \"{secret}\""), "another type"),
        (format!("version = 1\n{patient}patient = 1\n{secret} = 2"), "none that is read there"),
        (format!("version = 1\n{secret}"), "no TOML"),
        (format!("version = 1\nmissing = \"{secret}\""), "none of those"),
        (format!("version = 1\ncharset = \"{secret}\""), "none of those"),
        (format!("version = 1\nzone = \"{secret}\""), "`zone`: expected UTC"),
        (format!("version = 1\n{patient}patient = 4000000000"), "row 1 of [[patient]]"),
        (format!("version = 1\n{patient}patient = 1\n{patient}patient = 1"), "row 2"),
        (format!("version = 1\n{rate}unit = \"{secret}\""), "ecg in one of uV, nV, mV, V"),
        (format!("version = 1\n{rate}rate-hz = \"{secret}\""), "`rate-hz` as 360"),
        (format!("version = 1\n{rate}factor = \"{secret}\""), "decimal numbers"),
        (format!("version = 1\n[[unit]]\nunit = \"x\"\nis = \"{secret}\""), "row 1 of [[unit]]"),
        (format!("version = 1\n[[signal]]\nname = \"{secret}\""), "one of ecg, heart-rate"),
        (
            format!("version = 1\n[[device]]\nidentifier = \"x\"\ndevice = \"No {secret}\""),
            "a device of the registry",
        ),
    ] {
        let error = Map::parse(&text).err().unwrap_or_else(|| panic!("taken: {text}")).to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("anna"), "{error}");
    }
    let long = format!("version = 1\n#{}", " ".repeat(crate::MAP_BYTES_MAX));
    assert_eq!(Map::parse(&long).err(), Some(MapError::TooLong));
}
