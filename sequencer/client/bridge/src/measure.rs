//! What a number is as a reading: in the signal's steps, nothing, or refused. Exactly: no value
//! passes through a float.

use std::collections::BTreeMap;

use model::Signal;
use recordings::decimal::{Linear, Scaled};
use recordings::{Decimal, Period, suspicion, unit};

use crate::refusal::Cause;
use crate::units;

/// A unit as a message has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unit<'a>(pub &'a str);

/// Units by a name of the map's own, with the one of UCUM.
pub(crate) type LocalUnits = BTreeMap<String, String>;

/// What values of a signal stand for.
#[derive(Clone, Default, Debug)]
pub(crate) struct SignalRules {
    /// For no value: the sensor was off.
    pub(crate) off: Vec<Decimal>,
    /// For themselves, although devices write them where there is none.
    pub(crate) keep: Vec<Decimal>,
}

/// What a row says of a code's values where the message does not.
#[derive(Clone, Default, Debug)]
pub(crate) struct CodeRules {
    pub(crate) unit: Option<String>,
    pub(crate) period: Option<Period>,
    pub(crate) factor: Option<Decimal>,
    pub(crate) origin: Option<Decimal>,
}

/// What a code measures, and how its values are read.
#[derive(Clone, Copy, Debug)]
pub struct Measure<'m> {
    /// Of what.
    pub signal: &'static Signal,
    pub(crate) code: Option<&'m CodeRules>,
    pub(crate) rules: Option<&'m SignalRules>,
    pub(crate) units: &'m LocalUnits,
    /// Whether a value finer than its signal is rounded.
    pub(crate) rounds: bool,
}

impl Measure<'_> {
    /// A value as somebody wrote it, in a unit that the message says or the map does. `None` if the
    /// map says that it stands for none.
    ///
    /// # Errors
    /// [`Cause`]: no number, no unit of the signal, finer than the signal and not to be rounded,
    /// beyond its range, or one that devices write for none.
    pub fn value(&self, text: &str, unit: Option<Unit<'_>>) -> Result<Option<i32>, Cause> {
        let number = text.parse::<Decimal>().map_err(|_| Cause::NotNumber)?;
        let to_own = self.linear(unit)?;
        if self.is_off(number)? {
            return Ok(None);
        }
        let signal = self.signal;
        // In another unit decimals say nothing of what the signal can hold.
        if to_own == Linear::SAME && number.decimals() > signal.decimals && !self.rounds {
            return Err(Cause::Finer { signal: signal.name, decimals: signal.decimals });
        }
        self.in_range(number.scaled(to_own, signal.decimals)).map(Some)
    }

    /// How the samples of a waveform are read. What the message does not say, the map's row of the
    /// code may; without either a sample is a value in its unit.
    ///
    /// # Errors
    /// [`Cause`] of the unit.
    pub fn samples(&self, said: Said<'_>) -> Result<Samples<'_>, Cause> {
        let of_code = |rule: fn(&CodeRules) -> Option<Decimal>| self.code.and_then(rule);
        let one = Decimal::from_integer(1);
        Ok(Samples {
            to_own: self.linear(said.unit)?,
            factor: said.factor.or_else(|| of_code(|code| code.factor)).unwrap_or(one),
            origin: said.origin.or_else(|| of_code(|code| code.origin)).unwrap_or_default(),
            measure: self,
        })
    }

    /// The time between samples that the map says.
    pub fn period(&self) -> Option<Period> {
        self.code.and_then(|code| code.period)
    }

    fn linear(&self, said: Option<Unit<'_>>) -> Result<Linear, Cause> {
        let of_map = || self.code.and_then(|code| code.unit.as_deref());
        let said = said.map(|unit| unit.0).filter(|unit| !unit.is_empty()).or_else(of_map);
        let missing = Cause::UnitMissing { signal: self.signal.name };
        let said = said.ok_or(missing)?;
        let local = self.units.get(said).map(String::as_str);
        let name = local.or_else(|| units::ucum(said)).unwrap_or(said);
        // What was found is the sender's text, and stands in no error.
        unit::conversion(self.signal, name)
            .map_err(|error| Cause::UnitUnknown { signal: error.signal, expected: error.expected })
    }

    fn is_off(&self, number: Decimal) -> Result<bool, Cause> {
        let is_in = |of: fn(&SignalRules) -> &[Decimal]| {
            self.rules.is_some_and(|rules| of(rules).contains(&number))
        };
        if is_in(|rules| &rules.off) {
            return Ok(true);
        }
        // A zero may be asystole or a cable that hangs: whoever knows the device says which.
        if suspicion::is_sentinel(self.signal, number) && !is_in(|rules| &rules.keep) {
            return Err(Cause::Sentinel { signal: self.signal.name });
        }
        Ok(false)
    }

    fn in_range(&self, scaled: Option<Scaled>) -> Result<i32, Cause> {
        let signal = self.signal;
        let nearest = scaled.map(Scaled::nearest);
        let plausible = i64::from(signal.min)..=i64::from(signal.max);
        let value = nearest.filter(|value| plausible.contains(value));
        value.and_then(|value| i32::try_from(value).ok()).ok_or(Cause::Range(signal))
    }
}

/// What a message says of the samples of a waveform.
#[derive(Clone, Copy, Default, Debug)]
pub struct Said<'a> {
    /// Of the value that factor and origin make of a sample.
    pub unit: Option<Unit<'a>>,
    /// What a sample is multiplied by.
    pub factor: Option<Decimal>,
    /// What is added then.
    pub origin: Option<Decimal>,
}

/// How the samples of one waveform are read: `sample * factor + origin` in their unit, rounded to
/// the signal's steps, since a converter's steps are none of the signal's.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'m> {
    to_own: Linear,
    factor: Decimal,
    origin: Decimal,
    measure: &'m Measure<'m>,
}

impl Samples<'_> {
    /// One sample. `None` if the map says that it stands for no value.
    ///
    /// # Errors
    /// [`Cause`] as [`Measure::value`].
    pub fn value(&self, text: &str) -> Result<Option<i32>, Cause> {
        let number = text.parse::<Decimal>().map_err(|_| Cause::NotNumber)?;
        if self.measure.is_off(number)? {
            return Ok(None);
        }
        let signal = self.measure.signal;
        let value = number.affine(self.factor, self.origin);
        let scaled = value.and_then(|value| value.scaled(self.to_own, signal.decimals));
        self.measure.in_range(scaled).map(Some)
    }
}
