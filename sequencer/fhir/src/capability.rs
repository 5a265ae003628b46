//! `CapabilityStatement`: what is taken, for programs that ask before they post.

use serde_json::{Value, json};

/// What differs from one start of the program to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instance<'a> {
    /// The address that others post to, without a slash at its end.
    pub base: &'a str,
    /// The version of the program.
    pub version: &'a str,
    /// When this program was published, as a date of FHIR.
    pub date: &'a str,
    /// Whether a token is asked for.
    pub is_open: bool,
}

/// The statement of one instance.
pub fn capability_statement(of: Instance<'_>) -> Value {
    let security = match of.is_open {
        true => json!({ "description": "None: this instance answers its own machine alone." }),
        false => json!({
            "service": [{ "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                "code": "SMART-on-FHIR",
            }] }],
            "description": "SMART backend services: a bearer token with system/Observation.c, or \
                with system/Observation.c?category=vital-signs for Observations of that category.",
        }),
    };
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": of.date,
        "kind": "instance",
        "software": { "name": "vitals fhir", "version": of.version },
        "implementation": { "description": DESCRIPTION, "url": of.base },
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{
            "mode": "server",
            "documentation": DOCUMENTATION,
            "security": security,
            "resource": [{
                "type": "Observation",
                "profile": "http://hl7.org/fhir/StructureDefinition/Observation",
                "supportedProfile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"],
                "interaction": [{ "code": "create" }],
                "versioning": "no-version",
                "conditionalCreate": true,
                "searchParam": [{
                    "name": "identifier",
                    "type": "token",
                    "documentation": "In If-None-Exist alone: nothing is searched here.",
                }],
            }],
            "interaction": [{ "code": "transaction" }, { "code": "batch" }],
        }],
    })
}

const DESCRIPTION: &str = "Vital signs into a node of the vitals rollup";

const DOCUMENTATION: &str = "An Observation is created when the node's signed receipt for every \
    reading of it was verified. Nothing is read, changed or deleted here. Subject, device, codes \
    and units are those of the map that this instance was started with.";
