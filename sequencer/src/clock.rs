//! The node's time: two clocks of the machine, compared before anything is stamped.
//!
//! The wall clock says what time it is and can be set wrong; the boot-time clock counts what went
//! by, sleep included, and cannot be set. Their difference is kept from the start on. While the
//! wall clock stays within a few seconds of what that difference says, it is believed. Otherwise
//! nobody knows which of the two is right, so nothing that asserts a time is taken in, until either
//! the wall clock is back, or both have run side by side at the new difference for so long that it
//! must be what somebody wanted.
//!
//! The difference outlives the process, in a file of the folder: as long as the machine runs, its
//! boot-time clock is the same one, and a start of the node settles no doubt.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::{BootId, Clock, Millis, SystemClock};

use crate::setting::{range, settings};

/// Reading one clock after the other takes time, and more while the machine is busy: so much
/// difference, milliseconds, says nothing.
const JITTER_MS: u64 = 20;

/// How far the difference may move, milliseconds, while it is watched whether it stays.
const STEADY_MS: u64 = 1_000;

settings! {
    /// `[clock]`: when the machine's time is believed.
    pub struct ClockConfig in "clock" {
        disagreement_ms_max: u64 = 5_000; "milliseconds", range(1_000, 60_000) => {
            sets: "How far wall clock and boot-time clock may be apart, and the journal's last time \
                   ahead of both.",
            at_limit: "Frames, new streams, accesses and operations that give rights are refused \
                       as unavailable; stops, revocations and denials that are not signed too far \
                       ahead are taken. See `vitals_clock_disagreement_seconds`.",
        }
        settled_after_ms: u64 = 300_000; "milliseconds", range(10_000, 86_400_000) => {
            sets: "How long a wall clock that was set must run beside the boot-time clock, and \
                   reach the last time journaled before it was set, until it is believed. A start \
                   of the node changes nothing; a start of the machine believes it at once.",
        }
    }
}

/// The machine's two clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Millis {
        SystemClock.now()
    }

    fn running_ms(&self) -> u64 {
        let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(since_boot.tv_sec).unwrap_or(0);
        seconds * 1000 + u64::try_from(since_boot.tv_nsec / 1_000_000).unwrap_or(0)
    }

    fn boot(&self) -> Option<BootId> {
        // Without it nothing is remembered, and a start believes the wall clock.
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let mut id = [0; 16];
        hex::decode_to_slice(text.trim().replace('-', ""), &mut id).ok()?;
        Some(BootId(id))
    }
}

/// Two clocks that are too far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// What the wall clock says.
    pub wall: Millis,
    /// What it would say by the boot-time clock.
    pub unset: Millis,
    /// How far the wall clock is ahead of that, milliseconds; negative if it is behind.
    pub distance_ms: i64,
    /// After how long the wall clock is believed, milliseconds, if nobody sets it again.
    pub believed_in_ms: u64,
}

/// What the two clocks say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// They agree: it is now, give or take what a reading spans.
    Trusted,
    /// They are too far apart.
    Disagrees(Disagreement),
}

/// One look at both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The earliest that it may be: what is stamped with it lies in nobody's future.
    pub earliest: Millis,
    /// The latest that it may be.
    pub latest: Millis,
    /// What it would be if nobody had set the wall clock.
    pub unset: Millis,
    /// How far the wall clock is ahead of that, milliseconds; negative if it is behind.
    pub distance_ms: i64,
    /// Whether that is too far.
    pub trust: Trust,
}

/// What [`NodeClock::tick`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing new.
    Same,
    /// A wall clock that was set is believed from now on; it was this far off, milliseconds.
    Believed {
        /// How far it was ahead; negative if it was behind.
        distance_ms: i64,
    },
}

/// A difference that may become the believed one.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    difference_ms: i64,
    /// The boot-time clock when it was seen first.
    since_ms: u64,
}

impl Candidate {
    fn is_steady(&self, found_ms: i64) -> bool {
        self.difference_ms.abs_diff(found_ms) <= STEADY_MS
    }
}

/// What is watched while time goes by.
#[derive(Debug, Default)]
struct Seen {
    candidate: Option<Candidate>,
    /// The journal's last time while the clocks agreed last; at a start, its last time then. What
    /// is stamped while they are apart speaks for neither: else each stop that is signed by the
    /// one would keep the other from ever being believed.
    journal: Option<Millis>,
}

/// The node's clock. Reading it takes no lock.
pub struct NodeClock {
    source: Arc<dyn Clock>,
    config: ClockConfig,
    /// Wall clock less boot-time clock, as believed, milliseconds.
    believed_ms: AtomicI64,
    seen: Mutex<Seen>,
}

impl NodeClock {
    /// Believes the wall clock as it is now: where nothing is remembered there is nothing else to
    /// go by but the journal, and whoever stamps compares with that.
    pub fn start(source: Arc<dyn Clock>, config: ClockConfig) -> NodeClock {
        let believed_ms = AtomicI64::new(Sample::of(source.as_ref()).difference_ms());
        NodeClock { source, config, believed_ms, seen: Mutex::default() }
    }

    /// Believes what an earlier run believed since the same boot, if that is known.
    pub fn remembering(self, difference_ms: Option<i64>) -> NodeClock {
        if let Some(difference_ms) = difference_ms {
            self.believed_ms.store(difference_ms, Ordering::SeqCst);
        }
        self
    }

    /// Wall clock less boot-time clock as believed, milliseconds: what the next run is to remember.
    pub fn believed_ms(&self) -> i64 {
        self.believed_ms.load(Ordering::SeqCst)
    }

    /// Looks at both clocks.
    pub fn read(&self) -> Reading {
        let sample = Sample::of(self.source.as_ref());
        let distance_ms = sample.difference_ms() - self.believed_ms.load(Ordering::SeqCst);
        let unset = moved(sample.wall, -distance_ms);
        let distance = distance_ms.unsigned_abs();
        if distance <= JITTER_MS {
            let now = sample.wall;
            let trust = Trust::Trusted;
            return Reading { earliest: now, latest: now, unset: now, distance_ms: 0, trust };
        }
        let wall = sample.wall;
        let trust = if distance <= self.config.disagreement_ms_max {
            Trust::Trusted
        } else {
            let believed_in_ms = self.believed_in_ms(&sample);
            Trust::Disagrees(Disagreement { wall, unset, distance_ms, believed_in_ms })
        };
        Reading { earliest: wall.min(unset), latest: wall.max(unset), unset, distance_ms, trust }
    }

    /// After how long the wall clock is believed if it stays as it is, milliseconds.
    fn believed_in_ms(&self, sample: &Sample) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = sample.difference_ms();
        let steady = seen.candidate.filter(|candidate| candidate.is_steady(found));
        let since_ms = steady.map_or(sample.running_ms, |candidate| candidate.since_ms);
        let lasted_ms = sample.running_ms.saturating_sub(since_ms);
        let stays_ms = self.config.settled_after_ms.saturating_sub(lasted_ms);
        stays_ms.max(seen.journal.map_or(0, |journal| journal.since(sample.wall)))
    }

    /// How far clocks may be apart and times ahead, milliseconds.
    pub fn disagreement_ms_max(&self) -> u64 {
        self.config.disagreement_ms_max
    }

    /// Watches whether the clocks run side by side; called several times a second with the
    /// journal's last time.
    pub fn tick(&self, journal: Millis) -> Tick {
        let sample = Sample::of(self.source.as_ref());
        let (found, running) = (sample.difference_ms(), sample.running_ms);
        let apart_ms = found.abs_diff(self.believed_ms());
        // Plain numbers: a panic cannot leave them half changed.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if apart_ms <= self.config.disagreement_ms_max || seen.journal.is_none() {
            seen.journal = Some(journal);
        }
        let Some(candidate) = seen.candidate.filter(|candidate| candidate.is_steady(found)) else {
            seen.candidate = Some(Candidate { difference_ms: found, since_ms: running });
            return Tick::Same;
        };
        let lasted = running.saturating_sub(candidate.since_ms) >= self.config.settled_after_ms;
        // A time before what was journaled is contradicted by every entry, however long it lasts.
        if !lasted || seen.journal.is_some_and(|journal| sample.wall < journal) {
            return Tick::Same;
        }
        seen.candidate = Some(Candidate { difference_ms: found, since_ms: running });
        let distance_ms = found - self.believed_ms.swap(found, Ordering::SeqCst);
        if distance_ms.unsigned_abs() <= self.config.disagreement_ms_max {
            // What a slow correction or a leap second leaves: nobody noticed anything.
            return Tick::Same;
        }
        Tick::Believed { distance_ms }
    }
}

/// For what keeps order with nothing and outlives nothing: identities of sessions, waits, marks of
/// when something was stored. A wall clock that is set moves it only once it is believed.
impl Clock for NodeClock {
    fn now(&self) -> Millis {
        self.read().unset
    }

    fn running_ms(&self) -> u64 {
        self.source.running_ms()
    }

    fn boot(&self) -> Option<BootId> {
        self.source.boot()
    }
}

/// Both clocks at nearly one instant.
struct Sample {
    wall: Millis,
    running_ms: u64,
}

impl Sample {
    fn of(clock: &dyn Clock) -> Sample {
        Sample { wall: clock.now(), running_ms: clock.running_ms() }
    }

    fn difference_ms(&self) -> i64 {
        // Times have 44 bits, and a machine that runs for 2^63 ms is not thought of.
        self.wall.get() as i64 - i64::try_from(self.running_ms).unwrap_or(i64::MAX / 2)
    }
}

fn moved(time: Millis, by_ms: i64) -> Millis {
    if by_ms >= 0 {
        return time.plus(by_ms.unsigned_abs());
    }
    let earlier = time.get().saturating_sub(by_ms.unsigned_abs());
    // Smaller than a time, so a time.
    Millis::new(earlier).unwrap_or(time)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU8, AtomicU64};

    use super::*;

    const MINUTE_MS: i64 = 60_000;
    const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

    /// Two clocks that a test sets.
    #[derive(Debug)]
    pub(crate) struct TwoClocks {
        wall: AtomicU64,
        running: AtomicU64,
        boots: AtomicU8,
    }

    impl TwoClocks {
        pub(crate) fn at(wall: Millis) -> Arc<TwoClocks> {
            let (wall, running) = (AtomicU64::new(wall.get()), AtomicU64::new(77_000));
            Arc::new(TwoClocks { wall, running, boots: AtomicU8::new(1) })
        }

        /// Time goes by, be it asleep.
        pub(crate) fn pass(&self, ms: u64) {
            self.wall.fetch_add(ms, Ordering::SeqCst);
            self.running.fetch_add(ms, Ordering::SeqCst);
        }

        /// The machine is started again: its boot-time clock begins anew.
        pub(crate) fn boot_again(&self) {
            self.running.store(1_000, Ordering::SeqCst);
            self.boots.fetch_add(1, Ordering::SeqCst);
        }

        /// Somebody sets the wall clock.
        pub(crate) fn set_by(&self, ms: i64) {
            self.wall.fetch_add(ms as u64, Ordering::SeqCst);
        }
    }

    impl Clock for TwoClocks {
        fn now(&self) -> Millis {
            Millis::new(self.wall.load(Ordering::SeqCst)).unwrap()
        }

        fn running_ms(&self) -> u64 {
            self.running.load(Ordering::SeqCst)
        }

        fn boot(&self) -> Option<BootId> {
            // The number of starts of the machine.
            Some(BootId([self.boots.load(Ordering::SeqCst); 16]))
        }
    }

    fn noon() -> Millis {
        Millis::from_unix_ms(1_795_300_000_000)
    }

    fn start() -> (Arc<TwoClocks>, NodeClock) {
        let clocks = TwoClocks::at(noon());
        let node = NodeClock::start(clocks.clone(), ClockConfig::default());
        (clocks, node)
    }

    fn disagreement(node: &NodeClock) -> Option<Disagreement> {
        match node.read().trust {
            Trust::Trusted => None,
            Trust::Disagrees(found) => Some(found),
        }
    }

    #[test]
    fn clocks_that_run_side_by_side_are_trusted_asleep_or_awake() {
        let (clocks, node) = start();
        for ms in [1, 60_000, 8 * 3_600_000] {
            clocks.pass(ms);
            let (now, reading) = (clocks.now(), node.read());
            assert_eq!((reading.earliest, reading.latest), (now, now));
            assert_eq!(reading.trust, Trust::Trusted);
        }
    }

    #[test]
    fn a_small_step_is_spanned_and_a_large_one_disagrees_in_both_directions() {
        for (step, agrees) in [(4_000, true), (-4_000, true), (6_000, false), (-6_000, false)] {
            let (clocks, node) = start();
            clocks.set_by(step);
            let reading = node.read();
            let (low, high) = (noon().min(clocks.now()), noon().max(clocks.now()));
            assert_eq!((reading.earliest, reading.latest, reading.unset), (low, high, noon()));
            assert_eq!(reading.trust == Trust::Trusted, agrees, "{step}");
            assert_eq!(node.now(), noon(), "sessions see nothing of it");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_for_two_seconds_leaves_nothing_behind() {
        let (clocks, node) = start();
        clocks.set_by(10 * MINUTE_MS);
        let distance_ms = 10 * MINUTE_MS;
        for _ in 0..20 {
            clocks.pass(100);
            assert_eq!(node.tick(noon()), Tick::Same);
            assert_eq!(disagreement(&node).unwrap().distance_ms, distance_ms);
            assert!(node.read().earliest <= noon().plus(2_000));
        }
        clocks.set_by(-10 * MINUTE_MS);
        assert_eq!(node.read().trust, Trust::Trusted);
        assert_eq!(node.read().latest, noon().plus(2_000));
    }

    #[test]
    fn a_clock_that_stays_set_is_believed_after_its_time_and_not_before() {
        for distance_ms in [120 * MINUTE_MS, 40 * DAY_MS, -10 * MINUTE_MS] {
            let (clocks, node) = start();
            // The journal is older than either says.
            let journal = Millis::new(noon().get() - 86_400_000).unwrap();
            clocks.set_by(distance_ms);
            assert_eq!(node.tick(journal), Tick::Same);
            clocks.pass(299_000);
            assert_eq!(node.tick(journal), Tick::Same);
            let found = disagreement(&node).unwrap();
            assert_eq!((found.distance_ms, found.believed_in_ms), (distance_ms, 1_000));
            clocks.pass(1_000);
            assert_eq!(node.tick(journal), Tick::Believed { distance_ms });
            assert_eq!(node.read().trust, Trust::Trusted);
            assert_eq!(node.now(), clocks.now());
        }
    }

    #[test]
    fn a_clock_behind_the_journal_is_not_believed_until_it_has_caught_up() {
        let (clocks, node) = start();
        clocks.set_by(-120 * MINUTE_MS);
        for minute in 0..119 {
            assert_eq!(node.tick(noon()), Tick::Same);
            let left_ms = (120 - minute) * MINUTE_MS as u64;
            assert_eq!(disagreement(&node).unwrap().believed_in_ms, left_ms);
            clocks.pass(60_000);
        }
        clocks.pass(60_000);
        assert_eq!(node.tick(noon()), Tick::Believed { distance_ms: -120 * MINUTE_MS });
    }

    #[test]
    fn what_is_journaled_meanwhile_keeps_no_clock_from_being_believed() {
        let (clocks, node) = start();
        assert_eq!(node.tick(noon()), Tick::Same);
        clocks.set_by(-120 * MINUTE_MS);
        // Each minute a stop is journaled, signed by the time before the clock was set.
        for minute in 1..120 {
            clocks.pass(60_000);
            assert_eq!(node.tick(noon().plus(60_000 * minute)), Tick::Same);
        }
        clocks.pass(60_000);
        let distance_ms = -120 * MINUTE_MS;
        assert_eq!(node.tick(noon().plus(120 * 60_000)), Tick::Believed { distance_ms });
    }

    #[test]
    fn a_start_remembers_what_was_believed_and_the_end_of_its_doubt() {
        let (clocks, node) = start();
        let believed = node.believed_ms();
        clocks.set_by(10 * MINUTE_MS);
        let again = NodeClock::start(clocks.clone(), ClockConfig::default());
        assert_eq!(again.read().trust, Trust::Trusted, "without memory there is the wall clock");
        let again = again.remembering(Some(believed));
        let found = disagreement(&again).unwrap();
        assert_eq!((found.distance_ms, found.believed_in_ms), (10 * MINUTE_MS, 300_000));
        assert_eq!((found.wall, found.unset), (clocks.now(), noon()));
        assert_eq!(again.tick(noon()), Tick::Same);
        clocks.pass(300_000);
        assert!(matches!(again.tick(noon()), Tick::Believed { .. }));
        assert_eq!(again.believed_ms(), believed + 10 * MINUTE_MS);
    }

    #[test]
    fn a_clock_that_is_set_again_and_again_is_not_believed() {
        let (clocks, node) = start();
        for _ in 0..100 {
            clocks.set_by(10 * MINUTE_MS);
            assert_eq!(node.tick(noon()), Tick::Same);
            clocks.pass(200_000);
        }
        assert!(matches!(node.read().trust, Trust::Disagrees { .. }));
    }

    #[test]
    fn the_machine_tells_both() {
        let (before, running) = (MachineClock.now(), MachineClock.running_ms());
        assert!(running > 0 && MachineClock.running_ms() >= running);
        assert!(MachineClock.boot().is_some());
        assert_eq!(MachineClock.boot(), MachineClock.boot());
        let node = NodeClock::start(Arc::new(MachineClock), ClockConfig::default());
        assert_eq!(node.read().trust, Trust::Trusted);
        assert!(node.now() >= before);
    }
}
