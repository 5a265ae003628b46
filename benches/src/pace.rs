//! What a load came to, and how it compares with what one acknowledgement takes.

use std::time::Duration;

/// The value below which so much of the sorted times lies, 0 to 1; zero of none.
pub fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * part.clamp(0.0, 1.0)).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// The middle of several figures, of an even number the mean of the middle two; NaN of none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count => (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0,
    }
}

/// Messages a second of so many connections, each of which sends the next one when the one before
/// is acknowledged, if every acknowledgement takes this long.
pub fn bound(connections: usize, acknowledged_in: Duration) -> f64 {
    connections as f64 / acknowledged_in.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=101).map(Duration::from_millis).collect();
        let found = [0.0, 0.5, 0.99, 1.0, 7.0].map(|part| quantile(&times, part).as_millis());
        assert_eq!(found, [1, 51, 100, 101, 101]);
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn the_median_is_the_middle_and_of_an_even_number_between_two() {
        assert_eq!((median([3.0, 1.0, 2.0]), median([4.0, 1.0])), (2.0, 2.5));
        assert!(median([]).is_nan());
    }

    #[test]
    fn eight_connections_of_two_milliseconds_are_four_thousand_a_second() {
        assert_eq!(bound(8, Duration::from_millis(2)), 4_000.0);
    }
}
