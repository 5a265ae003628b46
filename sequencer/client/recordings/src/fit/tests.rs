//! A scale's file, and files made by hand.

use model::calendar::{Utc, Written, parse_instant};

use crate::recording::{ChannelRules, Recording, RecordingError};
use crate::{Folder, Format};

const SCALE: &[u8] = include_bytes!("../../tests/data/WeightScaleMultiUser.fit");

/// A file around messages: header before, checksum behind.
fn file(messages: &[u8]) -> Vec<u8> {
    let mut bytes = vec![12, 0x10, 100, 0];
    bytes.extend((messages.len() as u32).to_le_bytes());
    bytes.extend(b".FIT");
    bytes.extend(messages);
    let sum = checksum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// Bit by bit, as the reader does not.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(
            sum ^ u16::from(*byte),
            |sum, _| {
                if sum & 1 == 1 { sum >> 1 ^ 0xa001 } else { sum >> 1 }
            },
        )
    })
}

/// A definition, low bytes first: local number, message, and number, bytes and base type of fields.
fn definition(local: u8, message: u16, fields: &[[u8; 3]]) -> Vec<u8> {
    let [low, high] = message.to_le_bytes();
    let mut bytes = vec![0x40 | local, 0, 0, low, high, fields.len() as u8];
    bytes.extend(fields.iter().flatten());
    bytes
}

const TIME: [u8; 3] = [253, 4, 0x86];
const HEART: [u8; 3] = [3, 1, 2];
/// 2026-05-01T08:30:00Z in seconds since 1989-12-31.
const AT: u32 = 1_146_558_600;

fn record(local: u8, at_s: u32, heart: u8) -> Vec<u8> {
    let mut bytes = vec![local];
    bytes.extend(at_s.to_le_bytes());
    bytes.push(heart);
    bytes
}

fn open<T>(bytes: &[u8], see: impl Fn(Result<Recording<'_>, RecordingError>) -> T) -> T {
    let files = |_: &str, _: u64| Ok(bytes.to_vec());
    see(Recording::open(Format::Fit, "a.fit", Folder::new(&files, 1 << 20)))
}

fn error(bytes: &[u8]) -> String {
    open(bytes, |opened| opened.unwrap_err().to_string())
}

/// Times and values of the first channel, as its own signal.
fn readings(bytes: &[u8]) -> Vec<(String, Option<i32>)> {
    open(bytes, |opened| {
        let recording = opened.unwrap();
        let now = parse_instant("2026-11-28T12:00:00Z").unwrap();
        let rules = ChannelRules::new(recording.channels[0].signal.unwrap(), now);
        let readings = recording.read(1, rules).unwrap().map(|one| one.unwrap());
        readings.map(|one| (Utc(one.at.millis()).to_string(), one.value)).collect()
    })
}

fn shown(readings: &[(String, Option<i32>)]) -> Vec<(&str, Option<i32>)> {
    readings.iter().map(|(at, value)| (&at[11..19], *value)).collect()
}

#[test]
fn a_scale_has_weighed_two_people() {
    let found = readings(SCALE);
    let times = ["2009-09-09T21:38:00.000Z", "2009-09-09T22:38:00.000Z"];
    assert_eq!(found, [(times[0].to_owned(), Some(75_800)), (times[1].to_owned(), Some(58_200))]);
    open(SCALE, |opened| {
        let recording = opened.unwrap();
        assert_eq!(recording.channels.len(), 1);
        assert_eq!(recording.channels[0].name, "weight_scale.weight");
        assert!(matches!(recording.start, Ok(Written::Instant(_))));
    });
}

#[test]
fn times_are_whole_or_their_lower_bits() {
    let mut messages = definition(0, 20, &[TIME, HEART]);
    messages.extend(definition(1, 20, &[HEART]));
    messages.extend(record(0, AT, 72));
    // 2026-05-01T08:30:00Z ends in 8 of 32: 9 is a second later, 7 half a minute.
    assert_eq!(AT % 32, 8);
    messages.extend([0x80 | 1 << 5 | 9, 73, 0x80 | 1 << 5 | 7, 255, 1, 74]);
    let found = readings(&file(&messages));
    let expected = [
        ("08:30:00", Some(720)),
        ("08:30:01", Some(730)),
        ("08:30:31", None),
        ("08:30:31", Some(740)),
    ];
    assert_eq!(shown(&found), expected);
    // A day's monitoring has the lower half of each time.
    let mut messages = definition(0, 55, &[TIME]);
    messages.push(0);
    messages.extend(AT.to_le_bytes());
    messages.extend(definition(1, 55, &[[26, 2, 0x84], [27, 1, 2]]));
    for (later, heart) in [(60, 61), (65_535, 62)] {
        messages.push(1);
        messages.extend(((AT + later) as u16).to_le_bytes());
        messages.push(heart);
    }
    assert_eq!(
        shown(&readings(&file(&messages))),
        [("08:31:00", Some(610)), ("02:42:15", Some(620))]
    );
}

#[test]
fn both_orders_of_bytes_lists_and_fields_of_developers_are_read() {
    // High byte first; a weight that is still calculated, one of nothing, one of 70.15 kg.
    let mut messages = vec![0x40, 0, 1, 0, 30, 2, 253, 4, 0x86, 0, 2, 0x84];
    for weight in [0xfffeu16, 0xffff, 7015] {
        messages.push(0);
        messages.extend(AT.to_be_bytes());
        messages.extend(weight.to_be_bytes());
    }
    let values: Vec<_> = readings(&file(&messages)).into_iter().map(|one| one.1).collect();
    assert_eq!(values, [None, None, Some(70_150)]);
    // Two heart rates in one field are no reading; three bytes of a developer stand behind.
    let mut messages = definition(0, 20, &[TIME, [3, 2, 2]]);
    messages[0] |= 0x20;
    messages.extend([1, 0, 3, 0, 0]);
    messages.extend(AT.to_le_bytes());
    messages.extend([70, 71, 1, 2, 3]);
    assert_eq!(readings(&file(&messages))[0].1, None);
    // Two files behind each other are one.
    let one = file(&[definition(0, 20, &[TIME, HEART]), record(0, AT, 72)].concat());
    assert_eq!(readings(&[one.clone(), one].concat()).len(), 2);
}

#[test]
fn a_device_without_a_clock_is_asked_about() {
    let mut messages = definition(0, 20, &[TIME, HEART]);
    messages.extend([record(0, 1000, 72), record(0, 1005, 73)].concat());
    let bytes = file(&messages);
    open(&bytes, |opened| {
        let recording = opened.unwrap();
        let now = parse_instant("2026-11-28T12:00:00Z").unwrap();
        let rules = ChannelRules::new(recording.channels[0].signal.unwrap(), now);
        let error = recording.read(1, rules.clone()).unwrap_err().to_string();
        assert!(error.contains("switched on") && error.contains("--start"), "{error}");
        let start = Some(parse_instant("2026-05-01T08:30:00Z").unwrap());
        let last = recording.read(1, ChannelRules { start, ..rules }).unwrap().last();
        let at = last.unwrap().unwrap().at;
        assert_eq!(Utc(at.millis()).to_string(), "2026-05-01T08:30:05.000Z");
    });
    messages.extend(record(0, AT, 74));
    assert!(error(&file(&messages)).contains("times of one clock"));
}

#[test]
fn what_is_no_file_of_a_signal_is_refused_with_what_it_is() {
    let mut steps = definition(0, 55, &[TIME, [3, 4, 0x86]]);
    steps.push(0);
    steps.extend([0; 8]);
    let messages = [definition(0, 20, &[TIME, HEART]), record(0, AT, 72)].concat();
    let good = file(&messages);
    let mut damaged = good.clone();
    damaged[20] ^= 1;
    for (bytes, expected) in [
        (file(&steps), "expected heart rate, weight or another signal, found 1 monitoring"),
        (damaged, "expected the checksum at the end of the file, found another"),
        (good[..good.len() - 1].to_vec(), "expected 32 bytes, as the header says, found 31"),
        (file(&[]), "byte 0: expected a header of FIT with the length"),
        (vec![], "byte 0: expected a header"),
        ([&good[..], b"x"].concat(), "byte 32: expected a header"),
        (file(&[0, 1]), "byte 12: expected a message as its definition says"),
        (file(&messages[..messages.len() - 1]), "byte 25: expected a message"),
        (
            file(&[definition(0, 20, &[HEART]), vec![0, 72]].concat()),
            "expected a time in or before each message with a value",
        ),
    ] {
        let found = error(&bytes);
        assert!(found.starts_with(expected), "{expected}: {found}");
    }
}

#[test]
fn no_bytes_make_the_reader_fall() {
    let mut messages = definition(0, 20, &[TIME, HEART]);
    messages.extend([record(0, AT, 72), record(0, AT + 1, 73)].concat());
    messages.extend(definition(1, 30, &[TIME, [0, 2, 0x84]]));
    messages.extend([1, 0, 0, 0, 0x44, 1, 2]);
    let mut count = 0;
    for messages in crate::mangled::of(&messages, 50_000) {
        // With a checksum that fits, or nothing behind it would be looked at.
        let bytes = file(&messages);
        let files = |_: &str, _: u64| Ok(bytes.clone());
        count += crate::mangled::read_all(Format::Fit, "a.fit", &files);
    }
    assert!(count > 1000, "{count} readings of files that are hardly damaged");
    for bytes in crate::mangled::of(SCALE, 5000) {
        let files = |_: &str, _: u64| Ok(bytes.clone());
        crate::mangled::read_all(Format::Fit, "a.fit", &files);
    }
}
