//! European Data Format: EDF, EDF+ (continuous and with gaps), and BDF with 24 bits.
//!
//! By the specifications at <https://www.edfplus.info/specs/edf.html> and `edfplus.html`. A value
//! is what the four limits of its signal make of the digital one, exactly:
//! `(digital - digital min) * (physical max - physical min) / (digital max - digital min) +
//! physical min`. Times are on the clocks of the place where it was recorded.
//!
//! The date in `Startdate 02-MAR-2002` (EDF+) stands above the one with two digits, of which 85 to
//! 99 are of 1985 to 1999 and the others of this century; `Startdate X` says that it was taken out.
//! In a file with gaps (EDF+D) each record's time is the one that its annotations give. Signals of
//! annotations are no channels. What stands in the fields of patient and recording is in no
//! message and no value of this crate.

use crate::channel::{Channel, Given, Sample, Start, Steps};
use crate::period::Period;
use model::Signal;

pub use self::fault::EdfError;
use self::header::{Header, SignalHeader};

mod annotations;
mod fault;
mod header;

/// A file: its header and its bytes.
pub(crate) struct File {
    header: Header,
    bytes: Vec<u8>,
    /// Time of the first record after the file's start, microseconds.
    first_us: u64,
}

impl File {
    /// Reads the header, and how many records there are.
    pub(crate) fn open(bytes: Vec<u8>) -> Result<File, EdfError> {
        let header = Header::read(&bytes)?;
        let mut file = File { header, bytes, first_us: 0 };
        // In a continuous file the first onset is the fraction of the second in which it starts.
        if !file.header.has_gaps && file.header.records > 0 {
            file.first_us = file.onset_us(0)?.unwrap_or(0);
        }
        Ok(file)
    }

    pub(crate) fn start(&self) -> &Start {
        &self.header.start
    }

    /// Its channels; those of annotations are none.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        let channel = |signal: &SignalHeader| {
            let period = signal.period(self.header.record_period);
            let guessed = Channel::guessed(signal.label.clone(), signal.unit.clone(), period);
            let count = self.header.records.saturating_mul(signal.per_record.into());
            Channel { count, ..guessed }
        };
        self.shown().map(channel).collect()
    }

    fn shown(&self) -> impl Iterator<Item = &SignalHeader> {
        self.header.signals.iter().filter(|signal| !signal.is_annotation)
    }

    /// The samples of a channel, counted from 0, as values of a signal in a unit (empty for the
    /// file's own).
    pub(crate) fn samples(
        &self,
        number: usize,
        signal: &'static Signal,
        unit: &str,
    ) -> Result<Samples<'_>, EdfError> {
        let channel = self.shown().nth(number).ok_or(EdfError::NoSamples)?;
        // A file of numbers without a unit is in the signal's own, as a column of text is.
        let unit = if unit.is_empty() { &channel.unit } else { unit };
        let steps = Steps::of(signal, unit, "")?;
        let period = channel.period(self.header.record_period).ok_or(EdfError::NoSamples)?;
        Ok(Samples { file: self, channel, steps, period, next: 0, record_us: 0 })
    }

    /// Microseconds from the start of the file to a record, as its first annotation says; `None`
    /// without annotations.
    fn onset_us(&self, record: u64) -> Result<Option<u64>, EdfError> {
        let Some(signal) = self.header.signals.iter().find(|signal| signal.is_annotation) else {
            return Ok(None);
        };
        let error = || EdfError::Onset { record: record.saturating_add(1) };
        // The list of the first signal of annotations; further ones hold no times of records.
        let begin = self.place(record, signal, 0).ok_or_else(error)?;
        let length = signal.per_record as usize * self.header.width;
        let bytes = begin.checked_add(length).and_then(|end| self.bytes.get(begin..end));
        let onset = bytes.and_then(annotations::onset_us).ok_or_else(error)?;
        Ok(Some(onset))
    }

    /// Where the bytes of a sample begin.
    fn place(&self, record: u64, signal: &SignalHeader, sample: u64) -> Option<usize> {
        let record = record.checked_mul(self.header.record_bytes)?;
        let sample = sample.checked_mul(self.header.width as u64)?;
        // Checked at each step: the counts are a file's, and each may be the largest there is.
        let place = self.header.bytes.checked_add(record)?;
        usize::try_from(place.checked_add(signal.offset)?.checked_add(sample)?).ok()
    }

    fn digital(&self, record: u64, signal: &SignalHeader, sample: u64) -> Option<i32> {
        let place = self.place(record, signal, sample)?;
        let bytes = self.bytes.get(place..place.checked_add(self.header.width)?)?;
        match bytes {
            [low, high] => Some(i16::from_le_bytes([*low, *high]).into()),
            // Into the upper three bytes, so that the shift back repeats the sign.
            [low, middle, high] => Some(i32::from_le_bytes([0, *low, *middle, *high]) >> 8),
            _ => None,
        }
    }
}

/// Gives a channel's samples in the order of the file.
pub(crate) struct Samples<'a> {
    file: &'a File,
    channel: &'a SignalHeader,
    steps: Steps,
    period: Period,
    next: u64,
    /// Time of the record that is being given, in a file with gaps.
    record_us: u64,
}

impl Samples<'_> {
    fn sample(&mut self) -> Result<Sample, EdfError> {
        let each = u64::from(self.channel.per_record);
        let (record, within) = (self.next / each, self.next % each);
        let after_us = if self.file.header.has_gaps {
            if within == 0 {
                let onset = self.file.onset_us(record)?;
                self.record_us = onset.ok_or(EdfError::Onset { record: record + 1 })?;
            }
            self.period.times(within).and_then(|after| after.checked_add(self.record_us))
        } else {
            self.period.times(self.next).and_then(|after| after.checked_add(self.file.first_us))
        };
        let cut = EdfError::NoSamples;
        let digital = self.file.digital(record, self.channel, within).ok_or(cut)?;
        self.next += 1;
        let value = match self.steps {
            Steps::Counted => self.channel.limits.counted(digital),
            Steps::Scaled(_) => self.channel.limits.physical(digital),
        };
        let given = Given::Number(value.ok_or(EdfError::NoSamples)?);
        Ok(Sample { number: self.next, after_us, given, to_own: self.steps.to_own() })
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Sample, EdfError>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.file.header.records.saturating_mul(self.channel.per_record.into());
        if self.next >= count {
            return None;
        }
        let sample = self.sample();
        if sample.is_err() {
            // Without a record's time those behind it have none either.
            self.next = count;
        }
        Some(sample)
    }
}

#[cfg(test)]
mod tests;
