//! The FHIR Bundle of a record: resources of R4, each made again from its line, and readings held
//! against the digest of their collection.

use std::collections::BTreeSet;

use auditor::{Colour, audit_record};
use extract::{ExtractError, Names, Opened, RecordWriter, Subject, bundle_text, check_bundle};
use model::{
    Category, ClaimKind, DeviceId, Digest, EpochNumber, Interval, Millis, PatientIndex, Position,
    PractitionerId, Sequence, StreamHandle, Uncovered, signal_by_name,
};
use serde_json::Value;
use statement::batch::{
    PatientOpening, PublicFile, RefusedAccess, ReleasedFrame, ReleasedFrames, Requester,
    SegmentFrames, SegmentKey,
};
use statement::scope;
use wire::{DeviceTime, Frame, FramePlace, Quality, Reading};

use crate::extracts::{check_vector, expected, key, record};
use crate::world::{
    Forge, PATIENT, Prove, World, a_scope, commit_again, committed_again, genesis_time, view_key,
};

/// Where a resource has what it must have, and nothing beside a value says that there is none.
fn check_shape(resource: &Value) {
    let kind = resource["resourceType"].as_str().expect("a type");
    let required: &[&str] = match kind {
        "Patient" => &["/identifier/0/system", "/identifier/0/value"],
        "Organization" => &["/name", "/identifier/0/value"],
        "Observation" => &["/status", "/code/coding/0/code", "/subject", "/device"],
        "AuditEvent" => &["/type/code", "/recorded", "/source/observer", "/agent/0/who"],
        "Consent" => &[
            "/status",
            "/scope/coding/0/code",
            "/category/0/coding/0/code",
            "/policy/0/uri",
            "/patient/reference",
            "/provision/type",
        ],
        "Provenance" => &["/target/0", "/recorded", "/agent/0/who", "/extension/1/extension/0"],
        other => panic!("no resource of a record: {other}"),
    };
    for place in required {
        assert!(resource.pointer(place).is_some(), "{kind} without {place}: {resource}");
    }
    let has = |name: &str| resource.get(name).is_some();
    if kind == "Observation" {
        let value = has("valueQuantity") || has("valueSampledData");
        let says_why_not = has("dataAbsentReason") || has("component");
        let ways = [value, says_why_not, has("hasMember")];
        assert_eq!(ways.iter().filter(|way| **way).count(), 1, "{resource}");
        assert!(has("effectivePeriod") != has("effectiveDateTime"), "{resource}");
    }
    if kind == "AuditEvent" {
        let agents = resource["agent"].as_array().expect("agents");
        assert!(agents.iter().all(|agent| agent["requestor"].is_boolean()), "{resource}");
    }
}

/// Every text of a member of this name.
fn texts<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(name).and_then(Value::as_str));
            members.values().for_each(|value| texts(value, name, found));
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, name, found)),
        _ => {}
    }
}

/// Every resource of a Bundle, by type, after its shape was checked.
fn resources(text: &str) -> Vec<(String, Value)> {
    let bundle: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(
        (&bundle["resourceType"], &bundle["type"]),
        (&"Bundle".into(), &"collection".into())
    );
    let entries = bundle["entry"].as_array().expect("entries");
    let urls = entries.iter().map(|entry| entry["fullUrl"].as_str().expect("a URL"));
    let urls: BTreeSet<_> = urls.collect();
    assert_eq!(urls.len(), entries.len(), "no two entries have one URL");
    let mut references = Vec::new();
    texts(&bundle, "reference", &mut references);
    for reference in &references {
        assert!(urls.contains(reference), "{reference} is in no entry");
    }
    let mut proven = BTreeSet::new();
    for entry in entries.iter().filter(|one| one["resource"]["resourceType"] == "Provenance") {
        let mut targets = Vec::new();
        texts(&entry["resource"]["target"], "reference", &mut targets);
        proven.extend(targets);
        let mut verify = Vec::new();
        texts(&entry["resource"]["extension"][1], "valueString", &mut verify);
        assert!(verify.last().is_some_and(|how| how.starts_with("auditor verify --bundle")));
    }
    let all = entries.iter().map(|entry| {
        check_shape(&entry["resource"]);
        let kind = entry["resource"]["resourceType"].as_str().expect("a type").to_owned();
        let url = entry["fullUrl"].as_str().expect("a URL");
        assert!(kind == "Provenance" || proven.contains(url), "{kind} without a Provenance");
        (kind, entry["resource"].clone())
    });
    all.collect()
}

fn of_kind<'a>(all: &'a [(String, Value)], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|(own, _)| own == kind).map(|(_, resource)| resource).collect()
}

#[test]
fn a_bundle_has_the_resources_of_r4_that_its_lines_are() {
    let text = bundle_text(&record()).expect("lines");
    let all = resources(&text);
    assert!(of_kind(&all, "Basic").is_empty());
    // Two collections and the gap between them; no value is made up.
    let observations = of_kind(&all, "Observation");
    assert_eq!(observations.len(), 3);
    assert!(observations.iter().all(|one| one.get("valueQuantity").is_none()));
    let gap = observations.iter().filter(|one| one.get("derivedFrom").is_none());
    assert_eq!(gap.count(), 1);
    // The two accesses: a decision and a disclosure each, by the profiles of BALP.
    let events = of_kind(&all, "AuditEvent");
    let profile = |one: &&&Value| one["meta"]["profile"][0].as_str().map(str::to_owned);
    let profiles: BTreeSet<_> = events.iter().filter_map(|one| profile(&one)).collect();
    assert_eq!((events.len(), profiles.len()), (4, 2));
    let mut outcomes = events.iter().map(|one| one["outcome"].as_str().expect("an outcome"));
    assert!(outcomes.any(|one| one == "8"), "one of them was covered by nothing");
    // A permit whose actor nobody named and a policy.
    let consents = of_kind(&all, "Consent");
    let statuses: Vec<_> = consents.iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["active", "active"]);
    // Signed for a time before they were written, they held from then on (C1.15).
    let written = record()
        .lines()
        .filter_map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let access = line["rule"]["access"][0].as_str()?.to_owned();
            Some([line["time"].as_str()?.to_owned(), access])
        })
        .collect::<Vec<_>>();
    assert_eq!(written.len(), consents.len());
    for (consent, [time, signed_from]) in consents.iter().zip(&written) {
        let mut starts = Vec::new();
        texts(consent, "start", &mut starts);
        assert!(signed_from < time && starts == [time], "{signed_from}, {time}: {consent}");
    }
    let mut systems = Vec::new();
    texts(consents[0], "system", &mut systems);
    assert!(systems.contains(&"urn:vitals-rollup:word"), "{}", consents[0]);
    assert!(!text.contains(&view_key().to_hex()));
}

#[test]
fn a_falsified_word_of_a_resource_is_found() {
    let text = bundle_text(&record()).expect("lines");
    check_bundle(&text, &expected()).expect("holds");
    for (own, other) in [
        ("\"outcome\": \"8\"", "\"outcome\": \"0\""),
        ("\"type\": \"permit\"", "\"type\": \"deny\""),
        ("\"status\": \"active\"", "\"status\": \"inactive\""),
        ("\"code\": \"masked\"", "\"code\": \"unknown\""),
        ("\"value\": \"dr-001\"", "\"value\": \"dr-002\""),
        ("\"code\": \"TREAT\"", "\"code\": \"HRESCH\""),
        ("\"url\": \"verify\"", "\"url\": \"trust\""),
    ] {
        assert!(text.contains(own), "{own}");
        let fault = check_bundle(&text.replacen(own, other, 1), &expected()).expect_err(own);
        assert_eq!(fault.part, "entry of the Bundle", "{own}");
    }
}

fn at(ms: u64) -> Millis {
    genesis_time().plus(ms)
}

fn monitor() -> DeviceId {
    DeviceId::new("monitor").expect("a name")
}

/// Frames of an ECG: the first evenly spaced, the second not, with a sensor that was off.
fn frames() -> Vec<ReleasedFrame> {
    let signal = signal_by_name("ecg").expect("known");
    let frame = |sequence: u64, times: [u64; 3], position| {
        let reading = |(ms, value): (&u64, Option<i32>)| {
            let flags = if value.is_some() { Quality::GOOD } else { Quality::SENSOR_OFF };
            Reading { at: DeviceTime::from_millis(at(*ms)), value, quality: flags }
        };
        let values = [Some(sequence as i32 * 10), Some(-12), (sequence == 1).then_some(250)];
        let readings: Vec<_> = times.iter().zip(values).map(reading).collect();
        let place = FramePlace {
            handle: StreamHandle(0),
            epoch: EpochNumber(1),
            sequence: Sequence(sequence),
        };
        let frame = Frame::encode_raw(place, signal, &readings).expect("readings");
        ReleasedFrame { position, device: monitor(), bytes: frame.as_bytes().to_vec() }
    };
    vec![frame(1, [1000, 1008, 1016], Position(2)), frame(2, [1020, 1030, 1050], Position(3))]
}

fn released(frames: Vec<ReleasedFrame>) -> ReleasedFrames {
    ReleasedFrames {
        scope: a_scope(),
        patient: PatientIndex::new(PATIENT).expect("24 bits"),
        categories: Category::Ecg.only(),
        data: Interval::ALWAYS,
        source: model::Party::Any,
        frames,
    }
}

/// The first batch with the collection of those frames in it, committed again.
fn collected(category: Category) -> (PublicFile, PatientOpening) {
    let bytes: Vec<u8> = frames().iter().flat_map(|frame| frame.bytes.clone()).collect();
    let content = *blake3::hash(&bytes).as_bytes();
    committed_again(ClaimKind::Collect, |one| {
        let segment =
            SegmentFrames { content, bytes: bytes.len() as u64, position: one.claim.position };
        one.claim.individual = scope::device(&monitor());
        one.claim.categories = category.only();
        one.claim.digest = SegmentKey::derive(&view_key(), a_scope()).digest(&segment);
    })
}

/// A record of that batch, with these frames given.
fn with_frames(category: Category, frames: Vec<ReleasedFrame>) -> (String, Opened) {
    let (file, opening) = collected(category);
    let mut names = Names::default();
    names.learn("device:monitor");
    let mut writer = RecordWriter::new(Subject {
        scope: a_scope(),
        fingerprint: expected().fingerprint,
        patient: PatientIndex::new(PATIENT).expect("24 bits"),
        batches: [1, 1],
        gap_over_ms: 1000,
        names,
    });
    writer.give(vec![released(frames)], &view_key()).expect("of this patient");
    writer.add(&file, Some([9; 32]), &opening).expect("of each other");
    let opened = writer.opened();
    (writer.finish(&key()).expect("lines"), opened)
}

#[test]
fn readings_stand_in_observations_and_are_those_of_the_collections_digest() {
    let (record, opened) = with_frames(Category::Ecg, frames());
    assert_eq!(opened, Opened { whole: 1, closed: 0 });
    let text = bundle_text(&record).expect("lines");
    let checked = check_bundle(&text, &expected()).expect("holds");
    assert_eq!((checked.opened, checked.readings), (1, 6));
    let all = resources(&text);
    let observations = of_kind(&all, "Observation");
    let sampled = observations.iter().find_map(|one| one.get("valueSampledData"));
    let sampled = sampled.expect("a waveform");
    assert_eq!(sampled["data"], "10 -12 250");
    assert_eq!((&sampled["period"], &sampled["origin"]["unit"]), (&8.into(), &"uV".into()));
    // Unevenly spaced, each reading is an Observation; where the sensor was off, one without value.
    let values = observations.iter().filter_map(|one| one.get("valueQuantity"));
    let values: Vec<_> = values.map(|one| &one["value"]).collect();
    assert_eq!(values, [&Value::from(20), &Value::from(-12)]);
    let members = observations.iter().find_map(|one| one["hasMember"].as_array());
    assert_eq!(members.map(Vec::len), Some(4));
    assert!(text.contains("\"code\": \"131328\""), "the code of MDC");
    assert!(text.contains("0x0909090909"), "the transaction");
    assert!(!text.contains(&view_key().to_hex()));

    for (own, other) in [
        ("\"data\": \"10 -12 250\"", "\"data\": \"10 -12 251\""),
        ("\"value\": -12", "\"value\": -13"),
        ("\"period\": 8", "\"period\": 4"),
        ("\"unit\": \"uV\"", "\"unit\": \"mV\""),
    ] {
        assert!(text.contains(own), "{own}");
        let fault = check_bundle(&text.replacen(own, other, 1), &expected()).expect_err(own);
        assert_eq!(fault.part, "entry of the Bundle", "{own}");
    }
}

#[test]
fn a_changed_frame_a_missing_one_and_another_key_are_found_at_their_collection() {
    let (record, _) = with_frames(Category::Ecg, frames());
    let lines: Vec<_> = record.lines().collect();
    let is = |kind: &str| {
        let begin = format!("{{\"line\":\"{kind}\"");
        lines.iter().position(|line| line.starts_with(&begin)).expect("one")
    };
    let (claim, frame) = (is("claim"), is("frame"));
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let fault = |lines: &[&str]| {
        extract::check_record(&joined(lines), &expected()).expect_err("does not hold")
    };
    let mut fewer = lines.clone();
    fewer.remove(frame);
    assert_eq!((fault(&fewer).line, fault(&fewer).part), (claim + 1, "readings"));
    // The value of the last reading, in the bytes of the frame: -12 is f4ffffff.
    let other = lines[frame].replacen("f4ffffff", "f3ffffff", 1);
    let mut changed = lines.clone();
    changed[frame] = &other;
    assert_eq!((fault(&changed).line, fault(&changed).part), (claim + 1, "readings"));
    let other = lines[frame].replacen("\"readings\":3", "\"readings\":2", 1);
    changed[frame] = &other;
    assert_eq!((fault(&changed).line, fault(&changed).part), (frame + 1, "words"));
    let key = hex::encode(SegmentKey::derive(&view_key(), a_scope()).to_bytes());
    let other = lines[0].replacen(&key, &"00".repeat(32), 1);
    let mut changed = lines.clone();
    changed[0] = &other;
    assert_eq!((fault(&changed).line, fault(&changed).part), (claim + 1, "readings"));
    let mut moved = lines.clone();
    moved.swap(claim, frame);
    assert_eq!((fault(&moved).line, fault(&moved).part), (claim + 1, "order"));
}

#[test]
fn readings_that_cannot_be_shown_to_be_a_collections_are_left_out_and_counted() {
    let closed = |category, frames| {
        let (record, opened) = with_frames(category, frames);
        assert_eq!(opened, Opened { whole: 0, closed: 1 });
        assert!(!record.contains("segment_key") && !record.contains("\"line\":\"frame\""));
        let checked = extract::check_record(&record, &expected()).expect("holds");
        assert_eq!((checked.opened, checked.readings), (0, 0));
    };
    closed(Category::Ecg, frames().split_off(1));
    // No frame and no digest says which pressure of two it is.
    closed(Category::BloodPressure, frames());
    let mut writer = RecordWriter::new(Subject {
        scope: a_scope(),
        fingerprint: String::new(),
        patient: PatientIndex::new(PATIENT + 1).expect("24 bits"),
        batches: [1, 1],
        gap_over_ms: 1000,
        names: Names::default(),
    });
    let foreign = writer.give(vec![released(frames())], &view_key());
    assert_eq!(foreign, Err(ExtractError::Frames));
}

/// The second batch with a collection of the same device in it.
fn collected_later() -> (PublicFile, PatientOpening) {
    let built = World::sound().built.swap_remove(1);
    let (mut file, mut opening) = (built.file, built.openings[0].clone());
    opening.claims[0].claim.individual = scope::device(&monitor());
    commit_again(&mut file, &opening.claims[0]);
    (file, opening)
}

#[test]
fn a_record_with_a_line_of_every_kind_is_the_vector() {
    let mut names = Names::default();
    ["device:monitor", "practitioner:dr-001"].iter().for_each(|name| names.learn(name));
    let mut writer = RecordWriter::new(Subject {
        scope: a_scope(),
        fingerprint: expected().fingerprint,
        patient: PatientIndex::new(PATIENT).expect("24 bits"),
        batches: [1, 3],
        gap_over_ms: 1000,
        names,
    });
    writer.give(vec![released(frames())], &view_key()).expect("of this patient");
    let (file, mut opening) = collected(Category::Ecg);
    opening.refused = vec![RefusedAccess {
        position: Position(6),
        time: at(7500),
        digest: Digest([1; 31]),
        requester: Requester::Practitioner(PractitionerId::new("dr-002").expect("a name")),
        uncovered: Some(Uncovered::ActorNotNamed),
        count: 1,
    }];
    writer.add(&file, Some([9; 32]), &opening).expect("of each other");
    let (file, opening) = collected_later();
    writer.add(&file, None, &opening).expect("of each other");
    let text = writer.finish(&key()).expect("lines");
    let checked = extract::check_record(&text, &expected()).expect("holds");
    assert_eq!((checked.opened, checked.refused, checked.gaps), (1, 1, 1));
    for kind in ["head", "batch", "operation", "claim", "frame", "refused", "gap", "record", "end"]
    {
        assert!(text.contains(&format!("{{\"line\":\"{kind}\"")), "{kind}");
    }
    check_vector("record.jsonl", &text);
}

#[test]
fn a_transaction_that_did_not_settle_the_batch_is_found() {
    let (deployment, _) = crate::world::deployment(Forge::new().keys());
    let (file, opening) = collected(Category::Ecg);
    let mut writer = RecordWriter::new(Subject {
        scope: a_scope(),
        fingerprint: deployment.fingerprint.to_string(),
        patient: PatientIndex::new(PATIENT).expect("24 bits"),
        batches: [1, 1],
        gap_over_ms: 1000,
        names: Names::default(),
    });
    writer.add(&file, Some([9; 32]), &opening).expect("of each other");
    let record = writer.finish(&key()).expect("lines");
    let text = bundle_text(&record).expect("lines");
    let known = |transaction: Option<[u8; 32]>| auditor::KnownHeaders {
        from: "the chain",
        hashes: [(1, scope::header_hash(&file.header))].into(),
        transactions: transaction.map(|hash| (1, hash)).into_iter().collect(),
    };
    let says = |transaction| {
        audit_record(&text, &deployment, Some(&known(transaction))).text(Colour::Plain)
    };
    assert!(says(Some([9; 32])).contains("1 are those of the chain"));
    assert!(says(Some([8; 32])).contains("transaction: expected the one that settled batch 1"));
    assert!(says(None).contains("holds"));
}
