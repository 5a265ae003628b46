//! A study's data set with its proofs, the claims that participants opened to it, and the readings
//! that it is made of.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use extract::{
    CheckedStudy, SoundClaims, Study, StudyError, StudyReading, Times, check_study, read_claims,
};
use model::calendar::Utc;
use model::{Category, Millis, PatientIndex, Purpose, signal_by_name};

use crate::changed_text::changed;
use crate::source::Source;
use crate::vectors::{EXPECTED, are_known, says_nothing};

const DATA: &str = include_str!("../../extract/vectors/data.csv");
const PROOFS: &str = include_str!("../../extract/vectors/proofs.jsonl");
const CLAIMS: &str = include_str!("../../extract/vectors/claims.jsonl");
/// What the set holds.
static CHECKED: LazyLock<CheckedStudy> =
    LazyLock::new(|| check_study(DATA, PROOFS, &EXPECTED).expect("the vectors hold"));
/// The one claim behind it: of patient 12, for 4 s.
static SOUND: LazyLock<SoundClaims> =
    LazyLock::new(|| read_claims(CLAIMS, &EXPECTED).expect("the vector holds"));

/// Between a data set and its proofs, where both stand in one text.
const BETWEEN: char = '\u{c}';
/// Most readings of a set that is made.
const READINGS_MAX: u8 = 24;

/// Any text, as claims, as a set with its proofs, and as readings.
pub(crate) fn given(text: &str) {
    check_claims(text);
    let (data, proofs) = text.split_once(BETWEEN).unwrap_or((text, text));
    check_set(data, proofs);
    check_set(DATA, text);
    check_set(text, PROOFS);
}

/// The files that hold, with some changes in one of them, or in both that belong together.
pub(crate) fn with_changes(source: &mut Source<'_>) {
    match source.below(4) {
        0 => check_set(&changed(DATA, source), PROOFS),
        1 => check_set(DATA, &changed(PROOFS, source)),
        2 => check_claims(&changed(CLAIMS, source)),
        _ => {
            let both = changed(&format!("{DATA}{BETWEEN}{PROOFS}"), source);
            let (data, proofs) = both.split_once(BETWEEN).unwrap_or((&both, ""));
            check_set(data, proofs);
        }
    }
}

/// What holds against headers that settled is the set that was made, whoever changed what.
fn check_set(data: &str, proofs: &str) {
    let checked = match check_study(data, proofs, &EXPECTED) {
        Ok(checked) => checked,
        Err(fault) => return says_nothing(&fault),
    };
    if !are_known(&checked.headers, &CHECKED.headers) {
        return;
    }
    assert!(data == DATA, "other rows under a root that nobody made");
    let told = |study: &CheckedStudy| CheckedStudy { headers: Vec::new(), ..study.clone() };
    assert_eq!(told(&checked), told(&CHECKED));
    // Rows of one claim may be told in several runs; who is who, and what was permitted, may not
    // be told otherwise.
    assert!(proven(proofs) == proven(PROOFS), "another participant or claim");
}

/// Lines of proofs but for the runs of rows, and but for requests, which may be withheld.
fn proven(proofs: &str) -> BTreeSet<&str> {
    let lines = proofs.lines().filter(|line| !line.starts_with("{\"line\":\"cover\""));
    lines.map(|line| line.split_once("\"request\":").map_or(line, |(before, _)| before)).collect()
}

fn check_claims(text: &str) {
    let found = match read_claims(text, &EXPECTED) {
        Ok(found) => found,
        Err(fault) => return says_nothing(&fault),
    };
    if are_known(&found.headers, &SOUND.headers) {
        let own = |claim| SOUND.claims.iter().any(|one| one.claim == claim);
        assert!(found.claims.into_iter().all(|one| own(one.claim)), "a claim of no batch");
    }
}

/// A set of readings that bytes choose, under a name and a key of theirs: it holds, and has what
/// the claim covers and nothing else.
pub(crate) fn of_readings(source: &mut Source<'_>) {
    let study = Study {
        name: String::from_utf8_lossy(source.bytes(16)).into_owned(),
        practitioner: "dr-study".to_owned(),
        purpose: Purpose::Research,
        categories: Category::Ecg.only(),
        times: if source.flag() { Times::Absolute } else { Times::Relative },
        key: [source.below(u8::MAX); 32],
    };
    let readings: Vec<_> = (0..source.below(READINGS_MAX)).map(|_| reading(source)).collect();
    let [claim] = &SOUND.claims[..] else { panic!("one claim") };
    let measured = claim.claim.measured;
    let covers = |one: &&StudyReading| {
        let is_of = one.patient == claim.claim.patient && one.device == "monitor";
        is_of && one.signal.name == "ecg" && measured.from <= one.at && one.at < measured.until
    };
    let covered = readings.iter().filter(covers).count() as u64;
    let made = match study.export(&EXPECTED, &readings, &SOUND) {
        Ok(made) => made,
        Err(error) => {
            assert_eq!((error, covered), (StudyError::Nothing, 0));
            return;
        }
    };
    assert_eq!(made.rows, covered, "what the claim covers");
    assert_eq!(made.rows + made.uncovered + made.others, readings.len() as u64, "each once");
    let checked = check_study(&made.data, &made.proofs, &EXPECTED).expect("what is made holds");
    assert_eq!((checked.study, checked.rows, checked.root), (study.name, covered, made.root));
    let foreign = check_study(&made.data, PROOFS, &EXPECTED);
    assert!(foreign.is_err() || made.data == DATA, "under the proofs of another set");
}

/// Around the times of the claim, and of somebody else at times.
fn reading(source: &mut Source<'_>) -> StudyReading {
    let patient = PatientIndex::new(12 + u32::from(source.below(8) == 7)).expect("below 2^24");
    let device = if source.below(8) == 7 { "other" } else { "monitor" };
    let signal = if source.below(8) == 7 { "spo2" } else { "ecg" };
    let from = SOUND.claims[0].claim.measured.from.get();
    // A second before it begins, up to some 5 s later.
    let at = Millis::new(from - 1000 + 25 * u64::from(source.below(u8::MAX))).expect("44 bits");
    let value = ["", "0", "-12", "97.00"][usize::from(source.below(4))];
    StudyReading {
        patient,
        device: device.to_owned(),
        signal: signal_by_name(signal).expect("a known signal"),
        at,
        value: value.to_owned(),
    }
}

/// Rows of the file that a reader was released readings in.
pub(crate) fn readings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let patient = PatientIndex::new(12).expect("below 2^24");
    for row in text.lines() {
        let Ok(read) = StudyReading::from_row(patient, row) else { continue };
        let StudyReading { device, signal, at, value, .. } = &read;
        let value = if value.is_empty() { "off" } else { value };
        let again = format!("{device},{},{},{value},{}", signal.name, Utc(*at), signal.unit);
        let again = StudyReading::from_row(patient, &again).expect("as it would be written");
        assert!(again == read, "one reading, one row");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_told_by_what_is_proven_and_not_by_how_it_is_told() {
        let split = PROOFS.replacen(
            "{\"line\":\"cover\",\"first\":0,\"rows\":12,",
            "{\"line\":\"cover\",\"first\":0,\"rows\":5,",
            1,
        );
        let (_, cover) = PROOFS.trim_end().rsplit_once('\n').unwrap();
        let rest = cover.replacen("\"first\":0,\"rows\":12,", "\"first\":5,\"rows\":7,", 1);
        let split = format!("{split}{rest}\n");
        assert!(split != PROOFS && check_study(DATA, &split, &EXPECTED).is_ok());
        check_set(DATA, &split);
        assert!(proven(&PROOFS.replace("\"patient\":12", "\"patient\":13")) != proven(PROOFS));
    }
}
