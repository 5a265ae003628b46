//! The samples that are made of the vectors of other crates: `UPDATE=1` writes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../../../circuits/statement/src/batch/small.rs"]
#[allow(dead_code, reason = "each crate's tests need a part of it")]
mod small;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|_| panic!("expected {path}"))
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    hex::decode(digits).expect("hex digits")
}

/// Bytes of a place in a file.
const MARK_BYTES: usize = 60;

/// Folder and name of a sample, and its bytes.
type Seeds = BTreeMap<(&'static str, String), Vec<u8>>;

/// Every seed.
fn seeds() -> Seeds {
    let mut seeds = Seeds::new();
    of_the_wire(&mut seeds);
    of_the_journal(&mut seeds);
    of_batches(&mut seeds);
    of_recordings(&mut seeds);
    of_consents(&mut seeds);
    of_posts(&mut seeds);
    of_publications(&mut seeds);
    of_sessions(&mut seeds);
    of_spools(&mut seeds);
    of_edges(&mut seeds);
    of_doors(&mut seeds);
    of_extracts(&mut seeds);
    seeds
}

fn of_the_wire(seeds: &mut Seeds) {
    let vectors: BTreeMap<String, String> =
        serde_json::from_str(&text("sequencer/wire/vectors/bytes.json")).expect("vectors");
    for (name, bytes) in vectors {
        let (bytes, file) = (from_hex(&bytes), name.replace(' ', "-"));
        let kind = name.split_once(" kind ").and_then(|(_, kind)| kind.parse::<u8>().ok());
        let (folder, bytes) = match name.split(' ').next() {
            Some("client") => ("client_messages", bytes),
            Some("server") => ("server_messages", bytes),
            Some("registry") => ("registry_change", bytes),
            Some("entry") => {
                let kind = kind.expect("the name of an entry tells its kind");
                ("entry", [&[kind][..], &bytes].concat())
            }
            _ if name == "signed receipt" => ("receipt", bytes),
            _ if name == "signed access request" => ("access_request", bytes),
            // Digests, which nothing decodes.
            _ => continue,
        };
        // A frame is a message of a client, too.
        if folder == "client_messages" && matches!(bytes.get(4), Some(0 | 0x82)) {
            seeds.insert(("frame", file.clone()), bytes.clone());
        }
        if folder == "client_messages" && bytes.get(4) == Some(&4) {
            seeds.insert(("frame_block", file.clone()), bytes.clone());
        }
        seeds.insert((folder, file), bytes);
    }
}

fn of_the_journal(seeds: &mut Seeds) {
    for version in ["log-v1", "log-v2", "log-v3"] {
        let vector = text(&format!("sequencer/journal/vectors/{version}.hex"));
        // The first file: a vector of several has the name of each before it.
        let first = vector.strip_prefix("00000001.log:").unwrap_or(&vector);
        let (digits, _) = first.split_once("00000002.log:").unwrap_or((first, ""));
        seeds.insert(("journal_file", version.into()), from_hex(digits));
    }
    let folder = |name: &str, bytes: &[u8]| (("journal_folder", name.to_owned()), bytes.to_vec());
    seeds.extend([
        folder("untouched", &[]),
        // Step, file, place (two bytes), number; then right checksums. Files are three of groups,
        // one that was made ahead, the indexes of the first two.
        folder("last-group-of-a-seal", &[1, 0, 14, 24, 254, 6, 0]),
        folder("last-position-of-a-seal", &[1, 0, 14, 32, 254, 6, 0]),
        folder("all-behind-a-full-seal-is-lost", &[3, 3, 3, 2, 3, 1, 1, 0, 14, 24, 254, 6, 0]),
        folder("first-group-of-a-file", &[1, 2, 0, 32, 254, 6, 2]),
        folder("length-of-a-file", &[1, 2, 0, 96, 254, 6, 2]),
        folder("number-of-a-file-of-version-2", &[0, 0, 0, 8, 1, 2, 1, 0, 0, 88, 254, 6, 0]),
        folder("first-position-of-a-group", &[1, 2, 0, 144, 250, 7, 2]),
        folder("place-of-a-group-in-an-index", &[1, 4, 0, 64, 200, 6, 4]),
        folder("number-of-groups-in-an-index", &[1, 4, 0, 8, 254, 6, 4]),
        folder("a-file-is-missing", &[3, 1]),
        folder("an-index-is-missing", &[3, 4]),
        folder("a-file-is-cut", &[2, 2, 3, 0]),
        folder("a-file-stands-for-another", &[4, 1, 3, 6, 3]),
    ]);
    seeds.insert(("journal_damage", "a-group".into()), vec![2, 0, 200, 4, 1, 2, 3, 4]);
    seeds.insert(("journal_damage", "an-index".into()), vec![4, 0, 64, 2, 200, 0]);
    let stub = |name: &str, bytes: &[u8]| (("journal_stub", name.to_owned()), bytes.to_vec());
    seeds.extend([
        stub("untouched", &[]),
        // Step, place (two bytes), and a count with bytes, or a number.
        stub("length", &[1, 0, 8, 254]),
        stub("digest", &[0, 0, 20, 4, 1, 2, 3, 4]),
        stub("number-in-its-header", &[1, 0, 136, 2]),
        stub("last-group-in-its-seal", &[1, 0, 200, 254]),
        stub("a-reserved-byte", &[0, 3, 10, 1, 1]),
    ]);
}

fn of_batches(seeds: &mut Seeds) {
    let header = small::header(1);
    let groups = vec![small::group(1, [1, 2], 7), small::group(2, [3, 9], 8)];
    seeds.insert(("opening", "header".into()), header.to_bytes().to_vec());
    let file = small::public_file(header, groups);
    seeds.insert(("public_file", "two-groups".into()), file.to_bytes());
    seeds.extend(samples::all());
}

fn of_edges(seeds: &mut Seeds) {
    for name in ["rs384.jwt", "es384.jwt", "jwks.json"] {
        let vector = text(&format!("sequencer/tokens/tests/tokens/vectors/{name}"));
        let bytes = vector.trim_end().as_bytes().to_vec();
        seeds.insert(("bearer_token", name.into()), bytes);
    }
    for name in ["disclosures.csv", "access-log.html", "access-log.json"] {
        let sample = text(&format!("sequencer/accounting/tests/accounting/samples/{name}"));
        seeds.insert(("export", name.into()), sample.into_bytes());
    }
    let search = "patient=Patient/7&date=ge2026-05-01&date=lt2026-06-01T00:00:00Z&_count=20\
                  &agent=Practitioner/dr-001&_lastUpdated=gt2026-04-30\
                  &_cursor=000000000000000300000001&_format=json";
    seeds.insert(("export", "search".into()), search.into());
}

/// What is posted to a node.
fn of_doors(seeds: &mut Seeds) {
    seeds.insert(("erasure_request", "signed".into()), hostile::signed_erasure());
    let asked = r#"{"resourceType": "Subscription", "status": "requested",
        "reason": "tell my app", "criteria": "AuditEvent?patient=Patient/7",
        "end": "2026-05-31T10:30:00+02:00", "channel": {
            "type": "rest-hook", "endpoint": "https://Hook.example.net:8443/n/%41?key=k"}}"#;
    seeds.insert(("subscription", "asked".into()), asked.into());
    let shown = r#"{"resourceType":"Subscription","id":"a","meta":{"versionId":"1"},
        "status":"requested","reason":"x","criteria":"AuditEvent?patient=7","channel":{
        "endpoint":"https://app.example.org","type":"rest-hook","payload":"application/fhir+json",
        "header":["Authorization: Bearer a"],"extension":[]}}"#;
    seeds.insert(("subscription", "what-is-not-served".into()), shown.into());
    seeds.insert(("subscription", "address".into()), "https://App.example.org:443?b=c/d".into());
    // With its slash it would be a byte too long to be read again.
    let long = format!("https://app.example.org?{}", "a".repeat(488));
    seeds.insert(("subscription", "address-of-512-bytes".into()), long.clone().into());
    let asked = asked.replace("https://Hook.example.net:8443/n/%41?key=k", &long);
    seeds.insert(("subscription", "asked-with-an-address-of-512-bytes".into()), asked.into());
    seeds.insert(("subscription", "hosts".into()), "app.example.org\nhook.example:8443".into());
}

/// Files that left the rollup, as they are, and with a change at a place that matters. The first
/// byte says which.
fn of_extracts(seeds: &mut Seeds) {
    let vector = |name: &str| text(&format!("sequencer/extract/vectors/{name}"));
    let [record, data, proofs] = ["record.jsonl", "data.csv", "proofs.jsonl"].map(vector);
    let mut sample = |name: &str, bytes: Vec<u8>| {
        seeds.insert(("extract_files", name.to_owned()), bytes);
    };
    let given = |text: &str| [&[0], text.as_bytes()].concat();
    sample("claims", given(&vector("claims.jsonl")));
    sample("set", given(&format!("{data}\u{c}{proofs}")));
    let lines: Vec<_> = record.split_inclusive('\n').collect();
    sample("begin-of-a-record", given(&lines[..2].concat()));
    for (name, which) in [("record", &[1][..]), ("record-signed-again", &[2]), ("bundle", &[3])] {
        sample(name, which.to_vec());
    }
    for (name, which) in [("data", 0), ("proofs", 1), ("opened-claims", 2), ("data-and-proofs", 3)]
    {
        sample(&format!("{name}-of-a-set"), vec![4, which]);
    }
    // A sign in what stands for the argument of an enrolment.
    let at = record.find("\"operation\":\"").expect("an enrolment") + 200;
    let [.., high, low] = at.to_be_bytes();
    sample("argument-of-an-enrolment", vec![2, 0, high, low, b'7']);
    sample("record-without-a-line", vec![2, 4, 0, 3]);
    sample("record-with-a-line-twice", vec![2, 5, 0, 6, 0, 7]);
    sample("record-with-lines-swapped", vec![2, 6, 0, 3, 0, 4]);
    sample("bundle-with-another-word", vec![3, 2, 0, 90, 0, 40]);
    // A name, times of a calendar, a key, three readings: of the claim, of another patient, of
    // another signal.
    let readings = [[0, 0, 0, 99, 1], [7, 0, 0, 99, 2], [0, 0, 7, 120, 3]].concat();
    sample("set-of-readings", [&[5, 3, b'h', b'r', b'v', 1, 5, 3][..], &readings].concat());
    let rows = "monitor,ecg,2026-05-01T08:30:00.000Z,-12,uV\nm,spo2,2026-05-01T08:30:00Z,off,%";
    sample("rows", [&[6], rows.as_bytes()].concat());
}

fn of_recordings(seeds: &mut Seeds) {
    let data = root().join("sequencer/client/recordings/tests/data");
    let file = |name: &str| fs::read(data.join(name)).expect("a recording");
    let header = b"asked 1 360 3\nnamed.dat 16 200/mV 16 0 1 6 0 ECG\n".to_vec();
    let text = b"time,heart rate\n2026-05-01T08:30:00Z,72\n2026-05-01T08:30:01Z,73.5\n".to_vec();
    let all = [
        ("text", 0, text, &[][..]),
        ("wfdb", 1, header, &[1, 0, 2, 0, 3, 0][..]),
        ("edf", 2, file("finger.edf"), &[]),
        ("fit", 4, file("WeightScaleMultiUser.fit"), &[]),
    ];
    for (name, format, asked, named) in all {
        let length = [asked.len() / 256, asked.len() % 256].map(|byte| byte as u8);
        let bytes = [&[format][..], &length, &asked, named].concat();
        seeds.insert(("recording", name.into()), bytes);
    }
}

fn of_consents(seeds: &mut Seeds) {
    let data = root().join("sequencer/pcf/data");
    for name in [
        "ihe-pcf/ex-consent-advanced-normal-break-glass-restricted",
        "ihe-pcf/ex-consent-intermediate-not-timeframe",
        "hl7-core/r4-basic",
    ] {
        let bytes = fs::read(data.join(name.to_owned() + ".json")).expect("a Consent");
        let (_, file) = name.split_once('/').expect("a folder and a name");
        seeds.insert(("consent", file.into()), bytes);
    }
    let question = r#"{"hook": "patient-consent-consult", "context": {
        "patientId": [{"system": "urn:vitals-rollup:patient", "value": "7"}],
        "scope": "patient-privacy", "purposeOfUse": "TREAT", "actor": [
            {"system": "urn:vitals-rollup:practitioner", "value": "dr-001"},
            {"system": "urn:vitals-rollup:organisation", "value": "st-anne"}],
        "category": [{"system": "urn:vitals-rollup:consent:category", "code": "ecg"}],
        "securityLabel": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
            "code": "N"}],
        "dataPeriod": {"start": "2026-05-01T00:00:00Z", "end": "2026-06-01T00:00:00Z"}}}"#;
    seeds.insert(("consent", "question".into()), question.into());
    let names = r#"[patients]
"Patient/ex-patient" = 7
[actors]
"urn:oid:2.16.840.1|4711" = "organisation:st-anne"
[purposes]
"http://example.org/policies/purposeOfUse|FooBar" = "research"
[labels]
"http://terminology.hl7.org/CodeSystem/v3-ActCode|ETHUD" = "substance-use"
[document]
organization = "Organization/ex-organization"
"#;
    seeds.insert(("consent", "names".into()), names.into());
}

/// Published examples, and the requests that post one.
fn of_posts(seeds: &mut Seeds) {
    let example = |name: &str| {
        let path = root().join("sequencer/fhir/tests/examples").join(name);
        fs::read(path).expect("an example")
    };
    for (name, file) in [
        ("heart-rate", "r4/Observation-heart-rate.json"),
        ("blood-pressure-without-value", "r4/Observation-blood-pressure-dar.json"),
        ("ecg", "r4/Observation-ekg.json"),
        ("waveform", "phd/rtsa-example.json"),
        ("panel", "r4/Observation-vitals-panel.json"),
    ] {
        seeds.insert(("posted_fhir", name.into()), example(file));
    }
    let observation = r#"{"resourceType": "Observation", "status": "final",
        "identifier": [{"system": "urn:x", "value": "a-1"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "subject": {"reference": "Patient/example"}, "device": {"reference": "Device/monitor"},
        "effectivePeriod": {"start": "2026-05-01T08:30:00Z", "end": "2026-05-01T08:31:00Z"},
        "component": [
            {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
             "valueQuantity": {"value": 107.0, "unit": "mm[Hg]", "code": "mm[Hg]"}},
            {"code": {"coding": [{"system": "urn:iso:std:iso:11073:10101", "code": "131329"}]},
             "valueSampledData": {"origin": {"value": 0, "unit": "mV"}, "factor": 1e-3,
                "period": 4, "dimensions": 1, "data": "1 -2 E 3"}},
            {"code": {"text": "pulse"},
             "dataAbsentReason": {"coding": [{"code": "not-performed"}]}}]}"#;
    let entry = |request: &str| format!(r#"{{"resource": {observation}, "request": {request}}}"#);
    let create = r#""method": "POST", "url": "Observation""#;
    let bundle = format!(
        r#"{{"resourceType": "Bundle", "type": "transaction", "entry": [{}, {}]}}"#,
        entry(&format!("{{{create}}}")),
        entry(&format!(r#"{{{create}, "ifNoneExist": "identifier=urn:x|a-1"}}"#)),
    );
    seeds.insert(("posted_fhir", "components".into()), observation.into());
    seeds.insert(("posted_fhir", "bundle".into()), bundle.into());
    let heart_rate = String::from_utf8(example("r4/Observation-heart-rate.json")).expect("text");
    let head = "Host: 127.0.0.1:8080\r\nAuthorization: Bearer a.b.c\r\n\
                Content-Type: application/fhir+json; charset=utf-8\r\n\
                If-None-Exist: identifier=urn:x%7Ca-1\r\n";
    let length = heart_rate.len();
    let requests = format!(
        "\u{7}POST /fhir/Observation HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{heart_rate}\
         GET /fhir/metadata?_format=json HTTP/1.1\r\nhost: a\r\nAccept: */*\r\n\r\n"
    );
    seeds.insert(("http_requests", "kept-open".into()), requests.into());
    let chunked = format!(
        "\u{2}POST /fhir HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\
         Expect: 100-continue\r\n\r\n3\r\n{{\"a\r\n4 ;x=y\r\n\": 1\r\n1\r\n}}\r\n0\r\n\r\n"
    );
    seeds.insert(("http_requests", "chunks".into()), chunked.into());
}

/// Messages of the topics that the bridge's page has as its example.
fn of_publications(seeds: &mut Seeds) {
    let header = r#""header": {"uuid": "a-1", "schema_id":
        {"namespace": "omh", "name": "body-temperature", "version": "4.0"}}"#;
    let body = r#""body": {"body_temperature": {"value": 37.2, "unit": "C"},
        "effective_time_frame": {"date_time": "2026-05-01T08:30:00Z"}}"#;
    let point = format!("{{{header}, {body}}}");
    let messages = [
        (
            "vitals",
            "ward/1/4711/bed7/vitals",
            r#"{"id": "m-1", "ts": 1777624200.5, "hr": 72, "temp": {"v": "98.6", "u": "[degF]"}}"#,
        ),
        (
            "items",
            "wearables/watch-3",
            r#"{"who": "anna", "samples": [
                {"at": "2026-05-01T10:30:00", "kind": "HR", "value": 61},
                {"at": "2026-05-01T08:30:01.25Z", "kind": "HR", "value": 6.2e1},
                {"at": "2026-05-01T08:30Z", "kind": "steps", "value": null}]}"#,
        ),
        ("open-mhealth", "omh/4711/bed7", &point),
    ];
    for (name, topic, payload) in messages {
        let length = u8::try_from(topic.len()).expect("a short topic");
        let bytes = [&[length][..], topic.as_bytes(), payload.as_bytes()].concat();
        seeds.insert(("published", name.into()), bytes);
    }
    let page = text("sequencer/client/docs/mqtt.md");
    let (_, example) = page.split_once("```toml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let topics = [&[u8::MAX - 1][..], example.as_bytes()].concat();
    seeds.insert(("published", "topics".into()), topics);
}

/// A record of each kind behind a head, with the frames of the wire's vectors that are short.
fn of_spools(seeds: &mut Seeds) {
    let number = |number: u64| number.to_be_bytes();
    let record = |kind: u8, parts: &[&[u8]]| {
        let body = parts.concat();
        [&[kind, u8::try_from(body.len()).expect("short")][..], &body].concat()
    };
    // From frame 1 on, in epoch 1, of patient 7; nothing has a receipt.
    let epoch = [&[0, 1][..], &number(0)].concat();
    let head = record(1, &[&[2], &number(1), &epoch, &[0, 0, 0, 7], &number(0), &number(0)]);
    let frames = [number(1), number(3)].concat();
    let gap = [&frames[..], &number(30), &number(4 << 40), &number(5 << 40), &[1]].concat();
    let mut all = head.clone();
    for (kind, body) in [(3, &number(2)[..]), (5, &number(3)), (6, &gap), (7, &frames), (8, &gap)] {
        all.extend(record(kind, &[body]));
    }
    for (kind, body) in [(9, &number(64)[..]), (10, &epoch), (11, &number(2)), (12, &number(1))] {
        all.extend(record(kind, &[body]));
    }
    all.extend(record(4, &[&[0, 0, 0, 7], &[9; MARK_BYTES]]));
    seeds.insert(("spool_records", "every-kind".into()), all);
    let short = |bytes: &&Vec<u8>| bytes.len() < 200;
    let frame = seeds.iter().filter(|((folder, _), _)| *folder == "frame").map(|(_, bytes)| bytes);
    let frames: Vec<_> = frame.filter(short).cloned().collect();
    for (at, frame) in frames.iter().enumerate() {
        let kept = record(2, &[&[1], &number(4 << 40), frame]);
        seeds.insert(("spool_records", format!("frame-{at}")), [head.clone(), kept].concat());
    }
}

/// One call of each kind behind a greeting, and what an honest gateway does.
fn of_sessions(seeds: &mut Seeds) {
    let every = |steps: u8| (0..steps).flat_map(|step| [step, 1, 1, 1, 1]).collect::<Vec<u8>>();
    for first in [0, 1] {
        let server = [&[first][..], &every(22)].concat();
        seeds.insert(("server_session", format!("every-step-{first}")), server);
        let client = [&[first][..], &every(28)].concat();
        seeds.insert(("client_session", format!("every-step-{first}")), client);
    }
    let stream = [
        // Greeted; a stream on handle 1 of the live lane, which is opened.
        &[1, 2, 1, 1, 1, 0][..],
        &[14, 1, 0, 0, 0],
        // Frames of it, a receipt for them, the end.
        &[9, 1, 1, 3, 0, 0, 0],
        &[9, 1, 1, 3, 0, 0, 0],
        &[16, 0, 0, 0, 1, 0, 1, 0, 3, 1],
        &[7, 1],
    ];
    seeds.insert(("server_session", "a-stream".into()), stream.concat());
    let stream = [
        // A session; a stream that the server opens, three frames, their receipts.
        &[1, 0, 0, 1, 1, 0, 0][..],
        &[17, 1, 0, 1, 0, 0],
        &[1, 1, 0, 0, 1, 1, 0, 0],
        &[14, 1, 7],
        &[19, 1, 0, 2, 0, 1, 0, 1, 0, 3, 3, 1, 0, 0, 200, 8, 0],
        &[7, 1],
    ];
    seeds.insert(("client_session", "a-stream".into()), stream.concat());
}

mod samples {
    //! What is signed and sealed, made of values.

    use model::{
        Action, Categories, ChainScope, DeviceId, Interval, Millis, Operation, Party, PatientIndex,
        Position, Record, Word,
    };
    use statement::batch::{PatientOpening, PrivateFile, ReleasedFrame, ReleasedFrames, SealScope};
    use statement::eddsa::SecretKey;
    use statement::operation::SignedOperation;

    type Sample = ((&'static str, String), Vec<u8>);

    pub(super) fn all() -> Vec<Sample> {
        let scope = ChainScope { chain_id: 31_337, contract: [9; 20] };
        let patient = PatientIndex::new(7).expect("small");
        let record = Record::enrolled(Word::from_u64(1), Word::from_u64(2), Word::from_u64(3));
        let opening = opening(patient, record.clone());
        let seal = SealScope::of_header(scope, &super::small::header(1));
        let private = PrivateFile::seal(&seal, std::slice::from_ref(&opening));
        let sample = |folder, name: &str, bytes| ((folder, name.to_owned()), bytes);
        vec![
            sample("operation", "stop", operation(patient, scope).operation.to_bytes().to_vec()),
            sample("operation", "signed-stop", operation(patient, scope).to_bytes().to_vec()),
            sample("opening", "record", record.to_bytes()),
            sample("opening", "opening", opening.to_bytes()),
            sample("private_file", "one-opening", private.to_bytes()),
            sample("released_frames", "one-frame", released(patient, scope).to_bytes()),
        ]
    }

    fn operation(patient: PatientIndex, scope: ChainScope) -> SignedOperation {
        let [signed_at, valid_until] = [100, 900].map(|ms| Millis::new(ms).expect("small"));
        let operation =
            Operation { patient, nonce: 3, signed_at, valid_until, action: Action::Stop };
        let key = SecretKey::from_bytes(&[5; 32]);
        SignedOperation::sign(operation, statement::scope::sig_domain(scope), &key)
    }

    fn opening(patient: PatientIndex, record: Record) -> PatientOpening {
        let batch = super::small::header(1).number;
        PatientOpening {
            batch,
            patient,
            record,
            path: [[Word::ZERO; 8]; 8],
            claims: Vec::new(),
            operations: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn released(patient: PatientIndex, scope: ChainScope) -> ReleasedFrames {
        let device = DeviceId::new("monitor-1").expect("a name");
        let frame = ReleasedFrame { position: Position(3), device, bytes: vec![1, 2, 3] };
        ReleasedFrames {
            scope,
            patient,
            categories: Categories::ALL,
            data: Interval::ALWAYS,
            source: Party::Any,
            frames: vec![frame],
        }
    }
}

#[test]
fn the_seeds_are_those_of_the_vectors() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for ((folder, name), bytes) in seeds() {
        let path = corpus.join(folder).join(&name);
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(corpus.join(folder)).expect("a folder");
            fs::write(&path, &bytes).expect("the seed is written");
        }
        let found = fs::read(&path).unwrap_or_default();
        assert!(found == bytes, "{folder}/{name} moved; UPDATE=1 rewrites it");
    }
}
