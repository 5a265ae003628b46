//! The rules of a record as a PCF Consent that reads back as the same rules.

use model::calendar::Utc;
use model::{
    Categories, Category, ClaimKind, ClaimKinds, Interval, Label, Labels, Millis, Purpose,
    Purposes, Record, Rule, RuleSlot,
};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::codes::{
    self, ACT_REASON, BREAK_THE_GLASS, CATEGORIES_EXTENSION, KINDS_EXTENSION, PARTICIPATION,
    PATIENT_SYSTEM, PRIVACY, PROFILES, RECIPIENT, SCOPE,
};
use crate::names::Names;
use crate::stated::{Effect, Party, Stated};

/// What an export says beside the rules.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    /// The patient's index.
    pub patient: u32,
    /// When it is written: rules that have ended by then are left out.
    pub at: Millis,
    /// What the patient signed, in a sentence: PCF asks for the source of a consent.
    pub signed: &'a str,
    /// What registered name a word stands for, as far as whoever exports knows.
    pub party: &'a dyn Fn(model::Party) -> Option<Party>,
    /// What the document calls them.
    pub names: &'a Names,
}

/// A record that no document says.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WriteError {
    /// A party whose name nobody knows: a record holds hashes of names.
    #[error("expected a name of the {what} of the rule in {slot}, found none: add it to the names")]
    Unnamed {
        /// Actor or source.
        what: &'static str,
        /// Of which rule.
        slot: String,
    },
    /// A bit that has no name yet.
    #[error("expected {what} that have names in the rule in {slot}, found one of a later version")]
    Unknown {
        /// Which mask.
        what: &'static str,
        /// Of which rule.
        slot: String,
    },
    /// A time beyond what FHIR dates say here.
    #[error("expected an end from 1900 to 2456 of the rule in {slot}, found one beyond")]
    Time {
        /// Of which rule.
        slot: String,
    },
    /// What PCF asks for and no record knows.
    #[error("expected {0} in the table [document] of the names, found none: PCF asks for it")]
    Missing(&'static str),
}

/// Writes the live rules of a record.
///
/// # Errors
/// [`WriteError`] that names the slot and what is missing.
pub fn write(record: &Record, document: &Document<'_>) -> Result<Value, WriteError> {
    let mut rules = Vec::new();
    for number in 0..RuleSlot::COUNT as u8 {
        let Ok(slot) = RuleSlot::from_number(number) else { continue };
        let live = |rule: &&Rule| record.is_open() && is_live(rule, document.at);
        if let Some(rule) = record.rule(slot).filter(live) {
            rules.push(stated(slot, rule, document)?);
        }
    }
    let provision = provision(&rules, document.names)?;
    consent(document, &rules, provision)
}

/// Whether a rule says anything from now on: one that has ended, or that an end before its begin
/// or an empty mask keeps from matching, does not.
fn is_live(rule: &Rule, at: Millis) -> bool {
    rule.access.until > at
        && rule.access.from < rule.access.until
        && !rule.purposes.is_empty()
        && !rule.kinds.is_empty()
        && !rule.labels.is_empty()
        && !rule.categories.is_empty()
}

fn stated(slot: RuleSlot, rule: &Rule, document: &Document<'_>) -> Result<Stated, WriteError> {
    let (effect, name) = match slot {
        RuleSlot::Permit(n) => (Effect::Permit, format!("permit:{n}")),
        RuleSlot::Deny(n) => (Effect::Deny, format!("deny:{n}")),
        RuleSlot::Policy(n) => (Effect::Policy, format!("policy:{n}")),
    };
    let party = |party: model::Party, what| match party {
        model::Party::Any => Ok(None),
        model::Party::Named(word) => {
            let known = document.names.actors.values().find(|known| known.word() == word);
            let found = (document.party)(party).or_else(|| known.cloned());
            found.map(Some).ok_or_else(|| WriteError::Unnamed { what, slot: name.clone() })
        }
    };
    let (actor, source) = (party(rule.actor, "actor")?, party(rule.source, "source")?);
    Ok(Stated { effect, rule: *rule, actor, source, element: name })
}

/// The root. One permit alone is the root itself, as people write it; else the root refuses, says
/// nothing more, and each rule is an exception below it.
fn provision(rules: &[Stated], names: &Names) -> Result<Value, WriteError> {
    let permits = rules.iter().filter(|one| one.effect != Effect::Deny);
    let root = match permits.clone().collect::<Vec<_>>().as_slice() {
        [one] if one.effect == Effect::Permit => Some(*one),
        _ => None,
    };
    let mut provision = match root {
        Some(one) => said(one, names)?,
        None => Map::from_iter([("type".to_owned(), json!("deny"))]),
    };
    // By identity, since two slots may hold rules that say the same.
    let below = rules.iter().filter(|one| root.is_none_or(|root| !std::ptr::eq(root, *one)));
    let below = below.map(|one| Ok(Value::Object(said(one, names)?)));
    let below: Vec<Value> = below.collect::<Result<_, WriteError>>()?;
    if !below.is_empty() {
        provision.insert("provision".to_owned(), below.into());
    }
    Ok(provision.into())
}

/// One rule as a provision, without what it leaves open.
fn said(one: &Stated, names: &Names) -> Result<Map<String, Value>, WriteError> {
    let (rule, slot) = (&one.rule, &one.element);
    let mut provision = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            provision.insert(name.to_owned(), value);
        }
    };
    put("modifierExtension", extensions(one)?);
    put("type", Some(if one.effect == Effect::Deny { "deny" } else { "permit" }.into()));
    put("period", period(&rule.access, slot)?);
    let recipient = json!({"coding": [{"system": PARTICIPATION, "code": RECIPIENT}]});
    let actor = |party: &Party| json!([{"role": recipient, "reference": reference(party, names)}]);
    put("actor", one.actor.as_ref().map(actor));
    put("securityLabel", labels(rule.labels, names, slot)?);
    put("purpose", purposes(one, names)?);
    put("dataPeriod", period(&rule.data, slot)?);
    let author =
        |party: &Party| json!([{"meaning": "authoredby", "reference": reference(party, names)}]);
    put("data", one.source.as_ref().map(author));
    Ok(provision)
}

/// Whether PCF's own words say what a rule is about, so that no extension has to.
fn is_plain(one: &Stated) -> bool {
    let Rule { kinds, purposes, .. } = one.rule;
    let (access, breaking) = (ClaimKind::Access.only(), ClaimKind::BreakGlass.only());
    match one.effect {
        Effect::Permit => kinds == access,
        Effect::Policy => kinds == breaking && purposes == Purpose::EmergencyTreatment.only(),
        Effect::Deny if purposes == Purposes::ALL => {
            kinds == breaking || kinds == access.with(breaking)
        }
        Effect::Deny => kinds == access,
    }
}

fn extensions(one: &Stated) -> Result<Option<Value>, WriteError> {
    let code = |url: &str, code: &str| json!({"url": url, "valueCode": code});
    let mut extensions = Vec::new();
    if one.rule.categories != Categories::ALL {
        let members = Category::ALL.iter().filter(|m| one.rule.categories.contains(m.only()));
        let members: Vec<_> = members.copied().collect();
        let all: Categories = members.iter().copied().collect();
        check_named(all == one.rule.categories, "categories", &one.element)?;
        extensions.extend(members.iter().map(|m| code(CATEGORIES_EXTENSION, m.name())));
    }
    if !is_plain(one) {
        let kinds: ClaimKinds = one.rule.kinds;
        let members = ClaimKind::ALL.iter().filter(|kind| kinds.contains(kind.only()));
        extensions.extend(members.map(|kind| code(KINDS_EXTENSION, kind.name())));
    }
    Ok((!extensions.is_empty()).then(|| extensions.into()))
}

fn purposes(one: &Stated, names: &Names) -> Result<Option<Value>, WriteError> {
    let Rule { purposes, kinds, .. } = one.rule;
    if is_plain(one) && kinds == ClaimKind::BreakGlass.only() {
        return Ok(Some(json!([{"system": ACT_REASON, "code": BREAK_THE_GLASS}])));
    }
    if purposes == Purposes::ALL {
        return Ok(None);
    }
    let members = Purpose::ALL.iter().filter(|m| purposes.contains(m.only()));
    let members: Vec<_> = members.copied().collect();
    let all: Purposes = members.iter().copied().collect();
    check_named(all == purposes, "purposes", &one.element)?;
    let code = |purpose: &Purpose| match names.purpose_code(*purpose) {
        Some(own) => coding(own),
        None => json!({"system": ACT_REASON, "code": codes::purpose_code(*purpose)}),
    };
    Ok(Some(members.iter().map(code).collect::<Vec<_>>().into()))
}

fn labels(labels: Labels, names: &Names, slot: &str) -> Result<Option<Value>, WriteError> {
    if labels == Labels::ALL {
        return Ok(None);
    }
    let members: Vec<_> = Label::ALL.iter().filter(|m| labels.contains(m.only())).collect();
    let all: Labels = members.iter().copied().copied().collect();
    check_named(all == labels, "labels", slot)?;
    let code = |label: &&Label| match names.label_code(**label) {
        Some(own) => coding(own),
        None => {
            let known = codes::label_code(**label);
            json!({"system": known.system, "code": known.code})
        }
    };
    Ok(Some(members.iter().map(code).collect::<Vec<_>>().into()))
}

fn check_named(is_named: bool, what: &'static str, slot: &str) -> Result<(), WriteError> {
    if is_named { Ok(()) } else { Err(WriteError::Unknown { what, slot: slot.to_owned() }) }
}

/// A code of the names: `system|code`.
fn coding(own: &str) -> Value {
    match own.rsplit_once('|') {
        Some((system, code)) => json!({"system": system, "code": code}),
        None => json!({"code": own}),
    }
}

/// A period, whose end is the last instant inside: FHIR ends are inclusive.
fn period(of: &Interval, slot: &str) -> Result<Option<Value>, WriteError> {
    let mut period = Map::new();
    let mut put = |name: &str, at: Millis| {
        // What the calendar cannot read back is not written.
        let last = model::calendar::Instant::LAST.millis();
        if at > last {
            return Err(WriteError::Time { slot: slot.to_owned() });
        }
        period.insert(name.to_owned(), Utc(at).to_string().into());
        Ok(())
    };
    if of.from != Millis::UNBOUNDED_PAST {
        put("start", of.from)?;
    }
    if of.until != Millis::UNBOUNDED_FUTURE {
        put("end", of.until.before())?;
    }
    Ok((!period.is_empty()).then(|| period.into()))
}

fn reference(party: &Party, names: &Names) -> Value {
    let kind = party.kind();
    match names.reference(party).map(|known| known.rsplit_once('|').ok_or(known)) {
        Some(Err(literal)) => json!({"reference": literal}),
        Some(Ok((system, value))) => identified(kind.resource(), system, value),
        None => identified(kind.resource(), &kind.system(), party.name()),
    }
}

fn identified(resource: Option<&str>, system: &str, value: &str) -> Value {
    let mut reference = json!({"identifier": {"system": system, "value": value}});
    if let Some(resource) = resource {
        reference["type"] = resource.into();
    }
    reference
}

fn consent(
    document: &Document<'_>,
    rules: &[Stated],
    provision: Value,
) -> Result<Value, WriteError> {
    let names = document.names;
    let missing = WriteError::Missing;
    let organization = names.organization.as_deref().ok_or(missing("organization"))?;
    let policy = names.policy.as_deref().ok_or(missing("policy"))?;
    let patient = match names.patient(document.patient) {
        Some(known) => match known.rsplit_once('|') {
            Some((system, value)) => json!({"identifier": {"system": system, "value": value}}),
            None => json!({"reference": known}),
        },
        None => json!({"identifier": {
            "system": PATIENT_SYSTEM, "value": document.patient.to_string(),
        }}),
    };
    let profile = format!("{PROFILES}{}", option_of(rules, &provision));
    Ok(json!({
        "resourceType": "Consent",
        "meta": {"profile": [profile]},
        "status": "active",
        "scope": {"coding": [{"system": SCOPE, "code": PRIVACY}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": patient,
        "dateTime": Utc(document.at).to_string(),
        "performer": [patient],
        "organization": [{"reference": organization}],
        "sourceAttachment": {"contentType": "text/plain", "title": document.signed},
        "policy": [{"uri": policy}],
        "provision": provision,
    }))
}

/// The least option of PCF that has every element used.
fn option_of(rules: &[Stated], provision: &Value) -> &'static str {
    let basic = [Purpose::Treatment, Purpose::Payment, Purpose::Operations];
    let basic: Purposes = basic.into_iter().collect();
    if rules.iter().any(|one| one.rule.labels != Labels::ALL) {
        return "Advanced";
    }
    let is_basic = |one: &Stated| {
        one.source.is_none()
            && one.rule.data == Interval::ALWAYS
            && (one.rule.purposes == Purposes::ALL || basic.contains(one.rule.purposes))
    };
    let is_flat = provision.get("provision").is_none();
    if is_flat && rules.iter().all(is_basic) { "Basic" } else { "Intermediate" }
}
