//! The header: text in fields of a fixed width.

use model::calendar::Written;

use super::fault::EdfError;
use crate::Decimal;
use crate::channel::{NoStart, Start};
use crate::decimal::{Fraction, ten};
use crate::period::Period;

/// Most signals of a file: a field of four digits has no more.
const SIGNALS_MAX: usize = 9999;
/// Most samples of a signal in a record.
const PER_RECORD_MAX: u32 = 1 << 24;
/// Bytes of the file's own fields; each signal has as many.
const OWN_BYTES: usize = 256;
/// Widths of a signal's fields: label, transducer, unit, physical minimum and maximum, digital
/// minimum and maximum, filters, samples a record, reserved.
const WIDTHS: [usize; 10] = [16, 80, 8, 8, 8, 8, 8, 80, 8, 32];
/// The first year that two digits can be.
const CLIPPING_YEAR: u64 = 1985;
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// What the header says.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) start: Start,
    /// Its own length.
    pub(super) bytes: u64,
    pub(super) records: u64,
    /// Bytes of a record.
    pub(super) record_bytes: u64,
    /// Length of a record; `None` if it is nothing, as of a file of annotations alone.
    pub(super) record_period: Option<Period>,
    /// Whether each record says when it was.
    pub(super) has_gaps: bool,
    /// Bytes of a sample.
    pub(super) width: usize,
    pub(super) signals: Vec<SignalHeader>,
}

/// A signal in the header.
#[derive(Clone, Debug)]
pub(super) struct SignalHeader {
    pub(super) label: String,
    pub(super) unit: String,
    pub(super) limits: Limits,
    /// Samples in a record.
    pub(super) per_record: u32,
    /// Bytes of a record before its own.
    pub(super) offset: u64,
    pub(super) is_annotation: bool,
}

impl SignalHeader {
    pub(super) fn period(&self, record: Option<Period>) -> Option<Period> {
        // None of a signal without samples.
        record?.divided(self.per_record)
    }
}

/// The digital numbers of a signal and what they stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    digital_min: i64,
    digital_max: i64,
    physical_min: Decimal,
    physical_max: Decimal,
}

impl Limits {
    /// The converter's own number.
    pub(super) fn counted(&self, digital: i32) -> Option<Fraction> {
        Fraction::new(digital.into(), 1)
    }

    pub(super) fn physical(&self, digital: i32) -> Option<Fraction> {
        let scale = self.physical_min.decimals().max(self.physical_max.decimals());
        let units = |one: Decimal| ten(scale - one.decimals())?.checked_mul(one.digits().into());
        let (least, most) = (units(self.physical_min)?, units(self.physical_max)?);
        let steps = i128::from(self.digital_max) - i128::from(self.digital_min);
        let above = i128::from(digital) - i128::from(self.digital_min);
        let above = above.checked_mul(most.checked_sub(least)?)?;
        let above = above.checked_add(least.checked_mul(steps)?)?;
        Fraction::new(above, steps.checked_mul(ten(scale)?)?)
    }
}

/// A field that does not read.
fn wrong(field: &'static str, expected: &'static str) -> EdfError {
    EdfError::Field { field, signal: None, expected }
}

/// Takes fields off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// A field's text without the blanks around it; each byte is a letter, as in Latin-1, since
    /// some programs write a micro sign.
    fn next(&mut self, width: usize) -> String {
        let (field, rest) = self.0.split_at(width.min(self.0.len()));
        self.0 = rest;
        let text: String = field.iter().map(|byte| char::from(*byte)).collect();
        text.trim_matches([' ', '\0']).to_owned()
    }
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Result<Header, EdfError> {
        let cut = |expected: usize| EdfError::Cut {
            expected: expected as u64,
            found: bytes.len() as u64,
        };
        let own = bytes.get(..OWN_BYTES).ok_or_else(|| cut(OWN_BYTES))?;
        let width = match own[0] {
            b'0' => 2,
            0xff => 3,
            _ => return Err(wrong("version", "0 (EDF) or BIOSEMI (BDF)")),
        };
        let mut fields = Fields(&own[8..]);
        // The patient: passed over and never kept.
        fields.next(80);
        let (recording, date, time) = (fields.next(80), fields.next(8), fields.next(8));
        let length = fields.next(8);
        let reserved = fields.next(44);
        // Only these promise what stands in the field of the recording.
        let is_plus = reserved.starts_with("EDF+") || reserved.starts_with("BDF+");
        let (records, duration, count) = (fields.next(8), fields.next(8), fields.next(4));
        let count: usize = count
            .parse()
            .ok()
            .filter(|count| (1..=SIGNALS_MAX).contains(count))
            .ok_or(wrong("number of signals", "1 to 9999"))?;
        let all = OWN_BYTES * (count + 1);
        if length.parse() != Ok(all) {
            return Err(wrong("number of bytes", "256 for the file and for each signal"));
        }
        let bytes_of_signals = bytes.get(OWN_BYTES..all).ok_or_else(|| cut(all))?;
        let mut signals = read_signals(bytes_of_signals, count)?;
        let mut record_bytes = 0u64;
        for signal in &mut signals {
            signal.offset = record_bytes;
            // At most 9999 signals of 2^24 samples: far below what a u64 holds.
            record_bytes += u64::from(signal.per_record) * width as u64;
        }
        let found = bytes.len() as u64;
        let (all, records) = (all as u64, read_records(&records)?);
        let held = (found - all) / record_bytes.max(1);
        let records = records.unwrap_or(held);
        let expected = records.checked_mul(record_bytes).and_then(|body| body.checked_add(all));
        let expected = expected.unwrap_or(u64::MAX);
        if expected > found {
            return Err(EdfError::Cut { expected, found });
        }
        Ok(Header {
            start: read_start(is_plus.then_some(&recording), &date, &time)?,
            bytes: all,
            records,
            record_bytes,
            record_period: read_duration(&duration)?,
            has_gaps: matches!(reserved.get(..5), Some("EDF+D" | "BDF+D")),
            width,
            signals,
        })
    }
}

/// The number of records; `None` where it was not known when the header was written.
fn read_records(text: &str) -> Result<Option<u64>, EdfError> {
    if text == "-1" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| wrong("number of data records", "a number, or -1"))
}

fn read_duration(text: &str) -> Result<Option<Period>, EdfError> {
    let error = || wrong("duration of a data record", "seconds");
    let duration: Decimal = text.parse().map_err(|_| error())?;
    let above = u128::try_from(duration.digits()).map_err(|_| error())?;
    let below = 10u128.pow(u32::from(duration.decimals()));
    // 18 digits and nine zeros are far below 2^128.
    Ok(Period::new(above * 1_000_000_000, below))
}

/// The fields of all signals: first every label, then every transducer, and so on.
fn read_signals(bytes: &[u8], count: usize) -> Result<Vec<SignalHeader>, EdfError> {
    let mut fields = Fields(bytes);
    // All of it is at most ten megabytes, as the number of signals is bounded.
    let columns: Vec<Vec<String>> =
        WIDTHS.iter().map(|width| (0..count).map(|_| fields.next(*width)).collect()).collect();
    (0..count)
        .map(|at| {
            let field = |column: usize| columns[column][at].as_str();
            let wrong = |field, expected| EdfError::Field { field, signal: Some(at + 1), expected };
            let physical = |column: usize, name| {
                field(column).parse::<Decimal>().map_err(|_| wrong(name, "a number"))
            };
            let digital = |column: usize, name| {
                field(column).parse::<i64>().map_err(|_| wrong(name, "a whole number"))
            };
            let limits = Limits {
                physical_min: physical(3, "physical minimum")?,
                physical_max: physical(4, "physical maximum")?,
                digital_min: digital(5, "digital minimum")?,
                digital_max: digital(6, "digital maximum")?,
            };
            let is_annotation = matches!(field(0), "EDF Annotations" | "BDF Annotations");
            if limits.digital_min >= limits.digital_max {
                return Err(wrong("digital maximum", "more than the digital minimum"));
            }
            if limits.physical_min == limits.physical_max && !is_annotation {
                return Err(wrong("physical maximum", "another number than the physical minimum"));
            }
            // None at all is allowed: a signal that was not connected.
            let per_record = field(8).parse().ok().filter(|each| *each <= PER_RECORD_MAX);
            let per_record = per_record.ok_or(wrong("samples in a data record", "a number"))?;
            let (label, unit) = (field(0).to_owned(), field(2).to_owned());
            Ok(SignalHeader { label, unit, limits, per_record, offset: 0, is_annotation })
        })
        .collect()
}

/// The start, with the date of EDF+'s recording field if there is one.
fn read_start(recording: Option<&String>, date: &str, time: &str) -> Result<Start, EdfError> {
    let said = recording.and_then(|text| text.strip_prefix("Startdate "));
    let said = said.map(|rest| rest.split(' ').next().unwrap_or_default());
    let date = match said {
        Some("X") => return Ok(Err(NoStart::Anonymous)),
        Some(said) => {
            read_long_date(said).ok_or(wrong("start date (recording)", "02-MAR-2002 or X"))?
        }
        None => read_short_date(date).ok_or(wrong("start date", "a date as 31.12.99"))?,
    };
    if !(1900..=2456).contains(&date.year) {
        return Ok(Err(NoStart::Year { year: date.year }));
    }
    let wrong_time = wrong("start time", "a date and time of day that exist, as 23.59.59");
    let parts: Option<Vec<u8>> = time.split(['.', ':']).map(|part| part.parse().ok()).collect();
    let Some(&[hour, minute, second]) = parts.as_deref() else { return Err(wrong_time) };
    let Date { year, month, day } = date;
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    Ok(Ok(Written::parse(&text).map_err(|_| wrong_time)?))
}

/// A date, which need not exist.
struct Date {
    year: u64,
    month: usize,
    day: u8,
}

/// `02-MAR-2002`.
fn read_long_date(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split('-').collect();
    let &[day, month, year] = parts.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| month.eq_ignore_ascii_case(name))? + 1;
    Some(Date { year: year.parse().ok()?, month, day: day.parse().ok()? })
}

/// `02.03.02`.
fn read_short_date(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split(['.', '/', '-']).collect();
    let &[day, month, year] = parts.as_slice() else { return None };
    let year: u64 = year.parse().ok().filter(|year| *year < 100)?;
    let century = if year + 1900 < CLIPPING_YEAR { 2000 } else { 1900 };
    Some(Date { year: century + year, month: month.parse().ok()?, day: day.parse().ok()? })
}
