//! What systems post as FHIR: the requests of a connection, and the resources in them.

use std::sync::LazyLock;

use bridge::Map;
use fhir::request::{Head, Reader};
use fhir::{
    Asked, BUNDLE_SAMPLES_MAX, Bundle, CODINGS_MAX, COMPONENTS_MAX, Condition, Defaults,
    ENTRIES_MAX, IDENTIFIERS_MAX, Interaction, Issue, Observation, PeriodAt, Response, SAMPLES_MAX,
    Told, Turned, Value, bundle_response, map_observation,
};
use model::DeviceId;

use crate::quoted::repeats;
use crate::source::Source;

/// Small, so that it is reached.
const BODY_BYTES_MAX: usize = 2 << 10;
/// Requests of one connection that are looked at.
const REQUESTS_MAX: usize = 64;
/// Bytes of an element's place; the longest names of FHIR R4 that are read come to half of it.
const EXPRESSION_BYTES_MAX: usize = 160;

/// Names of the samples.
static MAP: LazyLock<Map> = LazyLock::new(|| Map::parse(NAMES).expect("a map that can be read"));
const NAMES: &str = r#"
version = 1
missing = "off"
unknown = "leave-out"
round = true
[[patient]]
identifier = "Patient/example"
patient = 7
[[patient]]
identifier = "Patient/sisansarahId"
patient = 8
[[device]]
identifier = "Device/monitor"
device = "monitor-0001"
"#;

/// What a sender writes on a connection, in pieces of the length that the first byte says.
///
/// # Panics
/// If how it is cut matters, if a request is read that another program could read another way, or
/// if one is longer than it may be.
pub fn http_requests(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let piece = usize::from(source.below(64)) + 1;
    let written = source.rest();
    let (whole, cut) = (requests(written, written.len().max(1)), requests(written, piece));
    assert!(whole == cut, "one stream has one list of requests");
    for Request { head, body } in whole.0 {
        assert!(body.len() <= BODY_BYTES_MAX, "no more is kept than may be");
        assert!(head.host.is_some() && head.target.starts_with('/'), "what every request has");
        let texts = [&head.host, &head.accept, &head.authorization, &head.content_type];
        let is_line = |text: &String| !text.contains(|c: char| c.is_ascii_control());
        assert!(texts.into_iter().flatten().all(is_line), "a value is of one line");
        // Written anew with one length, the same request comes of it.
        let again = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            head.method,
            head.target,
            head.host.as_deref().unwrap_or_default(),
            body.len()
        );
        let (again, turned) = requests(&[again.as_bytes(), &body].concat(), usize::MAX);
        assert!(again.len() == 1 && turned.is_none(), "a body ends where it says");
        let Request { head: other, body: same } = &again[0];
        let asked = |head: &Head| (head.method.clone(), head.target.clone(), head.host.clone());
        assert!(asked(other) == asked(&head) && *same == body, "the same request");
        let asked = Asked {
            method: &head.method,
            target: &head.target,
            content_type: head.content_type.as_deref(),
            accept: head.accept.as_deref(),
        };
        if let Err(turned) = Interaction::of(asked) {
            assert!((400..=599).contains(&turned.status()), "a refusal has its status");
        }
        if let Some(text) = &head.if_none_exist {
            _ = Condition::read("If-None-Exist", text);
        }
    }
}

#[derive(PartialEq, Eq)]
struct Request {
    head: Head,
    body: Vec<u8>,
}

/// Each request of a stream, and what ended it.
fn requests(bytes: &[u8], piece: usize) -> (Vec<Request>, Option<Turned>) {
    let (mut reader, mut found, mut head) = (Reader::new(BODY_BYTES_MAX), Vec::new(), None);
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        while found.len() < REQUESTS_MAX {
            let read = match head.take() {
                None => reader.head(),
                some => Ok(some),
            };
            match read {
                Ok(None) => break,
                Ok(some) => head = some,
                Err(turned) => return (found, Some(turned)),
            }
            match reader.body() {
                Ok(None) => break,
                Ok(Some(body)) => found.extend(head.take().map(|head| Request { head, body })),
                Err(turned) => return (found, Some(turned)),
            }
        }
    }
    (found, None)
}

/// A resource: an Observation, and a Bundle of such.
///
/// # Panics
/// If more is read than may be, if a reading is out of its signal's range, if an Observation is
/// another one as an entry of a Bundle, or if a refusal repeats what was sent.
pub fn posted_fhir(bytes: &[u8]) {
    let alone = Observation::parse(bytes);
    match &alone {
        Ok(observation) => observed(observation),
        Err(issue) => says_nothing(issue, bytes),
    }
    entry(&alone, bytes);
    match Bundle::parse(bytes) {
        Err(issue) => says_nothing(&issue, bytes),
        Ok(bundle) => {
            assert!(bundle.entries.len() <= ENTRIES_MAX, "entries");
            let mut responses = Vec::new();
            let mut samples = 0;
            for entry in &bundle.entries {
                match entry {
                    Ok(entry) => {
                        observed(&entry.observation);
                        samples += entry.observation.values.iter().map(sampled).sum::<usize>();
                        responses.push(Response { status: 201, location: None, told: vec![] });
                    }
                    Err(issue) => {
                        says_nothing(issue, bytes);
                        let told = vec![Told::from(issue)];
                        responses.push(Response { status: 422, location: None, told });
                    }
                }
            }
            assert!(samples <= BUNDLE_SAMPLES_MAX, "samples of all entries");
            let answer = bundle_response(bundle.bundle_type, &responses);
            let answered = answer["entry"].as_array().map_or(0, Vec::len);
            assert_eq!(answered, bundle.entries.len(), "one answer for each entry");
        }
    }
}

/// An Observation alone is the same one as an entry of a Bundle.
fn entry(alone: &Result<Observation, Issue>, bytes: &[u8]) {
    // Bytes that are no one value would end the Bundle around them early. Of a text near the limit
    // of depth the Bundle is deeper.
    let Ok(observation) = alone else { return };
    let begin = br#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":"#;
    let end = br#","request":{"method":"POST","url":"Observation"}}]}"#;
    let Ok(bundle) = Bundle::parse(&[&begin[..], bytes, &end[..]].concat()) else { return };
    let [Ok(entry)] = &bundle.entries[..] else { panic!("an entry as it was read alone") };
    let within = &entry.observation;
    assert_eq!(within.identifiers, observation.identifiers);
    assert_eq!(within.effective, observation.effective);
    let values =
        |of: &Observation| of.values.iter().map(|one| one.value.clone()).collect::<Vec<_>>();
    assert!(values(within) == values(observation), "the same values");
}

fn sampled(valued: &fhir::Valued) -> usize {
    match &valued.value {
        Value::Sampled(sampled) => sampled.count,
        _ => 0,
    }
}

fn observed(observation: &Observation) {
    assert!((1..=COMPONENTS_MAX + 1).contains(&observation.values.len()), "values");
    assert!(observation.identifiers.len() <= IDENTIFIERS_MAX, "identifiers");
    let mut values_max = 0;
    for valued in &observation.values {
        assert!(valued.codings.len() <= CODINGS_MAX, "codings");
        is_place(&format!("{}.{}", valued.expression, valued.element));
        values_max += 1;
        if let Value::Sampled(found) = &valued.value {
            assert!((1..=SAMPLES_MAX).contains(&found.count), "samples");
            assert_eq!(found.samples().count(), found.count, "as many as it says");
            values_max += found.count;
        }
    }
    let device = DeviceId::new("written-down").ok();
    for period_at in [None, Some(PeriodAt::Start), Some(PeriodAt::End)] {
        let defaults = Defaults { period_at, device: device.clone() };
        match map_observation(observation, &MAP, &defaults) {
            Err(issue) => is_place(&issue.expression),
            Ok(mapped) => {
                assert!(mapped.measurements.len() + mapped.left_out.len() <= values_max, "made up");
                for one in &mapped.measurements {
                    let range = one.signal.min..=one.signal.max;
                    assert!(one.value.is_none_or(|value| range.contains(&value)), "in range");
                }
            }
        }
    }
}

/// A refusal goes to logs that nobody protects.
fn says_nothing(issue: &Issue, sent: &[u8]) {
    is_place(&issue.expression);
    let said = issue.fault.to_string();
    assert!(!repeats(&said, sent), "repeated: {said}");
    assert!((400..=599).contains(&issue.fault.status()), "a refusal has its status");
    let told = fhir::operation_outcome(&[Told::from(issue)]);
    assert_eq!(told["issue"][0]["expression"][0], issue.expression.as_str());
}

/// A place is names and numbers, as FHIRPath has them, and short.
fn is_place(expression: &str) {
    let is_of_path = |byte: u8| byte.is_ascii_alphanumeric() || b".[]".contains(&byte);
    let is_path = expression.bytes().all(is_of_path) && expression.len() <= EXPRESSION_BYTES_MAX;
    assert!(is_path, "no place: {expression}");
}
