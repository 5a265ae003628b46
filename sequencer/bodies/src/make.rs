//! New keys: drawn, made durable, and only then given out.
//!
//! A new key costs one write to the end of a file and the ledger in both places, however many keys
//! there are, so that the first frame of the ten thousandth patient waits as long as that of the
//! first. Several that are needed at once cost one such write together.

use model::{Interval, Millis, PatientIndex, with_causes};

use crate::error::KeyStoreError;
use crate::generation::Kept;
use crate::key::{BodyEpoch, BodyKey, KeyId};
use crate::keys::{BodyKeys, Drawn, Files, Held, KEYS_MAX, TAIL_LONG};
use crate::tail::TailRecord;
use crate::wrapping::Named;

/// Keys of the next epoch are made in the last part of one, this fraction of it.
const AHEAD: u64 = 10;

/// Keys that are made ahead with one write: whoever needs a new one meanwhile waits for as many at
/// most, some milliseconds.
const MADE_AT_ONCE: usize = 1_024;

/// Keys that are drawn and could not be kept, at most: more are drawn once these are.
const PENDING_MAX: usize = 4_096;

/// Milliseconds from one try that failed to the next: a disk that is full is not asked with every
/// frame.
pub(crate) const TRIED_EVERY_MS: u64 = 1_000;

impl BodyKeys {
    /// Makes keys durable for those of these patients who have none to seal with at `now`, with one
    /// write. Those before the first that cannot be had are made.
    ///
    /// # Errors
    /// [`KeyStoreError`] for the first that cannot be had; whoever has a key goes on.
    pub fn make(&self, patients: &[PatientIndex], now: Millis) -> Result<(), KeyStoreError> {
        self.make_for(patients, now, now)
    }

    /// As [`BodyKeys::make`], of keys to be used at a time.
    fn make_for(
        &self,
        patients: &[PatientIndex],
        used: Millis,
        now: Millis,
    ) -> Result<(), KeyStoreError> {
        let mut files = self.files()?;
        if patients.is_empty() && files.pending.is_empty() {
            // Nothing is to be kept; whether there is room for another key is known all the same.
            self.be_sure(&mut files)?;
            if self.held().keys.len() < KEYS_MAX {
                self.set_trouble(None);
            }
            return Ok(());
        }
        let since = files.failed_at.filter(|at| *at <= now).map(|at| now.since(at));
        if since.is_some_and(|since| since < TRIED_EVERY_MS) {
            return Err(KeyStoreError::Waits);
        }
        let made = self.be_sure(&mut files).and_then(|()| {
            let drawn =
                patients.iter().try_for_each(|one| self.draw(&mut files, *one, (used, now)));
            // Also where one could not be drawn: those before it can be had.
            self.keep_pending(&mut files).and(drawn)
        });
        files.failed_at = made.is_err().then_some(now);
        self.set_trouble(made.as_ref().err().map(|error| with_causes(error)));
        made
    }

    /// Draws a key for the patient, unless there is one.
    fn draw(
        &self,
        files: &mut Files,
        patient: PatientIndex,
        (used, created): (Millis, Millis),
    ) -> Result<(), KeyStoreError> {
        let (epoch, span, keys) = {
            let mut held = self.hold();
            if held.current(patient, used).is_some() {
                return Ok(());
            }
            let (epoch, span) = held.epoch_for(patient, used, self.epoch_ms());
            (epoch, span, held.keys.len())
        };
        let id = KeyId { epoch, patient };
        // After a failure: it is written with the next try.
        if files.pending.iter().any(|drawn| drawn.record.named.id == id) {
            return Ok(());
        }
        if files.pending.len() >= PENDING_MAX {
            return Err(KeyStoreError::Waits);
        }
        if keys + files.pending.len() >= KEYS_MAX {
            return Err(KeyStoreError::Full { most: KEYS_MAX });
        }
        let medium = &*self.places().keys;
        let key = BodyKey::draw(medium).map_err(|_| KeyStoreError::Entropy)?;
        // Later than every backup that it is not in, whatever the clocks say: what is given here is
        // the time of a group of the journal, which may have been begun before.
        let begun = self.held().ledger.last_begun();
        let created = begun.map_or(created, |begun| created.max(begun.plus(1)));
        let named = Named { id, created };
        let wrapped = files.wrapping.wrap(medium, named, &key);
        let wrapped = wrapped.map_err(|_| KeyStoreError::Entropy)?;
        let record = TailRecord { named, span, wrapped };
        files.pending.push(Drawn { kept: Kept { key, created }, record });
        Ok(())
    }

    /// Makes every key durable that was drawn, and gives it out.
    fn keep_pending(&self, files: &mut Files) -> Result<(), KeyStoreError> {
        if files.pending.is_empty() {
            return Ok(());
        }
        let mut ledger = self.held().ledger.clone();
        let records: Vec<_> = files.pending.iter().map(|drawn| drawn.record.clone()).collect();
        self.places().write_tail(&ledger, &records)?;
        // Behind the tail: it never speaks of a key that is not there.
        records.iter().for_each(|record| ledger.count_one(record.named.id.epoch));
        self.places().keep_ledger(&ledger)?;
        let made = records.iter().map(|record| record.named.id);
        if let Some(meanwhile) = &mut files.meanwhile {
            meanwhile.extend(made);
        }
        let mut held = self.hold();
        held.ledger = ledger;
        for Drawn { kept, record } in files.pending.drain(..) {
            held.keys.spans.insert(record.named.id.epoch, record.span);
            held.keys.insert(record.named.id, kept);
        }
        Ok(())
    }

    /// Tries again to make keys that were drawn and could not be kept.
    pub(crate) fn keep_drawn(&self, files: &mut Files) -> Result<(), KeyStoreError> {
        self.be_sure(files)?;
        if !files.pending.is_empty() {
            self.keep_pending(files)?;
            // It goes again: whoever needs a key is not told to wait.
            files.failed_at = None;
            self.set_trouble(None);
        }
        Ok(())
    }

    /// Makes the keys of the next epoch for whoever has one of this, if this one is about to end or
    /// did while nobody looked, so that the writer need not make them one by one.
    ///
    /// # Errors
    /// [`KeyStoreError`]; the writer makes those that it needs.
    pub fn make_due(&self, now: Millis) -> Result<(), KeyStoreError> {
        // Also what failed before: whoever watches learns that it goes again.
        self.make(&[], now).and_then(|()| self.make_late(now))
    }

    /// As [`BodyKeys::make_due`]; and writes the files of epochs anew once the tail grew long, or
    /// where keys that were destroyed stand in them, which takes as long as there are keys.
    ///
    /// # Errors
    /// [`KeyStoreError`], once all of it was tried.
    pub fn make_ahead(&self, now: Millis) -> Result<(), KeyStoreError> {
        let made = self.make_due(now);
        let is_due = {
            let held = self.held();
            !held.unfinished.is_empty() || held.ledger.tail >= TAIL_LONG
        };
        // Whoever goes through all keys now writes the files as well, or does not need them.
        let changing = self.try_changing().filter(|_| is_due);
        changing.map_or(Ok(()), |changing| self.rewrite(&changing)).and(made)
    }

    fn make_late(&self, now: Millis) -> Result<(), KeyStoreError> {
        let late = self.held().late(now);
        for (epoch, end) in late {
            let mut last = None;
            loop {
                // In a statement of its own: the lock is free before a key is made.
                let some = self.held().ending(epoch, end, &mut last);
                let Some(some) = some else { break };
                if !some.is_empty() {
                    self.make_for(&some, end, now)?;
                }
            }
        }
        Ok(())
    }
}

impl Held {
    /// The epoch that runs: the last one that has begun, unless it is over.
    fn running(&self, now: Millis) -> Option<(BodyEpoch, Interval)> {
        let begun = self.keys.spans.iter().rev().find(|(_, span)| span.from <= now);
        begun.filter(|(_, span)| now < span.until).map(|(epoch, span)| (*epoch, *span))
    }

    /// The epoch in which the patient may have a key; a new one begins where none runs, or where
    /// the patient's key of it was destroyed.
    fn epoch_for(
        &mut self,
        patient: PatientIndex,
        now: Millis,
        epoch_ms: u64,
    ) -> (BodyEpoch, Interval) {
        if let Some((epoch, span)) = self.running(now)
            && !self.ledger.is_destroyed(KeyId { epoch, patient })
        {
            return (epoch, span);
        }
        let last = self.keys.spans.keys().last().copied().unwrap_or_default();
        let epoch = BodyEpoch(last.max(self.ledger.epochs_begun).0 + 1);
        // At the last instant of all times an epoch of one millisecond, which ends never.
        let from = now.min(Millis::UNBOUNDED_FUTURE.before());
        let span = Interval { from, until: from.plus(epoch_ms) };
        self.keys.spans.insert(epoch, span);
        (epoch, span)
    }

    /// The epochs that are about to end, and from when on their patients need another key; the
    /// newest one and now, if it is over and none runs.
    fn late(&self, now: Millis) -> Vec<(BodyEpoch, Millis)> {
        if self.running(now).is_none() {
            let over = self.keys.spans.iter().rev().find(|(_, span)| span.until <= now);
            return over.map(|(epoch, _)| (*epoch, now)).into_iter().collect();
        }
        let late = self.keys.spans.iter().filter(|(_, span)| {
            let runs = span.from <= now && now < span.until;
            runs && span.until.since(now) <= span.until.since(span.from) / AHEAD
        });
        late.map(|(epoch, span)| (*epoch, span.until)).collect()
    }

    /// Looks at the next keys of an epoch that ends then, and says which of their patients have
    /// none for what comes behind; nothing once all were looked at.
    fn ending(
        &self,
        epoch: BodyEpoch,
        end: Millis,
        last: &mut Option<PatientIndex>,
    ) -> Option<Vec<PatientIndex>> {
        let some = self.keys.of_behind(epoch, *last).map(|(id, _)| id.patient);
        let some: Vec<_> = some.take(MADE_AT_ONCE).collect();
        *last = Some(*some.last()?);
        Some(some.into_iter().filter(|one| self.current(*one, end).is_none()).collect())
    }
}
