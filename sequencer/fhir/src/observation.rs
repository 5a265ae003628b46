//! One Observation: whose, by which device, when, and its values with the place of each.
//!
//! Nothing is decided here about what a code or a name means: a map does that. What is decided is
//! what an Observation says by itself, and what it leaves open: a reading has an instant, a number
//! and a unit, and whatever would have to be guessed is refused.

use std::fmt;

use crate::element::{Choice, Element, Object};
use crate::issue::{Fault, Issue};
use crate::sampled::Sampled;
use crate::unit::{TEXT_BYTES_MAX, Unit, read_unit};
use model::calendar::{Instant, Written};

/// Components of one Observation; a panel of vital signs has a dozen.
pub const COMPONENTS_MAX: usize = 64;
/// Codings of one concept.
pub const CODINGS_MAX: usize = 16;
/// Identifiers of one resource.
pub const IDENTIFIERS_MAX: usize = 16;
/// Resources within one.
const CONTAINED_MAX: usize = 16;
/// Categories of one Observation.
const CATEGORIES_MAX: usize = 16;
/// Bytes of a time as FHIR writes it.
const TIME_BYTES_MAX: usize = 40;
/// Characters of the shortest text that is an instant: `2026-05-01T08:30:00Z`.
const INSTANT_BYTES_MIN: usize = 20;

/// A name that some authority gave.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identifier {
    /// The authority, a URI.
    pub system: Option<String>,
    /// The name.
    pub value: String,
}

/// Hides the name.
impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifier({} bytes)", self.value.len())
    }
}

/// Who or what is meant by a reference: any of its names may be known.
#[derive(Clone, PartialEq, Eq)]
pub struct Who {
    /// Where it stands.
    pub expression: String,
    /// As `Patient/example`, or an address.
    pub reference: Option<String>,
    /// Its own, or those of the resource that it points to in the same text.
    pub identifiers: Vec<Identifier>,
}

/// Hides the names.
impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Who({}, {} identifiers)", self.expression, self.identifiers.len())
    }
}

/// A code of a system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coding {
    /// The code system, a URI.
    pub system: Option<String>,
    /// The code.
    pub code: String,
}

/// When something was measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effective {
    /// At once.
    Instant(Instant),
    /// Over some time, of which the end may be open.
    Period {
        /// Its first instant.
        begin: Instant,
        /// Its last.
        end: Option<Instant>,
    },
}

/// Why there is no value (`dataAbsentReason`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// It was measured, and came to nothing: an error, no number, or nobody knows.
    Failed,
    /// Nobody measured, or nobody may know: there is no instant at which a sensor gave nothing.
    NotMeasured,
}

/// What was measured.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Quantity {
        /// Its digits, as they were sent: a decimal of FHIR has a precision.
        value: String,
        /// In what.
        unit: Unit,
    },
    /// A waveform.
    Sampled(Sampled),
    /// None, because of a reason.
    Absent(Absent),
    /// An element that is no reading, by its name, as `valueString`.
    Other(String),
}

/// Hides what was measured.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Quantity { unit, .. } => write!(f, "Quantity({unit:?})"),
            Value::Sampled(sampled) => sampled.fmt(f),
            Value::Absent(absent) => absent.fmt(f),
            Value::Other(name) => f.write_str(name),
        }
    }
}

/// A value, what it is of, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Valued {
    /// Of the Observation or component, as `Observation.component[1]`.
    pub expression: String,
    /// What was measured, in as many systems as the sender knows.
    pub codings: Vec<Coding>,
    /// Name of the element with the value.
    pub element: String,
    /// The value.
    pub value: Value,
}

/// An Observation as far as it concerns readings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// Where it stands.
    pub expression: String,
    /// Names of this very Observation.
    pub identifiers: Vec<Identifier>,
    /// What kind it is said to be: nothing of a reading follows from it, only [whether a scope is
    /// for it](crate::Grant).
    pub categories: Vec<Coding>,
    /// Of whom.
    pub subject: Who,
    /// By what, if it is said.
    pub device: Option<Who>,
    /// When.
    pub effective: Effective,
    /// Where that stands.
    pub effective_expression: String,
    /// At least one.
    pub values: Vec<Valued>,
}

impl Observation {
    /// Reads a resource of its own.
    ///
    /// # Errors
    /// [`Issue`] with the first element that cannot be taken.
    pub fn parse(bytes: &[u8]) -> Result<Observation, Issue> {
        Observation::read(&Element::whole("Observation", bytes)?)
    }

    /// Samples of all its waveforms.
    pub(crate) fn samples(&self) -> usize {
        let count = |valued: &Valued| match &valued.value {
            Value::Sampled(sampled) => sampled.count,
            _ => 0,
        };
        self.values.iter().map(count).sum()
    }

    pub(crate) fn read(element: &Element<'_>) -> Result<Observation, Issue> {
        let resource = element.object()?;
        expect_type(&resource, "Observation")?;
        check_rules(&resource)?;
        check_status(&resource)?;
        let contained = Contained::read(&resource)?;
        let who = |name| resource.field(name).map(|it| read_who(&it, &contained)).transpose();
        let mut values = Vec::new();
        let mut parts = resource.items("component", COMPONENTS_MAX)?;
        parts.insert(0, element.clone());
        for (n, part) in parts.iter().enumerate() {
            let object = part.object()?;
            if let Some(found) = object.field("modifierExtension") {
                return Err(found.refuse(Fault::Modifier));
            }
            match read_valued(part, &object)? {
                Some(valued) => values.push(valued),
                // Of a panel the components have the values, of a component nobody else.
                None if n == 0 => {}
                None => {
                    let element = "value[x] or dataAbsentReason";
                    return Err(part.refuse(Fault::Missing { element }));
                }
            }
        }
        if values.is_empty() {
            return Err(element.refuse(Fault::Panel));
        }
        let (effective, effective_expression) = read_effective(&resource)?;
        Ok(Observation {
            expression: element.at().to_owned(),
            identifiers: read_identifiers(&resource)?,
            categories: read_categories(&resource),
            subject: who("subject")?.ok_or_else(|| {
                refuse_field(&resource, "subject", Fault::Missing { element: "subject" })
            })?,
            device: who("device")?,
            effective,
            effective_expression,
            values,
        })
    }
}

/// A fault of a field, also of one that is not there.
fn refuse_field(object: &Object<'_>, name: &str, fault: Fault) -> Issue {
    let issue = object.refuse(fault);
    Issue { expression: format!("{}.{name}", issue.expression), ..issue }
}

pub(crate) fn expect_type(resource: &Object<'_>, expected: &'static str) -> Result<(), Issue> {
    let found = resource.need("resourceType")?;
    if found.string(TEXT_BYTES_MAX)? == expected {
        return Ok(());
    }
    Err(found.refuse(Fault::ResourceType { expected }))
}

/// Rules that somebody else wrote may change the meaning of everything.
fn check_rules(resource: &Object<'_>) -> Result<(), Issue> {
    match resource.field("implicitRules") {
        Some(found) => Err(found.refuse(Fault::ImplicitRules)),
        None => Ok(()),
    }
}

/// Nothing that takes the place of another is taken: what is in the log stays in it, and readers
/// would find the wrong value and the right one at one instant.
fn check_status(resource: &Object<'_>) -> Result<(), Issue> {
    let status = resource.need("status")?;
    let text = status.string(TEXT_BYTES_MAX)?;
    const OTHERS: &[&str] =
        &["registered", "amended", "corrected", "cancelled", "entered-in-error", "unknown"];
    match text.as_ref() {
        "final" | "preliminary" => Ok(()),
        text => {
            let found = OTHERS.iter().find(|other| **other == text).unwrap_or(&"another");
            Err(status.refuse(Fault::Status { found }))
        }
    }
}

/// Resources within the resource, by the name that references have for them.
struct Contained {
    all: Vec<Named>,
}

struct Named {
    id: String,
    identifiers: Vec<Identifier>,
}

impl Contained {
    fn read(resource: &Object<'_>) -> Result<Contained, Issue> {
        let mut all = Vec::new();
        for element in resource.items("contained", CONTAINED_MAX)? {
            let object = element.object()?;
            let Some(id) = object.string("id", TEXT_BYTES_MAX)? else { continue };
            all.push(Named { id, identifiers: read_identifiers(&object)? });
        }
        Ok(Contained { all })
    }

    fn identifiers(&self, reference: &str) -> &[Identifier] {
        let found = reference.strip_prefix('#');
        let found = found.and_then(|id| self.all.iter().find(|one| one.id == id));
        found.map_or(&[], |one| &one.identifiers)
    }
}

fn read_who(element: &Element<'_>, contained: &Contained) -> Result<Who, Issue> {
    let object = element.object()?;
    let reference = object.string("reference", TEXT_BYTES_MAX)?;
    let within = reference.as_deref().map_or(&[][..], |it| contained.identifiers(it));
    let mut identifiers = within.to_vec();
    if let Some(own) = object.field("identifier") {
        identifiers.extend(read_identifier(&own)?);
    }
    Ok(Who { expression: element.at().to_owned(), reference, identifiers })
}

pub(crate) fn read_identifiers(object: &Object<'_>) -> Result<Vec<Identifier>, Issue> {
    let items = object.items("identifier", IDENTIFIERS_MAX)?;
    let read = items.iter().map(read_identifier);
    Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// An identifier without a value names nothing.
fn read_identifier(element: &Element<'_>) -> Result<Option<Identifier>, Issue> {
    let object = element.object()?;
    let system = object.string("system", TEXT_BYTES_MAX)?;
    let value = object.string("value", TEXT_BYTES_MAX)?;
    Ok(value.map(|value| Identifier { system, value }))
}

/// Those that can be read: whoever needs none is not refused for what one looks like.
fn read_categories(resource: &Object<'_>) -> Vec<Coding> {
    let categories = resource.items("category", CATEGORIES_MAX).unwrap_or_default();
    let codings = |one: Element<'_>| concept_codings(&one.object().ok()?).ok();
    categories.into_iter().filter_map(codings).flatten().collect()
}

fn read_codings(object: &Object<'_>) -> Result<Vec<Coding>, Issue> {
    concept_codings(&object.need("code")?.object()?)
}

fn concept_codings(concept: &Object<'_>) -> Result<Vec<Coding>, Issue> {
    let mut codings = Vec::new();
    for element in concept.items("coding", CODINGS_MAX)? {
        let coding = element.object()?;
        let system = coding.string("system", TEXT_BYTES_MAX)?;
        let code = coding.string("code", TEXT_BYTES_MAX)?;
        codings.extend(code.map(|code| Coding { system, code }));
    }
    Ok(codings)
}

/// Value, or the reason that there is none, of an Observation or a component.
fn read_valued(part: &Element<'_>, object: &Object<'_>) -> Result<Option<Valued>, Issue> {
    let at = part.at();
    let codings = read_codings(object)?;
    let found = object.choice("value", "value[x]")?;
    let Choice { name, element } = match (found, object.field("dataAbsentReason")) {
        (None, None) => return Ok(None),
        (None, Some(reason)) => {
            let value = Value::Absent(read_absent(&reason)?);
            let element = "dataAbsentReason".to_owned();
            return Ok(Some(Valued { expression: at.to_owned(), codings, element, value }));
        }
        // Which of both is true nobody here can say (invariant obs-6).
        (Some(_), Some(reason)) => return Err(reason.refuse(Fault::AbsentValue)),
        (Some(found), None) => found,
    };
    let value = match name.as_str() {
        "valueQuantity" => {
            let quantity = element.object()?;
            if let Some(comparator) = quantity.field("comparator") {
                return Err(comparator.refuse(Fault::Comparator));
            }
            let value = quantity.need("value")?;
            value.decimal()?;
            Value::Quantity { value: value.text().to_owned(), unit: read_unit(&quantity)? }
        }
        "valueSampledData" => Value::Sampled(Sampled::read(&element)?),
        // Only names of FHIR are repeated, and none that a sender makes up.
        _ if KINDS.contains(&name.as_str()) => Value::Other(name.clone()),
        _ => Value::Other("another value".to_owned()),
    };
    let element = match &value {
        Value::Other(known) if *known != name => "value[x]".to_owned(),
        _ => name,
    };
    Ok(Some(Valued { expression: at.to_owned(), codings, element, value }))
}

/// A reason without a code, or with one that FHIR does not have, is as unknown.
fn read_absent(reason: &Element<'_>) -> Result<Absent, Issue> {
    const NOT_MEASURED: &[&str] = &[
        "asked-unknown",
        "not-asked",
        "asked-declined",
        "masked",
        "not-applicable",
        "unsupported",
        "as-text",
        "not-performed",
        "not-permitted",
    ];
    let codings = concept_codings(&reason.object()?)?;
    let is_not = |coding: &Coding| NOT_MEASURED.contains(&coding.code.as_str());
    Ok(if codings.iter().any(is_not) { Absent::NotMeasured } else { Absent::Failed })
}

/// The other types of `Observation.value[x]`.
const KINDS: &[&str] = &[
    "valueCodeableConcept",
    "valueString",
    "valueBoolean",
    "valueInteger",
    "valueRange",
    "valueRatio",
    "valueTime",
    "valueDateTime",
    "valuePeriod",
];

const EFFECTIVE: &str = "effective[x]";

fn read_effective(resource: &Object<'_>) -> Result<(Effective, String), Issue> {
    let found = resource.choice("effective", EFFECTIVE)?.ok_or_else(|| {
        refuse_field(resource, "effective", Fault::Missing { element: EFFECTIVE })
    })?;
    let at = found.element.at().to_owned();
    let effective = match found.name.as_str() {
        "effectiveDateTime" | "effectiveInstant" => {
            Effective::Instant(read_instant(&found.element)?)
        }
        "effectivePeriod" => {
            let period = found.element.object()?;
            let begin = read_instant(&period.need("start")?)?;
            let end = period.field("end").map(|end| read_instant(&end)).transpose()?;
            if end.is_some_and(|end| end < begin) {
                return Err(found.element.refuse(Fault::PeriodShort));
            }
            Effective::Period { begin, end }
        }
        "effectiveTiming" => {
            let expected = "effectiveDateTime, effectiveInstant or effectivePeriod";
            let found_name = found.name.clone();
            return Err(found.element.refuse(Fault::ChoiceType { expected, found: found_name }));
        }
        _ => {
            return Err(refuse_field(resource, "effective", Fault::Missing { element: EFFECTIVE }));
        }
    };
    Ok((effective, at))
}

/// Reads a time that is one instant. Of the calendar's forms only FHIR's: digits alone would be
/// milliseconds to it, and are none in FHIR.
fn read_instant(element: &Element<'_>) -> Result<Instant, Issue> {
    let text = element.string(TIME_BYTES_MAX)?;
    let refuse = |fault| Err(element.refuse(fault));
    let is_dated = |(n, byte): (usize, u8)| match n {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    };
    let begin = text.bytes().take(INSTANT_BYTES_MIN - 1);
    let is_fhir = begin.enumerate().all(is_dated);
    match Written::parse(&text) {
        _ if !is_fhir => refuse(Fault::Time),
        Ok(Written::Instant(instant)) if text.len() >= INSTANT_BYTES_MIN => Ok(instant),
        Ok(Written::Whole { .. }) => refuse(Fault::DateOnly),
        Ok(Written::Local(_)) => refuse(Fault::ZoneMissing),
        Ok(_) => refuse(Fault::Time),
        Err(_) => refuse(Fault::Time),
    }
}

#[cfg(test)]
mod tests;
