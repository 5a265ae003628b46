//! What all connections together buffer of messages that come.
//!
//! As many connections as there may be, each in the middle of the longest message, would be
//! gigabytes. So what goes beyond a small part of a connection's own is taken from a budget of
//! all; who gets none gives its message up, and is told to send it again.

use hl7::KEPT_BYTES;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes of a connection's own: no message that fits into them is ever given up.
pub(super) const OWN_BYTES: usize = KEPT_BYTES;

/// What one connection has of the budget; dropped with it, given back.
pub(super) struct Share<'a> {
    budget: &'a Semaphore,
    held: Option<SemaphorePermit<'a>>,
}

impl<'a> Share<'a> {
    pub(super) fn of(budget: &'a Semaphore) -> Share<'a> {
        Share { budget, held: None }
    }

    fn held(&self) -> usize {
        self.held.as_ref().map_or(0, SemaphorePermit::num_permits)
    }

    /// Takes what a buffer of so many bytes needs; `false` where the budget has it not.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(OWN_BYTES + self.held());
        let Ok(more) = u32::try_from(more) else { return false };
        let Ok(more) = self.budget.try_acquire_many(more) else { return false };
        match &mut self.held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        true
    }

    /// Gives back what a buffer of so many bytes does not need.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let needed = bytes.saturating_sub(OWN_BYTES);
        let spare = self.held().saturating_sub(needed);
        if let Some(held) = &mut self.held {
            drop(held.split(spare));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_a_connections_own_is_taken_from_all_and_given_back() {
        let budget = Semaphore::new(100);
        let (mut first, mut second) = (Share::of(&budget), Share::of(&budget));
        assert!(first.grow(OWN_BYTES) && second.grow(OWN_BYTES));
        assert_eq!(budget.available_permits(), 100, "its own costs nothing");
        assert!(first.grow(OWN_BYTES + 60) && first.grow(OWN_BYTES + 70));
        assert!(first.grow(OWN_BYTES), "less than it has");
        assert_eq!(budget.available_permits(), 30);
        assert!(!second.grow(OWN_BYTES + 31) && second.grow(OWN_BYTES + 30));
        first.shrink(OWN_BYTES + 10);
        assert_eq!(budget.available_permits(), 60);
        first.shrink(0);
        drop(second);
        assert_eq!(budget.available_permits(), 100);
    }
}
