//! Frames on their way to the session: staged in order, and ready once their write is synced.

use model::StreamHandle;
use wire::FramePlace;

use super::disk::Sync;
use super::record::{KeptFrame, Record};
use super::segment::{self, Segment};
use super::staged::{Ready, Staged};
use super::{Spool, SpoolError, frames};

impl Spool {
    /// Stages what waits, in order, up to so many bytes.
    pub(crate) fn stage(&mut self, bytes_max: usize) -> Result<(), SpoolError> {
        let (before, mut bytes) = (self.kept.offered, 0);
        let mut last = None;
        while self.waiting.frames > 0 {
            let Some(next) = self.load()? else { break };
            bytes += self.sent_bytes(next.frame.as_bytes().len());
            if bytes > bytes_max {
                break;
            }
            last = Some(next.number());
            self.loaded.pop_front();
            self.waiting.remove(&next.frame);
            self.stage_one(&next, next.number() <= before)?;
        }
        let Some(last) = last.filter(|last| *last > before) else { return Ok(()) };
        // Before any of them is sent: what was sent is never given up.
        self.append(&[Record::Offered(last)], Sync::Before)?;
        let written = self.written;
        self.staged.iter_mut().filter(|one| !one.again).for_each(|one| one.written = written);
        Ok(())
    }

    pub(super) fn stage_one(&mut self, kept: &KeptFrame, again: bool) -> Result<(), SpoolError> {
        let place = FramePlace {
            handle: StreamHandle(0),
            epoch: self.kept.epoch.number,
            sequence: self.kept.sequence(kept.number()),
        };
        self.reached = kept.number();
        let (written, mut frame) = (self.written, kept.frame.at_place(place));
        // Only here: what is encrypted is bound to epoch and sequence, which it has from now on.
        if let Some(encrypting) = &mut self.encrypting {
            frame = encrypting.encrypt(&frame).map_err(SpoolError::Encrypt)?;
        }
        self.staged_bytes += frame.as_bytes().len();
        self.staged.push_back(Staged { written, again, frame });
        Ok(())
    }

    /// Bytes of the frame that is staged next; 0 if none waits.
    pub(crate) fn next_bytes(&mut self) -> Result<usize, SpoolError> {
        let next = self.load()?;
        Ok(next.map_or(0, |next| self.sent_bytes(next.frame.as_bytes().len())))
    }

    /// The frame behind the last one staged, read back if need be.
    pub(super) fn load(&mut self) -> Result<Option<KeptFrame>, SpoolError> {
        if self.loaded.is_empty() {
            let next = self.segments.iter().find(|segment| segment.last > self.reached);
            let Some(Segment { first, .. }) = next else { return Ok(None) };
            let is_last = *first == self.last_segment().first;
            let read = segment::read(&self.folder, *first, is_last)?;
            let reached = self.reached;
            self.loaded = frames(read.records).filter(|one| one.number() > reached).collect();
        }
        Ok(self.loaded.front().cloned())
    }

    /// The next frame that may be sent.
    pub(crate) fn next_ready(&mut self) -> Option<Ready> {
        let first = self.staged.front()?;
        let is_held_back = self.goes_up_to.is_some_and(|last| first.frame.sequence() > last);
        if first.written > self.synced || self.disk.has_failed() || is_held_back {
            return None;
        }
        let Staged { again, frame, .. } = self.staged.pop_front()?;
        self.staged_bytes -= frame.as_bytes().len();
        Some(Ready { again, frame })
    }
}
