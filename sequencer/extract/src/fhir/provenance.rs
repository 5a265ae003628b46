//! The Provenance of a line: the line itself, where it is proven, and how that is verified.

use serde_json::{Value, json};

use super::named::{Named, SYSTEM};
use crate::line::Line;
use crate::text::{Hex, HexText};

/// How whoever has the Bundle checks it.
const VERIFY: &str = "auditor verify --bundle FILE --deployment FILE --rpc URL";

/// What a Provenance tells of a line.
#[derive(Default)]
pub(super) struct Told {
    /// The exact line.
    line: String,
    /// When the batch ended whose line it is.
    pub(super) recorded: String,
    /// What settled that batch.
    pub(super) transaction: Option<Hex<[u8; 32]>>,
    place: Place,
    /// What the line did, of FHIR's data operations.
    activity: Option<&'static str>,
    is_signed_by_patient: bool,
}

/// Where a line is proven.
#[derive(Default)]
struct Place {
    batch: Option<u64>,
    /// `claims` or `operations`, chunk and leaf.
    leaf: Option<Leaf>,
    /// In words.
    says: String,
}

struct Leaf {
    list: &'static str,
    chunk: u32,
    leaf: u32,
}

impl Told {
    /// Of a batch that ended then.
    pub(super) fn until(recorded: String) -> Told {
        Told { recorded, ..Told::default() }
    }

    /// Of a line of the batch that this is of.
    pub(super) fn of_line(&self, line: &Line, text: &str) -> Told {
        let (activity, is_signed_by_patient) = match line {
            Line::Operation(one) => match one.what.as_str() {
                // The registrar signs it.
                "enrol" => (Some("CREATE"), false),
                "revoke" | "stop" => (Some("ABORT"), true),
                _ => (Some("CREATE"), true),
            },
            Line::Head(_) | Line::End(_) => (None, true),
            _ => (None, false),
        };
        let place = Place::of(line);
        let transaction = self.transaction.filter(|_| place.batch.is_some());
        Told {
            line: text.to_owned(),
            recorded: self.recorded.clone(),
            transaction,
            place,
            activity,
            is_signed_by_patient,
        }
    }
}

impl Place {
    fn of(line: &Line) -> Place {
        let of_batch = |batch: u64, says: &str| Place {
            batch: Some(batch),
            leaf: None,
            says: format!("batch {batch}, {says}"),
        };
        let of_all = |says: &str| Place { says: says.to_owned(), ..Place::default() };
        match line {
            Line::Claim(claim) => {
                let (chunk, leaf) = (claim.proof.chunk, claim.proof.path.leaf);
                let place = of_batch(claim.batch, &format!("claims chunk {chunk}, leaf {leaf}"));
                Place { leaf: Some(Leaf { list: "claims", chunk, leaf }), ..place }
            }
            Line::Operation(one) => {
                let (chunk, leaf) = (one.proof.chunk, one.proof.path.leaf);
                let place = of_batch(one.batch, &format!("operations chunk {chunk}, row {leaf}"));
                Place { leaf: Some(Leaf { list: "operations", chunk, leaf }), ..place }
            }
            Line::Frame(frame) => of_batch(frame.batch, "the digest of the collection above"),
            Line::Refused(refused) => of_batch(refused.batch, "not proven"),
            Line::Batch(batch) => of_batch(batch.batch, "header"),
            Line::Record(record) => of_batch(record.batch, "consent root"),
            Line::Gap(_) => of_all("the collections of this record"),
            Line::Head(_) | Line::End(_) => of_all("the patient's signature over all lines"),
        }
    }
}

/// Of what a line made, or, of one that made nothing, of the whole.
pub(super) fn provenance(named: &Named<'_>, told: &Told, targets: &[String]) -> Value {
    let mut target: Vec<_> = targets.iter().map(|url| json!({ "reference": url })).collect();
    if target.is_empty() {
        target.push(named.bundle());
    }
    let kind = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
    let agent = |code: &str, who: Value| json!({ "type": { "coding": [{ "system": kind, "code": code }] }, "who": who });
    let mut agents = vec![agent("assembler", named.operator())];
    if told.is_signed_by_patient {
        agents.insert(0, agent("author", named.subject()));
    }
    let mut resource = json!({
        "resourceType": "Provenance",
        // The line first: there a check looks for it.
        "extension": [
            { "url": format!("{SYSTEM}:line"), "valueString": told.line },
            { "url": format!("{SYSTEM}:proof"), "extension": proof(told) },
        ],
        "target": target,
        "recorded": told.recorded,
        "agent": agents,
        "entity": [{ "role": "source", "what": { "identifier": {
            "system": format!("{SYSTEM}:proof"), "value": told.place.says,
        } } }],
    });
    if let Some(code) = told.activity {
        let system = "http://terminology.hl7.org/CodeSystem/v3-DataOperation";
        resource["activity"] = json!({ "coding": [{ "system": system, "code": code }] });
    }
    resource
}

fn proof(told: &Told) -> Vec<Value> {
    let mut parts = Vec::new();
    let mut part =
        |url: &str, value: Value| parts.push(json!({ "url": url, "valueString": value }));
    if let Some(batch) = told.place.batch {
        part("batch", batch.to_string().into());
    }
    if let Some(Leaf { list, chunk, leaf }) = &told.place.leaf {
        part("list", (*list).into());
        part("chunk", chunk.to_string().into());
        part("leaf", leaf.to_string().into());
    }
    if let Some(Hex(hash)) = &told.transaction {
        part("transaction", format!("0x{}", hash.to_text()).into());
    }
    part("verify", VERIFY.into());
    parts
}
