//! A question whether consent would allow something, in the shape of the CDS Hook
//! `patient-consent-consult`, and the card that answers it.
//!
//! Who answers is somebody else: this reads what is asked and writes what was decided.

use model::{Categories, ClaimKind, Interval, Label, Labels, Millis, PatientIndex, Purpose};
use serde_json::{Value, json};
use thiserror::Error;

use crate::codes::{self, ACT_REASON, BREAK_THE_GLASS, CATEGORIES_EXTENSION, PATIENT_SYSTEM};
use crate::element::Element;
use crate::finding::{Finding, Findings, Reason};
use crate::instant;
use crate::names::Names;
use crate::once::Once;
use crate::stated::{Party, PartyKind};

/// Largest question, bytes.
pub const CONSULT_BYTES_MAX: usize = 16 * 1024;

/// The hook's name.
const HOOK: &str = "patient-consent-consult";

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consult {
    /// The patient's index.
    pub patient: u32,
    /// Who would act: a practitioner or a device.
    pub individual: Option<Party>,
    /// For which organisation; never missing beside an individual.
    pub organisation: Option<Party>,
    /// Why.
    pub purpose: Purpose,
    /// Read, or break the glass.
    pub kind: ClaimKind,
    /// What.
    pub categories: Categories,
    /// How the data is labelled: normal, unless it is said.
    pub labels: Labels,
    /// When the data was measured; nothing said is now.
    pub measured: Option<Interval>,
}

/// A question that is none.
#[derive(Debug, Error)]
pub enum ConsultError {
    /// Too large.
    #[error("expected at most {CONSULT_BYTES_MAX} bytes, found {found}")]
    Size {
        /// The size found.
        found: usize,
    },
    /// No JSON object.
    #[error("expected a JSON object of the hook {HOOK}, each name of an object once")]
    Json,
    /// An element of it.
    #[error("{0}")]
    Element(Finding),
}

/// Reads a question.
///
/// # Errors
/// [`ConsultError`] with the first element that is missing or unknown.
pub fn consult(bytes: &[u8], names: &Names) -> Result<Consult, ConsultError> {
    if bytes.len() > CONSULT_BYTES_MAX {
        return Err(ConsultError::Size { found: bytes.len() });
    }
    let Once(value) = serde_json::from_slice(bytes).map_err(|_| ConsultError::Json)?;
    let hook = Element::root(&value).ok_or(ConsultError::Json)?;
    let mut findings = Findings::default();
    if hook.text("hook", &mut findings) != Some(HOOK) {
        findings.add("hook", Reason::Form("the hook patient-consent-consult"));
    }
    let asked = hook.object("context", &mut findings).and_then(|context| {
        // What is asked beside what is read here could be what the answer depends on.
        context.only(READ, &mut findings);
        read(&context, names, &mut findings)
    });
    match (findings.0.into_iter().next(), asked) {
        (None, Some(asked)) => Ok(asked),
        (Some(finding), _) => Err(ConsultError::Element(finding)),
        (None, None) => {
            let (element, reason) = ("context".to_owned(), Reason::Form("a context"));
            Err(ConsultError::Element(Finding { element, reason }))
        }
    }
}

const READ: &[&str] = &[
    "patientId",
    "scope",
    "actor",
    "purposeOfUse",
    "category",
    "class",
    "securityLabel",
    "dataPeriod",
];

fn read(context: &Element<'_>, names: &Names, findings: &mut Findings) -> Option<Consult> {
    if context.text("scope", findings).is_some_and(|scope| scope != codes::PRIVACY) {
        findings.add(&context.at("scope"), Reason::Scope);
    }
    let patient = patient(context, names, findings);
    let Actors { individual, organisation } = actors(context, names, findings);
    let act = act(context, names, findings);
    let categories = categories(context, findings);
    let labels = labels(context, names, findings);
    let measured = measured(context, findings);
    let Act { purpose, kind } = act?;
    let patient = patient?;
    Some(Consult { patient, individual, organisation, purpose, kind, categories, labels, measured })
}

/// A pair of system and value, as the hook writes identifiers.
fn pair<'a>(of: &Element<'a>, value: &str, findings: &mut Findings) -> Option<(&'a str, &'a str)> {
    let read = of.text("system", findings).zip(of.text(value, findings));
    if read.is_none() {
        findings.add(&of.path, Reason::Form("a system and a value"));
    }
    read
}

fn patient(context: &Element<'_>, names: &Names, findings: &mut Findings) -> Option<u32> {
    let mut known = Vec::new();
    for one in context.list("patientId", findings) {
        let (system, value) = pair(&one, "value", findings)?;
        known.push(match system {
            PATIENT_SYSTEM => value.parse::<PatientIndex>().ok().map(PatientIndex::get),
            system => names.patients.get(&format!("{system}|{value}")).copied(),
        });
    }
    known.dedup();
    // Identifiers of two patients are no question about either, and one that nobody knows may be
    // another's.
    let [Some(patient)] = known.as_slice() else {
        findings.add(&context.at("patientId"), Reason::PatientUnknown);
        return None;
    };
    Some(*patient)
}

#[derive(Default)]
struct Actors {
    individual: Option<Party>,
    organisation: Option<Party>,
}

fn actors(context: &Element<'_>, names: &Names, findings: &mut Findings) -> Actors {
    let mut actors = Actors::default();
    let list = context.list("actor", findings);
    if list.is_empty() {
        findings.add(&context.at("actor"), Reason::Form("a list that is not empty"));
    }
    for one in list {
        let Some((system, value)) = pair(&one, "value", findings) else { continue };
        let own = PartyKind::ALL.into_iter().find(|kind| kind.system() == system);
        let party = match own {
            Some(kind) => Party::new(kind, value),
            None => names.actors.get(&format!("{system}|{value}")).cloned(),
        };
        let Some(party) = party else {
            findings.add(&one.path, Reason::ActorUnknown);
            continue;
        };
        let place = match party.kind() {
            PartyKind::Practitioner | PartyKind::Device => &mut actors.individual,
            PartyKind::Organisation => &mut actors.organisation,
            // No request is answered for one, so a yes would promise what nobody gives.
            PartyKind::CareTeam | PartyKind::Unnamed => {
                findings.add(&one.path, Reason::ActorType);
                continue;
            }
        };
        if place.replace(party).is_some() {
            let (what, found) = ("individuals and organisations, one of each", 2);
            findings.add(&one.path, Reason::TooMany { what, expected: 1, found });
        }
    }
    if actors.individual.is_some() && actors.organisation.is_none() {
        // Every request names one: a yes without it would overlook a deny of the organisation.
        let expected = "the organisation beside its practitioner or device";
        findings.add(&context.at("actor"), Reason::Form(expected));
    }
    actors
}

struct Act {
    purpose: Purpose,
    kind: ClaimKind,
}

fn act(context: &Element<'_>, names: &Names, findings: &mut Findings) -> Option<Act> {
    let path = context.at("purposeOfUse");
    let Some(text) = context.text("purposeOfUse", findings) else {
        findings.add(&path, Reason::Form("one purpose"));
        return None;
    };
    if text == BREAK_THE_GLASS {
        let (purpose, kind) = (Purpose::EmergencyTreatment, ClaimKind::BreakGlass);
        return Some(Act { purpose, kind });
    }
    let own = names.purposes.get(text).copied();
    match codes::purpose(ACT_REASON, text).or(own) {
        Some(purpose) => Some(Act { purpose, kind: ClaimKind::Access }),
        None => {
            findings.add(&path, Reason::Purpose(codes::shown(text)));
            None
        }
    }
}

/// Of `category` and of `class`: the hook has both, and here they are one.
fn categories(context: &Element<'_>, findings: &mut Findings) -> Categories {
    let mut categories = Categories::NONE;
    let mut list = context.list("category", findings);
    list.extend(context.list("class", findings));
    for one in list {
        let Some((system, code)) = pair(&one, "code", findings) else { continue };
        let known = codes::category(code).filter(|_| system == CATEGORIES_EXTENSION);
        match known {
            Some(category) => categories = categories.with(category.only()),
            None => {
                findings.add(&one.path, Reason::Category(codes::shown(code)));
            }
        }
    }
    if categories.is_empty() {
        findings.add(&context.at("category"), Reason::Form("a category"));
    }
    categories
}

fn labels(context: &Element<'_>, names: &Names, findings: &mut Findings) -> Labels {
    let mut labels = Labels::NONE;
    for one in context.list("securityLabel", findings) {
        let Some((system, code)) = pair(&one, "code", findings) else { continue };
        let own = names.labels.get(&format!("{system}|{code}")).copied();
        match codes::label(system, code).or(own) {
            Some(label) => labels = labels.with(label.only()),
            None => findings.add(&one.path, Reason::Label(codes::shown(code))),
        }
    }
    if labels.is_empty() { Label::Normal.only() } else { labels }
}

/// From instants alone: a node asks nobody for a zone.
fn measured(context: &Element<'_>, findings: &mut Findings) -> Option<Interval> {
    let period = context.object("dataPeriod", findings)?;
    period.only(&["start", "end"], findings);
    let start = period.text("start", findings).map(|text| instant::begin(text, None));
    let end = period.text("end", findings).map(|text| instant::end(text, None));
    let from = start.unwrap_or(Ok(Millis::UNBOUNDED_PAST)).ok();
    let until = end.unwrap_or(Ok(Millis::UNBOUNDED_FUTURE)).ok();
    let interval = from.zip(until).and_then(|(from, until)| Interval::new(from, until).ok());
    if interval.is_none() {
        findings.add(&period.path, Reason::Period);
    }
    interval
}

/// The answer: one card. It says what was decided and no rule: a requester learns only that.
pub fn card(permitted: bool, position: u64) -> Value {
    let (decision, detail, indicator) = match permitted {
        true => ("CONSENT_PERMIT", "a rule that the patient signed permits it", "info"),
        false => ("CONSENT_DENY", "no rule permits it, or one forbids it", "warning"),
    };
    json!({"cards": [{
        "summary": decision,
        "detail": detail,
        "indicator": indicator,
        "source": {"label": "vitals rollup"},
        "extension": {"decision": decision, "obligations": [], "position": position},
    }]})
}
