//! A patient's stored frames, and what an access finds among them.
//!
//! The writer appends. Who reads goes through them beside it and copies out a block at a time: the
//! writer waits for one such copy at most, however many frames a patient has. Each block says when
//! its frames were measured, so that a page looks only at blocks that can hold a frame of it.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use model::{Categories, Interval, Millis, Position, Word};
use wire::PageOrder;

/// Frames of a block, which are copied out at once: 64 KiB.
const BLOCK: usize = 1024;

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
    stored: RwLock<Stored>,
    /// How many frames each copy had.
    #[cfg(test)]
    copies: std::sync::Mutex<Vec<usize>>,
}

#[derive(Default)]
struct Stored {
    frames: Vec<StoredFrame>,
    /// One for each [`BLOCK`] frames, the last of which may be shorter.
    blocks: Vec<Block>,
}

/// When the frames of a block were measured.
#[derive(Clone, Copy)]
struct Block {
    /// From the begin of the first to the end of the last.
    measured: Interval,
    /// The end of the one that ends first.
    first_end: Millis,
}

/// A block by its number.
type Numbered = (usize, Block);

impl Stored {
    fn push(&mut self, frame: StoredFrame) {
        let measured = frame.measured;
        if self.frames.len().is_multiple_of(BLOCK) {
            self.blocks.push(Block { measured, first_end: measured.until });
        } else if let Some(Block { measured: all, first_end }) = self.blocks.last_mut() {
            all.from = all.from.min(measured.from);
            all.until = all.until.max(measured.until);
            *first_end = (*first_end).min(measured.until);
        }
        self.frames.push(frame);
    }
}

impl PatientFrames {
    pub(super) fn store(&self, frame: StoredFrame) {
        self.0.stored.write().unwrap_or_else(PoisonError::into_inner).push(frame);
    }

    /// Nothing panics while a frame is pushed, so that frames and blocks agree.
    fn read(&self) -> RwLockReadGuard<'_, Stored> {
        self.0.stored.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places of those behind `after` and before `before`.
    fn range(&self, after: Option<Position>, before: Position) -> Range<usize> {
        let frames = &self.read().frames;
        let begin = frames.partition_point(|frame| Some(frame.position) <= after);
        let end = frames.partition_point(|frame| frame.position < before);
        begin..end.max(begin)
    }

    /// The blocks of `range` that can hold a frame of which a part was measured within `data`. A
    /// thousandth of the frames, and copied at once.
    fn blocks(&self, range: &Range<usize>, data: &Interval) -> Vec<Numbered> {
        let numbers = range.start / BLOCK..range.end.div_ceil(BLOCK);
        let stored = self.read();
        let blocks = numbers.clone().zip(stored.blocks.get(numbers).unwrap_or_default());
        let blocks = blocks.map(|(number, block)| (number, *block));
        blocks.filter(|(_, block)| block.measured.overlaps(data)).collect()
    }

    /// The frames of a block that lie in `range`.
    fn copy_block(&self, number: usize, range: &Range<usize>) -> Vec<StoredFrame> {
        let begin = range.start.max(number * BLOCK);
        let end = range.end.min((number + 1) * BLOCK);
        let some = self.read().frames.get(begin..end).unwrap_or_default().to_vec();
        #[cfg(test)]
        self.0.copies.lock().unwrap_or_else(PoisonError::into_inner).push(some.len());
        some
    }

    fn at(&self, position: Position) -> Option<StoredFrame> {
        let frames = &self.read().frames;
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
        write!(f, "PatientFrames({})", self.read().frames.len())
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
    /// The frames asked for. Looks at the blocks of the page, and at those before them that were
    /// measured in the period and hold no frame of what is asked for: where few of a patient's many
    /// frames are, some milliseconds for a million. Not for a thread that others wait for.
    pub fn find(&self) -> Found {
        match self.order {
            PageOrder::Stored => self.find_stored(),
            PageOrder::Newest => self.find_newest(),
        }
    }

    fn find_stored(&self) -> Found {
        let (mut found, mut passed) = (Found::default(), 0);
        let range = self.frames.range(self.after, self.before);
        let blocks = self.frames.blocks(&range, &self.data).into_iter();
        let frames = blocks.flat_map(|(number, _)| self.frames.copy_block(number, &range));
        for frame in frames.filter(|one| self.is_asked(one)) {
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
        let later = self.later();
        let mut fitting: Vec<Age> = Vec::new();
        let mut looked = 0;
        for block in &later.blocks {
            if fitting.len() >= most {
                // Only those that go are kept: a patient may have a million.
                fitting.select_nth_unstable(most - 1);
                fitting.truncate(most);
                // Those behind end no later than this one, and all before it is found.
                if block.1.measured.until < fitting[most - 1].0.0 {
                    break;
                }
            }
            let frames = self.frames_of(block, &later);
            fitting.extend(
                frames.filter(|one| self.data.contains(&one.measured)).map(|one| age(&one)),
            );
            looked += 1;
        }
        fitting.sort_unstable();
        let more = fitting.len() > self.frames_max;
        fitting.truncate(self.frames_max);
        // Up to the last one of the page, so that all pages count each of them once. What ends
        // before it stands in the blocks that were looked at.
        let end = fitting.last().copied().filter(|_| more);
        let is_partly = |one: &StoredFrame| {
            self.data.overlaps(&one.measured)
                && !self.data.contains(&one.measured)
                && end.is_none_or(|end| age(one) < end)
        };
        let frames = later.blocks[..looked].iter().flat_map(|block| self.frames_of(block, &later));
        let partly = frames.filter(is_partly).count() as u64;
        let positions = fitting.into_iter().map(|Reverse((_, position))| position).collect();
        Found { positions, more, partly }
    }

    /// Where those stand that come later in the order of the newest.
    fn later(&self) -> Later {
        let last = self.after.and_then(|after| self.frames.at(after)).map(|frame| age(&frame));
        let range = self.frames.range(None, self.before);
        let mut blocks = self.frames.blocks(&range, &self.data);
        // All that ends after the last one was on a page already.
        blocks.retain(|(_, block)| last.is_none_or(|Reverse((until, _))| block.first_end <= until));
        blocks.sort_by_key(|(_, block)| Reverse(block.measured.until));
        Later { last, range, blocks }
    }

    fn frames_of(
        &self,
        (number, _): &Numbered,
        Later { last, range, .. }: &Later,
    ) -> impl Iterator<Item = StoredFrame> {
        let frames = self.frames.copy_block(*number, range).into_iter();
        let is_later = |frame: &StoredFrame| last.is_none_or(|last| age(frame) > last);
        frames.filter(move |frame| is_later(frame) && self.is_asked(frame))
    }

    fn is_asked(&self, frame: &StoredFrame) -> bool {
        self.categories.contains(frame.categories)
            && self.source.is_none_or(|source| source == frame.device)
    }
}

/// Where frames stand that come behind a page of the newest.
struct Later {
    /// The last frame of that page.
    last: Option<Age>,
    range: Range<usize>,
    /// Those that end last first.
    blocks: Vec<Numbered>,
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

    /// How many frames `find` copies out.
    fn looked_at(frames: &PatientFrames, find: impl FnOnce()) -> usize {
        let before = frames.copies().len();
        find();
        let copies = frames.copies().split_off(before);
        assert!(copies.iter().all(|copied| *copied <= BLOCK), "{copies:?}");
        copies.iter().sum()
    }

    fn asked(frames: &PatientFrames, order: PageOrder, after: Option<u64>) -> FramesAsked {
        FramesAsked {
            frames: frames.clone(),
            categories: Category::Ecg.only(),
            data: Interval::ALWAYS,
            source: None,
            order,
            after: after.map(Position),
            before: Position(u64::MAX),
            frames_max: 5,
        }
    }

    #[test]
    fn a_page_looks_at_its_own_frames_and_not_at_all_of_the_patients() {
        let frames = PatientFrames::default();
        let count = 50 * BLOCK as u64 + 5;
        (1..=count).for_each(|n| store(&frames, n, Category::Ecg.only(), instant(n)));
        let page = asked(&frames, PageOrder::Newest, None);
        let newest: Vec<Position> = (0..5).map(|n| Position(count - n)).collect();
        let looked = looked_at(&frames, || assert_eq!(page.find().positions, newest));
        // Twice, because what lies partly in the period is counted behind the last of the page. Of
        // the last block only five frames are there: the sixth, which says that more follow, is in
        // the one before it.
        assert_eq!(looked, 2 * (5 + BLOCK));

        // Pages further on begin where the one before ended.
        for after in [count - 4, 30 * BLOCK as u64, 7] {
            let page = asked(&frames, PageOrder::Newest, Some(after));
            let next: Vec<Position> = (1..=5).map(|n| Position(after - n)).collect();
            let looked = looked_at(&frames, || assert_eq!(page.find().positions, next));
            assert!(looked <= 2 * 2 * BLOCK, "{looked} frames behind {after}");
        }
        // A short period, in both orders.
        for (order, first) in [(PageOrder::Newest, 20_002), (PageOrder::Stored, 20_000)] {
            let page = FramesAsked { data: within(20_000, 20_003), ..asked(&frames, order, None) };
            let looked = looked_at(&frames, || {
                let found = page.find();
                assert_eq!((found.positions[0], found.positions.len()), (Position(first), 3));
            });
            assert!(looked <= 2 * BLOCK, "{looked} frames in {order:?}");
        }
    }

    #[test]
    fn frames_that_are_stored_out_of_order_are_found_in_the_order_of_their_times() {
        // Live frames and a backfill in turns, of equal and of overlapping times.
        let frames = PatientFrames::default();
        let count = 4 * BLOCK as u64;
        let times: Vec<u64> =
            (0..count).map(|n| if n % 3 == 0 { 1 + n / 7 } else { 5000 + n * n % 977 }).collect();
        for (position, time) in (1..).zip(&times) {
            store(&frames, position, Category::Ecg.only(), within(*time, time + 1 + position % 4));
        }
        for data in [Interval::ALWAYS, within(100, 5500), within(5976, 5980)] {
            let mut expected: Vec<Age> = Vec::new();
            for (position, time) in (1..).zip(&times) {
                let measured = within(*time, time + 1 + position % 4);
                if data.contains(&measured) {
                    expected.push(Reverse((measured.until, Position(position))));
                }
            }
            expected.sort_unstable();
            let expected: Vec<u64> = expected.iter().map(|Reverse((_, at))| at.0).collect();
            for frames_max in [700, 5000] {
                let pages = pages(&frames, PageOrder::Newest, data, frames_max);
                assert_eq!(positions(&pages), expected, "{data:?} by {frames_max}");
                let stored = self::pages(&frames, PageOrder::Stored, data, frames_max);
                let partly = |pages: &[Found]| pages.iter().map(|page| page.partly).sum::<u64>();
                assert_eq!(partly(&pages), partly(&stored), "{data:?} by {frames_max}");
            }
        }
    }
}
