//! The signals the system knows: IEEE 11073 code, unit, range, and the consent category that is
//! derived from it and never sent.

use thiserror::Error;

use crate::Category;
use crate::digits::whole_number;

/// One kind of measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signal {
    /// ISO/IEEE 11073-10101 code.
    pub code: u32,
    /// Short name for command lines and files.
    pub name: &'static str,
    /// UCUM unit of one whole step of the scaled value.
    pub unit: &'static str,
    /// A reading is an integer; its value is that integer times 10^-decimals.
    pub decimals: u8,
    /// Smallest plausible integer.
    pub min: i32,
    /// Largest plausible integer.
    pub max: i32,
    /// Consent category.
    pub category: Category,
}

impl Signal {
    /// Whether a text names it: by its name, or by its code.
    pub fn is_called(&self, text: &str) -> bool {
        text.eq_ignore_ascii_case(self.name) || whole_number(text) == Some(self.code)
    }
}

macro_rules! table {
    ($(
        $code:literal $name:literal $unit:literal $decimals:literal
        $min:literal..=$max:literal $category:ident;
    )*) => {
        &[$(Signal {
            code: $code, name: $name, unit: $unit, decimals: $decimals, min: $min, max: $max,
            category: Category::$category,
        },)*]
    };
}

/// Sorted by code. Decimals are those of the finest monitors: rates and pressures in tenths as
/// intensive-care monitors send them, saturation in hundredths; a coarser value is exact in them.
const SIGNALS: &[Signal] = table! {
    131328 "ecg" "uV" 0 -20000..=20000 Ecg;
    147842 "heart-rate" "/min" 1 0..=4000 HeartRate;
    149530 "pulse-rate" "/min" 1 0..=4000 HeartRate;
    150021 "bp-systolic" "mm[Hg]" 1 0..=4000 BloodPressure;
    150022 "bp-diastolic" "mm[Hg]" 1 0..=4000 BloodPressure;
    150364 "temperature" "Cel" 2 1000..=5000 Temperature;
    150452 "ppg" "1" 0 -100000..=100000 Ppg;
    150456 "spo2" "%" 2 0..=10000 Spo2;
    151562 "respiration-rate" "/min" 1 0..=2000 Respiration;
    160184 "glucose" "mg/dL" 1 0..=15000 Glucose;
    188736 "weight" "kg" 3 0..=600000 Weight;
};

/// Every known signal, sorted by code.
pub fn signals() -> &'static [Signal] {
    SIGNALS
}

/// The signal with this code.
pub fn signal_by_code(code: u32) -> Option<&'static Signal> {
    SIGNALS.binary_search_by_key(&code, |signal| signal.code).ok().map(|i| &SIGNALS[i])
}

/// A name that no signal has.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("expected one of {}, found {found}", names())]
pub struct UnknownSignal {
    /// The name found.
    pub found: String,
}

/// The signal with this name.
///
/// # Errors
/// [`UnknownSignal`] that lists the names.
pub fn signal_by_name(name: &str) -> Result<&'static Signal, UnknownSignal> {
    let found = SIGNALS.iter().find(|signal| signal.name == name);
    found.ok_or_else(|| UnknownSignal { found: name.to_owned() })
}

fn names() -> String {
    SIGNALS.iter().map(|signal| signal.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_are_distinct() {
        assert!(SIGNALS.windows(2).all(|pair| pair[0].code < pair[1].code));
        for signal in SIGNALS {
            assert_eq!(signal_by_code(signal.code), Some(signal));
            assert_eq!(SIGNALS.iter().filter(|other| other.name == signal.name).count(), 1);
        }
        assert_eq!(signal_by_code(1), None);
    }

    #[test]
    fn a_code_has_one_text() {
        let ecg = signal_by_name("ecg").unwrap();
        assert!(ecg.is_called("ECG") && ecg.is_called(&ecg.code.to_string()));
        for text in [format!("+{}", ecg.code), format!("0{}", ecg.code)] {
            assert!(!ecg.is_called(&text), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        for signal in SIGNALS {
            assert_eq!(signal_by_name(signal.name), Ok(signal));
        }
        let text = signal_by_name("EKG").unwrap_err().to_string();
        assert!(text.starts_with("expected one of ecg, heart-rate, "), "{text}");
        assert!(text.ends_with(", weight, found EKG"), "{text}");
    }
}
