//! A document becomes rules, or a list of what keeps it from becoming any.

use model::{IdError, PatientIndex};
use serde_json::Value;
use thiserror::Error;

use crate::codes::{PATIENT_SYSTEM, PRIVACY, PROFILES, SCOPE};
use crate::element::{self, Element, NotJson};
use crate::finding::{Dialect, Finding, Findings, Reason, Weight};
use crate::instant::PlaceDay;
use crate::names::Names;
use crate::provision::{Reader, Said, Type};
use crate::stated::{Effect, Stated};

/// Elements of a Consent that are read, or that say nothing of what it permits.
const READ: &[&str] = &[
    "resourceType",
    "id",
    "meta",
    "language",
    "text",
    "contained",
    "extension",
    "identifier",
    "status",
    "scope",
    "category",
    "patient",
    "dateTime",
    "performer",
    "organization",
    "sourceAttachment",
    "sourceReference",
    "policy",
    "policyRule",
    "verification",
    "provision",
    "decision",
];

/// What a document says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The rules, in the order of the document; none of a document that is refused.
    pub rules: Vec<Stated>,
    /// Everything found, refusals and what is told, in the order of the document.
    pub findings: Vec<Finding>,
    /// The index of the patient, where names or an identifier say it.
    pub patient: Option<u32>,
    /// Whether the document speaks of what is collected, and not of reading alone: then it says
    /// all of that, too.
    pub speaks_of_collection: bool,
}

/// A document that becomes no rules.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("expected a PCF Consent that rules can say, found {} elements that none can; the first: {}",
    .findings.len(), first(.findings))]
pub struct Refused {
    /// Each element with its reason; at least one.
    pub findings: Vec<Finding>,
}

fn first(findings: &[Finding]) -> String {
    findings.first().map_or_else(String::new, Finding::to_string)
}

/// Reads a Consent. What a document says that no rule can say is no error here but a [`Finding`]:
/// [`Reading::compiled`] refuses the document for it, and a lint shows all of them. Without a zone
/// a date is such a thing.
///
/// # Errors
/// [`NotJson`] for bytes that are no Consent at all.
pub fn read(bytes: &[u8], names: &Names, zone: Option<&dyn PlaceDay>) -> Result<Reading, NotJson> {
    let value = element::parse(bytes)?;
    let document = Element::root(&value).ok_or(NotJson::Resource)?;
    let mut findings = Findings::default();
    check_document(&document, &mut findings);
    let patient = patient(&document, names, &mut findings);
    let dialect = dialect(&document);
    let reader = Reader { names, zone };
    let mut reading = match dialect {
        None => read_provisions(reader, &document, &mut findings),
        Some(dialect) => {
            find_untyped(dialect, &document, &mut findings);
            Provisions::default()
        }
    };
    check_counts(&reading.rules, &mut findings);
    if findings.refuse() {
        reading.rules.clear();
    }
    Ok(Reading {
        rules: reading.rules,
        findings: findings.0,
        patient,
        speaks_of_collection: reading.speaks_of_collection,
    })
}

impl Reading {
    /// The same, if it became rules.
    ///
    /// # Errors
    /// [`Refused`] with every element that keeps it from that.
    pub fn compiled(self) -> Result<Reading, Refused> {
        let refused = self.findings.iter().filter(|one| one.weight() == Weight::Refused);
        let findings: Vec<_> = refused.cloned().collect();
        if findings.is_empty() { Ok(self) } else { Err(Refused { findings }) }
    }
}

/// Which dialect other than PCF it is of, if one.
fn dialect(document: &Element<'_>) -> Option<Dialect> {
    let mut unread = Findings::default();
    let profiles = document.object("meta", &mut unread).map(|meta| meta.texts("profile"));
    let profiles = profiles.unwrap_or_default();
    if profiles.iter().any(|profile| profile.starts_with(PROFILES)) && !document.has("decision") {
        return None;
    }
    let is_r5 = document.has("decision") || document.has("subject") || document.has("grantor");
    Some(if is_r5 { Dialect::R5 } else { Dialect::R4 })
}

/// What stands above the provisions.
fn check_document(document: &Element<'_>, findings: &mut Findings) {
    if let Some(dialect) = dialect(document) {
        findings.add("meta.profile", Reason::NotPcf(dialect));
    } else {
        // Of another dialect the elements have other names: one reason is enough.
        document.only(READ, findings);
        document.without(&["verification"], findings);
    }
    if document.text("status", findings) != Some("active") {
        findings.add("status", Reason::Status);
    }
    if document.has("policyRule") {
        findings.add("policyRule", Reason::PolicyRule);
    }
    if document.has("decision") {
        findings.add("decision", Reason::Decision);
    }
    let scope = document.object("scope", findings);
    let codings = scope.map(|scope| scope.list("coding", findings)).unwrap_or_default();
    let mut is_privacy = false;
    for coding in &codings {
        let (system, code) = (coding.text("system", findings), coding.text("code", findings));
        is_privacy |= (system, code) == (Some(SCOPE), Some(PRIVACY));
    }
    // R5 has no scope any more.
    if !is_privacy && dialect(document) != Some(Dialect::R5) {
        findings.add("scope", Reason::Scope);
    }
}

/// Whose consent it is: signed with somebody else's key it would be another's.
fn patient(document: &Element<'_>, names: &Names, findings: &mut Findings) -> Option<u32> {
    if dialect(document).is_some() {
        return None;
    }
    let mut unread = Findings::default();
    let patient = document.object("patient", findings);
    let known = patient.and_then(|patient| {
        let identified = identified(&patient, names).ok()?;
        let Some(reference) = patient.text("reference", &mut unread) else { return identified };
        let referenced = names.patients.get(reference).copied();
        // A reference to one patient with another's identifier is nobody's consent.
        referenced.filter(|one| identified.is_none_or(|other| other == *one))
    });
    if known.is_none() {
        findings.add("patient", Reason::PatientUnknown);
    }
    known
}

/// The patient of an identifier, if it is known. One of this system that is no index names nobody,
/// and is not passed over for a reference beside it.
fn identified(patient: &Element<'_>, names: &Names) -> Result<Option<u32>, IdError> {
    let mut unread = Findings::default();
    let mut pair = || {
        let identifier = patient.object("identifier", &mut unread)?;
        identifier.text("system", &mut unread).zip(identifier.text("value", &mut unread))
    };
    match pair() {
        Some((PATIENT_SYSTEM, value)) => {
            value.parse::<PatientIndex>().map(|index| Some(index.get()))
        }
        Some((system, value)) => Ok(names.patients.get(&format!("{system}|{value}")).copied()),
        None => Ok(None),
    }
}

/// Most rules that are made before they are counted by kind: more than any record has.
const RULES_MAX: usize = 64;

/// What the provisions say.
#[derive(Default)]
struct Provisions {
    rules: Vec<Stated>,
    speaks_of_collection: bool,
}

fn read_provisions(
    reader: Reader<'_>,
    document: &Element<'_>,
    findings: &mut Findings,
) -> Provisions {
    let mut provisions = Provisions::default();
    let Some(root) = document.object("provision", findings) else {
        findings.add("provision", Reason::Form("a provision"));
        return provisions;
    };
    let said = reader.said(&root, findings);
    let kind = typed(reader, &root, findings);
    let below = root.list("provision", findings);
    match kind {
        Some(Type::Permit) => provisions.take(Type::Permit, &said, &root.path, findings),
        // The world is closed: what the root refuses, nothing permits. As a deny it would outweigh
        // its own exceptions.
        Some(Type::Deny) => {
            findings.add(&root.path, Reason::RefusedAnyway);
            provisions.speaks_of_collection |= said.names_kinds();
        }
        None => {}
    }
    if kind == Some(Type::Permit) && said.breaks_glass() {
        findings.add(&root.at("purpose"), Reason::BreakGlass);
    }
    for one in below {
        let own = reader.said(&one, findings);
        if one.has("provision") {
            findings.add(&one.at("provision"), Reason::Depth);
        }
        match typed(reader, &one, findings) {
            Some(Type::Permit) => {
                let all = own.or(&said);
                if all.breaks_glass() {
                    findings.add(&one.at("purpose"), Reason::BreakGlass);
                }
                provisions.take(Type::Permit, &all, &one.path, findings);
            }
            Some(Type::Deny) => {
                // Below the root alone: a denying root becomes no rule.
                if own.names_a_care_team() {
                    findings.add(&one.at("actor"), Reason::CareTeamDenied);
                }
                provisions.take(Type::Deny, &own, &one.path, findings);
            }
            None => {}
        }
    }
    provisions
}

impl Provisions {
    fn take(&mut self, of: Type, said: &Said, element: &str, findings: &mut Findings) {
        self.speaks_of_collection |= said.names_kinds();
        // Before they are made: lists of actors and of authors multiply.
        let found = self.rules.len() + said.rule_count();
        if found > RULES_MAX {
            let what = "rules of all kinds";
            findings.add(element, Reason::TooMany { what, expected: RULES_MAX, found });
            return;
        }
        for stated in said.rules(of, element) {
            // Two provisions that say the same are one rule.
            let is_same = |one: &Stated| (one.effect, one.rule) == (stated.effect, stated.rule);
            if !self.rules.iter().any(is_same) {
                self.rules.push(stated);
            }
        }
    }
}

fn typed(reader: Reader<'_>, of: &Element<'_>, findings: &mut Findings) -> Option<Type> {
    if !of.has("type") {
        findings.add(&of.at("type"), Reason::TypeMissing(Dialect::R4));
        return None;
    }
    reader.type_of(of, findings)
}

/// More rules than a record has slots for.
fn check_counts(rules: &[Stated], findings: &mut Findings) {
    for effect in Effect::ALL {
        let of_effect = rules.iter().filter(|one| one.effect == effect);
        let (found, expected) = (of_effect.clone().count(), effect.slots());
        // Named at the provision that is the first too many.
        if let Some(beyond) = of_effect.clone().nth(expected) {
            let what = effect.plural();
            findings.add(&beyond.element, Reason::TooMany { what, expected, found });
        }
    }
}

/// Deepest provision of another dialect that is looked at.
const DEPTH_MAX: usize = 8;

/// Of a Consent that is no PCF: every provision that leaves open what it means.
fn find_untyped(dialect: Dialect, document: &Element<'_>, findings: &mut Findings) {
    // R4 has one provision, R5 a list.
    let mut unread = Findings::default();
    let mut level = match dialect {
        Dialect::R4 => document.object("provision", &mut unread).into_iter().collect(),
        Dialect::R5 => document.list("provision", &mut unread),
    };
    for depth in 0..DEPTH_MAX {
        let mut below = Vec::new();
        for one in &level {
            if !one.has("type") {
                findings.add(&one.at("type"), Reason::TypeMissing(dialect));
            }
            if depth > 1 {
                findings.add(&one.path, Reason::Depth);
            }
            find_unsayable(one, findings);
            below.extend(one.list("provision", &mut unread));
        }
        level = below;
    }
}

/// Elements that would be refused in a PCF Consent as well.
fn find_unsayable(of: &Element<'_>, findings: &mut Findings) {
    let mut unread = Findings::default();
    of.without(&["action", "class", "code", "resourceType", "documentType"], findings);
    for data in of.list("data", &mut unread) {
        match data.text("meaning", &mut unread) {
            Some("authoredby") => {}
            Some("instance") => findings.add(&data.at("meaning"), Reason::DataById),
            _ => findings.add(&data.at("meaning"), Reason::DataRelationship),
        }
    }
    for actor in of.list("actor", &mut unread) {
        let role = actor.object("role", &mut unread);
        let codings = role.map(|role| role.list("coding", &mut unread)).unwrap_or_default();
        let is = |one: &Element<'_>, unread: &mut Findings| {
            one.text("code", unread) == Some(crate::codes::RECIPIENT)
        };
        if !codings.iter().any(|one| is(one, &mut unread)) {
            findings.add(&actor.at("role"), Reason::Role);
        }
    }
}

/// The document as it is, for whoever only looks at it.
pub(crate) fn document(bytes: &[u8]) -> Result<Value, NotJson> {
    element::parse(bytes)
}
