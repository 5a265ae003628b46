//! The folder of a stream: read at its opening, taken over from version 1, and given segments.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use files::Audience;
use model::Millis;
use wire::StreamKey;

use super::amount::Amount;
use super::disk;
use super::error::SpoolError;
use super::kept::Kept;
use super::record::{Epoch, KeptFrame, Record};
use super::segment::{self, Read, Segment};
use super::version1;

/// What a folder holds.
pub(super) struct Found {
    pub(super) kept: Kept,
    pub(super) segments: VecDeque<Segment>,
    pub(super) waiting: Amount,
    /// Bytes that were never written to their end, and are cut.
    pub(super) cut_bytes: u64,
}

impl Found {
    /// Lets another patient follow, if nothing of the one before lacks a receipt, and nothing was
    /// given up that nobody was told: it would be told as that one's. The one before may come back,
    /// and the files that were sent are not to be sent twice.
    pub(super) fn hand_on(&mut self, key: &StreamKey, path: &Path) -> Result<(), SpoolError> {
        if self.kept.patient == key.patient {
            return Ok(());
        }
        if self.waiting.frames > 0 || !self.kept.gaps.is_empty() {
            return Err(SpoolError::Patient { path: path.to_owned() });
        }
        // Not asked of the node, whose marks name some of its streams only.
        let number = self.kept.next_epoch(path)?;
        self.kept.patient = key.patient;
        self.kept.epoch = Epoch { number, base: self.kept.last };
        (self.kept.receipted, self.kept.offered) = (self.kept.last, self.kept.last);
        Ok(())
    }
}

/// Reads a folder: every record is checked, and no frame is missing between two.
pub(super) fn find(folder: &Path, key: &StreamKey) -> Result<Found, SpoolError> {
    let firsts = segment::list(folder)?;
    let Some(last) = firsts.last().copied() else {
        let (kept, waiting) = (Kept::new(key.patient), Amount::default());
        return Ok(Found { kept, segments: VecDeque::new(), waiting, cut_bytes: 0 });
    };
    let read = segment::read(folder, last, true)?;
    settle(&read)?;
    let cut_bytes = read.torn_bytes;
    let kept = segment::kept(&read).unwrap_or_else(|| Kept::new(key.patient));
    let (mut segments, mut waiting) = (VecDeque::new(), Amount::default());
    // What was removed had receipts or was given up, and a record of it was synced before.
    let (mut expected, mut at) = (1, Millis::default());
    for first in firsts {
        let one = segment::read(folder, first, first == last)?;
        let mut segment = one.segment;
        // The clock may have been set back: what follows is not older than what it follows.
        at = at.max(segment.at);
        segment.at = at;
        // A crash came between the record that gives it up and its end.
        if segment.has_frames() && (segment.first..=segment.last).all(|one| kept.is_dropped(one)) {
            remove(&segment.path)?;
            continue;
        }
        for one in frames(one.records) {
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
    let mut behind = expected.max(kept.receipted + 1)..=kept.last;
    if let Some(expected) = behind.find(|number| !kept.is_dropped(*number)) {
        let (path, found) = (read.segment.path, kept.last + 1);
        return Err(SpoolError::Missing { path, expected, found });
    }
    Ok(Found { kept, segments, waiting, cut_bytes })
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

/// Cuts what was never written to its end, and waits until the disk has the rest: a program that
/// was killed leaves it with the system, and from here on it is sent.
fn settle(last: &Read) -> Result<(), SpoolError> {
    let Read { segment, torn_bytes, .. } = last;
    let wrong = |source| SpoolError::File { path: segment.path.clone(), source };
    let file = files::append(&segment.path).map_err(wrong)?;
    if *torn_bytes > 0 {
        file.set_len(segment.bytes).map_err(wrong)?;
    }
    disk::sync(&file).map_err(wrong)
}

pub(super) fn remove(path: &Path) -> Result<(), SpoolError> {
    let wrong = |source| SpoolError::File { path: path.to_owned(), source };
    std::fs::remove_file(path).map_err(wrong)
}

pub(super) fn old_path(path: &Path) -> PathBuf {
    path.with_extension("spool")
}

/// Makes one segment of what version 1 kept. Its file stays under another name, untouched.
pub(super) fn take_over(path: &Path, key: &StreamKey) -> Result<(), SpoolError> {
    let (old, taken) = (old_path(path), path.with_extension("spool.taken"));
    if !old.exists() {
        return Ok(());
    }
    let whole = version1::whole(&old)?;
    if !segment::list(path)?.is_empty() {
        // The segments were made of it, and a crash came before it was removed; or they were not.
        if !taken.exists() || version1::whole(&taken)? != whole {
            return Err(SpoolError::Old { path: path.to_owned(), old });
        }
        return remove(&old);
    }
    let records = version1::records(&old, key)?;
    let first = records.iter().find_map(|record| match record {
        Record::Head(head) => Some(head.first),
        _ => None,
    });
    let bytes: Vec<_> = records.iter().flat_map(Record::encode).collect();
    let segment = Segment::new(path, first.unwrap_or(1), bytes.len() as u64);
    // In this order: whenever a crash comes, the next opening tells what was done.
    for (path, bytes) in [(&taken, &whole), (&segment.path, &bytes)] {
        let wrong = |source| SpoolError::File { path: path.clone(), source };
        files::replace(path, &[bytes], Audience::Owner).map_err(wrong)?;
    }
    remove(&old)
}
