//! The program's own time.

use std::time::{Duration, Instant};

use model::{Clock, Millis, SystemClock};
use wire::DeviceTime;

/// The program's own time: one reading of the wall clock, from then on a steady one.
#[derive(Clone, Copy)]
pub(super) struct Timebase {
    begin: Instant,
    wall: Millis,
}

impl Timebase {
    pub(super) fn start() -> Timebase {
        Timebase { begin: Instant::now(), wall: SystemClock.now() }
    }

    /// The instant that lies `after` the begin, for timers.
    pub(super) fn instant(&self, after: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.begin) + after
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    pub(super) fn wall_time(&self, at: Duration) -> Millis {
        self.wall.plus(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time of a device at `before` that instant.
    pub(super) fn device_time_before(&self, at: Duration, before: Duration) -> DeviceTime {
        let at = self.device_time(at);
        let before = u64::try_from(before.as_micros()).unwrap_or(u64::MAX);
        DeviceTime::from_micros(at.micros().saturating_sub(before)).unwrap_or(at)
    }

    /// The same to the microsecond.
    pub(super) fn device_time(&self, at: Duration) -> DeviceTime {
        let after = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let micros = DeviceTime::from_millis(self.wall).micros().saturating_add(after);
        DeviceTime::from_micros(micros).unwrap_or(DeviceTime::from_millis(self.wall))
    }
}
