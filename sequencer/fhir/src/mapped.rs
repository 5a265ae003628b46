//! From an Observation to readings, by the map: who, by what, what of, how much.

use bridge::{
    Cause, Coding as Code, Foreign, Map, Measure, Measurement, Missing, Readings, Said, Unknown,
};
use model::calendar::Instant;
use model::{DeviceId, PatientIndex};

use crate::issue::{Fault, Issue};
use crate::observation::{Absent, Coding, Effective, Identifier, Observation, Value, Valued, Who};
use crate::sampled::{Sample, Sampled};
use crate::unit::Unit;

/// When a quantity was measured that stands for a period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeriodAt {
    /// At its start.
    Start,
    /// At its end, as a mean is known then.
    End,
}

/// What FHIR leaves open and no map of names says.
#[derive(Clone, Default, Debug)]
pub struct Defaults {
    /// Of quantities over a period; without it they are refused.
    pub period_at: Option<PeriodAt>,
    /// Of Observations that name no device, as those that people write down; without it they are
    /// refused.
    pub device: Option<DeviceId>,
}

/// Something that is no reading, by the word of the map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeftOut {
    /// Of a code that nobody knows.
    Unknown {
        /// Where it stands.
        expression: String,
    },
    /// Of which there is no value.
    Missing {
        /// Where it stands.
        expression: String,
    },
    /// That stands there before as it is.
    Repeated {
        /// Where it stands again.
        expression: String,
    },
}

/// What becomes of an Observation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapped {
    /// In the order of the Observation; none if all was left out.
    pub measurements: Vec<Measurement>,
    /// What was not taken, and is no fault.
    pub left_out: Vec<LeftOut>,
}

/// Takes an Observation wholly or not at all.
///
/// # Errors
/// [`Issue`] with the first element that cannot be taken.
pub fn map_observation(
    observation: &Observation,
    map: &Map,
    defaults: &Defaults,
) -> Result<Mapped, Issue> {
    let patient = map.patient(names(&observation.subject).iter().map(Name::foreign));
    let patient = patient.map_err(refuse(&observation.subject.expression))?;
    let mapping = Mapping { observation, map, defaults, patient };
    let (mut readings, mut left_out) = (Readings::default(), Vec::new());
    for valued in &observation.values {
        let mut mapped = Mapped { measurements: Vec::new(), left_out: Vec::new() };
        mapping.add(valued, &mut mapped)?;
        let code = valued.codings.first().map_or("", |coding| &coding.code);
        for one in mapped.measurements {
            let expression = format!("{}.code", valued.expression);
            match readings.add(code, one) {
                Err(Cause::Repeated { .. }) => left_out.push(LeftOut::Repeated { expression }),
                added => added.map_err(refuse(&expression))?,
            }
        }
        left_out.append(&mut mapped.left_out);
    }
    Ok(Mapped { measurements: readings.into_measurements(), left_out })
}

fn refuse(expression: &str) -> impl FnOnce(Cause) -> Issue {
    move |cause| Issue::new(expression, Fault::Map(cause))
}

/// A name, and how its authority is called.
struct Name<'a> {
    authority: &'a str,
    identifier: &'a str,
}

impl<'a> Name<'a> {
    fn foreign(&self) -> Foreign<'a> {
        Foreign { authority: self.authority, identifier: self.identifier }
    }

    /// Under each name that its authority has.
    fn of(identifier: &'a Identifier) -> impl Iterator<Item = Name<'a>> {
        let called = spellings(identifier.system.as_deref().unwrap_or_default());
        called.map(|authority| Name { authority, identifier: &identifier.value })
    }
}

/// A URI, and an OID as HL7 v2 writes it, too: one map names patients for both.
fn spellings(uri: &str) -> impl Iterator<Item = &str> {
    std::iter::once(uri).chain(uri.strip_prefix("urn:oid:"))
}

/// Every name of somebody. A reference is a name without an authority: `Patient/example`.
fn names(who: &Who) -> Vec<Name<'_>> {
    let reference = who.reference.as_deref().filter(|reference| !reference.starts_with('#'));
    let reference = reference.map(|reference| Name { authority: "", identifier: reference });
    who.identifiers.iter().flat_map(Name::of).chain(reference).collect()
}

/// What is the same for all values of an Observation.
struct Mapping<'a> {
    observation: &'a Observation,
    map: &'a Map,
    defaults: &'a Defaults,
    patient: PatientIndex,
}

/// Where the readings of one value go.
struct Target<'m> {
    device: DeviceId,
    measure: Measure<'m>,
}

impl Mapping<'_> {
    fn add<'a>(&self, valued: &'a Valued, mapped: &mut Mapped) -> Result<(), Issue> {
        let called = |coding: &'a Coding| {
            let systems = spellings(coding.system.as_deref().unwrap_or_default());
            systems.map(|system| Code { system, code: &coding.code })
        };
        let codings: Vec<_> = valued.codings.iter().flat_map(called).collect();
        let measure = match self.map.measure(&codings) {
            Ok(measure) => measure,
            Err(Cause::CodeUnknown | Cause::CodeMissing)
                if self.map.unknown() == Unknown::LeaveOut =>
            {
                let expression = format!("{}.code", valued.expression);
                mapped.left_out.push(LeftOut::Unknown { expression });
                return Ok(());
            }
            Err(cause) => return Err(refuse(&format!("{}.code", valued.expression))(cause)),
        };
        let target = Target { device: self.device(&codings)?, measure };
        let at = format!("{}.{}", valued.expression, valued.element);
        match &valued.value {
            Value::Quantity { value, unit } => {
                let when = self.instant_of_quantity()?;
                let number =
                    target.measure.value(value, text_of(unit).as_deref().map(bridge::Unit));
                let number = number.map_err(|cause| {
                    // Which of both it is says the cause; the element is the one with the fault.
                    let of_unit =
                        matches!(cause, Cause::UnitMissing { .. } | Cause::UnitUnknown { .. });
                    refuse(&format!("{at}.{}", if of_unit { "code" } else { "value" }))(cause)
                })?;
                mapped.measurements.push(self.measurement(&target, when, number));
            }
            Value::Sampled(sampled) => self.add_samples((&target, sampled), &at, mapped)?,
            Value::Absent(absent) => self.add_missing(&target, (*absent, &at), mapped)?,
            Value::Other(_) => {
                let expected = "valueQuantity or valueSampledData";
                return Err(refuse(&at)(Cause::Type { expected }));
            }
        }
        Ok(())
    }

    fn device(&self, codings: &[Code<'_>]) -> Result<DeviceId, Issue> {
        let names = self.observation.device.as_ref().map(names).unwrap_or_default();
        let found = self.map.device(names.iter().map(Name::foreign), codings);
        match (found, &self.defaults.device) {
            (Ok(device), _) => Ok(device.clone()),
            (Err(Cause::DeviceMissing), Some(device)) => Ok(device.clone()),
            (Err(cause), _) => {
                Err(refuse(&format!("{}.device", self.observation.expression))(cause))
            }
        }
    }

    fn measurement(&self, target: &Target<'_>, at: Instant, value: Option<i32>) -> Measurement {
        let signal = target.measure.signal;
        Measurement { device: target.device.clone(), patient: self.patient, signal, at, value }
    }

    fn refuse_effective(&self, fault: Fault) -> Issue {
        Issue::new(self.observation.effective_expression.clone(), fault)
    }

    fn instant_of_quantity(&self) -> Result<Instant, Issue> {
        match (self.observation.effective, self.defaults.period_at) {
            (Effective::Instant(at), _) => Ok(at),
            (Effective::Period { begin, .. }, Some(PeriodAt::Start)) => Ok(begin),
            (Effective::Period { end: Some(end), .. }, Some(PeriodAt::End)) => Ok(end),
            (Effective::Period { end: None, .. }, Some(PeriodAt::End)) => {
                Err(self.refuse_effective(Fault::Missing { element: "the end of the period" }))
            }
            (Effective::Period { .. }, None) => Err(self.refuse_effective(Fault::PeriodOfQuantity)),
        }
    }

    /// There was no value. A sensor that gave none is a reading without a value; where nobody
    /// measured there is none.
    fn add_missing(
        &self,
        target: &Target<'_>,
        (absent, at): (Absent, &str),
        mapped: &mut Mapped,
    ) -> Result<(), Issue> {
        match (absent, self.map.missing()) {
            (Absent::Failed, Missing::Off) => {
                let when = self.instant_of_quantity()?;
                mapped.measurements.push(self.measurement(target, when, None));
            }
            (_, Missing::Refuse) => return Err(refuse(at)(Cause::ValueMissing)),
            (Absent::NotMeasured, _) | (_, Missing::LeaveOut) => {
                mapped.left_out.push(LeftOut::Missing { expression: at.to_owned() });
            }
        }
        Ok(())
    }

    fn add_samples(
        &self,
        (target, sampled): (&Target<'_>, &Sampled),
        at: &str,
        mapped: &mut Mapped,
    ) -> Result<(), Issue> {
        let begin = self.begin_of_samples(sampled)?;
        let unit = text_of(&sampled.unit);
        let said = Said {
            unit: unit.as_deref().map(bridge::Unit),
            factor: Some(sampled.factor),
            origin: Some(sampled.origin),
        };
        let samples = target.measure.samples(said).map_err(refuse(&format!("{at}.origin")))?;
        let data = format!("{at}.data");
        for (n, sample) in sampled.samples().enumerate() {
            let value = match (sample, self.map.missing()) {
                (Sample::Number(text), _) => samples.value(text).map_err(refuse(&data))?,
                (Sample::Error, Missing::Off) => None,
                (Sample::Error, Missing::LeaveOut) => continue,
                (Sample::Error, Missing::Refuse) => {
                    return Err(refuse(&data)(Cause::ValueMissing));
                }
            };
            // From the first one each time: a rounded period, added up, would drift.
            let after_us =
                sampled.period.times(n as u64).and_then(|us| begin.micros().checked_add(us));
            let when = after_us.and_then(|us| Instant::from_micros(us).ok());
            let when = when.ok_or_else(|| self.refuse_effective(Fault::Time))?;
            mapped.measurements.push(self.measurement(target, when, value));
        }
        Ok(())
    }

    /// When the first sample was taken; the last one is within the period, if there is one.
    fn begin_of_samples(&self, sampled: &Sampled) -> Result<Instant, Issue> {
        let (begin, end) = match self.observation.effective {
            Effective::Instant(at) => (at, None),
            Effective::Period { begin, end } => (begin, end),
        };
        let fits = |end: Instant| {
            sampled.length_us().is_some_and(|us| us <= end.micros() - begin.micros())
        };
        if end.is_none_or(fits) {
            Ok(begin)
        } else {
            Err(self.refuse_effective(Fault::PeriodShort))
        }
    }
}

/// The unit as the map and its tables call it: by its code, without what UCUM calls an annotation,
/// which means nothing there (`{beats}/min` is `/min`); by its name if it has no code.
fn text_of(unit: &Unit) -> Option<String> {
    let Some(code) = &unit.code else { return unit.text.clone() };
    if unit.system.as_deref() != Some("http://unitsofmeasure.org") {
        return Some(code.clone());
    }
    let (mut plain, mut within) = (String::new(), false);
    for letter in code.chars() {
        match letter {
            '{' => within = true,
            '}' => within = false,
            letter if !within => plain.push(letter),
            _ => {}
        }
    }
    Some(if plain.is_empty() { "1".to_owned() } else { plain })
}

#[cfg(test)]
mod tests;
