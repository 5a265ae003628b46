//! The bounded queue in front of the writer thread, in three lanes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use crate::lane::Waiting;
use crate::{Failure, Lane, NotTaken, Places};

/// Many push, one pops. Once closed it takes nothing more and is drained.
///
/// What is pushed together waits together: one lock, one waking and one reply for all of it. Places
/// are counted by the item all the same, so that nobody has more of them by pushing otherwise.
pub(crate) struct Queue<T, R> {
    state: Mutex<State<T, R>>,
    changed: Condvar,
    /// Places that any item may take, within the share of its lane.
    common_max: usize,
    /// Places beside these that only some items take. No share counts them: a lane that is beyond
    /// its own places has none left as soon as the others take the rest.
    reserved: usize,
}

/// Items that were pushed together, without those that are taken already.
pub(crate) struct Batch<T, R> {
    pub(crate) items: IntoIter<T>,
    pub(crate) reply: R,
}

/// Items that were not taken, the last ones of those that were pushed together.
#[derive(Debug)]
pub(crate) struct Refused<T> {
    pub(crate) items: Vec<T>,
    pub(crate) why: NotTaken,
}

struct State<T, R> {
    lanes: [VecDeque<Batch<T, R>>; 3],
    /// Items of each lane; of a batch that was popped all but the first until they are counted
    /// off.
    waiting: Waiting,
    closed: Option<NotTaken>,
    /// Whether the one who pops waits: waking costs a system call, also where nobody does.
    is_awaited: bool,
}

impl<T, R> Queue<T, R> {
    /// So many places; these `reserved` ones among them, but a half of all at most.
    pub(crate) fn new(items_max: usize, reserved: usize) -> Queue<T, R> {
        let (lanes, waiting) = (Lane::ALL.map(|_| VecDeque::new()), Waiting::default());
        let state = State { lanes, waiting, closed: None, is_awaited: false };
        let reserved = reserved.min(items_max / 2);
        let common_max = items_max - reserved;
        Queue { state: Mutex::new(state), changed: Condvar::new(), common_max, reserved }
    }

    /// Takes as many of the items, in their order, as there are such places for on their lane, and
    /// hands the others back with the reason; never waits for room. The reply is made for as many
    /// as are taken, and not at all if none is.
    pub(crate) fn push(
        &self,
        lane: Lane,
        places: Places,
        items: Vec<T>,
        reply: impl FnOnce(usize) -> R,
    ) -> Result<(), Refused<T>> {
        let mut items = items;
        let mut state = self.state();
        // Before the room: a closed queue gets none, so trying again would be in vain.
        if let Some(why) = &state.closed {
            return Err(Refused { items, why: why.clone() });
        }
        let reserved = match places {
            Places::Common => 0,
            Places::Reserved => self.reserved,
        };
        let items_max = lane.places(state.waiting, self.common_max, reserved);
        let room = items_max.saturating_sub(state.waiting.on(lane));
        let rest = items.split_off(room.min(items.len()));
        if !items.is_empty() {
            state.waiting.0[lane as usize] += items.len();
            let reply = reply(items.len());
            state.lanes[lane as usize].push_back(Batch { items: items.into_iter(), reply });
            let is_awaited = state.is_awaited;
            // Unlocked first, so that the writer does not wake up to wait once more.
            drop(state);
            if is_awaited {
                self.changed.notify_one();
            }
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(Refused { items: rest, why: NotTaken::Full { lane, items_max } }),
        }
    }

    /// Waits for items and returns how many there are; none once closed and drained. They stay in
    /// the queue, and count against its limit, until they are popped and counted off.
    pub(crate) fn wait(&self) -> Waiting {
        let is_awaited = |state: &mut State<T, R>| {
            // Set and cleared under the lock: whoever pushes sees it, or is seen.
            state.is_awaited = state.waiting.sum() == 0 && state.closed.is_none();
            state.is_awaited
        };
        let state = self.changed.wait_while(self.state(), is_awaited);
        state.unwrap_or_else(PoisonError::into_inner).waiting
    }

    /// What was pushed together first. Its first item has left its place; the others keep theirs
    /// until they are counted off.
    pub(crate) fn pop(&self, lane: Lane) -> Option<Batch<T, R>> {
        let mut state = self.state();
        let batch = state.lanes[lane as usize].pop_front()?;
        state.waiting.0[lane as usize] -= 1;
        Some(batch)
    }

    /// So many items of what was popped have left their places behind the first; what is left of it
    /// is popped next.
    pub(crate) fn count_off(&self, lane: Lane, items: usize, left: Option<Batch<T, R>>) {
        // As for nearly everything that was pushed alone.
        if items == 0 && left.is_none() {
            return;
        }
        let mut state = self.state();
        state.waiting.0[lane as usize] -= items;
        if let Some(left) = left {
            state.lanes[lane as usize].push_front(left);
        }
    }

    /// Takes nothing more; what is queued is still popped.
    pub(crate) fn close(&self) {
        // A failure that came first is the better reason.
        self.state().closed.get_or_insert(NotTaken::Stopped);
        self.changed.notify_all();
    }

    /// Takes nothing more, for this reason, and hands out the replies of what is queued.
    pub(crate) fn fail(&self, failure: Failure) -> impl Iterator<Item = R> + use<T, R> {
        // Closed and emptied under one lock: an item pushed between the two would never be
        // answered. Nobody is woken, because the one who waits on the queue is the caller.
        let mut state = self.state();
        state.closed = Some(NotTaken::Failed(failure));
        state.waiting = Waiting::default();
        let lanes = state.lanes.each_mut().map(std::mem::take);
        lanes.into_iter().flatten().map(|batch| batch.reply)
    }

    /// Why nothing more is taken, once that is so.
    pub(crate) fn closed(&self) -> Option<NotTaken> {
        self.state().closed.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.state().waiting.sum()
    }

    /// No caller's code runs under the lock, so a panic cannot leave the state half changed.
    fn state(&self) -> MutexGuard<'_, State<T, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The simplest model: every item of a lane in the order in which it was taken.
    struct Model {
        lanes: [Vec<u32>; 3],
        items_max: usize,
        reserved: usize,
    }

    impl Model {
        /// Whether a lane may have one more: of its own places, or of those that leave every other
        /// lane its own, the reserved ones among them if it may have those.
        fn has_room(&self, lane: Lane, places: Places) -> bool {
            let common_max = self.items_max - self.reserved;
            let more = match places {
                Places::Common => 0,
                Places::Reserved => self.reserved,
            };
            let mine = self.lanes[lane as usize].len();
            let taken: usize = Lane::ALL
                .into_iter()
                .map(|any| {
                    let items = self.lanes[any as usize].len();
                    if any == lane { items } else { items.max(any.own_places(common_max)) }
                })
                .sum();
            mine < lane.own_places(common_max) || taken < common_max + more
        }

        fn len(&self) -> usize {
            self.lanes.iter().map(Vec::len).sum()
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        /// So many together.
        Push(Lane, Places, u32),
        /// At most so many of what was pushed together first.
        Pop(Lane, usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let lane = || (0..3usize).prop_map(|lane| Lane::ALL[lane]);
        let places = prop_oneof![2 => Just(Places::Common), 1 => Just(Places::Reserved)];
        let together = prop_oneof![2 => Just(1), 1 => 0..12u32];
        prop_oneof![
            3 => (lane(), places, together)
                .prop_map(|(lane, places, count)| Op::Push(lane, places, count)),
            2 => (lane(), 1..9usize).prop_map(|(lane, most)| Op::Pop(lane, most)),
        ]
    }

    /// So many places, and how many of them are reserved.
    fn places(items_max: impl Strategy<Value = usize>) -> impl Strategy<Value = (usize, usize)> {
        items_max.prop_flat_map(|items_max| (Just(items_max), 0..=items_max / 2))
    }

    /// Pushes one.
    fn push(queue: &Queue<(), ()>, lane: Lane, places: Places) -> Result<(), Refused<()>> {
        queue.push(lane, places, vec![()], |_| ())
    }

    /// Pushes as many as are taken; how many those were.
    fn fill(queue: &Queue<(), ()>, lane: Lane, places: Places) -> usize {
        std::iter::repeat_with(|| push(queue, lane, places)).take_while(Result::is_ok).count()
    }

    /// Takes one that was pushed alone.
    fn pop(queue: &Queue<(), ()>, lane: Lane) {
        if let Some(one) = queue.pop(lane) {
            queue.count_off(lane, one.items.len() - 1, None);
        }
    }

    /// Takes at most so many, and one at least, of what was pushed together first.
    fn take(queue: &Queue<u32, ()>, lane: Lane, most: usize) -> Vec<u32> {
        let Some(mut batch) = queue.pop(lane) else { return Vec::new() };
        let taken: Vec<u32> = batch.items.by_ref().take(most).collect();
        let left = (batch.items.len() > 0).then_some(batch);
        queue.count_off(lane, taken.len() - 1, left);
        taken
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn lanes_keep_their_order_and_their_places(
            (items_max, reserved) in places(8..80usize),
            ops in proptest::collection::vec(op(), 1..300),
        ) {
            let queue = Queue::new(items_max, reserved);
            let mut model = Model { lanes: Default::default(), items_max, reserved };
            let mut number = 0;
            for op in ops {
                match op {
                    Op::Push(lane, places, count) => {
                        let items: Vec<u32> = (number..number + count).collect();
                        number += count;
                        let refused = queue.push(lane, places, items.clone(), |_| ());
                        // Taken or not as if each had come alone, and none behind one that was not.
                        let mut rest = items.into_iter();
                        while rest.len() > 0 && model.has_room(lane, places) {
                            model.lanes[lane as usize].extend(rest.next());
                        }
                        let refused = refused.err().map_or(Vec::new(), |refused| refused.items);
                        prop_assert_eq!(refused, rest.collect::<Vec<_>>());
                    }
                    Op::Pop(lane, most) => {
                        let taken = take(&queue, lane, most);
                        prop_assert!(taken.len() <= most);
                        let lane_items = &mut model.lanes[lane as usize];
                        prop_assert_eq!(lane_items.is_empty(), taken.is_empty());
                        let first: Vec<u32> = lane_items.drain(..taken.len()).collect();
                        prop_assert_eq!(taken, first);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert!(queue.len() <= items_max);
            }
        }

        /// However the others were filled, a lane still takes as many as are its own.
        #[test]
        fn own_places_are_free_whatever_waits_on_the_other_lanes(
            (items_max, reserved) in places(8..5_000usize),
            lane in 0..3usize,
            order in Just([0, 1, 2usize]).prop_shuffle(),
        ) {
            let queue = Queue::new(items_max, reserved);
            for other in order.into_iter().filter(|other| *other != lane) {
                fill(&queue, Lane::ALL[other], Places::Common);
            }
            let lane = Lane::ALL[lane];
            let taken = fill(&queue, lane, Places::Common);
            prop_assert!(taken >= lane.own_places(items_max - reserved));
            prop_assert!(queue.len() <= items_max - reserved);
        }

        /// Whatever ordinary items came on which lane, and in which order, and however many of them
        /// left again: as many places as are reserved are there for a stop.
        #[test]
        fn reserved_places_are_free_however_the_lanes_were_filled(
            (items_max, reserved) in places(8..500usize),
            some in proptest::collection::vec((0..3usize, 0..300usize, 0..100usize), 0..12),
            order in Just(Lane::ALL).prop_shuffle(),
            mine in 0..3usize,
        ) {
            let queue = Queue::new(items_max, reserved);
            for (lane, pushed, popped) in some {
                let lane = Lane::ALL[lane];
                (0..pushed).for_each(|_| drop(push(&queue, lane, Places::Common)));
                (0..popped).for_each(|_| pop(&queue, lane));
            }
            for lane in order {
                fill(&queue, lane, Places::Common);
            }
            prop_assert!(queue.len() <= items_max - reserved);
            let before = queue.len();
            prop_assert_eq!(fill(&queue, Lane::ALL[mine], Places::Reserved), reserved);
            prop_assert!(queue.len() <= items_max);
            for lane in Lane::ALL {
                let what = "nothing ordinary takes what a stop gives back";
                prop_assert_eq!(fill(&queue, lane, Places::Common), 0, "{}", what);
            }
            prop_assert_eq!(queue.len(), before + reserved);
        }
    }

    #[test]
    fn backfill_alone_takes_half_of_the_places() {
        let queue = Queue::new(4_096, 0);
        let most = |lane| fill(&queue, lane, Places::Common);
        assert_eq!(most(Lane::Backfill), 2_048);
        assert_eq!(most(Lane::Live), 1_536, "its own, whatever backfill took");
        assert_eq!(most(Lane::Control), 512);
        assert_eq!(queue.len(), 4_096);
    }

    /// Control in the shared places first: what live takes then leaves it none.
    #[test]
    fn a_stop_has_its_places_when_control_is_beyond_its_own() {
        for first in [0, 447, 448, 460, 500, 504, 512, 600, 1_984, 4_096] {
            let queue = Queue::new(4_096, 64);
            (0..first).for_each(|_| drop(push(&queue, Lane::Control, Places::Common)));
            for lane in [Lane::Live, Lane::Backfill, Lane::Control] {
                fill(&queue, lane, Places::Common);
            }
            let taken = fill(&queue, Lane::Control, Places::Reserved);
            assert_eq!(taken, 64, "behind {first} ordinary ones of its lane");
            assert_eq!(queue.len(), 4_096);
        }
    }
}
