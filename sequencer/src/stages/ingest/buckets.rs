//! Token buckets: how often something may happen, by key, in bounded memory.
//!
//! A bucket is one number, the time at which it is full again, so that a key which has not been
//! seen for a while and one which never was are the same and need not be remembered.

use std::collections::BTreeMap;

use model::Millis;

/// How often something may happen: `burst` times at once, and then so many times a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rate {
    pub(super) per_minute: u32,
    pub(super) burst: u32,
}

impl Rate {
    /// Microseconds until one more may happen.
    fn cost(self) -> u64 {
        60_000_000 / u64::from(self.per_minute.max(1))
    }

    /// Microseconds after which an empty bucket is full.
    fn depth(self) -> u64 {
        self.cost() * u64::from(self.burst.max(1))
    }
}

/// Buckets of one rate. Memory: some 100 bytes a key, of `keys_max` keys at most.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    keys_max: usize,
    /// When the bucket of a key is full again, microseconds.
    full_at: BTreeMap<K, u64>,
}

impl<K: Ord> Buckets<K> {
    pub(super) fn new(rate: Rate, keys_max: usize) -> Buckets<K> {
        Buckets { rate, keys_max, full_at: BTreeMap::new() }
    }

    /// Takes one of the key's bucket; `false` if it is empty, or if so many keys are under way that
    /// there is no room for another.
    pub(super) fn take(&mut self, key: K, now: Millis) -> bool {
        let (now, depth) = (now.get() * 1000, self.rate.depth());
        let known = self.full_at.get(&key).copied();
        if known.is_none() && self.full_at.len() >= self.keys_max {
            // A full bucket is as good as none.
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= self.keys_max {
                return false;
            }
        }
        // Never further ahead than an empty bucket is: a clock that jumped back must not shut out
        // for hours whoever asked before it did.
        let full_at = known.unwrap_or(now).clamp(now, now + depth);
        let after = full_at + self.rate.cost();
        let taken = after <= now + depth;
        self.full_at.insert(key, if taken { after } else { full_at });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_minute: 60, burst: 3 };

    fn at(ms: u64) -> Millis {
        Millis::new(4_000_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_burst_goes_at_once_and_then_one_at_a_time() {
        let mut buckets = Buckets::new(RATE, 10);
        let mut taken = |ms: u64| buckets.take("wallet", at(ms));
        assert_eq!([0, 0, 0, 0, 999].map(&mut taken), [true, true, true, false, false]);
        assert_eq!([1000, 1001, 2000].map(&mut taken), [true, false, true]);
        // After a rest the burst is whole again, and not more than that.
        assert_eq!([60_000; 4].map(&mut taken), [true, true, true, false]);
    }

    #[test]
    fn keys_do_not_share_and_their_number_is_bounded() {
        let mut buckets = Buckets::new(RATE, 2);
        assert!(buckets.take(1, at(0)) && buckets.take(2, at(0)));
        assert!(!buckets.take(3, at(0)), "no room for a third while both are under way");
        assert!(buckets.take(3, at(1000)), "the two are full again and forgotten");
        assert!(buckets.full_at.len() <= 2);
    }

    #[test]
    fn a_clock_that_jumps_back_shuts_nobody_out() {
        let mut buckets = Buckets::new(RATE, 10);
        let day = 86_400_000;
        assert!((0..3).all(|_| buckets.take("wallet", at(day))));
        assert!(!buckets.take("wallet", at(0)), "at most an empty bucket");
        assert!(buckets.take("wallet", at(1000)));
    }
}
