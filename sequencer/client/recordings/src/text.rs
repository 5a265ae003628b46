//! Readings in lines of text: CSV as it is found.
//!
//! A line holds a time and values, or only values where a rate gives the times. The first line
//! that is neither blank nor a comment is a header if nothing in it is a number or a time; columns
//! are found by its names or by number. A reader keeps counts and nothing of the lines.

use model::Signal;
use model::calendar::Instant;

use self::columns::{Asked, Columns};
pub use self::columns::{ColumnError, Mapping, Role};
pub use self::fault::{Fault, LineError};
pub use self::lines::{Delimiter, LINE_BYTES_MAX, Line, Lines};
pub use self::preview::{Preview, PreviewColumn};
pub use self::times::{TimeUnit, Times};
pub use crate::period::Period;
pub use crate::value::{Measured, Missing};
use crate::value::{Number, ValueRules, Values};
use crate::{Decimal, DecimalMark};

mod columns;
mod fault;
mod lines;
mod preview;
mod times;

/// How a file is to be read.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which signals, in the order in which a line's readings come.
    pub signals: Vec<&'static Signal>,
    /// Columns by name or number; the others are found by the header.
    pub columns: Vec<Mapping>,
    /// `None` takes what the first line has.
    pub delimiter: Option<Delimiter>,
    /// Mark of decimals.
    pub decimal: DecimalMark,
    /// Where times come from.
    pub times: Times,
    /// Of a column of devices, the one whose rows are read.
    pub device: Option<String>,
    /// The unit of the values; `None` takes the header's, or else the signal's own.
    pub unit: Option<String>,
    /// What no value is.
    pub missing: Missing,
    /// Values that stand for none.
    pub sentinels: Vec<Decimal>,
    /// Values that look like sentinels and are readings.
    pub keep: Vec<Decimal>,
    /// Whether a value finer than its signal is rounded.
    pub round: bool,
}

impl Rules {
    /// One signal with the times in the lines, everything else as it is guessed.
    pub fn new(signal: &'static Signal) -> Rules {
        Rules {
            signals: vec![signal],
            columns: Vec::new(),
            delimiter: None,
            decimal: DecimalMark::Point,
            times: Times::default(),
            device: None,
            unit: None,
            missing: Missing::Off,
            sentinels: Vec::new(),
            keep: Vec::new(),
            round: false,
        }
    }
}

/// What was read so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Lines, of any kind.
    pub lines: u64,
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
    /// Rows of another device or signal.
    pub others: u64,
    /// The first line that was no UTF-8.
    pub first_latin1: Option<u64>,
}

/// Values of one signal so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Which.
    pub signal: &'static Signal,
    /// All of them.
    pub values: u64,
    /// Those that nearly everybody has ([`crate::suspicion::is_usual`]). None among many means that
    /// the file is in another unit.
    pub usual: u64,
}

/// Turns lines into readings.
#[derive(Debug)]
pub struct Reader {
    rules: Rules,
    delimiter: Option<Delimiter>,
    columns: Option<Columns>,
    /// Rows since the first, for times that come from a rate.
    rows: u64,
    /// Blank lines behind the last row: lost samples at a fixed rate, if more follows.
    blanks: u64,
    values: Values,
    counts: Counts,
    tallies: Vec<Tally>,
}

impl Reader {
    /// A reader from the first line on.
    pub fn new(rules: Rules) -> Reader {
        let delimiter = rules.delimiter;
        let values = Values::new(ValueRules {
            missing: rules.missing,
            sentinels: rules.sentinels.clone(),
            keep: rules.keep.clone(),
            round: rules.round,
        });
        let counts = Counts::default();
        let tally = |signal: &&'static Signal| Tally { signal, values: 0, usual: 0 };
        let tallies = rules.signals.iter().map(tally).collect();
        let (columns, rows, blanks) = (None, 0, 0);
        Reader { rules, delimiter, columns, rows, blanks, values, counts, tallies }
    }

    /// What was read so far.
    pub fn counts(&self) -> Counts {
        let of_values = self.values.counts();
        Counts {
            values: of_values.values,
            absent: of_values.absent,
            skipped: of_values.skipped,
            sentinels: of_values.sentinels,
            rounded: of_values.rounded,
            converted: of_values.converted,
            ..self.counts
        }
    }

    /// The same of each signal that was asked for.
    pub fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// Rows so far, lost samples included: as many periods, less one, as a recording at a fixed
    /// rate is long.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The readings of the next line; none of a header, a comment or a blank one. `now` bounds
    /// what is taken for measured.
    ///
    /// # Errors
    /// [`LineError`]; the reader goes on with the next line if it is asked to, unless
    /// [`Fault::is_final`].
    pub fn read(&mut self, line: &Line, now: Instant) -> Result<Vec<Measured>, LineError> {
        self.counts.lines = line.number;
        if line.is_latin1 {
            self.counts.first_latin1.get_or_insert(line.number);
        }
        self.read_text(line, now).map_err(|fault| LineError { line: line.number, fault })
    }

    fn read_text(&mut self, line: &Line, now: Instant) -> Result<Vec<Measured>, Fault> {
        if line.is_too_long {
            return Err(Fault::TooLong);
        }
        if line.number == 1 && line.text.contains('\0') {
            return Err(Fault::NotText);
        }
        let text = line.text.trim();
        if text.starts_with('#') {
            return Ok(Vec::new());
        }
        if text.is_empty() {
            // Before the first row it separates; behind the last one it ends the file.
            self.blanks += u64::from(self.rows > 0);
            return Ok(Vec::new());
        }
        // Without the blanks around it unless they are a delimiter: an empty last field counts.
        let text = if self.delimiter == Some(Delimiter::One('\t')) { &line.text } else { text };
        let comma = self.rules.decimal == DecimalMark::Comma;
        let delimiter = *self.delimiter.get_or_insert_with(|| Delimiter::guess(&line.text, comma));
        let mut fields = lines::split(text, delimiter).ok_or(Fault::Quotes)?;
        // Some recorders end each line with the delimiter.
        if fields.len() > 1
            && fields.last().is_some_and(String::is_empty)
            && self.ends_open(&fields)
        {
            fields.pop();
        }
        let Some(columns) = self.columns.take() else {
            return self.begin(&fields, now);
        };
        let read = self.read_row(&columns, &fields, now);
        self.columns = Some(columns);
        read
    }

    /// Whether the empty last field is no column: the header has one name less, or nothing asked
    /// for can stand there.
    fn ends_open(&self, fields: &[String]) -> bool {
        self.columns.as_ref().is_none_or(|columns| fields.len() == columns.count + 1)
    }

    /// The first row or the header.
    fn begin(&mut self, fields: &[String], now: Instant) -> Result<Vec<Measured>, Fault> {
        let asked = Asked {
            signals: &self.rules.signals,
            mappings: &self.rules.columns,
            unit: self.rules.unit.as_deref(),
            is_steady: matches!(self.rules.times, Times::Steady { .. }),
        };
        if self.is_header(fields) {
            self.columns = Some(Columns::of_header(fields, asked)?);
            return Ok(Vec::new());
        }
        let columns = Columns::of_count(fields.len(), asked)?;
        let read = self.read_row(&columns, fields, now);
        self.columns = Some(columns);
        read
    }

    fn is_header(&self, fields: &[String]) -> bool {
        let is_data = |field: &String| {
            field.bytes().any(|byte| byte.is_ascii_digit())
                && (Decimal::parse(field, self.rules.decimal).is_ok() || times::is_time(field))
        };
        !fields.iter().any(is_data)
    }

    fn read_row(
        &mut self,
        columns: &Columns,
        fields: &[String],
        now: Instant,
    ) -> Result<Vec<Measured>, Fault> {
        if fields.len() != columns.count {
            return Err(Fault::Fields { expected: columns.count, found: fields.len() });
        }
        let mut found = self.place_blanks(columns, now)?;
        let row = self.rows;
        self.rows += 1;
        if !self.is_asked_device(columns, fields) {
            self.counts.others += 1;
            return Ok(found);
        }
        let at = self.place(columns, fields, row, now)?;
        let named = columns.signal_name.map(|index| fields[index].as_str());
        let mut is_asked = false;
        for column in &columns.values {
            if named.is_some_and(|named| !column.signal.is_called(named)) {
                continue;
            }
            is_asked = true;
            let column = columns.of_row(*column, fields)?;
            let value = self.read_value(&column, &fields[column.index])?;
            if let Some(value) = value {
                found.push(Measured { signal: column.signal, at, value });
            }
        }
        self.counts.others += u64::from(!is_asked);
        Ok(found)
    }

    fn is_asked_device(&self, columns: &Columns, fields: &[String]) -> bool {
        let (Some(index), Some(device)) = (columns.device, &self.rules.device) else { return true };
        fields[index] == *device
    }

    /// Blank lines before a row at a fixed rate: each is a sample that was lost, so that those
    /// behind it keep their times.
    fn place_blanks(&mut self, columns: &Columns, now: Instant) -> Result<Vec<Measured>, Fault> {
        let blanks = std::mem::take(&mut self.blanks);
        let Times::Steady { start, period } = self.rules.times else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for _ in 0..blanks {
            let at = times::at_row(start, period, self.rows)?;
            self.rows += 1;
            for column in &columns.values {
                if let Some(value) = self.values.take_missing(false)? {
                    found.push(Measured {
                        signal: column.signal,
                        at: times::check_ahead(at, now)?,
                        value,
                    });
                }
            }
        }
        Ok(found)
    }

    fn place(
        &self,
        columns: &Columns,
        fields: &[String],
        row: u64,
        now: Instant,
    ) -> Result<Instant, Fault> {
        let at = match (&self.rules.times, columns.time) {
            (Times::Steady { start, period }, _) => times::at_row(*start, *period, row)?,
            (times, Some(index)) => match columns.date {
                Some(date) => times.read(&format!("{} {}", fields[date], fields[index]))?,
                None => times.read(&fields[index])?,
            },
            (_, None) => return Err(Fault::NoTime),
        };
        times::check_ahead(at, now)
    }

    /// The value of a field: `None` if it is passed over, `Some(None)` if it says that none was.
    fn read_value(
        &mut self,
        column: &columns::ValueColumn,
        text: &str,
    ) -> Result<Option<Option<i32>>, Fault> {
        let signal = column.signal;
        if text == "off" {
            self.values.take_off();
            return Ok(Some(None));
        }
        if is_missing(text) {
            return Ok(self.values.take_missing(false)?);
        }
        let value = Decimal::parse(text, self.rules.decimal)
            .map_err(|_| Fault::Value { unit: signal.unit })?;
        let before = self.values.counts();
        let taken = self.values.take(signal, Number::Written(value), column.to_own)?;
        let after = self.values.counts();
        let tally = self.tallies.iter_mut().find(|tally| tally.signal.code == signal.code);
        if let Some(tally) = tally {
            tally.values += after.values - before.values;
            tally.usual += after.usual - before.usual;
        }
        Ok(taken)
    }
}

/// What people and programs write where there is no value.
fn is_missing(text: &str) -> bool {
    const WORDS: &[&str] =
        &["", "nan", "na", "n/a", "null", "none", "nil", "-", "--", "---", "?", "."];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests;
