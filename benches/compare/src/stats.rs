//! Several figures of one thing.

use serde::Serialize;

/// Median, lowest and highest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// `None` of no figures. The median of an even number is the mean of the middle two.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (lowest, highest) = (*sorted.first()?, *sorted.last()?);
        let middle = [sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]];
        Some(Self { median: (middle[0] + middle[1]) / 2.0, lowest, highest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle_of_the_sorted_figures() {
        let found = Spread::of([3.0, 1.0, 2.0]).map(|s| (s.lowest, s.median, s.highest));
        assert_eq!(found, Some((1.0, 2.0, 3.0)));
        assert_eq!(Spread::of([4.0, 1.0]).map(|s| s.median), Some(2.5));
        assert_eq!(Spread::of([]), None);
    }
}
