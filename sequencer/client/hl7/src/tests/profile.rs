//! The conformance profile: what its tables say of each field is what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use bridge::{Cause, Map};
use model::Millis;

use crate::{Fault, Header, Outcome, Own, Report, answers, read};

mod components;

/// The heading of the table of components.
const PAGE_COMPONENTS: &str = "Components that are read";

const PAGE: &str = include_str!("../../docs/profile.md");

/// Every way to name a device leads to the same one.
const MAP: &str = "version = 1\n[[patient]]\nauthority = \"HOSP\"\nidentifier = \"4711\"\npatient = 7\n\
    [[device]]\nauthority = \"PV1-3\"\nidentifier = \"ICU^201\"\ndevice = \"monitor\"\n\
    [[device]]\nauthority = \"ACME\"\nidentifier = \"M1\"\ndevice = \"monitor\"\n\
    [[device]]\nauthority = \"EUI-64\"\nidentifier = \"0003\"\ndevice = \"monitor\"\n";

/// Every field that is read is filled.
const MESSAGE: &str = "MSH|^~\\&|MON|ICU|VITALS|HOSP|20260501||ORU^R01|1001|P|2.6|||AL|AL||ASCII\r\
    PID|||4711^^^HOSP\rPV1|||ICU^201\rOBR|1||||||20260501103000+0000\r\
    OBX|1|NM|8867-4^^LN|1.1|72|/min||N|||F|||20260501103000+0000||||M1^ACME";

/// Fields of the segments in the standard's newest version, and some more.
const FIELDS_MAX: usize = 60;

/// A field, as `OBX-3`.
type Name<'a> = (&'a str, usize);

/// The rows of the table below a heading, cell by cell.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, below) = PAGE.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let below = below.split("\n## ").next().unwrap_or_default();
    let lines = below.lines().filter(|line| line.starts_with("| ")).skip(1);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn name(text: &str) -> Name<'_> {
    let (segment, number) = text.split_once('-').expect("a field");
    (segment, number.parse().expect("a number"))
}

/// Usages of the fields that are read.
fn usages() -> BTreeMap<Name<'static>, &'static str> {
    rows("Fields that are read").into_iter().map(|row| (name(row[0]), row[3])).collect()
}

/// The message with another text in a field.
fn with(text: &str, (segment, number): Name<'_>, inside: &str) -> String {
    let set = |line: &str| {
        let mut fields: Vec<&str> = line.split('|').collect();
        if fields[0] != segment {
            return line.to_owned();
        }
        // MSH-1 is the separator itself.
        let at = if segment == "MSH" { number - 1 } else { number };
        fields.resize(fields.len().max(at + 1), "");
        fields[at] = inside;
        fields.join("|")
    };
    text.split('\r').map(set).collect::<Vec<_>>().join("\r")
}

fn take(text: &str) -> Result<Report, Vec<Fault>> {
    take_bytes(text.as_bytes())
}

fn take_bytes(bytes: &[u8]) -> Result<Report, Vec<Fault>> {
    let map = Map::parse(MAP).expect("a map");
    let header = Header::read(bytes);
    header.check().map_err(|fault| vec![fault])?;
    read(bytes, &header, &map)
}

/// What may stand in a field that nobody reads: all but what ends it, its segment or its frame.
fn hostile() -> Vec<Vec<u8>> {
    let all = (1..=255).filter(|byte| !b"|\r\n\x0b\x1c".contains(byte)).collect();
    let texts = ["ZZZ^Z~Z&Z", "\"\"", "^^~~&&", "\\", "\\Q\\", "MSH", "\u{fc}"];
    let mut hostile: Vec<Vec<u8>> = texts.map(Vec::from).into();
    hostile.extend([all, vec![0xfc; 100_000], b"\\X".repeat(10_000)]);
    hostile
}

/// The example with bytes in a field.
fn with_bytes(field: Name<'_>, inside: &[u8]) -> Vec<u8> {
    const MARK: &str = "<here>";
    let text = with(MESSAGE, field, MARK);
    let (before, after) = text.split_once(MARK).expect("the mark");
    [before.as_bytes(), inside, after.as_bytes()].concat()
}

#[test]
fn every_field_is_needed_read_or_passed_over_as_the_profile_says() {
    let usages = usages();
    assert!(usages.len() > 20, "the tables are read: {}", usages.len());
    let whole = take(MESSAGE).expect("the example is taken");
    for segment in ["MSH", "PID", "PV1", "OBR", "OBX"] {
        for number in 1..=FIELDS_MAX {
            let field = (segment, number);
            // Without separators there is no message, and nothing that could be compared.
            if segment == "MSH" && number <= 2 {
                assert_eq!(usages.get(&field), Some(&"R"), "{field:?}");
                continue;
            }
            let without = take(&with(MESSAGE, field, ""));
            match usages.get(&field).copied() {
                Some("R") => {
                    let faults = without.expect_err(&format!("{field:?} is needed"));
                    let place = faults[0].place.expect("a place");
                    assert_eq!((place.segment, place.field), field);
                }
                Some("RE" | "C") => assert!(without.is_ok(), "{field:?}: {without:?}"),
                usage => {
                    assert_eq!(usage, None, "{field:?}");
                    for inside in hostile() {
                        let bytes = with_bytes(field, &inside);
                        assert_eq!(take_bytes(&bytes).as_ref(), Ok(&whole), "{field:?}");
                        // Whoever sent it waits for an answer to this very message.
                        let header = Header::read(&bytes);
                        assert_eq!(header.identity(), ["MON", "ICU", "1001"], "{field:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_field_of_the_header_is_as_long_as_the_profile_says_at_most() {
    let fields = rows("Fields that are read");
    let limited: Vec<_> = fields.iter().filter(|row| row[5] == "256").collect();
    assert!(limited.len() > 10, "the table is read: {}", limited.len());
    for row in limited {
        let faults = take(&with(MESSAGE, name(row[0]), &"A".repeat(257))).expect_err(row[0]);
        assert!(matches!(faults[0].cause, Cause::TooMany { limit: 256, .. }), "{}", row[0]);
        // MSH-9 and others have few values: what is short is refused for that, or taken.
        let short = take(&with(MESSAGE, name(row[0]), &"A".repeat(256)));
        let is_length = |faults: Vec<Fault>| matches!(faults[0].cause, Cause::TooMany { .. });
        assert!(!short.err().is_some_and(is_length), "{}", row[0]);
    }
}

#[test]
fn segments_are_needed_or_passed_over_as_the_profile_says() {
    let whole = take(MESSAGE).expect("the example is taken");
    for row in rows("Segments") {
        let is_other = |line: &&str| !line.starts_with(row[0]);
        let without = MESSAGE.split('\r').filter(is_other).collect::<Vec<_>>().join("\r");
        assert_eq!(take(&without).is_ok(), row[1] == "RE", "{}", row[0]);
    }
    for other in ["ORC|RE", "NTE|1||words", "TQ1|1", "SPM|1", "ZZZ|1"] {
        let text = MESSAGE.replace("\rOBX", &format!("\r{other}\rOBX"));
        assert_eq!(take(&text).as_ref(), Ok(&whole), "{other}");
    }
    assert!(take(&format!("{MESSAGE}\r{}", MESSAGE.split('\r').next().expect("MSH"))).is_err());
}

#[test]
fn an_answer_has_the_fields_that_the_profile_lists_and_no_others() {
    let header = Header::read(MESSAGE.as_bytes());
    let place = crate::Place { segment: "OBX", number: 1, field: 6 };
    let fault = Fault::at(place, Cause::UnitMissing { signal: "ecg" });
    let own = Own { control: "V1-0", at: Millis::new(1_777_000_000_000).expect("a time") };
    let answer = &answers(&header, &Outcome::Refused(vec![fault]), own)[0];
    let text = String::from_utf8(answer.bytes.clone()).expect("ASCII");
    let mut found = BTreeSet::from([("MSH".to_owned(), 1)]);
    for segment in text.split('\r') {
        let fields: Vec<_> = segment.split('|').collect();
        let first = if fields[0] == "MSH" { 2 } else { 1 };
        let filled = (first..).zip(&fields[1..]).filter(|(_, field)| !field.is_empty());
        found.extend(filled.map(|(number, _)| (fields[0].to_owned(), number)));
    }
    let listed = rows("What is answered").into_iter().map(|row| name(row[0]));
    let listed: BTreeSet<_> =
        listed.map(|(segment, number)| (segment.to_owned(), number)).collect();
    assert_eq!(found, listed);
}
