//! What the records of a stream say, one after the other: the same while it is written and when it
//! is read again.

use std::path::Path;

use model::{EpochNumber, PatientIndex, Sequence};

use super::error::SpoolError;
use super::gap::{Frames, Gap};
use super::record::{Epoch, Head, OwnedMark, Record};
use crate::InputMark;

/// The epoch of frames that have none yet.
pub(crate) const NO_EPOCH: EpochNumber = EpochNumber(0);

/// Files of readings whose places are kept; of more, those that were not sent for longest are
/// forgotten.
const MARKS_MAX: usize = 1024;
/// Gaps that are kept until they are told; of more, the two oldest become one.
const GAPS_MAX: usize = 1024;

/// The state of a stream, without its frames.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) epoch: Epoch,
    pub(super) patient: PatientIndex,
    /// Everything up to this number has a receipt, or is given up.
    pub(super) receipted: u64,
    /// Nothing behind this number was ever sent.
    pub(super) offered: u64,
    /// The number that was given last.
    pub(super) last: u64,
    /// Frames that are given up, in order.
    pub(super) holes: Vec<Frames>,
    /// What stood in them, as far as it is not told.
    pub(super) gaps: Vec<Gap>,
    /// Places in files, of every patient of the device, the last sent from last.
    marks: Vec<OwnedMark>,
}

impl Kept {
    /// Nothing of a patient.
    pub(super) fn new(patient: PatientIndex) -> Kept {
        Kept {
            epoch: Epoch { number: NO_EPOCH, base: 0 },
            patient,
            receipted: 0,
            offered: 0,
            last: 0,
            holes: Vec::new(),
            gaps: Vec::new(),
            marks: Vec::new(),
        }
    }

    pub(super) fn of_head(head: Head) -> Kept {
        let Head { first, epoch, patient, receipted, offered } = head;
        let last = first.saturating_sub(1);
        Kept { epoch, receipted, offered, last, ..Kept::new(patient) }
    }

    /// What a new segment begins with. Holes before `oldest`, the first frame that is kept, are
    /// counted into the epoch's base: no number before them is asked for any more.
    pub(super) fn head(&mut self, oldest: u64) -> Vec<Record> {
        self.receipted = self.receipted.max(oldest.saturating_sub(1));
        self.offered = self.offered.max(self.receipted);
        for hole in self.holes.extract_if(.., |hole| hole.last < oldest) {
            if hole.first > self.epoch.base {
                self.epoch.base += hole.count();
            }
        }
        let Kept { epoch, patient, receipted, offered, last, .. } = *self;
        let head = Head { first: last + 1, epoch, patient, receipted, offered };
        let marks = self.marks.iter().copied().map(Record::Mark);
        let holes = self.holes.iter().copied().map(Record::Hole);
        let gaps = self.gaps.iter().copied().map(Record::Gap);
        std::iter::once(Record::Head(head)).chain(marks).chain(holes).chain(gaps).collect()
    }

    /// Takes in a record that follows.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Head(head) => *self = Kept::of_head(*head),
            Record::Frame(kept) => {
                self.last = kept.number();
                if !kept.waits {
                    self.offered = self.last;
                }
                let patient = self.patient;
                kept.mark.into_iter().for_each(|mark| self.set_mark(OwnedMark { patient, mark }));
            }
            Record::Receipted(up_to) => self.receipted = self.receipted.max(*up_to),
            Record::Mark(mark) => self.set_mark(*mark),
            Record::Offered(up_to) => self.offered = self.offered.max(*up_to),
            Record::Dropped(gap) => {
                self.add_hole(gap.frames);
                self.add_gap(*gap);
            }
            Record::Hole(frames) => self.add_hole(*frames),
            Record::Gap(gap) => self.gaps.push(*gap),
            Record::Synced(_) => {}
            Record::Epoch(epoch) => self.epoch = *epoch,
            Record::Told(up_to) => self.gaps.retain(|gap| gap.frames.last > *up_to),
            Record::Rewound(to) => self.receipted = *to,
        }
        // What has a receipt was sent.
        self.offered = self.offered.max(self.receipted);
    }

    /// The epoch that follows, so that no sequence stands for two frames: none if there is none
    /// yet, since then nothing was sent.
    ///
    /// # Errors
    /// [`SpoolError::EpochsUsed`] behind the last one there is.
    pub(super) fn next_epoch(&self, path: &Path) -> Result<EpochNumber, SpoolError> {
        match self.epoch.number {
            NO_EPOCH => Ok(NO_EPOCH),
            EpochNumber(number) => number
                .checked_add(1)
                .map(EpochNumber)
                .ok_or_else(|| SpoolError::EpochsUsed { path: path.to_owned() }),
        }
    }

    /// Whether a frame is given up.
    pub(super) fn is_dropped(&self, number: u64) -> bool {
        self.holes.iter().any(|hole| hole.contains(number))
    }

    /// The sequence that a frame has in the epoch.
    pub(super) fn sequence(&self, number: u64) -> Sequence {
        let before = self.epoch_holes().filter(|hole| hole.last <= number);
        let dropped: u64 = before.map(Frames::count).sum();
        Sequence(number.saturating_sub(self.epoch.base).saturating_sub(dropped))
    }

    /// The number of the frame that has a sequence in the epoch.
    pub(super) fn number(&self, sequence: Sequence) -> u64 {
        let number = self.epoch.base.saturating_add(sequence.0);
        self.epoch_holes().fold(number, |number, hole| {
            if hole.first <= number { number + hole.count() } else { number }
        })
    }

    /// The places in files that were sent for the patient, the last sent from last.
    pub(super) fn marks(&self) -> Vec<InputMark> {
        let own = self.marks.iter().filter(|one| one.patient == self.patient);
        own.map(|one| one.mark).collect()
    }

    fn epoch_holes(&self) -> impl Iterator<Item = Frames> {
        self.holes.iter().copied().filter(|hole| hole.first > self.epoch.base)
    }

    fn add_hole(&mut self, frames: Frames) {
        if frames.count() == 0 {
            return;
        }
        let at = self.holes.partition_point(|hole| hole.first < frames.first);
        self.holes.insert(at, frames);
        // What touches is one, so that a folder that is full for days has few; but not over the
        // begin of the epoch, before which nothing is counted.
        let base = self.epoch.base;
        let mut joined: Vec<Frames> = Vec::with_capacity(self.holes.len());
        for hole in self.holes.drain(..) {
            let same = |one: &&mut Frames| (one.first > base) == (hole.first > base);
            match joined.last_mut().filter(|one| one.last + 1 == hole.first).filter(same) {
                Some(before) => before.last = hole.last,
                None => joined.push(hole),
            }
        }
        self.holes = joined;
    }

    fn add_gap(&mut self, gap: Gap) {
        // What goes on is one gap, so that a folder that is full for days has few.
        match self.gaps.last_mut().and_then(|last| Some((last.joined(&gap)?, last))) {
            Some((joined, last)) => *last = joined,
            None => self.gaps.push(gap),
        }
        if self.gaps.len() > GAPS_MAX {
            let first = self.gaps.remove(0);
            self.gaps[0] = first.covering(&self.gaps[0]);
        }
    }

    fn set_mark(&mut self, mark: OwnedMark) {
        let same = |one: &OwnedMark| one.patient == mark.patient && one.mark.name == mark.mark.name;
        self.marks.retain(|one| !same(one));
        if self.marks.len() >= MARKS_MAX {
            self.marks.remove(0);
        }
        self.marks.push(mark);
    }
}
