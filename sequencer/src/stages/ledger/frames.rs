//! A patient's stored frames, and what an access finds among them.
//!
//! The writer appends to the patient's list ([`Spine`]). Who reads does so beside it, in a version
//! of the list that stays as it was: the writer waits for nobody. Each node says when and of which
//! categories its frames were measured: a page reads only nodes that can hold a frame of it.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use model::{Categories, DecodeError, Interval, Millis, Position, Reader, Word};
use wire::PageOrder;

use super::index::{
    FANOUT, FrameNodes, IndexError, Item, Located, Spine, Subtree, read_varint, write_varint,
};

/// A stored frame as an access finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredFrame {
    pub(super) position: Position,
    pub(super) categories: Categories,
    pub(super) measured: Interval,
    pub(super) device: Word,
}

/// All of a patient's frames, in the order of their positions.
pub(super) type PatientFrames = Arc<Spine<StoredFrame>>;

/// What is said of some frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hull {
    first: Position,
    last: Position,
    /// From the begin of the first to the end of the last.
    measured: Interval,
    /// The end of the one that ends first.
    first_end: Millis,
    categories: Categories,
}

impl Hull {
    fn of(frame: &StoredFrame) -> Hull {
        let StoredFrame { position, categories, measured, .. } = *frame;
        let (first, last, first_end) = (position, position, measured.until);
        Hull { first, last, measured, first_end, categories }
    }

    fn with(self, other: &Hull) -> Hull {
        Hull {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            measured: Interval {
                from: self.measured.from.min(other.measured.from),
                until: self.measured.until.max(other.measured.until),
            },
            first_end: self.first_end.min(other.first_end),
            categories: self.categories.with(other.categories),
        }
    }

    fn of_all(mut hulls: impl Iterator<Item = Hull>) -> Hull {
        let first = hulls.next().expect("a node has frames");
        hulls.fold(first, |all, next| all.with(&next))
    }
}

impl Item for StoredFrame {
    type Summary = Hull;
    const SUMMARY_BYTES: usize = 5 * 8 + 4;

    fn summary(items: &[StoredFrame]) -> Hull {
        Hull::of_all(items.iter().map(Hull::of))
    }

    fn join(summaries: &[Hull]) -> Hull {
        Hull::of_all(summaries.iter().copied())
    }

    /// The devices in the order in which they appear, then each frame as what differs from the one
    /// before it: a frame of a steady stream takes some ten bytes.
    fn write(items: &[StoredFrame], out: &mut Vec<u8>) {
        let mut devices: Vec<Word> = Vec::new();
        let mut number = |device: Word| {
            devices.iter().position(|known| *known == device).unwrap_or_else(|| {
                devices.push(device);
                devices.len() - 1
            })
        };
        let numbers: Vec<usize> = items.iter().map(|frame| number(frame.device)).collect();
        out.push(devices.len() as u8);
        devices.iter().for_each(|device| out.extend(device.to_bytes()));
        let (mut position, mut from) = (0, 0);
        for (frame, number) in items.iter().zip(numbers) {
            let measured = frame.measured;
            write_varint(frame.position.0 - position, out);
            write_varint(frame.categories.bits(), out);
            write_varint(zigzag(measured.from.get() as i64 - from), out);
            write_varint(measured.until.since(measured.from), out);
            out.push(number as u8);
            (position, from) = (frame.position.0, measured.from.get() as i64);
        }
    }

    fn read(count: usize, from: &mut Reader<'_>) -> Result<Vec<StoredFrame>, DecodeError> {
        let few = |n: u8| (usize::from(n) <= count.min(FANOUT)).then_some(usize::from(n));
        let few = from.map("no more devices than frames", Reader::u8, few)?;
        let words = |from: &mut Reader<'_>| (0..few).map(|_| from.word()).collect();
        let distinct = |words: Vec<Word>| {
            let is_new = |(at, word): (usize, &Word)| !words[..at].contains(word);
            words.iter().enumerate().all(is_new).then_some(words)
        };
        let devices = from.map("devices once each", words, distinct)?;
        let (mut frames, mut before) = (Vec::with_capacity(count), Before::default());
        for _ in 0..count {
            frames.push(before.read(&devices, from)?);
        }
        let all = |(): ()| (before.devices == devices.len()).then_some(());
        from.map("devices that have frames, in their order", |_| Ok(()), all)?;
        Ok(frames)
    }

    fn write_summary(hull: &Hull, out: &mut Vec<u8>) {
        let Hull { first, last, measured, first_end, categories } = *hull;
        let times = [measured.from, measured.until, first_end].map(Millis::get);
        let numbers = [first.0, last.0, times[0], times[1], times[2]];
        numbers.iter().for_each(|number| out.extend(number.to_be_bytes()));
        out.extend((categories.bits() as u32).to_be_bytes());
    }

    fn read_summary(from: &mut Reader<'_>) -> Result<Hull, DecodeError> {
        let (first, last) = (Position(from.u64()?), Position(from.u64()?));
        let measured = Interval { from: from.millis()?, until: from.millis()? };
        let first_end = from.millis()?;
        let categories = |bits: u32| Categories::from_bits(u64::from(bits)).ok();
        let categories = from.map("categories", Reader::u32, categories)?;
        Ok(Hull { first, last, measured, first_end, categories })
    }
}

/// The frame before, while frames are read.
#[derive(Default)]
struct Before {
    position: u64,
    from: i64,
    /// How many devices have appeared.
    devices: usize,
}

impl Before {
    fn read(
        &mut self,
        devices: &[Word],
        from: &mut Reader<'_>,
    ) -> Result<StoredFrame, DecodeError> {
        let behind = |step: u64| self.position.checked_add(step).filter(|_| step > 0);
        let position = from.map("a position behind the one before", read_varint, behind)?;
        let categories = |bits: u64| Categories::from_bits(bits).ok();
        let categories = from.map("categories", read_varint, categories)?;
        let begin = |step: u64| time(self.from.checked_add(unzigzag(step))?);
        let begin = from.map("a time of 44 bits", read_varint, begin)?;
        let end = |length: u64| {
            let until = Millis::new(begin.get().checked_add(length)?).ok()?;
            Interval::new(begin, until).ok()
        };
        let measured = from.map("an interval that ends after it begins", read_varint, end)?;
        let known = |number: u8| {
            let number = usize::from(number);
            // One that was not there yet is the next one of the list.
            self.devices += usize::from(number == self.devices);
            devices.get(number).filter(|_| number < self.devices).copied()
        };
        let device = from.map("a device of the list, in order", Reader::u8, known)?;
        (self.position, self.from) = (position, begin.get() as i64);
        Ok(StoredFrame { position: Position(position), categories, measured, device })
    }
}

fn time(ms: i64) -> Option<Millis> {
    Millis::new(u64::try_from(ms).ok()?).ok()
}

/// Numbers near zero, whichever their sign, as small ones.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

impl Item for Position {
    type Summary = ();
    const SUMMARY_BYTES: usize = 0;

    fn summary(_: &[Position]) {}

    fn join(_: &[()]) {}

    fn write(items: &[Position], out: &mut Vec<u8>) {
        let mut before = 0;
        for position in items {
            write_varint(position.0 - before, out);
            before = position.0;
        }
    }

    fn read(count: usize, from: &mut Reader<'_>) -> Result<Vec<Position>, DecodeError> {
        let (mut positions, mut before) = (Vec::with_capacity(count), 0_u64);
        for _ in 0..count {
            let behind = |step: u64| before.checked_add(step).filter(|_| step > 0);
            before = from.map("a position behind the one before", read_varint, behind)?;
            positions.push(Position(before));
        }
        Ok(positions)
    }

    fn write_summary(_: &(), _: &mut Vec<u8>) {}

    fn read_summary(_: &mut Reader<'_>) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Where a frame that came again is stored. The writer knows that it is and reads nothing for it.
pub struct StoredPlace {
    pub(super) located: Located<Position>,
    pub(super) nodes: FrameNodes,
}

impl StoredPlace {
    /// The position in the journal. Reads one node of the index a level: not for a thread that
    /// others wait for.
    ///
    /// # Errors
    /// [`IndexError`] if the index cannot be read.
    pub fn find(self) -> Result<Position, IndexError> {
        self.located.find(&self.nodes)
    }
}

/// Says nothing of where it is.
impl fmt::Debug for StoredPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredPlace(..)")
    }
}

/// Which of a patient's frames an access asks for, and those frames. The writer makes it and looks
/// at none of them.
pub struct FramesAsked {
    pub(super) frames: PatientFrames,
    pub(super) nodes: FrameNodes,
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
    /// The frames asked for. Reads the nodes of the page, and those before them that were measured
    /// in the period and hold no frame of what is asked for: where few of a patient's many frames
    /// are, nearly all of them. Not for a thread that others wait for.
    ///
    /// # Errors
    /// [`IndexError`] if the index cannot be read.
    pub fn find(&self) -> Result<Found, IndexError> {
        match self.order {
            PageOrder::Stored => self.find_stored(),
            PageOrder::Newest => self.find_newest(),
        }
    }

    fn find_stored(&self) -> Result<Found, IndexError> {
        let (mut found, mut passed) = (Found::default(), 0);
        // The last of them is the next one.
        let mut ahead: Vec<Row> = self.rows(|_| true).into_iter().rev().collect();
        while let Some(row) = ahead.pop() {
            let frames = match self.open(row, |hull| Some(hull.last) > self.after)? {
                Opened::Rows(rows) => {
                    ahead.extend(rows.into_iter().rev());
                    continue;
                }
                Opened::Frames(frames) => frames,
            };
            let later = frames.iter().filter(|frame| Some(frame.position) > self.after);
            for frame in later.filter(|frame| self.is_asked(frame)) {
                if !self.data.contains(&frame.measured) {
                    passed += u64::from(self.data.overlaps(&frame.measured));
                    continue;
                }
                if found.positions.len() == self.frames_max {
                    // What was passed over since the last one the next page counts.
                    found.more = true;
                    return Ok(found);
                }
                found.positions.push(frame.position);
                found.partly += std::mem::take(&mut passed);
            }
        }
        found.partly += passed;
        Ok(found)
    }

    fn find_newest(&self) -> Result<Found, IndexError> {
        // One more than may go, which says that there are more.
        let most = self.frames_max + 1;
        let last = self.last_age()?;
        // All that ends after the last one was on a page already.
        let is_later = |hull: &Hull| last.is_none_or(|Reverse((end, _))| hull.first_end <= end);
        let asked =
            |frame: &StoredFrame| last.is_none_or(|last| age(frame) > last) && self.is_asked(frame);
        let mut ahead: BinaryHeap<Row> = self.rows(is_later).into();
        let (mut fitting, mut looked) = (Vec::<Age>::new(), Vec::new());
        while let Some(row) = ahead.pop() {
            if fitting.len() >= most {
                // Only those that go are kept: a patient may have a million.
                fitting.select_nth_unstable(most - 1);
                fitting.truncate(most);
                // Those behind end no later than this one, and all before it is found.
                if row.hull.measured.until < fitting[most - 1].0.0 {
                    break;
                }
            }
            match self.open(row.clone(), is_later)? {
                Opened::Rows(rows) => ahead.extend(rows),
                Opened::Frames(frames) => {
                    let whole =
                        |one: &&StoredFrame| asked(one) && self.data.contains(&one.measured);
                    fitting.extend(frames.iter().filter(whole).map(age));
                    looked.push(row);
                }
            }
        }
        fitting.sort_unstable();
        let more = fitting.len() > self.frames_max;
        fitting.truncate(self.frames_max);
        // Up to the last one of the page, so that all pages count each of them once. What ends
        // before it stands in the nodes that were looked at.
        let end = fitting.last().copied().filter(|_| more);
        let is_partly = |one: &&StoredFrame| {
            asked(one)
                && self.data.overlaps(&one.measured)
                && !self.data.contains(&one.measured)
                && end.is_none_or(|end| age(one) < end)
        };
        let mut partly = 0;
        for row in looked {
            if let Opened::Frames(frames) = self.open(row, |_| true)? {
                partly += frames.iter().filter(is_partly).count() as u64;
            }
        }
        let positions = fitting.into_iter().map(|Reverse((_, position))| position).collect();
        Ok(Found { positions, more, partly })
    }

    /// The last frame of the page before, in the order of the newest.
    fn last_age(&self) -> Result<Option<Age>, IndexError> {
        let Some(after) = self.after else { return Ok(None) };
        let holds = |hull: &Hull| (hull.first..=hull.last).contains(&after);
        let mut ahead: Vec<Row> = self.all_rows().filter(|row| holds(&row.hull)).collect();
        while let Some(row) = ahead.pop() {
            match self.open(row, holds)? {
                Opened::Rows(rows) => ahead.extend(rows),
                Opened::Frames(frames) => {
                    if let Some(found) = frames.iter().find(|frame| frame.position == after) {
                        return Ok(Some(age(found)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The nodes and the tail that can hold a frame of what is asked for, in the order of the list.
    fn rows(&self, wanted: impl Fn(&Hull) -> bool) -> Vec<Row> {
        self.all_rows().filter(|row| self.may_hold(&row.hull) && wanted(&row.hull)).collect()
    }

    fn all_rows(&self) -> impl Iterator<Item = Row> {
        let tail = self.frames.tail();
        let tail = (!tail.is_empty()).then(|| Row { hull: StoredFrame::summary(tail), node: None });
        self.frames.roots().into_iter().map(Row::of_node).chain(tail)
    }

    fn may_hold(&self, hull: &Hull) -> bool {
        hull.measured.overlaps(&self.data)
            && hull.categories.overlaps(self.categories)
            && hull.first < self.before
    }

    /// What stands in a row: of a node above others those that can hold a frame of what is asked
    /// for, else the frames that were stored before it was asked.
    fn open(&self, row: Row, wanted: impl Fn(&Hull) -> bool) -> Result<Opened, IndexError> {
        let frames = match row.node {
            None => self.frames.tail().to_vec(),
            Some(node) if node.level == 0 => node.items(&self.nodes)?,
            Some(node) => {
                let rows = node.children(&self.nodes)?.into_iter().map(Row::of_node);
                let wanted = |row: &Row| self.may_hold(&row.hull) && wanted(&row.hull);
                return Ok(Opened::Rows(rows.filter(wanted).collect()));
            }
        };
        self.nodes.looked(frames.len());
        let before = frames.partition_point(|frame| frame.position < self.before);
        Ok(Opened::Frames(frames[..before].to_vec()))
    }

    fn is_asked(&self, frame: &StoredFrame) -> bool {
        self.categories.contains(frame.categories)
            && self.source.is_none_or(|source| source == frame.device)
    }
}

/// A node, or the frames that are in none yet. In the order of when the last of its frames ends.
#[derive(Clone)]
struct Row {
    hull: Hull,
    node: Option<Subtree<StoredFrame>>,
}

impl Row {
    fn of_node(node: Subtree<StoredFrame>) -> Row {
        Row { hull: node.fence.summary, node: Some(node) }
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Row {}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Row) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Row {
    fn cmp(&self, other: &Row) -> Ordering {
        self.hull.measured.until.cmp(&other.hull.measured.until)
    }
}

/// What stands in a row.
enum Opened {
    Rows(Vec<Row>),
    Frames(Vec<StoredFrame>),
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
mod tests;
