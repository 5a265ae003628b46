//! The bodies of codecs 2 and 3: readings by columns, packed in blocks of 64 (`docs/wire.md`).
//!
//! Both are read by one pass over the bytes, block by block, without memory for what they hold:
//! first what all readings have (rhythm and quality), then the first value, then the blocks.

use model::Signal;

use crate::columns::bits::BLOCK;
pub(crate) use crate::columns::bytes::{put_number, take, take_array, take_number};
use crate::columns::rhythm::Rhythm;
use crate::columns::runs::{Runs, put_runs, take_runs};
use crate::columns::times::{put_times, take_times};
use crate::columns::values::{put_values, take_values};
use crate::reading::within;
use crate::{DecodeError, DeviceTime, FrameError, Period, Quality, Reading};

mod bits;
mod bytes;
mod rhythm;
mod runs;
mod times;
mod values;

/// Where the times of a body stand.
#[derive(Clone, Copy)]
enum Times {
    /// On a grid that the body begins with.
    Grid(Rhythm),
    /// In each block, before its values.
    Blocks,
}

/// A body that is being read: what of it is left, and the reading that was read last.
pub(crate) struct Columns<'a> {
    times: Times,
    runs: Runs<'a>,
    rest: &'a [u8],
    start: u64,
    count: usize,
    /// The next reading, its value, and the time of the one before it.
    next: usize,
    value: i32,
    time: u64,
}

/// Which readings a body holds, and when its first one was measured.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) start: DeviceTime,
    /// At least 1.
    pub(crate) count: usize,
}

/// A block of readings.
struct Rows {
    /// The index of the first one in the frame.
    first: usize,
    count: usize,
    values: [i32; BLOCK],
    times: [u64; BLOCK],
}

/// Appends a body with times on the grid of a period; `None` where they are not.
pub(crate) fn put_grid(period: Period, readings: &[Reading], to: &mut Vec<u8>) -> Option<()> {
    Rhythm::of(period, readings)?.put(to);
    put(readings, to, |_, _, _| {});
    Some(())
}

/// Appends a body with each time; they must not go back.
pub(crate) fn put_columnar(readings: &[Reading], to: &mut Vec<u8>) {
    put(readings, to, |before, block, to| {
        let mut times = [0; BLOCK];
        for (time, reading) in times.iter_mut().zip(block) {
            *time = reading.at.micros();
        }
        put_times(before.at.micros(), &times[..block.len()], to);
    });
}

fn put(readings: &[Reading], to: &mut Vec<u8>, times: impl Fn(&Reading, &[Reading], &mut Vec<u8>)) {
    put_runs(readings, to);
    let Some((first, rest)) = readings.split_first() else { return };
    let mut value = first.value.unwrap_or(0);
    to.extend(value.to_le_bytes());
    let mut before = first;
    for block in rest.chunks(BLOCK) {
        times(before, block, to);
        let (mut values, mut last) = ([0; BLOCK], value);
        for (value, reading) in values.iter_mut().zip(block) {
            // One that is absent takes no place: the difference to the value before it is 0.
            last = reading.value.unwrap_or(last);
            *value = last;
        }
        put_values(value, &values[..block.len()], to);
        value = last;
        before = &block[block.len() - 1];
    }
}

impl<'a> Columns<'a> {
    /// Of a body with times on a grid.
    pub(crate) fn grid(extent: Extent, body: &'a [u8]) -> Result<Columns<'a>, FrameError> {
        if extent.count < 2 {
            // Any fraction would say the same.
            let why = "expected two readings or more on a grid";
            return Err(DecodeError::field("frame", why).into());
        }
        let mut rest = body;
        let rhythm = Rhythm::take(&mut rest, extent.count)?;
        Columns::begin(extent, Times::Grid(rhythm), rest)
    }

    /// Of a body with each time.
    pub(crate) fn columnar(extent: Extent, body: &'a [u8]) -> Result<Columns<'a>, FrameError> {
        Columns::begin(extent, Times::Blocks, body)
    }

    fn begin(extent: Extent, times: Times, mut rest: &'a [u8]) -> Result<Columns<'a>, FrameError> {
        let Extent { start, count } = extent;
        let runs = take_runs(&mut rest, count)?;
        let value = i32::from_le_bytes(take_array(&mut rest)?);
        let start = start.micros();
        Ok(Columns { times, runs, rest, start, count, next: 0, value, time: start })
    }

    /// Checks every reading, and says when the last one was measured.
    ///
    /// # Errors
    /// [`FrameError`] that names the first reading that is out of range, unless the bytes before
    /// it do not decode.
    pub(crate) fn check(mut self, signal: &Signal) -> Result<DeviceTime, FrameError> {
        self.check_first(signal)?;
        let mut rows = Rows { first: 0, count: 0, values: [0; BLOCK], times: [0; BLOCK] };
        while self.take_block(&mut rows)? {
            self.check_block(&rows, signal)?;
        }
        Ok(DeviceTime::from_micros(self.time)?)
    }

    /// Every reading.
    ///
    /// # Errors
    /// As [`Columns::check`].
    pub(crate) fn readings(mut self, signal: &Signal) -> Result<Vec<Reading>, FrameError> {
        let mut readings = Vec::with_capacity(self.count);
        let mut quality = self.runs.clone();
        self.check_first(signal)?;
        readings.push(reading(self.start, self.value, quality.quality(0))?);
        let mut rows = Rows { first: 0, count: 0, values: [0; BLOCK], times: [0; BLOCK] };
        let offsets = match self.times {
            Times::Grid(rhythm) => Some(rhythm.offsets()),
            Times::Blocks => None,
        };
        let mut offsets = offsets.into_iter().flatten().skip(1);
        while self.take_block(&mut rows)? {
            self.check_block(&rows, signal)?;
            for at in 0..rows.count {
                let time = offsets.next().map_or(rows.times[at], |offset| self.start + offset);
                let quality = quality.quality(rows.first + at);
                readings.push(reading(time, rows.values[at], quality)?);
            }
        }
        Ok(readings)
    }

    fn check_first(&mut self, signal: &Signal) -> Result<(), FrameError> {
        self.next = 1;
        match self.runs.quality(0).contains(Quality::SENSOR_OFF) {
            true if self.value != 0 => {
                let why = "expected 0 in place of the first value while the sensor is off";
                Err(DecodeError::field("reading", why).into())
            }
            true => Ok(()),
            false => within(signal, 0, self.value),
        }
    }

    /// Reads the next block; false behind the last one, where nothing may follow.
    fn take_block(&mut self, rows: &mut Rows) -> Result<bool, FrameError> {
        let count = BLOCK.min(self.count - self.next);
        if count == 0 {
            let found = self.rest.len();
            if found > 0 {
                return Err(DecodeError::Trailing { what: "frame body", found }.into());
            }
            return Ok(false);
        }
        match self.times {
            Times::Grid(rhythm) => {
                self.time = self.start + rhythm.offset(self.next + count - 1);
                // Of the block's last one: none before it is later.
                DeviceTime::from_micros(self.time)?;
            }
            Times::Blocks => {
                take_times(&mut self.rest, count, self.time, &mut rows.times)?;
                self.time = rows.times[count - 1];
            }
        }
        take_values(&mut self.rest, count, self.value, &mut rows.values)?;
        (rows.first, rows.count) = (self.next, count);
        self.next += count;
        Ok(true)
    }

    /// Checks the values of a block, and goes on behind its last one.
    fn check_block(&mut self, rows: &Rows, signal: &Signal) -> Result<(), FrameError> {
        let values = &rows.values[..rows.count];
        let before = std::mem::replace(&mut self.value, values[rows.count - 1]);
        // Without a branch for each, and by what four of them at once can be asked.
        let outside = |value: &i32| (*value < signal.min) | (*value > signal.max);
        let is_any_outside = values.iter().fold(false, |any, value| any | outside(value));
        // Nearly every block is like this, and asked no more than that.
        if self.runs.are_none() && !is_any_outside {
            return Ok(());
        }
        let mut last = before;
        for (at, value) in values.iter().enumerate() {
            let index = rows.first + at;
            if !self.runs.quality(index).contains(Quality::SENSOR_OFF) {
                within(signal, index, *value)?;
            } else if *value != last {
                let why = "expected the value before it in its place while the sensor is off";
                return Err(DecodeError::field("reading", why).into());
            }
            last = *value;
        }
        Ok(())
    }
}

fn reading(time: u64, value: i32, quality: Quality) -> Result<Reading, FrameError> {
    let value = (!quality.contains(Quality::SENSOR_OFF)).then_some(value);
    Ok(Reading { at: DeviceTime::from_micros(time)?, value, quality })
}
