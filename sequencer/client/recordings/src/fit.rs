//! Garmin's FIT files: heart rate of a watch, weight of a scale, what a cuff measured.
//!
//! By the FIT protocol (<https://developer.garmin.com/fit/protocol/>). Messages and fields are
//! those of the public profile that are a signal; the `temperature` of a record is the device's and
//! not the body's, and is none. Times are UTC, to the second; a device whose clock was never set
//! counts from when it was switched on, and then whoever reads the file says when it began. What a
//! base type has for "no value" is none, as is a weight that the scale still calculates.
//!
//! Read here and not by the crate `fitparser`: that brings a profile of 100,000 lines, two crates
//! of parsers and dates, and values as floats, for eleven fields.

use std::collections::{BTreeMap, BTreeSet};

use crate::channel::{Channel, Given, NoStart, Sample, Start, Steps};
use crate::decimal::Fraction;
use model::Signal;
use model::calendar::{Instant, Written};

pub use self::fault::FitError;
use self::profile::{FIELDS, Field};

mod fault;
mod message;
mod profile;

/// Most bytes of a file: a day's activity has some five million.
pub const FIT_BYTES_MAX: u64 = 64 << 20;
/// Microseconds from 1900-01-01 to 1989-12-31, from which times count.
const EPOCH_US: u64 = 2_840_054_400_000_000;
/// Times below count from when the device was switched on (profile, `date_time`).
const SYSTEM_TIME_BELOW: u32 = 0x1000_0000;

/// A file: what it has of each field.
pub(crate) struct File {
    rows: Vec<Row>,
    /// The earliest time, seconds of the file's own clock.
    first_s: u32,
}

/// What a file has of a field.
struct Row {
    field: &'static Field,
    places: Vec<Place>,
}

/// A field of a message.
#[derive(Clone, Copy)]
struct Place {
    /// Seconds of the file's own clock.
    at_s: u32,
    /// `None` where there was no value.
    value: Option<i64>,
}

impl File {
    /// Reads all messages, and keeps of them what is a signal.
    pub(crate) fn open(bytes: &[u8]) -> Result<File, FitError> {
        let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
        let mut held: BTreeMap<u16, u64> = BTreeMap::new();
        message::read(bytes, &mut |message| {
            *held.entry(message.number).or_default() += 1;
            for (index, field) in FIELDS.iter().enumerate() {
                if field.message != message.number {
                    continue;
                }
                let Some(value) = message.value(field.number) else { continue };
                // A reading whose time is not known is none that could be sent.
                let at_s = message.at_s.ok_or(FitError::NoTime)?;
                let value = value.filter(|value| field.nothing != Some(*value));
                let row = rows.entry(index).or_insert(Row { field, places: Vec::new() });
                row.places.push(Place { at_s, value });
            }
            Ok(())
        })?;
        let rows: Vec<Row> = rows.into_values().collect();
        let times = || rows.iter().flat_map(|row| &row.places).map(|place| place.at_s);
        let Some(first_s) = times().min() else {
            return Err(FitError::NoSignal { held: profile::list(&held) });
        };
        // A clock that was set on the way would put the two parts decades apart.
        let clocks: BTreeSet<bool> = times().map(|at_s| at_s < SYSTEM_TIME_BELOW).collect();
        if clocks.len() > 1 {
            return Err(FitError::TwoClocks);
        }
        Ok(File { rows, first_s })
    }

    /// The time of the first message that has a signal.
    pub(crate) fn start(&self) -> Start {
        if self.first_s < SYSTEM_TIME_BELOW {
            return Err(NoStart::DeviceClock);
        }
        // 136 years from 1989: before the last year of all times.
        let at = Instant::from_micros(EPOCH_US + u64::from(self.first_s) * 1_000_000);
        at.map(Written::Instant).map_err(|_| NoStart::DeviceClock)
    }

    /// A channel for each field that it has.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        let channel = |row: &Row| Channel {
            number: 0,
            name: row.field.name.to_owned(),
            unit: row.field.unit.to_owned(),
            signal: model::signal_by_name(row.field.signal).ok(),
            period: None,
            count: row.places.len() as u64,
        };
        self.rows.iter().map(channel).collect()
    }

    /// The values of a channel, counted from 0, as those of a signal in a unit (empty for the
    /// file's own).
    pub(crate) fn samples<'a>(
        &'a self,
        number: usize,
        signal: &'static Signal,
        unit: &str,
    ) -> Result<impl Iterator<Item = Sample> + use<'a>, FitError> {
        let row = self.rows.get(number).ok_or(FitError::NoTime)?;
        let unit = if unit.is_empty() { row.field.unit } else { unit };
        let to_own = Steps::of(signal, unit, "")?.to_own();
        let below = 10i128.pow(row.field.decimals);
        Ok(row.places.iter().zip(1u64..).map(move |(place, number)| {
            let value = place.value.and_then(|value| Fraction::new(value.into(), below));
            Sample {
                number,
                // The first is the least, so that nothing lies before it.
                after_us: Some(u64::from(place.at_s - self.first_s) * 1_000_000),
                given: value.map_or(Given::Nothing, Given::Number),
                to_own,
            }
        }))
    }
}

#[cfg(test)]
mod tests;
