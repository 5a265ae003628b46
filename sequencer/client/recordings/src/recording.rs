//! One face of every file of samples: what it holds, and the readings of one channel.

use model::Signal;
use model::calendar::{CalendarError, Instant, Written};
use thiserror::Error;

use crate::channel::{Channel, Given, NoStart, Sample, Start};
use crate::edf::{self, EdfError};
use crate::files::{FileError, Folder};
use crate::fit::{self, FitError};
use crate::format::Format;
use crate::period;
use crate::value::{Measured, Number, ValueCounts, ValueFault, ValueRules, Values};
use crate::wfdb::{self, WfdbError};

/// A file of samples, or a record of several.
///
/// ```
/// use recordings::recording::{ChannelRules, Recording};
/// use recordings::{FILE_BYTES_MAX, Folder, Format, Zone};
///
/// let header = "a 1 0.0166666666667 3 8:30:00 01/05/2026\na.dat 16 10/bpm 16 0 720 1450 0 HR\n";
/// let files = |name: &str, _: u64| match name {
///     "a.hea" => Ok(header.into()),
///     _ => Ok([720i16, 0, 730].iter().flat_map(|one| one.to_le_bytes()).collect()),
/// };
/// let folder = Folder::new(&files, FILE_BYTES_MAX);
/// let recording = Recording::open(Format::Wfdb, "a.hea", folder)?;
/// let channel = &recording.channels[0];
/// let signal = channel.signal.expect("heart rate by its name");
/// assert_eq!((channel.name.as_str(), signal.name, channel.count), ("HR", "heart-rate", 3));
///
/// // The clocks of which place showed half past eight is in no header.
/// let now = model::calendar::parse_instant("2026-05-01T12:00:00Z")?;
/// let rules = ChannelRules::new(signal, now);
/// assert!(recording.read(1, rules.clone()).is_err());
/// let rules = ChannelRules { zone: Some(Zone::UTC), ..rules };
/// let readings = recording.read(1, rules)?.collect::<Result<Vec<_>, _>>()?;
/// let values: Vec<_> = readings.iter().map(|reading| reading.value).collect();
/// assert_eq!(values, [Some(720), None, Some(730)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Recording<'a> {
    /// Of what kind.
    pub format: Format,
    /// When it begins, as far as it says: an instant, a time on the clocks of some place, or why
    /// neither is known.
    pub start: Start,
    /// What it holds, never empty.
    pub channels: Vec<Channel>,
    source: Source<'a>,
}

enum Source<'a> {
    Wfdb { record: wfdb::Record, folder: Folder<'a> },
    Edf(edf::File),
    Fit(fit::File),
}

impl std::fmt::Debug for Recording<'_> {
    /// Without its bytes: they are a patient's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Recording");
        shown.field("format", &self.format).field("channels", &self.channels.len());
        shown.finish_non_exhaustive()
    }
}

/// How a channel is to be read.
#[derive(Clone, Debug)]
pub struct ChannelRules {
    /// What it measures.
    pub signal: &'static Signal,
    /// When the recording begins, instead of what it says.
    pub start: Option<Instant>,
    /// Where its clock stood, if it says a time on some clock.
    pub zone: Option<crate::Zone>,
    /// The unit of its values, instead of what it says.
    pub unit: Option<String>,
    /// What its values are taken for.
    pub values: ValueRules,
    /// The time of the clock: what lies ahead of it was not measured.
    pub now: Instant,
}

impl ChannelRules {
    /// Everything as the file says it.
    pub fn new(signal: &'static Signal, now: Instant) -> ChannelRules {
        let values = ValueRules::default();
        ChannelRules { signal, start: None, zone: None, unit: None, values, now }
    }
}

/// A file that is not read.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It does not come.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record of WFDB.
    #[error(transparent)]
    Wfdb(#[from] WfdbError),
    /// EDF or BDF.
    #[error(transparent)]
    Edf(#[from] EdfError),
    /// FIT.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// Text has lines and no channels.
    #[error("expected a file of samples, found text")]
    Text,
    /// Annotations alone.
    #[error("expected a file with samples, found none")]
    Empty,
    /// No such channel.
    #[error("expected a channel from 1 to {channels}, found {found}")]
    Channel {
        /// How many there are.
        channels: usize,
        /// Which was asked for.
        found: u32,
    },
    /// Nothing says when it began.
    #[error("{0}: say when it began with --start TIME")]
    NoStart(NoStart),
    /// A time of day, and nothing says where.
    #[error("the file begins at a time without a zone: say with --zone, or when with --start TIME")]
    NoZone,
    /// Clocks of the zone do not show the start once.
    #[error(transparent)]
    Zone(#[from] crate::ZoneError),
    /// The start is out of range.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
}

/// A sample that is no reading.
#[derive(Debug)]
pub struct SampleError {
    /// Its number in the channel, from 1; of a file that cannot be read on, the last one before.
    pub sample: u64,
    /// What is wrong with it.
    pub fault: SampleFault,
}

impl std::fmt::Display for SampleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sample {}: {}", self.sample, self.fault)
    }
}

impl std::error::Error for SampleError {
    /// What is below the fault, whose own words stand in this one's.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

/// What is wrong with a sample.
#[derive(Debug, Error)]
pub enum SampleFault {
    /// The value is no reading.
    #[error(transparent)]
    NoReading(#[from] ValueFault),
    /// Ahead of the clock.
    #[error("expected a time that has been, found one {seconds} s ahead of this machine's clock")]
    Ahead {
        /// How far.
        seconds: u64,
    },
    /// Beyond all times.
    #[error("expected fewer readings than there is time for")]
    TooMany,
    /// The file cannot be read on.
    #[error(transparent)]
    File(Box<RecordingError>),
}

impl SampleFault {
    /// Whether no later sample can be read either.
    pub fn is_final(&self) -> bool {
        matches!(self, SampleFault::TooMany | SampleFault::File(_))
    }
}

impl<'a> Recording<'a> {
    /// Reads what a file says of itself: `name` is that of a WFDB record or its header, or of the
    /// file. EDF and FIT are held in memory; of a WFDB record the headers are, and one file of
    /// samples while it is read.
    ///
    /// # Errors
    /// [`RecordingError`], for a file without a channel too.
    pub fn open(
        format: Format,
        name: &str,
        folder: Folder<'a>,
    ) -> Result<Recording<'a>, RecordingError> {
        let (source, start, mut channels) = match format {
            Format::Text => return Err(RecordingError::Text),
            Format::Wfdb => {
                let record = wfdb::Record::open(name, folder)?;
                let (start, channels) = (record.start.clone(), record.channels());
                (Source::Wfdb { record, folder }, start, channels)
            }
            Format::Edf | Format::Bdf => {
                let file = edf::File::open(folder.read_asked(name, u64::MAX)?)?;
                let (start, channels) = (file.start().clone(), file.channels());
                (Source::Edf(file), start, channels)
            }
            Format::Fit => {
                let file = fit::File::open(&folder.read_asked(name, fit::FIT_BYTES_MAX)?)?;
                let (start, channels) = (file.start(), file.channels());
                (Source::Fit(file), start, channels)
            }
        };
        for (channel, number) in channels.iter_mut().zip(1..) {
            channel.number = number;
        }
        if channels.is_empty() {
            return Err(RecordingError::Empty);
        }
        Ok(Recording { format, start, channels, source })
    }

    /// The readings of a channel, in the order of the file.
    ///
    /// # Errors
    /// [`RecordingError`] where the channel, its unit or its start cannot be told, and for a file
    /// of samples that is damaged: a WFDB record's are all compared with their checksums first.
    pub fn read(&self, number: u32, rules: ChannelRules) -> Result<Readings<'_>, RecordingError> {
        let none = || RecordingError::Channel { channels: self.channels.len(), found: number };
        // People count channels from one, as the list that they choose from does.
        let index = (number as usize).checked_sub(1).filter(|index| *index < self.channels.len());
        let index = index.ok_or_else(none)?;
        // Before the files of samples are read: what is missing is asked for at once.
        let start = self.place_start(&rules)?;
        let (signal, unit) = (rules.signal, rules.unit.as_deref().unwrap_or_default());
        let samples: Box<dyn Iterator<Item = Result<Sample, RecordingError>> + '_> =
            match &self.source {
                Source::Wfdb { record, folder } => {
                    // The format's own rule of zero gives way to what is asked for.
                    let zero = crate::Decimal::from_integer(0);
                    let keeps_zero = rules.values.keep.contains(&zero);
                    let asked = wfdb::Asked { signal, unit, keeps_zero };
                    let samples = record.samples(index, &asked, *folder)?;
                    Box::new(samples.map(|one| one.map_err(RecordingError::from)))
                }
                Source::Edf(file) => {
                    let samples = file.samples(index, signal, unit)?;
                    Box::new(samples.map(|one| one.map_err(RecordingError::from)))
                }
                Source::Fit(file) => Box::new(file.samples(index, signal, unit)?.map(Ok)),
            };
        // One behaviour for every format: only where samples come from differs.
        let values = Values::new(rules.values);
        Ok(Readings { samples, signal, start, now: rules.now, values, last: 0 })
    }

    fn place_start(&self, rules: &ChannelRules) -> Result<Instant, RecordingError> {
        // What is asked for stands above the file: clocks of devices are wrong, and dates shifted.
        if let Some(start) = rules.start {
            return Ok(start);
        }
        let written = self.start.as_ref().map_err(|why| RecordingError::NoStart(why.clone()))?;
        match written {
            Written::Instant(at) => Ok(*at),
            Written::Local(local) => {
                Ok(rules.zone.as_ref().ok_or(RecordingError::NoZone)?.place(*local)?)
            }
            // No format has a whole day or the word `now` as its start.
            Written::Now | Written::Whole { .. } => Err(RecordingError::NoStart(NoStart::Missing)),
        }
    }
}

/// Gives the readings of a channel. After an error the next one is given, unless
/// [`SampleFault::is_final`].
pub struct Readings<'a> {
    samples: Box<dyn Iterator<Item = Result<Sample, RecordingError>> + 'a>,
    signal: &'static Signal,
    start: Instant,
    now: Instant,
    values: Values,
    /// Number of the last sample that was looked at.
    last: u64,
}

impl std::fmt::Debug for Readings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readings").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Readings<'_> {
    /// What was read so far.
    pub fn counts(&self) -> ValueCounts {
        self.values.counts()
    }

    fn take(&mut self, sample: Sample) -> Result<Option<Measured>, SampleFault> {
        let after = sample.after_us.and_then(|after| self.start.micros().checked_add(after));
        let at = after.and_then(|micros| Instant::from_micros(micros).ok());
        let at = at.ok_or(SampleFault::TooMany)?;
        // Before the value, so that a sample that is not sent is not counted either.
        if let Some(seconds) = period::ahead_s(at, self.now) {
            return Err(SampleFault::Ahead { seconds });
        }
        let value = match sample.given {
            Given::Nothing => self.values.take_missing(false)?,
            Given::Sentinel => self.values.take_missing(true)?,
            Given::Number(value) => {
                self.values.take(self.signal, Number::Digitised(value), sample.to_own)?
            }
        };
        Ok(value.map(|value| Measured { signal: self.signal, at, value }))
    }
}

impl Iterator for Readings<'_> {
    type Item = Result<Measured, SampleError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let taken = match self.samples.next()? {
                Ok(sample) => {
                    self.last = sample.number;
                    self.take(sample)
                }
                Err(error) => Err(SampleFault::File(Box::new(error))),
            };
            match taken {
                Ok(Some(reading)) => return Some(Ok(reading)),
                // Passed over by the rule for no value.
                Ok(None) => {}
                Err(fault) => return Some(Err(SampleError { sample: self.last, fault })),
            }
        }
    }
}

#[cfg(test)]
mod tests;
