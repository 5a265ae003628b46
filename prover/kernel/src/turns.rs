//! Where a pass gives its core to who waits for it.
//!
//! A thread in the background is to give way at once to every other one that wakes. Linux does not
//! always see to that: now and then one that wakes was seen to wait for the next tick, of up to
//! 4 ms, behind one of `SCHED_IDLE`. A thread that gives up its core has the scheduler look at
//! once. So the passes do, between parts of a fraction of a millisecond each, on threads that are
//! told to; on others nothing happens. What it brings and costs stands in `benches/README.md`.

use std::cell::Cell;

thread_local! {
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
    #[cfg(test)]
    pub(crate) static TURNS: Cell<usize> = const { Cell::new(0) };
}

/// Steps of a few nanoseconds each that are one part of a loop.
pub(crate) const PART: usize = 1 << 15;

/// From now on the thread that calls this gives way, where it proves.
pub fn set_gives_way() {
    GIVES_WAY.set(true);
}

/// Whether the thread that calls this does.
pub fn gives_way() -> bool {
    GIVES_WAY.get()
}

/// Gives the core to whoever waits for it, on a thread that [gives way](set_gives_way). Called
/// where no lock is held.
pub fn give_way() {
    if gives_way() {
        #[cfg(test)]
        TURNS.set(TURNS.get() + 1);
        std::thread::yield_now();
    }
}

/// Gives way before each part of a loop, which is of so many steps.
#[inline(always)]
pub(crate) fn give_way_every(part: usize, step: usize) {
    if step.is_multiple_of(part) {
        give_way();
    }
}
