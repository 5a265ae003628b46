//! A signed change of one record (SPEC.md section 5).

use thiserror::Error;

use crate::{Millis, PatientIndex, Rule, RuleError, RuleSlot, SlotError, Word};

/// What kind of change; the number is the circuit's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum OperationKind {
    /// The registrar makes a pending record.
    Enrol = 1,
    /// The patient writes a permit.
    Permit = 2,
    /// The patient writes a deny.
    Deny = 3,
    /// The patient writes a break-glass policy.
    Policy = 4,
    /// The patient ends a rule now.
    Revoke = 5,
    /// The patient closes the whole record now.
    Stop = 6,
}

impl OperationKind {
    /// Every kind, in number order.
    pub const ALL: [OperationKind; 6] = [
        OperationKind::Enrol,
        OperationKind::Permit,
        OperationKind::Deny,
        OperationKind::Policy,
        OperationKind::Revoke,
        OperationKind::Stop,
    ];

    /// The kind's number in messages and circuit; 0 is a padding row.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What an operation does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Makes a pending record; signed by the registrar.
    Enrol {
        /// Hash of the patient's key.
        key_hash: Word,
        /// The patient's view key.
        view_key: Word,
        /// Blinding salt of the record.
        salt: Word,
    },
    /// Writes a rule into an empty or ended slot; the slot says permit, deny or policy.
    Write {
        /// Where.
        slot: RuleSlot,
        /// The rule as signed; its stored start is max(signed start, time of the operation).
        rule: Rule,
    },
    /// Ends the rule in a slot.
    Revoke {
        /// Where.
        slot: RuleSlot,
        /// The rule that must stand there, so that a reused slot cannot be hit.
        rule: Rule,
    },
    /// Closes the record.
    Stop,
}

/// An operation as its signer sees it; the signature travels beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Whose record.
    pub patient: PatientIndex,
    /// The record's nonce that this operation expects (0 for an enrolment).
    pub nonce: u32,
    /// When the signer signed: no operation takes effect before.
    pub signed_at: Millis,
    /// First instant at which the operation may no longer take effect.
    pub valid_until: Millis,
    /// What it does.
    pub action: Action,
}

/// Bytes that are no operation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OperationError {
    /// The encoding has another length.
    #[error("expected {expected} bytes of operation, found {found}")]
    Length {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// An unknown version or kind byte.
    #[error("expected operation version 1 and a kind 1 to 6, found version {version}, kind {kind}")]
    Kind {
        /// Version byte found.
        version: u8,
        /// Kind byte found.
        kind: u8,
    },
    /// The slot does not fit the kind, or a field that the kind does not use is not zero.
    #[error("expected slot and argument words that fit the operation's kind")]
    Mismatch,
    /// A field is out of range.
    #[error("a field of the operation is malformed: {0}")]
    Field(String),
}

impl Operation {
    /// Length of the canonical encoding.
    pub const BYTES: usize = 2 + 1 + 4 + 4 + 8 + 8 + 3 * 32;

    /// The operation's kind, from its action and slot.
    pub fn kind(&self) -> OperationKind {
        match &self.action {
            Action::Enrol { .. } => OperationKind::Enrol,
            Action::Write { slot: RuleSlot::Permit(_), .. } => OperationKind::Permit,
            Action::Write { slot: RuleSlot::Deny(_), .. } => OperationKind::Deny,
            Action::Write { slot: RuleSlot::Policy(_), .. } => OperationKind::Policy,
            Action::Revoke { .. } => OperationKind::Revoke,
            Action::Stop => OperationKind::Stop,
        }
    }

    /// The slot concerned; slot 0 for kinds that have none.
    pub fn slot_number(&self) -> u8 {
        match &self.action {
            Action::Write { slot, .. } | Action::Revoke { slot, .. } => slot.number(),
            Action::Enrol { .. } | Action::Stop => 0,
        }
    }

    /// The three argument words: a rule's, or key hash, view key and salt, or zeros.
    pub fn argument_words(&self) -> [Word; 3] {
        match &self.action {
            Action::Enrol { key_hash, view_key, salt } => [*key_hash, *view_key, *salt],
            // Three words for every kind, since a row of the circuit hashes three whatever it is.
            Action::Write { rule, .. } | Action::Revoke { rule, .. } => rule.words(),
            Action::Stop => [Word::ZERO; 3],
        }
    }

    /// Canonical bytes, big-endian: version 1, kind, slot, patient u32, nonce u32, signed_at u64,
    /// valid_until u64, three argument words.
    pub fn to_bytes(&self) -> [u8; Operation::BYTES] {
        let mut bytes = Vec::with_capacity(Operation::BYTES);
        // Both, although the slot of a write implies the kind: the head that is signed holds both.
        bytes.extend([1, self.kind().number(), self.slot_number()]);
        bytes.extend(self.patient.get().to_be_bytes());
        bytes.extend(self.nonce.to_be_bytes());
        bytes.extend(self.signed_at.get().to_be_bytes());
        bytes.extend(self.valid_until.get().to_be_bytes());
        for word in self.argument_words() {
            bytes.extend(word.to_bytes());
        }
        let mut fixed = [0; Operation::BYTES];
        fixed.copy_from_slice(&bytes);
        fixed
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`OperationError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<Operation, OperationError> {
        if bytes.len() != Operation::BYTES {
            let (expected, found) = (Operation::BYTES, bytes.len());
            return Err(OperationError::Length { expected, found });
        }
        let number = |from: usize, len: usize| {
            bytes[from..from + len].iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte))
        };
        let mut words = [Word::ZERO; 3];
        for (i, word) in words.iter_mut().enumerate() {
            let mut raw = [0; 32];
            raw.copy_from_slice(&bytes[27 + 32 * i..59 + 32 * i]);
            *word = Word::from_bytes(raw).map_err(field)?;
        }
        let operation = Operation {
            patient: PatientIndex::new(number(3, 4) as u32).map_err(field)?,
            nonce: number(7, 4) as u32,
            signed_at: Millis::new(number(11, 8)).map_err(field)?,
            valid_until: Millis::new(number(19, 8)).map_err(field)?,
            action: action(bytes[0], bytes[1], bytes[2], words)?,
        };
        // The kind byte must be the one the slot implies: a permit in a deny slot is no operation.
        if operation.kind().number() != bytes[1] {
            return Err(OperationError::Mismatch);
        }
        Ok(operation)
    }
}

fn field(error: impl std::fmt::Display) -> OperationError {
    OperationError::Field(error.to_string())
}

fn action(version: u8, kind: u8, slot: u8, words: [Word; 3]) -> Result<Action, OperationError> {
    let at = || RuleSlot::from_number(slot).map_err(|error: SlotError| field(error));
    let rule = || {
        let rule = Rule::from_words(words).map_err(|error: RuleError| field(error))?;
        rule.ok_or(OperationError::Mismatch)
    };
    match (version, kind, slot) {
        (1, 1, 0) => {
            let [key_hash, view_key, salt] = words;
            Ok(Action::Enrol { key_hash, view_key, salt })
        }
        // Which of the three it is follows from the slot; the caller compares.
        (1, 2..=4, _) => Ok(Action::Write { slot: at()?, rule: rule()? }),
        (1, 5, _) => Ok(Action::Revoke { slot: at()?, rule: rule()? }),
        // Nothing unsigned may travel in an operation: what a kind does not use is zero, so that
        // one operation has one encoding.
        (1, 6, 0) if words.iter().all(Word::is_zero) => Ok(Action::Stop),
        // A known kind with a slot or argument that it does not use.
        (1, 1 | 6, _) => Err(OperationError::Mismatch),
        (version, kind, _) => Err(OperationError::Kind { version, kind }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClaimKind, Party};

    fn rule() -> Rule {
        Rule::widest(Party::Named(Word::from_u64(9)), ClaimKind::Access.only())
    }

    fn operation(action: Action) -> Operation {
        Operation {
            patient: PatientIndex::new(12).unwrap(),
            nonce: 3,
            signed_at: Millis::new(100).unwrap(),
            valid_until: Millis::new(900).unwrap(),
            action,
        }
    }

    #[test]
    fn every_kind_round_trips() {
        let one = Word::from_u64(1);
        let all = [
            Action::Enrol { key_hash: one, view_key: one, salt: one },
            Action::Write { slot: RuleSlot::Permit(7), rule: rule() },
            Action::Write { slot: RuleSlot::Deny(0), rule: rule() },
            Action::Write { slot: RuleSlot::Policy(1), rule: rule() },
            Action::Revoke { slot: RuleSlot::Deny(2), rule: rule() },
            Action::Stop,
        ];
        for (action, kind) in all.into_iter().zip(OperationKind::ALL) {
            let operation = operation(action);
            assert_eq!(operation.kind(), kind);
            assert_eq!(Operation::from_bytes(&operation.to_bytes()), Ok(operation));
        }
    }

    #[test]
    fn a_permit_in_a_deny_slot_and_a_stop_with_an_argument_are_refused() {
        let slot = RuleSlot::Permit(0);
        let mut bytes = operation(Action::Write { slot, rule: rule() }).to_bytes();
        bytes[2] = 8;
        assert_eq!(Operation::from_bytes(&bytes), Err(OperationError::Mismatch));
        let mut bytes = operation(Action::Stop).to_bytes();
        bytes[Operation::BYTES - 1] = 1;
        assert_eq!(Operation::from_bytes(&bytes), Err(OperationError::Mismatch));
        assert!(Operation::from_bytes(&bytes[1..]).is_err());
    }

    #[test]
    fn an_unknown_version_or_kind_is_named() {
        let mut bytes = operation(Action::Stop).to_bytes();
        bytes[1] = 7;
        let found = Operation::from_bytes(&bytes);
        assert_eq!(found, Err(OperationError::Kind { version: 1, kind: 7 }));
    }
}
