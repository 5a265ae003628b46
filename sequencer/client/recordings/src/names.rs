//! Names that files give signals.

use model::{Signal, signals};

use crate::period::Period;
use crate::unit;

/// A name in lower case, blanks for `_` and `-`, one between two words.
pub(crate) fn plain(name: &str) -> String {
    let lower = name.trim().to_lowercase().replace(['_', '-'], " ");
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Names that headers commonly give a signal, [`plain`].
pub(crate) fn synonyms(signal: &str) -> &'static [&'static str] {
    match signal {
        "heart-rate" => &["hr", "heartrate", "heart rate", "bpm"],
        "pulse-rate" => &["pr", "pulse", "pulserate", "pulse rate"],
        "bp-systolic" => &["sys", "sbp", "systolic", "bp systolic", "systolic bp"],
        "bp-diastolic" => &["dia", "dbp", "diastolic", "bp diastolic", "diastolic bp"],
        "temperature" => &["temp", "temperature", "body temperature"],
        "spo2" => &["spo2", "sao2", "o2sat", "o2 sat", "oxygen saturation", "pulse ox"],
        "respiration-rate" => &["rr", "resp", "respiration", "respiration rate", "resp rate"],
        "glucose" => &["bg", "glucose", "blood glucose", "cgm"],
        "weight" => &["weight", "body weight", "mass", "body mass"],
        "ecg" => &["ecg", "ekg", "ecg1", "lead i", "lead ii", "mlii"],
        "ppg" => &["ppg", "pleth", "plethysmogram", "bvp"],
        _ => &[],
    }
}

/// Names that bedside monitors give channels, [`plain`]. In a table of text `v` or `i` may be
/// anything; as a channel beside a unit of voltage each is a lead.
fn monitor_names(signal: &str) -> &'static [&'static str] {
    match signal {
        "bp-systolic" => &["abpsys", "nbpsys", "abp sys", "nbp sys", "artsys"],
        "bp-diastolic" => &["abpdias", "nbpdias", "abp dias", "nbp dias", "artdias"],
        "temperature" => &["temp rectal", "temp blood", "tblood"],
        "ecg" => &[
            "i", "ii", "iii", "avr", "avl", "avf", "mcl", "mcl1", "ml5", "v", "v1", "v2", "v3",
            "v4", "v5", "v6", "v7", "v8", "v9", "ecg2", "ecg3",
        ],
        _ => &[],
    }
}

/// Whether a signal is a curve, of many samples a beat, rather than a number that a device counted.
pub(crate) fn is_curve(signal: &Signal) -> bool {
    matches!(signal.name, "ecg" | "ppg")
}

/// The signal that a channel is of, by its name, unit (empty where none is written) and period.
///
/// A name alone is too little: `RESP` is a rate in a monitor's numerics and the movement of a chest
/// in its curves. So the unit must be one of the signal's, and a channel without one must come as
/// slowly as numbers do, or be a curve.
pub(crate) fn guess(name: &str, unit: &str, period: Option<Period>) -> Option<&'static Signal> {
    let plain = plain(name);
    // EDF's labels begin with the kind of signal: `ECG V2`, `SaO2 finger`.
    let kind = plain.split(' ').next().unwrap_or_default();
    let is_named = |signal: &&Signal| {
        let known = |name: &str| {
            name == signal.name.replace('-', " ")
                || synonyms(signal.name).contains(&name)
                || monitor_names(signal.name).contains(&name)
        };
        known(&plain) || matches!(signal.name, "ecg" | "spo2") && known(kind)
    };
    let signal = signals().iter().find(is_named)?;
    let is_slow = period.is_none_or(Period::is_slow);
    let fits = match unit {
        "" => is_slow || is_curve(signal),
        unit => unit::conversion(signal, unit).is_ok(),
    };
    // A curve that comes once a second is something else by that name.
    (fits && !(is_curve(signal) && is_slow)).then_some(signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_guessed_by_name_unit_and_rate() {
        let guess = |name: &str, unit: &str, rate: &str| {
            let period = Period::from_rate(rate).unwrap();
            guess(name, unit, Some(period)).map_or("none", |signal| signal.name)
        };
        for (name, unit, rate, expected) in [
            ("RESP", "pm", "1/60", "respiration-rate"),
            ("RESP", "NU", "125", "none"),
            ("RESP", "", "125", "none"),
            ("ABPSys", "mmHg", "1/60", "bp-systolic"),
            ("ABP", "mmHg", "125", "none"),
            ("NBPMean", "mmHg", "1/60", "none"),
            ("V", "mV", "250", "ecg"),
            ("V", "", "250", "ecg"),
            ("V", "mmHg", "250", "none"),
            ("V", "mV", "1", "none"),
            ("ECG V2", "uV", "256", "ecg"),
            ("SaO2 finger", "%", "1", "spo2"),
            ("PLETH", "NU", "125", "ppg"),
            ("HR", "", "1", "heart-rate"),
            ("heart_rate", "bpm", "1", "heart-rate"),
        ] {
            assert_eq!(guess(name, unit, rate), expected, "{name} {unit} {rate}");
        }
    }
}
