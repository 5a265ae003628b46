//! Codes that are known without a map: of LOINC and of ISO/IEEE 11073-10101 (MDC).
//!
//! Only codes that mean no more than their signal does, or are a special case of it. An invasive
//! pressure, one lead of several and glucose of plasma are others' business: the map says what they
//! shall be.

use model::{Signal, signal_by_name};

use crate::measurement::Coding;

/// The names by which HL7 v2 calls the two systems.
const LOINC: &str = "LN";
pub(crate) const MDC: &str = "MDC";
/// The names by which FHIR does.
const LOINC_URL: &str = "http://loinc.org";
const MDC_URL: &str = "urn:iso:std:iso:11073:10101";

/// A code that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// `LN` or `MDC`.
    pub system: &'static str,
    /// The code.
    pub code: &'static str,
    /// Its name: of MDC the reference identifier, which stands for the code, too.
    pub name: &'static str,
    /// The name of the signal.
    pub signal: &'static str,
}

const fn loinc(code: &'static str, name: &'static str, signal: &'static str) -> Known {
    Known { system: LOINC, code, name, signal }
}

const fn mdc(code: &'static str, name: &'static str, signal: &'static str) -> Known {
    Known { system: MDC, code, name, signal }
}

/// Every code that is known.
pub const KNOWN: &[Known] = &[
    loinc("8867-4", "Heart rate", "heart-rate"),
    loinc("8889-8", "Heart rate by Pulse oximetry", "pulse-rate"),
    loinc("8480-6", "Systolic blood pressure", "bp-systolic"),
    loinc("8462-4", "Diastolic blood pressure", "bp-diastolic"),
    loinc("8310-5", "Body temperature", "temperature"),
    loinc("8331-1", "Oral temperature", "temperature"),
    loinc("2708-6", "Oxygen saturation in Arterial blood", "spo2"),
    loinc("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry", "spo2"),
    loinc("9279-1", "Respiratory rate", "respiration-rate"),
    loinc("15074-8", "Glucose [Moles/volume] in Blood", "glucose"),
    loinc("2339-0", "Glucose [Mass/volume] in Blood", "glucose"),
    loinc("41653-7", "Glucose [Mass/volume] in Capillary blood by Glucometer", "glucose"),
    loinc("29463-7", "Body weight", "weight"),
    loinc("3141-9", "Body weight Measured", "weight"),
    mdc("131328", "MDC_ECG_ELEC_POTL", "ecg"),
    mdc("147842", "MDC_ECG_HEART_RATE", "heart-rate"),
    mdc("149514", "MDC_PULS_RATE", "pulse-rate"),
    mdc("149530", "MDC_PULS_OXIM_PULS_RATE", "pulse-rate"),
    mdc("149546", "MDC_PULS_RATE_NON_INV", "pulse-rate"),
    mdc("150021", "MDC_PRESS_BLD_NONINV_SYS", "bp-systolic"),
    mdc("150022", "MDC_PRESS_BLD_NONINV_DIA", "bp-diastolic"),
    mdc("150364", "MDC_TEMP_BODY", "temperature"),
    mdc("150452", "MDC_PULS_OXIM_PLETH", "ppg"),
    mdc("150456", "MDC_PULS_OXIM_SAT_O2", "spo2"),
    mdc("151562", "MDC_RESP_RATE", "respiration-rate"),
    mdc("160184", "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD", "glucose"),
    mdc("188736", "MDC_MASS_BODY_ACTUAL", "weight"),
];

/// A system of codes, and everything that it is called: in HL7 v2, in FHIR, and by its OID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct System {
    /// `LN` or `MDC`.
    pub name: &'static str,
    /// All its names, that of HL7 v2 first.
    pub called: &'static [&'static str],
}

/// The systems of which codes are known.
pub const SYSTEMS: &[System] = &[
    System { name: LOINC, called: &[LOINC, "LOINC", LOINC_URL, "2.16.840.1.113883.6.1"] },
    System { name: MDC, called: &[MDC, MDC_URL, "2.16.840.1.113883.6.24"] },
];

/// The code of LOINC that is written of a signal: the one that says no more than the signal does.
/// An ECG and a plethysmogram have none; glucose is kept in mg/dL, so by mass.
const WRITTEN: &[&str] =
    &["8867-4", "8889-8", "8480-6", "8462-4", "8310-5", "2708-6", "9279-1", "2339-0", "29463-7"];

/// The codes that are written of a signal: that of LOINC if it has one, then that of MDC.
pub fn written(signal: &'static Signal) -> impl Iterator<Item = &'static Known> {
    let code = signal.code.to_string();
    let is_written = move |known: &&Known| {
        known.signal == signal.name
            && if known.system == LOINC {
                WRITTEN.contains(&known.code)
            } else {
                known.code == code
            }
    };
    KNOWN.iter().filter(is_written)
}

impl Known {
    /// What FHIR calls its system.
    pub fn url(&self) -> &'static str {
        if self.system == LOINC { LOINC_URL } else { MDC_URL }
    }
}

/// One name for each system, however it is called: HL7 v2, FHIR and OID. Others are left as they
/// are.
pub fn system(called: &str) -> &str {
    let known = SYSTEMS.iter().find(|system| system.called.contains(&called));
    known.map_or(called, |system| system.name)
}

/// What a code is of, if it is known.
pub fn signal(coding: Coding<'_>) -> Option<&'static Signal> {
    let own = system(coding.system);
    let is_it = |known: &&Known| {
        known.system == own
            && (known.code == coding.code || own == MDC && known.name == coding.code)
    };
    let known = KNOWN.iter().find(is_it)?;
    signal_by_name(known.signal).ok()
}

/// The panels of both blood pressures: one value with two numbers, or a heading without one.
pub const PRESSURE_PANELS: &[Panel] = &[
    Panel { system: LOINC, code: "85354-9", name: "Blood pressure panel" },
    Panel { system: LOINC, code: "55284-4", name: "Blood pressure systolic and diastolic" },
    Panel { system: MDC, code: "150020", name: "MDC_PRESS_BLD_NONINV" },
];

/// A code that stands for several signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Panel {
    /// `LN` or `MDC`.
    pub system: &'static str,
    /// The code.
    pub code: &'static str,
    /// Its name: of MDC the reference identifier, which stands for the code, too.
    pub name: &'static str,
}

/// Whether it is the panel of both blood pressures, whose one value has two numbers.
pub fn is_pressure_panel(coding: Coding<'_>) -> bool {
    let own = system(coding.system);
    PRESSURE_PANELS.iter().any(|panel| {
        panel.system == own
            && (panel.code == coding.code || own == MDC && panel.name == coding.code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_code_leads_to_its_signal_under_each_name_of_its_system() {
        for known in KNOWN {
            let own = SYSTEMS.iter().find(|system| system.name == known.system).unwrap();
            for system in own.called {
                let found = signal(Coding { system, code: known.code });
                assert_eq!(found.map(|found| found.name), Some(known.signal), "{}", known.code);
            }
            let same =
                KNOWN.iter().filter(|one| (one.system, one.code) == (known.system, known.code));
            assert_eq!(same.count(), 1, "{}", known.code);
        }
        let by_name = Coding { system: "MDC", code: "MDC_TEMP_BODY" };
        assert_eq!(signal(by_name).map(|found| found.name), Some("temperature"));
    }

    #[test]
    fn what_is_written_of_a_signal_is_read_as_that_signal() {
        for signal in model::signals() {
            let codes: Vec<_> = written(signal).collect();
            let of_waveform = ["ecg", "ppg"].contains(&signal.name);
            assert_eq!(codes.len(), if of_waveform { 1 } else { 2 }, "{}", signal.name);
            for known in codes {
                let coding = Coding { system: known.url(), code: known.code };
                assert_eq!(super::signal(coding), Some(signal));
            }
        }
    }

    #[test]
    fn a_code_without_its_system_is_none() {
        for system in ["", "L", "99ACME", "SCT"] {
            assert_eq!(signal(Coding { system, code: "8867-4" }), None, "{system}");
        }
        assert_eq!(signal(Coding { system: "LN", code: "8478-0" }), None);
    }

    #[test]
    fn a_panel_is_known_by_its_code_and_is_no_signal() {
        let of = |system, code| Coding { system, code };
        for panel in PRESSURE_PANELS {
            assert!(is_pressure_panel(of(panel.system, panel.code)), "{}", panel.code);
            assert_eq!(signal(of(panel.system, panel.code)), None, "{}", panel.code);
        }
        assert!(is_pressure_panel(of("MDC", "MDC_PRESS_BLD_NONINV")));
        assert!(!is_pressure_panel(of("LN", "8480-6")) && !is_pressure_panel(of("", "85354-9")));
    }
}
