//! What a file's number is as a reading: a value in the signal's steps, nothing, or refused.
//!
//! The one place where absence, sentinels, ranges and rounding are decided, for files of every
//! format.

use model::Signal;
use model::calendar::Instant;
use thiserror::Error;

use crate::decimal::{Fraction, Linear, Scaled};
use crate::{Decimal, suspicion, unit};

/// What a value that is none is taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Missing {
    /// The sensor was off: the time is there and says that no value was.
    #[default]
    Off,
    /// No reading at all.
    Skip,
    /// An error that names the place.
    Error,
}

/// One reading of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured {
    /// Of what.
    pub signal: &'static Signal,
    /// When.
    pub at: Instant,
    /// In the signal's steps; `None` where there was no value.
    pub value: Option<i32>,
}

/// What values are taken for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ValueRules {
    /// What no value is.
    pub missing: Missing,
    /// Values that stand for none, in the file's unit.
    pub sentinels: Vec<Decimal>,
    /// Values that look like sentinels and are readings, in the file's unit.
    pub keep: Vec<Decimal>,
    /// Whether a value finer than its signal is rounded. What a converter digitised is always.
    pub round: bool,
}

/// What was made of values so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ValueCounts {
    /// Readings with a value.
    pub values: u64,
    /// Readings without: the sensor was off.
    pub absent: u64,
    /// Places without a value that were passed over ([`Missing::Skip`]).
    pub skipped: u64,
    /// Of the absent and skipped, those that a sentinel stood for.
    pub sentinels: u64,
    /// Values rounded to their signal's resolution.
    pub rounded: u64,
    /// Values from another unit.
    pub converted: u64,
    /// Values that are what nearly everybody has ([`suspicion::is_usual`]).
    pub usual: u64,
}

/// A value that is no reading. It is a patient's and does not stand in the words.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ValueFault {
    /// More decimals than the signal has.
    #[error(
        "expected {signal} with at most {decimals} decimals, found {needed}: --round rounds it, \
         --unit says another unit"
    )]
    Finer {
        /// Decimals of the value.
        needed: u8,
        /// Of which signal.
        signal: &'static str,
        /// Decimals of the signal.
        decimals: u8,
    },
    /// Beyond what the signal can plausibly have.
    #[error(
        "expected {name} within {least} to {most} {unit}, found a value beyond: --unit says \
         another unit (one of {units}), --sentinel VALUE that it stands for no value",
        name = signal.name, unit = signal.unit,
        least = crate::decimal::to_decimal(signal.min, signal.decimals),
        most = crate::decimal::to_decimal(signal.max, signal.decimals)
    )]
    Range {
        /// Of which signal.
        signal: &'static Signal,
        /// Units that it is given in.
        units: String,
    },
    /// What devices write for "no value".
    #[error(
        "found a value of {signal} that devices write where there is none: --sentinel VALUE takes \
         it as off, --keep VALUE as a reading"
    )]
    Sentinel {
        /// Of which signal.
        signal: &'static str,
    },
    /// No value, and that is an error here.
    #[error("expected a value, found none: --missing off or skip goes on")]
    Missing,
}

/// A number of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    /// As somebody wrote it: each digit is meant.
    Written(Decimal),
    /// As a converter gave it: its steps are none of the signal's.
    Digitised(Fraction),
}

impl Number {
    fn fraction(self) -> Option<Fraction> {
        match self {
            Number::Written(decimal) => Fraction::of(decimal),
            Number::Digitised(fraction) => Some(fraction),
        }
    }

    fn is(self, decimal: Decimal) -> bool {
        match self {
            Number::Written(own) => own == decimal,
            Number::Digitised(fraction) => fraction.is(decimal),
        }
    }
}

/// Makes readings of values and counts them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    rules: ValueRules,
    counts: ValueCounts,
}

impl Values {
    pub(crate) fn new(rules: ValueRules) -> Values {
        Values { rules, counts: ValueCounts::default() }
    }

    pub(crate) fn counts(&self) -> ValueCounts {
        self.counts
    }

    /// What the file itself calls off: a reading that says so, whatever the rule for no value.
    pub(crate) fn take_off(&mut self) {
        self.counts.absent += 1;
    }

    /// A place without a value: `None` if it is passed over, `Some(None)` if it says that none was.
    pub(crate) fn take_missing(
        &mut self,
        is_sentinel: bool,
    ) -> Result<Option<Option<i32>>, ValueFault> {
        self.counts.sentinels += u64::from(is_sentinel);
        match self.rules.missing {
            Missing::Off => {
                self.counts.absent += 1;
                Ok(Some(None))
            }
            Missing::Skip => {
                self.counts.skipped += 1;
                Ok(None)
            }
            Missing::Error => Err(ValueFault::Missing),
        }
    }

    /// A number, which `to_own` takes to the signal's unit; the answer is that of
    /// [`Values::take_missing`] if it stands for no value.
    pub(crate) fn take(
        &mut self,
        signal: &'static Signal,
        number: Number,
        to_own: Linear,
    ) -> Result<Option<Option<i32>>, ValueFault> {
        // What is said to be none comes before what is in range: a sentinel often is.
        if self.rules.sentinels.iter().any(|sentinel| number.is(*sentinel)) {
            return self.take_missing(true);
        }
        let is_kept = || self.rules.keep.iter().any(|kept| number.is(*kept));
        if suspicion::sentinels(signal).any(|sentinel| number.is(sentinel)) && !is_kept() {
            return Err(ValueFault::Sentinel { signal: signal.name });
        }
        let range = || ValueFault::Range { signal, units: unit::names(signal) };
        let scaled = number.fraction().and_then(|value| value.scaled(to_own, signal.decimals));
        let scaled = scaled.ok_or_else(range)?;
        let is_own = to_own == Linear::SAME;
        let is_written = match number {
            Number::Written(value) => {
                let (needed, decimals) = (value.decimals(), signal.decimals);
                // In another unit decimals say nothing of what the signal can hold.
                if is_own && needed > decimals && !self.rules.round {
                    return Err(ValueFault::Finer { needed, signal: signal.name, decimals });
                }
                true
            }
            Number::Digitised(_) => false,
        };
        let nearest = scaled.nearest();
        // Within the range of two i32, so that it fits one.
        let plausible = i64::from(signal.min)..=i64::from(signal.max);
        let value = i32::try_from(nearest).ok().filter(|_| plausible.contains(&nearest));
        let value = value.ok_or_else(range)?;
        self.counts.values += 1;
        self.counts.converted += u64::from(!is_own);
        // What is converted from another unit is rounded by nature; a converter's steps are told.
        let is_exact = matches!(scaled, Scaled::Exact(_));
        self.counts.rounded += u64::from(!is_exact && (is_own || !is_written));
        self.counts.usual += u64::from(suspicion::is_usual(signal, nearest));
        Ok(Some(Some(value)))
    }
}
