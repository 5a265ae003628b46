//! What the command line says of a file of readings, and what the file is before anything is sent.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Context;
use clap::{Args, ValueEnum};
use model::calendar::Instant;
use model::{Millis, Signal};
use recordings::text::{
    Counts, Delimiter, Lines, Mapping, Missing, Period, Reader, Rules, TimeUnit, Times,
};
use recordings::value::ValueRules;
use recordings::{Decimal, DecimalMark, When, Zone, suspicion, unit};

use super::step::Bad;
use crate::node::now;
use crate::report::Usage;

/// How lines are read.
#[derive(Args)]
pub(super) struct TextArgs {
    /// Which column is what, as time=Timestamp or heart-rate=3: ROLE is time, date, value, signal,
    /// device, or a signal's name; COLUMN the header's name or a number from 1
    #[arg(long = "column", value_name = "ROLE=COLUMN")]
    pub(super) columns: Vec<Mapping>,
    /// What separates fields: one character, tab, or space; by default what the first line has
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<Delimiter>,
    /// Mark of decimals
    #[arg(long, value_enum, default_value = "point")]
    decimal: Mark,
    /// Unit of the values, as mmol/L or degF; by default the header's, or else the signal's own
    #[arg(long, value_name = "UNIT")]
    pub(super) unit: Option<String>,
    /// Round values that are finer than their signal, and count them
    #[arg(long)]
    round: bool,
    /// What nan, NA, null, -, --- or nothing in place of a value is: a reading that says that the
    /// sensor was off, no reading, or an error. The word off is always the first
    #[arg(long, value_enum, default_value = "off")]
    missing: Absence,
    /// A value that stands for no value, as 255; may be given several times
    #[arg(long = "sentinel", value_name = "VALUE", allow_negative_numbers = true)]
    sentinels: Vec<Decimal>,
    /// A value that devices often write for none, and that is a reading here
    #[arg(long = "keep", value_name = "VALUE", allow_negative_numbers = true)]
    keep: Vec<Decimal>,
    /// What numbers count in a column of times: s, ms, us or ns since 1970. Without it only 13
    /// digits are taken, as milliseconds
    #[arg(long, value_name = "UNIT")]
    time_unit: Option<TimeUnit>,
    /// Count times from here and not from 1970: those of a device's own timer
    #[arg(long, value_name = "TIME", requires = "time_unit")]
    elapsed_since: Option<When>,
    /// Where dates and times without a zone were written: UTC, +02:00, or a name as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(super) zone: Option<Zone>,
    /// Take times before 2000 as they stand
    #[arg(long)]
    allow_before: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mark {
    /// 97.5
    Point,
    /// 97,5
    Comma,
}

#[derive(Clone, Copy, ValueEnum)]
enum Absence {
    /// The sensor was off
    Off,
    /// No reading
    Skip,
    /// An error
    Error,
}

/// When the readings of a file without times were taken.
#[derive(Clone, Copy)]
pub(super) struct Steady {
    pub(super) period: Period,
    pub(super) start: Option<When>,
    pub(super) end: Option<When>,
}

/// What a file holds, before anything of it is sent.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) counts: Counts,
    pub(super) readings: u64,
    /// The first line or sample that is no reading.
    pub(super) first_error: Option<Bad>,
    rows: u64,
}

impl TextArgs {
    /// The rules, with times from the lines.
    pub(super) fn rules(&self, signals: &[&'static Signal], device: &str) -> anyhow::Result<Rules> {
        for signal in signals {
            // Here and not at the first line: it is the command line's.
            self.unit.as_deref().map(|name| unit::conversion(signal, name)).transpose()?;
        }
        let zone = self.zone.clone();
        let since = self.elapsed_since.map(|when| {
            let zone = zone.as_ref().unwrap_or(&Zone::UTC);
            anyhow::Ok(instant(when.begin(zone, now())?))
        });
        let values = self.value_rules();
        Ok(Rules {
            signals: signals.to_vec(),
            columns: self.columns.clone(),
            delimiter: self.delimiter,
            decimal: match self.decimal {
                Mark::Point => DecimalMark::Point,
                Mark::Comma => DecimalMark::Comma,
            },
            times: Times::InLines {
                unit: self.time_unit,
                since: since.transpose()?,
                zone,
                allow_before: self.allow_before,
            },
            device: Some(device.to_owned()),
            unit: self.unit.clone(),
            missing: values.missing,
            sentinels: values.sentinels,
            keep: values.keep,
            round: values.round,
        })
    }

    pub(super) fn value_rules(&self) -> ValueRules {
        ValueRules {
            missing: match self.missing {
                Absence::Off => Missing::Off,
                Absence::Skip => Missing::Skip,
                Absence::Error => Missing::Error,
            },
            sentinels: self.sentinels.clone(),
            keep: self.keep.clone(),
            round: self.round,
        }
    }

    /// When a recording without times began. A file does not say it: it is asked for.
    pub(super) fn start(
        &self,
        steady: Steady,
        file: Option<&Path>,
        rules: &Rules,
    ) -> anyhow::Result<Instant> {
        let zone = self.zone.as_ref().unwrap_or(&Zone::UTC);
        let Steady { period, start, end } = steady;
        match (start, end, file) {
            (Some(start), ..) => Ok(instant(start.begin(zone, now())?)),
            // Lines of a pipe are of now, the first of this moment.
            (None, None, None) => Ok(instant(now())),
            (None, Some(end), Some(path)) => {
                let end = instant(end.begin(zone, now())?);
                // Any begin does for counting.
                let start = instant(Millis::from_unix_ms(946_684_800_000));
                let times = Times::Steady { start, period };
                let rows = survey(path, Rules { times, ..rules.clone() })?.rows;
                let length = period.times(rows.saturating_sub(1)).unwrap_or(u64::MAX);
                let start = end.micros().checked_sub(length).context("a recording before 1900")?;
                Ok(Instant::from_micros(start)?)
            }
            _ => Err(Usage(
                "expected --start TIME, or --end now for a recording that ended just now: a file \
                 of values does not say when they were taken"
                    .to_owned(),
            )
            .into()),
        }
    }
}

/// The whole seconds and the rest of a time inside.
pub(super) fn instant(at: Millis) -> Instant {
    // Beyond the calendar's last year lies only the unbounded end, which no clock shows.
    Instant::from_micros(at.get() * 1000).unwrap_or(Instant::LAST)
}

/// Reads a whole file: nothing is sent of one whose columns, unit or times are wrong throughout.
///
/// # Errors
/// [`recordings::text::LineError`] for what is the whole file's, [`Usage`] for a suspicion.
pub(super) fn survey(path: &Path, rules: Rules) -> anyhow::Result<Survey> {
    let is_unit_said = rules.unit.is_some();
    let source = File::open(path).with_context(|| path.display().to_string())?;
    let (mut lines, mut reader) = (Lines::new(BufReader::new(source)), Reader::new(rules));
    let (mut first_error, mut readings) = (None, 0);
    while let Some(line) = lines.read().with_context(|| path.display().to_string())? {
        match reader.read(&line, instant(now())) {
            Ok(found) => readings += found.len() as u64,
            Err(error) if error.fault.is_final() => return Err(error.into()),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let counts = reader.counts();
    if readings == 0 {
        // The error says more than that there is nothing.
        let none = || Usage(format!("expected readings, found none in {} lines", counts.lines));
        return Err(first_error.map_or_else(|| none().into(), anyhow::Error::from));
    }
    for tally in reader.tallies() {
        let usual = suspicion::usual(tally.signal).filter(|_| tally.values > 0 && tally.usual == 0);
        if let Some(usual) = usual.filter(|_| !is_unit_said) {
            let (name, unit) = (tally.signal.name, tally.signal.unit);
            return Err(Usage(format!(
                "expected {name} in {unit}, found {} values and none of the usual {usual}: is it \
                 another unit? --unit says which (one of {}), --unit {unit} that it is this one",
                tally.values,
                unit::names(tally.signal)
            ))
            .into());
        }
    }
    let first_error = first_error.map(Bad::from);
    Ok(Survey { counts, readings, first_error, rows: reader.rows() })
}

/// Where lines come from.
pub(super) type Source = Box<dyn Read + Send>;

pub(super) fn open(file: Option<&Path>) -> anyhow::Result<Source> {
    Ok(match file {
        Some(path) => Box::new(File::open(path).with_context(|| path.display().to_string())?),
        None => Box::new(std::io::stdin()),
    })
}
