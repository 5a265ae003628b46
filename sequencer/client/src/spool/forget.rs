//! What has receipts is forgotten: when, and in which order, so that a crash leaves no hole.

use model::{Millis, Sequence};

use super::folder::remove;
use super::record::Record;
use super::segment::Segment;
use super::{Amount, Receipted, Spool, SpoolError, Sync};

impl Spool {
    /// Forgets frames up to `last`, which have receipts; says what of them the session never had.
    /// Not synced: forgetting late costs some frames sent again.
    pub(crate) fn forget_up_to(
        &mut self,
        last: Sequence,
        at: Millis,
    ) -> Result<Amount, SpoolError> {
        let number = self.kept.number(last);
        let mut passed = Amount::default();
        while let Some(one) = self.staged.pop_front_if(|one| one.frame.sequence() <= last) {
            self.staged_bytes -= one.frame.as_bytes().len();
            passed.add(&one.frame);
        }
        // A receipt may be of a group that was sent before a restart, and is not read back yet.
        while self.reached < number && self.waiting.frames > 0 {
            let Some(next) = self.load()?.filter(|next| next.number() <= number) else { break };
            self.reached = next.number();
            self.waiting.remove(&next.frame);
            passed.add(&next.frame);
            self.loaded.pop_front();
        }
        self.note_receipts(number)?;
        self.forget_segments(at)?;
        Ok(passed)
    }

    /// Takes receipts in. On a disk that is full it is they that make room.
    fn note_receipts(&mut self, number: u64) -> Result<(), SpoolError> {
        let record = Record::Receipted(number);
        match self.append(std::slice::from_ref(&record), Sync::Whenever) {
            Err(error) if error.is_of_full_disk() => self.kept.apply(&record),
            appended => return appended,
        }
        // Before the record of it, for which there is no room: a crash between the two is told as
        // frames that are missing, and none is.
        self.drop_first(self.done().min(1))?;
        match self.record_receipts() {
            // With the next ones, then: forgetting late costs some frames sent again.
            Err(error) if error.is_of_full_disk() => Ok(()),
            recorded => recorded,
        }
    }

    /// Says what has receipts, where no record does.
    fn record_receipts(&mut self) -> Result<(), SpoolError> {
        if self.recorded >= self.kept.receipted {
            return Ok(());
        }
        self.append(&[Record::Receipted(self.kept.receipted)], Sync::Whenever)
    }

    /// Removes segments of which nothing lacks a receipt, beyond what is kept of them.
    fn forget_segments(&mut self, at: Millis) -> Result<(), SpoolError> {
        if self.recorded < self.kept.receipted {
            // The disk is full, and without the record nothing more may go.
            return Ok(());
        }
        let done = self.done();
        let mut bytes: u64 = self.segments.iter().take(done).map(|one| one.bytes).sum();
        let Receipted { bytes_max, age_ms_max } = self.receipted;
        let mut gone = 0;
        for segment in self.segments.iter().take(done) {
            if bytes <= bytes_max && at.since(segment.at) <= age_ms_max {
                break;
            }
            bytes -= segment.bytes;
            gone += 1;
        }
        self.remove_first(gone)
    }

    /// How many segments, the oldest ones, lack no receipt.
    fn done(&self) -> usize {
        let closed = self.segments.iter().take(self.segments.len() - 1);
        closed.take_while(|one| self.is_done(one)).count()
    }

    fn is_done(&self, segment: &Segment) -> bool {
        let mut needed = segment.first.max(self.kept.receipted + 1)..=segment.last;
        needed.all(|number| self.kept.is_dropped(number))
    }

    /// Bytes that the last segment has grown by, if nothing in it lacks a receipt.
    pub(crate) fn spent_bytes(&self) -> Option<u64> {
        let last = self.last_segment();
        let grown = last.bytes.saturating_sub(self.begun_bytes);
        (grown > 0 && self.is_done(last)).then_some(grown)
    }

    /// Begins a segment where nothing in the last one lacks a receipt: that one can be forgotten.
    pub(crate) fn compact(&mut self) -> Result<(), SpoolError> {
        if self.spent_bytes().is_some() { self.rotate() } else { Ok(()) }
    }

    /// When the oldest segment was written that is kept although it lacks no receipt.
    pub(crate) fn oldest_done(&self) -> Option<Millis> {
        (self.done() > 0).then(|| self.segments.front().map(|one| one.at)).flatten()
    }

    /// Bytes of its files but of those that lack no receipt.
    pub(crate) fn needed_bytes(&self) -> u64 {
        let bytes: u64 = self.segments.iter().skip(self.done()).map(|one| one.bytes).sum();
        bytes - self.spent_bytes().unwrap_or(0)
    }

    /// Removes the oldest segment, which lacks no receipt.
    pub(crate) fn forget_oldest(&mut self) -> Result<(), SpoolError> {
        self.remove_first(self.done().min(1))
    }

    fn remove_first(&mut self, count: usize) -> Result<(), SpoolError> {
        if count == 0 {
            return Ok(());
        }
        // First that they have receipts, then that they are gone: else some would be missing.
        self.record_receipts()?;
        self.sync_last()?;
        self.drop_first(count)
    }

    fn drop_first(&mut self, count: usize) -> Result<(), SpoolError> {
        for segment in self.segments.drain(..count) {
            remove(&segment.path)?;
        }
        Ok(())
    }
}
