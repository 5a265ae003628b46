//! The watch over what no stage can see: whether the clocks agree, and whether the disk has room.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use std::{io, iter};

use model::{Millis, calendar};

use super::watched::{Conditions, Watched};
use crate::clock::{NodeClock, Tick, Trust};
use crate::disk::Reserve;
use crate::guard::{Guard, GuardedThread, Stage};
use crate::stages::ledger::{Gate, LedgerView, Surroundings};

/// How often it is looked. Two clocks and one call of the file system: some microseconds.
const POLL: Duration = Duration::from_millis(100);

/// Clock and disk, as they stand around the ledger.
#[derive(Clone)]
pub(super) struct Around {
    pub(super) clock: Arc<NodeClock>,
    pub(super) reserve: Arc<Reserve>,
}

impl Gate for Around {
    fn look(&self) -> Surroundings {
        let reading = self.clock.read();
        let (disagreement_ms, stamp_max) = match reading.trust {
            Trust::Trusted => (None, reading.latest),
            // Not what a wall clock says that nobody believes: a time ahead would stay.
            Trust::Disagrees { distance_ms } => (Some(distance_ms), reading.unset),
        };
        Surroundings {
            latest: reading.latest,
            stamp_max,
            disagreement_ms,
            ahead_ms_max: self.clock.disagreement_ms_max(),
            has_room: self.reserve.has_room(),
        }
    }

    fn written(&self, bytes: usize) {
        self.reserve.written(bytes);
    }
}

/// The running watch.
#[derive(Debug)]
pub(super) struct Upkeep {
    thread: GuardedThread,
    stop: SyncSender<Infallible>,
}

impl Upkeep {
    /// Looks once, and then again and again on a thread of its own.
    pub(super) fn start(
        around: Around,
        view: LedgerView,
        watched: Watched,
        guard: &Guard,
    ) -> io::Result<Upkeep> {
        let mut watch =
            Watch { around, view, watched, before: Conditions::default(), is_measured: true };
        watch.look();
        let (stop, stopped) = sync_channel(0);
        let ticks = iter::from_fn(move || {
            let stopped: Result<Infallible, _> = stopped.recv_timeout(POLL);
            stopped.is_err_and(|why| why == RecvTimeoutError::Timeout).then_some(())
        });
        let look = move |()| {
            watch.look();
            Ok::<_, Infallible>(())
        };
        let thread = guard.thread(Stage::Upkeep, "upkeep", ticks, look)?;
        Ok(Upkeep { thread, stop })
    }

    /// Ends it, within a tenth of a second.
    pub(super) fn stop(self) {
        let Upkeep { thread, stop } = self;
        thread.stop(|| drop(stop));
    }
}

struct Watch {
    around: Around,
    view: LedgerView,
    watched: Watched,
    before: Conditions,
    /// Whether the last look at the disk told anything.
    is_measured: bool,
}

impl Watch {
    fn look(&mut self) {
        let low_bytes = self.look_at_disk();
        let (disagreement_ms, journal_ahead_until) = self.look_at_clock();
        let now = Conditions { disagreement_ms, journal_ahead_until, low_bytes };
        self.log(now);
        self.watched.set_conditions(now);
        self.before = now;
    }

    fn look_at_disk(&mut self) -> Option<u64> {
        let reserve = &self.around.reserve;
        let measured = reserve.measure();
        if let (Err(error), true) = (&measured, self.is_measured) {
            // What was found last is believed; a disk that is gone fails the writer anyway.
            let error: &dyn std::error::Error = error;
            tracing::warn!(error, "the free space of the node's folder cannot be measured");
        }
        self.is_measured = measured.is_ok();
        let free = reserve.free_bytes();
        self.watched.metrics().journal_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
        (!reserve.has_room()).then_some(free)
    }

    fn look_at_clock(&self) -> (Option<i64>, Option<Millis>) {
        let (clock, last) = (&self.around.clock, self.view.last_time());
        if let Tick::Believed { distance_ms } = clock.tick(last) {
            tracing::warn!(distance_ms, "the clock that was set is believed from now on");
        }
        let reading = clock.read();
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let metrics = self.watched.metrics();
        metrics.clock_disagreement_seconds.set(seconds(reading.distance_ms));
        let ahead_ms = last.since(reading.latest);
        metrics.journal_ahead_seconds.set(seconds(ahead_ms as i64));
        match reading.trust {
            Trust::Disagrees { distance_ms } => (Some(distance_ms), None),
            Trust::Trusted => (None, (ahead_ms > clock.disagreement_ms_max()).then_some(last)),
        }
    }

    /// One line when something begins and one when it ends.
    fn log(&self, now: Conditions) {
        let before = self.before;
        match (before.disagreement_ms, now.disagreement_ms) {
            (None, Some(distance_ms)) => tracing::warn!(
                distance_ms,
                "wall clock and boot-time clock disagree: frames and accesses are refused until \
                 the clock is back or has stayed for [clock] settled_after_ms"
            ),
            (Some(_), None) => tracing::info!("wall clock and boot-time clock agree again"),
            _ => {}
        }
        match (before.journal_ahead_until, now.journal_ahead_until) {
            (None, Some(until)) => {
                let until = calendar::Utc(until).to_string();
                tracing::warn!(
                    until,
                    "the journal's last entry lies ahead of the clock: frames and accesses are \
                     refused until then; if the clock is wrong, set it"
                );
            }
            (Some(_), None) => tracing::info!("the clock has caught up with the journal"),
            _ => {}
        }
        let reserve = self.around.reserve.reserve_bytes();
        match (before.low_bytes, now.low_bytes) {
            (None, Some(free)) => tracing::warn!(
                free,
                reserve,
                "the disk is full down to its reserve: frames are refused until there is room"
            ),
            (Some(_), None) => tracing::info!(reserve, "the disk has room again"),
            _ => {}
        }
    }
}
