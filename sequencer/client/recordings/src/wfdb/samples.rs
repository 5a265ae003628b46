//! The samples of one channel, piece by piece.

use model::Signal;

use super::code::Code;
use super::fault::WfdbError;
use super::header::SignalLine;
use crate::Decimal;
use crate::channel::{Given, Sample, Steps};
use crate::decimal::{Fraction, ten};
use crate::files::Folder;
use crate::names;
use crate::period::Period;
use crate::unit::UnknownUnit;

/// What a channel is to be read as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) signal: &'static Signal,
    /// Instead of the file's; empty for that.
    pub(crate) unit: &'a str,
    /// Whether zero is a reading even in numerics.
    pub(crate) keeps_zero: bool,
}

impl Asked<'_> {
    /// Volts are thousandths where a header does not say what it is in (`header(5)`).
    pub(super) fn steps(&self, unit: &str) -> Result<Steps, UnknownUnit> {
        let is_voltage = self.signal.unit == "uV";
        let unit = if self.unit.is_empty() { unit } else { self.unit };
        Steps::of(self.signal, unit, if is_voltage { "mV" } else { "" })
    }

    pub(super) fn zero_is_off(&self, period: Period) -> bool {
        period.is_slow() && !names::is_curve(self.signal) && !self.keeps_zero
    }
}

/// A channel in one piece of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Its place among the signals of the piece.
    pub(super) at: usize,
    pub(super) line: &'a SignalLine,
    pub(super) code: Code,
    pub(super) steps: Steps,
    pub(super) signals: &'a [SignalLine],
    /// First frame, from the begin of the record.
    pub(super) begin: u64,
    pub(super) frames: u64,
    /// Of samples; `None` of so many a frame that none is left of it.
    pub(super) period: Option<Period>,
}

/// Samples of a frame of all signals that one file holds.
pub(super) fn frame_of(signals: &[SignalLine], file: &str) -> u64 {
    let own = signals.iter().filter(|signal| signal.file == file);
    own.map(|signal| u64::from(signal.per_frame)).sum()
}

impl Part<'_> {
    /// The file of its samples, with as many bytes as its header says.
    fn load(&self, folder: Folder<'_>) -> Result<Loaded, WfdbError> {
        let file = &self.line.file;
        let of_file = || self.signals.iter().filter(|signal| signal.file == *file);
        // One file has one packing, and begins where its first signal says.
        let offset = of_file().next().map_or(0, |first| first.offset);
        if of_file().any(|signal| signal.code != Some(self.code)) {
            return Err(WfdbError::Segment {
                header: file.clone(),
                expected: "one format of all signals in a file",
            });
        }
        let frame = frame_of(self.signals, file);
        let samples = self.frames.checked_mul(frame);
        let needed = samples.and_then(|samples| self.code.bytes(samples)?.checked_add(offset));
        let bytes = folder.read(file, u64::MAX)?;
        let (expected, found) = (needed.unwrap_or(u64::MAX), bytes.len() as u64);
        if found < expected {
            return Err(WfdbError::Cut { file: file.clone(), expected, found });
        }
        // Signals of one file take turns, frame by frame, in the order of the header.
        let before = self.signals[..self.at].iter().filter(|signal| signal.file == *file);
        let first = before.map(|signal| u64::from(signal.per_frame)).sum();
        // Not above the number of bytes, as was just checked.
        Ok(Loaded { bytes, offset: offset as usize, frame, first })
    }

    /// The sample at a place of the file, as it stands there.
    fn stored(&self, loaded: &Loaded, frame: u64, sub: u64) -> Option<i32> {
        let place = frame.checked_mul(loaded.frame)?.checked_add(loaded.first)?.checked_add(sub)?;
        let bytes = loaded.bytes.get(loaded.offset..)?;
        self.code.sample(bytes, usize::try_from(place).ok()?)
    }

    /// Compares all samples with what the header says of them.
    fn check(&self, loaded: &Loaded) -> Result<(), WfdbError> {
        let damaged =
            |what| WfdbError::Damaged { file: self.line.file.clone(), signal: self.at + 1, what };
        let each = u64::from(self.line.per_frame);
        let mut sum = 0u16;
        for frame in 0..self.frames {
            for sub in 0..each {
                let sample = self.stored(loaded, frame, sub).ok_or_else(|| damaged("length"))?;
                // The sum is kept modulo 2^16, so the lower bits of each sample are all it needs.
                sum = sum.wrapping_add(sample as u16);
            }
        }
        if self.line.checksum.is_some_and(|expected| expected != sum) {
            return Err(damaged("checksum"));
        }
        let first = self.stored(loaded, 0, 0).map(i64::from);
        if self.line.initial.is_some_and(|expected| first.is_some_and(|first| first != expected)) {
            return Err(damaged("initial value"));
        }
        Ok(())
    }

    fn value(&self, stored: i32) -> Option<Fraction> {
        let above = i128::from(stored) - i128::from(self.line.baseline);
        match self.steps {
            Steps::Counted => Fraction::new(above, 1),
            Steps::Scaled(_) => {
                let above = above.checked_mul(ten(self.line.gain.decimals())?)?;
                Fraction::new(above, self.line.gain.digits().into())
            }
        }
    }
}

/// A file of samples.
struct Loaded {
    bytes: Vec<u8>,
    /// Where samples begin.
    offset: usize,
    /// Samples of a frame.
    frame: u64,
    /// Place of the channel's first one in it.
    first: u64,
}

/// Gives a channel's samples in the order of time.
pub(crate) struct Samples<'a> {
    parts: Vec<Part<'a>>,
    folder: Folder<'a>,
    zero_is_off: bool,
    /// The part that is being given, and the sample in it.
    part: usize,
    next: u64,
    loaded: Option<Loaded>,
}

impl<'a> Samples<'a> {
    /// Checks every file. One is in memory at a time: those of a week are larger than it.
    pub(super) fn open(
        parts: Vec<Part<'a>>,
        folder: Folder<'a>,
        zero_is_off: bool,
    ) -> Result<Samples<'a>, WfdbError> {
        let mut loaded = None;
        for part in &parts {
            // Let go before the next is read.
            loaded = None;
            let file = loaded.insert(part.load(folder)?);
            part.check(file)?;
        }
        // Of a record in one piece the file is there already.
        let loaded = loaded.filter(|_| parts.len() == 1);
        Ok(Samples { parts, folder, zero_is_off, part: 0, next: 0, loaded })
    }

    fn sample(&mut self, part: Part<'a>) -> Result<Sample, WfdbError> {
        let loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => part.load(self.folder)?,
        };
        let each = u64::from(part.line.per_frame);
        // Never zero: a header with none is refused.
        let (frame, sub) = (self.next / each, self.next % each);
        let stored = part.stored(&loaded, frame + u64::from(part.line.skew), sub);
        self.loaded = Some(loaded);
        let too_many = || WfdbError::TooMany { header: part.line.file.clone() };
        let place = part.begin.checked_mul(each).and_then(|begin| begin.checked_add(self.next));
        let place = place.ok_or_else(too_many)?;
        self.next += 1;
        let nothing = part.code.nothing();
        let value = stored.filter(|stored| *stored != nothing).map(|stored| part.value(stored));
        let given = match value {
            None => Given::Nothing,
            Some(value) => {
                let value = value.ok_or_else(too_many)?;
                let is_off = self.zero_is_off && value.is(Decimal::from_integer(0));
                if is_off { Given::Sentinel } else { Given::Number(value) }
            }
        };
        Ok(Sample {
            number: place.saturating_add(1),
            after_us: part.period.and_then(|period| period.times(place)),
            given,
            to_own: part.steps.to_own(),
        })
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Sample, WfdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let part = *self.parts.get(self.part)?;
            if self.next < part.line.count(part.frames) {
                let sample = self.sample(part);
                if sample.is_err() {
                    // A file that went away will not come back for the next sample.
                    self.part = self.parts.len();
                }
                return Some(sample);
            }
            (self.part, self.next, self.loaded) = (self.part + 1, 0, None);
        }
    }
}
