//! Quantiles of what a histogram observed between two looks, as Prometheus estimates them.

use prometheus::Histogram;

/// What a histogram has observed so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// Upper bound of each bucket, and how many lie at or below it.
    buckets: Vec<(f64, u64)>,
    count: u64,
    sum: f64,
}

impl Observations {
    /// Those until now.
    pub fn of(histogram: &Histogram) -> Observations {
        use prometheus::core::Collector as _;
        let families = histogram.collect();
        let metric = families.first().and_then(|family| family.get_metric().first());
        let Some(metric) = metric else { return Observations::default() };
        let found = metric.get_histogram();
        let bucket =
            |bucket: &prometheus::proto::Bucket| (bucket.upper_bound(), bucket.cumulative_count());
        Observations {
            buckets: found.get_bucket().iter().map(bucket).collect(),
            count: found.get_sample_count(),
            sum: found.get_sample_sum(),
        }
    }

    /// Both together, of histograms with the same buckets.
    pub fn and(&self, other: &Observations) -> Observations {
        let both = self.buckets.iter().zip(&other.buckets);
        Observations {
            buckets: both.map(|((bound, one), (_, more))| (*bound, one + more)).collect(),
            count: self.count + other.count,
            sum: self.sum + other.sum,
        }
    }

    /// Those since `before`, which is of the same histogram.
    pub fn since(&self, before: &Observations) -> Observations {
        let earlier = |at: usize| before.buckets.get(at).map_or(0, |(_, count)| *count);
        let bucket = |(at, (bound, count)): (usize, &(f64, u64))| {
            (*bound, count.saturating_sub(earlier(at)))
        };
        Observations {
            buckets: self.buckets.iter().enumerate().map(bucket).collect(),
            count: self.count.saturating_sub(before.count),
            sum: self.sum - before.sum,
        }
    }

    /// The value that this share of all lies below, between the bounds of its bucket in a straight
    /// line; the highest bound for what lies above it, and none of nothing.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.count as f64;
        let (mut below, mut bound_below) = (0, 0.0);
        for (bound, count) in &self.buckets {
            let within = count.saturating_sub(below);
            if *count as f64 >= rank && within > 0 {
                let part = (rank - below as f64) / within as f64;
                return Some(bound_below + (bound - bound_below) * part.clamp(0.0, 1.0));
            }
            (below, bound_below) = (*count, *bound);
        }
        (self.count > 0).then_some(bound_below)
    }

    /// Their mean; none of nothing.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::HistogramOpts;

    use super::*;

    fn histogram() -> Histogram {
        let opts = HistogramOpts::new("test_seconds", "Of a test.");
        Histogram::with_opts(opts.buckets(vec![1.0, 2.0, 4.0])).unwrap()
    }

    #[test]
    fn quantiles_lie_within_their_bucket_and_at_the_last_bound_beyond_all() {
        let histogram = histogram();
        assert_eq!(Observations::of(&histogram).quantile(0.5), None);
        for value in [0.5, 1.5, 1.6, 3.0] {
            histogram.observe(value);
        }
        let found = Observations::of(&histogram);
        assert_eq!(found.quantile(0.25), Some(1.0));
        assert_eq!(found.quantile(0.5), Some(1.5));
        assert_eq!(found.quantile(0.99), Some(2.0 + 2.0 * (3.96 - 3.0)));
        assert_eq!(found.mean(), Some(6.6 / 4.0));
        histogram.observe(100.0);
        assert_eq!(Observations::of(&histogram).quantile(1.0), Some(4.0));
    }

    #[test]
    fn what_was_observed_before_counts_no_more() {
        let histogram = histogram();
        histogram.observe(0.5);
        let before = Observations::of(&histogram);
        assert_eq!(before.since(&before).quantile(0.5), None);
        assert_eq!(before.since(&before).mean(), None);
        histogram.observe(3.0);
        let since = Observations::of(&histogram).since(&before);
        assert_eq!((since.quantile(0.5), since.mean()), (Some(3.0), Some(3.0)));
        assert_eq!(before.since(&Observations::default()), before);
        assert_eq!(before.and(&since), Observations::of(&histogram));
    }
}
