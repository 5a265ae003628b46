//! Where a pass gives its core to who waits for it.
//!
//! A thread in the background is to give way at once to every other one that wakes. Linux does not
//! always see to that: a thread that ran for longer than its share before it slept is not eligible
//! again at once (EEVDF), and whether it is by now is asked at the next tick only, up to 4 ms
//! later. A thread that gives up its core has it asked. So the passes do, between parts of a
//! fraction of a millisecond each, on threads that are told to; on others nothing happens.

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

/// Gives the core to whoever waits for it, on a thread that [gives way](set_gives_way): between
/// two steps of a proof, in which nothing is locked.
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
