//! Frames that the node does not take because by its clock they are yet to come. It passes by
//! itself; but where this bridge's clock is far ahead, nothing behind them on their device would be
//! taken before, of no patient. So after some minutes they are given up, and whoever sent them is
//! told that the same may be sent again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::{Delay, Delayed, StreamError};
use model::RejectCode;
use wire::{StopReason, StreamName};

use super::Delivery;
use super::receipts::Slot;

/// How long it is waited for.
const WAITED_FOR: Duration = Duration::from_secs(300);
/// How often it is looked.
const LOOKED_EVERY: Duration = Duration::from_secs(1);

/// Since when each device and signal waits for the node's clock. One entry for each stream that
/// stands.
pub(super) struct Ahead {
    since: Mutex<BTreeMap<Slot, Instant>>,
    pub(super) waited_for: Duration,
}

impl Default for Ahead {
    fn default() -> Ahead {
        Ahead { since: Mutex::default(), waited_for: WAITED_FOR }
    }
}

impl Ahead {
    /// Takes note of a delay.
    pub(super) fn note(&self, delay: &Delay, now: Instant) {
        if delay.what == Delayed::Frames && delay.code == RejectCode::Clock {
            let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
            since.entry(Slot::of_name(&delay.stream)).or_insert(now);
        }
    }

    /// Something of a stream was taken.
    pub(super) fn clear(&self, stream: &StreamName) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.remove(&Slot::of_name(stream));
    }

    /// Takes out those that have waited for too long.
    fn take_due(&self, now: Instant) -> Vec<Slot> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let due = since.extract_if(.., |_, at| now.duration_since(*at) >= self.waited_for);
        due.map(|(slot, _)| slot).collect()
    }
}

impl Delivery {
    /// Gives up what waits too long for the node's clock.
    pub(super) async fn stop_what_is_ahead(&self) -> Infallible {
        let mut ticks = tokio::time::interval(LOOKED_EVERY);
        loop {
            ticks.tick().await;
            for slot in self.ahead.take_due(Instant::now()) {
                let Some(standing) = self.streams.find(&slot).await else { continue };
                standing.stop(RejectCode::Clock);
                let why = StopReason::Refused(RejectCode::Clock);
                self.note(&standing, &StreamError::Stopped { why }).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, EpochNumber, Millis};

    use super::*;

    #[test]
    fn a_stream_is_due_once_it_waited_for_minutes_and_nothing_of_it_was_taken() {
        let (ahead, begin) = (Ahead::default(), Instant::now());
        let stream = |device: &str| StreamName {
            device: DeviceId::new(device).unwrap(),
            signal: 147842,
            epoch: EpochNumber(1),
        };
        let delay = |device, code| {
            let (stream, what) = (stream(device), Delayed::Frames);
            Delay { stream, what, code, again_at: Millis::default() }
        };
        for device in ["m-1", "m-2"] {
            ahead.note(&delay(device, RejectCode::Clock), begin);
            ahead.note(&delay(device, RejectCode::Clock), begin + WAITED_FOR / 2);
        }
        ahead.note(&delay("m-3", RejectCode::Busy), begin);
        ahead.clear(&stream("m-2"));
        assert!(ahead.take_due(begin + WAITED_FOR - Duration::from_millis(1)).is_empty());
        let due = ahead.take_due(begin + WAITED_FOR);
        assert!(due == [Slot::of_name(&stream("m-1"))]);
        assert!(ahead.take_due(begin + WAITED_FOR).is_empty());
    }
}
