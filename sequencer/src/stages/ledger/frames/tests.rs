use model::Category;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const BACKFILLED: u64 = 40;
/// Frames that are looked at together.
const BLOCK: usize = FANOUT;

/// A patient's frames, with their nodes.
struct Frames {
    list: PatientFrames,
    nodes: FrameNodes,
}

impl Frames {
    fn none() -> Frames {
        Frames { list: PatientFrames::default(), nodes: FrameNodes::in_memory() }
    }

    fn store(&mut self, position: u64, categories: Categories, measured: Interval) {
        let position = Position(position);
        let frame = StoredFrame { position, categories, measured, device: Word::ZERO };
        Arc::make_mut(&mut self.list).push(frame, &self.nodes);
    }
}

fn instant(time: u64) -> Interval {
    Interval::instant(Millis::new(time).unwrap())
}

fn within(from: u64, until: u64) -> Interval {
    Interval::new(Millis::new(from).unwrap(), Millis::new(until).unwrap()).unwrap()
}

/// Ten frames in the order of their times at 10, 20 .. 100, and an old one stored behind them.
fn frames() -> Frames {
    let mut frames = Frames::none();
    for (position, time) in (1..=10).map(|n| (n * 10, n * 1000)).chain([(110, BACKFILLED)]) {
        frames.store(position, Category::Ecg.only(), instant(time));
    }
    frames
}

/// Everything that was measured in `data`, page by page.
fn pages(frames: &Frames, order: PageOrder, data: Interval, most: usize) -> Vec<Found> {
    let mut asked = FramesAsked {
        frames: frames.list.clone(),
        nodes: frames.nodes.clone(),
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
        let found = asked.find().unwrap();
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
    let mut frames = frames();
    // Around the begin, around the end, around both; beside it; of another category.
    let ecg = Category::Ecg.only();
    let others = [(1500, 2001, ecg), (8000, 9000, ecg), (1, 9999, ecg), (8500, 8501, ecg)];
    let others = others.into_iter().chain([(1500, 2001, Category::Spo2.only())]);
    for (position, (from, until, categories)) in (120..).zip(others) {
        frames.store(position, categories, within(from, until));
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

/// How many frames `find` looks at.
fn looked_at(frames: &Frames, find: impl FnOnce()) -> usize {
    let before = frames.nodes.looks().len();
    find();
    let copies = frames.nodes.looks().split_off(before);
    assert!(copies.iter().all(|copied| *copied <= BLOCK), "{copies:?}");
    copies.iter().sum()
}

fn asked(frames: &Frames, order: PageOrder, after: Option<u64>) -> FramesAsked {
    FramesAsked {
        frames: frames.list.clone(),
        nodes: frames.nodes.clone(),
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
    let mut frames = Frames::none();
    // Two levels of nodes, a row of nodes and five frames that are in none.
    let count = 500 * BLOCK as u64 + 5;
    (1..=count).for_each(|n| frames.store(n, Category::Ecg.only(), instant(n)));
    let page = asked(&frames, PageOrder::Newest, None);
    let newest: Vec<Position> = (0..5).map(|n| Position(count - n)).collect();
    let looked = looked_at(&frames, || assert_eq!(page.find().unwrap().positions, newest));
    // Twice, because what lies partly in the period is counted behind the last of the page. Of
    // the last block only five frames are there: the sixth, which says that more follow, is in
    // the one before it.
    assert_eq!(looked, 2 * (5 + BLOCK));

    // Pages further on begin where the one before ended.
    for after in [count - 4, 30 * BLOCK as u64, 7] {
        let page = asked(&frames, PageOrder::Newest, Some(after));
        let next: Vec<Position> = (1..=5).map(|n| Position(after - n)).collect();
        let looked = looked_at(&frames, || assert_eq!(page.find().unwrap().positions, next));
        // And the node of the last one, once.
        assert!(looked <= 5 * BLOCK, "{looked} frames behind {after}");
    }
    // A short period, in both orders.
    for (order, first) in [(PageOrder::Newest, 20_002), (PageOrder::Stored, 20_000)] {
        let page = FramesAsked { data: within(20_000, 20_003), ..asked(&frames, order, None) };
        let looked = looked_at(&frames, || {
            let found = page.find().unwrap();
            assert_eq!((found.positions[0], found.positions.len()), (Position(first), 3));
        });
        assert!(looked <= 2 * BLOCK, "{looked} frames in {order:?}");
    }
}

#[test]
fn frames_that_are_stored_out_of_order_are_found_in_the_order_of_their_times() {
    // Live frames and a backfill in turns, of equal and of overlapping times.
    let mut frames = Frames::none();
    let count = 64 * BLOCK as u64 + 700;
    let times: Vec<u64> =
        (0..count).map(|n| if n % 3 == 0 { 1 + n / 7 } else { 5000 + n * n % 977 }).collect();
    for (position, time) in (1..).zip(&times) {
        frames.store(position, Category::Ecg.only(), within(*time, time + 1 + position % 4));
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

#[test]
fn nodes_hold_their_frames_to_the_byte_and_other_bytes_are_no_frames() {
    let mut random = StdRng::seed_from_u64(3);
    let categories = [Category::Ecg.only(), Category::Spo2.only()];
    let mut position = 0;
    let frames: Vec<StoredFrame> = (0..FANOUT)
        .map(|_| {
            let bits = random.gen_range(1..40);
            position += random.gen_range(1..1 << bits);
            let begin = random.gen_range(0..1 << 43);
            StoredFrame {
                position: Position(position),
                categories: categories[random.gen_range(0..2)],
                measured: within(begin, begin + random.gen_range(1..1 << 40)),
                device: Word::from_u64(random.gen_range(0..9)),
            }
        })
        .collect();
    for count in [0, 1, 17, FANOUT] {
        let mut bytes = Vec::new();
        StoredFrame::write(&frames[..count], &mut bytes);
        let read = |bytes: &[u8]| {
            let mut from = Reader::new(bytes);
            let found = StoredFrame::read(count, &mut from)?;
            from.finish().map(|()| found)
        };
        assert_eq!(read(&bytes).unwrap(), frames[..count]);
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "cut at {at} of {count}");
            let mut changed = bytes.clone();
            changed[at] ^= 1 << random.gen_range(0..8);
            // Another value, or none: what is read is written as it was.
            if let Ok(found) = read(&changed) {
                let mut again = Vec::new();
                StoredFrame::write(&found, &mut again);
                assert_eq!(again, changed, "byte {at} of {count}");
            }
        }
    }
}

#[test]
fn a_place_among_a_hundred_thousand_positions_is_found_and_memory_holds_the_last_rows() {
    let (mut list, nodes) = (Spine::<Position>::default(), FrameNodes::in_memory());
    let count = 300_000;
    let position = |place: u64| Position(1 + 3 * place + place % 2);
    (0..count).for_each(|place| list.push(position(place), &nodes));
    let at = |list: &Spine<Position>, place| list.locate(place).unwrap().find(&nodes);
    for place in (0..count).step_by(997).chain(count - 100..count) {
        assert_eq!(at(&list, place).unwrap(), position(place));
    }
    assert!(list.locate(count).is_none());
    let in_memory = list.tail().len() + list.roots().len();
    assert!(in_memory < 4 * FANOUT, "{in_memory}");
    let mut bytes = Vec::new();
    list.write(&mut bytes);
    let again = Spine::<Position>::read(&mut Reader::new(&bytes)).unwrap();
    assert_eq!(at(&again, 1234).unwrap(), position(1234));
}
