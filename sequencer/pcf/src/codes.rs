//! The tables: every code of FHIR that stands for something here, each once, for reading and for
//! writing.

use model::{Category, ClaimKind, Label, Purpose};

/// The system of purposes of use.
pub const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// Labels of confidentiality.
pub(crate) const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
/// Labels of sensitivity.
pub(crate) const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
/// Roles of actors.
pub(crate) const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
/// What a Consent is about.
pub(crate) const SCOPE: &str = "http://terminology.hl7.org/CodeSystem/consentscope";
/// The scope that PCF has.
pub(crate) const PRIVACY: &str = "patient-privacy";
/// The role that PCF gives every actor: whoever receives information.
pub(crate) const RECIPIENT: &str = "IRCP";
/// What all profiles of PCF begin with.
pub(crate) const PROFILES: &str =
    "https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consent";

/// The system of a patient's index.
pub const PATIENT_SYSTEM: &str = "urn:vitals-rollup:patient";
/// A modifier extension of a provision: one category of vitals that it is about, as `ecg`. PCF
/// forbids `provision.class` and `provision.code`, which say such things in other dialects.
pub const CATEGORIES_EXTENSION: &str = "urn:vitals-rollup:consent:category";
/// A modifier extension of a provision: one kind of act that it is about, as `collect`. PCF
/// forbids `provision.action`.
pub const KINDS_EXTENSION: &str = "urn:vitals-rollup:consent:kind";

/// The purpose that breaks the glass. Here that is a kind of claim, counted in public, and no
/// purpose: of a provision that permits it becomes a policy, of one that denies it a deny.
pub const BREAK_THE_GLASS: &str = "BTG";

/// The code of each purpose in [`ACT_REASON`].
pub const fn purpose_code(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Treatment => "TREAT",
        Purpose::EmergencyTreatment => "ETREAT",
        Purpose::Payment => "HPAYMT",
        Purpose::Operations => "HOPERAT",
        Purpose::Research => "HRESCH",
        Purpose::PatientRequest => "PATRQT",
        Purpose::PublicHealth => "PUBHLTH",
    }
}

/// The code of each label, and its system.
pub const fn label_code(label: Label) -> Code {
    let (system, code) = match label {
        Label::Normal => (CONFIDENTIALITY, "N"),
        Label::Restricted => (CONFIDENTIALITY, "R"),
        Label::Psychiatry => (ACT_CODE, "PSY"),
        Label::SubstanceUse => (ACT_CODE, "ETH"),
        Label::Hiv => (ACT_CODE, "HIV"),
        Label::DomesticViolence => (ACT_CODE, "SDV"),
    };
    Code { system, code }
}

/// A code in its system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code {
    /// The system.
    pub system: &'static str,
    /// The code in it.
    pub code: &'static str,
}

/// The purpose of a code, of those that stand for one purpose and nothing else.
pub(crate) fn purpose(system: &str, code: &str) -> Option<Purpose> {
    let found = Purpose::ALL.iter().find(|one| purpose_code(**one) == code);
    found.copied().filter(|_| system == ACT_REASON)
}

/// The label of a code.
pub(crate) fn label(system: &str, code: &str) -> Option<Label> {
    let wanted = |one: &&Label| {
        let known = label_code(**one);
        known.system == system && known.code == code
    };
    Label::ALL.iter().find(wanted).copied()
}

/// The category of a code of [`CATEGORIES_EXTENSION`].
pub(crate) fn category(code: &str) -> Option<Category> {
    Category::from_name(code).ok()
}

/// The kind of a code of [`KINDS_EXTENSION`].
pub(crate) fn kind(code: &str) -> Option<ClaimKind> {
    ClaimKind::from_name(code).ok()
}

/// A code of a document as it is shown: short, and no line of its own.
pub(crate) fn shown(code: &str) -> String {
    model::escape(&code.chars().take(SHOWN_MAX).collect::<String>())
}

/// Longest code that is shown, characters.
const SHOWN_MAX: usize = 32;
