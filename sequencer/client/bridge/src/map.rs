//! The map: who and what is meant by the names of others.

use std::collections::BTreeMap;

use model::calendar::{Instant, Written};
use model::{DeviceId, PatientIndex, Signal};
use recordings::Zone;

use crate::charset::Charset;
use crate::codes;
use crate::measure::{CodeRules, LocalUnits, Measure, SignalRules};
use crate::measurement::Coding;
use crate::refusal::Cause;

/// An identifier of somebody else, with who assigned it. It is a patient's or may lead to one, so
/// it is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Foreign<'a> {
    /// Who assigned it: a namespace, an OID, a URI; empty where none is said.
    pub authority: &'a str,
    /// The identifier.
    pub identifier: &'a str,
}

/// What is done where a message says that there was no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// A reading says that the sensor gave none.
    #[default]
    Off,
    /// It is no reading; the answer says so.
    LeaveOut,
    /// The message is refused.
    Refuse,
}

/// What is done with a value whose code neither the tables nor the map know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// It is no reading; the answer says so. Monitors send much that is no signal here.
    #[default]
    LeaveOut,
    /// The message is refused.
    Refuse,
}

/// A device, and those that stand for its channels.
#[derive(Debug)]
pub(crate) struct DeviceRow {
    pub(crate) device: DeviceId,
    /// By code.
    pub(crate) channels: BTreeMap<String, DeviceId>,
}

/// A code of the map's own.
#[derive(Debug)]
pub(crate) struct CodeRow {
    pub(crate) signal: &'static Signal,
    pub(crate) rules: CodeRules,
}

/// By authority or system, then by identifier or code.
pub(crate) type ByName<T> = BTreeMap<String, BTreeMap<String, T>>;

/// Who and what is meant by the names of others. Made by [`Map::parse`], and never changed: whoever
/// reads it anew makes another one.
#[derive(Default)]
pub struct Map {
    pub(crate) patients: ByName<PatientIndex>,
    pub(crate) devices: ByName<DeviceRow>,
    pub(crate) codes: ByName<CodeRow>,
    pub(crate) units: LocalUnits,
    pub(crate) signals: BTreeMap<u32, SignalRules>,
    pub(crate) zone: Option<Zone>,
    pub(crate) rounds: bool,
    pub(crate) missing: Missing,
    pub(crate) unknown: Unknown,
    pub(crate) status: Option<String>,
    pub(crate) charset: Option<Charset>,
}

impl Map {
    /// The patient whom identifiers mean. Those that the map does not know are passed over: a
    /// message has the numbers of many systems.
    ///
    /// # Errors
    /// [`Cause::PatientMissing`], [`Cause::PatientUnknown`], and [`Cause::PatientAmbiguous`] if
    /// they lead to several.
    pub fn patient<'a>(
        &self,
        identifiers: impl IntoIterator<Item = Foreign<'a>>,
    ) -> Result<PatientIndex, Cause> {
        let (mut found, mut error) = (None, Cause::PatientMissing);
        for one in identifiers {
            match (find(&self.patients, one), found) {
                (Some(patient), Some(before)) if *patient != before => {
                    return Err(Cause::PatientAmbiguous);
                }
                (Some(patient), _) => found = Some(*patient),
                (None, _) => error = Cause::PatientUnknown,
            }
        }
        found.ok_or(error)
    }

    /// The device that identifiers mean: by the first of them that the map knows, and by the code
    /// of what was measured where that is a channel of it.
    ///
    /// # Errors
    /// [`Cause::DeviceMissing`] and [`Cause::DeviceUnknown`].
    pub fn device<'a>(
        &self,
        identifiers: impl IntoIterator<Item = Foreign<'a>>,
        codings: &[Coding<'_>],
    ) -> Result<&DeviceId, Cause> {
        let mut error = Cause::DeviceMissing;
        for one in identifiers {
            error = Cause::DeviceUnknown;
            if let Some(row) = find(&self.devices, one) {
                let channel = codings.iter().find_map(|coding| row.channels.get(coding.code));
                return Ok(channel.unwrap_or(&row.device));
            }
        }
        Err(error)
    }

    /// What codes of one value say that it is of. Those that nobody knows are passed over: a value
    /// often has a code of its device beside one of a standard. A device says what it measured by
    /// its code of MDC; codes beside that one are translations, which are coarser: a pulse rate is
    /// one of heart in LOINC.
    ///
    /// # Errors
    /// [`Cause::CodeMissing`], [`Cause::CodeUnknown`], and [`Cause::CodeAmbiguous`] if they name
    /// several signals, or signals of several categories beside the code of MDC.
    pub fn measure(&self, codings: &[Coding<'_>]) -> Result<Measure<'_>, Cause> {
        let is_of_device = |coding: &&Coding<'_>| codes::system(coding.system) == codes::MDC;
        let of_device: Vec<_> = codings.iter().filter(is_of_device).copied().collect();
        let Ok(mut own) = self.measure_alike(&of_device) else {
            return self.measure_alike(codings);
        };
        for coding in codings {
            let Some(other) = self.measure_of(*coding) else { continue };
            // Consent is by category: what one code permits, no other code of the value may widen.
            if other.signal.category != own.signal.category {
                return Err(Cause::CodeAmbiguous);
            }
            if other.signal.code == own.signal.code {
                own.code = own.code.or(other.code);
            }
        }
        Ok(own)
    }

    /// As [`Map::measure`], of codes none of which goes before another.
    fn measure_alike(&self, codings: &[Coding<'_>]) -> Result<Measure<'_>, Cause> {
        let mut found: Option<Measure<'_>> = None;
        for coding in codings {
            let Some(next) = self.measure_of(*coding) else { continue };
            match &mut found {
                None => found = Some(next),
                Some(before) if before.signal.code != next.signal.code => {
                    return Err(Cause::CodeAmbiguous);
                }
                // A row of the map says more than a table.
                Some(before) => before.code = before.code.or(next.code),
            }
        }
        let none = if codings.is_empty() { Cause::CodeMissing } else { Cause::CodeUnknown };
        found.ok_or(none)
    }

    fn measure_of(&self, coding: Coding<'_>) -> Option<Measure<'_>> {
        let system = codes::system(coding.system);
        let row = self.codes.get(system).and_then(|rows| rows.get(coding.code));
        let signal = row.map(|row| row.signal).or_else(|| codes::signal(coding))?;
        Some(self.measure_signal(signal, row.map(|row| &row.rules)))
    }

    /// As [`Map::measure`], of a signal that is known otherwise: a part of a panel.
    pub fn measure_part(&self, signal: &'static Signal) -> Measure<'_> {
        self.measure_signal(signal, None)
    }

    fn measure_signal<'m>(
        &'m self,
        signal: &'static Signal,
        code: Option<&'m CodeRules>,
    ) -> Measure<'m> {
        let (rules, units) = (self.signals.get(&signal.code), &self.units);
        Measure { signal, code, rules, units, rounds: self.rounds }
    }

    /// The instant of a time as a message has it: in its own zone, else in that of the map.
    ///
    /// # Errors
    /// [`Cause::ZoneMissing`], [`Cause::Zone`] where the zone's clocks do not show it once, and
    /// [`Cause::TimeMalformed`] for a whole day, which is no time.
    pub fn place(&self, time: Written) -> Result<Instant, Cause> {
        match time {
            Written::Instant(at) => Ok(at),
            Written::Local(local) => {
                let zone = self.zone.as_ref().ok_or(Cause::ZoneMissing)?;
                Ok(zone.place(local)?)
            }
            Written::Now | Written::Whole { .. } => {
                Err(Cause::TimeMalformed { expected: "a date with the time of day" })
            }
        }
    }

    /// What is done where a message says that there was no value.
    pub fn missing(&self) -> Missing {
        self.missing
    }

    /// What is done with a value whose code nobody knows.
    pub fn unknown(&self) -> Unknown {
        self.unknown
    }

    /// The status of a value that comes without one, if the map says it.
    pub fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    /// The character set of a message that names none, if the map says it.
    pub fn charset(&self) -> Option<Charset> {
        self.charset
    }
}

fn find<'m, T>(rows: &'m ByName<T>, one: Foreign<'_>) -> Option<&'m T> {
    rows.get(one.authority)?.get(one.identifier)
}
