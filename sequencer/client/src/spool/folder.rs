//! The folder of a stream: read at its opening, taken over from version 1, and given segments.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use files::Audience;
use wire::StreamKey;

use super::amount::Amount;
use super::error::SpoolError;
use super::kept::{Kept, NO_EPOCH};
use super::record::{Epoch, KeptFrame, Record};
use super::segment::{self, Segment};
use super::version1;

/// What a folder holds.
pub(super) struct Found {
    pub(super) kept: Kept,
    pub(super) segments: VecDeque<Segment>,
    pub(super) waiting: Amount,
}

impl Found {
    /// Lets another patient follow, if nothing of the one before lacks a receipt. That one may
    /// come back, and the files that were sent are not to be sent twice.
    pub(super) fn hand_on(&mut self, key: &StreamKey, path: &Path) -> Result<(), SpoolError> {
        if self.kept.patient == key.patient {
            return Ok(());
        }
        if self.waiting.frames > 0 {
            return Err(SpoolError::Patient { path: path.to_owned() });
        }
        self.kept.patient = key.patient;
        self.kept.epoch = Epoch { number: NO_EPOCH, base: self.kept.last };
        (self.kept.receipted, self.kept.offered) = (self.kept.last, self.kept.last);
        Ok(())
    }
}

/// Reads a folder: every record is checked, and no frame is missing between two.
pub(super) fn find(folder: &Path, key: &StreamKey) -> Result<Found, SpoolError> {
    let firsts = segment::list(folder)?;
    let Some(last) = firsts.last().copied() else {
        let (kept, waiting) = (Kept::new(key.patient), Amount::default());
        return Ok(Found { kept, segments: VecDeque::new(), waiting });
    };
    let read = segment::read(folder, last, true)?;
    if read.is_torn {
        cut(&read.segment)?;
    }
    let mut kept = segment::kept(&read).unwrap_or_else(|| Kept::new(key.patient));
    // Only what has receipts is ever removed; the record of them may be lost.
    let before = firsts[0].saturating_sub(1);
    kept.receipted = kept.receipted.max(before);
    kept.offered = kept.offered.max(before);
    let (mut segments, mut waiting) = (VecDeque::new(), Amount::default());
    let mut expected = firsts[0];
    for first in firsts {
        let read = segment::read(folder, first, first == last)?;
        let segment = read.segment;
        // A crash came between the record that gives it up and its end.
        if segment.has_frames() && (segment.first..=segment.last).all(|one| kept.is_dropped(one)) {
            remove(&segment.path)?;
            continue;
        }
        for one in frames(read.records) {
            let found = one.number();
            // What has receipts is removed, in whatever order the disk does it.
            let mut between = expected.max(kept.receipted + 1)..found;
            if let Some(expected) = between.find(|number| !kept.is_dropped(*number)) {
                return Err(SpoolError::Missing { path: segment.path, expected, found });
            }
            expected = found + 1;
            if found > kept.receipted && !kept.is_dropped(found) {
                waiting.add(&one.frame);
            }
        }
        segments.push_back(segment);
    }
    Ok(Found { kept, segments, waiting })
}

/// The frames among records.
pub(super) fn frames(records: Vec<Record>) -> impl Iterator<Item = KeptFrame> {
    records.into_iter().filter_map(|record| match record {
        Record::Frame(kept) => Some(kept),
        _ => None,
    })
}

/// Makes a segment behind the last frame, or replaces one that has none.
pub(super) fn begin_segment(
    folder: &Path,
    kept: &mut Kept,
    oldest: u64,
) -> Result<(Segment, File), SpoolError> {
    let head: Vec<_> = kept.head(oldest).iter().flat_map(Record::encode).collect();
    let segment = Segment::new(folder, kept.last + 1, head.len() as u64);
    let wrong = |source| SpoolError::File { path: segment.path.clone(), source };
    files::replace(&segment.path, &[&head], Audience::Owner).map_err(wrong)?;
    let file = files::append(&segment.path).map_err(wrong)?;
    Ok((segment, file))
}

/// Cuts what was never written to its end.
fn cut(segment: &Segment) -> Result<(), SpoolError> {
    let wrong = |source| SpoolError::File { path: segment.path.clone(), source };
    let file = files::append(&segment.path).map_err(wrong)?;
    file.set_len(segment.bytes).and_then(|()| file.sync_all()).map_err(wrong)
}

pub(super) fn remove(path: &Path) -> Result<(), SpoolError> {
    let wrong = |source| SpoolError::File { path: path.to_owned(), source };
    std::fs::remove_file(path).map_err(wrong)
}

pub(super) fn old_path(path: &Path) -> PathBuf {
    path.with_extension("spool")
}

/// Makes one segment of what version 1 kept.
pub(super) fn take_over(path: &Path, key: &StreamKey) -> Result<(), SpoolError> {
    let old = old_path(path);
    if !old.exists() {
        return Ok(());
    }
    // Where there is one, it was made of the old file, and only that was not removed any more.
    if segment::list(path)?.is_empty() {
        let records = version1::records(&old, key)?;
        let first = records.iter().find_map(|record| match record {
            Record::Head(head) => Some(head.first),
            _ => None,
        });
        let bytes: Vec<_> = records.iter().flat_map(Record::encode).collect();
        let segment = Segment::new(path, first.unwrap_or(1), bytes.len() as u64);
        let wrong = |source| SpoolError::File { path: segment.path.clone(), source };
        files::replace(&segment.path, &[&bytes], Audience::Owner).map_err(wrong)?;
    }
    remove(&old)
}
