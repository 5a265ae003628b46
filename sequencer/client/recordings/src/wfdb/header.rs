//! Headers of records (WFDB `header(5)`).

use model::calendar::Written;

use super::code::Code;
use super::fault::WfdbError;
use crate::Decimal;
use crate::channel::{NoStart, Start};
use crate::period::Period;

/// Most signals of a record.
const SIGNALS_MAX: usize = 1024;
/// Most segments of a record: a week of intensive care has some hundreds.
const SEGMENTS_MAX: usize = 1 << 16;
/// Most samples of a signal in a frame.
const PER_FRAME_MAX: u32 = 1 << 16;
/// Steps a unit where a header says none or that it is not known.
const GAIN: i64 = 200;
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// What a header says.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Name of its file, for errors.
    pub(super) file: String,
    /// Time between frames.
    pub(super) period: Period,
    /// Frames, as far as it is said.
    pub(super) frames: Option<u64>,
    pub(super) start: Start,
    pub(super) signals: Vec<SignalLine>,
    /// Empty of a record in one piece.
    pub(super) segments: Vec<SegmentLine>,
}

/// A signal in a header.
#[derive(Clone, Debug)]
pub(super) struct SignalLine {
    pub(super) file: String,
    /// `None` of a signal that a layout names and no file holds.
    pub(super) code: Option<Code>,
    pub(super) per_frame: u32,
    /// Frames by which its samples stand too late in the file.
    pub(super) skew: u32,
    /// Bytes before the first sample.
    pub(super) offset: u64,
    /// Steps a unit.
    pub(super) gain: Decimal,
    /// The step that is zero.
    pub(super) baseline: i64,
    pub(super) unit: String,
    pub(super) initial: Option<i64>,
    /// Of all its samples, modulo 2^16.
    pub(super) checksum: Option<u16>,
    pub(super) name: String,
}

/// A segment in a header of several.
#[derive(Clone, Debug)]
pub(super) struct SegmentLine {
    /// Of the record that it is; `None` of a gap.
    pub(super) name: Option<String>,
    pub(super) frames: u64,
}

impl Header {
    pub(super) fn parse(file: &str, text: &str) -> Result<Header, WfdbError> {
        let is_said = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        let mut lines = lines.filter(|(_, line)| is_said(line));
        let last = text.lines().count();
        let error = |line: usize, expected: &'static str| WfdbError::Header {
            header: file.to_owned(),
            line,
            expected,
        };
        let (number, line) = lines.next().ok_or_else(|| error(last, "a record line"))?;
        let record = RecordLine::read(line).map_err(|expected| error(number, expected))?;
        let mut header = Header {
            file: file.to_owned(),
            period: record.period,
            frames: record.frames,
            start: record.start,
            signals: Vec::new(),
            segments: Vec::new(),
        };
        // Of a record in segments the lines name them, and its signals stand in their headers.
        for _ in 0..record.segments.unwrap_or(record.signals) {
            let missing = || error(last, "as many lines as the record line says");
            let (number, line) = lines.next().ok_or_else(missing)?;
            let wrong = |expected| error(number, expected);
            if record.segments.is_some() {
                header.segments.push(SegmentLine::read(line).map_err(wrong)?);
                continue;
            }
            let (signal, code) = SignalLine::read(line).map_err(wrong)?;
            // Not at the first reading: whoever lists the channels shall know.
            let is_read = signal.code.is_some() || signal.is_null(code);
            if !is_read {
                return Err(WfdbError::Code { header: file.to_owned(), found: code });
            }
            header.signals.push(signal);
        }
        Ok(header)
    }
}

/// The first line: name, number of signals, rate, number of frames, time, date.
struct RecordLine {
    segments: Option<usize>,
    signals: usize,
    period: Period,
    frames: Option<u64>,
    start: Start,
}

impl RecordLine {
    fn read(line: &str) -> Result<RecordLine, &'static str> {
        let mut fields = line.split_whitespace();
        let name = fields.next().unwrap_or_default();
        let segments = name.split_once('/').map(|(_, count)| read_count(count, SEGMENTS_MAX));
        let segments = segments.transpose().map_err(|_| "1 to 65536 segments behind the name")?;
        let signals = fields.next().ok_or("a name and a number of signals")?;
        let signals = read_count(signals, SIGNALS_MAX).map_err(|_| "1 to 1024 signals")?;
        // Behind a slash stands the rate of a counter, which only annotations use.
        let rate = fields.next().unwrap_or("250");
        let rate = rate.split('/').next().unwrap_or(rate);
        let period = read_period(rate).ok_or("a number of frames a second above 0")?;
        let frames = match fields.next() {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| "a number of samples a signal")?),
        };
        // Zero stands for a number that was not known when the header was written.
        let frames = frames.filter(|frames| *frames > 0);
        let start = match (fields.next(), fields.next()) {
            (None, _) => Err(NoStart::Missing),
            (Some(time), None) => {
                read_clock(time).ok_or("a time of day as 08:30:00.5")?;
                Err(NoStart::NoDate)
            }
            (Some(time), Some(date)) => read_start(time, date)?,
        };
        Ok(RecordLine { segments, signals, period, frames, start })
    }
}

fn read_count(text: &str, most: usize) -> Result<usize, ()> {
    let count = text.parse().map_err(|_| ())?;
    if (1..=most).contains(&count) { Ok(count) } else { Err(()) }
}

/// The period of a rate. One that was written as a rounded fraction, as 0.0166666666667 for one a
/// minute, is that fraction: else the time of each sample would lie just before its second.
fn read_period(rate: &str) -> Option<Period> {
    /// Digits behind the mark from which on a number was cut by whoever printed it.
    const ROUNDED: u8 = 6;
    let written: Decimal = rate.parse().ok()?;
    let ten = 10i128.pow(u32::from(written.decimals()));
    let digits = i128::from(written.digits());
    if written.decimals() >= ROUNDED && digits > 0 && digits < ten {
        let seconds = (ten + digits / 2) / digits;
        // Within half a unit of the last digit.
        if (digits * seconds - ten).abs() * 2 <= seconds {
            return Period::new(1_000_000_000 * seconds.unsigned_abs(), 1);
        }
    }
    Period::from_rate(rate).ok()
}

/// Microseconds of `H:M:S`, `M:S` or `S`, with or without a fraction.
fn read_clock(text: &str) -> Option<i64> {
    let mut parts = text.rsplit(':');
    let seconds: Decimal = parts.next()?.parse().ok()?;
    let mut micros = seconds.floor_micros(0).filter(|micros| (0..DAY_US).contains(micros))?;
    for unit_s in [60, 3600] {
        let Some(part) = parts.next() else { break };
        let count: u8 = part.parse().ok()?;
        micros += i64::from(count) * unit_s * 1_000_000;
    }
    (parts.next().is_none() && (0..DAY_US).contains(&micros)).then_some(micros)
}

fn read_start(time: &str, date: &str) -> Result<Start, &'static str> {
    let micros = read_clock(time).ok_or("a time of day as 08:30:00.5")?;
    let wrong = "a date as 31/12/1999";
    let parts: Option<Vec<u64>> = date.split('/').map(|part| part.parse().ok()).collect();
    let Some(&[day, month, year]) = parts.as_deref() else { return Err(wrong) };
    // Archives move dates by centuries, and so that the season and the hour stay.
    if !(1900..=2456).contains(&year) {
        return Ok(Err(NoStart::Year { year }));
    }
    let (second, micro) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let text = format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{micro:06}",
        second % 60
    );
    Ok(Ok(Written::parse(&text).map_err(|_| wrong)?))
}

/// The fields of a line, and what is left of it.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.0.trim_start();
        let end = line.find(char::is_whitespace).unwrap_or(line.len());
        let (field, rest) = line.split_at(end);
        self.0 = rest;
        (!field.is_empty()).then_some(field)
    }

    fn next_number(&mut self, expected: &'static str) -> Result<Option<i64>, &'static str> {
        self.next().map(|field| field.parse().map_err(|_| expected)).transpose()
    }
}

impl SignalLine {
    /// With the number of its format, which may be none that is read.
    fn read(line: &str) -> Result<(SignalLine, u32), &'static str> {
        let mut fields = Fields(line);
        let file = fields.next().ok_or("a line of a signal")?.to_owned();
        let format = FormatField::read(fields.next().ok_or("a format behind the file's name")?)
            .ok_or("a format as 212, 16+24, 80x4 or 212:3")?;
        let gain = fields.next().map(GainField::read);
        let gain = gain.unwrap_or_else(|| GainField::read("0")).ok_or("a gain as 200(-5)/mV")?;
        fields.next_number("bits of the converter")?;
        let zero = fields.next_number("the converter's zero")?.unwrap_or(0);
        let initial = fields.next_number("an initial value")?;
        let checksum = fields.next_number("a checksum")?;
        fields.next_number("a size of blocks")?;
        let signal = SignalLine {
            file,
            code: Code::of_number(format.number),
            per_frame: format.per_frame,
            skew: format.skew,
            offset: format.offset,
            gain: gain.gain,
            baseline: gain.baseline.unwrap_or(zero),
            unit: gain.unit,
            initial,
            // Written with or without a sign, of the same sixteen bits.
            checksum: checksum.map(|sum| sum.rem_euclid(1 << 16) as u16),
            name: fields.0.trim().to_owned(),
        };
        Ok((signal, format.number))
    }

    /// How many of its samples can be placed in so many frames: those that the skew moves before
    /// the begin are none.
    pub(super) fn count(&self, frames: u64) -> u64 {
        if self.code.is_none() {
            return 0;
        }
        frames.saturating_sub(self.skew.into()).saturating_mul(self.per_frame.into())
    }

    /// Whether it stands in a layout for what some segments have.
    fn is_null(&self, format: u32) -> bool {
        format == 0 && self.file == "~"
    }
}

/// `212x4:3+24`: format, samples a frame, skew, offset.
struct FormatField {
    number: u32,
    per_frame: u32,
    skew: u32,
    offset: u64,
}

impl FormatField {
    fn read(text: &str) -> Option<FormatField> {
        let (text, offset) = text.split_once('+').map_or((text, "0"), |(text, part)| (text, part));
        let (text, skew) = text.split_once(':').map_or((text, "0"), |(text, part)| (text, part));
        let (text, each) = text.split_once('x').map_or((text, "1"), |(text, part)| (text, part));
        let per_frame = each.parse().ok().filter(|each| (1..=PER_FRAME_MAX).contains(each))?;
        Some(FormatField {
            number: text.parse().ok()?,
            per_frame,
            skew: skew.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    }
}

/// `200(-5)/mV`: steps a unit, the step that is zero, unit.
struct GainField {
    gain: Decimal,
    baseline: Option<i64>,
    unit: String,
}

impl GainField {
    fn read(text: &str) -> Option<GainField> {
        let (number, unit) = text.split_once('/').unwrap_or((text, ""));
        let (gain, baseline) = match number.split_once('(') {
            Some((gain, rest)) => (gain, Some(rest.strip_suffix(')')?.parse().ok()?)),
            None => (number, None),
        };
        let gain: Decimal = gain.parse().ok()?;
        // Zero says that the signal was not calibrated; readers then take this.
        let gain = if gain.digits() == 0 { Decimal::from_integer(GAIN) } else { gain };
        Some(GainField { gain, baseline, unit: unit.to_owned() })
    }
}

impl SegmentLine {
    fn read(line: &str) -> Result<SegmentLine, &'static str> {
        let mut fields = line.split_whitespace();
        let (name, frames) = (fields.next(), fields.next().and_then(|text| text.parse().ok()));
        let (Some(name), Some(frames)) = (name, frames) else {
            return Err("a segment's name and number of samples");
        };
        let name = (name != "~").then(|| name.to_owned());
        Ok(SegmentLine { name, frames })
    }
}

#[cfg(test)]
mod tests;
