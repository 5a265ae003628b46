//! What is in range and yet hardly what was measured: sentinels of devices, and other units.
//!
//! A sentinel belongs to a device or a file format, never to a signal: zero beats a minute can be
//! asystole. So neither is rewritten; whoever streams the file says what it is.

use model::Signal;

use crate::Decimal;

/// What a signal's values are in nearly everybody, and which are nearly always a device's word for
/// "no value".
struct Row {
    signal: &'static str,
    /// In the signal's own unit. Of a signal as it comes off an electrode nothing is usual.
    usual: Option<(i64, i64)>,
    /// As they stand in files.
    sentinels: &'static [i64],
}

/// No value is in a signal's table that people really have often: 127 beats a minute, 255 mg/dL.
const ROWS: &[Row] = &[
    Row { signal: "heart-rate", usual: Some((20, 300)), sentinels: &[0, 255] },
    Row { signal: "pulse-rate", usual: Some((20, 300)), sentinels: &[0, 255] },
    Row { signal: "bp-systolic", usual: Some((40, 300)), sentinels: &[0, 255] },
    Row { signal: "bp-diastolic", usual: Some((20, 200)), sentinels: &[0, 255] },
    Row { signal: "temperature", usual: Some((25, 45)), sentinels: &[] },
    Row { signal: "spo2", usual: Some((40, 100)), sentinels: &[0] },
    Row { signal: "respiration-rate", usual: Some((3, 120)), sentinels: &[0, 127] },
    Row { signal: "glucose", usual: Some((20, 800)), sentinels: &[0, 999] },
    Row { signal: "weight", usual: Some((1, 400)), sentinels: &[0, 255] },
    Row { signal: "ecg", usual: None, sentinels: &[-32_768, 32_767] },
    Row { signal: "ppg", usual: None, sentinels: &[-32_768, 32_767, 65_535] },
];

fn row(signal: &Signal) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.signal == signal.name)
}

/// What devices write for "no value".
pub fn sentinels(signal: &Signal) -> impl Iterator<Item = Decimal> {
    let all = row(signal).map_or(&[][..], |row| row.sentinels);
    all.iter().map(|one| Decimal::from_integer(*one))
}

/// Whether devices write this for "no value".
pub fn is_sentinel(signal: &Signal, value: Decimal) -> bool {
    sentinels(signal).any(|sentinel| sentinel == value)
}

/// Whether a value, in steps of the signal, is what nearly everybody has. Where none of a whole
/// file is, the file is in another unit.
pub fn is_usual(signal: &Signal, value: i64) -> bool {
    let step = 10i64.pow(u32::from(signal.decimals));
    let usual = row(signal).and_then(|row| row.usual);
    usual.is_none_or(|(least, most)| (least * step..=most * step).contains(&value))
}

/// The usual values of a signal in words, if it has any.
pub fn usual(signal: &Signal) -> Option<String> {
    let (least, most) = row(signal)?.usual?;
    Some(format!("{least} to {most} {}", signal.unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{signal_by_name, signals};

    #[test]
    fn every_signal_has_a_row_within_its_range() {
        for signal in signals() {
            let row = row(signal).unwrap_or_else(|| panic!("{} has no row", signal.name));
            let step = 10i64.pow(u32::from(signal.decimals));
            for end in row.usual.iter().flat_map(|(least, most)| [least, most]) {
                let range = i64::from(signal.min)..=i64::from(signal.max);
                assert!(range.contains(&(end * step)), "{}: {end}", signal.name);
            }
        }
        assert_eq!(ROWS.len(), signals().len());
    }

    #[test]
    fn zero_is_suspect_of_a_rate_and_nothing_in_a_waveform() {
        let zero: Decimal = "0.0".parse().unwrap();
        assert!(is_sentinel(signal_by_name("heart-rate").unwrap(), zero));
        assert!(!is_sentinel(signal_by_name("ecg").unwrap(), zero));
        assert!(is_usual(signal_by_name("ecg").unwrap(), 0));
        assert!(!is_usual(signal_by_name("spo2").unwrap(), 9));
    }
}
