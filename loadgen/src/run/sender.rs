//! One stream: waits until a frame is due and may go, sends it, and at the end waits for receipts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::StreamError;
use tokio::sync::{Semaphore, watch};
use tokio::task::coop::consume_budget;
use tokio::time::{timeout, timeout_at};
use wire::{StopReason, StreamName};

use super::alarm::Alarm;
use super::timebase::Timebase;
use crate::flight::{InFlight, Sent, lock};
use crate::pace::Pace;
use crate::source::Source;
use crate::timeline::Seen;

pub(super) struct Sender {
    pub(super) stream: client::Stream,
    pub(super) name: StreamName,
    pub(super) flight: Arc<Mutex<InFlight>>,
    pub(super) source: Source,
    pub(super) pace: Pace,
    /// One for each frame without a receipt, over all streams.
    pub(super) permits: Arc<Semaphore>,
    pub(super) time: Timebase,
    pub(super) alarm: Alarm,
    /// When sending begins and ends, after the program's begin.
    pub(super) begin: Duration,
    pub(super) end: Duration,
    pub(super) frame_readings: usize,
    /// What was measured before the begin and is sent first.
    pub(super) backlog: Backlog,
    pub(super) drain: Duration,
    pub(super) sent: u64,
}

/// Frames that a gateway collected while it had no connection.
#[derive(Clone, Copy)]
pub(super) struct Backlog {
    pub(super) frames: u64,
    /// How long one of them was measured for.
    pub(super) frame: Duration,
}

impl Backlog {
    /// How long before the begin its first reading was measured.
    pub(super) fn length(self) -> Duration {
        self.frame.saturating_mul(u32::try_from(self.frames).unwrap_or(u32::MAX))
    }

    /// How long before the begin frame `number` was complete; none of a frame that is not in it.
    fn age(self, number: u64) -> Option<Duration> {
        let newer = self.frames.checked_sub(number + 1)?;
        Some(self.frame.saturating_mul(u32::try_from(newer).unwrap_or(u32::MAX)))
    }
}

/// How a stream ended.
pub(super) struct StreamEnd {
    pub(super) sent: u64,
    pub(super) behind: u64,
    pub(super) unacknowledged: u64,
    pub(super) why: Option<StreamError>,
}

impl StreamEnd {
    /// One that never sent.
    pub(super) fn of_refusal(why: StreamError) -> StreamEnd {
        StreamEnd { sent: 0, behind: 0, unacknowledged: 0, why: Some(why) }
    }

    /// What a series shows of it.
    pub(super) fn seen(&self) -> Seen {
        let refused =
            matches!(self.why, Some(StreamError::Stopped { why: StopReason::Refused(_) }));
        Seen { refused: u64::from(refused), ..Seen::default() }
    }
}

impl Sender {
    /// Sends until the end or until `stop` is true, then waits for the last receipt.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> StreamEnd {
        let outcome = match self.send_all(&mut stop).await {
            Ok(()) => timeout(self.drain, self.stream.flush()).await.unwrap_or(Ok(())),
            Err(error) => Err(error),
        };
        // Their permits would be missed by the streams that still send.
        let unacknowledged = lock(&self.flight).abandon(&self.name);
        self.permits.add_permits(unacknowledged as usize);
        // Counted from the rate and not from what was tried: a stall must not make frames vanish.
        let due = self.pace.due_before(self.end - self.begin);
        let (sent, behind) = (self.sent, due.saturating_sub(self.sent));
        StreamEnd { sent, behind, unacknowledged, why: outcome.err() }
    }

    async fn send_all(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), StreamError> {
        while let Some(intended) = self.wait_for_turn(stop).await {
            if !self.send(intended).await? {
                break;
            }
        }
        Ok(())
    }

    /// Waits until the next frame is due and may go; says when it was meant to. `None` at the end.
    async fn wait_for_turn(&self, stop: &mut watch::Receiver<bool>) -> Option<Duration> {
        let due = self.pace.due(self.sent).map(|after| self.begin + after);
        if due.is_some_and(|due| due >= self.end) {
            return None;
        }
        // Nothing is waited for at the highest rate while receipts come: no timer is needed then.
        let now = self.time.elapsed();
        if due.is_none_or(|due| due <= now)
            && now < self.end
            && !*stop.borrow()
            && let Ok(permit) = self.permits.try_acquire()
        {
            permit.forget();
            consume_budget().await;
            return Some(due.unwrap_or(now));
        }
        let ready = async {
            if let Some(due) = due {
                self.alarm.wait_until(self.time.instant(due).into_std()).await;
            }
            self.permits.acquire().await
        };
        let permit = tokio::select! {
            // Looked at first: at the highest rate a permit is nearly always ready.
            biased;
            // An error means that nobody can stop it any more: then it runs to its end.
            Ok(_) = stop.wait_for(|stop| *stop) => None,
            permit = timeout_at(self.time.instant(self.end), ready) => permit.ok()?.ok(),
        };
        // The recorder gives it back once the frame's receipt is written down.
        permit?.forget();
        Some(due.unwrap_or_else(|| self.time.elapsed()))
    }

    /// Sends one frame. False if it could not be handed over before the end.
    async fn send(&mut self, intended: Duration) -> Result<bool, StreamError> {
        let now = self.time.elapsed();
        let measured = match self.backlog.age(self.sent) {
            Some(age) => self.time.device_time_before(self.begin, age),
            None => self.time.device_time(now),
        };
        let readings = self.source.frame(measured, self.frame_readings);
        let sent = Sent {
            sequence: self.stream.next_sequence(),
            intended,
            at: self.time.wall_time(now),
            readings: readings.len() as u32,
        };
        // Before it is sent: on loopback the receipt can be here before `send` returns.
        lock(&self.flight).expect(&self.name, sent);
        let handed = timeout_at(self.time.instant(self.end), self.stream.send(&readings)).await;
        if !matches!(handed, Ok(Ok(_))) {
            // Nothing was kept of it, so no receipt can name it.
            lock(&self.flight).retract(&self.name);
            self.permits.add_permits(1);
        }
        match handed {
            Ok(Ok(_)) => self.sent += 1,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(false),
        }
        Ok(true)
    }
}
