//! When an open window ends by the clock.

use model::Millis;

/// When an open window ends by the clock.
///
/// ```text
/// t0      t0+c    t0+2c   t0+3c   t0+4c
/// |-------|-------|-------|-------|        c: close_after_ms
///             nothing       x              the first thing that a batch proves
/// [===============================)        one window, closed at the next boundary
/// ```
/// A window in which something happens ends where it would if windows of `close_after_ms` had
/// abutted all the while, so that nobody waits longer for a batch because nothing happened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    close_after_ms: u64,
    idle_ms: u64,
}

impl Cadence {
    /// How often it is looked whether the open window is due, milliseconds: a tenth of a second is
    /// little beside a window and costs nothing, because nothing is asked of the writer.
    pub const LOOK_EVERY_MS: u64 = 100;

    /// A window in which something happens ends at a multiple of `close_after_ms` after its begin;
    /// one in which nothing does after `idle_ms`, but after `close_after_ms` at the soonest.
    pub fn new(close_after_ms: u64, idle_ms: u64) -> Cadence {
        Cadence { close_after_ms, idle_ms: idle_ms.max(close_after_ms) }
    }

    /// Every window ends `close_after_ms` after its begin, whatever happens in it.
    pub fn fixed(close_after_ms: u64) -> Cadence {
        Cadence::new(close_after_ms, close_after_ms)
    }

    /// After how many milliseconds a window ends in which something happens.
    pub fn close_after_ms(&self) -> u64 {
        self.close_after_ms
    }

    /// After how many milliseconds a window ends in which nothing happens.
    pub fn idle_ms(&self) -> u64 {
        self.idle_ms
    }

    /// When a window that begins at `t0` ends; `first` is the time of the first thing in it that a
    /// batch proves.
    pub fn due(&self, t0: Millis, first: Option<Millis>) -> Millis {
        let idle = t0.plus(self.idle_ms);
        let Some(first) = first else { return idle };
        let boundaries = first.since(t0) / self.close_after_ms.max(1) + 1;
        // The last part of an idle time may be shorter than the others.
        t0.plus(boundaries.saturating_mul(self.close_after_ms)).min(idle)
    }

    /// Whether a window that begins at `t0`, and in which nothing happened, is open at `now` for
    /// no other reason.
    pub fn is_idle(&self, t0: Millis, now: Millis) -> bool {
        self.idle_ms > self.close_after_ms && now.since(t0) >= self.close_after_ms
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    const MINUTE: u64 = 60_000;
    const T0: u64 = 4_000_000_000_000;

    fn at(ms: u64) -> Millis {
        Millis::new(T0 + ms).unwrap()
    }

    /// One window as it was closed: begin, end, and when things happened in it.
    #[derive(Debug)]
    struct Closed {
        t0: u64,
        t1: u64,
        items: Vec<u64>,
    }

    /// Windows of a node that looks at the clock at these times and has these things happen to it.
    fn close_all(cadence: Cadence, items: &[u64], looks: &[u64]) -> Vec<Closed> {
        let (mut closed, mut open) = (vec![], Closed { t0: 0, t1: 0, items: vec![] });
        let mut items = items.iter().copied().peekable();
        for &look in looks {
            while let Some(item) = items.next_if(|item| *item < look) {
                open.items.push(item);
            }
            let first = open.items.first().map(|first| at(*first));
            if at(look) >= cadence.due(at(open.t0), first) {
                open.t1 = look;
                let next = Closed { t0: look, t1: 0, items: vec![] };
                closed.push(std::mem::replace(&mut open, next));
            }
        }
        assert!(items.next().is_none() && open.items.is_empty(), "the looks go on long enough");
        closed
    }

    /// Things that come in bursts with idle hours between, and looks a little apart.
    fn random_day(random: &mut StdRng, looks_apart: u64) -> (Vec<u64>, Vec<u64>) {
        let (mut items, mut now) = (vec![], 0);
        for _ in 0..random.gen_range(0..40) {
            now += match random.gen_range(0..4) {
                0 => random.gen_range(0..3 * 60 * MINUTE),
                _ => random.gen_range(0..2 * MINUTE),
            };
            items.push(now);
        }
        let (mut looks, mut look, end) = (vec![], 0, now + 5 * 60 * MINUTE);
        while look < end {
            look += random.gen_range(1..=looks_apart);
            looks.push(look);
        }
        (items, looks)
    }

    #[test]
    fn whatever_happens_and_when_each_thing_is_in_one_window_and_none_is_too_long_or_for_nothing() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..200 {
            let (close, idle) = (random.gen_range(1_000..5 * MINUTE), 60 * MINUTE);
            let looks_apart = random.gen_range(100..3_000);
            let (items, looks) = random_day(&mut random, looks_apart);
            let closed = close_all(Cadence::new(close, idle), &items, &looks);
            let held: Vec<u64> = closed.iter().flat_map(|one| one.items.clone()).collect();
            assert_eq!(held, items, "each in one window, in order");
            for (window, next) in closed.iter().zip(closed.iter().skip(1)) {
                assert_eq!(window.t1, next.t0, "windows abut");
            }
            for window in &closed {
                let length = window.t1 - window.t0;
                assert!(length < idle + looks_apart, "{window:?}");
                match window.items.first() {
                    Some(first) => {
                        // As if the idle time were not there.
                        assert!(window.t1 - first < close + looks_apart, "{window:?}");
                        assert!(
                            window.items.iter().all(|item| (window.t0..window.t1).contains(item))
                        );
                    }
                    None => assert!(length >= idle, "{window:?}"),
                }
            }
        }
    }

    #[test]
    fn a_fixed_cadence_closes_each_window_at_its_age_whatever_happens() {
        let mut random = StdRng::seed_from_u64(8);
        for _ in 0..50 {
            let close = random.gen_range(1_000..5 * MINUTE);
            let (items, looks) = random_day(&mut random, 100);
            let busy = close_all(Cadence::fixed(close), &items, &looks);
            let quiet = close_all(Cadence::fixed(close), &[], &looks);
            let ends = |closed: &[Closed]| closed.iter().map(|one| one.t1).collect::<Vec<_>>();
            assert_eq!(ends(&busy), ends(&quiet), "nothing shows when something happened");
            assert!(busy.iter().all(|one| (close..close + 100).contains(&(one.t1 - one.t0))));
        }
    }

    #[test]
    fn a_window_ends_at_the_boundary_after_the_first_thing_in_it() {
        let cadence = Cadence::new(MINUTE, 60 * MINUTE);
        for (first, due) in [
            (0, MINUTE),
            (MINUTE - 1, MINUTE),
            (MINUTE, 2 * MINUTE),
            (10 * MINUTE + 1, 11 * MINUTE),
            (60 * MINUTE - 1, 60 * MINUTE),
            // Nobody looked while it was due: at once.
            (90 * MINUTE, 60 * MINUTE),
        ] {
            assert_eq!(cadence.due(at(0), Some(at(first))), at(due), "{first}");
        }
        assert_eq!(cadence.due(at(0), None), at(60 * MINUTE));
        // The idle time is no multiple of a window: the last one is shorter.
        let uneven = Cadence::new(7 * MINUTE, 60 * MINUTE);
        assert_eq!(uneven.due(at(0), Some(at(57 * MINUTE))), at(60 * MINUTE));
        // An idle time below a window's length counts for nothing.
        assert_eq!(Cadence::new(MINUTE, 1), Cadence::fixed(MINUTE));
        assert_eq!(Cadence::fixed(MINUTE).due(at(0), None), at(MINUTE));
    }

    #[test]
    fn a_window_is_idle_once_another_one_would_have_begun() {
        let cadence = Cadence::new(MINUTE, 60 * MINUTE);
        assert!(!cadence.is_idle(at(0), at(MINUTE - 1)) && cadence.is_idle(at(0), at(MINUTE)));
        assert!(!Cadence::fixed(MINUTE).is_idle(at(0), at(2 * MINUTE)));
    }

    #[test]
    fn a_day_without_a_patient_costs_24_transactions_and_1_440_at_a_fixed_cadence() {
        /// What the contract takes for a batch without proofs (`l1-contracts/snapshots/gas.json`).
        const GAS: u64 = 58_997;
        let day: Vec<u64> = (1..=24 * 60 * 60 * 10).map(|tenth| tenth * 100).collect();
        let count = |cadence| close_all(cadence, &[], &day).len() as u64;
        let idle = count(Cadence::new(MINUTE, 60 * MINUTE));
        let fixed = count(Cadence::fixed(MINUTE));
        assert_eq!((idle, fixed), (24, 1_440));
        println!("a day without a patient: {idle} transactions, {} gas", idle * GAS);
        println!("at a fixed cadence: {fixed} transactions, {} gas", fixed * GAS);
    }
}
