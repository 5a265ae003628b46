//! Accesses, refusals and questions as AuditEvents.

use accounting::{Entry, Known, events};
use model::{BatchNumber, Claim, ClaimKind};
use serde_json::{Value, json};
use statement::batch::ClaimOpening;

use super::named::{Named, SYSTEM};
use crate::line::{ClaimLine, RefusedLine};
use crate::text::Hex;

/// The AuditEvents of an access: the decision, and the disclosure.
///
/// Nothing of a line that opens no claim.
pub(super) fn access(
    named: &Named<'_>,
    line: &ClaimLine,
    transaction: Option<Hex<[u8; 32]>>,
) -> Option<Vec<Value>> {
    let claim = Claim::from_bytes(&line.proof.claim.0).ok()?;
    let name = |word| named.name(word);
    let known =
        Known { individual: name(claim.individual), organisation: name(claim.organisation) };
    let opening = ClaimOpening {
        chunk: line.proof.chunk,
        leaf: line.proof.path.leaf,
        covered: line.proof.covered,
        salt: line.proof.salt.0,
        request: line.proof.request.0.clone(),
        claim,
    };
    debug_assert_ne!(opening.claim.kind, ClaimKind::Collect, "a collection discloses nothing");
    let transaction = transaction.map(|hash| hash.0);
    let entry = Entry::new(BatchNumber(line.batch), transaction, opening, known).ok()?;
    Some(events(&entry, named.scope))
}

/// What was refused, and what a system asked about: beside the time nothing of it is proven.
pub(super) fn refusal(named: &Named<'_>, line: &RefusedLine) -> Value {
    let dcm = "http://dicom.nema.org/resources/ontology/DCM";
    let is_question = line.is_question();
    let (code, display) =
        if is_question { ("110112", "Query") } else { ("110113", "Security Alert") };
    let (kind, name) = line.who.split_once(':').unwrap_or(("", &line.who));
    let who = match kind {
        "practitioner" => accounting::identifier::reference(kind, Some(name), ""),
        "system" => accounting::identifier::reference("organisation", Some(name), ""),
        _ => json!({ "type": "Device", "identifier": {
            "system": "urn:vitals:gateway", "value": name,
        } }),
    };
    let rule = if line.rule.is_empty() { String::new() } else { format!(" ({})", line.rule) };
    let times = if line.count == 1 { String::new() } else { format!(", {} times", line.count) };
    json!({
        "resourceType": "AuditEvent",
        "extension": [{
            "url": format!("{SYSTEM}:not-proven"),
            "valueString": "the word of whoever signed this record",
        }],
        "type": { "system": dcm, "code": code, "display": display },
        "action": "E",
        "recorded": line.time,
        "outcome": if is_question { "0" } else { "8" },
        "outcomeDesc": format!("{}{rule}{times}", line.why),
        "agent": [{ "who": who, "requestor": true }],
        "source": { "observer": named.operator() },
        "entity": [{ "what": named.subject(), "role": {
            "system": "http://terminology.hl7.org/CodeSystem/object-role", "code": "1",
            "display": "Patient",
        } }],
    })
}
