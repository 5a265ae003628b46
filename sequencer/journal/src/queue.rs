//! The bounded queue in front of the writer thread, in three lanes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::lane::Waiting;
use crate::{Failure, Lane, NotTaken};

/// Many push, one pops. Once closed it takes nothing more and is drained.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    items_max: usize,
}

struct State<T> {
    lanes: [VecDeque<T>; 3],
    closed: Option<NotTaken>,
}

impl<T> Queue<T> {
    pub(crate) fn new(items_max: usize) -> Queue<T> {
        let state = State { lanes: Lane::ALL.map(|_| VecDeque::new()), closed: None };
        Queue { state: Mutex::new(state), changed: Condvar::new(), items_max }
    }

    /// Takes the item if `reserved` places of its lane are left after it, or hands it back with the
    /// reason; never waits for room.
    pub(crate) fn push(&self, lane: Lane, reserved: usize, item: T) -> Result<(), (T, NotTaken)> {
        let mut state = self.state();
        // Before the room: a closed queue gets none, so trying again would be in vain.
        if let Some(why) = &state.closed {
            return Err((item, why.clone()));
        }
        let places = lane.places(state.waiting(), self.items_max);
        // At least one place is for everybody, however many are reserved.
        let items_max = places.saturating_sub(reserved).max(1);
        let items = &mut state.lanes[lane as usize];
        if items.len() >= items_max {
            return Err((item, NotTaken::Full { items_max }));
        }
        items.push_back(item);
        // Unlocked first, so that the writer does not wake up to wait once more.
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for items and returns how many there are; none once closed and drained. They stay in
    /// the queue, and count against its limit, until each is popped.
    pub(crate) fn wait(&self) -> Waiting {
        let is_waited = |state: &mut State<T>| state.waiting().sum() == 0 && state.closed.is_none();
        let state = self.changed.wait_while(self.state(), is_waited);
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
    #[derive(Default)]
    struct Model {
        lanes: [Vec<u32>; 3],
    }

    impl Model {
        /// Whether a lane may have one more: of its own places, or of those that leave every other
        /// lane its own.
        fn has_room(&self, lane: Lane, items_max: usize) -> bool {
            let mine = self.lanes[lane as usize].len();
            let taken: usize = Lane::ALL
                .into_iter()
                .map(|any| {
                    let items = self.lanes[any as usize].len();
                    if any == lane { items } else { items.max(any.own_places(items_max)) }
                })
                .sum();
            mine < lane.own_places(items_max) || taken < items_max
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Push(Lane),
        Pop(Lane),
    }

    fn op() -> impl Strategy<Value = Op> {
        let lane = || (0..3usize).prop_map(|lane| Lane::ALL[lane]);
        prop_oneof![3 => lane().prop_map(Op::Push), 1 => lane().prop_map(Op::Pop)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn lanes_keep_their_order_and_their_places(
            items_max in 8..80usize,
            ops in proptest::collection::vec(op(), 1..300),
        ) {
            let (queue, mut model) = (Queue::new(items_max), Model::default());
            for (number, op) in (0..).zip(ops) {
                match op {
                    Op::Push(lane) => {
                        let taken = queue.push(lane, 0, number).is_ok();
                        prop_assert_eq!(taken, model.has_room(lane, items_max));
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
                prop_assert_eq!(queue.len(), model.lanes.iter().map(Vec::len).sum::<usize>());
                prop_assert!(queue.len() <= items_max);
            }
        }

        /// However the others were filled, a lane still takes as many as are its own.
        #[test]
        fn own_places_are_free_whatever_waits_on_the_other_lanes(
            items_max in 8..5_000usize,
            lane in 0..3usize,
            order in Just([0, 1, 2usize]).prop_shuffle(),
        ) {
            let queue = Queue::new(items_max);
            for other in order.into_iter().filter(|other| *other != lane) {
                while queue.push(Lane::ALL[other], 0, ()).is_ok() {}
            }
            let lane = Lane::ALL[lane];
            let mut taken = 0;
            while queue.push(lane, 0, ()).is_ok() {
                taken += 1;
            }
            prop_assert!(taken >= lane.own_places(items_max));
            prop_assert!(queue.len() <= items_max);
        }
    }

    #[test]
    fn backfill_alone_takes_half_of_the_places() {
        let queue = Queue::new(4_096);
        let most = |lane| {
            let mut taken = 0;
            while queue.push(lane, 0, ()).is_ok() {
                taken += 1;
            }
            taken
        };
        assert_eq!(most(Lane::Backfill), 2_048);
        assert_eq!(most(Lane::Live), 1_536, "its own, whatever backfill took");
        assert_eq!(most(Lane::Control), 512);
        assert_eq!(queue.len(), 4_096);
    }
}
