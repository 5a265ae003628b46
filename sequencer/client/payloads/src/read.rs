//! From TOML to [`Topics`]: checked whole, before anything is subscribed to.

use bridge::TomlFault;
use serde::Deserialize;
use thiserror::Error;

use crate::clock::Clock;
use crate::fields::{Field, Fields};
use crate::json::Pointer;
use crate::named::{Source, Who};
use crate::omh::{OpenMHealth, Side, by_name};
use crate::pattern::{Part, Pattern};
use crate::topics::{Payload, Row, Topics};

/// Longest file that is read, bytes. In memory it takes some three times as much.
pub const TOPICS_BYTES_MAX: usize = 1 << 20;
/// Most topics.
pub const ROWS_MAX: usize = 256;
/// Most values of one topic.
pub const VALUES_MAX: usize = 64;
/// The version that is read.
const VERSION: u32 = 1;

/// Why a file of topics is none. It names the row and what is expected there, and holds nothing of
/// the file: that may name patients.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TopicsError {
    /// Longer than it may be.
    #[error("expected a file of topics of at most {TOPICS_BYTES_MAX} bytes, found more")]
    TooLong,
    /// No TOML, or a key that there is not.
    #[error("line {line}: expected topics as `docs/mqtt.md` has them, found that {why}")]
    Toml {
        /// Where.
        line: usize,
        /// What does not fit, without the text of the line.
        why: &'static str,
    },
    /// Another version.
    #[error("expected version {VERSION} of topics, found another")]
    Version,
    /// None, or more than there may be.
    #[error("expected 1 to {ROWS_MAX} rows of [[topic]], found another number")]
    Rows,
    /// A row that says nothing that holds.
    #[error("row {row} of [[topic]]: expected {expected}, found something else")]
    Row {
        /// Counted from 1.
        row: usize,
        /// What is expected.
        expected: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    topic: Vec<TopicLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    Json,
    OpenMhealth,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TopicLine {
    topic: String,
    payload: Form,
    #[serde(default)]
    patient_authority: String,
    patient: Option<String>,
    patient_is: Option<String>,
    #[serde(default)]
    device_authority: String,
    device: Option<String>,
    device_is: Option<String>,
    message: Option<String>,
    each: Option<String>,
    time: Option<String>,
    time_format: Option<Clock>,
    #[serde(default)]
    value: Vec<ValueLine>,
    schema: Option<String>,
    interval: Option<Side>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ValueLine {
    at: String,
    #[serde(default)]
    system: String,
    code: Option<String>,
    code_at: Option<String>,
    unit: Option<String>,
    unit_at: Option<String>,
    time: Option<String>,
}

impl Topics {
    /// Reads a file of topics.
    ///
    /// ```
    /// use bridge::Map;
    /// use payloads::{Published, Topics};
    ///
    /// let topics = Topics::parse(r#"
    ///     version = 1
    ///     [[topic]]
    ///     topic = "ward/{patient}/{device}/pulse"
    ///     payload = "json"
    ///     time = "/t"
    ///     time-format = "unix-s"
    ///     [[topic.value]]
    ///     at = "/bpm"
    ///     system = "LN"
    ///     code = "8867-4"
    ///     unit = "/min"
    /// "#)?;
    /// assert_eq!(topics.filters().collect::<Vec<_>>(), ["ward/+/+/pulse"]);
    /// let map = Map::parse(r#"
    ///     version = 1
    ///     patient = [{ identifier = "4711", patient = 7 }]
    ///     device = [{ identifier = "bed7", device = "monitor-0001" }]
    /// "#).expect("a map");
    /// let payload = br#"{"t": 1777624200.5, "bpm": 72}"#;
    /// let taken = topics.read(Published { topic: "ward/4711/bed7/pulse", payload }, &map);
    /// assert_eq!(taken.expect("a reading").readings[0].value, Some(720)); // tenths
    /// # Ok::<(), payloads::TopicsError>(())
    /// ```
    ///
    /// # Errors
    /// [`TopicsError`], whose text holds nothing of the file.
    pub fn parse(text: &str) -> Result<Topics, TopicsError> {
        if text.len() > TOPICS_BYTES_MAX {
            return Err(TopicsError::TooLong);
        }
        let file: File = toml::from_str(text).map_err(|error| wrong_toml(text, &error))?;
        if file.version != VERSION {
            return Err(TopicsError::Version);
        }
        if file.topic.is_empty() || file.topic.len() > ROWS_MAX {
            return Err(TopicsError::Rows);
        }
        let read = |(index, line)| {
            row(line).map_err(|expected| TopicsError::Row { row: index + 1, expected })
        };
        let rows = file.topic.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Topics { rows })
    }
}

fn row(line: TopicLine) -> Result<Row, String> {
    let pattern = Pattern::parse(&line.topic)?;
    let message = line.message.as_deref().map(pointer).transpose()?;
    let patient = Choice { name: "patient", at: &line.patient, is: &line.patient_is };
    let device = Choice { name: "device", at: &line.device, is: &line.device_is };
    let who = |authority: &str, source| Who { authority: authority.to_owned(), source };
    let patient = who(&line.patient_authority, patient.source(&pattern, Part::Patient)?);
    let device = who(&line.device_authority, device.source(&pattern, Part::Device)?);
    let payload = match line.payload {
        Form::Json => Payload::Json(fields(&line, &pattern)?),
        Form::OpenMhealth => Payload::OpenMHealth(open_mhealth(&line, &pattern)?),
    };
    Ok(Row { pattern, patient, device, message, payload })
}

/// Three places that may say the same, of which one does.
struct Choice<'a> {
    name: &'static str,
    at: &'a Option<String>,
    is: &'a Option<String>,
}

impl Choice<'_> {
    fn source(&self, pattern: &Pattern, part: Part) -> Result<Source, String> {
        match (pattern.names(part), self.at, self.is) {
            (true, None, None) => Ok(Source::Topic(part)),
            (false, Some(at), None) => Ok(Source::At(pointer(at)?)),
            (false, None, Some(is)) if !is.is_empty() => Ok(Source::Is(is.clone())),
            _ => Err(format!(
                "one of {} in the topic, `{name}` and `{name}-is`",
                part.braced(),
                name = self.name
            )),
        }
    }
}

fn fields(line: &TopicLine, pattern: &Pattern) -> Result<Fields, String> {
    if line.schema.is_some() || line.interval.is_some() {
        return Err("`schema` and `interval` with `payload = \"open-mhealth\"` alone".to_owned());
    }
    let time = line.time.as_deref().ok_or("`time`, where the time of the values stands")?;
    let clock = line.time_format.ok_or("`time-format`: iso, unix-s, unix-ms or unix-us")?;
    if line.value.is_empty() || line.value.len() > VALUES_MAX {
        return Err(format!("1 to {VALUES_MAX} rows of [[topic.value]]"));
    }
    let each = line.each.as_deref().map(pointer).transpose()?;
    let values = line.value.iter().map(|value| field(value, pattern)).collect::<Result<_, _>>()?;
    Ok(Fields { each, time: pointer(time)?, clock, values })
}

fn field(line: &ValueLine, pattern: &Pattern) -> Result<Field, String> {
    let code = match (&line.code, &line.code_at, pattern.names(Part::Code)) {
        (Some(code), None, false) if !code.is_empty() => Source::Is(code.clone()),
        (None, Some(at), false) => Source::At(pointer(at)?),
        (None, None, true) => Source::Topic(Part::Code),
        _ => return Err("one of {code} in the topic, `code` and `code-at`".to_owned()),
    };
    let unit = match (&line.unit, &line.unit_at) {
        (None, None) => None,
        (Some(unit), None) => Some(Source::Is(unit.clone())),
        (None, Some(at)) => Some(Source::At(pointer(at)?)),
        (Some(_), Some(_)) => return Err("one of `unit` and `unit-at`".to_owned()),
    };
    let time = line.time.as_deref().map(pointer).transpose()?;
    Ok(Field { at: pointer(&line.at)?, system: line.system.clone(), code, unit, time })
}

fn open_mhealth(line: &TopicLine, pattern: &Pattern) -> Result<OpenMHealth, String> {
    let has_own = line.each.is_some() || line.time.is_some() || line.time_format.is_some();
    if has_own || !line.value.is_empty() || pattern.names(Part::Code) {
        let own =
            "neither `each`, `time`, `time-format`, [[topic.value]] nor {code} of Open mHealth";
        return Err(format!("{own}, whose schemas say them"));
    }
    let known = |name: &str| {
        let name = name.strip_prefix("omh:").unwrap_or(name);
        by_name(name).ok_or("a `schema` of Open mHealth that is read, as omh:heart-rate")
    };
    let schema = line.schema.as_deref().map(known).transpose()?;
    Ok(OpenMHealth { schema, interval: line.interval })
}

fn pointer(text: &str) -> Result<Pointer, String> {
    let expected = || "pointers as /a/b (RFC 6901) of at most 16 steps".to_owned();
    Pointer::parse(text).ok_or_else(expected)
}

fn wrong_toml(text: &str, error: &toml::de::Error) -> TopicsError {
    let TomlFault { line, why } = TomlFault::of(text, error);
    TopicsError::Toml { line, why }
}
