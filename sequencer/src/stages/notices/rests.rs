//! Batches that could not be looked at: until when each rests, and when it counts as lost.
//!
//! A damaged file is made anew by the scrub, and an archive that is away comes back; so a batch is
//! waited for, and nobody is told of a later one before it. Some never come back: files that are
//! gone for good, an object that somebody deleted. Whoever waits for one of these waits as long as
//! a receiver is tried, and is told of the later ones then.

use std::collections::{BTreeMap, BTreeSet};

use model::{BatchNumber, Millis};

/// Pause after a batch that could not be read: the scrub makes damaged files anew.
pub(super) const UNREAD_PAUSE_MS: u64 = 60_000;
/// How long what is known of a batch is kept at least behind its rest, also where a receiver is
/// tried for less: a look that comes a little late goes on counting.
const KEPT_MS: u64 = 10 * UNREAD_PAUSE_MS;
/// Looks in this run before a batch counts as lost for the time that it took: while the node was
/// off, or its clock was wrong, nobody looked.
const LOOKS_MIN: u32 = 3;

/// Batches that are not looked at now.
pub(super) struct Rests {
    batches: BTreeMap<BatchNumber, Rest>,
    lost_after_ms: u64,
}

struct Rest {
    /// The first look in vain since the last that was none.
    since: Millis,
    looks: u32,
    until: Millis,
}

/// What becomes of a batch that could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unread {
    /// It is looked at again.
    Rests,
    /// For so long, and so often, that nobody waits for it any more.
    Lost,
}

/// Why a batch could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// Its files are damaged or gone, or the archive does not give them.
    Files,
    /// The database does not answer, which says nothing of any batch.
    Database,
}

impl Rests {
    /// None rests yet. A batch counts as lost after so long.
    pub(super) fn new(lost_after_ms: u64) -> Rests {
        Rests { batches: BTreeMap::new(), lost_after_ms }
    }

    /// Those that rest now. What nobody looks at any more, because whoever waited for it went away,
    /// is forgotten.
    pub(super) fn resting(&mut self, now: Millis) -> BTreeSet<BatchNumber> {
        let kept_ms = self.lost_after_ms.max(KEPT_MS);
        self.batches.retain(|_, rest| now.since(rest.until) <= kept_ms);
        // A rest that is longer than any was begun by a clock that somebody set back since.
        let rests = |rest: &Rest| (1..=UNREAD_PAUSE_MS).contains(&rest.until.since(now));
        let resting = self.batches.iter().filter(|(_, rest)| rests(rest));
        resting.map(|(batch, _)| *batch).collect()
    }

    /// Takes notice of a batch that could not be read.
    pub(super) fn unread(&mut self, batch: BatchNumber, now: Millis, cause: Cause) -> Unread {
        let fresh = || Rest { since: now, looks: 0, until: now };
        let rest = self.batches.entry(batch).or_insert_with(fresh);
        if cause == Cause::Database {
            // It begins anew: of the files nobody knows.
            *rest = fresh();
        } else {
            rest.looks = rest.looks.saturating_add(1);
        }
        rest.since = rest.since.min(now);
        rest.until = now.plus(UNREAD_PAUSE_MS);
        let is_long = rest.looks >= LOOKS_MIN && now.since(rest.since) >= self.lost_after_ms;
        if !is_long {
            return Unread::Rests;
        }
        self.batches.remove(&batch);
        Unread::Lost
    }

    /// Takes notice of a batch that is settled no more: it is looked at again after so long.
    pub(super) fn unsettled(&mut self, batch: BatchNumber, now: Millis, pause_ms: u64) {
        let until = now.plus(pause_ms.min(UNREAD_PAUSE_MS));
        // What settles under this number next may be another batch.
        self.batches.insert(batch, Rest { since: until, looks: 0, until });
    }

    /// Takes notice of a batch that was read.
    pub(super) fn read(&mut self, batch: BatchNumber) {
        self.batches.remove(&batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST_AFTER_MS: u64 = 600_000;
    const BATCH: BatchNumber = BatchNumber(7);

    fn at(ms: u64) -> Millis {
        Millis::from_unix_ms(1_777_624_200_000 + ms)
    }

    /// The first of these times at which a look in vain finds the batch lost.
    fn lost_at(rests: &mut Rests, times: impl IntoIterator<Item = u64>) -> Option<u64> {
        times.into_iter().find(|ms| rests.unread(BATCH, at(*ms), Cause::Files) == Unread::Lost)
    }

    #[test]
    fn a_batch_rests_a_minute_after_each_look_and_is_lost_once_it_was_unread_for_so_long() {
        let mut rests = Rests::new(LOST_AFTER_MS);
        assert_eq!(rests.unread(BATCH, at(0), Cause::Files), Unread::Rests);
        assert_eq!(rests.resting(at(59_999)), BTreeSet::from([BATCH]));
        assert!(rests.resting(at(60_000)).is_empty());
        assert_eq!(lost_at(&mut rests, (1..).map(|n| n * 60_000)), Some(LOST_AFTER_MS));
        // It is forgotten: the next one of this number begins anew.
        assert_eq!(lost_at(&mut rests, [700_000, 760_000, 820_000]), None);
    }

    #[test]
    fn time_alone_loses_no_batch_and_one_that_was_read_between_begins_anew() {
        let mut rests = Rests::new(LOST_AFTER_MS);
        let late = LOST_AFTER_MS * 9;
        assert_eq!(lost_at(&mut rests, [0, late, late + 1]), Some(late + 1), "the third look");
        assert_eq!(lost_at(&mut rests, [0, 60_000, 120_000]), None);
        rests.read(BATCH);
        assert_eq!(lost_at(&mut rests, [late, late + 1, late + 2]), None);
        rests.unsettled(BATCH, at(late + 3), 500);
        assert_eq!(rests.resting(at(late + 502)), BTreeSet::from([BATCH]));
        assert!(rests.resting(at(late + 503)).is_empty());
        let settled_again = late + 503;
        assert_eq!(lost_at(&mut rests, (0..3).map(|n| settled_again + n * 60_000)), None);
    }

    #[test]
    fn looks_that_come_late_go_on_counting_where_a_batch_is_lost_after_less_than_a_rest() {
        let mut rests = Rests::new(1_000);
        let found = [0, 65_000, 130_000].map(|ms| {
            assert!(rests.resting(at(ms)).is_empty());
            rests.unread(BATCH, at(ms), Cause::Files)
        });
        assert_eq!(found, [Unread::Rests, Unread::Rests, Unread::Lost]);
    }

    #[test]
    fn a_database_that_does_not_answer_loses_no_batch() {
        let mut rests = Rests::new(LOST_AFTER_MS);
        for minute in 0..100 {
            let found = rests.unread(BATCH, at(minute * 60_000), Cause::Database);
            assert_eq!(found, Unread::Rests);
        }
        assert_eq!(rests.resting(at(99 * 60_000)), BTreeSet::from([BATCH]));
    }

    #[test]
    fn a_clock_that_was_set_back_holds_up_no_look_and_what_nobody_waits_for_is_forgotten() {
        let mut rests = Rests::new(LOST_AFTER_MS);
        rests.unread(BATCH, at(LOST_AFTER_MS * 100), Cause::Files);
        assert!(rests.resting(at(0)).is_empty());
        assert_eq!(rests.unread(BATCH, at(0), Cause::Files), Unread::Rests);
        assert_eq!(rests.batches.len(), 1);
        rests.resting(at(UNREAD_PAUSE_MS + LOST_AFTER_MS + 1));
        assert!(rests.batches.is_empty());
    }
}
