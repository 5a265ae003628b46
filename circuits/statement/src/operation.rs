//! What is signed of an operation, and the operation as a leaf of its batch (SPEC.md section 5).

use crate::babyjubjub::PointError;
use crate::domain::Domain;
use crate::eddsa::{self, PublicKey, SecretKey, Signature, SignatureError};
use crate::{claim, field, poseidon};
use ark_bn254::Fr;
use model::{Millis, Operation, OperationError, Word};

/// First bit of each part of the head; the kind begins at bit 0.
pub const HEAD_SLOT: u32 = 4;
/// First bit of `signed_at` in the head.
pub const HEAD_SIGNED_AT: u32 = 8;
/// First bit of `valid_until` in the head: 48 bits above `signed_at`, so that two times of 44 bits
/// never touch.
pub const HEAD_VALID_UNTIL: u32 = 56;

/// The hash of the three argument words; of a write or a revocation, the hash of its rule.
pub fn argument(words: &[Word; 3]) -> Fr {
    poseidon::hash(Domain::Rule.tag(), &words.map(|word| field::from_word(&word)))
}

/// Kind, slot, `signed_at` and `valid_until` in one word of 100 bits.
pub fn head(operation: &Operation) -> Fr {
    let head = u128::from(operation.kind().number())
        + (u128::from(operation.slot_number()) << HEAD_SLOT)
        + (u128::from(operation.signed_at.get()) << HEAD_SIGNED_AT)
        + (u128::from(operation.valid_until.get()) << HEAD_VALID_UNTIL);
    field::from_u128(head)
}

/// What the patient or the registrar signs.
pub fn message(sig_domain: Fr, operation: &Operation) -> Fr {
    // The argument as one hash, so that the message has five words whatever the operation is.
    let parts = [
        sig_domain,
        Fr::from(operation.patient.get()),
        Fr::from(operation.nonce),
        head(operation),
        argument(&operation.argument_words()),
    ];
    poseidon::hash(Domain::Operation.tag(), &parts)
}

/// The leaf that commits to an operation and to when it took effect.
pub fn leaf(message: Fr, t_op: Millis, salt: Fr) -> Fr {
    let parts = [message, Fr::from(t_op.get()), salt];
    poseidon::hash(Domain::OperationLeaf.tag(), &parts)
}

/// The salt of the operation in `row` of a batch with this `root_out`; `domain` is that of C1. The
/// view key is that of the record after the operation, so that whoever holds it finds the patient's
/// operations and nobody else can.
pub fn salt(view_key: &Word, domain: Fr, root_out: Fr, row: u32) -> Fr {
    // Beyond every leaf of claims: the domain tells the two apart already, the number does so for
    // whoever reads salts alone.
    claim::salt(view_key, domain, root_out, (1u64 << 32) + u64::from(row))
}

/// An operation with its signature, as it travels from a wallet.
///
/// The signer's key stands beside it because a record holds only the hash of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOperation {
    /// What is signed.
    pub operation: Operation,
    /// Who says to have signed it.
    pub signer: PublicKey,
    /// The signature of [`message`].
    pub signature: Signature,
}

/// Bytes that are no signed operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedOperationError {
    /// The encoding has another length.
    #[error("expected {expected} bytes of signed operation, found {found}")]
    Length {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The operation is malformed.
    #[error("the operation is malformed")]
    Operation(#[from] OperationError),
    /// The key is no point of the prime-order subgroup (C1.27).
    #[error("the signer's key is malformed")]
    Signer(#[from] PointError),
    /// The signature is malformed.
    #[error("the signature is malformed")]
    Signature(#[from] SignatureError),
}

impl SignedOperation {
    /// Length of the canonical bytes.
    pub const BYTES: usize = Operation::BYTES + 32 + 64;

    /// Signs `operation` for the contract that `sig_domain` stands for.
    pub fn sign(operation: Operation, sig_domain: Fr, key: &SecretKey) -> SignedOperation {
        let signature = eddsa::sign(key, message(sig_domain, &operation));
        SignedOperation { operation, signer: key.public(), signature }
    }

    /// Whether the signature is the signer's for this operation and this contract.
    pub fn verify(&self, sig_domain: Fr) -> bool {
        eddsa::verify(&self.signer, message(sig_domain, &self.operation), &self.signature)
    }

    /// Canonical bytes: the operation's, the packed key, the packed signature.
    pub fn to_bytes(&self) -> [u8; SignedOperation::BYTES] {
        let mut bytes = [0; SignedOperation::BYTES];
        let (operation, rest) = bytes.split_at_mut(Operation::BYTES);
        operation.copy_from_slice(&self.operation.to_bytes());
        rest[..32].copy_from_slice(&self.signer.encode());
        rest[32..].copy_from_slice(&self.signature.encode());
        bytes
    }

    /// Reads canonical bytes. That they decode does not say that the signature verifies.
    ///
    /// # Errors
    /// [`SignedOperationError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<SignedOperation, SignedOperationError> {
        if bytes.len() != SignedOperation::BYTES {
            let (expected, found) = (SignedOperation::BYTES, bytes.len());
            return Err(SignedOperationError::Length { expected, found });
        }
        let (operation, rest) = bytes.split_at(Operation::BYTES);
        let (mut signer, mut signature) = ([0; 32], [0; 64]);
        signer.copy_from_slice(&rest[..32]);
        signature.copy_from_slice(&rest[32..]);
        Ok(SignedOperation {
            // Decoding is where the key's subgroup (C1.27) and the range of S are checked: no later
            // step would meet a bad one.
            operation: Operation::from_bytes(operation)?,
            signer: PublicKey::decode(&signer)?,
            signature: Signature::decode(&signature)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, cases, element, millis, number, operations, word};
    use model::{Action, PatientIndex, Rule, RuleSlot};
    use serde_json::Value;

    fn operation() -> Operation {
        Operation {
            patient: PatientIndex::new(12).expect("in range"),
            nonce: 3,
            signed_at: Millis::new(100).expect("in range"),
            valid_until: Millis::new(900).expect("in range"),
            action: Action::Stop,
        }
    }

    fn key() -> SecretKey {
        SecretKey::from_bytes(&[7; 32])
    }

    /// The operation of a case of the vector file.
    fn read(case: &Value) -> Operation {
        let words: [Word; 3] = std::array::from_fn(|place| word(&case["words"][place]));
        let slot = RuleSlot::from_number(number(&case["slot"]) as u8).expect("a slot");
        let rule = || Rule::from_words(words).expect("a rule").expect("not empty");
        let action = match number(&case["kind"]) {
            1 => Action::Enrol { key_hash: words[0], view_key: words[1], salt: words[2] },
            5 => Action::Revoke { slot, rule: rule() },
            6 => Action::Stop,
            _ => Action::Write { slot, rule: rule() },
        };
        Operation {
            patient: PatientIndex::new(number(&case["index"]) as u32).expect("24 bits"),
            nonce: number(&case["nonce"]) as u32,
            signed_at: millis(&case["signed_at"]),
            valid_until: millis(&case["valid_until"]),
            action,
        }
    }

    #[test]
    fn operations_of_a_javascript_wallet_are_read_hashed_and_verified_alike() {
        let vectors = operations();
        let sig_domain = element(&vectors["sig_domain"]);
        for case in cases(&vectors["operations"]) {
            let operation = read(case);
            assert_eq!(head(&operation), element(&case["head"]));
            assert_eq!(argument(&operation.argument_words()), element(&case["argument"]));
            let message = message(sig_domain, &operation);
            assert_eq!(message, element(&case["message"]));
            let leaf = leaf(message, millis(&vectors["t_op"]), element(&vectors["salt"]));
            assert_eq!(leaf, element(&case["leaf"]));
            let travelled = [
                operation.to_bytes().to_vec(),
                bytes::<32>(&case["signer"]).to_vec(),
                bytes::<64>(&case["signature"]).to_vec(),
            ];
            let signed = SignedOperation::from_bytes(&travelled.concat()).expect("canonical");
            assert!(signed.operation == operation && signed.verify(sig_domain));
        }
    }

    #[test]
    fn the_head_holds_kind_slot_and_times_in_their_bits() {
        let expected = 6 + (100 << 8) + (900u128 << 56);
        assert_eq!(head(&operation()), field::from_u128(expected));
    }

    #[test]
    fn a_signature_holds_for_one_contract_and_one_operation() {
        let scope = Fr::from(5u8);
        let signed = SignedOperation::sign(operation(), scope, &key());
        assert!(signed.verify(scope));
        assert!(!signed.verify(Fr::from(6u8)));
        let later = Operation { nonce: 4, ..operation() };
        assert!(!SignedOperation { operation: later, ..signed }.verify(scope));
    }

    #[test]
    fn bytes_come_back_and_every_malformed_part_is_named() {
        let signed = SignedOperation::sign(operation(), Fr::from(5u8), &key());
        let bytes = signed.to_bytes();
        assert_eq!(SignedOperation::from_bytes(&bytes), Ok(signed));
        let changed = |at: usize, byte: u8| {
            let mut bytes = bytes;
            bytes[at] = byte;
            SignedOperation::from_bytes(&bytes).expect_err("malformed")
        };
        assert!(matches!(changed(0, 2), SignedOperationError::Operation(_)));
        let (key_end, end) = (Operation::BYTES + 31, SignedOperation::BYTES - 1);
        assert!(matches!(changed(key_end, 0xff), SignedOperationError::Signer(_)));
        assert!(matches!(changed(end, 0xff), SignedOperationError::Signature(_)));
        let short = SignedOperation::from_bytes(&bytes[1..]);
        let (expected, found) = (SignedOperation::BYTES, SignedOperation::BYTES - 1);
        assert_eq!(short, Err(SignedOperationError::Length { expected, found }));
    }
}
