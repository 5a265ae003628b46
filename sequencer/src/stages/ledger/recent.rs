//! Operations that took effect last, found by what names them: whoever did not hear the answer
//! sends the same bytes again.

use std::collections::{BTreeMap, VecDeque};

use model::{Digest, Position};
use wire::Holder;

/// Operations that are found again. Some 200 bytes each.
const RECENT_MAX: usize = 4096;

/// An operation that took effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppliedOperation {
    /// Where.
    pub position: Position,
    /// Whose receipt names it.
    pub requester: Holder,
}

/// The last ones, in their order.
#[derive(Debug, Default)]
pub(super) struct Recent {
    places: BTreeMap<Digest, AppliedOperation>,
    order: VecDeque<Digest>,
}

impl Recent {
    pub(super) fn keep(&mut self, digest: Digest, applied: AppliedOperation) {
        // None takes effect twice.
        if self.places.insert(digest, applied).is_none() {
            self.order.push_back(digest);
        }
        if self.order.len() > RECENT_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.places.remove(&first);
        }
    }

    pub(super) fn find(&self, digest: &Digest) -> Option<AppliedOperation> {
        self.places.get(digest).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_again_is_bounded_and_the_first_goes_first() {
        let digest = |n: usize| {
            let mut bytes = [0; 31];
            bytes[..8].copy_from_slice(&n.to_le_bytes());
            Digest(bytes)
        };
        let applied = |n: usize| AppliedOperation {
            position: Position(n as u64),
            requester: Holder([7; 32]),
        };
        let mut recent = Recent::default();
        for n in 0..=RECENT_MAX {
            recent.keep(digest(n), applied(n));
            recent.keep(digest(n), applied(n));
        }
        assert_eq!((recent.places.len(), recent.order.len()), (RECENT_MAX, RECENT_MAX));
        assert_eq!(recent.find(&digest(0)), None);
        assert_eq!(recent.find(&digest(1)), Some(applied(1)));
    }
}
