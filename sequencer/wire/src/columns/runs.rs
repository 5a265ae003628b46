//! The quality of a frame's readings: runs of those that are not good, and nothing where all are.

use crate::columns::bytes::{take, take_array};
use crate::{DecodeError, Quality, Reading};

/// Bytes of a run: first reading u16, readings u16, quality bits u8.
const RUN_BYTES: usize = 5;

/// A run of readings of one quality.
#[derive(Clone, Copy, Default)]
struct Run {
    first: usize,
    end: usize,
    quality: Quality,
}

/// The runs of a frame, in order; asked from the first reading to the last.
#[derive(Clone)]
pub(crate) struct Runs<'a> {
    rest: &'a [[u8; RUN_BYTES]],
    /// The run that ends last of those that begin no later than what was asked.
    run: Run,
}

/// Appends how many runs there are, and each.
pub(crate) fn put_runs(readings: &[Reading], to: &mut Vec<u8>) {
    let same = |one: &Reading, other: &Reading| one.quality == other.quality;
    let (at, mut count, mut first) = (to.len(), 0u16, 0u16);
    to.extend(count.to_le_bytes());
    for run in readings.chunk_by(same) {
        let (readings, quality) = (run.len() as u16, run[0].quality);
        if quality != Quality::GOOD {
            count += 1;
            to.extend(first.to_le_bytes());
            to.extend(readings.to_le_bytes());
            to.push(quality.bits() as u8);
        }
        first += readings;
    }
    to[at..at + 2].copy_from_slice(&count.to_le_bytes());
}

/// Takes the runs of a frame of so many readings off the front.
///
/// # Errors
/// [`DecodeError`] unless they ascend, hold readings of the frame, say something, and no two that
/// touch say the same.
pub(crate) fn take_runs<'a>(from: &mut &'a [u8], count: usize) -> Result<Runs<'a>, DecodeError> {
    let runs = usize::from(u16::from_le_bytes(take_array(from)?));
    let (rest, _) = take(from, RUN_BYTES * runs)?.as_chunks();
    let mut before = Run::default();
    for bytes in rest {
        let run = read(bytes);
        let touches = run.first == before.end && run.quality == before.quality;
        let ascends = before.end <= run.first && run.first < run.end && run.end <= count;
        if !ascends || touches || !matches!(run.quality.bits(), 1..=Quality::KNOWN) {
            let why = "expected runs of known quality, ascending within the frame, each as long \
                       as it can be";
            return Err(DecodeError::field("quality", why));
        }
        before = run;
    }
    Ok(Runs { rest, run: Run::default() })
}

fn read(bytes: &[u8; RUN_BYTES]) -> Run {
    let [first, second, third, fourth, bits] = *bytes;
    let first = usize::from(u16::from_le_bytes([first, second]));
    let end = first + usize::from(u16::from_le_bytes([third, fourth]));
    Run { first, end, quality: Quality(bits.into()) }
}

impl Runs<'_> {
    /// Whether every reading is good.
    pub(crate) fn are_none(&self) -> bool {
        self.rest.is_empty() && self.run.end == 0
    }

    /// The quality of a reading; each index is no smaller than the one before.
    pub(crate) fn quality(&mut self, index: usize) -> Quality {
        while let Some((next, rest)) = self.rest.split_first()
            && read(next).first <= index
        {
            (self.run, self.rest) = (read(next), rest);
        }
        if index < self.run.end { self.run.quality } else { Quality::GOOD }
    }
}
