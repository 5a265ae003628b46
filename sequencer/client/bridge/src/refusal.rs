//! Why a message, or a part of one, is not taken: typed, so that each protocol says it its own way.

use std::fmt;

use model::{RejectCode, Signal};
use recordings::ZoneError;
use recordings::decimal::to_decimal;
use thiserror::Error;

/// What whoever sent it can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The same again, later, may be taken.
    Again,
    /// Consent does not cover it: without a change of consent it stays refused.
    Consent,
    /// The same is never taken: message, map or registry has to change first.
    Never,
}

/// A cause, and the element of the message at which it was met.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{element}: {cause}")]
pub struct Refusal {
    /// Why.
    pub cause: Cause,
    /// Where, in the words of the protocol: `OBX[3]-5`, `Observation.valueQuantity.code`. It is
    /// built from names and positions, never from what the message holds.
    pub element: String,
}

impl Refusal {
    /// Of an element.
    pub fn at(element: impl fmt::Display, cause: Cause) -> Refusal {
        Refusal { cause, element: element.to_string() }
    }

    /// What whoever sent it can do.
    pub fn fate(&self) -> Fate {
        self.cause.fate()
    }
}

/// Why something is not taken. No variant holds a name, an identifier, a time or a value of the
/// message: each may be a patient's.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Cause {
    /// No identifier of a patient.
    #[error("expected an identifier of the patient, found none")]
    PatientMissing,
    /// No row of the map.
    #[error("expected a patient of the map, found none of its identifiers there: add [[patient]]")]
    PatientUnknown,
    /// Identifiers of one message lead to several patients.
    #[error("expected identifiers of one patient, found that they lead to several")]
    PatientAmbiguous,
    /// No identifier of a device.
    #[error("expected an identifier of the device, found none")]
    DeviceMissing,
    /// No row of the map.
    #[error("expected a device of the map, found none of its identifiers there: add [[device]]")]
    DeviceUnknown,
    /// No code of what was measured.
    #[error("expected a code of what was measured, found none")]
    CodeMissing,
    /// A code that neither the tables nor the map know.
    #[error("expected a code of LOINC, of MDC or of the map, found another one: add [[code]]")]
    CodeUnknown,
    /// Codes of one value that name several signals.
    #[error("expected codes of one signal, found that they name several")]
    CodeAmbiguous,
    /// Two codes of one message that would be one stream, or two values at one instant of it.
    #[error(
        "expected {signal} of a device under one code and once at an instant, found two readings \
         that nobody could tell apart: give one of them a device of its own (`channels` of \
         [[device]] if their codes differ)"
    )]
    CodesMeet {
        /// Of which signal.
        signal: &'static str,
    },
    /// A reading that stands in the message before as it is. Whoever meets it leaves it out.
    #[error(
        "expected {signal} of a device once at an instant, found the same value again: it is taken \
         once"
    )]
    Repeated {
        /// Of which signal.
        signal: &'static str,
    },
    /// Readings of several patients of one message that would be one stream.
    #[error(
        "expected {signal} of one patient from a device, found several in one message: give each \
         patient's device a name of its own, or send a message for each"
    )]
    PatientsMeet {
        /// Of which signal.
        signal: &'static str,
    },
    /// No unit, and the map says none.
    #[error("expected {signal} with its unit, found none: `unit` of [[code]] says it")]
    UnitMissing {
        /// Of which signal.
        signal: &'static str,
    },
    /// A unit that the signal is not given in.
    #[error("expected {signal} in one of {expected}, found another unit: [[unit]] names others")]
    UnitUnknown {
        /// Of which signal.
        signal: &'static str,
        /// Its units.
        expected: String,
    },
    /// No value where there must be one.
    #[error("expected a value, found none")]
    ValueMissing,
    /// No number.
    #[error("expected a decimal number of at most 18 digits, found another text")]
    NotNumber,
    /// A number that says less or more than a value.
    #[error("expected a value, found a bound, a range or a ratio")]
    NotOne,
    /// A value of a type that is no number.
    #[error("expected a value of {expected}, found another type")]
    Type {
        /// The types that are read.
        expected: &'static str,
    },
    /// More decimals than the signal has.
    #[error(
        "expected {signal} with at most {decimals} decimals, found more: `round = true` rounds"
    )]
    Finer {
        /// Of which signal.
        signal: &'static str,
        /// Its decimals.
        decimals: u8,
    },
    /// Beyond what the signal can plausibly have.
    #[error(
        "expected {name} within {least} to {most} {unit}, found a value beyond",
        name = .0.name, unit = .0.unit,
        least = to_decimal(.0.min, .0.decimals), most = to_decimal(.0.max, .0.decimals)
    )]
    Range(&'static Signal),
    /// What devices write where there is no value.
    #[error(
        "found a value of {signal} that devices write where there is none: `off` or `keep` of \
         [[signal]] says what it is"
    )]
    Sentinel {
        /// Of which signal.
        signal: &'static str,
    },
    /// No time.
    #[error("expected the time of the measurement, found none")]
    TimeMissing,
    /// No time as the protocol writes it.
    #[error("expected {expected}, found another text")]
    TimeMalformed {
        /// The form.
        expected: &'static str,
    },
    /// A time that no clock that is right shows yet: the node would not take it until then. It
    /// passes, the sooner where it is the clock of bridge and node that is wrong.
    #[error(
        "expected a time at most {seconds} s ahead of this bridge's clock or the node's, found a \
         later one: set the device's clock, or both of these, and send the same again then"
    )]
    TimeAhead {
        /// How far ahead it may be.
        seconds: u64,
    },
    /// A time that is ahead by more than clocks of computers go wrong.
    #[error(
        "expected a time at most {hours} h ahead of this bridge's clock or the node's, found a \
         later one: set the device's clock"
    )]
    TimeFar {
        /// How far ahead one may be that is waited for.
        hours: u64,
    },
    /// A time without zone, and the map says none.
    #[error("expected a time with its zone, found none: `zone` of the map says it")]
    ZoneMissing,
    /// A time that the zone's clocks do not show once.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// Samples without their rate.
    #[error("expected samples with their rate, found none: `rate-hz` of [[code]] says it")]
    RateMissing,
    /// A status under which nothing can be taken: what is stored is never taken back.
    #[error("expected {expected}, found another status: what is stored is not taken back")]
    Status {
        /// Those that are taken.
        expected: &'static str,
    },
    /// A message that is none of the kind that is taken.
    #[error("expected {expected}, found something else")]
    Unsupported {
        /// What is taken.
        expected: &'static str,
    },
    /// A message that does not have its form.
    #[error("expected {expected}, found another form")]
    Malformed {
        /// The form.
        expected: &'static str,
    },
    /// A limit of this bridge.
    #[error("expected at most {limit} {what}, found more")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// Nothing in it is a reading.
    #[error("expected at least one reading that is taken, found none")]
    Nothing,
    /// An identifier of a message that came before with other content.
    #[error("expected the content that this message identifier had before, found another")]
    Reused,
    /// A message that was given up although the node may have it: its receipt was lost as the
    /// device became another patient's.
    #[error(
        "the node may have it, and its receipt was lost as the device became another patient's: \
         look in the patient's log, and send what is not there under another identifier"
    )]
    Unsure,
    /// The node does not answer, or not in time.
    #[error("the node has not confirmed it yet: send the same again later, it is stored once")]
    Away,
    /// A limit of this bridge is reached that passes.
    #[error("the bridge has as much to do as it takes at once: send the same again later")]
    Busy,
    /// The device had as many refusals and changes of patients as there are epochs.
    #[error(
        "the device's name is used up, after 65,535 refusals and changes of patients: register \
         another one, and name it in the map"
    )]
    EpochsUsed,
    /// The bridge cannot keep it.
    #[error("the bridge cannot keep what it takes: whoever runs it reads why in its output")]
    NotKept,
    /// The node refused it.
    #[error("the node refused it: {} (code {})", .0.meaning(), .0.number())]
    Node(RejectCode),
}

impl Cause {
    /// What whoever sent it can do.
    pub fn fate(&self) -> Fate {
        match self {
            Cause::Away | Cause::Busy | Cause::EpochsUsed | Cause::NotKept => Fate::Again,
            // The bridge cannot know which clock is wrong: of its own nothing may be lost.
            Cause::TimeAhead { .. } => Fate::Again,
            Cause::Node(RejectCode::NotPermitted) => Fate::Consent,
            Cause::Node(code) if code.retry() => Fate::Again,
            _ => Fate::Never,
        }
    }

    /// The code for programs: letters and dashes, of the node's refusals `node-` and its number.
    pub fn code(&self) -> String {
        if let Cause::Node(code) = self {
            return format!("node-{}", code.number());
        }
        let code = match self {
            Cause::PatientMissing => "patient-missing",
            Cause::PatientUnknown => "patient-unknown",
            Cause::PatientAmbiguous => "patient-ambiguous",
            Cause::DeviceMissing => "device-missing",
            Cause::DeviceUnknown => "device-unknown",
            Cause::CodeMissing => "code-missing",
            Cause::CodeUnknown => "code-unknown",
            Cause::CodeAmbiguous => "code-ambiguous",
            Cause::CodesMeet { .. } => "codes-meet",
            Cause::Repeated { .. } => "repeated",
            Cause::PatientsMeet { .. } => "patients-meet",
            Cause::UnitMissing { .. } => "unit-missing",
            Cause::UnitUnknown { .. } => "unit-unknown",
            Cause::ValueMissing => "value-missing",
            Cause::NotNumber => "not-a-number",
            Cause::NotOne => "not-one-value",
            Cause::Type { .. } => "value-type",
            Cause::Finer { .. } => "value-finer",
            Cause::Range(_) => "value-range",
            Cause::Sentinel { .. } => "value-sentinel",
            Cause::TimeMissing => "time-missing",
            Cause::TimeMalformed { .. } => "time-malformed",
            Cause::TimeAhead { .. } => "time-ahead",
            Cause::TimeFar { .. } => "time-far",
            Cause::ZoneMissing => "zone-missing",
            Cause::Zone(_) => "zone-time",
            Cause::RateMissing => "rate-missing",
            Cause::Status { .. } => "status",
            Cause::Unsupported { .. } => "unsupported",
            Cause::Malformed { .. } => "malformed",
            Cause::TooMany { .. } => "too-many",
            Cause::Nothing => "nothing-taken",
            Cause::Reused => "identifier-reused",
            Cause::Unsure => "may-be-stored",
            Cause::Away => "node-away",
            Cause::Busy => "bridge-busy",
            Cause::EpochsUsed => "epochs-used",
            Cause::NotKept => "bridge-storage",
            Cause::Node(_) => "node",
        };
        code.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_own_word_decides_what_may_be_sent_again() {
        for code in RejectCode::ALL {
            let expected = match code {
                RejectCode::NotPermitted => Fate::Consent,
                code if code.retry() => Fate::Again,
                _ => Fate::Never,
            };
            assert_eq!(Cause::Node(*code).fate(), expected, "{code:?}");
            assert_eq!(Cause::Node(*code).code(), format!("node-{}", code.number()));
        }
        assert_eq!(Cause::Away.fate(), Fate::Again);
        assert_eq!(Cause::Reused.fate(), Fate::Never);
        assert_eq!(Cause::TimeAhead { seconds: 240 }.fate(), Fate::Again);
        assert_eq!(Cause::TimeFar { hours: 24 }.fate(), Fate::Never);
    }

    #[test]
    fn a_refusal_says_where_and_what_to_do() {
        let refusal = Refusal::at("OBX[2]-6", Cause::UnitMissing { signal: "ecg" });
        assert_eq!(
            refusal.to_string(),
            "OBX[2]-6: expected ecg with its unit, found none: `unit` of [[code]] says it"
        );
    }
}
