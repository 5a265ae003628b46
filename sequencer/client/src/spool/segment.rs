//! One file of a stream's folder: how it is named, found and read.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use files::Audience;
use model::Millis;

use super::error::SpoolError;
use super::kept::Kept;
use super::record::{self, KeptFrame, Record, Taken};

/// Largest segment read: one that a file of the version before became is as long as that was.
const BYTES_MAX: u64 = 512 << 20;
const EXTENSION: &str = "segment";

/// A file of frames that follow each other.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Number of its first frame.
    pub(super) first: u64,
    /// Number of its last frame; before the first while it has none.
    pub(super) last: u64,
    pub(super) bytes: u64,
    /// When the last of its frames was kept.
    pub(super) at: Millis,
    /// Whether a reading in it was under an alarm.
    pub(super) alarm: bool,
}

/// What a segment says.
pub(super) struct Read {
    pub(super) segment: Segment,
    pub(super) records: Vec<Record>,
    /// Bytes behind them that were never written to their end.
    pub(super) torn_bytes: u64,
}

impl Segment {
    pub(super) fn new(folder: &Path, first: u64, bytes: u64) -> Segment {
        let path = path(folder, first);
        let (last, at) = (first.saturating_sub(1), Millis::default());
        Segment { path, first, last, bytes, at, alarm: false }
    }

    /// A frame is in it.
    pub(super) fn note(&mut self, frame: &KeptFrame) {
        self.last = frame.number();
        self.at = self.at.max(frame.at);
        self.alarm |= frame.alarm;
    }

    /// Whether it has frames.
    pub(super) fn has_frames(&self) -> bool {
        self.first <= self.last
    }
}

fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.{EXTENSION}"))
}

/// The number of the first frame of each segment in a folder, in order.
pub(super) fn list(folder: &Path) -> Result<Vec<u64>, SpoolError> {
    let wrong = |source| SpoolError::File { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(wrong)?,
    };
    let mut firsts = Vec::new();
    for entry in entries {
        let name = entry.map_err(wrong)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(EXTENSION)?.strip_suffix('.'));
        // Beside them stands what a crash left half made, which is replaced.
        firsts.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Reads a segment; only the last one of its folder may be torn at its end.
///
/// # Errors
/// [`SpoolError::Damaged`] where something does not read that was written and synced.
pub(super) fn read(folder: &Path, first: u64, is_last: bool) -> Result<Read, SpoolError> {
    let path = path(folder, first);
    let wrong = |source| SpoolError::File { path: path.clone(), source };
    let whole: Bytes = files::read(&path, BYTES_MAX, Audience::Owner).map_err(wrong)?.into();
    let (mut rest, mut records) = (whole.clone(), Vec::new());
    let mut segment = Segment::new(folder, first, 0);
    let is_torn = loop {
        segment.bytes = (whole.len() - rest.len()) as u64;
        if rest.is_empty() {
            break false;
        }
        match record::take(&mut rest) {
            Taken::Whole(record) => records.push(record),
            Taken::Unknown => return Err(SpoolError::Format { path }),
            Taken::Torn => break true,
        }
    };
    let at = segment.bytes;
    // A head is there as a whole or not at all: the file is replaced with it.
    let head = matches!(records.first(), Some(Record::Head(head)) if head.first == first);
    let was_synced = || record::synced(&rest).is_some_and(|synced| synced > at);
    if !head && !records.is_empty() {
        return Err(SpoolError::Format { path });
    }
    if !head || is_torn && (!is_last || was_synced()) {
        return Err(SpoolError::Damaged { path, at });
    }
    for record in &records {
        if let Record::Frame(frame) = record {
            segment.note(frame);
        }
    }
    Ok(Read { segment, records, torn_bytes: rest.len() as u64 })
}

/// The state that the last segment of a folder says.
pub(super) fn kept(read: &Read) -> Option<Kept> {
    let Some(Record::Head(head)) = read.records.first() else { return None };
    let mut kept = Kept::of_head(*head);
    read.records[1..].iter().for_each(|record| kept.apply(record));
    Some(kept)
}
