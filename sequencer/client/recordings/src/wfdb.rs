//! PhysioNet's WFDB records: headers of text beside files of samples.
//!
//! By the pages `header(5)` and `signal(5)` of the WFDB Applications Guide
//! (<https://physionet.org/physiotools/wag/>). Samples in formats 16, 24, 61, 80 and 212; records
//! in one piece, in segments with the same signals, and in segments of a changing choice of
//! signals (the first one, of length 0, lists all: its layout).
//!
//! A value is `(sample - baseline) / gain`, exactly. No value is the lowest number of a format's
//! bits; in a gap between segments, and in a segment without the signal, there is no reading and
//! time goes on.
//!
//! In *numerics*, which come at most once a second and are vital signs rather than curves, the
//! value 0 says that the sensor was off: so MIMIC's monitors write it, in a fifth of all minutes.
//! It is counted among the sentinels, and [`crate::value::ValueRules::keep`] keeps it.
//!
//! Before the first reading each file is compared with the checksum and the initial value that its
//! header has: a damaged one gives none.

use crate::channel::{Channel, Start};
use crate::files::Folder;
use crate::period::Period;

pub use self::fault::WfdbError;
use self::header::{Header, SignalLine};
use self::samples::Part;
pub(crate) use self::samples::{Asked, Samples};

mod code;
mod fault;
mod header;
mod samples;

/// Most bytes of a header.
const HEADER_BYTES_MAX: u64 = 4 << 20;
/// Most bytes of all headers of a record; parsed they take some thirty times as many.
const HEADERS_BYTES_MAX: u64 = 16 << 20;

/// A record: its header, and those of its segments.
pub(crate) struct Record {
    pub(crate) start: Start,
    period: Period,
    pieces: Vec<Piece>,
    /// Each channel's name, as the first header that lists all has it.
    names: Vec<String>,
    /// Whether segments find a channel by its name, and not by its number.
    is_by_name: bool,
}

/// A piece of a record with the same signals throughout.
struct Piece {
    /// First frame, from the begin of the record.
    begin: u64,
    frames: u64,
    header: Header,
}

impl Record {
    /// Reads the header of a record, and those of its segments.
    pub(crate) fn open(name: &str, folder: Folder<'_>) -> Result<Record, WfdbError> {
        let mut headers = Headers { folder, bytes: 0 };
        let file = header_file(name);
        let bytes = folder.read_asked(&file, HEADER_BYTES_MAX)?;
        let main = headers.parse(&file, &bytes)?;
        let mut record = Record {
            start: main.start.clone(),
            period: main.period,
            pieces: Vec::new(),
            names: main.signals.iter().map(|signal| signal.name.clone()).collect(),
            is_by_name: false,
        };
        if main.segments.is_empty() {
            let frames = frames_of(&main, folder)?;
            record.pieces.push(Piece { begin: 0, frames, header: main });
        } else {
            record.read_segments(&main, &mut headers)?;
        }
        Ok(record)
    }

    fn read_segments(&mut self, main: &Header, headers: &mut Headers) -> Result<(), WfdbError> {
        let too_many = || WfdbError::TooMany { header: main.file.clone() };
        let mut begin = 0u64;
        for segment in &main.segments {
            if let Some(name) = &segment.name {
                let header = headers.read(name)?;
                self.check(&header, segment.frames)?;
                if self.names.is_empty() {
                    self.is_by_name = segment.frames == 0;
                    self.names = header.signals.iter().map(|one| one.name.clone()).collect();
                }
                // The layout has no samples; it is kept for the units of channels.
                self.pieces.push(Piece { begin, frames: segment.frames, header });
            }
            // A gap has no header and takes its time.
            begin = begin.checked_add(segment.frames).ok_or_else(too_many)?;
        }
        let wrong = |expected| WfdbError::Segment { header: main.file.clone(), expected };
        if main.frames.is_some_and(|frames| frames != begin) {
            return Err(wrong("segments of together as many samples"));
        }
        if self.names.is_empty() { Err(wrong("a first segment with the signals")) } else { Ok(()) }
    }

    /// Whether a segment belongs to the record.
    fn check(&self, header: &Header, frames: u64) -> Result<(), WfdbError> {
        let wrong = |expected| WfdbError::Segment { header: header.file.clone(), expected };
        // Places are counted in frames of the whole record.
        if header.period != self.period {
            return Err(wrong("the rate"));
        }
        if !header.segments.is_empty() {
            return Err(wrong("a segment in one piece"));
        }
        if header.frames.is_some_and(|own| own != frames) {
            return Err(wrong("the number of samples"));
        }
        let is_first = self.names.is_empty();
        if !is_first && !self.is_by_name && header.signals.len() != self.names.len() {
            return Err(wrong("the number of signals"));
        }
        Ok(())
    }

    /// Its channels, in the order of the header that lists all.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        (0..self.names.len()).map(|number| self.channel(number)).collect()
    }

    fn channel(&self, number: usize) -> Channel {
        // The first header that has the channel speaks for all: of a layout, that one.
        let mut parts = self.lines(number).peekable();
        let line = parts.peek().map(|(_, line)| *line);
        let (unit, each) = line.map_or(("", 1), |line| (line.unit.as_str(), line.per_frame));
        let period = self.period.divided(each);
        let count =
            parts.map(|(piece, line)| line.count(piece.frames)).fold(0, u64::saturating_add);
        let guessed = Channel::guessed(self.names[number].clone(), unit.to_owned(), period);
        Channel { count, ..guessed }
    }

    /// The pieces that have a channel, and what they say of it.
    fn lines(&self, number: usize) -> impl Iterator<Item = (&Piece, &SignalLine)> {
        self.pieces.iter().filter_map(move |piece| Some((piece, self.line(piece, number)?.1)))
    }

    /// The signal of a piece that is this channel, and its place there.
    fn line<'a>(&self, piece: &'a Piece, number: usize) -> Option<(usize, &'a SignalLine)> {
        let signals = &piece.header.signals;
        let at = match self.is_by_name {
            true => signals.iter().position(|signal| signal.name == self.names[number])?,
            false => number,
        };
        Some((at, signals.get(at)?))
    }

    /// The samples of a channel, each file checked before the first is given.
    pub(crate) fn samples<'a>(
        &'a self,
        number: usize,
        asked: &Asked<'_>,
        folder: Folder<'a>,
    ) -> Result<Samples<'a>, WfdbError> {
        let mut parts = Vec::new();
        for piece in self.pieces.iter().filter(|piece| piece.frames > 0) {
            let Some((at, line)) = self.line(piece, number) else { continue };
            let Some(code) = line.code else { continue };
            // Each segment has its own gain and unit: monitors are set anew on the way.
            let steps = asked.steps(&line.unit)?;
            parts.push(Part {
                at,
                line,
                code,
                steps,
                signals: &piece.header.signals,
                begin: piece.begin,
                frames: piece.frames,
                period: self.period.divided(line.per_frame),
            });
        }
        let zero_is_off = asked.zero_is_off(self.period);
        Samples::open(parts, folder, zero_is_off)
    }
}

/// Frames of a record in one piece: as its header says, or as many as its first file holds.
fn frames_of(header: &Header, folder: Folder<'_>) -> Result<u64, WfdbError> {
    if let Some(frames) = header.frames {
        return Ok(frames);
    }
    let Some((line, code)) = header.signals.first().and_then(|line| Some((line, line.code?)))
    else {
        return Ok(0);
    };
    // Read and let go: the number of channels and their lengths are asked for more often.
    let bytes = folder.read(&line.file, u64::MAX)?.len() as u64;
    let frame = samples::frame_of(&header.signals, &line.file);
    Ok(code.samples(bytes.saturating_sub(line.offset)) / frame.max(1))
}

/// Reads headers and counts their bytes.
struct Headers<'a> {
    folder: Folder<'a>,
    bytes: u64,
}

impl Headers<'_> {
    /// The header of a segment.
    fn read(&mut self, name: &str) -> Result<Header, WfdbError> {
        let file = header_file(name);
        let left = HEADERS_BYTES_MAX.saturating_sub(self.bytes);
        let bytes = self.folder.read(&file, left.min(HEADER_BYTES_MAX))?;
        self.parse(&file, &bytes)
    }

    fn parse(&mut self, file: &str, bytes: &[u8]) -> Result<Header, WfdbError> {
        self.bytes += bytes.len() as u64;
        // Names of signals may have a letter of another alphabet; nothing else does.
        Header::parse(file, &String::from_utf8_lossy(bytes))
    }
}

fn header_file(name: &str) -> String {
    format!("{}.hea", name.strip_suffix(".hea").unwrap_or(name))
}

#[cfg(test)]
mod tests;
