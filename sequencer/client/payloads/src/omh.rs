//! Open mHealth: data points whose schema says what their body is.
//!
//! Every code of it has the system `omh`, and is the name of its field with dashes. What the body
//! says besides, which makes another quantity of it, stands behind a slash: the average of a heart
//! rate is `heart-rate/average`. Such a code means nothing unless the map has a row of it.

use std::borrow::Cow;

use bridge::{Cause, Map, Refusal};
use model::calendar::Instant;
use model::signal_by_name;

use crate::clock::iso;
use crate::json::Node;
use crate::taken::{Code, Valued};

/// The system of codes in the map, and the namespace of schemas.
pub const OMH: &str = "omh";

/// When a value was measured that stands for a time interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    Start,
    End,
}

/// A field of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The name of the signal that it is of.
    pub signal: &'static str,
}

/// A schema that is read.
#[derive(PartialEq, Eq, Debug)]
pub struct Schema {
    /// Its name, without the namespace.
    pub name: &'static str,
    /// What of it is measured.
    pub fields: &'static [Field],
    /// What may make another quantity of it.
    pub qualifiers: &'static [Qualifier],
}

/// A field of a body that may make another quantity of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Qualifier {
    /// Its name.
    pub field: &'static str,
    /// The values with which it is none other.
    pub plain: &'static [&'static str],
}

/// An average is no reading of an instant.
const STATISTIC: Qualifier = Qualifier { field: "descriptive_statistic", plain: &[] };
/// What a glucometer takes; interstitial fluid, plasma and serum have other values.
const SPECIMEN: Qualifier =
    Qualifier { field: "specimen_source", plain: &["whole blood", "capillary blood"] };
/// A finger, a wrist and a toe have the temperature of skin.
const PLACE: Qualifier = Qualifier {
    field: "measurement_location",
    plain: &["axillary", "forehead", "oral", "rectal", "temporal artery", "tympanic", "vagina"],
};

/// Every schema that is read.
pub const SCHEMAS: &[Schema] = &[
    schema("heart-rate", &[field("heart_rate", "heart-rate")], &[STATISTIC]),
    schema(
        "blood-pressure",
        &[
            field("systolic_blood_pressure", "bp-systolic"),
            field("diastolic_blood_pressure", "bp-diastolic"),
        ],
        &[STATISTIC],
    ),
    schema("oxygen-saturation", &[field("oxygen_saturation", "spo2")], &[STATISTIC]),
    schema("body-temperature", &[field("body_temperature", "temperature")], &[STATISTIC, PLACE]),
    schema("respiratory-rate", &[field("respiratory_rate", "respiration-rate")], &[STATISTIC]),
    schema("blood-glucose", &[field("blood_glucose", "glucose")], &[STATISTIC, SPECIMEN]),
    schema("body-weight", &[field("body_weight", "weight")], &[STATISTIC]),
];

const fn field(name: &'static str, signal: &'static str) -> Field {
    Field { name, signal }
}

const fn schema(
    name: &'static str,
    fields: &'static [Field],
    qualifiers: &'static [Qualifier],
) -> Schema {
    Schema { name, fields, qualifiers }
}

/// The schema of a name, without its namespace.
pub(crate) fn by_name(name: &str) -> Option<&'static Schema> {
    SCHEMAS.iter().find(|schema| schema.name == name)
}

/// How a row reads its bodies.
#[derive(Clone)]
pub(crate) struct OpenMHealth {
    /// Of bodies without a header.
    pub(crate) schema: Option<&'static Schema>,
    /// Of values over an interval; without it they are refused.
    pub(crate) interval: Option<Side>,
}

impl OpenMHealth {
    /// How a data point is called, if it is.
    pub(crate) fn identity<'a>(root: &Node<'a>) -> Result<Option<Node<'a>>, Refusal> {
        let Some(header) = root.field("header")? else { return Ok(None) };
        // `uuid` since IEEE 1752.1, `id` before.
        match header.field("uuid")? {
            Some(found) => Ok(Some(found)),
            None => header.field("id"),
        }
    }

    /// Every value of a data point, or of a body alone.
    pub(crate) fn read<'a>(&self, root: &Node<'a>, map: &Map) -> Result<Vec<Valued<'a>>, Refusal> {
        let header = root.field("header")?;
        let said = header.as_ref().map(schema_of).transpose()?;
        let schema = match (said, self.schema) {
            (Some(said), Some(own)) if said != own => {
                let expected = "a data point of the `schema` of its [[topic]]";
                return Err(root.refuse(Cause::Unsupported { expected }));
            }
            (Some(schema), _) | (None, Some(schema)) => schema,
            (None, None) => {
                let expected = "a data point with its header, or `schema` of its [[topic]]";
                return Err(root.refuse(Cause::Malformed { expected }));
            }
        };
        let body = match header {
            None => root.clone(),
            Some(_) => {
                let missing = Cause::Malformed { expected: "a data point with its body" };
                root.field("body")?.ok_or_else(|| root.refuse(missing))?
            }
        };
        let (at, behind) = (self.time(&body, map)?, schema.qualified(&body)?);
        let mut values = Vec::new();
        for field in schema.fields {
            values.extend(value(&body, *field, (at, &behind))?);
        }
        Ok(values)
    }

    fn time(&self, body: &Node<'_>, map: &Map) -> Result<Instant, Refusal> {
        let frame = body.field("effective_time_frame")?;
        let frame = frame.ok_or_else(|| body.refuse(Cause::TimeMissing))?;
        let place = |node: Node<'_>| iso(&node.text()?, map).map_err(|cause| node.refuse(cause));
        if let Some(node) = frame.field("date_time")? {
            return place(node);
        }
        let interval = frame.field("time_interval")?;
        let interval = interval.ok_or_else(|| frame.refuse(Cause::TimeMissing))?;
        let expected = "a `date_time` (`interval` of [[topic]] says which end of an interval)";
        let refused = || interval.refuse(Cause::Unsupported { expected });
        let side = match self.interval.ok_or_else(refused)? {
            Side::Start => "start_date_time",
            Side::End => "end_date_time",
        };
        let node = interval.field(side)?.ok_or_else(|| interval.refuse(Cause::TimeMissing))?;
        place(node)
    }
}

/// The schema that a header names: an object, or `omh:heart-rate:2.0` of older ones.
fn schema_of(header: &Node<'_>) -> Result<&'static Schema, Refusal> {
    let expected = "a schema of Open mHealth that is read (omh:heart-rate and six others)";
    let id = header.field("schema_id")?;
    let id = id.ok_or_else(|| header.refuse(Cause::Malformed { expected: "a `schema_id`" }))?;
    let found = match (id.field("namespace")?, id.field("name")?) {
        (Some(namespace), Some(name)) if namespace.text()? == OMH => by_name(&name.text()?),
        (None, None) => {
            let text = id.text()?;
            let mut parts = text.split(':');
            let is_own = parts.next() == Some(OMH);
            parts.next().filter(|_| is_own).and_then(by_name)
        }
        _ => None,
    };
    found.ok_or_else(|| id.refuse(Cause::Unsupported { expected }))
}

impl Field {
    /// Its code in the map.
    pub fn code(&self) -> String {
        self.name.replace('_', "-")
    }
}

impl Schema {
    /// What makes another quantity of a body, as it stands behind its code.
    fn qualified(&self, body: &Node<'_>) -> Result<String, Refusal> {
        let mut behind = String::new();
        for Qualifier { field, plain } in self.qualifiers {
            let Some(found) = body.field(field)? else { continue };
            let said = found.text()?;
            if !plain.contains(&&*said) {
                behind = format!("{behind}/{said}");
            }
        }
        Ok(behind)
    }
}

fn value<'a>(
    body: &Node<'a>,
    field: Field,
    (at, behind): (Instant, &str),
) -> Result<Option<Valued<'a>>, Refusal> {
    let Some(found) = body.field(field.name)? else { return Ok(None) };
    let code = Cow::Owned(format!("{}{behind}", field.code()));
    let known = signal_by_name(field.signal).ok().filter(|_| behind.is_empty());
    let node = found.field("value")?;
    let node = node.ok_or_else(|| found.refuse(Cause::ValueMissing))?;
    let number = if node.is_null() { None } else { Some(node.text()?) };
    let unit = found.field("unit")?.map(|unit| unit.text()).transpose()?;
    let element = node.place().to_owned();
    Ok(Some(Valued { at, code: Code { system: OMH, code, known }, number, unit, element }))
}
