//! Three lanes before the writer: what is urgent is in the next group, whatever waits.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Sender, channel};

use journal::fault::{FaultMedium, salts};
use journal::{
    Admission, BACKFILL_BYTES_MAX, Committed, EntryKind, GroupBuilder, GroupNumber, ITEM_BYTES_MAX,
    Lane, Log, Millis, Submitter, Writer, WriterConfig,
};
use proptest::prelude::*;

use crate::gated::GatedMedium;
use crate::support::{GENESIS, START_MS};

/// Becomes one entry of so many bytes.
struct Item(usize);

/// Answers with the group of an item.
struct InGroups;

impl Admission for InGroups {
    type Item = Item;
    type Answer = GroupNumber;

    fn admit(&mut self, _: Millis, Item(bytes): Item, out: &mut GroupBuilder) -> GroupNumber {
        let body = vec![0; bytes.saturating_sub(ENTRY_HEADER)];
        out.append(EntryKind::FRAME, &body).expect("an item has room");
        out.number()
    }

    fn committed(&mut self, _: &Committed) {}
}

/// Bytes of an entry beside its body.
const ENTRY_HEADER: usize = 16;

/// Where an item went.
#[derive(Clone, Copy, Debug)]
struct Stored {
    lane: Lane,
    /// Which one of its lane, by submission.
    number: usize,
    bytes: usize,
    group: GroupNumber,
}

fn start(medium: FaultMedium, queue_items_max: usize) -> Writer<FaultMedium, InGroups> {
    let (log, _) = Log::open(medium, GENESIS, salts()).expect("open");
    let queue_items_max = NonZeroUsize::new(queue_items_max).expect("not zero");
    let config = WriterConfig { queue_items_max, reserved_items: 0 };
    Writer::start(log, InGroups, || START_MS, config).expect("a thread starts")
}

/// Submits the items of each lane in order while the writer syncs, so that all of them wait before
/// the second group; what became of them, in the order of their answers.
fn store(items: &[(Lane, usize)]) -> Vec<Stored> {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), 8 * items.len());
    let submitter = writer.submitter();
    medium.hold();
    submitter.submit(Lane::Live, Item(100), |_| ()).expect("taken");
    medium.await_sync();
    let (tell, told) = channel();
    let mut numbers = BTreeMap::new();
    for (lane, bytes) in items {
        let number = numbers.entry(*lane).or_insert(0);
        submit(&submitter, &tell, Stored { lane: *lane, number: *number, bytes: *bytes, group: 0 });
        *number += 1;
    }
    drop(tell);
    medium.release();
    assert!(writer.stop().failure.is_none());
    told.iter().collect()
}

fn submit(to: &Submitter<InGroups>, tell: &Sender<Stored>, item: Stored) {
    let tell = tell.clone();
    let reply = move |group: Result<GroupNumber, _>| {
        let group = group.expect("durable");
        tell.send(Stored { group, ..item }).expect("the test listens");
    };
    to.submit(item.lane, Item(item.bytes), reply).expect("taken");
}

fn items() -> impl Strategy<Value = Vec<(Lane, usize)>> {
    let lane = prop_oneof![
        1 => Just(Lane::Control), 4 => Just(Lane::Live), 8 => Just(Lane::Backfill)
    ];
    // Mostly as large as frames, some as large as entries may be.
    let bytes = prop_oneof![30 => 100..70_000usize, 1 => 1_000_000..1usize << 20];
    proptest::collection::vec((lane, bytes), 1..500)
}

fn bytes_on(stored: &[Stored], lane: Lane) -> usize {
    stored.iter().filter(|item| item.lane == lane).map(|item| item.bytes).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn each_group_takes_of_every_lane_and_all_that_is_urgent(items in items()) {
        let mut waiting = store(&items);
        prop_assert_eq!(waiting.len(), items.len());
        let mut numbers = BTreeMap::new();
        for group in 2.. {
            let (taken, left): (Vec<_>, Vec<_>) =
                waiting.iter().copied().partition(|item| item.group == group);
            for lane in Lane::ALL {
                let waited = waiting.iter().filter(|item| item.lane == lane).count();
                let of_lane: Vec<_> = taken.iter().filter(|item| item.lane == lane).collect();
                prop_assert!(waited == 0 || !of_lane.is_empty(), "{:?} starves", lane);
                // In order, and none left out.
                for item in of_lane {
                    let next = numbers.entry(lane).or_insert(0);
                    prop_assert_eq!(item.number, *next);
                    *next += 1;
                }
            }
            // With a largest item kept for each lane behind it, what is within 2 MiB goes at once.
            let urgent = bytes_on(&waiting, Lane::Control);
            prop_assert!(urgent > ITEM_BYTES_MAX || bytes_on(&left, Lane::Control) == 0);
            let live = bytes_on(&waiting, Lane::Live);
            prop_assert!(urgent + live > ITEM_BYTES_MAX || bytes_on(&left, Lane::Live) == 0);
            let backfill = taken.iter().filter(|item| item.lane == Lane::Backfill);
            let last = backfill.clone().next_back().map_or(0, |item| item.bytes);
            let before_last = backfill.map(|item| item.bytes).sum::<usize>() - last;
            prop_assert!(before_last < BACKFILL_BYTES_MAX, "{} bytes of backfill", before_last);
            waiting = left;
            if waiting.is_empty() {
                break;
            }
        }
    }
}

#[test]
fn an_alarm_that_comes_at_any_group_of_a_full_backfill_is_in_the_next_one() {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), 4_096);
    let submitter = writer.submitter();
    medium.hold();
    submitter.submit(Lane::Live, Item(100), |_| ()).expect("taken");
    medium.await_sync();
    // 16 MiB, of which a group takes 1 MiB.
    let (alarmed, alarms) = channel();
    let mut backfilled = 0;
    loop {
        let (submit_to, alarmed) = (submitter.clone(), alarmed.clone());
        // Between two groups, on the writer thread: the alarm is there before the next one begins.
        let reply = move |group: Result<GroupNumber, _>| {
            let before = group.expect("durable");
            let tell = move |group: Result<GroupNumber, _>| {
                alarmed.send((before, group.expect("durable"))).expect("the test listens");
            };
            submit_to.submit(Lane::Control, Item(100), tell).expect("the alarms have own places");
        };
        // Not after every one: the alarms would be more than their own places.
        let taken = match backfilled % 16 {
            0 => submitter.submit(Lane::Backfill, Item(8 << 10), reply),
            _ => submitter.submit(Lane::Backfill, Item(8 << 10), |_| ()),
        };
        if taken.is_err() {
            break;
        }
        backfilled += 1;
    }
    assert_eq!(backfilled, 2_048, "half of the places");
    drop((alarmed, submitter));
    medium.release();
    // Each answer came while the writer ran, the last one with the group behind the backfill.
    let groups: Vec<_> = alarms.iter().collect();
    assert_eq!(groups.len(), 128);
    assert!(groups.iter().all(|(before, after)| *after == before + 1), "{groups:?}");
    assert_eq!(groups.last().map(|(before, _)| *before), Some(17), "16 groups of 1 MiB");
    assert!(writer.stop().failure.is_none());
}
