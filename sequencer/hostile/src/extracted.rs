//! Files that left the rollup with their proofs: a patient's record, as lines and as a FHIR Bundle,
//! and what of it somebody without the patient's key can change.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use extract::{CheckedRecord, HexText, bundle_text, check_bundle, check_record};
use statement::eddsa::{self, SecretKey};
use statement::field;

use crate::changed_text::changed;
use crate::source::Source;
use crate::studied;
use crate::vectors::{EXPECTED, are_known, says_nothing};

/// A record with a line of every kind, in the deployment of the auditor's tests.
const RECORD: &str = include_str!("../../extract/vectors/record.jsonl");
/// Its Bundle.
static BUNDLE: LazyLock<String> =
    LazyLock::new(|| bundle_text(RECORD).expect("the vector makes a Bundle"));
/// What it holds.
static CHECKED: LazyLock<CheckedRecord> =
    LazyLock::new(|| check_record(RECORD, &EXPECTED).expect("the vector holds"));

/// A file that left the rollup: any bytes, or one that holds with some changes. The first byte says
/// which.
///
/// # Panics
/// If something that was changed still holds: a record or a Bundle that its patient did not sign;
/// a line that the patient signed and no batch committed to; a data set with other rows or proofs.
/// If a Bundle and its lines do not agree, or a fault repeats a name.
pub fn extract_files(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    match source.below(7) {
        0 => given(&mut source),
        1 => check_signed(&changed(RECORD, &mut source)),
        2 => signed_again(&mut source),
        3 => check_of_lines(&changed(&BUNDLE, &mut source)),
        4 => studied::with_changes(&mut source),
        5 => studied::of_readings(&mut source),
        _ => studied::readings(source.rest()),
    }
}

/// Any bytes, as each of the files.
fn given(source: &mut Source<'_>) {
    let Ok(text) = std::str::from_utf8(source.rest()) else { return };
    check_signed(text);
    check_of_lines(text);
    studied::given(text);
}

/// Nobody but the patient signs a record: one that holds is the one that was signed.
fn check_signed(text: &str) {
    match check_record(text, &EXPECTED) {
        Ok(_) => assert!(text == RECORD, "a record that nobody signed holds"),
        Err(fault) => says_nothing(&fault),
    }
}

/// The same of a Bundle.
fn check_of_lines(text: &str) {
    match check_bundle(text, &EXPECTED) {
        Ok(_) => assert!(text.trim_end() == *BUNDLE, "a Bundle that nobody wrote holds"),
        Err(fault) => says_nothing(&fault),
    }
}

/// Lines that the patient changed before they were signed. Whoever compares the headers of what
/// holds with those that settled was shown nothing that no batch committed to.
fn signed_again(source: &mut Source<'_>) {
    let (lines, _) = RECORD.trim_end().rsplit_once('\n').expect("lines before the end");
    let text = signed(&changed(&format!("{lines}\n"), source));
    let bundle = bundle_text(&text);
    let checked = match check_record(&text, &EXPECTED) {
        Ok(checked) => checked,
        Err(fault) => return says_nothing(&fault),
    };
    let bundle = bundle.expect("lines that hold make a Bundle");
    assert!(check_bundle(&bundle, &EXPECTED).as_ref() == Ok(&checked), "as its lines");
    if !are_known(&checked.headers, &CHECKED.headers) {
        return;
    }
    let own: BTreeSet<_> = RECORD.lines().filter_map(Opened::of).collect();
    let mut seen = BTreeSet::new();
    for opened in text.lines().filter_map(Opened::of) {
        assert!(own.contains(&opened) && seen.insert(opened), "no batch committed to it");
    }
    assert!(checked.claims <= CHECKED.claims && checked.operations <= CHECKED.operations);
    assert!(checked.readings <= CHECKED.readings, "readings of nobody");
}

/// What a line opens.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Opened<'a> {
    kind: &'a str,
    proof: &'a str,
}

impl<'a> Opened<'a> {
    /// Nothing of a line without a proof. That of a batch is its header, which is compared.
    fn of(line: &'a str) -> Option<Opened<'a>> {
        let (kind, rest) = line.strip_prefix("{\"line\":\"")?.split_once('"')?;
        let proof = match kind {
            "operation" | "record" => rest.split_once("\"proof\":")?.1,
            // Its request may be withheld.
            "claim" => rest.split_once("\"proof\":")?.1.split_once("\"request\":")?.0,
            "frame" => rest.split_once("\"frame\":")?.1,
            _ => return None,
        };
        Some(Opened { kind, proof })
    }
}

/// Lines with the end that the patient's key makes, here without the writer: a second hand at it.
fn signed(lines: &str) -> String {
    let mut root = blake3::Hasher::new_derive_key("vitals rollup 2026 record lines v1");
    let mut count = 0;
    for line in lines.split_terminator('\n') {
        root.update(&(line.len() as u64).to_be_bytes());
        root.update(line.as_bytes());
        count += 1;
    }
    let root = *root.finalize().as_bytes();
    let key = SecretKey::from_bytes(&[1; 32]);
    let signature = eddsa::sign(&key, field::from_digest(&root)).encode();
    let [root, signer] = [root, key.public().encode()].map(|bytes| bytes.to_text());
    let signature = signature.to_text();
    let end = format!(
        "{{\"line\":\"end\",\"lines\":{count},\"root\":\"{root}\",\"signer\":\"{signer}\",\
         \"signature\":\"{signature}\"}}"
    );
    let gap = if lines.is_empty() || lines.ends_with('\n') { "" } else { "\n" };
    format!("{lines}{gap}{end}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_signed_again_without_a_change_is_the_same() {
        let (lines, _) = RECORD.trim_end().rsplit_once('\n').unwrap();
        assert!(signed(&format!("{lines}\n")) == RECORD);
        assert!(are_known(&CHECKED.headers, &CHECKED.headers));
    }

    #[test]
    fn what_is_opened_by_a_line_is_told_from_its_words() {
        let opened: Vec<_> = RECORD.lines().filter_map(Opened::of).collect();
        let lines = CHECKED.claims + CHECKED.operations + CHECKED.opened * 2 + 1;
        assert_eq!(opened.len() as u64, lines);
        let renamed = RECORD.replace("practitioner:dr-001", "practitioner:dr-002");
        assert!(renamed.lines().filter_map(Opened::of).eq(RECORD.lines().filter_map(Opened::of)));
    }
}
