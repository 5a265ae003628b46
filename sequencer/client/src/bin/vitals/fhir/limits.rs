//! The table of limits of `docs/fhir.md`.

use bridge::Measurement;
use fhir::request::HEAD_BYTES_MAX;
use fhir::{
    BUNDLE_SAMPLES_MAX, CODINGS_MAX, COMPONENTS_MAX, DEPTH_MAX, ENTRIES_MAX, FIELDS_MAX,
    IDENTIFIERS_MAX, SAMPLES_MAX, Sample,
};

use super::desk::WORK_MAX;
use super::serve::IDLE_WAIT;
use super::{BODY_BYTES_MAX, CONNECTIONS_MAX, Fhir, RECEIPTS_WAIT, REQUEST_WAIT};
use crate::bridge::limits::rows;
use crate::limits::{Limit, bytes, check, count, number_of};

const REFUSED: &str = "413 `too-many`";

#[test]
fn the_page_of_fhir_says_its_limits() {
    let (connections, body) = (number_of::<Fhir>("connections"), number_of::<Fhir>("body-bytes"));
    let most = (CONNECTIONS_MAX * BODY_BYTES_MAX) as u64;
    let of_sample = size_of::<Sample>().max(size_of::<Measurement>());
    let samples = format!("{}, {}", count(SAMPLES_MAX), count(BUNDLE_SAMPLES_MAX));
    let mut limits = vec![
        Limit::of(
            "connections",
            "connections",
            format!("{connections}, at most {}", count(CONNECTIONS_MAX)),
            "the next waits until one ends",
        )
        .with_memory(format!(
            "a body each: {}; {} connections with bodies of {} would be {}, so choose both by what \
             the machine has",
            bytes(connections * body),
            count(CONNECTIONS_MAX),
            bytes(BODY_BYTES_MAX),
            bytes(most)
        )),
        Limit::of(
            "body-bytes",
            "bytes of a body, with a length or in chunks",
            format!("{}, at most {}", bytes(body), bytes(BODY_BYTES_MAX)),
            "413 `body-long`",
        ),
        Limit::fixed("bytes of a head", bytes(HEAD_BYTES_MAX), "431 `head-long`"),
        Limit::fixed(
            "requests that are worked on",
            count(WORK_MAX),
            "the next waits 10 s, then it is 503 `busy`",
        )
        .with_memory("some 16 MiB each"),
        Limit::fixed(
            "levels of JSON, names of an object",
            format!("{DEPTH_MAX}, {FIELDS_MAX}"),
            "413 `too-deep`, `too-many`",
        ),
        Limit::fixed("entries of a Bundle", count(ENTRIES_MAX), REFUSED),
        Limit::fixed(
            "components, codings, identifiers of an Observation",
            format!("{COMPONENTS_MAX}, {CODINGS_MAX}, {IDENTIFIERS_MAX}"),
            REFUSED,
        ),
        Limit::fixed("samples of a waveform, of a Bundle", samples, REFUSED)
            .with_memory(bytes(BUNDLE_SAMPLES_MAX * of_sample)),
        Limit::fixed("time of a request", format!("{} s", REQUEST_WAIT.as_secs()), "408"),
        Limit::fixed(
            "silence between requests",
            format!("{} s", IDLE_WAIT.as_secs()),
            "the connection is closed",
        ),
        Limit::fixed(
            "time until receipts have come",
            format!("{} s", RECEIPTS_WAIT.as_secs()),
            "503 `node-away`; the Observation goes on by itself",
        ),
    ];
    limits.extend(rows("others wait for a place, then it is 503"));
    check("fhir.md", &limits);
}
