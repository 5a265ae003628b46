//! Which leases are with workers elsewhere: a value that is fed what they say and what time it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ::jobs::LeaseToken as WireToken;

use crate::stages::prove::jobs::LeaseToken;

/// Leases that were offered, by the token that their worker knows. That token is random and not the
/// node's own, of which one tells the next: whoever carries answers sees theirs and nobody else's.
pub(super) struct Desk<O> {
    at_once: usize,
    lasts: Duration,
    leases: BTreeMap<WireToken, Offer<O>>,
    /// What the queue is still to be told of.
    over: Vec<O>,
}

/// One of them.
struct Offer<O> {
    token: LeaseToken,
    /// What the queue needs to withdraw it; none until it is in the queue.
    offered: Option<O>,
    /// Whether workers elsewhere failed at it before.
    failed_before: bool,
    /// Whether a worker said that it has it.
    taken: bool,
    until: Instant,
}

/// A lease that ended without an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) token: LeaseToken,
    pub(super) why: EndedBecause,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndedBecause {
    /// Nobody took it in time; another offer may do better.
    Untaken,
    /// Nobody took it in time, and some worker may not: those that wait are most likely the ones
    /// that failed at it.
    Unwanted,
    /// Its worker fell silent, which the lease itself says to the node.
    Silent,
}

impl<O> Desk<O> {
    /// At most `at_once` leases, each of which holds for `lasts` after a sign of life.
    pub(super) fn new(at_once: usize, lasts: Duration) -> Desk<O> {
        Desk { at_once, lasts, leases: BTreeMap::new(), over: Vec::new() }
    }

    /// How many more may be offered while so many workers wait in the queue.
    pub(super) fn room(&self, waiting: usize) -> usize {
        let untaken = self.leases.values().filter(|offer| !offer.taken).count();
        // One that was taken a moment ago is still counted as untaken, and its worker waits no
        // more: the next look finds room for what this one did not see.
        waiting.saturating_sub(untaken).min(self.at_once.saturating_sub(self.leases.len()))
    }

    /// Leases that are with workers or offered to them.
    pub(super) fn len(&self) -> usize {
        self.leases.len()
    }

    /// A lease that is about to be offered. It is to be taken within a third of its length: a
    /// worker says so first of all.
    pub(super) fn add(
        &mut self,
        wire: WireToken,
        token: LeaseToken,
        failed_before: bool,
        now: Instant,
    ) {
        // Storing a large job takes its time, so this begins anew when it is in the queue.
        let until = now + self.lasts;
        let offer = Offer { token, offered: None, failed_before, taken: false, until };
        self.leases.insert(wire, offer);
    }

    /// It is in the queue. If its lease is over meanwhile, it is to be withdrawn.
    pub(super) fn offered(&mut self, wire: WireToken, offered: O, now: Instant) {
        let within = self.lasts / 3;
        let Some(offer) = self.leases.get_mut(&wire) else {
            self.over.push(offered);
            return;
        };
        offer.offered = Some(offered);
        if !offer.taken {
            offer.until = now + within;
        }
    }

    /// A worker said that it has it: which lease that is.
    pub(super) fn beat(&mut self, wire: WireToken, now: Instant) -> Option<LeaseToken> {
        let until = now + self.lasts;
        let offer = self.leases.get_mut(&wire)?;
        (offer.taken, offer.until) = (true, until);
        Some(offer.token)
    }

    /// A worker has answered, or the node wants it no more: which lease that was.
    pub(super) fn close(&mut self, wire: WireToken) -> Option<LeaseToken> {
        let offer = self.leases.remove(&wire)?;
        self.over.extend(offer.offered);
        Some(offer.token)
    }

    /// Closes those that ended before now.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Ended> {
        let over = self.leases.extract_if(.., |_, offer| offer.until <= now);
        let over: Vec<_> = over.map(|(_, offer)| offer).collect();
        let mut ended = Vec::with_capacity(over.len());
        for Offer { token, offered, failed_before, taken, .. } in over {
            let why = match (taken, failed_before) {
                (true, _) => EndedBecause::Silent,
                (false, true) => EndedBecause::Unwanted,
                (false, false) => EndedBecause::Untaken,
            };
            self.over.extend(offered);
            ended.push(Ended { token, why });
        }
        ended
    }

    /// What is to be withdrawn from the queue, once.
    pub(super) fn take_over(&mut self) -> Vec<O> {
        std::mem::take(&mut self.over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(30);

    fn desk() -> Desk<u8> {
        Desk::new(3, LASTS)
    }

    fn wire(number: u8) -> WireToken {
        ::jobs::LeaseToken([number; 16])
    }

    fn own(number: u8) -> LeaseToken {
        LeaseToken::from_bytes([number; 16])
    }

    #[test]
    fn no_more_is_offered_than_workers_wait_for_and_the_limit_allows() {
        let (mut desk, now) = (desk(), Instant::now());
        assert_eq!([0, 1, 2, 9].map(|waiting| desk.room(waiting)), [0, 1, 2, 3]);
        desk.add(wire(1), own(1), false, now);
        assert_eq!([0, 1, 2, 9].map(|waiting| desk.room(waiting)), [0, 0, 1, 2]);
        desk.beat(wire(1), now);
        assert_eq!(
            [0, 1, 9].map(|waiting| desk.room(waiting)),
            [0, 1, 2],
            "its worker waits no more"
        );
    }

    #[test]
    fn a_lease_ends_by_its_answer_or_by_silence_and_says_which() {
        let (mut desk, now) = (desk(), Instant::now());
        for number in 1..=3 {
            desk.add(wire(number), own(number), number == 2, now);
            desk.offered(wire(number), number, now);
        }
        assert_eq!(desk.beat(wire(3), now), Some(own(3)));
        let ended = |number, why| Ended { token: own(number), why };
        assert!(desk.expire(now + LASTS / 3 - Duration::from_millis(1)).is_empty());
        assert_eq!(
            desk.expire(now + LASTS / 3),
            [ended(1, EndedBecause::Untaken), ended(2, EndedBecause::Unwanted)]
        );
        desk.beat(wire(3), now + LASTS / 2);
        assert!(desk.expire(now + LASTS).is_empty(), "the beat moved its end");
        assert_eq!(desk.expire(now + LASTS * 3 / 2), [ended(3, EndedBecause::Silent)]);
        assert_eq!(desk.beat(wire(3), now + LASTS * 2), None, "over");
        assert_eq!((desk.len(), desk.take_over(), desk.take_over()), (0, vec![1, 2, 3], vec![]));
    }

    #[test]
    fn what_a_worker_says_before_the_queue_did_counts() {
        let (mut desk, now) = (desk(), Instant::now());
        desk.add(wire(1), own(1), false, now);
        assert_eq!(desk.beat(wire(1), now), Some(own(1)));
        desk.offered(wire(1), 1, now);
        assert!(desk.expire(now + LASTS / 2).is_empty(), "it is taken");
        assert_eq!((desk.close(wire(1)), desk.take_over()), (Some(own(1)), vec![1]));
        desk.add(wire(2), own(2), false, now);
        assert_eq!((desk.close(wire(2)), desk.take_over()), (Some(own(2)), vec![]));
        desk.offered(wire(2), 2, now);
        assert_eq!(desk.take_over(), vec![2], "answered before it was in the queue");
        assert_eq!(desk.close(wire(2)), None, "an answer counts once");
    }
}
