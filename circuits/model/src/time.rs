//! One time everywhere: milliseconds since 1900-01-01T00:00:00Z, 44 bits (SPEC.md section 1).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// Milliseconds between 1900-01-01 and 1970-01-01, both at 00:00:00Z.
const UNIX_EPOCH_MS: u64 = 2_208_988_800_000;

/// A point in time: milliseconds since 1900-01-01T00:00:00Z, below 2^44 (year 2457).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(u64);

/// A time or interval that the system cannot express.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimeError {
    /// More than 44 bits.
    #[error("expected milliseconds since 1900 below 2^44, found {found}")]
    TooLarge {
        /// The value found.
        found: u64,
    },
    /// The interval holds no instant.
    #[error("expected an interval that ends after it begins, found [{from}, {until})")]
    Empty {
        /// Begin found, milliseconds since 1900.
        from: u64,
        /// End found, milliseconds since 1900.
        until: u64,
    },
    /// A window longer than [`crate::limits::WINDOW_MS_MAX`].
    #[error("expected a window of at most {max} ms, found {found} ms")]
    WindowTooLong {
        /// The longest allowed.
        max: u64,
        /// The length found.
        found: u64,
    },
}

impl Millis {
    /// Bits of a time.
    pub const BITS: u32 = 44;
    /// As a begin: since ever.
    pub const UNBOUNDED_PAST: Millis = Millis(0);
    /// As an end: for ever; also the `closed_at` of an open record.
    pub const UNBOUNDED_FUTURE: Millis = Millis((1 << Millis::BITS) - 1);

    /// Checks the width.
    ///
    /// # Errors
    /// [`TimeError::TooLarge`] from 2^44 on.
    pub const fn new(value: u64) -> Result<Millis, TimeError> {
        if value >> Millis::BITS == 0 {
            Ok(Millis(value))
        } else {
            Err(TimeError::TooLarge { found: value })
        }
    }

    /// From milliseconds since 1970; saturates at the last expressible time.
    pub const fn from_unix_ms(unix_ms: u64) -> Millis {
        // The contract counts on where this stops: at the end of 44 bits, in 2457.
        let value = unix_ms.saturating_add(UNIX_EPOCH_MS);
        if value >> Millis::BITS == 0 { Millis(value) } else { Millis::UNBOUNDED_FUTURE }
    }

    /// From a base-chain `block.timestamp` in seconds, exactly as the contract's `millis`.
    pub const fn from_block_timestamp(unix_seconds: u64) -> Millis {
        Millis::from_unix_ms(unix_seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970; zero for times before it.
    pub const fn unix_ms(self) -> u64 {
        self.0.saturating_sub(UNIX_EPOCH_MS)
    }

    /// Milliseconds since 1900.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This time plus `ms`, saturating at the last expressible time.
    pub const fn plus(self, ms: u64) -> Millis {
        // A period that would end after all times ends never, which the last one means.
        let sum = self.0.saturating_add(ms);
        if sum >> Millis::BITS == 0 { Millis(sum) } else { Millis::UNBOUNDED_FUTURE }
    }

    /// The millisecond before this one; of the first, itself.
    pub const fn before(self) -> Millis {
        Millis(self.0.saturating_sub(1))
    }

    /// Milliseconds from `earlier` to this time; zero if `earlier` is later.
    pub const fn since(self, earlier: Millis) -> u64 {
        // Clocks step back: what lies ahead of now is then new, and not older than everything.
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Debug for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A half-open interval `[from, until)`. Built non-empty; only [`Interval::ended_at`] may empty it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct Interval {
    /// First instant inside.
    pub from: Millis,
    /// First instant after.
    pub until: Millis,
}

impl Interval {
    /// Since ever and for ever.
    pub const ALWAYS: Interval =
        Interval { from: Millis::UNBOUNDED_PAST, until: Millis::UNBOUNDED_FUTURE };

    /// A non-empty interval.
    ///
    /// # Errors
    /// [`TimeError::Empty`] if it holds no instant.
    pub const fn new(from: Millis, until: Millis) -> Result<Interval, TimeError> {
        // An interval without an instant lies in every other one that reaches around it, so a claim
        // that has one would be covered and say nothing (C2.5).
        if from.0 < until.0 {
            Ok(Interval { from, until })
        } else {
            Err(TimeError::Empty { from: from.0, until: until.0 })
        }
    }

    /// The instant `[at, at + 1)`.
    pub const fn instant(at: Millis) -> Interval {
        // Whatever happens does so before the last time, which stands for "for ever", so the next
        // one is a time as well.
        Interval { from: at, until: Millis(at.0 + 1) }
    }

    /// Whether `other` lies wholly inside.
    pub fn contains(&self, other: &Interval) -> bool {
        // Ends may be equal: both are outside of their intervals.
        self.from <= other.from && other.until <= self.until
    }

    /// Whether the two share an instant; the formula of SPEC.md, also for an emptied interval.
    pub fn overlaps(&self, other: &Interval) -> bool {
        // Strictly: where one ends and the other begins there is no instant of both.
        self.from < other.until && other.from < self.until
    }

    /// The same interval ended at `at`, as a revocation does; may be empty.
    pub fn ended_at(&self, at: Millis) -> Interval {
        // Not `Interval::new`: a rule that is revoked before it begins ends before its begin.
        Interval { from: self.from, until: at }
    }
}

/// The time span `[t0, t1)` of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    t0: Millis,
    t1: Millis,
}

impl Window {
    /// A window of at most [`crate::limits::WINDOW_MS_MAX`].
    ///
    /// # Errors
    /// [`TimeError`] if it is empty or too long.
    pub fn new(t0: Millis, t1: Millis) -> Result<Window, TimeError> {
        // A window without an instant could hold no operation, and the next would begin where it
        // does.
        Interval::new(t0, t1)?;
        let found = t1.since(t0);
        let max = crate::limits::WINDOW_MS_MAX;
        // Circuits compare times of one batch by differences below 2^27 (SPEC.md section 9).
        if found > max {
            return Err(TimeError::WindowTooLong { max, found });
        }
        Ok(Window { t0, t1 })
    }

    /// First instant inside.
    pub fn t0(&self) -> Millis {
        self.t0
    }

    /// First instant after; the next window's `t0`.
    pub fn t1(&self) -> Millis {
        self.t1
    }

    /// The same span as an interval.
    pub fn interval(&self) -> Interval {
        Interval { from: self.t0, until: self.t1 }
    }
}

/// Where time comes from: injected once, so that tests and the demo drive it.
pub trait Clock: Send + Sync {
    /// The current time. May repeat or step back; whoever needs order keeps the maximum.
    fn now(&self) -> Millis;

    /// Milliseconds since some instant, the machine's sleep included, that nobody can set: what the
    /// time is compared with. A clock that knows one time only says that, and agrees with itself.
    fn running_ms(&self) -> u64 {
        self.now().get()
    }

    /// The boot since which [`Clock::running_ms`] counts, if every process on the machine counts
    /// so; without one the count means nothing to another process.
    fn boot(&self) -> Option<BootId> {
        None
    }
}

/// Tells one boot of a machine from every other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootId(pub [u8; 16]);

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        // A clock set before 1970 is wrong in any case; it reads as 1970 and panics nothing.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that runs with the machine's but can be moved ahead, or stands still until moved.
#[derive(Debug)]
pub struct ManualClock {
    ahead_ms: AtomicU64,
    fixed: Option<Millis>,
}

impl ManualClock {
    /// Runs with the machine's clock.
    pub fn running() -> ManualClock {
        ManualClock { ahead_ms: AtomicU64::new(0), fixed: None }
    }

    /// Stands still at `at`.
    pub fn fixed(at: Millis) -> ManualClock {
        ManualClock { ahead_ms: AtomicU64::new(0), fixed: Some(at) }
    }

    /// Moves the clock ahead by `ms`.
    pub fn advance(&self, ms: u64) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.fixed.unwrap_or_else(|| SystemClock.now()).plus(self.ahead_ms.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_timestamp_of_2026_converts_as_the_contract_does() {
        let at = Millis::from_block_timestamp(1_795_300_000);
        assert_eq!(at.get(), 1_795_300_000 * 1000 + 2_208_988_800_000);
        assert_eq!(at.unix_ms(), 1_795_300_000_000);
    }

    #[test]
    fn forty_four_bits_is_the_limit() {
        assert!(Millis::new((1 << 44) - 1).is_ok());
        assert_eq!(Millis::new(1 << 44), Err(TimeError::TooLarge { found: 1 << 44 }));
        assert_eq!(Millis::from_unix_ms(u64::MAX), Millis::UNBOUNDED_FUTURE);
    }

    #[test]
    fn intervals_are_half_open() {
        let at = |from, until| Interval { from: Millis(from), until: Millis(until) };
        assert!(at(10, 20).contains(&at(10, 20)));
        assert!(!at(10, 20).contains(&at(10, 21)));
        assert!(!at(10, 20).overlaps(&at(20, 30)));
        assert!(at(10, 20).overlaps(&at(19, 30)));
        assert!(Interval::new(Millis(5), Millis(5)).is_err());
        assert!(at(10, 20).ended_at(Millis(4)).until < Millis(10));
    }

    #[test]
    fn a_window_has_a_maximum() {
        let t0 = Millis(1000);
        assert!(Window::new(t0, t0.plus(crate::limits::WINDOW_MS_MAX)).is_ok());
        assert!(Window::new(t0, t0.plus(crate::limits::WINDOW_MS_MAX + 1)).is_err());
    }
}
