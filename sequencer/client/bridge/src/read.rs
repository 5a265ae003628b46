//! From TOML to a [`Map`]: checked whole, before one message is read by it.

use std::collections::BTreeMap;

use model::{DeviceId, IdError, PatientIndex, Signal, signal_by_name};
use recordings::{Decimal, Period, Zone};
use serde::Deserialize;
use thiserror::Error;

use crate::charset::Charset;
use crate::codes;
use crate::map::{ByName, CodeRow, DeviceRow, Map, Missing, Unknown};
use crate::measure::{CodeRules, SignalRules};
use crate::toml_fault::TomlFault;
use crate::units;

/// Longest map that is read, bytes. In memory it takes some three times as much.
pub const MAP_BYTES_MAX: usize = 8 << 20;
/// Most rows of each kind.
pub const MAP_ROWS_MAX: usize = 100_000;
/// The version that is read.
const VERSION: u32 = 1;

/// Why a map is none. It names the row and what is expected there, and holds nothing of the file:
/// that names patients.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MapError {
    /// Longer than a map may be.
    #[error("expected a map of at most {MAP_BYTES_MAX} bytes, found more")]
    TooLong,
    /// No TOML, or a key that there is not.
    #[error("line {line}: expected a map as `docs/map.md` has it, found that {why}")]
    Toml {
        /// Where.
        line: usize,
        /// What does not fit, without the text of the line.
        why: &'static str,
    },
    /// Another version.
    #[error("expected version {VERSION} of maps, found another")]
    Version,
    /// More rows than there may be.
    #[error("expected at most {MAP_ROWS_MAX} rows of [[{kind}]], found more")]
    TooMany {
        /// Of which kind.
        kind: &'static str,
    },
    /// A row that says nothing that holds.
    #[error("row {row} of [[{kind}]]: expected {expected}, found something else")]
    Row {
        /// Of which kind.
        kind: &'static str,
        /// Counted from 1.
        row: usize,
        /// What is expected.
        expected: String,
    },
    /// A name that has a row already.
    #[error("row {row} of [[{kind}]]: expected each name once, found one that stands before it")]
    Twice {
        /// Of which kind.
        kind: &'static str,
        /// Counted from 1.
        row: usize,
    },
    /// A zone that there is not.
    #[error("`zone`: {0}")]
    Zone(#[from] recordings::ZoneError),
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    version: u32,
    zone: Option<String>,
    #[serde(default)]
    round: bool,
    #[serde(default)]
    missing: Missing,
    #[serde(default)]
    unknown: Unknown,
    status: Option<String>,
    charset: Option<Charset>,
    #[serde(default)]
    patient: Vec<PatientLine>,
    #[serde(default)]
    device: Vec<DeviceLine>,
    #[serde(default)]
    code: Vec<CodeLine>,
    #[serde(default)]
    unit: Vec<UnitLine>,
    #[serde(default)]
    signal: Vec<SignalLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatientLine {
    #[serde(default)]
    authority: String,
    identifier: String,
    patient: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceLine {
    #[serde(default)]
    authority: String,
    identifier: String,
    device: String,
    #[serde(default)]
    channels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CodeLine {
    #[serde(default)]
    system: String,
    code: String,
    signal: String,
    unit: Option<String>,
    rate_hz: Option<String>,
    factor: Option<String>,
    origin: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitLine {
    unit: String,
    is: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalLine {
    name: String,
    #[serde(default)]
    off: Vec<String>,
    #[serde(default)]
    keep: Vec<String>,
}

impl Map {
    /// Reads a map.
    ///
    /// ```
    /// use bridge::{Coding, Foreign, Map, Unit};
    ///
    /// let map = Map::parse(r#"
    ///     version = 1
    ///     [[patient]]
    ///     authority = "HOSP"
    ///     identifier = "4711"
    ///     patient = 7
    /// "#)?;
    /// let number = Foreign { authority: "HOSP", identifier: "4711" };
    /// assert_eq!(map.patient([number]).map(|patient| patient.get()), Ok(7));
    /// let rate = map.measure(&[Coding { system: "LN", code: "8867-4" }]).expect("a heart rate");
    /// assert_eq!(rate.value("72", Some(Unit("/min"))), Ok(Some(720))); // tenths
    /// # Ok::<(), bridge::MapError>(())
    /// ```
    ///
    /// # Errors
    /// [`MapError`], whose text holds nothing of the file.
    pub fn parse(text: &str) -> Result<Map, MapError> {
        if text.len() > MAP_BYTES_MAX {
            return Err(MapError::TooLong);
        }
        let file: File = toml::from_str(text).map_err(|error| wrong_toml(text, &error))?;
        if file.version != VERSION {
            return Err(MapError::Version);
        }
        let zone = file.zone.as_deref().map(str::parse::<Zone>).transpose()?;
        let mut map = Map {
            zone,
            rounds: file.round,
            missing: file.missing,
            unknown: file.unknown,
            status: file.status,
            charset: file.charset,
            ..Map::default()
        };
        each("patient", file.patient, |row, line| map.add_patient(row, line))?;
        each("device", file.device, |row, line| map.add_device(row, line))?;
        each("unit", file.unit, |row, line| map.add_unit(row, line))?;
        each("signal", file.signal, |row, line| map.add_signal(row, line))?;
        each("code", file.code, |row, line| map.add_code(row, line))?;
        Ok(map)
    }

    fn add_patient(&mut self, row: Row, line: PatientLine) -> Result<(), MapError> {
        let why = |error: IdError| row.expected(error.to_string());
        let patient = PatientIndex::new(line.patient).map_err(why)?;
        row.insert(&mut self.patients, (line.authority, line.identifier), patient)
    }

    fn add_device(&mut self, row: Row, line: DeviceLine) -> Result<(), MapError> {
        let device = |name: &str| {
            DeviceId::new(name).map_err(|_| row.expected("a device of the registry".to_owned()))
        };
        let mut channels = BTreeMap::new();
        for (code, name) in &line.channels {
            channels.insert(code.clone(), device(name)?);
        }
        let value = DeviceRow { device: device(&line.device)?, channels };
        row.insert(&mut self.devices, (line.authority, line.identifier), value)
    }

    fn add_unit(&mut self, row: Row, line: UnitLine) -> Result<(), MapError> {
        let is_known = model::signals()
            .iter()
            .any(|signal| recordings::unit::conversion(signal, &line.is).is_ok());
        if !is_known || line.unit.is_empty() {
            return Err(row.expected("a unit that some signal is given in as `is`".to_owned()));
        }
        match self.units.insert(line.unit, line.is) {
            None => Ok(()),
            Some(_) => Err(MapError::Twice { kind: row.kind, row: row.number }),
        }
    }

    fn add_signal(&mut self, row: Row, line: SignalLine) -> Result<(), MapError> {
        let signal = row.signal(&line.name)?;
        let read = |values: &[String]| {
            values.iter().map(|value| row.decimal(value)).collect::<Result<Vec<_>, _>>()
        };
        let rules = SignalRules { off: read(&line.off)?, keep: read(&line.keep)? };
        match self.signals.insert(signal.code, rules) {
            None => Ok(()),
            Some(_) => Err(MapError::Twice { kind: row.kind, row: row.number }),
        }
    }

    fn add_code(&mut self, row: Row, line: CodeLine) -> Result<(), MapError> {
        let signal = row.signal(&line.signal)?;
        if let Some(unit) = &line.unit {
            let local = self.units.get(unit).map(String::as_str);
            let name = local.or_else(|| units::ucum(unit)).unwrap_or(unit);
            let why = |error: recordings::unit::UnknownUnit| {
                row.expected(format!("{} in one of {}", error.signal, error.expected))
            };
            recordings::unit::conversion(signal, name).map_err(why)?;
        }
        let period = line.rate_hz.as_deref().map(Period::from_rate).transpose();
        let why = |_| row.expected("`rate-hz` as 360, 62.5 or 1/60".to_owned());
        let decimal = |value: Option<String>| value.map(|value| row.decimal(&value)).transpose();
        let rules = CodeRules {
            unit: line.unit,
            period: period.map_err(why)?,
            factor: decimal(line.factor)?,
            origin: decimal(line.origin)?,
        };
        let system = codes::system(&line.system).to_owned();
        row.insert(&mut self.codes, (system, line.code), CodeRow { signal, rules })
    }
}

/// Where a row stands.
#[derive(Clone, Copy)]
struct Row {
    kind: &'static str,
    number: usize,
}

impl Row {
    fn expected(self, expected: String) -> MapError {
        MapError::Row { kind: self.kind, row: self.number, expected }
    }

    fn signal(self, name: &str) -> Result<&'static Signal, MapError> {
        signal_by_name(name).map_err(|_| {
            let names: Vec<_> = model::signals().iter().map(|signal| signal.name).collect();
            self.expected(format!("one of {}", names.join(", ")))
        })
    }

    fn decimal(self, text: &str) -> Result<Decimal, MapError> {
        text.parse::<Decimal>().map_err(|_| self.expected("decimal numbers in quotes".to_owned()))
    }

    fn insert<T>(
        self,
        rows: &mut ByName<T>,
        (outer, inner): (String, String),
        value: T,
    ) -> Result<(), MapError> {
        if inner.is_empty() {
            return Err(self.expected("a name that is not empty".to_owned()));
        }
        match rows.entry(outer).or_default().insert(inner, value) {
            None => Ok(()),
            Some(_) => Err(MapError::Twice { kind: self.kind, row: self.number }),
        }
    }
}

fn each<T>(
    kind: &'static str,
    lines: Vec<T>,
    mut add: impl FnMut(Row, T) -> Result<(), MapError>,
) -> Result<(), MapError> {
    if lines.len() > MAP_ROWS_MAX {
        return Err(MapError::TooMany { kind });
    }
    for (index, line) in lines.into_iter().enumerate() {
        add(Row { kind, number: index + 1 }, line)?;
    }
    Ok(())
}

fn wrong_toml(text: &str, error: &toml::de::Error) -> MapError {
    let TomlFault { line, why } = TomlFault::of(text, error);
    MapError::Toml { line, why }
}
