//! Which column is what: by the names that a header has, or by their numbers.

use std::str::FromStr;

use model::{Signal, signal_by_name, signals};
use thiserror::Error;

use crate::decimal::Linear;
use crate::names;
use crate::unit::{self, UnknownUnit};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Date, time of day and zone; or, beside a column of dates, the time of day.
    Time,
    /// The date, where the time of day has a column of its own.
    Date,
    /// Values of the one signal that is asked for, or of that which the row names.
    Value,
    /// Values of a signal.
    Signal(&'static Signal),
    /// Which signal a row is of.
    SignalName,
    /// Which device a row is of.
    Device,
}

/// `ROLE=COLUMN`, as `time=Timestamp` or `heart-rate=3`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// What it holds.
    pub role: Role,
    /// The header's name of it, or its number from 1.
    pub column: String,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Mapping, String> {
        let wrong = || {
            let names: Vec<_> = signals().iter().map(|signal| signal.name).collect();
            format!(
                "expected ROLE=COLUMN, the role one of time, date, value, signal, device, {}",
                names.join(", ")
            )
        };
        let (role, column) = text.split_once('=').ok_or_else(wrong)?;
        let role = match role {
            "time" => Role::Time,
            "date" => Role::Date,
            "value" => Role::Value,
            "signal" => Role::SignalName,
            "device" => Role::Device,
            name => Role::Signal(signal_by_name(name).map_err(|_| wrong())?),
        };
        Ok(Mapping { role, column: column.trim().to_owned() })
    }
}

/// Columns that cannot be told.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ColumnError {
    /// A mapping names none.
    #[error("expected a column {column}, found {found}")]
    Missing {
        /// Asked for.
        column: String,
        /// What there is.
        found: String,
    },
    /// Nothing says what holds the values.
    #[error("expected one column of {what}, found {found}: say which with --column {what}=NAME")]
    Unknown {
        /// Role or signal.
        what: &'static str,
        /// Names, or how many columns without a name.
        found: String,
    },
    /// Nothing but values, and no rate.
    #[error(
        "expected a column of times, found one column: say how far apart readings are with \
         --rate-hz or --period"
    )]
    NoTime,
    /// Nothing says what a step of the values is.
    #[error(
        "expected the unit of {signal} in the header, as {signal} (mV), or --unit: one of {units}"
    )]
    NoUnit {
        /// Of which signal.
        signal: &'static str,
        /// Those there are.
        units: String,
    },
    /// The header's unit is none of the signal's.
    #[error("{0}: say which with --unit")]
    Unit(#[from] UnknownUnit),
}

/// A column that holds values of one signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ValueColumn {
    pub(crate) index: usize,
    pub(crate) signal: &'static Signal,
    pub(crate) to_own: Linear,
    /// Whether that holds for a row which says no unit of its own.
    is_known: bool,
}

/// Where everything stands, counted from 0.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Columns {
    pub(crate) count: usize,
    pub(crate) date: Option<usize>,
    pub(crate) time: Option<usize>,
    pub(crate) device: Option<usize>,
    /// A row's own signal; its value stands in any of `values` of that signal.
    pub(crate) signal_name: Option<usize>,
    /// The unit of the row's values, unless one is said for all; empty, that of the header.
    pub(crate) unit: Option<usize>,
    pub(crate) values: Vec<ValueColumn>,
}

/// What is asked of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) signals: &'a [&'static Signal],
    pub(crate) mappings: &'a [Mapping],
    /// For every signal, instead of what the header says.
    pub(crate) unit: Option<&'a str>,
    /// Whether times come from a rate and not from the lines.
    pub(crate) is_steady: bool,
}

const TIMES: &[&str] = &[
    "time",
    "timestamp",
    "datetime",
    "date time",
    "date/time",
    "t",
    "start",
    "startdate",
    "start date",
    "start time",
    "recorded at",
    "measured at",
    "created at",
    "effective date time",
    "time stamp",
    "elapsed",
    "timer",
    "seconds",
    "elapsed time",
    "unix time",
    "epoch",
];
const VALUES: &[&str] = &["value", "values", "reading", "measurement", "result"];

/// A header's name: plain, and the unit that stands in brackets behind it.
struct Name {
    plain: String,
    unit: Option<String>,
}

impl Name {
    fn read(text: &str) -> Name {
        let text = text.trim();
        let bracket = text.find(['(', '[']).filter(|at| *at > 0);
        let (name, unit) = match bracket {
            Some(at) => (&text[..at], Some(text[at + 1..].trim_end_matches([')', ']']).trim())),
            None => (text, None),
        };
        // UCUM codes hold brackets themselves: `mm[Hg]` within round ones.
        let unit =
            unit.map(|unit| if unit.contains('[') { format!("{unit}]") } else { unit.into() });
        Name { plain: names::plain(name), unit }
    }

    fn is(&self, signal: &Signal) -> bool {
        self.plain == signal.name.replace('-', " ")
            || names::synonyms(signal.name).contains(&self.plain.as_str())
    }
}

/// What a header's name says beside a signal's.
pub(crate) fn known_role(header: &str) -> Option<&'static str> {
    let plain = Name::read(header).plain;
    match plain.as_str() {
        name if TIMES.contains(&name) => Some("time"),
        "date" | "day" => Some("date"),
        name if VALUES.contains(&name) => Some("value"),
        "device" => Some("device"),
        "signal" => Some("signal"),
        "unit" | "units" => Some("unit"),
        _ => None,
    }
}

/// Whether a header's name is one of a signal.
pub(crate) fn is_named(header: &str, signal: &Signal) -> bool {
    Name::read(header).is(signal)
}

impl Columns {
    /// By a header's names.
    pub(crate) fn of_header(header: &[String], asked: Asked<'_>) -> Result<Columns, ColumnError> {
        let names: Vec<Name> = header.iter().map(|text| Name::read(text)).collect();
        let find = |role: Role| find_mapped(asked.mappings, role, header);
        let named =
            |known: &[&str]| names.iter().position(|name| known.contains(&name.plain.as_str()));
        let (date, time) = (find(Role::Date)?, find(Role::Time)?);
        let time = time.or_else(|| named(TIMES));
        // A date beside a time of day; alone it is the time.
        let (date, time) = match (date.or_else(|| named(&["date", "day"])), time) {
            (Some(date), None) => (None, Some(date)),
            found => found,
        };
        let mut columns = Columns {
            count: header.len(),
            date,
            time,
            device: find(Role::Device)?.or_else(|| named(&["device"])),
            signal_name: find(Role::SignalName)?.or_else(|| named(&["signal"])),
            unit: named(&["unit", "units"]).filter(|_| asked.unit.is_none()),
            values: Vec::new(),
        };
        if asked.is_steady {
            (columns.date, columns.time) = (None, None);
        } else if columns.time.is_none() && header.len() == 1 {
            return Err(ColumnError::NoTime);
        } else if columns.time.is_none() {
            return Err(ColumnError::Unknown { what: "time", found: list(header) });
        }
        let value = find(Role::Value)?.or_else(|| named(VALUES));
        for signal in asked.signals {
            let own = find(Role::Signal(signal))?;
            let own = own.or_else(|| names.iter().position(|name| name.is(signal)));
            // A column of values is the signal's if no other signal could be meant.
            let is_only = asked.signals.len() == 1 || columns.signal_name.is_some();
            let index = own.or(value.filter(|_| is_only)).or_else(|| columns.last_free(is_only));
            let unknown = || ColumnError::Unknown { what: signal.name, found: list(header) };
            let index = index.ok_or_else(unknown)?;
            let unit = asked.unit.or(names[index].unit.as_deref());
            let (to_own, is_known) = match columns.unit {
                Some(_) => of_rows_without(signal, unit),
                None => (to_own(signal, unit)?, true),
            };
            columns.values.push(ValueColumn { index, signal, to_own, is_known });
        }
        Ok(columns)
    }

    /// By number: `time,value`, or as the mappings say.
    pub(crate) fn of_count(count: usize, asked: Asked<'_>) -> Result<Columns, ColumnError> {
        let header: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
        let find = |role: Role| find_mapped(asked.mappings, role, &header);
        if count == 1 && !asked.is_steady {
            return Err(ColumnError::NoTime);
        }
        let time = if asked.is_steady { None } else { Some(find(Role::Time)?.unwrap_or(0)) };
        let mut columns = Columns {
            count,
            date: find(Role::Date)?,
            time,
            device: find(Role::Device)?,
            signal_name: find(Role::SignalName)?,
            unit: None,
            values: Vec::new(),
        };
        let value = find(Role::Value)?;
        for signal in asked.signals {
            let is_only = asked.signals.len() == 1 || columns.signal_name.is_some();
            let found = find(Role::Signal(signal))?.or(value.filter(|_| is_only));
            let index = found.or_else(|| columns.last_free(is_only)).ok_or_else(|| {
                let found = format!("{count} columns without names");
                ColumnError::Unknown { what: signal.name, found }
            })?;
            let to_own =
                asked.unit.map_or(Ok(Linear::SAME), |unit| unit::conversion(signal, unit))?;
            columns.values.push(ValueColumn { index, signal, to_own, is_known: true });
        }
        Ok(columns)
    }

    /// A column of values as a row means it.
    pub(crate) fn of_row(
        &self,
        column: ValueColumn,
        fields: &[String],
    ) -> Result<ValueColumn, ColumnError> {
        let Some(unit) = self.unit else { return Ok(column) };
        match fields[unit].as_str() {
            "" if column.is_known => Ok(column),
            "" => Err(no_unit(column.signal)),
            unit => Ok(ValueColumn { to_own: unit::conversion(column.signal, unit)?, ..column }),
        }
    }

    /// The one column that nothing else takes.
    fn last_free(&self, is_only: bool) -> Option<usize> {
        let taken = [self.date, self.time, self.device, self.signal_name, self.unit];
        let mut free = (0..self.count).filter(|index| !taken.contains(&Some(*index)));
        let first = free.next().filter(|_| is_only);
        first.filter(|_| free.next().is_none())
    }
}

/// From the unit that is said. Where it is not, a signal with usual values is in its own, and
/// others would show; a voltage may be in steps of a converter, and nothing would.
fn to_own(signal: &'static Signal, unit: Option<&str>) -> Result<Linear, ColumnError> {
    match unit {
        Some(unit) => Ok(unit::conversion(signal, unit)?),
        None if unit::is_asked_for(signal) => Err(no_unit(signal)),
        None => Ok(Linear::SAME),
    }
}

/// Where rows say their own, from the header's unit for those that say none, and whether it can be
/// told. A header's unit that is none of the signal's is no error: the column may be another's too.
fn of_rows_without(signal: &'static Signal, unit: Option<&str>) -> (Linear, bool) {
    match to_own(signal, unit) {
        Ok(to_own) => (to_own, true),
        Err(_) => (Linear::SAME, false),
    }
}

fn no_unit(signal: &'static Signal) -> ColumnError {
    ColumnError::NoUnit { signal: signal.name, units: unit::names(signal) }
}

/// The column that a mapping gives a role.
fn find_mapped(
    mappings: &[Mapping],
    role: Role,
    header: &[String],
) -> Result<Option<usize>, ColumnError> {
    let Some(mapping) = mappings.iter().find(|mapping| mapping.role == role) else {
        return Ok(None);
    };
    let column = mapping.column.as_str();
    // A name before a number: a header may be named `1`.
    let named = header.iter().position(|name| name.trim().eq_ignore_ascii_case(column));
    let is_number = !column.is_empty() && column.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = column
        .parse::<usize>()
        .ok()
        .filter(|number| is_number && (1..=header.len()).contains(number));
    let index = named.or(numbered.map(|number| number - 1));
    index
        .map(Some)
        .ok_or_else(|| ColumnError::Missing { column: column.to_owned(), found: list(header) })
}

/// Names for an error, not without end.
fn list(header: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = header.iter().take(SHOWN).map(|name| model::escape(name).to_string());
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if header.len() > SHOWN {
        text += &format!(" and {} more", header.len() - SHOWN);
    }
    text
}
