//! The same record as a FHIR R4 Bundle of type `collection`.
//!
//! A collection becomes an Observation that says when and by what was measured and names its
//! segment: no value is made up, because no batch has one. Everything else becomes a Basic. Beside
//! each stands a Provenance with the line that it was made from, proofs included: so the Bundle
//! alone is checked as the lines are, and every entry is made again from them and compared.

use serde_json::{Value, json};

use crate::check::{CheckedRecord, Expected, RECORD_BYTES_MAX, check_record};
use crate::fault::Fault;
use crate::line::{ClaimLine, Head, Line, OperationLine};

/// Before every word of ours that FHIR asks a system for.
const SYSTEM: &str = "urn:vitals-rollup";

/// The Bundle of a record.
///
/// # Errors
/// [`Fault`] for a line that is none of a record; that they hold is for [`check_record`].
pub fn bundle(record: &str) -> Result<Value, Fault> {
    let mut lines = Vec::new();
    for (text, number) in record.lines().zip(1..) {
        let line: Line = serde_json::from_str(text)
            .map_err(|_| Fault::new(number, "form", "a line of a record", "something else"))?;
        lines.push((text, line));
    }
    let (Some((_, Line::Head(head))), Some((_, Line::End(end)))) = (lines.first(), lines.last())
    else {
        return Err(Fault::new(0, "form", "a head and an end", "none"));
    };
    let until = lines.iter().rev().find_map(|(_, line)| match line {
        Line::Batch(batch) => Some(batch.until.clone()),
        _ => None,
    });
    let root = hex::encode(end.root.0);
    let mut making = Making { head, root: &root, recorded: until.unwrap_or_default() };
    let mut entries = Vec::new();
    for ((text, line), number) in lines.iter().zip(1..) {
        making.add(&mut entries, (number, *text), line);
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
/// [`Fault`] as [`bundle`].
pub fn bundle_text(record: &str) -> Result<String, Fault> {
    written(&bundle(record)?)
}

fn written(made: &Value) -> Result<String, Fault> {
    serde_json::to_string_pretty(made)
        .map_err(|_| Fault::new(0, "Bundle", "words that can be written", "others"))
}

/// Checks a Bundle: its lines as a record, each entry to be the one that its line makes, and the
/// text to be the one that is written of them. A text in which a member stands twice is one value
/// to this reader and another to the next.
///
/// # Errors
/// [`Fault`] that names the line; of an entry that no line makes, the number of the entry.
pub fn check_bundle(text: &str, expected: &Expected) -> Result<CheckedRecord, Fault> {
    // Each line stands in it once, as a text in a text, beside words that are made from it.
    if text.len() / 3 > RECORD_BYTES_MAX {
        let most = format!("at most {} bytes", 3 * RECORD_BYTES_MAX);
        return Err(Fault::new(0, "length", most, text.len().to_string()));
    }
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

/// What every entry has in common.
struct Making<'a> {
    head: &'a Head,
    root: &'a str,
    /// When the batch ended whose lines are made.
    recorded: String,
}

impl Making<'_> {
    fn add(&mut self, entries: &mut Vec<Value>, (number, text): (usize, &str), line: &Line) {
        if let Line::Batch(batch) = line {
            self.recorded.clone_from(&batch.until);
        }
        let (resource, place) = match line {
            Line::Claim(claim) if claim.what == "collect" => {
                (self.observation(claim), claim_place(claim))
            }
            Line::Claim(claim) => {
                (self.basic("access", &access_sentence(claim)), claim_place(claim))
            }
            Line::Operation(one) => {
                (self.basic("consent", &consent_sentence(one)), operation_place(one))
            }
            Line::Refused(refused) => {
                let what = if refused.is_question() { "asked" } else { "was refused" };
                let says = format!(
                    "{}: {} {what}, {} ({}); the word of whoever signed this \
                     record, which nobody proves",
                    refused.time, refused.who, refused.why, refused.rule
                );
                (self.basic("refusal", &says), format!("batch {}, not proven", refused.batch))
            }
            Line::Gap(gap) => {
                let says = format!(
                    "nothing of {} was collected from {} to {}: {}",
                    gap.categories.join(", "),
                    gap.from,
                    gap.until,
                    gap.source
                );
                (self.basic("gap", &says), "the collections of this record".to_owned())
            }
            Line::Head(_) => {
                (self.basic("head", "whose record, of which deployment"), self.of_all())
            }
            Line::Batch(batch) => {
                let says = format!("batch {}, from {} to {}", batch.batch, batch.from, batch.until);
                (self.basic("batch", &says), format!("batch {}, header", batch.batch))
            }
            Line::Record(record) => {
                let says = "the record's key, and how many operations it has seen";
                (self.basic("record", says), format!("batch {}, consent root", record.batch))
            }
            Line::End(_) => (self.basic("end", "the patient's signature"), self.of_all()),
        };
        let url = self.url(number, "resource");
        entries.push(json!({ "fullUrl": url, "resource": resource }));
        entries.push(json!({
            "fullUrl": self.url(number, "provenance"),
            "resource": {
                "resourceType": "Provenance",
                "extension": [{ "url": format!("{SYSTEM}:line"), "valueString": text }],
                "target": [{ "reference": url }],
                "recorded": self.recorded,
                "agent": [{ "who": {
                    "identifier": { "system": format!("{SYSTEM}:deployment"),
                                    "value": self.head.fingerprint },
                    "display": "the operator of this deployment",
                } }],
                "entity": [{ "role": "source", "what": {
                    "identifier": { "system": format!("{SYSTEM}:proof"), "value": place },
                } }],
            },
        }));
    }

    fn of_all(&self) -> String {
        format!("the lines under {}", self.root)
    }

    fn observation(&self, claim: &ClaimLine) -> Value {
        let codes = claim
            .categories
            .iter()
            .map(|code| json!({ "system": format!("{SYSTEM}:category"), "code": code }));
        json!({
            "resourceType": "Observation",
            "status": "final",
            "category": [{ "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                "code": "vital-signs",
            }] }],
            "code": { "coding": codes.collect::<Vec<_>>(), "text": claim.categories.join(", ") },
            "subject": self.subject(),
            "effectivePeriod": { "start": claim.measured[0], "end": claim.measured[1] },
            "issued": claim.time,
            "device": { "type": "Device", "identifier": {
                "system": format!("{SYSTEM}:device"), "value": claim.who,
            } },
            "dataAbsentReason": {
                "text": "the readings are in this segment, which a permitted reader is given",
            },
            "derivedFrom": [{ "type": "DocumentReference", "identifier": {
                "system": format!("{SYSTEM}:segment"), "value": hex::encode(claim.digest.0),
            } }],
        })
    }

    fn basic(&self, code: &str, says: &str) -> Value {
        let coding = json!([{ "system": format!("{SYSTEM}:line"), "code": code }]);
        json!({
            "resourceType": "Basic",
            "code": { "coding": coding, "text": says },
            "subject": self.subject(),
        })
    }

    fn subject(&self) -> Value {
        let Head { chain_id, settlement, patient, .. } = self.head;
        let system = format!("{SYSTEM}:{chain_id}:0x{}", hex::encode(settlement.0));
        let identifier = json!({ "system": system, "value": patient.to_string() });
        json!({ "type": "Patient", "identifier": identifier })
    }

    /// A name that follows from the record and the line: FHIR wants one of each entry, and a
    /// random one could not be made again.
    fn url(&self, number: usize, role: &str) -> String {
        let text = format!("{SYSTEM} {} {number} {role}", self.root);
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        // RFC 9562: version 8, for hashes of one's own.
        (id[6], id[8]) = (id[6] & 0x0f | 0x80, id[8] & 0x3f | 0x80);
        let hex = hex::encode(id);
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        format!("urn:uuid:{}", parts.join("-"))
    }
}

fn claim_place(claim: &ClaimLine) -> String {
    let (chunk, leaf) = (claim.proof.chunk, claim.proof.path.leaf);
    format!("batch {}, claims chunk {chunk}, leaf {leaf}", claim.batch)
}

fn operation_place(one: &OperationLine) -> String {
    let (chunk, row) = (one.proof.chunk, one.proof.path.leaf);
    format!("batch {}, operations chunk {chunk}, row {row}", one.batch)
}

fn access_sentence(claim: &ClaimLine) -> String {
    let ClaimLine { time, who, organisation, purpose, measured: [from, until], .. } = claim;
    let verb = if claim.what == "access" { "read" } else { "broke the glass and read" };
    let under = if claim.covered { "proven covered" } else { "counted in public as not covered" };
    let what = claim.categories.join(", ");
    let why = claim.reason.as_deref().map_or(String::new(), |why| format!(", reason: {why:?}"));
    format!(
        "{time}: {who} for {organisation} {verb} {what} of {from} to {until} for {purpose}, \
         {under}{why}"
    )
}

fn consent_sentence(one: &OperationLine) -> String {
    let slot = one.slot.as_deref().map_or(String::new(), |slot| format!(" {slot}"));
    let Some(rule) = &one.rule else { return format!("{}: {}{slot}", one.time, one.what) };
    format!(
        "{}: {}{slot}: {} to {} {} of {} for {}, from {} until {}, data of {} until {}, labels {}",
        one.time,
        one.what,
        rule.who,
        rule.kinds.join(" and "),
        rule.categories.join(", "),
        rule.source,
        rule.purposes.join(", "),
        rule.access[0],
        rule.access[1],
        rule.data[0],
        rule.data[1],
        rule.labels.join(", "),
    )
}
