//! Files made by hand, as the specifications have them.

use model::calendar::{Instant, Utc, Written, parse_instant};

use crate::recording::{ChannelRules, Recording, RecordingError};
use crate::{Folder, Format, Zone};

/// A signal of a file.
#[derive(Clone)]
struct Made {
    label: &'static str,
    unit: &'static str,
    /// Physical minimum and maximum, digital minimum and maximum.
    limits: [&'static str; 4],
    per_record: usize,
}

/// A file, field by field.
#[derive(Clone)]
struct MadeFile {
    version: &'static [u8],
    recording: &'static str,
    date: &'static str,
    time: &'static str,
    reserved: &'static str,
    records: &'static str,
    duration: &'static str,
    signals: Vec<Made>,
    body: Vec<u8>,
}

impl MadeFile {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.version.to_vec();
        let mut put = |text: &str, width: usize| bytes.extend(format!("{text:width$}").bytes());
        put("MCH-0234567 F 02-MAY-1951 Haagse_Harry", 80);
        put(self.recording, 80);
        put(self.date, 8);
        put(self.time, 8);
        put(&(256 * (self.signals.len() + 1)).to_string(), 8);
        put(self.reserved, 44);
        put(self.records, 8);
        put(self.duration, 8);
        put(&self.signals.len().to_string(), 4);
        let mut all = |width: usize, field: &dyn Fn(&Made) -> String| {
            self.signals.iter().for_each(|signal| put(&field(signal), width));
        };
        all(16, &|one| one.label.to_owned());
        all(80, &|_| "AgAgCl electrode".to_owned());
        all(8, &|one| one.unit.to_owned());
        for limit in 0..4 {
            all(8, &|one| one.limits[limit].to_owned());
        }
        all(80, &|_| "HP:0.1Hz LP:75Hz".to_owned());
        all(8, &|one| one.per_record.to_string());
        all(32, &|_| String::new());
        bytes.extend(&self.body);
        bytes
    }
}

/// Two records of a second: an electrocardiogram at 4 Hz, saturation at 1 Hz.
fn plain() -> MadeFile {
    let ecg = ["-3276.8", "3276.7", "-32768", "32767"];
    let saturation = ["0", "100", "0", "1000"];
    MadeFile {
        version: b"0       ",
        recording: "",
        date: "01.05.26",
        time: "08.30.00",
        reserved: "",
        records: "2",
        duration: "1",
        signals: vec![
            Made { label: "ECG II", unit: "uV", limits: ecg, per_record: 4 },
            Made { label: "SpO2", unit: "%", limits: saturation, per_record: 1 },
        ],
        body: words(&[10, -10, 4, 32767, 975, -5, 5, 0, 20, 981]),
    }
}

fn words(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|one| one.to_le_bytes()).collect()
}

/// The same with annotations of 16 bytes in each record.
fn annotated(reserved: &'static str, lists: [&str; 2]) -> MadeFile {
    let mut file = plain();
    let limits = ["-1", "1", "-32768", "32767"];
    file.signals.push(Made { label: "EDF Annotations", unit: "", limits, per_record: 8 });
    let body = std::mem::take(&mut file.body);
    for (record, list) in body.chunks(10).zip(lists) {
        file.body.extend(record);
        file.body.extend(format!("{list:\0<16}").bytes());
    }
    let recording = "Startdate 02-MAR-2002 EMG561 BK/JOP Sony. MNC R Median Nerve.";
    MadeFile { reserved, recording, ..file }
}

fn open(bytes: &[u8], check: impl Fn(Result<Recording<'_>, RecordingError>)) {
    let files = |_: &str, _: u64| Ok(bytes.to_vec());
    check(Recording::open(Format::Edf, "a.edf", Folder::new(&files, 1 << 20)));
}

fn error(file: &MadeFile) -> String {
    let text = std::cell::RefCell::new(String::new());
    open(&file.bytes(), |opened| *text.borrow_mut() = opened.unwrap_err().to_string());
    text.into_inner()
}

fn start() -> Instant {
    parse_instant("2026-05-01T08:30:00Z").unwrap()
}

/// Milliseconds after the start, and value; or the first error.
fn readings(file: &MadeFile, number: u32, signal: &str) -> Result<Vec<(u64, Option<i32>)>, String> {
    let found = std::cell::RefCell::new(Ok(Vec::new()));
    open(&file.bytes(), |opened| {
        let recording = opened.unwrap();
        let now = parse_instant("2026-11-28T12:00:00Z").unwrap();
        let signal = model::signal_by_name(signal).unwrap();
        let rules = ChannelRules { start: Some(start()), ..ChannelRules::new(signal, now) };
        let readings = recording.read(number, rules).unwrap();
        let after = |at: Instant| (at.micros() - start().micros()) / 1000;
        *found.borrow_mut() = readings
            .map(|one| one.map(|one| (after(one.at), one.value)).map_err(|error| error.to_string()))
            .collect();
    });
    found.into_inner()
}

fn said_start(file: &MadeFile) -> String {
    let text = std::cell::RefCell::new(String::new());
    open(&file.bytes(), |opened| {
        *text.borrow_mut() = match opened.unwrap().start {
            Ok(Written::Local(local)) => Utc(Zone::UTC.place(local).unwrap().millis()).to_string(),
            Ok(other) => panic!("{other:?}"),
            Err(why) => why.to_string(),
        };
    });
    text.into_inner()
}

#[test]
fn values_are_what_the_four_limits_make_of_them() {
    // A step is a tenth of a microvolt: halves go away from zero.
    let expected = [1, -1, 0, 3277, -1, 1, 0, 2].map(Some);
    let expected: Vec<_> = (0..).map(|at| at * 250).zip(expected).collect();
    assert_eq!(readings(&plain(), 1, "ecg"), Ok(expected));
    assert_eq!(readings(&plain(), 2, "spo2"), Ok(vec![(0, Some(9750)), (1000, Some(9810))]));
    let open_end = MadeFile { records: "-1", ..plain() };
    assert_eq!(readings(&open_end, 2, "spo2").unwrap().len(), 2);
    let long = MadeFile { duration: "0.5", ..plain() };
    assert_eq!(readings(&long, 2, "spo2").unwrap()[1].0, 500);
    open(&plain().bytes(), |opened| {
        let recording = opened.unwrap();
        let shown = recording.channels.iter().map(|one| (one.number, one.signal.unwrap().name));
        assert_eq!(shown.collect::<Vec<_>>(), [(1, "ecg"), (2, "spo2")]);
        let shown = format!("{recording:?}");
        assert_eq!(shown, "Recording { format: Edf, channels: 2, .. }");
    });
}

#[test]
fn bdf_has_the_same_fields_and_three_bytes_a_sample() {
    let mut file = plain();
    file.version = b"\xffBIOSEMI";
    file.signals.truncate(1);
    file.signals[0].limits = ["-262144", "262143", "-8388608", "8388607"];
    file.signals[0].per_record = 2;
    file.body = vec![32, 0, 0, 0xe0, 0xff, 0xff, 0, 0, 0, 0x40, 0x0d, 3];
    let found = readings(&file, 1, "ecg").unwrap();
    assert_eq!(found, [(0, Some(1)), (500, Some(-1)), (1000, Some(0)), (1500, Some(6250))]);
}

#[test]
fn annotations_are_no_channel_and_give_records_their_times() {
    let whole = annotated("EDF+C", ["+0.25\x14\x14", "+1.25\x14\x14\0+1\x14x\x14"]);
    open(&whole.bytes(), |opened| assert_eq!(opened.unwrap().channels.len(), 2));
    assert_eq!(readings(&whole, 2, "spo2").unwrap(), [(250, Some(9750)), (1250, Some(9810))]);
    let gaps = annotated("EDF+D", ["+0\x14\x14", "+3600.5\x14\x14"]);
    assert_eq!(readings(&gaps, 2, "spo2").unwrap(), [(0, Some(9750)), (3_600_500, Some(9810))]);
    assert_eq!(readings(&gaps, 1, "ecg").unwrap()[5].0, 3_600_750);
    let broken = annotated("EDF+D", ["+0\x14\x14", "apnea"]);
    let error = readings(&broken, 2, "spo2").unwrap_err();
    assert_eq!(error, "sample 1: record 2: expected its time as the first annotation");
}

#[test]
fn the_long_date_stands_above_the_short_one() {
    let short = |date: &'static str| said_start(&MadeFile { date, ..plain() });
    assert_eq!(short("01.05.26"), "2026-05-01T08:30:00.000Z");
    assert_eq!(short("31.12.85"), "1985-12-31T08:30:00.000Z");
    assert_eq!(short("31.12.84"), "2084-12-31T08:30:00.000Z");
    let long = annotated("EDF+C", ["+0\x14\x14", "+1\x14\x14"]);
    assert_eq!(said_start(&long), "2002-03-02T08:30:00.000Z");
    let anonymous = MadeFile { recording: "Startdate X X X X", ..long.clone() };
    assert_eq!(said_start(&anonymous), "the file says that its date was taken out");
    let shifted = MadeFile { recording: "Startdate 01-jan-2896 X X X", ..long };
    assert!(said_start(&shifted).contains("the year 2896"));
    // In EDF the field is anything.
    let other = MadeFile { recording: "Startdate unknown", ..plain() };
    assert_eq!(said_start(&other), "2026-05-01T08:30:00.000Z");
}

#[test]
fn a_field_that_does_not_read_is_named_and_not_shown() {
    let signal = |change: fn(&mut Made)| {
        let mut file = plain();
        change(&mut file.signals[1]);
        file
    };
    for (file, expected) in [
        (MadeFile { version: b"1       ", ..plain() }, "header, version: expected 0 (EDF)"),
        (MadeFile { date: "1.5.2026", ..plain() }, "header, start date: expected a date"),
        (MadeFile { date: "31.02.26", ..plain() }, "header, start time: expected a date and time"),
        (MadeFile { time: "25.00.00", ..plain() }, "header, start time: expected"),
        (MadeFile { records: "two", ..plain() }, "header, number of data records: expected"),
        (MadeFile { records: "3", ..plain() }, "expected 798 bytes, as the header says, found 788"),
        (MadeFile { duration: "", ..plain() }, "header, duration of a data record: expected"),
        (MadeFile { signals: vec![], ..plain() }, "header, number of signals: expected 1 to 9999"),
        (
            signal(|one| one.limits[2] = "x"),
            "header, digital minimum of signal 2: expected a whole number",
        ),
        (
            signal(|one| one.limits[3] = "0"),
            "header, digital maximum of signal 2: expected more than the digital minimum",
        ),
        (
            signal(|one| one.limits[1] = "0"),
            "header, physical maximum of signal 2: expected another number",
        ),
        (
            MadeFile { reserved: "EDF+C", recording: "Startdate today", ..plain() },
            "header, start date (recording): expected 02-MAR-2002 or X",
        ),
    ] {
        let found = error(&file);
        assert!(found.starts_with(expected), "{expected}: {found}");
        assert!(!found.contains("Harry") && !found.contains("today"), "{found}");
    }
    let mut bytes = plain().bytes();
    bytes[184..192].copy_from_slice(b"512     ");
    open(&bytes, |opened| {
        let error = opened.unwrap_err().to_string();
        assert!(error.starts_with("header, number of bytes: expected 256"), "{error}");
    });
}

#[test]
fn no_bytes_make_the_reader_fall() {
    let mut count = 0;
    for file in [plain(), annotated("EDF+D", ["+0\x14\x14", "+3600.5\x14\x14"])] {
        for bytes in crate::mangled::of(&file.bytes(), 20_000) {
            let files = |_: &str, _: u64| Ok(bytes.clone());
            count += crate::mangled::read_all(Format::Edf, "a.edf", &files);
        }
    }
    assert!(count > 1000, "{count} readings of files that are hardly damaged");
}
