//! The bounded queue in front of the writer thread, in three lanes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::lane::Waiting;
use crate::{Failure, Lane, NotTaken, Places};

/// Many push, one pops. Once closed it takes nothing more and is drained.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Places that any item may take, within the share of its lane.
    common_max: usize,
    /// Places beside these that only some items take. No share counts them: a lane that is beyond
    /// its own places has none left as soon as the others take the rest.
    reserved: usize,
}

struct State<T> {
    lanes: [VecDeque<T>; 3],
    closed: Option<NotTaken>,
    /// Whether the one who pops waits: waking costs a system call, also where nobody does.
    is_awaited: bool,
}

impl<T> Queue<T> {
    /// So many places; these `reserved` ones among them, but a half of all at most.
    pub(crate) fn new(items_max: usize, reserved: usize) -> Queue<T> {
        let lanes = Lane::ALL.map(|_| VecDeque::new());
        let state = State { lanes, closed: None, is_awaited: false };
        let reserved = reserved.min(items_max / 2);
        let common_max = items_max - reserved;
        Queue { state: Mutex::new(state), changed: Condvar::new(), common_max, reserved }
    }

    /// Takes the item if there is such a place for it on its lane, or hands it back with the
    /// reason; never waits for room.
    pub(crate) fn push(&self, lane: Lane, places: Places, item: T) -> Result<(), (T, NotTaken)> {
        let mut state = self.state();
        // Before the room: a closed queue gets none, so trying again would be in vain.
        if let Some(why) = &state.closed {
            return Err((item, why.clone()));
        }
        let reserved = match places {
            Places::Common => 0,
            Places::Reserved => self.reserved,
        };
        let items_max = lane.places(state.waiting(), self.common_max, reserved);
        let items = &mut state.lanes[lane as usize];
        if items.len() >= items_max {
            return Err((item, NotTaken::Full { lane, items_max }));
        }
        items.push_back(item);
        let is_awaited = state.is_awaited;
        // Unlocked first, so that the writer does not wake up to wait once more.
        drop(state);
        if is_awaited {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for items and returns how many there are; none once closed and drained. They stay in
    /// the queue, and count against its limit, until each is popped.
    pub(crate) fn wait(&self) -> Waiting {
        let is_awaited = |state: &mut State<T>| {
            // Set and cleared under the lock: whoever pushes sees it, or is seen.
            state.is_awaited = state.waiting().sum() == 0 && state.closed.is_none();
            state.is_awaited
        };
        let state = self.changed.wait_while(self.state(), is_awaited);
        state.unwrap_or_else(PoisonError::into_inner).waiting()
    }

    pub(crate) fn pop(&self, lane: Lane) -> Option<T> {
        self.state().lanes[lane as usize].pop_front()
    }

    /// Takes nothing more; what is queued is still popped.
    pub(crate) fn close(&self) {
        // A failure that came first is the better reason.
        self.state().closed.get_or_insert(NotTaken::Stopped);
        self.changed.notify_all();
    }

    /// Takes nothing more, for this reason, and hands out what is queued.
    pub(crate) fn fail(&self, failure: Failure) -> impl Iterator<Item = T> + use<T> {
        // Closed and emptied under one lock: an item pushed between the two would never be
        // answered. Nobody is woken, because the one who waits on the queue is the caller.
        let mut state = self.state();
        state.closed = Some(NotTaken::Failed(failure));
        let lanes = state.lanes.each_mut().map(std::mem::take);
        lanes.into_iter().flatten()
    }

    /// Why nothing more is taken, once that is so.
    pub(crate) fn closed(&self) -> Option<NotTaken> {
        self.state().closed.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.state().waiting().sum()
    }

    /// No caller's code runs under the lock, so a panic cannot leave the state half changed.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn waiting(&self) -> Waiting {
        Waiting(self.lanes.each_ref().map(VecDeque::len))
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
        Push(Lane, Places),
        Pop(Lane),
    }

    fn op() -> impl Strategy<Value = Op> {
        let lane = || (0..3usize).prop_map(|lane| Lane::ALL[lane]);
        let places = prop_oneof![2 => Just(Places::Common), 1 => Just(Places::Reserved)];
        prop_oneof![
            3 => (lane(), places).prop_map(|(lane, places)| Op::Push(lane, places)),
            1 => lane().prop_map(Op::Pop),
        ]
    }

    /// So many places, and how many of them are reserved.
    fn places(items_max: impl Strategy<Value = usize>) -> impl Strategy<Value = (usize, usize)> {
        items_max.prop_flat_map(|items_max| (Just(items_max), 0..=items_max / 2))
    }

    /// Pushes as many as are taken; how many those were.
    fn fill(queue: &Queue<()>, lane: Lane, places: Places) -> usize {
        std::iter::repeat_with(|| queue.push(lane, places, ())).take_while(Result::is_ok).count()
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
            for (number, op) in (0..).zip(ops) {
                match op {
                    Op::Push(lane, places) => {
                        let taken = queue.push(lane, places, number).is_ok();
                        prop_assert_eq!(taken, model.has_room(lane, places));
                        if taken {
                            model.lanes[lane as usize].push(number);
                        }
                    }
                    Op::Pop(lane) => {
                        let lane_items = &mut model.lanes[lane as usize];
                        let first = (!lane_items.is_empty()).then(|| lane_items.remove(0));
                        prop_assert_eq!(queue.pop(lane), first);
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
                (0..pushed).for_each(|_| drop(queue.push(lane, Places::Common, ())));
                (0..popped).for_each(|_| _ = queue.pop(lane));
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
            (0..first).for_each(|_| drop(queue.push(Lane::Control, Places::Common, ())));
            for lane in [Lane::Live, Lane::Backfill, Lane::Control] {
                fill(&queue, lane, Places::Common);
            }
            let taken = fill(&queue, Lane::Control, Places::Reserved);
            assert_eq!(taken, 64, "behind {first} ordinary ones of its lane");
            assert_eq!(queue.len(), 4_096);
        }
    }
}
