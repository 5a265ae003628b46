//! The conformance profile: what it says of each component is what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{MESSAGE, Name, PAGE_COMPONENTS, rows, take, with};
use crate::{Fault, Header, Report};

/// Components of the fields in the standard's newest version, and some more.
const COMPONENTS_MAX: usize = 24;

/// A component of a field, as `OBX-3.1`.
type Component<'a> = (Name<'a>, usize);

/// Messages in which other fields decide than in the example.
fn bases() -> [String; 6] {
    let bed = with(MESSAGE, ("OBX", 18), "");
    let universal = with(MESSAGE, ("OBX", 18), "^^0003^EUI-64");
    let request = with(MESSAGE, ("OBX", 14), "");
    let alternate = with(MESSAGE, ("OBX", 3), "X^^LN^8867-4^^LN");
    let alternate = with(&alternate, ("OBX", 6), "^^^/min");
    // With a rate that says its unit by its name.
    let samples = MESSAGE.replace("8867-4^^LN|1.1|72|/min", "131328^^MDC|1.1|1^2^3|uV");
    let rate = "OBX|2|NM|67981^MDC_ATTR_SAMP_RATE^MDC|1.1.1|500|X^MDC_DIM_PER_SEC|||||R";
    let samples = format!("{}\r{rate}", samples.replace("OBX|1|NM", "OBX|1|NA"));
    [MESSAGE.to_owned(), bed, universal, request, alternate, samples]
}

/// What becomes of a message: what is taken, and what it is known by.
fn outcome(text: &str) -> (Result<Report, Vec<Fault>>, [String; 3]) {
    let header = Header::read(text.as_bytes());
    (take(text), header.identity().map(str::to_owned))
}

fn component(text: &str) -> Component<'_> {
    let (field, number) = text.split_once('.').expect("a component");
    (super::name(field), number.parse().expect("a number"))
}

/// Usages of the components that are read.
fn usages() -> BTreeMap<Component<'static>, &'static str> {
    rows(PAGE_COMPONENTS).into_iter().map(|row| (component(row[0]), row[1])).collect()
}

/// The message with another text in a component, of each segment that has the field's name.
fn put(text: &str, ((segment, field), number): Component<'_>, inside: &str) -> String {
    // MSH-1 is the separator itself.
    let at = if segment == "MSH" { field - 1 } else { field };
    let set = |line: &str| {
        let mut fields: Vec<String> = line.split('|').map(str::to_owned).collect();
        if fields[0] != segment {
            return line.to_owned();
        }
        fields.resize(fields.len().max(at + 1), String::new());
        let mut parts: Vec<&str> = fields[at].split('^').collect();
        parts.resize(parts.len().max(number), "");
        parts[number - 1] = inside;
        fields[at] = parts.join("^");
        fields.join("|")
    };
    text.split('\r').map(set).collect::<Vec<_>>().join("\r")
}

#[test]
fn every_component_is_needed_read_or_passed_over_as_the_profile_says() {
    let usages = usages();
    assert!(usages.len() > 20, "the table is read: {}", usages.len());
    let fields: BTreeSet<_> = usages.keys().map(|(name, _)| *name).collect();
    for name in fields {
        for number in 1..=COMPONENTS_MAX {
            let one = (name, number);
            match usages.get(&one).copied() {
                Some("R") => {
                    let faults = take(&put(MESSAGE, one, "")).expect_err(&format!("{one:?}"));
                    let place = faults[0].place.expect("a place");
                    assert_eq!((place.segment, place.field), name, "{one:?}");
                }
                Some("RE") => assert!(take(&put(MESSAGE, one, "")).is_ok(), "{one:?}"),
                Some(usage) => assert_eq!(usage, "C", "{one:?}"),
                // Of a character set that is not known nothing can be read.
                None if name == ("MSH", 18) => {
                    assert!(take(&put(MESSAGE, one, "ZZZ")).is_err(), "{one:?}");
                }
                None => {
                    for base in bases() {
                        let other = put(&base, one, "ZZZ&Z");
                        assert_eq!(outcome(&other), outcome(&base), "{one:?} is passed over");
                    }
                }
            }
        }
    }
}

#[test]
fn every_component_that_the_profile_lists_is_read() {
    let [whole, _, universal, request, alternate, samples] = &bases();
    let unknown = &with(MESSAGE, ("OBX", 3), "X^^LN");
    let probes = [
        ("MSH-9.1", whole, "ACK"),
        ("MSH-9.2", whole, "R40"),
        ("MSH-11.1", whole, "T"),
        ("MSH-12.1", whole, "3.0"),
        ("MSH-18.1", whole, "KS X 1001"),
        ("PID-3.1", whole, "4712"),
        ("PID-3.4", whole, "OTHER"),
        ("OBR-7.1", request, "20260501113000+0000"),
        ("OBX-3.1", whole, "X"),
        ("OBX-3.2", unknown, "MDC_ATTR_X"),
        ("OBX-3.3", whole, "MDC"),
        ("OBX-3.4", alternate, "X"),
        ("OBX-3.6", alternate, "MDC"),
        ("OBX-6.1", whole, "mm[Hg]"),
        ("OBX-6.2", samples, "MDC_DIM_HOUR"),
        ("OBX-6.4", alternate, "mm[Hg]"),
        ("OBX-8.1", whole, "INV"),
        ("OBX-14.1", whole, "20260501113000+0000"),
        ("OBX-18.1", whole, "M2"),
        ("OBX-18.2", whole, "OTHER"),
        ("OBX-18.3", universal, "0004"),
        ("OBX-18.4", universal, "OTHER"),
    ];
    for base in [whole, universal, request, alternate, samples] {
        assert!(take(base).is_ok(), "{base}: {:?}", take(base));
    }
    let mut probed = BTreeSet::new();
    for (text, base, inside) in probes {
        let one = component(text);
        assert_ne!(outcome(&put(base, one, inside)), outcome(base), "{text} is read");
        probed.insert(one);
    }
    assert_eq!(probed, usages().into_keys().collect());
}

#[test]
fn both_parts_of_who_assigned_an_identifier_are_read() {
    let authority = |text: &str| take(&put(MESSAGE, (("PID", 3), 4), text));
    let whole = take(MESSAGE);
    for same in ["HOSP&1.2.9&ISO", "OTHER&HOSP", "&HOSP", "HOSP&&ZZZ"] {
        assert_eq!(authority(same), whole, "{same}");
    }
    for other in ["OTHER&1.2.9&HOSP", "OTHER", "&&HOSP"] {
        assert!(authority(other).is_err(), "{other}");
    }
}

#[test]
fn components_of_a_value_are_those_of_its_type() {
    let value = |kind: &str, value: &str| {
        let text = with(MESSAGE, ("OBX", 2), kind);
        take(&with(&text, ("OBX", 5), value))
    };
    let whole = take(MESSAGE);
    assert_eq!(value("NM", "72"), whole);
    assert!(value("NM", "72^Z").is_err() && value("NM", "^72").is_err());
    for same in ["^72", "=^72", "^72^", "^72^^^ZZZ"] {
        assert_eq!(value("SN", same), whole, "{same}");
    }
    for other in [">^72", "^72^-^80", "^72^^80", "^^^72", "^73"] {
        assert_ne!(value("SN", other), whole, "{other}");
    }
    let [.., samples] = bases();
    let count = |value: &str| {
        let text = samples.replacen("|1^2^3|", &format!("|{value}|"), 1);
        take(&text).map(|report| report.readings.len())
    };
    assert_eq!([count("1^2^3"), count("1^2^3^4"), count("1")], [Ok(3), Ok(4), Ok(1)]);
    assert!(count("1^2^Z").is_err());
}

#[test]
fn a_field_without_components_is_another_text_with_one_more() {
    let [whole, bed, ..] = &bases();
    for (segment, number) in [("MSH", 3), ("MSH", 4), ("MSH", 10), ("OBX", 2), ("OBX", 11)] {
        let one = ((segment, number), 2);
        assert_ne!(outcome(&put(whole, one, "ZZZ")), outcome(whole), "{segment}-{number}");
    }
    // A bed is each of its components.
    for number in 1..=COMPONENTS_MAX {
        let other = put(bed, (("PV1", 3), number), "ZZZ");
        assert!(take(&other).is_err(), "component {number} of a bed");
    }
}
