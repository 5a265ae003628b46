//! What FHIR resources call a patient, a deployment and everybody else: one system for each, so
//! that a reader finds the same person in every file.

use model::{ChainScope, PatientIndex};
use serde_json::{Value, json};

/// Of a patient: the index in this deployment, and no number of a hospital.
pub fn patient(scope: ChainScope, patient: PatientIndex) -> Value {
    let system = format!("urn:vitals:patient:{}", chain(scope));
    json!({"system": system, "value": patient.get().to_string()})
}

/// Of a deployment, by chain and contract (CAIP-2 and an address).
pub fn deployment(scope: ChainScope) -> Value {
    json!({"system": "urn:vitals:deployment", "value": chain(scope)})
}

/// Somebody as an `organisation`, `practitioner`, `care-team` or `device`, by the name that the
/// registry has, else by the word in rules and claims.
pub fn reference(kind: &str, name: Option<&str>, word: &str) -> Value {
    let (system, value) = match name {
        Some(name) => (format!("urn:vitals:{kind}"), name),
        None => (format!("urn:vitals:{kind}:word"), word),
    };
    let identifier = json!({"system": system, "value": value});
    match kind {
        "organisation" => json!({"type": "Organization", "identifier": identifier}),
        "practitioner" => json!({"type": "Practitioner", "identifier": identifier}),
        "care-team" => json!({"type": "CareTeam", "identifier": identifier}),
        _ => json!({"type": "Device", "identifier": identifier}),
    }
}

fn chain(ChainScope { chain_id, contract }: ChainScope) -> String {
    format!("eip155:{chain_id}:0x{}", hex::encode(contract))
}
