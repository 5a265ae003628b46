//! What stands around the ledger and may keep it from taking something now: time and room.
//!
//! Such a refusal is an answer and no entry. It says nothing of consent, and its sender comes again
//! with the same bytes.

use model::Millis;
use statement::operation::SignedOperation;

use super::absorb::Ledger;
use super::answer::Item;
use super::refuse::Ground;
use crate::stages::rows::Urgency;

/// Who knows how it stands around the ledger. Asked before each item on the writer thread, so it
/// must neither block nor wait.
pub trait Gate: Send + Sync + 'static {
    /// How it stands now.
    fn look(&self) -> Surroundings;
    /// So many bytes go to the disk.
    fn written(&self, bytes: usize);
}

/// How it stands around the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The latest that it may be: what ends is judged by it. The writer's time is the earliest.
    pub latest: Millis,
    /// The latest time that an operation may be stamped with, if its signature is that young.
    pub stamp_max: Millis,
    /// How far the clocks are apart, milliseconds, if that is too far to stamp anything.
    pub disagreement_ms: Option<i64>,
    /// How far the last entry may be ahead of `latest`, milliseconds.
    pub ahead_ms_max: u64,
    /// Whether the disk has room for what may be large.
    pub has_room: bool,
}

/// Nothing is in the way, and time is the writer's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open;

impl Gate for Open {
    fn look(&self) -> Surroundings {
        Surroundings {
            latest: Millis::UNBOUNDED_PAST,
            stamp_max: Millis::UNBOUNDED_PAST,
            disagreement_ms: None,
            ahead_ms_max: u64::MAX,
            has_room: true,
        }
    }

    fn written(&self, _: usize) {}
}

impl Surroundings {
    /// Why the item cannot be taken now, whatever it says.
    pub(super) fn keep_out(&self, item: &Item, ledger: &Ledger) -> Option<Ground> {
        match item {
            Item::Frame { .. } | Item::OpenStream { .. } => {
                let full = || (!self.has_room).then_some(Ground::NoRoom);
                self.doubt(ledger).or_else(full)
            }
            Item::Access { .. } => self.doubt(ledger),
            Item::Operation { operation, .. } | Item::Evaluated { operation, .. } => {
                self.doubt(ledger).filter(|_| !self.may_take_away(operation, ledger))
            }
            // What the operator and the windows do hurts nobody an hour off: it is stamped with
            // the earliest time, like all.
            Item::Registry(_) | Item::CountDue | Item::CountRefusals | Item::Close => None,
        }
    }

    /// Why no time can be told that is not before the journal's and in nobody's future.
    fn doubt(&self, ledger: &Ledger) -> Option<Ground> {
        if let Some(distance_ms) = self.disagreement_ms {
            return Some(Ground::ClockDoubt { distance_ms });
        }
        let ahead_ms = ledger.last_time.since(self.latest);
        (ahead_ms > self.ahead_ms_max).then_some(Ground::JournalAhead { until: ledger.last_time })
    }

    /// Whether an operation takes rights away and was signed no later than it may be: too late is
    /// worse for it than a time that is a little off.
    fn may_take_away(&self, operation: &wire::SignedOperation, ledger: &Ledger) -> bool {
        let Ok(signed) = SignedOperation::from_bytes(operation.as_bytes()) else { return false };
        let takes_away = Urgency::of(&signed.operation.action) == Urgency::Protecting;
        // What it would be stamped with at the most: signed later than that it waits with the rest,
        // and is not told that its signature is of no time (C1.4).
        let stamp_max = self.stamp_max.max(ledger.last_time.plus(1));
        takes_away && signed.operation.signed_at <= stamp_max
    }
}
