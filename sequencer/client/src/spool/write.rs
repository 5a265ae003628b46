//! Writes and syncs of the last segment, to which alone anything is appended.

use std::io;
use std::sync::Arc;

use super::disk::{Sync, Unsynced};
use super::record::Record;
use super::segment::Segment;
use super::{Spool, SpoolError, begin_segment};

impl Spool {
    /// What is to be synced; `None` if everything is, and where the disk failed to once.
    pub(crate) fn unsynced(&self) -> Option<Unsynced> {
        let is_due = self.written > self.synced && !self.disk.has_failed();
        is_due.then(|| Unsynced {
            disk: self.disk.clone(),
            file: self.file.clone(),
            folder: self.folder.clone(),
            bytes: self.last_segment().bytes,
            written: self.written,
        })
    }

    /// Whether the disk has all that was written.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced == self.written
    }

    /// It was synced.
    pub(crate) fn note_synced(&mut self, done: &Unsynced) {
        self.synced = self.synced.max(done.written);
        if Arc::ptr_eq(&done.file, &self.file) {
            self.synced_bytes = self.synced_bytes.max(done.bytes);
        }
        if self.synced == self.written {
            // Nothing follows that would say so. Where it cannot be written, damage in what was
            // synced last is not told from a torn write, and nothing else is the worse for it.
            drop(self.append(&[], Sync::Whenever));
        }
    }

    /// Waits until the disk has everything.
    pub(crate) fn sync(&mut self) -> Result<(), SpoolError> {
        self.check_disk()?;
        let Some(unsynced) = self.unsynced() else { return Ok(()) };
        unsynced.sync()?;
        self.note_synced(&unsynced);
        Ok(())
    }

    pub(super) fn last_segment(&self) -> &Segment {
        self.segments.back().expect("there is one from the opening on, and the last one stays")
    }

    /// Begins the next segment, with all that is known.
    pub(super) fn rotate(&mut self) -> Result<(), SpoolError> {
        self.sync_last()?;
        let oldest = self.segments.front().map_or(0, |one| one.first);
        let begun = begin_segment(&self.folder, &mut self.kept, oldest);
        // Which file has the name is not known after an error.
        let (mut segment, file) = begun.inspect_err(|_| self.disk.fail())?;
        segment.at = self.last_segment().at;
        self.file = Arc::new(file);
        (self.synced_bytes, self.told_synced_bytes) = (segment.bytes, segment.bytes);
        (self.begun_bytes, self.recorded) = (segment.bytes, self.kept.receipted);
        // One without frames has the name of the next, which replaced it.
        self.segments.retain(|one| one.first != segment.first);
        self.segments.push_back(segment);
        Ok(())
    }

    /// Waits until the disk has the last segment as it stands.
    pub(super) fn sync_last(&mut self) -> Result<(), SpoolError> {
        self.check_disk()?;
        self.disk.sync(&self.file).map_err(|source| self.wrong(source))?;
        (self.synced, self.synced_bytes) = (self.written, self.last_segment().bytes);
        Ok(())
    }

    pub(super) fn check_disk(&self) -> Result<(), SpoolError> {
        if self.disk.has_failed() {
            return Err(SpoolError::Unsynced { path: self.folder.clone() });
        }
        Ok(())
    }

    /// Writes records to the last segment.
    pub(super) fn append(&mut self, records: &[Record], when: Sync) -> Result<(), SpoolError> {
        self.check_disk()?;
        let mut bytes = Vec::new();
        if self.synced_bytes > self.told_synced_bytes {
            bytes.extend(Record::Synced(self.synced_bytes).encode());
        }
        records.iter().for_each(|record| bytes.extend(record.encode()));
        if bytes.is_empty() {
            return Ok(());
        }
        let before = self.last_segment().bytes;
        let appended = self.disk.append(&self.file, &bytes, before);
        appended.map_err(|source| self.wrong(source))?;
        self.told_synced_bytes = self.synced_bytes;
        if let Some(last) = self.segments.back_mut() {
            last.bytes += bytes.len() as u64;
        }
        records.iter().for_each(|record| self.kept.apply(record));
        if records.iter().any(|one| matches!(one, Record::Receipted(_) | Record::Rewound(_))) {
            self.recorded = self.kept.receipted;
        }
        if when == Sync::Before {
            self.written += 1;
        }
        Ok(())
    }

    pub(super) fn wrong(&self, source: io::Error) -> SpoolError {
        SpoolError::File { path: self.folder.clone(), source }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Nobody waits for it any more; where it fails, the readings are as safe as before. Behind
        // it stands that it was synced, so that damage is found at the next opening.
        drop(self.sync().and_then(|()| self.append(&[], Sync::Whenever)));
    }
}
