//! Frames that the node does not take because by its clock they are yet to come. It passes by
//! itself; but where this bridge's clock is far ahead, nothing behind them on their device would be
//! taken before, of no patient. So after some minutes they are given up, and whoever sent them is
//! told that the same may be sent again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::{Delay, Delayed};
use model::RejectCode;
use wire::StreamName;

use super::receipts::Slot;

/// How long it is waited for.
const WAITED_FOR: Duration = Duration::from_secs(300);

/// The node says it again each second or so; what it did not say for so long is another wait.
const SAID_WITHIN: Duration = Duration::from_secs(60);

/// Since when a stream waits, and when the node said so last.
#[derive(Clone, Copy)]
struct Wait {
    since: Instant,
    said: Instant,
}

/// How long each device and signal waits for the node's clock. One entry for each stream that
/// stands.
pub(super) struct Ahead {
    waits: Mutex<BTreeMap<Slot, Wait>>,
    pub(super) waited_for: Duration,
}

impl Default for Ahead {
    fn default() -> Ahead {
        Ahead { waits: Mutex::default(), waited_for: WAITED_FOR }
    }
}

impl Ahead {
    /// Takes note of a delay.
    pub(super) fn note(&self, delay: &Delay, now: Instant) {
        if delay.what == Delayed::Frames && delay.code == RejectCode::Clock {
            let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = Slot::of_name(&delay.stream);
            let before = waits.get(&slot).filter(|one| now - one.said <= SAID_WITHIN);
            let since = before.map_or(now, |one| one.since);
            waits.insert(slot, Wait { since, said: now });
        }
    }

    /// Something of a stream was taken, or it is over.
    pub(super) fn clear(&self, stream: &StreamName) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.remove(&Slot::of_name(stream));
    }

    /// Takes out those that have waited for too long.
    pub(super) fn take_due(&self, now: Instant) -> Vec<Slot> {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.retain(|_, one| now - one.said <= SAID_WITHIN);
        let due = waits.extract_if(.., |_, one| now - one.since >= self.waited_for);
        due.map(|(slot, _)| slot).collect()
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
            for n in 0..=5 {
                ahead.note(&delay(device, RejectCode::Clock), begin + n * SAID_WITHIN);
            }
        }
        // Of this one it was not said for so long.
        ahead.note(&delay("m-4", RejectCode::Clock), begin);
        ahead.note(&delay("m-3", RejectCode::Busy), begin);
        ahead.clear(&stream("m-2"));
        assert!(ahead.take_due(begin + WAITED_FOR - Duration::from_millis(1)).is_empty());
        let due = ahead.take_due(begin + WAITED_FOR);
        assert!(due == [Slot::of_name(&stream("m-1"))]);
        assert!(ahead.take_due(begin + WAITED_FOR).is_empty());
    }
}
