//! Messages and fields of the public FIT profile that are a signal.

use std::collections::BTreeMap;

/// A field of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Field {
    pub(super) message: u16,
    pub(super) number: u8,
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) signal: &'static str,
    /// The stored integer is so many powers of ten below the unit.
    pub(super) decimals: u32,
    /// A value that says that there is none, beside that of the base type.
    pub(super) nothing: Option<i64>,
}

const fn field(message: u16, number: u8, name: &'static str) -> Field {
    Field { message, number, name, unit: "bpm", signal: "heart-rate", decimals: 0, nothing: None }
}

/// What a strap, cuff, scale or oximeter measured of a body. Oxygen in muscle
/// (`saturated_hemoglobin`) is another quantity than SpO2.
pub(super) const FIELDS: &[Field] = &[
    field(20, 3, "record.heart_rate"),
    Field {
        unit: "breaths/min",
        signal: "respiration-rate",
        decimals: 2,
        ..field(20, 108, "record.enhanced_respiration_rate")
    },
    Field {
        unit: "Cel",
        signal: "temperature",
        decimals: 2,
        ..field(20, 139, "record.core_temperature")
    },
    // The scale is still calculating.
    Field {
        unit: "kg",
        signal: "weight",
        decimals: 2,
        nothing: Some(0xfffe),
        ..field(30, 0, "weight_scale.weight")
    },
    Field {
        unit: "mmHg",
        signal: "bp-systolic",
        ..field(51, 0, "blood_pressure.systolic_pressure")
    },
    Field {
        unit: "mmHg",
        signal: "bp-diastolic",
        ..field(51, 1, "blood_pressure.diastolic_pressure")
    },
    // A cuff counts the waves in an artery.
    Field { signal: "pulse-rate", ..field(51, 6, "blood_pressure.heart_rate") },
    field(55, 27, "monitoring.heart_rate"),
    Field { unit: "%", signal: "spo2", ..field(269, 0, "spo2_data.reading_spo2") },
    Field {
        unit: "breaths/min",
        signal: "respiration-rate",
        decimals: 2,
        ..field(297, 0, "respiration_rate.respiration_rate")
    },
    Field { unit: "%", signal: "spo2", ..field(305, 1, "hsa_spo2_data.reading_spo2") },
];

/// Names of messages, for whoever wants to know what a file holds instead.
const NAMES: &[(u16, &str)] = &[
    (0, "file_id"),
    (2, "device_settings"),
    (3, "user_profile"),
    (12, "sport"),
    (18, "session"),
    (19, "lap"),
    (20, "record"),
    (21, "event"),
    (23, "device_info"),
    (26, "workout"),
    (27, "workout_step"),
    (30, "weight_scale"),
    (31, "course"),
    (32, "course_point"),
    (34, "activity"),
    (49, "file_creator"),
    (51, "blood_pressure"),
    (55, "monitoring"),
    (78, "hrv"),
    (103, "monitoring_info"),
    (132, "hr"),
    (227, "stress_level"),
];

/// The messages of a file, the most frequent first.
pub(super) fn list(held: &BTreeMap<u16, u64>) -> String {
    const SHOWN: usize = 6;
    let mut held: Vec<_> = held.iter().collect();
    held.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let name = |number: u16| {
        let known = NAMES.iter().find(|(known, _)| *known == number);
        known.map_or(format!("message {number}"), |(_, name)| (*name).to_owned())
    };
    let all = held.iter().take(SHOWN).map(|(number, count)| format!("{count} {}", name(**number)));
    let text = all.collect::<Vec<_>>().join(", ");
    match held.len() {
        0 => "no message".to_owned(),
        count if count > SHOWN => format!("{text} and more"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_a_signal_in_a_unit_of_it() {
        for field in FIELDS {
            let signal = model::signal_by_name(field.signal).unwrap();
            assert!(crate::unit::conversion(signal, field.unit).is_ok(), "{}", field.name);
        }
    }

    #[test]
    fn messages_are_listed_by_their_number() {
        let held = [(0, 1), (55, 337), (9999, 2)].into();
        assert_eq!(list(&held), "337 monitoring, 2 message 9999, 1 file_id");
        assert_eq!(list(&BTreeMap::new()), "no message");
    }
}
