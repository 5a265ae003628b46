//! What every format has in common.

use model::calendar::parse_instant;

use super::*;
use crate::value::Missing;
use crate::{Decimal, Zone};

const HEADER: &str = "a 2 1 4 8:30:00 01/05/2026\na.dat 16 10/bpm 16 0 720 -31313 0 HR\n\
                      a.dat 16 1/mmHg 16 0 120 0 0 ABPMean\n";

fn files(name: &str, _: u64) -> std::io::Result<Vec<u8>> {
    let frames = [[720i16, 120], [2550, -120], [-32_768, 1], [-1815, -1]];
    Ok(match name {
        "a.hea" => HEADER.into(),
        _ => frames.as_flattened().iter().flat_map(|one| one.to_le_bytes()).collect(),
    })
}

fn open(see: impl Fn(Recording<'_>)) {
    see(Recording::open(Format::Wfdb, "a.hea", Folder::new(&files, 1 << 20)).unwrap());
}

fn rules() -> ChannelRules {
    let now = parse_instant("2026-05-01T12:00:00Z").unwrap();
    let signal = model::signal_by_name("heart-rate").unwrap();
    ChannelRules { zone: Some(Zone::UTC), ..ChannelRules::new(signal, now) }
}

#[test]
fn a_start_without_a_zone_needs_one_or_another_start() {
    open(|recording| {
        let first = |rules| recording.read(1, rules).map(|mut all| all.next().unwrap().unwrap().at);
        let at = |text: &str| parse_instant(text).unwrap();
        assert_eq!(first(rules()).unwrap(), at("2026-05-01T08:30:00Z"));
        let berlin = ChannelRules { zone: "Europe/Berlin".parse().ok(), ..rules() };
        assert_eq!(first(berlin).unwrap(), at("2026-05-01T06:30:00Z"));
        let moved = ChannelRules { start: Some(at("2026-01-01T00:00:00Z")), ..rules() };
        assert_eq!(first(moved).unwrap(), at("2026-01-01T00:00:00Z"));
        let error = first(ChannelRules { zone: None, ..rules() }).unwrap_err().to_string();
        assert!(error.contains("--zone") && error.contains("--start"), "{error}");
    });
}

#[test]
fn each_sample_is_a_reading_or_says_what_it_is_and_the_next_is_read() {
    open(|recording| {
        let said = |rules| {
            let readings = recording.read(1, rules).unwrap();
            let shown = readings.map(|one| match one {
                Ok(reading) => format!("{:?}", reading.value),
                Err(error) => error.to_string(),
            });
            shown.collect::<Vec<_>>()
        };
        let found = said(rules());
        assert_eq!((found[0].as_str(), found[2].as_str()), ("Some(720)", "None"));
        assert!(found[1].starts_with("sample 2: found a value of heart-rate that devices"));
        assert!(found[3].starts_with("sample 4: expected heart-rate within 0.0 to 400.0 /min"));
        let decimal = |text: &str| text.parse::<Decimal>().unwrap();
        let mut told = rules();
        told.values.sentinels = vec![decimal("-181.5")];
        told.values.keep = vec![decimal("255")];
        assert_eq!(said(told.clone()), ["Some(720)", "Some(2550)", "None", "None"]);
        told.values.missing = Missing::Skip;
        assert_eq!(said(told.clone()), ["Some(720)", "Some(2550)"]);
        told.now = parse_instant("2026-05-01T08:28:59Z").unwrap();
        assert!(
            said(told)[0].starts_with("sample 1: expected a time that has been, found one 61 s")
        );
    });
}

#[test]
fn a_channel_is_asked_for_by_its_number() {
    open(|recording| {
        let names: Vec<_> =
            recording.channels.iter().map(|one| (one.number, one.name.as_str())).collect();
        assert_eq!(names, [(1, "HR"), (2, "ABPMean")]);
        for number in [0, 3] {
            let error = recording.read(number, rules()).unwrap_err().to_string();
            assert_eq!(error, format!("expected a channel from 1 to 2, found {number}"));
        }
        let error = recording.read(2, rules()).unwrap_err().to_string();
        assert!(error.contains("found the unit mmHg"), "{error}");
    });
    let error = Recording::open(Format::Text, "a.csv", Folder::new(&files, 9)).unwrap_err();
    assert_eq!(error.to_string(), "expected a file of samples, found text");
}
