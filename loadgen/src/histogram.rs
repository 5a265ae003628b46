//! Counts of values in buckets whose width grows with the value: a quantile is never understated
//! and at most one part in 64 too high, whatever the range.

/// Values below this have a bucket each; above, every doubling is cut into as many buckets.
const STEPS: u64 = 1 << STEP_BITS;
const STEP_BITS: u32 = 6;
const BUCKETS: usize = (64 - STEP_BITS as usize + 1) << STEP_BITS;

/// A histogram over all of `u64` in 30 KiB.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS].into(), total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts a value.
    pub(crate) fn record(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// Counts every value of another histogram.
    pub(crate) fn add(&mut self, other: &Histogram) {
        for (own, others) in self.counts.iter_mut().zip(&other.counts) {
            *own += others;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many values were counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The buckets that hold a value, ascending: the largest value of each, at most
    /// [`Histogram::max`], and its count.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let held = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        held.map(|(index, count)| (largest_of(index).min(self.max), *count))
    }

    /// The largest, exactly; 0 if none was counted.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The value that `per_mille` of a thousand values do not exceed, rounded up to its bucket's
    /// end, at most [`Histogram::max`]; 0 if none was counted. Rank as in the nearest-rank method.
    pub(crate) fn per_mille(&self, per_mille: u64) -> u64 {
        let rank = u128::from(self.total) * u128::from(per_mille.min(1000));
        let rank = (rank.div_ceil(1000) as u64).max(1);
        // From below, so that a quantile is the end of the bucket that reaches its rank.
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return largest_of(index).min(self.max);
            }
        }
        self.max
    }
}

/// `value` has `STEP_BITS + 1` leading digits `STEPS..2 * STEPS` and `shift` digits that are cut.
fn bucket_of(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - STEP_BITS;
    (((u64::from(shift) + 1) << STEP_BITS) + (value >> shift) - STEPS) as usize
}

/// The largest value of a bucket.
fn largest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let (shift, digits) = ((bucket >> STEP_BITS) - 1, STEPS + bucket % STEPS);
    (((u128::from(digits) + 1) << shift) - 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seeded sequence over many magnitudes (Knuth's multiplier).
    fn values(count: usize) -> Vec<u64> {
        let mut state = 42u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state
        };
        (0..count).map(|_| next() >> (next() >> 59)).collect()
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values_but_for_a_64th() {
        let mut sorted = values(10_007);
        let mut histogram = Histogram::default();
        sorted.iter().for_each(|value| histogram.record(*value));
        sorted.sort_unstable();
        for per_mille in [1, 100, 500, 900, 990, 999, 1000] {
            let rank = (sorted.len() * per_mille as usize).div_ceil(1000).max(1);
            let (exact, found) = (sorted[rank - 1], histogram.per_mille(per_mille));
            assert!(found >= exact, "{per_mille}: {found} understates {exact}");
            assert!(found - exact <= exact / 64, "{per_mille}: {found} is far above {exact}");
        }
        assert_eq!(histogram.max(), sorted[sorted.len() - 1]);
        assert_eq!(histogram.total(), 10_007);
    }

    #[test]
    fn buckets_follow_each_other_without_a_hole_up_to_the_largest_value() {
        for index in 1..BUCKETS {
            let first = largest_of(index - 1) + 1;
            assert_eq!((bucket_of(first), bucket_of(largest_of(index))), (index, index));
        }
        assert_eq!(largest_of(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn two_halves_added_are_the_whole() {
        let (values, mut whole) = (values(1001), Histogram::default());
        let mut halves = [Histogram::default(), Histogram::default()];
        for (index, value) in values.iter().enumerate() {
            whole.record(*value);
            halves[index % 2].record(*value);
        }
        let [mut first, second] = halves;
        first.add(&second);
        assert_eq!((first.total(), first.max()), (1001, whole.max()));
        assert!(first.buckets().eq(whole.buckets()));
        assert_eq!(first.buckets().map(|(_, count)| count).sum::<u64>(), 1001);
        assert_eq!(first.buckets().last().map(|(value, _)| value), Some(whole.max()));
    }

    #[test]
    fn an_empty_histogram_says_zero() {
        assert_eq!(Histogram::default().per_mille(990), 0);
    }
}
