//! Messages of others: what a sender of HL7 v2 writes on a connection, and the map that an operator
//! wrote.

use bridge::{Coding, Foreign, MAP_BYTES_MAX, Map, Unit};
use hl7::{Decoder, Framed, Header, Outcome, Own, READINGS_MAX, answers, frame, read};
use model::{Millis, signals};

use crate::source::Source;

/// Small, so that it is reached.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// The map of the samples.
const MAP: &str = include_str!("../corpus/bridge_map/ward");

/// What a sender writes, in pieces of the length that the first byte says.
///
/// # Panics
/// If how it is cut matters, if a message is longer than it may be, if an answer is none or breaks
/// its frame, or if a reading is out of its signal's range.
pub fn hl7_messages(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let piece = usize::from(source.below(64)) + 1;
    let written = source.rest();
    let (whole, cut) = (messages(written, written.len().max(1)), messages(written, piece));
    assert!(whole == cut, "one stream has one list of messages");
    let map = Map::parse(MAP).expect("a map of the corpus");
    for message in whole {
        answer(&message, &map);
    }
}

/// Each message of a stream; those that are too long by their begin.
fn messages(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut decoder, mut found) = (Decoder::new(MESSAGE_BYTES_MAX), Vec::new());
    for mut rest in bytes.chunks(piece) {
        while let Some(framed) = decoder.take(&mut rest) {
            let (Framed::Message(message) | Framed::TooLong(message)) = framed else {
                return found;
            };
            assert!(message.len() <= MESSAGE_BYTES_MAX, "no more is kept than may be");
            found.push(message.to_vec());
        }
    }
    found
}

fn answer(message: &[u8], map: &Map) {
    let header = Header::read(message);
    let report = header.check().map_err(|fault| vec![fault]);
    let report = report.and_then(|()| read(message, &header, map));
    let outcome = match report {
        Ok(report) => {
            assert!((1..=READINGS_MAX).contains(&report.readings.len()), "some, and not too many");
            for one in &report.readings {
                let range = one.signal.min..=one.signal.max;
                assert!(one.value.is_none_or(|value| range.contains(&value)), "in range");
            }
            Outcome::Stored { receipts: "receipt 1".to_owned(), left_out: report.left_out }
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "a refusal has a reason");
            Outcome::Refused(faults)
        }
    };
    let own = Own { control: "A1", at: Millis::UNBOUNDED_PAST };
    for answer in answers(&header, &outcome, own) {
        let mut rest = &frame(&answer.bytes)[..];
        let framed = Decoder::new(usize::MAX).take(&mut rest).map(|one| match one {
            Framed::Message(bytes) => bytes.to_vec(),
            other => panic!("expected a message, found {other:?}"),
        });
        assert_eq!(framed.as_ref(), Some(&answer.bytes), "an answer is one frame");
    }
}

/// A [`Map`], and questions to it.
///
/// # Panics
/// If one that is read answers with a value out of its signal's range.
pub fn bridge_map(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(text.len() <= MAP_BYTES_MAX, "samples are small");
    let Ok(map) = Map::parse(text) else { return };
    let name = Foreign { authority: "HOSP", identifier: "4711" };
    let coding = Coding { system: "MDC", code: "131329" };
    let _ = (map.patient([name]), map.device([name], &[coding]));
    for signal in signals() {
        let measure = map.measure_part(signal);
        for value in ["0", "-1", "72.55", "999999999999999999", "1e-18"] {
            if let Ok(Some(value)) = measure.value(value, Some(Unit(signal.unit))) {
                assert!((signal.min..=signal.max).contains(&value), "in range");
            }
        }
    }
}
