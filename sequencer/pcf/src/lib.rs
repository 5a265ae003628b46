//! Consents of IHE *Privacy Consent on FHIR* (PCF 1.1) as rules of a record, and back.
//!
//! A [`model::Rule`] is what the circuits prove; a FHIR Consent is what hospitals keep. Of the
//! dialects of Consent only PCF says at every level whether it permits or denies, so only PCF is
//! read as rules. A Consent of core R4 or R5 is shown in words ([`in_words`]) and refused, each
//! element with its reason: two of HL7's own examples have the same elements and opposite meanings.
//!
//! Pure: a document, the names that stand in it and a zone come in, rules and findings go out.
//! Nothing here decides whether a claim is covered; `statement::c2` does.
//!
//! # Reading order
//! 1. [`read`]: a document becomes a [`Reading`]: rules, and what was found on the way.
//! 2. [`Finding`]: an element, why it is refused or what is to be known of it, and how to say it
//!    so that it can be enforced.
//! 3. [`write()`]: the rules of a record as a document that reads back as the same rules.
//! 4. [`consult()`]: a question of a system whether something would be permitted.
//! 5. [`Names`]: what a document calls people, devices and purposes, and what this system does.
//!
//! ```
//! let consent = br#"{
//!     "resourceType": "Consent", "status": "active",
//! "meta": {"profile":
//! ["https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consentBasic"]},     "scope":
//! {"coding": [{         "system": "http://terminology.hl7.org/CodeSystem/consentscope",
//!         "code": "patient-privacy"}]},
//!     "patient": {"identifier": {"system": "urn:vitals-rollup:patient", "value": "7"}},
//!     "provision": {"type": "permit", "purpose": [{
//!         "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}]}
//! }"#;
//! let reading = pcf::read(consent, &pcf::Names::default(), Some(&pcf::InUtc))?.compiled()?;
//! assert_eq!(reading.rules.len(), 1);
//! assert_eq!(reading.rules[0].rule.purposes, model::Purpose::Treatment.only());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![doc = include_str!("../README.md")]

pub use codes::{
    ACT_REASON, BREAK_THE_GLASS, CATEGORIES_EXTENSION, Code, KINDS_EXTENSION, PATIENT_SYSTEM,
    label_code, purpose_code,
};
pub use consult::{CONSULT_BYTES_MAX, Consult, ConsultError, card, consult};
pub use element::NotJson;
pub use finding::{Finding, Reason, Weight};
pub use instant::{InUtc, PlaceDay};
pub use names::{Names, NamesError};
pub use read::{Reading, Refused, read};
pub use stated::{Effect, Party, Stated};
pub use words::in_words;
pub use write::{Document, WriteError, write};

mod codes;
mod consult;
mod element;
mod finding;
mod instant;
mod names;
mod once;
mod provision;
mod read;
mod stated;
mod words;
mod write;
