//! FHIR R4 AuditEvents after IHE BALP: *Authorization decision using Consent* of each settled
//! claim, and *Privacy Disclosure at Source* of each access.
//!
//! Every event has one entity that names batch, chunk, leaf, transaction and how it is verified. In
//! the decision it is the entity of the consent, as the profile closes the list of entities; in the
//! disclosure it is one of its own. What the profiles ask for and nobody committed to, the network
//! address of who asked, is said to be unknown by the extension that FHIR has for it.

use model::calendar::Utc;
use model::{ChainScope, ClaimKind};
use serde_json::{Value, json};

use crate::entry::Entry;
use crate::identifier;
use crate::layout::{act_reason, basis, categories};

/// Of the identifier of a Bundle.
pub(crate) const ABOUT_SYSTEM: &str = "urn:vitals:accounting";
/// Type of the detail that holds an opening.
pub(crate) const OPENING: &str = "opening";

/// The profiles of IHE BALP that the AuditEvents have: of a decision, and of a disclosure.
pub const AUDIT_EVENT_PROFILES: [&str; 2] = [DECISION_PROFILE, DISCLOSURE_PROFILE];
const DECISION_PROFILE: &str =
    "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.AuthZconsent";
const DISCLOSURE_PROFILE: &str =
    "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source";
const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// The AuditEvents of a settled claim: the decision, and of an access the disclosure.
pub fn events(entry: &Entry, scope: ChainScope) -> Vec<Value> {
    let parts = Parts { entry, scope };
    let decision = parts.decision();
    if entry.is_access() { vec![decision, parts.disclosure()] } else { vec![decision] }
}

struct Parts<'a> {
    entry: &'a Entry,
    scope: ChainScope,
}

impl Parts<'_> {
    fn decision(&self) -> Value {
        let claim = self.entry.claim();
        let covered = self.entry.covered();
        json!({
            "resourceType": "AuditEvent",
            "id": self.id("decision"),
            "meta": {"profile": [DECISION_PROFILE]},
            "type": coding(DCM, "110113", "Security Alert"),
            "subtype": [coding(
                "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType",
                "AuthZ-Consent",
                "Authorization Decision using Roles and Consent",
            )],
            "action": "E",
            "recorded": Utc(claim.receipt.from).to_string(),
            "outcome": if covered { "0" } else { "8" },
            "outcomeDesc": basis(self.entry),
            "purposeOfEvent": self.purposes(),
            "source": self.source(),
            "agent": [self.client(), self.user(), self.organisation(), self.authorizer()],
            "entity": [self.patient(), self.consent()],
        })
    }

    fn disclosure(&self) -> Value {
        let claim = self.entry.claim();
        json!({
            "resourceType": "AuditEvent",
            "id": self.id("disclosure"),
            "meta": {"profile": [DISCLOSURE_PROFILE]},
            "type": coding(DCM, "110106", "Export"),
            "subtype": [coding(
                "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle",
                "disclose",
                "Disclose Record Lifecycle Event",
            )],
            "action": "R",
            "recorded": Utc(claim.receipt.from).to_string(),
            "outcome": "0",
            "outcomeDesc": basis(self.entry),
            "purposeOfEvent": self.purposes(),
            "source": self.source(),
            "agent": [
                {
                    "type": concept(DCM, "110153", "Source Role ID"),
                    "who": self.node(),
                    "requestor": false,
                    "network": unknown(),
                },
                {
                    "type": concept(DCM, "110152", "Destination Role ID"),
                    "who": self.individual(),
                    "requestor": true,
                    "network": unknown(),
                },
                self.organisation(),
            ],
            "entity": [self.patient(), self.data(), self.proof()],
        })
    }

    fn id(&self, what: &str) -> String {
        let (chunk, leaf) = self.entry.place();
        format!("{}-{chunk}-{leaf}-{what}", self.entry.batch().0)
    }

    /// Of the claim, and *break the glass* besides where that was done.
    fn purposes(&self) -> Value {
        let claim = self.entry.claim();
        let mut purposes =
            vec![concept(ACT_REASON, act_reason(claim.purpose), claim.purpose.name())];
        if claim.kind == ClaimKind::BreakGlass {
            purposes.push(concept(ACT_REASON, "BTG", "break the glass"));
        }
        purposes.into()
    }

    /// This deployment, which decides and records.
    fn node(&self) -> Value {
        json!({"identifier": identifier::deployment(self.scope)})
    }

    fn source(&self) -> Value {
        let kind = "http://terminology.hl7.org/CodeSystem/security-source-type";
        json!({"observer": self.node(), "type": [coding(kind, "6", "Security Server")]})
    }

    /// The program that asked: no claim says which.
    fn client(&self) -> Value {
        json!({
            "type": concept(DCM, "110150", "Application"),
            "who": {"extension": [absent()]},
            "requestor": false,
            "network": unknown(),
        })
    }

    fn user(&self) -> Value {
        let role = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
        json!({
            "type": concept(role, "IRCP", "information recipient"),
            "who": self.individual(),
            "requestor": true,
            "purposeOfUse": self.purposes(),
        })
    }

    fn organisation(&self) -> Value {
        let word = self.entry.claim().organisation.to_hex();
        let role = "http://terminology.hl7.org/CodeSystem/v3-RoleClass";
        json!({
            "type": concept(role, "PROV", "healthcare provider"),
            "who": identifier::reference("organisation", self.entry.organisation(), &word),
            "requestor": false,
        })
    }

    fn authorizer(&self) -> Value {
        let role = "http://terminology.hl7.org/CodeSystem/extra-security-role-type";
        json!({
            "type": concept(role, "authserver", "authorization server"),
            "who": self.node(),
            "requestor": false,
        })
    }

    fn individual(&self) -> Value {
        let word = self.entry.claim().individual.to_hex();
        let name = self.entry.individual();
        match self.entry.is_access() {
            true => identifier::reference("practitioner", name, &word),
            false => identifier::reference("device", name, &word),
        }
    }

    fn patient(&self) -> Value {
        let identifier = identifier::patient(self.scope, self.entry.claim().patient);
        json!({
            "what": {"type": "Patient", "identifier": identifier},
            "type": entity_type("1", "Person"),
            "role": role("1", "Patient"),
        })
    }

    /// The consent is the patient's record in the batch's tree; its details are the proof.
    fn consent(&self) -> Value {
        let claim = self.entry.claim();
        let value = format!("{}/{}", self.entry.batch().0, claim.patient.get());
        json!({
            "what": {
                "type": "Consent",
                "identifier": {"system": "urn:vitals:record", "value": value},
            },
            "type": coding("http://hl7.org/fhir/resource-types", "Consent", "Consent"),
            "detail": self.details(),
        })
    }

    fn data(&self) -> Value {
        let claim = self.entry.claim();
        let detail = |kind: &str, value: String| json!({"type": kind, "valueString": value});
        json!({
            "what": {"type": "Observation", "display": categories(self.entry)},
            "type": entity_type("2", "System Object"),
            "role": role("3", "Report"),
            "detail": [
                detail("measured-from", Utc(claim.measured.from).to_string()),
                detail("measured-until", Utc(claim.measured.until).to_string()),
            ],
        })
    }

    fn proof(&self) -> Value {
        let value = self.entry.reference();
        json!({
            "what": {"identifier": {"system": "urn:vitals:claim", "value": value}},
            "type": entity_type("2", "System Object"),
            "role": role("13", "Security Resource"),
            "detail": self.details(),
        })
    }

    fn details(&self) -> Value {
        let (chunk, leaf) = self.entry.place();
        let transaction = match self.entry.transaction() {
            Some(hash) => format!("0x{}", hex::encode(hash)),
            None => "unknown: that of the event of the batch".to_owned(),
        };
        let detail = |kind: &str, value: String| json!({"type": kind, "valueString": value});
        json!([
            detail("batch", self.entry.batch().0.to_string()),
            detail("chunk", chunk.to_string()),
            detail("leaf", leaf.to_string()),
            detail("transaction", transaction),
            detail(
                "verify",
                "auditor accounting --rpc URL --deployment FILE --data URL FILE".into()
            ),
            detail(OPENING, hex::encode(self.entry.to_bytes())),
        ])
    }
}

fn coding(system: &str, code: &str, display: &str) -> Value {
    json!({"system": system, "code": code, "display": display})
}

fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [coding(system, code, display)]})
}

fn entity_type(code: &str, display: &str) -> Value {
    coding("http://terminology.hl7.org/CodeSystem/audit-entity-type", code, display)
}

fn role(code: &str, display: &str) -> Value {
    coding("http://terminology.hl7.org/CodeSystem/object-role", code, display)
}

fn absent() -> Value {
    let url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
    json!({"url": url, "valueCode": "unknown"})
}

fn unknown() -> Value {
    json!({"extension": [absent()]})
}
