//! One thing that needs consent: a collection, an access, or a break-glass access.

use crate::rule::pack_mask;
use crate::{
    Categories, ClaimKind, DecodeError, Digest, Interval, Labels, Party, PatientIndex, Position,
    Purpose, Reader, Word,
};

/// A claim as it is evaluated, committed and proven (SPEC.md section 6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Whose data.
    pub patient: PatientIndex,
    /// Collect, access or break-glass.
    pub kind: ClaimKind,
    /// Who acts: a practitioner, or the device of a collection.
    pub individual: Word,
    /// For which organisation.
    pub organisation: Word,
    /// For which care team; zero for none (a rule names no zero word).
    pub care_team: Word,
    /// Which device or author the data comes from; [`Party::Any`] for all sources.
    pub source: Party,
    /// Which categories; never empty.
    pub categories: Categories,
    /// For which one purpose.
    pub purpose: Purpose,
    /// Which labels the data carries; never empty.
    pub labels: Labels,
    /// When it happened: of a collection, from the first to after the last receipt.
    pub receipt: Interval,
    /// When the data was measured.
    pub measured: Interval,
    /// Journal position of the access, or of the last frame of the segment.
    pub position: Position,
    /// Of a segment, its bytes; of an access, its signed request with the reason.
    pub digest: Digest,
}

/// The words by which rules and claims name whom a request to read names: the claim of the request
/// has them. `statement::scope` makes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestWords {
    /// Of the practitioner.
    pub practitioner: Word,
    /// Of the organisation.
    pub organisation: Word,
    /// Of the device, or any.
    pub source: Party,
}

impl Claim {
    /// The masks in a rule's layout, with exactly one purpose and one kind.
    pub fn mask(&self) -> u64 {
        pack_mask(self.categories, self.purpose.only(), self.kind.only(), self.labels)
    }

    /// Length of the canonical encoding.
    pub const BYTES: usize = 1 + 4 + 1 + 4 * 32 + 4 + 1 + 1 + 4 * 8 + 8 + 31;

    /// Canonical bytes, big-endian: version 1, patient u32, kind, individual, organisation, care
    /// team, source, categories u32, purpose, labels, receipt and measured (four u64), position
    /// u64, digest.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Claim::BYTES);
        bytes.push(1);
        bytes.extend(self.patient.get().to_be_bytes());
        bytes.push(self.kind.bit() as u8);
        for word in [self.individual, self.organisation, self.care_team, self.source.word()] {
            bytes.extend(word.to_bytes());
        }
        bytes.extend((self.categories.bits() as u32).to_be_bytes());
        // The purpose as its number: what a claim has one of (C2.9) is not written as a set.
        bytes.extend([self.purpose.bit() as u8, self.labels.bits() as u8]);
        for interval in [self.receipt, self.measured] {
            bytes.extend(interval.from.get().to_be_bytes());
            bytes.extend(interval.until.get().to_be_bytes());
        }
        bytes.extend(self.position.0.to_be_bytes());
        bytes.extend(self.digest.0);
        bytes
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<Claim, DecodeError> {
        let mut reader = Reader::new(bytes);
        let claim = Claim::read(&mut reader)?;
        reader.finish()?;
        Ok(claim)
    }

    /// Reads one claim from a longer byte string.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Claim, DecodeError> {
        reader.map("claim version 1", Reader::u8, |version| (version == 1).then_some(()))?;
        let index = "a patient index below 2^24";
        Ok(Claim {
            patient: reader.map(index, Reader::u32, |n| PatientIndex::new(n).ok())?,
            kind: reader
                .map("a kind", Reader::u8, |bit| by_bit(ClaimKind::ALL, bit, ClaimKind::bit))?,
            individual: reader.word()?,
            organisation: reader.word()?,
            care_team: reader.word()?,
            source: reader.map("a source", Reader::word, |word| Party::from_word(word).ok())?,
            categories: reader
                .map("categories", Reader::u32, |n| Categories::from_bits(u64::from(n)).ok())?,
            // Unlike in a rule, a bit without a name is refused: a claim says what was done.
            purpose: reader
                .map("a purpose", Reader::u8, |bit| by_bit(Purpose::ALL, bit, Purpose::bit))?,
            labels: reader.map("labels", Reader::u8, |n| Labels::from_bits(u64::from(n)).ok())?,
            receipt: read_interval(reader)?,
            measured: read_interval(reader)?,
            position: Position(reader.u64()?),
            digest: Digest(reader.array()?),
        })
    }
}

fn by_bit<T: Copy>(all: &[T], bit: u8, bit_of: fn(T) -> u32) -> Option<T> {
    all.iter().copied().find(|one| bit_of(*one) == u32::from(bit))
}

fn read_interval(reader: &mut Reader<'_>) -> Result<Interval, DecodeError> {
    let offset = reader.offset();
    // Neither of a claim's intervals may be empty (C2.5), unlike the access period of a stored
    // rule.
    let (from, until) = (reader.millis()?, reader.millis()?);
    let expected = "an interval that ends after it begins";
    Interval::new(from, until).map_err(|_| DecodeError::Field { offset, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Category, Label, Millis};

    fn claim() -> Claim {
        Claim {
            patient: PatientIndex::new(77).unwrap(),
            kind: ClaimKind::BreakGlass,
            individual: Word::from_u64(1),
            organisation: Word::from_u64(2),
            care_team: Word::ZERO,
            source: Party::Any,
            categories: Category::Ecg.only(),
            purpose: Purpose::EmergencyTreatment,
            labels: Label::Normal.only(),
            receipt: Interval::instant(Millis::new(10).unwrap()),
            measured: Interval::ALWAYS,
            position: Position(5),
            digest: Digest([7; 31]),
        }
    }

    #[test]
    fn bytes_round_trip_and_every_truncation_is_refused() {
        let bytes = claim().to_bytes();
        assert_eq!(bytes.len(), Claim::BYTES);
        assert_eq!(Claim::from_bytes(&bytes), Ok(claim()));
        for len in 0..bytes.len() {
            assert!(Claim::from_bytes(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn an_unnamed_purpose_and_an_empty_source_are_refused() {
        let mut bytes = claim().to_bytes();
        bytes[1 + 4 + 1 + 128 + 4] = 15;
        assert!(Claim::from_bytes(&bytes).is_err());
        let mut bytes = claim().to_bytes();
        bytes[6 + 96..6 + 128].fill(0);
        assert!(Claim::from_bytes(&bytes).is_err());
    }
}
