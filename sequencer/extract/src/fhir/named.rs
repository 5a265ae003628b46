//! What the resources of a record call its patient, its operator, everybody else and each other.

use accounting::identifier;
use model::{ChainScope, PatientIndex, Word};
use serde_json::{Value, json};

use crate::line::Head;

/// Before every word of ours that FHIR asks a system for.
pub(super) const SYSTEM: &str = "urn:vitals-rollup";

/// Whose record, of which deployment, and under which root.
pub(super) struct Named<'a> {
    pub(super) head: &'a Head,
    pub(super) scope: ChainScope,
    pub(super) patient: PatientIndex,
    root: &'a str,
}

impl Named<'_> {
    /// Nothing of an index that no patient has.
    pub(super) fn new<'a>(head: &'a Head, root: &'a str) -> Option<Named<'a>> {
        let scope = ChainScope { chain_id: head.chain_id, contract: head.settlement.0 };
        Some(Named { head, scope, patient: PatientIndex::new(head.patient).ok()?, root })
    }

    /// Patient and operator, which the other resources refer to.
    pub(super) fn resources(&self) -> Vec<Value> {
        let patient = identifier::patient(self.scope, self.patient);
        let deployment = identifier::deployment(self.scope);
        let fingerprint = json!({
            "system": format!("{SYSTEM}:fingerprint"), "value": self.head.fingerprint,
        });
        vec![
            json!({ "resourceType": "Patient", "identifier": [patient] }),
            json!({
                "resourceType": "Organization", "identifier": [deployment, fingerprint],
                "name": "the operator of this deployment",
            }),
        ]
    }

    /// The Patient of the head's line.
    pub(super) fn subject(&self) -> Value {
        let identifier = identifier::patient(self.scope, self.patient);
        json!({ "reference": self.url(1, 0), "type": "Patient", "identifier": identifier })
    }

    /// Where the operator's Organization stands.
    pub(super) fn operator_url(&self) -> String {
        self.url(1, 1)
    }

    pub(super) fn operator(&self) -> Value {
        let identifier = identifier::deployment(self.scope);
        json!({
            "reference": self.operator_url(), "type": "Organization", "identifier": identifier,
        })
    }

    /// The Bundle itself, by what every one of its lines is under.
    pub(super) fn bundle(&self) -> Value {
        let identifier = json!({ "system": format!("{SYSTEM}:record"), "value": self.root });
        json!({ "type": "Bundle", "identifier": identifier })
    }

    /// The registered name of a word, as far as the head has it: without its kind.
    pub(super) fn name(&self, word: Word) -> Option<String> {
        let known = self.head.names.of(word);
        known.split_once(':').map(|(_, name)| name.to_owned())
    }

    /// Somebody of a kind, by name or word.
    pub(super) fn reference(&self, kind: &str, word: Word) -> Value {
        identifier::reference(kind, self.name(word).as_deref(), &word.to_hex())
    }

    /// A name that follows from the record and the line: FHIR wants one of each entry, and a
    /// random one could not be made again.
    pub(super) fn url(&self, number: usize, at: usize) -> String {
        self.uuid(&format!("{number} resource {at}"))
    }

    /// The same of the line's Provenance.
    pub(super) fn own_url(&self, number: usize) -> String {
        self.uuid(&format!("{number} provenance"))
    }

    fn uuid(&self, what: &str) -> String {
        let text = format!("{SYSTEM} {} {what}", self.root);
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        // RFC 9562: version 8, for hashes of one's own.
        (id[6], id[8]) = (id[6] & 0x0f | 0x80, id[8] & 0x3f | 0x80);
        let hex = hex::encode(id);
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        format!("urn:uuid:{}", parts.join("-"))
    }
}
