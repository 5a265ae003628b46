//! The watch over what no stage can see: whether the clocks agree, and whether the disk has room.
//! It keeps what is believed of the clocks for the next start.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use std::{io, iter};

use bodies::BodyKeys;
use model::{BatchNumber, Clock as _, Millis, calendar};

use super::erasing::destroy_again;
use super::keys_ahead::KeysAhead;
use super::orders::Orders;
use super::watched::{Conditions, Watched};
use crate::clock::{Disagreement, NodeClock, Tick, Trust};
use crate::disk::Reserve;
use crate::doors::key_desk::KeyDesk;
use crate::doors::memory::resident_bytes;
use crate::doors::reach::OpenWindow;
use crate::folder::believed::Believed;
use crate::folder::erasure_requests::ErasureRequests;
use crate::folder::layout::Layout;
use crate::guard::{Guard, GuardedThread, Stage};
use crate::stages::deliver::ReceiptHub;
use crate::stages::ingest::Admit;
use crate::stages::ledger::{Gate, LedgerView, Status, Surroundings};

/// How often it is looked. Two clocks and one call of the file system: some microseconds.
const POLL: Duration = Duration::from_millis(100);

/// Looks between two at which the memory in use is asked for: a second.
const MEMORY_EVERY: u32 = 10;

/// Clock, disk and what the operator ordered, as they stand around the ledger.
#[derive(Clone)]
pub(super) struct Around {
    pub(super) clock: Arc<NodeClock>,
    pub(super) reserve: Arc<Reserve>,
    pub(super) orders: Orders,
    /// What patients ask the operator for.
    pub(super) requests: ErasureRequests,
}

impl Gate for Around {
    fn look(&self) -> Surroundings {
        let reading = self.clock.read();
        let (disagreement, stamp_max) = match reading.trust {
            Trust::Trusted => (None, reading.latest),
            // Not what a wall clock says that nobody believes: a time ahead would stay.
            Trust::Disagrees(found) => (Some(found), reading.unset),
        };
        Surroundings {
            latest: reading.latest,
            stamp_max,
            disagreement,
            ahead_ms_max: self.clock.disagreement_ms_max(),
            has_room: self.reserve.has_room(),
            draining: self.orders.is_draining(),
        }
    }

    fn written(&self, bytes: usize) {
        self.reserve.written(bytes);
    }
}

/// The running watch, and beside it whoever makes keys ahead of need: that may take as long as
/// there are keys, and a disk that fills up or a clock that is set is seen all the same.
#[derive(Debug)]
pub(super) struct Upkeep {
    watch: Ticking,
    keys: Option<Ticking>,
}

/// A thread that does something again and again.
#[derive(Debug)]
struct Ticking {
    thread: GuardedThread,
    stop: SyncSender<Infallible>,
}

impl Ticking {
    /// The first time after a pause.
    fn start(
        guard: &Guard,
        name: &'static str,
        pause: Duration,
        mut each: impl FnMut() + Send + 'static,
    ) -> io::Result<Ticking> {
        let (stop, stopped) = sync_channel(0);
        let ticks = iter::from_fn(move || {
            let stopped: Result<Infallible, _> = stopped.recv_timeout(pause);
            stopped.is_err_and(|why| why == RecvTimeoutError::Timeout).then_some(())
        });
        let each = move |()| {
            each();
            Ok::<_, Infallible>(())
        };
        let thread = guard.thread(Stage::Upkeep, name, ticks, each)?;
        Ok(Ticking { thread, stop })
    }

    /// Ends it once what it does is done.
    fn stop(self) {
        let Ticking { thread, stop } = self;
        thread.stop(|| drop(stop));
    }
}

impl Upkeep {
    /// Looks once, and then again and again on a thread of its own.
    pub(super) fn start(mut watch: Watch, guard: &Guard) -> io::Result<Upkeep> {
        watch.look();
        let keys =
            watch.keys.clone().map(|keys| KeysAhead::new(keys, Arc::clone(&watch.around.clock)));
        let erased = watch.keys.clone().map(|keys| {
            let (desk, view) = (KeyDesk::new(keys, watch.layout.snapshots()), watch.view.clone());
            let clock = Arc::clone(&watch.around.clock);
            move || destroy_again(&desk, &view.erasures(), clock.now())
        });
        let keys = keys.zip(erased).map(|(mut ahead, destroy_erased)| {
            ahead.make_due();
            // What an erasure left: a disk was full, or nobody waited any more for its answer.
            let each = move || {
                destroy_erased();
                ahead.make_ahead();
            };
            Ticking::start(guard, "keys-ahead", KeysAhead::PAUSE, each)
        });
        let keys = keys.transpose()?;
        let watch = Ticking::start(guard, "upkeep", POLL, move || watch.look())?;
        Ok(Upkeep { watch, keys })
    }

    /// Ends it, within a tenth of a second, or once the keys are written that are being written.
    pub(super) fn stop(self) {
        let Upkeep { watch, keys } = self;
        watch.stop();
        keys.into_iter().for_each(Ticking::stop);
    }
}

/// What an earlier run believed of the clocks since this boot. What cannot be read is told and not
/// believed: the node starts as on a machine that was started anew.
pub(super) fn remembered(layout: &Layout, clock: &dyn model::Clock) -> Option<i64> {
    let boot = clock.boot()?;
    match Believed::read(&layout.believed()) {
        Ok(found) => found.filter(|found| found.boot == boot).map(|found| found.difference_ms),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the wall clock is believed as it is");
            None
        }
    }
}

/// What looks again and again.
pub(super) struct Watch {
    around: Around,
    view: LedgerView,
    watched: Watched,
    layout: Layout,
    before: Conditions,
    /// Whether the last look at the disk told anything.
    is_measured: bool,
    /// What the next start remembers of the clocks.
    kept_ms: Option<i64>,
    /// Whether it could be written the last time.
    is_kept: bool,
    keys: Option<BodyKeys>,
    queues: Option<Queues>,
    looks: u32,
}

/// What waits between the stages: looked at here, because whoever submits may wait for the writer.
pub(super) struct Queues {
    pub(super) admit: Admit,
    pub(super) hub: ReceiptHub,
}

impl Watch {
    pub(super) fn new(around: Around, view: LedgerView, watched: Watched, layout: Layout) -> Watch {
        let before = Conditions::default();
        Watch {
            around,
            view,
            watched,
            layout,
            before,
            is_measured: true,
            kept_ms: None,
            is_kept: true,
            keys: None,
            queues: None,
            looks: 0,
        }
    }

    /// Looks whether keys of bodies can be made, and has them made ahead of need.
    pub(super) fn with_keys(self, keys: BodyKeys) -> Watch {
        Watch { keys: Some(keys), ..self }
    }

    /// Counts what waits as well.
    pub(super) fn with_queues(self, queues: Queues) -> Watch {
        Watch { queues: Some(queues), ..self }
    }

    fn look(&mut self) {
        let low_bytes = self.look_at_disk();
        let (disagreement, journal_ahead_until) = self.look_at_clock();
        self.keep_believed();
        let no_new_keys = self.look_at_keys();
        self.look_at_memory();
        self.look_at_queues();
        let now = Conditions { disagreement, journal_ahead_until, low_bytes, no_new_keys };
        self.log(now);
        self.watched.look_at_stages();
        let clock = &self.around.clock;
        self.watched.desk().look(self.watched.metrics(), clock.now(), clock.running_ms());
        self.watched.set_conditions(now);
        self.before = now;
    }

    /// Whether the last key that was needed could not be made. One line when that begins.
    fn look_at_keys(&self) -> bool {
        let trouble = self.keys.as_ref().and_then(BodyKeys::trouble);
        self.watched.metrics().body_keys_failing.set(i64::from(trouble.is_some()));
        if let (Some(error), false) = (&trouble, self.before.no_new_keys) {
            tracing::error!(
                error,
                "no new key of readings can be made: frames that need one are refused until one can"
            );
        }
        trouble.is_some()
    }

    fn look_at_queues(&self) {
        let Some(Queues { admit, hub }) = &self.queues else { return };
        let Status { window, t0, .. } = self.view.status();
        let (metrics, closed) = (self.watched.metrics(), window.0);
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.journal_queue_items.set(gauge(admit.waiting()));
        metrics.receipt_groups_waiting.set(gauge(hub.groups_waiting()));
        metrics.batch_closed.set(i64::try_from(closed.saturating_sub(1)).unwrap_or(i64::MAX));
        let settled = BatchNumber(u64::try_from(metrics.batch_settled.get()).unwrap_or(0));
        self.view.forget_withdrawals(settled);
        let waiting = self.view.withdrawals_after(settled);
        metrics.withdrawals_unsettled.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        let open = OpenWindow { number: window.0, since_unix_ms: t0.unix_ms() };
        self.watched.under_way().set_open(open);
    }

    fn look_at_memory(&mut self) {
        let is_due = self.looks.is_multiple_of(MEMORY_EVERY);
        self.looks = self.looks.wrapping_add(1);
        if let (true, Some(bytes)) = (is_due, resident_bytes()) {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.watched.metrics().process_resident_bytes.set(bytes);
        }
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
        let (metrics, reserved) = (self.watched.metrics(), reserve.reserve_bytes());
        metrics.journal_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
        // Again each time: SIGHUP changes it.
        metrics.journal_reserve_bytes.set(i64::try_from(reserved).unwrap_or(i64::MAX));
        (!reserve.has_room()).then_some(free)
    }

    /// Once at a start and where it changed, which is every few minutes at most.
    fn keep_believed(&mut self) {
        let clock = &self.around.clock;
        let (Some(boot), difference_ms) = (clock.boot(), clock.believed_ms()) else { return };
        if self.kept_ms == Some(difference_ms) {
            return;
        }
        match (Believed { boot, difference_ms }).write(&self.layout.believed()) {
            Ok(()) => (self.kept_ms, self.is_kept) = (Some(difference_ms), true),
            // Tried again at the next look, and said once: only a start would miss it.
            Err(error) if self.is_kept => {
                self.is_kept = false;
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "what is believed of the clocks cannot be kept");
            }
            Err(_) => {}
        }
    }

    fn look_at_clock(&self) -> (Option<Disagreement>, Option<Millis>) {
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
            Trust::Disagrees(found) => (Some(found), None),
            Trust::Trusted => (None, (ahead_ms > clock.disagreement_ms_max()).then_some(last)),
        }
    }

    /// One line when something begins and one when it ends.
    fn log(&self, now: Conditions) {
        let before = self.before;
        match (before.disagreement, now.disagreement) {
            (None, Some(Disagreement { wall, unset, distance_ms, believed_in_ms })) => {
                let wall_clock = calendar::Utc(wall).to_string();
                let boot_time_clock = calendar::Utc(unset).to_string();
                let believed_in_seconds = believed_in_ms.div_ceil(1000);
                tracing::warn!(
                    distance_ms,
                    wall_clock,
                    boot_time_clock,
                    believed_in_seconds,
                    "wall clock and boot-time clock disagree: frames and accesses are refused \
                     until the wall clock is set right, or has stayed for so long"
                );
            }
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
        if before.no_new_keys && !now.no_new_keys {
            tracing::info!("new keys of readings can be made again");
        }
    }
}
