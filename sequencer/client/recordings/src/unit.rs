//! Units in which files give a signal, and what makes of them the signal's own (UCUM).
//!
//! Only units that differ by a factor, or by a factor and a zero: everything else is another
//! quantity. A name without case or blanks stands for each, beside its UCUM code.

use model::Signal;
use thiserror::Error;

use crate::decimal::Linear;

/// A unit that a signal is not given in.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("expected {signal} in one of {expected}, found the unit {found}")]
pub struct UnknownUnit {
    /// Of which signal.
    pub signal: &'static str,
    /// What it is given in.
    pub expected: String,
    /// What was named.
    pub found: String,
}

/// A unit and other spellings of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// UCUM code.
    pub code: &'static str,
    /// Other names, in lower case and without blanks.
    pub names: &'static [&'static str],
    /// What makes the signal's own unit of it.
    pub to_own: Linear,
}

const fn row(code: &'static str, names: &'static [&'static str], to_own: Linear) -> Row {
    Row { code, names, to_own }
}

/// The signal's own unit first.
const PER_MINUTE: &[Row] = &[
    row(
        "/min",
        &["1/min", "bpm", "beats/min", "{beats}/min", "breaths/min", "rpm", "pm"],
        Linear::SAME,
    ),
    row("/s", &["1/s", "hz"], Linear::times(60, 1)),
];
/// A millimetre of mercury is 133.322 Pa in UCUM.
const PRESSURE: &[Row] = &[
    row("mm[Hg]", &["mmhg", "torr"], Linear::SAME),
    row("kPa", &["kpa"], Linear::times(1_000_000, 133_322)),
];
const TEMPERATURE: &[Row] = &[
    row("Cel", &["c", "degc", "\u{b0}c", "celsius"], Linear::SAME),
    row(
        "[degF]",
        &["f", "degf", "\u{b0}f", "fahrenheit"],
        Linear { before_e2: -3200, ..Linear::times(5, 9) },
    ),
    row("K", &["kelvin"], Linear { before_e2: -27_315, ..Linear::SAME }),
];
const SATURATION: &[Row] = &[
    row("%", &["percent", "pct"], Linear::SAME),
    row("1", &["fraction", "ratio"], Linear::times(100, 1)),
];
/// Glucose has 180.156 g/mol (C6H12O6).
const GLUCOSE: &[Row] = &[
    row("mg/dL", &["mg/dl"], Linear::SAME),
    row("mmol/L", &["mmol/l"], Linear::times(180_156, 10_000)),
];
/// A pound is 0.45359237 kg, a stone 14 pounds.
const MASS: &[Row] = &[
    row("kg", &["kilogram", "kilograms"], Linear::SAME),
    row("g", &["gram", "grams"], Linear::times(1, 1000)),
    row("[lb_av]", &["lb", "lbs", "pound", "pounds"], Linear::times(45_359_237, 100_000_000)),
    row("[stone_av]", &["st", "stone"], Linear::times(635_029_318, 100_000_000)),
];
const VOLTAGE: &[Row] = &[
    row("uV", &["\u{b5}v", "\u{3bc}v", "microvolt"], Linear::SAME),
    row("nV", &["nanovolt"], Linear::times(1, 1000)),
    row("mV", &["millivolt"], Linear::times(1000, 1)),
    row("V", &["volt"], Linear::times(1_000_000, 1)),
];
const COUNT: &[Row] = &[row("1", &["nu", "adu", "counts", "a.u."], Linear::SAME)];

/// Every unit that a signal is given in, its own first.
pub fn rows(signal: &Signal) -> &'static [Row] {
    match signal.unit {
        "/min" => PER_MINUTE,
        "mm[Hg]" => PRESSURE,
        "Cel" => TEMPERATURE,
        "%" => SATURATION,
        "mg/dL" => GLUCOSE,
        "kg" => MASS,
        "uV" => VOLTAGE,
        _ => COUNT,
    }
}

/// What makes a signal's own unit of the one that is named.
///
/// # Errors
/// [`UnknownUnit`] with those that are.
pub fn conversion(signal: &Signal, name: &str) -> Result<Linear, UnknownUnit> {
    let plain: String = name.chars().filter(|one| !one.is_whitespace()).collect();
    let (plain, lower) = (plain.as_str(), plain.to_lowercase());
    // A code by its letters first: in UCUM `mV` and `MV` differ by nine powers of ten.
    let rows = rows(signal);
    let row = rows.iter().find(|row| row.code == plain);
    let row = row.or_else(|| rows.iter().find(|row| row.names.contains(&lower.as_str())));
    row.map(|row| row.to_own).ok_or_else(|| UnknownUnit {
        signal: signal.name,
        expected: names(signal),
        found: name.to_owned(),
    })
}

/// Whether a unit is never taken for granted: voltages are in files in steps of their converter, in
/// millivolts and in microvolts, and each looks like the others.
pub fn is_asked_for(signal: &Signal) -> bool {
    signal.unit == "uV"
}

/// The units that a signal is given in, its own first.
pub fn names(signal: &Signal) -> String {
    rows(signal).iter().map(|row| row.code).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decimal;
    use crate::decimal::Scaled;
    use model::{signal_by_name, signals};

    fn converted(signal: &str, unit: &str, value: &str) -> i64 {
        let signal = signal_by_name(signal).unwrap();
        let value: Decimal = value.parse().unwrap();
        let by = conversion(signal, unit).unwrap();
        value.scaled(by, signal.decimals).map(Scaled::nearest).unwrap()
    }

    #[test]
    fn the_first_unit_of_every_signal_is_its_own() {
        for signal in signals() {
            assert_eq!(rows(signal)[0].code, signal.unit, "{}", signal.name);
            assert_eq!(conversion(signal, signal.unit), Ok(Linear::SAME), "{}", signal.name);
            for row in rows(signal) {
                let lower = row.names.iter().all(|name| name.to_lowercase() == **name);
                assert!(lower, "{:?}", row.names);
            }
        }
    }

    #[test]
    fn units_are_converted_by_their_definitions() {
        for (signal, unit, value, expected) in [
            ("temperature", "degF", "98.6", "37"),
            ("temperature", "K", "310.15", "37"),
            ("temperature", "\u{b0}C", "36.6", "36.6"),
            ("bp-systolic", "kPa", "16", "120"),
            ("spo2", "fraction", "0.975", "97.5"),
            ("glucose", "mmol/L", "5.5", "99.1"),
            ("weight", "lbs", "150", "68.039"),
            ("ecg", "mV", "-0.145", "-145"),
            ("heart-rate", "BPM", "72", "72"),
            ("respiration-rate", "Hz", "0.25", "15"),
        ] {
            let found = converted(signal, unit, value);
            let expected: Decimal = expected.parse().unwrap();
            let decimals = signal_by_name(signal).unwrap().decimals;
            let expected = expected.scaled(Linear::SAME, decimals).unwrap();
            assert_eq!(Scaled::Exact(found), expected, "{value} {unit}");
        }
    }

    #[test]
    fn another_quantity_is_refused_with_the_units_there_are() {
        let error = conversion(signal_by_name("temperature").unwrap(), "mmHg").unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected temperature in one of Cel, [degF], K, found the unit mmHg"
        );
    }
}
