//! The consent record of one patient: one leaf of the tree (SPEC.md section 4).

use thiserror::Error;

use crate::layout::{DENY_SLOTS, PERMIT_SLOTS, POLICY_SLOTS, SLOTS};
use crate::{DecodeError, Millis, Reader, Rule, Word};

/// One of the fourteen rule slots of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum RuleSlot {
    /// Permit 0 to 7.
    Permit(u8),
    /// Deny 0 to 3.
    Deny(u8),
    /// Break-glass policy 0 or 1.
    Policy(u8),
}

/// A slot number that no record has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a rule slot below {limit}, found {found}")]
pub struct SlotError {
    /// First number that does not exist.
    pub limit: u8,
    /// Number found.
    pub found: u8,
}

impl RuleSlot {
    /// Slots of a record: 8 permits, then 4 denies, then 2 policies ([`crate::layout`]).
    pub const COUNT: usize = SLOTS;

    /// The slot's number among all of a record, 0 to 13.
    pub const fn number(self) -> u8 {
        match self {
            RuleSlot::Permit(i) => PERMIT_SLOTS.start as u8 + i,
            RuleSlot::Deny(i) => DENY_SLOTS.start as u8 + i,
            RuleSlot::Policy(i) => POLICY_SLOTS.start as u8 + i,
        }
    }

    /// The slot with this number.
    ///
    /// # Errors
    /// [`SlotError`] from 14 on.
    pub fn from_number(number: u8) -> Result<RuleSlot, SlotError> {
        let slot = usize::from(number);
        let after = |slots: std::ops::Range<usize>| number - slots.start as u8;
        match slot {
            // By the ranges of the layout, so that no second table can differ from it.
            _ if PERMIT_SLOTS.contains(&slot) => Ok(RuleSlot::Permit(after(PERMIT_SLOTS))),
            _ if DENY_SLOTS.contains(&slot) => Ok(RuleSlot::Deny(after(DENY_SLOTS))),
            _ if POLICY_SLOTS.contains(&slot) => Ok(RuleSlot::Policy(after(POLICY_SLOTS))),
            _ => Err(SlotError { limit: RuleSlot::COUNT as u8, found: number }),
        }
    }
}

/// Keys and rules of one patient.
///
/// `guardians`, `stop_authority`, `replaced_authority`, `recovery_key`, `recovery_state` and
/// `forced_at` are laid out but no circuit reads them yet: C1 constrains them to zero.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Hash of the EdDSA key that signs this patient's operations.
    pub key_hash: Word,
    /// Number of operations this record has seen since enrolment; part of every signature.
    pub nonce: u32,
    /// Hash of the guardian set; zero for none.
    pub guardians: Word,
    /// The EVM account that may post a forced stop; zero for none.
    pub stop_authority: Word,
    /// The account that `stop_authority` replaced and when; zero for none.
    pub replaced_authority: Word,
    /// Key proposed by guardians; zero for none.
    pub recovery_key: Word,
    /// Approvals and start of a recovery; zero for none.
    pub recovery_state: Word,
    /// When a forced stop took effect; zero for never.
    pub forced_at: Millis,
    /// Blinds the leaf.
    pub salt: Word,
    /// Opens this patient's claims: known to the patient and the operator.
    pub view_key: Word,
    /// When the record was stopped; [`Millis::UNBOUNDED_FUTURE`] while it is open.
    pub closed_at: Millis,
    /// Permits, denies and policies by slot number.
    pub rules: [Option<Rule>; RuleSlot::COUNT],
}

impl Record {
    /// A pending record: it permits nothing until its key's first operation writes a rule.
    pub fn enrolled(key_hash: Word, view_key: Word, salt: Word) -> Record {
        Record {
            key_hash,
            nonce: 0,
            guardians: Word::ZERO,
            stop_authority: Word::ZERO,
            replaced_authority: Word::ZERO,
            recovery_key: Word::ZERO,
            recovery_state: Word::ZERO,
            // Zero like the other words that no statement reads yet (C1.23).
            forced_at: Millis::UNBOUNDED_PAST,
            salt,
            view_key,
            closed_at: Millis::UNBOUNDED_FUTURE,
            rules: [None; RuleSlot::COUNT],
        }
    }

    /// Whether no stop has closed the record.
    pub fn is_open(&self) -> bool {
        self.closed_at == Millis::UNBOUNDED_FUTURE
    }

    /// The rule in a slot.
    pub fn rule(&self, slot: RuleSlot) -> Option<&Rule> {
        self.rules[usize::from(slot.number())].as_ref()
    }

    /// Permits with their slots.
    pub fn permits(&self) -> impl Iterator<Item = (RuleSlot, &Rule)> {
        self.rules_in(PERMIT_SLOTS)
    }

    /// Denies with their slots.
    pub fn denies(&self) -> impl Iterator<Item = (RuleSlot, &Rule)> {
        self.rules_in(DENY_SLOTS)
    }

    /// Break-glass policies with their slots.
    pub fn policies(&self) -> impl Iterator<Item = (RuleSlot, &Rule)> {
        self.rules_in(POLICY_SLOTS)
    }

    /// Length of the canonical encoding.
    pub const BYTES: usize = 1 + 8 * 32 + 4 + 2 * 8 + RuleSlot::COUNT * 96;

    /// Canonical bytes, big-endian: version 1, key hash, nonce u32, guardians, stop_authority,
    /// replaced_authority, recovery_key, recovery_state, forced_at u64, salt, view key, closed_at
    /// u64, then three words for each slot.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Record::BYTES);
        bytes.push(1);
        bytes.extend(self.key_hash.to_bytes());
        bytes.extend(self.nonce.to_be_bytes());
        // Written although they are zero, so that recovery and forced stops need no other format.
        let reserved = [self.guardians, self.stop_authority, self.replaced_authority];
        for word in reserved.into_iter().chain([self.recovery_key, self.recovery_state]) {
            bytes.extend(word.to_bytes());
        }
        bytes.extend(self.forced_at.get().to_be_bytes());
        bytes.extend(self.salt.to_bytes());
        bytes.extend(self.view_key.to_bytes());
        bytes.extend(self.closed_at.get().to_be_bytes());
        // Empty slots too: a record has one length, and its size shows nothing of its rules.
        for rule in &self.rules {
            for word in rule.map_or([Word::ZERO; 3], |rule| rule.words()) {
                bytes.extend(word.to_bytes());
            }
        }
        bytes
    }

    /// Reads one record from a longer byte string.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Record, DecodeError> {
        reader.map("record version 1", Reader::u8, |version| (version == 1).then_some(()))?;
        let mut record = Record {
            key_hash: reader.word()?,
            nonce: reader.u32()?,
            guardians: reader.word()?,
            stop_authority: reader.word()?,
            replaced_authority: reader.word()?,
            recovery_key: reader.word()?,
            recovery_state: reader.word()?,
            forced_at: reader.millis()?,
            salt: reader.word()?,
            view_key: reader.word()?,
            closed_at: reader.millis()?,
            rules: [None; RuleSlot::COUNT],
        };
        for slot in &mut record.rules {
            let words = |r: &mut Reader<'_>| Ok([r.word()?, r.word()?, r.word()?]);
            *slot = reader.map("a rule", words, |words| Rule::from_words(words).ok())?;
        }
        Ok(record)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<Record, DecodeError> {
        let mut reader = Reader::new(bytes);
        let record = Record::read(&mut reader)?;
        reader.finish()?;
        Ok(record)
    }

    fn rules_in(&self, slots: std::ops::Range<usize>) -> impl Iterator<Item = (RuleSlot, &Rule)> {
        slots.filter_map(|n| {
            // Never an error: the layout's ranges hold numbers of slots only.
            let slot = RuleSlot::from_number(n as u8).ok()?;
            self.rules[n].as_ref().map(|rule| (slot, rule))
        })
    }
}

/// Prints counts only: the rules of a patient are the patient's.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules = self.rules.iter().flatten().count();
        write!(f, "Record {{ nonce: {}, rules: {rules}, open: {} }}", self.nonce, self.is_open())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_number_through_and_round_trip() {
        for n in 0..RuleSlot::COUNT as u8 {
            assert_eq!(RuleSlot::from_number(n).map(RuleSlot::number), Ok(n));
        }
        assert_eq!(RuleSlot::from_number(14), Err(SlotError { limit: 14, found: 14 }));
    }

    #[test]
    fn record_bytes_round_trip_and_every_truncation_is_refused() {
        let record = Record::enrolled(Word::from_u64(1), Word::from_u64(2), Word::from_u64(3));
        let bytes = record.to_bytes();
        assert_eq!(bytes.len(), Record::BYTES);
        assert_eq!(Record::from_bytes(&bytes), Ok(record));
        assert!((0..bytes.len()).all(|len| Record::from_bytes(&bytes[..len]).is_err()));
    }

    #[test]
    fn an_enrolled_record_holds_no_rule() {
        let record = Record::enrolled(Word::from_u64(1), Word::from_u64(2), Word::from_u64(3));
        assert!(record.is_open());
        assert_eq!(record.permits().count() + record.denies().count(), 0);
        assert_eq!(format!("{record:?}"), "Record { nonce: 0, rules: 0, open: true }");
    }
}
