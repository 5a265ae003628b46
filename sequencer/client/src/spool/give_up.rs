//! What was never sent is given up where there is no room, with a record of what it was.

use std::collections::BTreeMap;

use model::Sequence;
use wire::{DeviceTime, Frame, Quality, Reading};

use super::folder::{frames, remove};
use super::gap::{Frames, Gap, GapCause};
use super::record::{Epoch, KeptFrame, OwnedMark, Record};
use super::worth::{Spare, Worth};
use super::{Amount, Spool, SpoolError, Sync, segment};
use crate::InputMark;

impl Spool {
    /// The segments that may be given up: nothing in them was sent.
    pub(crate) fn spares(&self) -> impl Iterator<Item = Spare> {
        let loaded = self.loaded.back().map_or(0, KeptFrame::number);
        let sent = self.kept.offered.max(self.reached).max(loaded);
        let spare = self.segments.iter().filter(move |one| one.has_frames() && one.first > sent);
        spare.map(|one| Spare {
            worth: if one.alarm { Worth::Alarm } else { Worth::of(self.key.signal()) },
            at: one.at,
            first: one.first,
        })
    }

    /// What a frame that is made of these is worth.
    pub(crate) fn worth_of(&self, readings: &[Reading]) -> Worth {
        let alarm = |one: &Reading| one.quality.contains(Quality::ALARM);
        if readings.iter().any(alarm) { Worth::Alarm } else { Worth::of(self.key.signal()) }
    }

    /// Gives a spare segment up; says how much that is.
    pub(crate) fn give_up(&mut self, first: u64, cause: GapCause) -> Result<Amount, SpoolError> {
        if first == self.last_segment().first {
            // The record of it stands behind it, not within.
            self.rotate()?;
        }
        let Some(at) = self.segments.iter().position(|one| one.first == first) else {
            return Ok(Amount::default());
        };
        let read = segment::read(&self.folder, first, false)?;
        let (mut amount, mut times) = (Amount::default(), None);
        let last = self.segments[at].last;
        for kept in frames(read.records) {
            amount.add(&kept.frame);
            let (from, until) = self.times(&kept.frame);
            let (first, last) = times.unwrap_or((from, until));
            times = Some((from.min(first), until.max(last)));
        }
        let Some((from, until)) = times else { return Ok(amount) };
        let frames = Frames { first, last };
        let gap = Gap { readings: amount.readings, from, until, cause, frames };
        let sequence = self.kept.sequence(first);
        self.moved = Some(self.moved.map_or(sequence, |before| before.min(sequence)));
        self.append(&[Record::Dropped(gap)], Sync::Before)?;
        // First what it was, then that it is gone: without the record the numbers had a hole.
        self.sync()?;
        remove(&self.segments[at].path)?;
        self.segments.remove(at);
        self.waiting.frames = self.waiting.frames.saturating_sub(amount.frames);
        self.waiting.readings = self.waiting.readings.saturating_sub(amount.readings);
        Ok(amount)
    }

    /// Gives up all that has no receipt, also what was sent: the node refused it, and whoever made
    /// it is told. It is never sent again, and its marks go back to what has a receipt. What
    /// follows has an epoch of its own, so that no sequence stands for two frames.
    pub(crate) fn abandon(&mut self) -> Result<Amount, SpoolError> {
        let mut gone = Amount::default();
        let marks = self.marks_before_receipts(&mut gone)?;
        if gone.frames == 0 {
            return Ok(gone);
        }
        let patient = self.kept.patient;
        let (epoch, last) = (self.kept.next_epoch(&self.folder)?, self.kept.last);
        let marks = marks.into_iter().map(|mark| Record::Mark(OwnedMark { patient, mark }));
        let epoch = Record::Epoch(Epoch { number: epoch, base: last });
        let records: Vec<_> = marks.chain([epoch, Record::Receipted(last)]).collect();
        records.iter().for_each(|record| self.kept.apply(record));
        // All of it in the head of a new segment, which is there as a whole or not at all.
        self.rotate()?;
        self.staged.clear();
        self.loaded.clear();
        (self.staged_bytes, self.reached, self.waiting) = (0, last, Amount::default());
        Ok(gone)
    }

    /// Where the marks go back to if all that has no receipt is given up.
    pub(crate) fn marks_without_receipt(&self) -> Result<Vec<InputMark>, SpoolError> {
        self.marks_before_receipts(&mut Amount::default())
    }

    /// The mark of the first frame without a receipt that may have been sent: of those that the
    /// node refuses it refuses that one, and has not looked at what follows.
    pub(crate) fn first_sent_mark(&self) -> Result<Option<InputMark>, SpoolError> {
        let last = self.last_segment().first;
        for one in self.segments.iter().filter(|one| one.last > self.kept.receipted) {
            let read = segment::read(&self.folder, one.first, one.first == last)?;
            let lacks = |number| number > self.kept.receipted && !self.kept.is_dropped(number);
            if let Some(frame) = frames(read.records).find(|frame| lacks(frame.number())) {
                return Ok(frame.mark.filter(|_| frame.number() <= self.kept.offered));
            }
        }
        Ok(None)
    }

    /// The marks that frames without a receipt moved, where they were before; what was never
    /// marked before is at its begin.
    fn marks_before_receipts(&self, gone: &mut Amount) -> Result<Vec<InputMark>, SpoolError> {
        let mut before: BTreeMap<[u8; 16], InputMark> = BTreeMap::new();
        let mut moved: BTreeMap<[u8; 16], InputMark> = BTreeMap::new();
        let last = self.last_segment().first;
        for one in &self.segments {
            let read = segment::read(&self.folder, one.first, one.first == last)?;
            for record in read.records {
                let (mark, is_gone) = match record {
                    Record::Mark(owned) if owned.patient == self.kept.patient => {
                        (Some(owned.mark), false)
                    }
                    Record::Frame(frame) => {
                        let number = frame.number();
                        let lacks = number > self.kept.receipted && !self.kept.is_dropped(number);
                        if lacks {
                            gone.add(&frame.frame);
                        }
                        (frame.mark, lacks)
                    }
                    _ => continue,
                };
                let Some(mark) = mark.filter(|mark| !moved.contains_key(&mark.name)) else {
                    continue;
                };
                if is_gone {
                    let begin = InputMark { lines: 0, taken: 0, ..mark };
                    moved.insert(mark.name, before.get(&mark.name).copied().unwrap_or(begin));
                } else {
                    before.insert(mark.name, mark);
                }
            }
        }
        Ok(moved.into_values().collect())
    }

    /// The first sequence that stands for another frame since this was asked last, because frames
    /// were given up.
    pub(crate) fn take_moved(&mut self) -> Option<Sequence> {
        self.moved.take()
    }

    /// Gives readings up that are not kept at all.
    pub(crate) fn refuse(&mut self, frame: &Frame, cause: GapCause) -> Result<(), SpoolError> {
        // What is known may itself be as long as a segment: then it is not written each time.
        if self.last_segment().bytes >= self.segment_bytes.max(2 * self.begun_bytes) {
            self.rotate()?;
        }
        let (from, until) = self.times(frame);
        // Behind the last frame, and no frame itself.
        let frames = Frames { first: self.kept.last + 1, last: self.kept.last };
        let readings = u64::from(frame.header().count);
        let gap = Gap { readings, from, until, cause, frames };
        self.append(&[Record::Dropped(gap)], Sync::Before)
    }

    /// When the first and the last reading of a frame were measured.
    fn times(&self, frame: &Frame) -> (DeviceTime, DeviceTime) {
        let from = frame.header().start;
        let readings = self.key.signal().and_then(|signal| frame.readings(signal).ok());
        (from, readings.and_then(|all| Some(all.last()?.at)).unwrap_or(from))
    }
}
