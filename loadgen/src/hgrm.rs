//! A histogram as the text of HdrHistogram's percentile distribution (`.hgrm`), which its plotters
//! and those of other load generators read: value, percentile, count up to it, and
//! 1/(1-percentile).
//!
//! Written here and not by the crate of that name: the histogram that stands has its own buckets,
//! never understates, and the text is all that a plotter takes of it.

use std::fmt::Write as _;

use crate::histogram::Histogram;

/// Lines for each halving of the distance to 100 %, as HdrHistogram writes by default.
const TICKS_PER_HALF: f64 = 5.0;

/// Microseconds of a millisecond: the text is in milliseconds.
const SCALE: f64 = 1000.0;

/// The text, values in milliseconds, of a histogram of microseconds.
pub(crate) fn percentile_text(latency: &Histogram) -> String {
    let (total, max) = (latency.total(), ms(latency.max()));
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    let heads = ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"];
    let _ = writeln!(text, "{:>12} {:>14} {:>10} {:>14}\n", heads[0], heads[1], heads[2], heads[3]);
    let (mut level, mut seen) = (0.0f64, 0);
    for (value, count) in latency.buckets() {
        seen += count;
        // A bucket that many levels fall into has a line for each, and the last one only one: the
        // levels come ever closer to 100 % and never reach it.
        while 100.0 * seen as f64 / total as f64 >= level {
            let (part, value) = (level / 100.0, ms(value));
            let _ =
                writeln!(text, "{value:12.3} {part:14.12} {seen:10} {:14.2}", 1.0 / (1.0 - part));
            level = next_level(level);
            if seen == total {
                break;
            }
        }
    }
    if total > 0 {
        let _ = writeln!(text, "{max:12.3} {:14.12} {total:10}", 1.0);
    }
    let (mean, deviation) = mean_and_deviation(latency);
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {total:12}]");
    let _ = writeln!(text, "#[Buckets = {:12}, SubBuckets     = {:12}]", 59, 64);
    text
}

fn ms(us: u64) -> f64 {
    us as f64 / SCALE
}

/// Each halving of what is left to 100 % takes as many steps as the one before.
fn next_level(level: f64) -> f64 {
    let halvings = (100.0 / (100.0 - level)).log2().floor() as i32 + 1;
    level + 100.0 / (TICKS_PER_HALF * 2f64.powi(halvings))
}

/// In milliseconds, by the largest value of each bucket; 0 of nothing.
fn mean_and_deviation(latency: &Histogram) -> (f64, f64) {
    let total = latency.total().max(1) as f64;
    let sum: f64 = latency.buckets().map(|(value, count)| ms(value) * count as f64).sum();
    let mean = sum / total;
    let squares = latency.buckets().map(|(value, count)| (ms(value) - mean).powi(2) * count as f64);
    (mean, (squares.sum::<f64>() / total).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> String {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record(value));
        percentile_text(&histogram)
    }

    #[test]
    fn the_text_is_that_of_hdr_histogram() {
        let text = of([1000, 1000, 2000, 50_000]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
        assert_eq!(lines[1], "");
        assert_eq!(lines[2], "       1.007 0.000000000000          2           1.00");
        assert_eq!(lines[3], "       1.007 0.100000000000          2           1.11");
        assert_eq!(lines[8], "       2.015 0.550000000000          3           2.22");
        let [last, mean, max, _] = lines[lines.len() - 4..] else { panic!("four lines") };
        assert_eq!(last, "      50.000 1.000000000000          4");
        assert!(mean.starts_with("#[Mean    =       13.507"), "{mean}");
        assert_eq!(max, "#[Max     =       50.000, Total count    =            4]");
    }

    #[test]
    fn counts_ascend_to_all_and_values_to_the_largest() {
        let text = of((1..=5000).map(|n| n * n));
        let rows = text.lines().skip(2).filter(|line| !line.starts_with('#'));
        let rows: Vec<Vec<f64>> =
            rows.map(|row| row.split_whitespace().map(|n| n.parse().unwrap()).collect()).collect();
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][2] <= pair[1][2]));
        // What a line says of its percentile is so: as many values are not above it.
        for row in &rows {
            assert!(row[2] / 5000.0 >= row[1] - 1e-9, "{row:?}");
        }
        assert_eq!(rows.last().unwrap()[..3], [25_000.0, 1.0, 5000.0]);
    }

    #[test]
    fn nothing_counted_has_no_lines() {
        let text = of([]);
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 2);
        assert!(text.contains("Total count    =            0"));
    }
}
