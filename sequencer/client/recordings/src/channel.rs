//! What every file of samples has: channels, a start, and samples at their times.

use model::Signal;
use model::calendar::Written;
use thiserror::Error;

use crate::decimal::{Fraction, Linear};
use crate::names;
use crate::period::Period;
use crate::unit::{self, UnknownUnit};

/// A row of samples in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// From 1, in the order of the file.
    pub number: u32,
    /// As it is written; empty where none is.
    pub name: String,
    /// As it is written; empty where none is.
    pub unit: String,
    /// What it measures, as far as name, unit and rate tell.
    pub signal: Option<&'static Signal>,
    /// Time between samples; `None` where each has a time of its own.
    pub period: Option<Period>,
    /// How many samples the file has of it.
    pub count: u64,
}

impl Channel {
    /// A channel whose signal is guessed.
    pub(crate) fn guessed(name: String, unit: String, period: Option<Period>) -> Channel {
        let signal = names::guess(&name, &unit, period);
        Channel { number: 0, name, unit, signal, period, count: 0 }
    }
}

/// Why a file does not say when it begins.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NoStart {
    /// It says nothing.
    #[error("the file does not say when it begins")]
    Missing,
    /// It says a time of day.
    #[error("the file says at which time of day it begins, and not on which date")]
    NoDate,
    /// A date that was moved to hide when a patient was treated, or is none.
    #[error(
        "expected a begin from 1900 to 2456, found the year {year}: a date that was shifted to \
         hide the true one"
    )]
    Year {
        /// As it is written.
        year: u64,
    },
    /// It says that the date was taken out.
    #[error("the file says that its date was taken out")]
    Anonymous,
    /// Times count from when a device was switched on.
    #[error("the times of the file count from when its device was switched on")]
    DeviceClock,
}

/// When a file begins, as far as it says.
pub type Start = Result<Written, NoStart>;

/// What stands at a place of a channel.
#[derive(Clone, Copy)]
pub(crate) enum Given {
    /// The format's own word for no value.
    Nothing,
    /// A number that stands for none by a rule of the format.
    Sentinel,
    /// A value in the file's unit.
    Number(Fraction),
}

/// A place of a channel.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Its number in the channel, from 1.
    pub(crate) number: u64,
    /// Microseconds after the begin of the recording; `None` beyond all times.
    pub(crate) after_us: Option<u64>,
    pub(crate) given: Given,
    /// What makes the signal's unit of the file's.
    pub(crate) to_own: Linear,
}

/// How a converter's steps are values of a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Steps {
    /// One step is one of the signal.
    Counted,
    /// By the file's scale, then from its unit to the signal's.
    Scaled(Linear),
}

impl Steps {
    /// Of a channel that is read as `signal`: in the unit that is asked for, or else its own, or
    /// else `unsaid`, which the format has where none is written.
    ///
    /// A signal that counts (photoplethysmogram) has no unit that means anything: its scale would
    /// take all of it below one step, so it is the converter's steps themselves.
    pub(crate) fn of(signal: &Signal, unit: &str, unsaid: &str) -> Result<Steps, UnknownUnit> {
        let is_counted = signal.unit == "1";
        // Only what nobody wrote is assumed; a unit that is written and wrong is told.
        let unit = match unit {
            "" if is_counted || unsaid.is_empty() => signal.unit,
            "" => unsaid,
            unit => unit,
        };
        // Asked even where it is not used: a curve in millivolts is no photoplethysmogram.
        let to_own = unit::conversion(signal, unit)?;
        Ok(if is_counted { Steps::Counted } else { Steps::Scaled(to_own) })
    }

    pub(crate) fn to_own(self) -> Linear {
        match self {
            Steps::Counted => Linear::SAME,
            Steps::Scaled(to_own) => to_own,
        }
    }
}
