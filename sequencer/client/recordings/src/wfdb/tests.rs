//! Records as archives have them, made by hand, and one real.

use std::collections::BTreeMap;
use std::io;

use model::calendar::{Instant, Utc, parse_instant};

use crate::recording::{ChannelRules, Recording, RecordingError};
use crate::value::{Missing, ValueRules};
use crate::{Files, Folder, Format};

/// Files in memory.
#[derive(Default)]
struct Disk(BTreeMap<String, Vec<u8>>);

impl Files for Disk {
    fn read(&self, name: &str, _: u64) -> io::Result<Vec<u8>> {
        self.0.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk {
    fn with(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Disk {
        self.0.insert(name.to_owned(), bytes.into());
        self
    }

    fn open(&self, name: &str) -> Result<Recording<'_>, RecordingError> {
        Recording::open(Format::Wfdb, name, Folder::new(self, 1 << 20))
    }
}

fn start() -> Instant {
    parse_instant("2026-05-01T08:30:00Z").unwrap()
}

fn rules(signal: &str) -> ChannelRules {
    let now = parse_instant("2026-11-28T12:00:00Z").unwrap();
    let signal = model::signal_by_name(signal).unwrap();
    ChannelRules { start: Some(start()), ..ChannelRules::new(signal, now) }
}

/// Milliseconds after the start, and value.
fn readings(disk: &Disk, number: u32, rules: ChannelRules) -> Vec<(u64, Option<i32>)> {
    let recording = disk.open("a").unwrap();
    let readings = recording.read(number, rules).unwrap();
    let shown = readings.map(|one| one.unwrap());
    shown.map(|one| ((one.at.micros() - start().micros()) / 1000, one.value)).collect()
}

/// Samples of format 16.
fn low16(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|one| one.to_le_bytes()).collect()
}

fn error(disk: &Disk) -> String {
    let text = |error: RecordingError| model::with_causes(&error).to_string();
    match disk.open("a.hea") {
        Ok(recording) => text(recording.read(1, rules("ecg")).unwrap_err()),
        Err(error) => text(error),
    }
}

#[test]
fn a_real_record_has_its_checksums_and_values() {
    const HEADER: &str = include_str!("../../../../../loadgen/world/data/mitbih-100.hea");
    const SAMPLES: &[u8] = include_bytes!("../../../../../loadgen/world/data/mitbih-100.dat");
    let disk = Disk::default().with("mitbih-100.hea", HEADER).with("mitbih-100.dat", SAMPLES);
    let recording = disk.open("mitbih-100").unwrap();
    let names: Vec<_> = recording.channels.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["MLII", "V5"]);
    for (number, first) in [(1, -145), (2, -65)] {
        let channel = &recording.channels[number as usize - 1];
        assert_eq!(
            (channel.signal.map(|signal| signal.name), channel.count),
            (Some("ecg"), 108_000)
        );
        let mut readings = recording.read(number, rules("ecg")).unwrap();
        assert_eq!(readings.next().unwrap().unwrap().value, Some(first));
        let last = readings.by_ref().last().unwrap().unwrap();
        // 107,999 samples of 1/360 s, and not of a rounded period.
        assert_eq!(Utc(last.at.millis()).to_string(), "2026-05-01T08:34:59.997Z");
        let counts = readings.counts();
        assert_eq!((counts.values, counts.converted, counts.rounded), (108_000, 108_000, 0));
    }
    let mut damaged = SAMPLES.to_vec();
    damaged[9000] ^= 1;
    let disk = disk.with("mitbih-100.dat", damaged);
    let error = disk.open("mitbih-100").unwrap().read(1, rules("ecg")).unwrap_err().to_string();
    let expected = "expected the checksum of its header, found another: damaged";
    assert_eq!(error, format!("mitbih-100.dat, signal 1: {expected}"));
}

/// A line of a header, with what it says of the samples.
fn line(front: &str, samples: &[i16], name: &str) -> String {
    let sum = samples.iter().fold(0i16, |sum, one| sum.wrapping_add(*one));
    format!("a.dat {front} 16 0 {} {sum} 0 {name}\n", samples[0])
}

#[test]
fn numerics_are_off_where_they_are_zero_or_nothing() {
    // The header is that of a monitor's numerics with a shifted date.
    let columns = [[0, 726, 0], [165, 0, 155], [-32_768, 119, -32_768]];
    let mut header = "a 3 0.0166666666667/125 3 10:44:18.529 04/05/2704\n".to_owned();
    header += &line("16 10/bpm", &columns[0], "HR");
    header += &line("16 10/pm", &columns[1], "RESP");
    header += &line("16 1/mmHg", &columns[2], "NBPSys");
    let frames: Vec<i16> = (0..3).flat_map(|at| columns.map(|column| column[at])).collect();
    let disk =
        Disk::default().with("a.hea", header + "# <age>: ??\n").with("a.dat", low16(&frames));
    let recording = disk.open("a").unwrap();
    let guessed: Vec<_> =
        recording.channels.iter().map(|one| one.signal.map(|signal| signal.name)).collect();
    assert_eq!(guessed, [Some("heart-rate"), Some("respiration-rate"), Some("bp-systolic")]);
    let unplaced = ChannelRules { start: None, ..rules("heart-rate") };
    let error = recording.read(1, unplaced).unwrap_err().to_string();
    assert!(error.contains("the year 2704") && error.contains("--start"), "{error}");
    let found = readings(&disk, 1, rules("heart-rate"));
    assert_eq!(found, [(0, None), (60_000, Some(726)), (120_000, None)]);
    let found = readings(&disk, 2, rules("respiration-rate"));
    assert_eq!(found, [(0, Some(165)), (60_000, None), (120_000, Some(155))]);
    let found = readings(&disk, 3, rules("bp-systolic"));
    assert_eq!(found, [(0, None), (60_000, Some(1190)), (120_000, None)]);
    let mut first = recording.read(1, rules("heart-rate")).unwrap();
    assert_eq!(first.by_ref().count(), 3);
    let counts = first.counts();
    assert_eq!((counts.absent, counts.sentinels, counts.rounded), (2, 2, 0));
    // Zero can be what was measured: then it is said.
    let values = ValueRules { keep: vec!["0".parse().unwrap()], ..ValueRules::default() };
    let found = readings(&disk, 1, ChannelRules { values, ..rules("heart-rate") });
    assert_eq!(found[0], (0, Some(0)));
    let values = ValueRules { missing: Missing::Skip, ..ValueRules::default() };
    let found = readings(&disk, 3, ChannelRules { values, ..rules("bp-systolic") });
    assert_eq!(found, [(60_000, Some(1190))]);
}

#[test]
fn a_frame_holds_several_samples_and_a_skew_moves_them() {
    // Two of the first signal a frame; the second stands one frame too late.
    let disk = Disk::default()
        .with("a.hea", "a 2 10\na.dat 16x2+4 1/mV\na.dat 16:1+4 1(1)/uV\n")
        .with("a.dat", low16(&[9, 9, 1, 2, 7, 3, 4, 8, 5, 6, -32_768]));
    let found = readings(&disk, 1, rules("ecg"));
    let millivolts = [1, 2, 3, 4, 5, 6].map(|one| Some(one * 1000));
    let expected: Vec<_> = (0..).map(|at| at * 50).zip(millivolts).collect();
    assert_eq!(found, expected);
    assert_eq!(readings(&disk, 2, rules("ecg")), [(0, Some(7)), (100, None)]);
    let channels = disk.open("a").unwrap().channels;
    assert_eq!(channels.iter().map(|one| one.count).collect::<Vec<_>>(), [6, 2]);
}

#[test]
fn the_steps_of_a_curve_without_a_unit_are_kept_whole() {
    let disk = Disk::default()
        .with("a.hea", "a 1 125\na.dat 80 38880(-3)/NU 8 0 0 5 0 PLETH\n")
        .with("a.dat", [128, 133]);
    assert_eq!(readings(&disk, 1, rules("ppg")), [(0, Some(3)), (8, Some(8))]);
    let error = disk.open("a").unwrap().read(1, rules("ecg")).unwrap_err().to_string();
    assert!(error.contains("found the unit NU") && error.contains("--unit"), "{error}");
    let told = ChannelRules { unit: Some("V".into()), ..rules("ecg") };
    // 3 / 38880 V are 77 uV.
    assert_eq!(readings(&disk, 1, told)[0], (0, Some(77)));
}

#[test]
fn segments_with_the_same_signals_follow_each_other_and_gaps_are_silent() {
    let disk = Disk::default()
        .with("a.hea", "a/3 1 10 7 8:30:00 01/05/2026\na_1 2\n~ 3\na_2 2\n")
        .with("a_1.hea", "a_1 1 10 2\na_1.dat 16 1/uV\n")
        .with("a_2.hea", "a_2 1 10\na_2.dat 61 2/uV\n")
        .with("a_1.dat", low16(&[1, 2]))
        .with("a_2.dat", [0, 6, 0, 8]);
    let found = readings(&disk, 1, rules("ecg"));
    assert_eq!(found, [(0, Some(1)), (100, Some(2)), (500, Some(3)), (600, Some(4))]);
    assert_eq!(disk.open("a").unwrap().channels[0].count, 4);
}

#[test]
fn segments_with_other_signals_are_found_by_the_names_of_the_layout() {
    let disk = Disk::default()
        .with("a.hea", "a/4 2 10 7\na_layout 0\na_1 2\n~ 3\na_2 2\n")
        .with("a_layout.hea", "a_layout 2 10 0\n~ 0 1/uV 8 0 0 0 0 II\n~ 0 1/NU 8 0 0 0 0 PLETH\n")
        .with("a_1.hea", "a_1 1 10 2\na_1.dat 80 1/NU 8 0 1 3 0 PLETH\n")
        .with("a_2.hea", "a_2 2 10 2\nb.dat 80 1/NU 8 0 3 8 0 PLETH\nb.dat 80 1/uV 8 0 4 10 0 II\n")
        .with("a_1.dat", [129, 130])
        .with("b.dat", [131, 132, 133, 134]);
    let channels = disk.open("a").unwrap().channels;
    let guessed: Vec<_> = channels.iter().map(|one| one.signal.map(|one| one.name)).collect();
    assert_eq!(guessed, [Some("ecg"), Some("ppg")]);
    assert_eq!(channels.iter().map(|one| one.count).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(readings(&disk, 1, rules("ecg")), [(500, Some(4)), (600, Some(6))]);
    let found = readings(&disk, 2, rules("ppg"));
    assert_eq!(found, [(0, Some(1)), (100, Some(2)), (500, Some(3)), (600, Some(5))]);
}

#[test]
fn what_does_not_belong_together_is_refused_in_words() {
    let with = |header: &str, samples: &[u8]| {
        error(&Disk::default().with("a.hea", header).with("a.dat", samples))
    };
    for (header, expected) in [
        ("a 1 10 3\na.dat 16 1/uV\n", "a.dat: expected 6 bytes, as its header says, found 4"),
        ("a 1 10 2\na.dat 16 1/uV 0 0 9\n", "expected the initial value of its header"),
        ("a 1 10 2\na.dat 16 1/uV 0 0 1 4\n", "expected the checksum of its header"),
        ("a 1 10 2\n../a.dat 16 1/uV\n", "expected the plain name of a file"),
        ("a 1 10 2\nb.dat 16 1/uV\n", "cannot read b.dat"),
        ("a 1 10 2\na.dat 16 1/mmHg\n", "found the unit mmHg: say which with --unit"),
        ("a/1 1 10 2\n../a 2\n", "expected the plain name of a file"),
        ("a/1 1 10 2\na 2\n", "a.hea: expected a segment in one piece as the record has"),
        ("a/1 1 10 2\n~ 2\n", "a.hea: expected a first segment with the signals"),
        ("a 2 10 1\na.dat 16 1/uV\na.dat 80 1/uV\n", "one format of all signals in a file"),
        (
            "a 1 10 9223372036854775807\na.dat 212x65536 1/uV\n",
            "a.dat: expected 18446744073709551615 bytes",
        ),
    ] {
        let found = with(header, &[1, 0, 2, 0]);
        assert!(found.contains(expected), "{header:?}: {found}");
    }
    let disk = Disk::default()
        .with("a.hea", "a/2 1 10 4\nb 2\nc 2\n")
        .with("b.hea", "b 1 10 2\na.dat 16 1/uV\n");
    for (segment, expected) in [
        ("c 1 20 2\na.dat 16 1/uV\n", "c.hea: expected the rate"),
        ("c 1 10 3\na.dat 16 1/uV\n", "c.hea: expected the number of samples"),
        ("c 2 10 2\na.dat 16 1/uV\na.dat 16 1/uV\n", "c.hea: expected the number of signals"),
    ] {
        let found = error(&Disk(disk.0.clone()).with("c.hea", segment));
        assert!(found.starts_with(expected), "{segment:?}: {found}");
    }
    let long = Disk(disk.0.clone()).with("a.hea", "a/2 1 10 5\nb 2\n~ 2\n");
    assert!(error(&long).contains("segments of together as many samples"));
}

#[test]
fn a_file_that_goes_away_ends_the_readings() {
    use std::cell::Cell;
    let disk = Disk::default()
        .with("a.hea", "a/2 1 10 4\nb 2\nb 2\n")
        .with("b.hea", "b 1 10 2\nb.dat 16 1/uV\n")
        .with("b.dat", low16(&[1, 2]));
    let left = Cell::new(7);
    let files = |name: &str, most: u64| {
        left.set(left.get() - 1);
        if left.get() == 0 { Err(io::ErrorKind::NotFound.into()) } else { disk.read(name, most) }
    };
    let recording = Recording::open(Format::Wfdb, "a", Folder::new(&files, 1 << 20)).unwrap();
    let found: Vec<_> = recording.read(1, rules("ecg")).unwrap().collect();
    assert_eq!(found.len(), 3);
    let error = found[2].as_ref().unwrap_err();
    assert!(error.fault.is_final());
    let text = model::with_causes(error);
    assert_eq!(text, "sample 2: cannot read b.dat: entity not found");
}

#[test]
fn no_header_or_samples_make_the_reader_fall() {
    let disk = || {
        Disk::default()
            .with("a.hea", "a/3 2 0.0166666666667/125 7 31:25.894 01/05/2026\nl 0\nb 2\n~ 5\n")
            .with(
                "l.hea",
                "l 2 0.0166666666667 0\n~ 0 1/uV 8 0 0 0 0 II\n~ 0 9(1)/bpm 8 0 0 0 0 HR\n",
            )
            .with("b.hea", "b 2 0.0166666666667\nb.dat 212x2:1+1 1e-2/uV 8\nb.dat 212 10/bpm\n")
            .with("b.dat", [7; 12])
    };
    let mut count = 0;
    for name in ["a.hea", "l.hea", "b.hea", "b.dat"] {
        let whole = disk().0.remove(name).unwrap();
        for bytes in crate::mangled::of(&whole, 3000) {
            count += crate::mangled::read_all(Format::Wfdb, "a", &disk().with(name, bytes.clone()));
            count += crate::mangled::read_all(Format::Wfdb, "b", &disk().with(name, bytes));
        }
    }
    assert!(count > 1000, "{count} readings of files that are hardly damaged");
}
