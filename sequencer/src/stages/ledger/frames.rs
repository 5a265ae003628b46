//! A patient's stored frames, and what an access finds among them.
//!
//! The writer appends. Who reads goes through them beside it and copies out a few at a time: the
//! writer waits for one such copy at most, however many frames a patient has.

use std::cmp::Reverse;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use model::{Categories, Interval, Millis, Position, Word};
use wire::PageOrder;

/// Most frames that are copied out at once: 64 KiB.
const COPIED_MAX: usize = 1024;

/// A stored frame as an access finds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredFrame {
    pub(super) position: Position,
    pub(super) categories: Categories,
    pub(super) measured: Interval,
    pub(super) device: Word,
}

/// All of a patient's frames, in the order of their positions. Clones are of the same ones.
#[derive(Clone, Default)]
pub(super) struct PatientFrames(Arc<Shared>);

#[derive(Default)]
struct Shared {
    frames: RwLock<Vec<StoredFrame>>,
    /// How many frames each copy had.
    #[cfg(test)]
    copies: std::sync::Mutex<Vec<usize>>,
}

impl PatientFrames {
    pub(super) fn store(&self, frame: StoredFrame) {
        self.0.frames.write().unwrap_or_else(PoisonError::into_inner).push(frame);
    }

    /// A frame is pushed whole or not at all, whoever panics.
    fn read(&self) -> RwLockReadGuard<'_, Vec<StoredFrame>> {
        self.0.frames.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy_some(&self, begin: usize) -> Vec<StoredFrame> {
        let frames = self.read();
        let some = frames.get(begin..).unwrap_or_default();
        let some = some[..some.len().min(COPIED_MAX)].to_vec();
        #[cfg(test)]
        self.0.copies.lock().unwrap_or_else(PoisonError::into_inner).push(some.len());
        some
    }

    /// Those behind `after` and before `before`.
    fn between(
        &self,
        after: Option<Position>,
        before: Position,
    ) -> impl Iterator<Item = StoredFrame> + '_ {
        let is_passed = |frame: &StoredFrame| Some(frame.position) <= after;
        let begin = self.read().partition_point(is_passed);
        let copies = (begin..).step_by(COPIED_MAX).map(|begin| self.copy_some(begin));
        let frames = copies.take_while(|some| !some.is_empty()).flatten();
        frames.take_while(move |frame| frame.position < before)
    }

    fn at(&self, position: Position) -> Option<StoredFrame> {
        let frames = self.read();
        let index = frames.binary_search_by_key(&position, |frame| frame.position).ok()?;
        frames.get(index).copied()
    }

    /// How many frames each copy had up to now.
    #[cfg(test)]
    pub(super) fn copies(&self) -> Vec<usize> {
        self.0.copies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Prints how many.
impl fmt::Debug for PatientFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatientFrames({})", self.read().len())
    }
}

/// Which of a patient's frames an access asks for, and those frames. The writer makes it and looks
/// at none of them.
pub struct FramesAsked {
    pub(super) frames: PatientFrames,
    pub(super) categories: Categories,
    /// Measured in here.
    pub(super) data: Interval,
    /// Of this device only.
    pub(super) source: Option<Word>,
    pub(super) order: PageOrder,
    /// Behind this frame, in that order.
    pub(super) after: Option<Position>,
    /// Stored before this place of the journal: what is stored after it was made changes nothing.
    pub(super) before: Position,
    /// At most so many.
    pub(super) frames_max: usize,
}

/// Frames that an access asks for, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Where they stand.
    pub positions: Vec<Position>,
    /// Whether there are more behind them.
    pub more: bool,
    /// Frames passed over on the way because only a part of them was measured within.
    pub partly: u64,
}

impl FramesAsked {
    /// The frames asked for. Takes as long as going through all of the patient's, up to some
    /// milliseconds for a million: not for a thread that others wait for.
    pub fn find(&self) -> Found {
        match self.order {
            PageOrder::Stored => self.find_stored(),
            PageOrder::Newest => self.find_newest(),
        }
    }

    fn find_stored(&self) -> Found {
        let (mut found, mut passed) = (Found::default(), 0);
        for frame in self.frames.between(self.after, self.before).filter(|one| self.is_asked(one)) {
            if !self.data.contains(&frame.measured) {
                passed += u64::from(self.data.overlaps(&frame.measured));
                continue;
            }
            if found.positions.len() == self.frames_max {
                // What was passed over since the last one the next page counts.
                found.more = true;
                return found;
            }
            found.positions.push(frame.position);
            found.partly += std::mem::take(&mut passed);
        }
        found.partly += passed;
        found
    }

    fn find_newest(&self) -> Found {
        // One more than may go, which says that there are more.
        let most = self.frames_max + 1;
        let mut fitting: Vec<Age> = Vec::new();
        for frame in self.later().filter(|one| self.data.contains(&one.measured)) {
            fitting.push(age(&frame));
            // Only those that go are kept and sorted: a patient may have a million.
            if fitting.len() >= most.saturating_mul(2) {
                fitting.select_nth_unstable(most - 1);
                fitting.truncate(most);
            }
        }
        fitting.sort_unstable();
        let more = fitting.len() > self.frames_max;
        fitting.truncate(self.frames_max);
        // Up to the last one of the page, so that all pages count each of them once.
        let end = fitting.last().copied().filter(|_| more);
        let is_partly = |one: &StoredFrame| {
            self.data.overlaps(&one.measured)
                && !self.data.contains(&one.measured)
                && end.is_none_or(|end| age(one) < end)
        };
        let partly = self.later().filter(is_partly).count() as u64;
        let positions = fitting.into_iter().map(|Reverse((_, position))| position).collect();
        Found { positions, more, partly }
    }

    /// Of all, those that come later in the order of the newest, and are asked for.
    fn later(&self) -> impl Iterator<Item = StoredFrame> + '_ {
        let last = self.after.and_then(|after| self.frames.at(after)).map(|frame| age(&frame));
        let frames = self.frames.between(None, self.before).filter(|one| self.is_asked(one));
        frames.filter(move |frame| last.is_none_or(|last| age(frame) > last))
    }

    fn is_asked(&self, frame: &StoredFrame) -> bool {
        self.categories.contains(frame.categories)
            && self.source.is_none_or(|source| source == frame.device)
    }
}

/// Says nothing of whose they are.
impl fmt::Debug for FramesAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FramesAsked(at most {} of {:?})", self.frames_max, self.frames)
    }
}

/// The place in the order that begins with the latest reading; of equal ones, with what was stored
/// last.
type Age = Reverse<(Millis, Position)>;

fn age(frame: &StoredFrame) -> Age {
    Reverse((frame.measured.until, frame.position))
}

#[cfg(test)]
mod tests {
    use model::Category;

    use super::*;

    const BACKFILLED: u64 = 40;

    fn store(frames: &PatientFrames, position: u64, categories: Categories, measured: Interval) {
        let position = Position(position);
        frames.store(StoredFrame { position, categories, measured, device: Word::ZERO });
    }

    fn instant(time: u64) -> Interval {
        Interval::instant(Millis::new(time).unwrap())
    }

    fn within(from: u64, until: u64) -> Interval {
        Interval::new(Millis::new(from).unwrap(), Millis::new(until).unwrap()).unwrap()
    }

    /// Ten frames in the order of their times at 10, 20 .. 100, and an old one stored behind them.
    fn frames() -> PatientFrames {
        let frames = PatientFrames::default();
        for (position, time) in (1..=10).map(|n| (n * 10, n * 1000)).chain([(110, BACKFILLED)]) {
            store(&frames, position, Category::Ecg.only(), instant(time));
        }
        frames
    }

    /// Everything that was measured in `data`, page by page.
    fn pages(frames: &PatientFrames, order: PageOrder, data: Interval, most: usize) -> Vec<Found> {
        let mut asked = FramesAsked {
            frames: frames.clone(),
            categories: Category::Ecg.only(),
            data,
            source: None,
            order,
            after: None,
            before: Position(200_000),
            frames_max: most,
        };
        let mut pages: Vec<Found> = Vec::new();
        while pages.last().is_none_or(|page| page.more) {
            let found = asked.find();
            asked.after = found.positions.last().copied();
            pages.push(found);
        }
        pages
    }

    fn positions(pages: &[Found]) -> Vec<u64> {
        pages.iter().flat_map(|page| &page.positions).map(|position| position.0).collect()
    }

    #[test]
    fn pages_hold_every_frame_once_in_their_order() {
        let stored: Vec<u64> = (1..=11).map(|n| n * 10).collect();
        let newest: Vec<u64> = (1..=10).rev().map(|n| n * 10).chain([110]).collect();
        for frames_max in [1, 3, 10, 11, 12] {
            let whole = 11_usize.div_ceil(frames_max);
            for (order, expected) in [(PageOrder::Stored, &stored), (PageOrder::Newest, &newest)] {
                let pages = pages(&frames(), order, Interval::ALWAYS, frames_max);
                assert_eq!(pages.len(), whole, "{order:?} by {frames_max}");
                assert_eq!(positions(&pages), *expected, "{order:?} by {frames_max}");
            }
        }
    }

    #[test]
    fn a_frame_partly_in_the_period_is_counted_once_whatever_the_pages() {
        let frames = frames();
        // Around the begin, around the end, around both; beside it; of another category.
        let ecg = Category::Ecg.only();
        let others = [(1500, 2001, ecg), (8000, 9000, ecg), (1, 9999, ecg), (8500, 8501, ecg)];
        let others = others.into_iter().chain([(1500, 2001, Category::Spo2.only())]);
        for (position, (from, until, categories)) in (120..).zip(others) {
            store(&frames, position, categories, within(from, until));
        }
        for order in [PageOrder::Stored, PageOrder::Newest] {
            for frames_max in 1..8 {
                let pages = pages(&frames, order, within(2000, 8400), frames_max);
                let partly: u64 = pages.iter().map(|page| page.partly).sum();
                let whole = positions(&pages).len();
                assert_eq!((partly, whole), (3, 7), "{order:?} by {frames_max}");
            }
        }
    }

    #[test]
    fn frames_are_copied_out_a_few_at_a_time_and_no_further_than_a_page() {
        let frames = PatientFrames::default();
        let count = 3 * COPIED_MAX as u64 + 5;
        (1..=count).for_each(|n| store(&frames, n, Category::Ecg.only(), instant(n)));
        let newest = pages(&frames, PageOrder::Newest, within(count - 2, count + 1), 5);
        assert_eq!(positions(&newest), [count, count - 1, count - 2]);
        let copies = frames.copies();
        assert!(copies.iter().all(|copied| *copied <= COPIED_MAX), "{copies:?}");
        assert_eq!(copies.iter().sum::<usize>(), 2 * count as usize, "and once more to count");

        let stored = pages(&frames, PageOrder::Stored, Interval::ALWAYS, 1000);
        assert_eq!(positions(&stored), (1..=count).collect::<Vec<_>>());
        // Each page reads on from where the one before ended.
        let more = frames.copies().len() - copies.len();
        assert!(more <= 2 * stored.len(), "{more} copies for {} pages", stored.len());
    }
}
