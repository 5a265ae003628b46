//! The same record as a FHIR R4 Bundle of type `collection`.
//!
//! | line | resource |
//! |---|---|
//! | head | Patient, and Organization: the operator of the deployment |
//! | collection, gap | Observation, without a value where nobody has one |
//! | frame | Observation with its readings |
//! | access | AuditEvents of IHE BALP, by the crate `accounting` |
//! | refusal, question | AuditEvent |
//! | permit, deny, policy | Consent of IHE PCF, by the crate `pcf` |
//! | all others | none: what they say is of the resources above |
//!
//! Behind them stands a Provenance with the line that they were made from, proofs included: so the
//! Bundle alone is checked as the lines are, and every entry is made again from them and compared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::named::{Named, SYSTEM};
use self::provenance::{Told, provenance};
use crate::check::{CheckedRecord, Expected, RECORD_BYTES_MAX, check_record};
use crate::fault::Fault;
use crate::line::{Line, OperationLine};

mod consent;
mod event;
mod named;
mod observation;
mod provenance;

/// Most bytes of a Bundle: each line stands in it once, as a text in a text, beside words that are
/// made from it.
const BUNDLE_BYTES_MAX: usize = 3 * RECORD_BYTES_MAX;

/// The Bundle of a record.
///
/// # Errors
/// [`Fault`] for a line that is none of a record; that they hold is for [`check_record`].
pub fn bundle(record: &str) -> Result<Value, Fault> {
    let mut lines = Vec::new();
    for (text, number) in record.lines().zip(1..) {
        let line: Line = serde_json::from_str(text)
            .map_err(|_| Fault::new(number, "form", "a line of a record", "something else"))?;
        lines.push(Numbered { number, text, line });
    }
    let ends = (lines.first().map(|one| &one.line), lines.last().map(|one| &one.line));
    let (Some(Line::Head(head)), Some(Line::End(end))) = ends else {
        return Err(Fault::new(0, "form", "a head and an end", "none"));
    };
    let root = hex::encode(end.root.0);
    let named = Named::new(head, &root)
        .ok_or_else(|| Fault::new(1, "patient", "an index below 2^24", "another number"))?;
    let recorded = lines.iter().rev().find_map(|one| match &one.line {
        Line::Batch(batch) => Some(batch.until.clone()),
        _ => None,
    });
    let rules = Rules::of(&lines);
    let batch = Told::until(recorded.unwrap_or_default());
    let mut making = Making { named: &named, lines: &lines, rules, batch };
    let mut entries = Vec::new();
    for at in 0..lines.len() {
        making.add(&mut entries, at)?;
    }
    Ok(json!({
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": { "system": format!("{SYSTEM}:record"), "value": root },
        "entry": entries,
    }))
}

/// The Bundle of a record as a text: the only one that [`check_bundle`] takes for it.
///
/// # Errors
/// [`Fault`] as [`bundle`], and of one that is longer than any that is read.
pub fn bundle_text(record: &str) -> Result<String, Fault> {
    let text = written(&bundle(record)?)?;
    check_length(&text)?;
    Ok(text)
}

fn written(made: &Value) -> Result<String, Fault> {
    serde_json::to_string_pretty(made)
        .map_err(|_| Fault::new(0, "Bundle", "words that can be written", "others"))
}

fn check_length(text: &str) -> Result<(), Fault> {
    if text.len() > BUNDLE_BYTES_MAX {
        let most = format!("at most {BUNDLE_BYTES_MAX} bytes");
        return Err(Fault::new(0, "length", most, text.len().to_string()));
    }
    Ok(())
}

/// Checks a Bundle: its lines as a record, each entry to be the one that its line makes, and the
/// text to be the one that is written of them. A text in which a member stands twice is one value
/// to this reader and another to the next.
///
/// # Errors
/// [`Fault`] that names the line; of an entry that no line makes, the number of the entry.
pub fn check_bundle(text: &str, expected: &Expected) -> Result<CheckedRecord, Fault> {
    check_length(text)?;
    let found: Value = serde_json::from_str(text)
        .map_err(|_| Fault::new(0, "form", "a FHIR Bundle", "no JSON"))?;
    let entries = found["entry"].as_array().map_or(&[][..], Vec::as_slice);
    let mut record = String::new();
    for entry in entries {
        let line = entry["resource"]["extension"][0]["valueString"].as_str();
        if let Some(line) = line.filter(|_| entry["resource"]["resourceType"] == "Provenance") {
            record += line;
            record.push('\n');
        }
    }
    let checked = check_record(&record, expected)?;
    let own = bundle(&record)?;
    let made = own["entry"].as_array().map_or(&[][..], Vec::as_slice);
    let differs = (0..made.len().max(entries.len())).find(|at| made.get(*at) != entries.get(*at));
    if let Some(at) = differs {
        let expected = "the entry that its line makes";
        return Err(Fault::new(at + 1, "entry of the Bundle", expected, "another"));
    }
    if own != found || written(&own)? != text.trim_end() {
        let expected = "the Bundle that its lines make";
        return Err(Fault::new(0, "Bundle", expected, "other words beside its entries"));
    }
    Ok(checked)
}

/// A line with its number and its exact text.
struct Numbered<'a> {
    number: usize,
    text: &'a str,
    line: Line,
}

/// What became of the rules that the lines write: none is live behind what ended it.
#[derive(Default)]
struct Rules {
    /// Number of the line that wrote a rule, and whether a later one ended it.
    written: BTreeMap<usize, bool>,
    /// Numbers of the lines that each revocation and stop ended the rules of.
    ended_by: BTreeMap<usize, Vec<usize>>,
}

impl Rules {
    fn of(lines: &[Numbered<'_>]) -> Rules {
        let mut rules = Rules::default();
        let mut live: BTreeMap<&str, usize> = BTreeMap::new();
        for Numbered { number, line, .. } in lines {
            let Line::Operation(one) = line else { continue };
            let ended = match (one.slot.as_deref(), one.what.as_str()) {
                (Some(slot), "revoke") => live.remove(slot).into_iter().collect(),
                (Some(slot), _) => {
                    rules.written.insert(*number, false);
                    live.insert(slot, *number).into_iter().collect()
                }
                (None, "stop") => std::mem::take(&mut live).into_values().collect(),
                (None, _) => Vec::new(),
            };
            for one in &ended {
                rules.written.insert(*one, true);
            }
            if !is_write(one) {
                rules.ended_by.insert(*number, ended);
            }
        }
        rules
    }
}

fn is_write(one: &OperationLine) -> bool {
    matches!(one.what.as_str(), "permit" | "deny" | "policy")
}

/// What every entry has in common.
struct Making<'a> {
    named: &'a Named<'a>,
    lines: &'a [Numbered<'a>],
    rules: Rules,
    /// Of the batch whose lines are made.
    batch: Told,
}

impl Making<'_> {
    fn add(&mut self, entries: &mut Vec<Value>, at: usize) -> Result<(), Fault> {
        let Numbered { number, text, line } = &self.lines[at];
        if let Line::Batch(batch) = line {
            self.batch.recorded.clone_from(&batch.until);
            self.batch.transaction = batch.transaction;
        }
        let resources = self.resources(at);
        let resources = resources.ok_or_else(|| {
            Fault::new(*number, "proof", "a claim or operation that it opens", "other bytes")
        })?;
        let mut targets = Vec::new();
        for (resource, at) in resources.into_iter().zip(0..) {
            let url = self.named.url(*number, at);
            entries.push(json!({ "fullUrl": url, "resource": resource }));
            targets.push(url);
        }
        if let Some(ended) = self.rules.ended_by.get(number) {
            targets.extend(ended.iter().map(|number| self.named.url(*number, 0)));
        }
        let told = self.batch.of_line(line, text);
        let resource = provenance(self.named, &told, &targets);
        entries.push(json!({ "fullUrl": self.named.own_url(*number), "resource": resource }));
        Ok(())
    }

    fn resources(&self, at: usize) -> Option<Vec<Value>> {
        let named = self.named;
        let Numbered { number, line, .. } = &self.lines[at];
        Some(match line {
            Line::Head(_) => named.resources(),
            Line::Claim(claim) if claim.what == "collect" => {
                vec![observation::collection(named, claim, &self.members(at))?]
            }
            Line::Claim(claim) => event::access(named, claim, self.batch.transaction)?,
            Line::Frame(frame) => observation::readings(named, self.claim_of(at)?, frame)?,
            Line::Gap(gap) => vec![observation::gap(named, gap)],
            Line::Refused(refused) => vec![event::refusal(named, refused)],
            Line::Operation(one) if is_write(one) => {
                let is_ended = self.rules.written.get(number).is_some_and(|ended| *ended);
                vec![consent::consent(named, one, is_ended)?]
            }
            Line::Operation(_) | Line::Batch(_) | Line::Record(_) | Line::End(_) => Vec::new(),
        })
    }

    /// The Observations of the frames behind a collection.
    fn members(&self, at: usize) -> Vec<String> {
        let frames = self.lines[at + 1..].iter().map_while(|one| match &one.line {
            Line::Frame(frame) => Some((one.number, frame)),
            _ => None,
        });
        let urls = frames.flat_map(|(number, frame)| {
            let count = observation::count(frame);
            (0..count).map(move |at| self.named.url(number, at))
        });
        urls.collect()
    }

    /// The collection above a frame.
    fn claim_of(&self, at: usize) -> Option<&crate::line::ClaimLine> {
        self.lines[..at].iter().rev().find_map(|one| match &one.line {
            Line::Claim(claim) => Some(&**claim),
            _ => None,
        })
    }
}
