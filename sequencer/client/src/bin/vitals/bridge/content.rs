//! What a message says, whatever stands around it.

use bridge::Measurement;

/// The hash of what it says, as its protocol tells messages apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Content(pub(crate) [u8; 16]);

/// Of the hash of a message's readings, the bytes that are kept: as many as a record of
/// `messages.log` has room for behind three receipts. Only messages of one identity are told apart
/// by them.
const READINGS_BYTES: usize = 6;

/// What a message says, as it is compared with what was said under its identity before.
///
/// Programs that send a message again write its time, their own version or the patient's new
/// address anew, and the map may read the same bytes otherwise once somebody has mended it: so it
/// is the same where either of the two is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said {
    /// Of a protocol whose messages are bytes, their hash, as every version kept it.
    pub(super) content: Content,
    /// None where nobody knows them: a version before this one did not keep them.
    readings: Option<[u8; READINGS_BYTES]>,
}

impl Said {
    /// Its bytes, in records and marks.
    pub(super) const BYTES: usize = 16 + READINGS_BYTES;

    /// Of a message whose readings are nobody's by themselves.
    pub(super) const fn without_readings(content: Content) -> Said {
        Said { content, readings: None }
    }

    pub(super) fn of(content: Content, readings: &[Measurement]) -> Said {
        let Content(hash) = Content::of(readings);
        let known = hash.first_chunk().filter(|_| !readings.is_empty());
        Said { content, readings: known.copied() }
    }

    /// Whether it is the same message.
    pub(super) fn is_same(&self, other: &Said) -> bool {
        let has_same_readings = self.readings.is_some() && self.readings == other.readings;
        self.content == other.content || has_same_readings
    }

    /// Whether its readings are known to be others.
    pub(super) fn has_other_readings(&self, other: &Said) -> bool {
        let known = self.readings.zip(other.readings);
        known.is_some_and(|(own, others)| own != others)
    }

    /// The content first, where versions before this one have it alone, and zeros behind it.
    pub(super) fn to_bytes(self) -> [u8; Said::BYTES] {
        let mut bytes = [0; Said::BYTES];
        let (content, readings) = bytes.split_at_mut(16);
        content.copy_from_slice(&self.content.0);
        readings.copy_from_slice(&self.readings.unwrap_or_default());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Said::BYTES]) -> Said {
        let (mut content, mut readings) = ([0; 16], [0; READINGS_BYTES]);
        content.copy_from_slice(&bytes[..16]);
        readings.copy_from_slice(&bytes[16..]);
        let readings = Some(readings).filter(|known| *known != [0; READINGS_BYTES]);
        Said { content: Content(content), readings }
    }
}

impl Content {
    /// Of readings, in the order in which they are taken.
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

    #[test]
    fn a_message_is_the_same_where_its_bytes_are_or_its_readings_are() {
        let (readings, others) = ([heart_rate(7, 720)], [heart_rate(7, 730)]);
        let [bytes, more] = [1, 2].map(|one| Content([one; 16]));
        let own = Said::of(bytes, &readings);
        assert!(own.is_same(&Said::of(more, &readings)) && own.is_same(&Said::of(bytes, &others)));
        assert!(!own.is_same(&Said::of(more, &others)));
        assert!(own.has_other_readings(&Said::of(bytes, &others)));
        // As a version before this one kept it.
        let before = Said::without_readings(bytes);
        assert!(own.is_same(&before) && !own.has_other_readings(&before));
        assert!(!Said::of(more, &readings).is_same(&before));
        // Of two that have none it is not known.
        assert!(!Said::of(bytes, &[]).is_same(&Said::of(more, &[])));
        for said in [own, before] {
            assert_eq!(Said::from_bytes(&said.to_bytes()), said);
        }
    }
}
