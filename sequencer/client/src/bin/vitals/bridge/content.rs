//! What a message says, whatever stands around it.

use bridge::Measurement;

use super::taken::Content;

impl Content {
    /// Of the readings that are taken of it, in its order. Programs that send a message again write
    /// its time, their own version or the patient's new address anew: it is the same all the same.
    pub(crate) fn of(readings: &[Measurement]) -> Content {
        let mut hasher =
            blake3::Hasher::new_derive_key("vitals 2026-11 readings of an Observation");
        for one in readings {
            let device = one.device.as_str();
            hasher.update(&(device.len() as u64).to_le_bytes());
            hasher.update(device.as_bytes());
            hasher.update(&one.patient.get().to_le_bytes());
            hasher.update(&one.signal.code.to_le_bytes());
            hasher.update(&one.at.micros().to_le_bytes());
            let [a, b, c, d] = one.value.unwrap_or_default().to_le_bytes();
            hasher.update(&[u8::from(one.value.is_some()), a, b, c, d]);
        }
        Content(hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use model::calendar::Instant;
    use model::{DeviceId, PatientIndex, signal_by_name};

    use super::super::message::tests::heart_rate;
    use super::*;

    #[test]
    fn whatever_of_a_reading_is_another_one_is_another_content() {
        let one = heart_rate(7, 720);
        let later = Instant::from_micros(one.at.micros() + 1).unwrap();
        let others = [
            Measurement { patient: PatientIndex::new(8).unwrap(), ..one.clone() },
            Measurement { device: DeviceId::new("m-2").unwrap(), ..one.clone() },
            Measurement { signal: signal_by_name("pulse-rate").unwrap(), ..one.clone() },
            Measurement { at: later, ..one.clone() },
            Measurement { value: Some(721), ..one.clone() },
            Measurement { value: None, ..one.clone() },
        ];
        let own = Content::of(std::slice::from_ref(&one));
        assert_eq!(own, Content::of(&[heart_rate(7, 720)]));
        for other in &others {
            assert_ne!(own, Content::of(std::slice::from_ref(other)));
            assert_ne!(own, Content::of(&[one.clone(), other.clone()]));
        }
        let none = Measurement { value: None, ..one.clone() };
        let zero = Measurement { value: Some(0), ..one };
        assert_ne!(Content::of(&[none]), Content::of(&[zero]));
    }
}
