//! What a gateway's owner is told while the node cannot take readings.

use std::sync::{Mutex, PoisonError};

use client::{Delay, Delayed, Loss};
use model::calendar::Utc;

/// How long a delay of frames is not told again.
const REPEAT_MS: u64 = 60_000;

/// Puts delays into words, each as often as it is worth telling.
#[derive(Default)]
pub(super) struct Teller(Mutex<Option<Delay>>);

impl Teller {
    pub(super) fn tell(&self, delay: &Delay) -> Option<String> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        is_worth_telling(told.as_ref(), delay).then(|| {
            *told = Some(delay.clone());
            delay_sentence(delay)
        })
    }
}

/// A node that is short of something asks for frames again every second: of those, one in a minute
/// is told. Openings are told each, since their pauses grow.
fn is_worth_telling(told: Option<&Delay>, delay: &Delay) -> bool {
    let repeats = |told: &Delay| {
        let same = (told.what, told.code) == (Delayed::Frames, delay.code);
        same && delay.again_at.since(told.again_at) < REPEAT_MS
    };
    delay.what == Delayed::Opening || !told.is_some_and(repeats)
}

fn delay_sentence(delay: &Delay) -> String {
    let Delay { what, code, again_at, .. } = delay;
    let what = match what {
        Delayed::Opening => "does not open the stream yet",
        Delayed::Frames => "asks for frames again",
    };
    let (meaning, number) = (code.meaning(), code.number());
    format!(
        "the node {what}: {meaning} (code {number}); nothing is lost, tried again at {}",
        Utc(*again_at)
    )
}

/// A node that lost what it had promised.
pub(super) fn loss_sentence(loss: &Loss) -> String {
    let Loss { stream, durable, receipted, epoch, again } = loss;
    let kept = if *epoch == stream.epoch {
        String::from("all of them are kept")
    } else {
        let epoch = epoch.0;
        format!("not all of them are kept: the rest goes in epoch {epoch}; the source has them yet")
    };
    format!(
        "the node lost readings that it gave receipts for, from frame {} to {} of epoch {}: {} \
         readings in {} frames are sent again, {kept}. Keep the receipts: unless the node's \
         operator says that a loss was accepted, they are evidence",
        durable.0 + 1,
        receipted.0,
        stream.epoch.0,
        again.readings,
        again.frames,
    )
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, EpochNumber, Millis, RejectCode};

    use super::*;

    #[test]
    fn openings_are_told_each_and_frames_once_a_minute_and_for_each_reason() {
        let device = DeviceId::new("m-1").unwrap();
        let delay = |what, code, second: u64| Delay {
            stream: wire::StreamName { device: device.clone(), signal: 1, epoch: EpochNumber(1) },
            what,
            code,
            again_at: Millis::new(1000 * second).unwrap(),
        };
        let (frames, opening) = (Delayed::Frames, Delayed::Opening);
        let (busy, unavailable) = (RejectCode::Busy, RejectCode::Unavailable);
        let told = delay(frames, busy, 1);
        let is_told = |next| is_worth_telling(Some(&told), &next);
        assert!(is_worth_telling(None, &told) && is_told(delay(opening, busy, 2)));
        assert!(is_told(delay(frames, unavailable, 2)) && is_told(delay(frames, busy, 61)));
        assert!(!is_told(delay(frames, busy, 2)));
        let text = delay_sentence(&delay(opening, unavailable, 1000));
        assert!(text.contains("the node cannot store now (code 17)"), "{text}");
        assert!(text.contains("tried again at 1900-01-01T00:16:40"), "{text}");
    }
}
