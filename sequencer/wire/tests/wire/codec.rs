//! Round trips, pinned bytes, and refusal of everything else.

use std::collections::BTreeMap;
use std::path::Path;

use wire::*;

use crate::samples::{self, Seeded};

/// A decoder as a function from bytes to the bytes it would encode again.
type Decoder = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;

/// Every kind of canonical bytes: name, a sample, its decoder.
fn all() -> Vec<(String, Vec<u8>, Decoder)> {
    let mut all: Vec<(String, Vec<u8>, Decoder)> = Vec::new();
    for (i, message) in samples::client_messages().iter().enumerate() {
        let decode: Decoder = Box::new(|bytes| {
            ClientMessage::decode(bytes.to_vec().into()).ok().map(|m| m.encode().to_vec())
        });
        all.push((format!("client {i}"), message.encode().to_vec(), decode));
    }
    for (i, message) in samples::server_messages().iter().enumerate() {
        let decode: Decoder = Box::new(|bytes| {
            ServerMessage::decode(bytes.to_vec().into()).ok().map(|m| m.encode().to_vec())
        });
        all.push((format!("server {i}"), message.encode().to_vec(), decode));
    }
    for (i, entry) in samples::entries().iter().enumerate() {
        let kind = entry.kind_code();
        let decode: Decoder =
            Box::new(move |bytes| Entry::from_bytes(kind, bytes).ok()?.to_bytes().ok());
        all.push((format!("entry {i} kind {kind}"), entry.to_bytes().expect("valid"), decode));
    }
    for (i, change) in samples::registry_changes().iter().enumerate() {
        let decode: Decoder =
            Box::new(|bytes| RegistryChange::from_bytes(bytes).ok()?.to_bytes().ok());
        all.push((format!("registry {i}"), change.to_bytes().expect("valid"), decode));
    }
    let sealed = samples::sealed_frame();
    let decode: Decoder = Box::new(|bytes| Entry::from_bytes(1, bytes).ok()?.to_bytes().ok());
    all.push(("sealed frame".into(), sealed.as_bytes().to_vec(), decode));
    let decode: Decoder =
        Box::new(|bytes| Some(SignedAccessRequest::from_bytes(bytes).ok()?.to_bytes()));
    all.push(("signed access request".into(), samples::signed_request().to_bytes(), decode));
    let decode: Decoder = Box::new(|bytes| Some(SignedReceipt::from_bytes(bytes).ok()?.to_bytes()));
    all.push(("signed receipt".into(), samples::receipt().to_bytes(), decode));
    all
}

#[test]
fn an_entry_of_the_first_version_is_refused_by_name() {
    for entry in samples::entries() {
        let mut bytes = entry.to_bytes().expect("encodes");
        bytes[0] = 1;
        let error = Entry::from_bytes(entry.kind_code(), &bytes).expect_err("refused");
        let text = model::with_causes(&error);
        let says = format!("found entry of format version 1: {}", model::FIRST_VERSION);
        assert!(text.contains(&says), "{text}");
    }
}

#[test]
fn a_sealed_frame_says_what_the_log_is_read_for_and_opens_to_the_frame_that_it_was() {
    let (plain, sealed) = (samples::frame_entry(), samples::sealed_frame());
    assert_eq!((&sealed.gateway, &sealed.key), (&plain.gateway, &plain.key));
    assert_eq!((sealed.stream(), sealed.header()), (plain.stream(), plain.frame().header()));
    let readings = &plain.frame().as_bytes()[HEADER_BYTES..];
    assert_eq!(sealed.sealed().len(), readings.len() + 16);
    assert_eq!([sealed.clear(), sealed.sealed()].concat(), sealed.as_bytes()[..]);
    assert_eq!(sealed.stored(), [&plain.frame().as_bytes()[..32], sealed.sealed()].concat());
    assert_eq!(sealed.with_readings(readings), Ok(plain.clone()));
    assert!(sealed.with_readings(&readings[1..]).is_err(), "readings of another frame");
    let [plain, sealed] = [Entry::Frame(plain), Entry::SealedFrame(sealed)];
    assert_eq!(plain.frame_name(), sealed.frame_name());
    assert_eq!(plain.kind_code(), sealed.kind_code());
}

#[test]
fn a_sealed_frame_with_a_length_that_lies_a_handle_or_a_reserved_codec_is_refused() {
    let sealed = samples::sealed_frame();
    let header_at = sealed.clear().len() - HEADER_BYTES;
    // Length, codec, reserved, count, handle.
    for (offset, value) in [(0, 0), (0, 81), (2, 1), (4, 1), (5, 1), (6, 0), (8, 1)] {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[header_at + offset] = value;
        assert!(Entry::from_bytes(1, &bytes).is_err(), "{offset}: {value}");
    }
    let short = &sealed.as_bytes()[..sealed.as_bytes().len() - 1];
    assert!(Entry::from_bytes(1, short).is_err());
    // It is a form of this kind alone.
    assert!((2..=12).all(|kind| Entry::from_bytes(kind, sealed.as_bytes()).is_err()));
}

#[test]
fn everything_round_trips() {
    for (name, bytes, decode) in all() {
        assert_eq!(decode(&bytes).as_deref(), Some(&bytes[..]), "{name}");
    }
    for message in samples::client_messages() {
        assert_eq!(ClientMessage::decode(message.encode()), Ok(message));
    }
    for message in samples::server_messages() {
        assert_eq!(ServerMessage::decode(message.encode()), Ok(message));
    }
    for entry in samples::entries() {
        let bytes = entry.to_bytes().expect("valid");
        assert_eq!(Entry::from_bytes(entry.kind_code(), &bytes), Ok(entry));
    }
    for change in samples::registry_changes() {
        let bytes = change.to_bytes().expect("valid");
        assert_eq!(RegistryChange::from_bytes(&bytes), Ok(change));
    }
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    for (name, bytes, decode) in all() {
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "{name} cut to {end}");
        }
        assert_eq!(decode(&[&bytes[..], &[0]].concat()), None, "{name} and a byte");
    }
}

#[test]
fn a_message_whose_header_lies_about_its_length_is_refused() {
    for (name, bytes, decode) in all()
        .into_iter()
        .filter(|(name, ..)| name.starts_with("client") || name.starts_with("server"))
    {
        for lie in [0, 1, 31, bytes.len() - 1, bytes.len() + 1, u32::MAX as usize] {
            let mut bytes = bytes.clone();
            bytes[..4].copy_from_slice(&(lie as u32).to_le_bytes());
            assert_eq!(decode(&bytes), None, "{name} claims {lie}");
        }
    }
}

#[test]
fn what_decodes_after_a_mutation_encodes_to_itself() {
    let mut random = Seeded(7);
    for (name, bytes, decode) in all() {
        for round in 0..4000 {
            let mut mutated = bytes.clone();
            for _ in 0..=random.below(3) {
                let byte = random.below(mutated.len());
                mutated[byte] = [random.next() as u8, 0, 1, 0xff][random.below(4)];
            }
            if let Some(again) = decode(&mutated) {
                assert_eq!(again, mutated, "{name}, round {round} of seed 7");
            }
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Seeded(11);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
        let mut lane = Deframer::default();
        lane.feed(&bytes);
        while let Ok(Some(message)) = lane.next_message() {
            let _ = ClientMessage::decode(message.clone());
            let _ = ServerMessage::decode(message);
        }
        for kind in 0..12 {
            let _ = Entry::from_bytes(kind, &bytes);
        }
    }
}

#[test]
fn a_length_beyond_its_limit_is_refused_from_five_bytes() {
    for (number, limit) in
        [(0x00, 65536), (0x04, 32_800), (0x20, 65536), (0x42, 65536), (0x44, 66560)]
    {
        let head = |length: u32| [&length.to_le_bytes()[..], &[number]].concat();
        let mut lane = Deframer::default();
        lane.feed(&head(limit));
        assert_eq!(lane.next_message(), Ok(None));
        let mut lane = Deframer::default();
        lane.feed(&head(limit + 1));
        assert!(matches!(lane.next_message(), Err(DecodeError::TooLarge { .. })), "{number:#x}");
        assert!(lane.held_bytes() < 8);
    }
}

#[test]
fn messages_come_whole_however_the_bytes_are_cut() {
    let sent: Vec<_> = samples::client_messages().iter().map(ClientMessage::encode).collect();
    let stream = sent.concat();
    for size in [1, 7, 32, 1000] {
        let (mut lane, mut got) = (Deframer::default(), Vec::new());
        for part in stream.chunks(size) {
            lane.feed(part);
            while let Some(message) = lane.next_message().expect("well-formed") {
                got.push(message);
            }
        }
        assert_eq!(got, sent, "cut to {size}");
        assert_eq!(lane.held_bytes(), 0);
    }
}

/// Compares with the committed vectors; `UPDATE=1` rewrites them.
#[test]
fn canonical_bytes_are_pinned() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/bytes.json");
    let mut found: BTreeMap<String, String> =
        all().into_iter().map(|(name, bytes, _)| (name, hex::encode(bytes))).collect();
    let request = samples::access_request();
    let signing_hash = request.signing_hash().expect("valid");
    found.insert("access request signing hash".into(), hex::encode(signing_hash.0));
    let digest = samples::signed_request().digest();
    found.insert("signed access request digest".into(), hex::encode(digest.0));
    found.insert("operation digest".into(), hex::encode(samples::operation().digest().0));
    let stream = samples::descriptor("monitor-1", samples::ECG, 1).name();
    let place = place_digest(&stream, model::Sequence(5));
    found.insert("refused frame digest".into(), hex::encode(place.0));
    let text = serde_json::to_string_pretty(&found).expect("strings") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("the vectors are written");
    }
    let expected = std::fs::read_to_string(&path).expect("vectors/bytes.json is committed");
    assert!(expected == text, "canonical bytes moved; UPDATE=1 rewrites vectors/bytes.json");
}
