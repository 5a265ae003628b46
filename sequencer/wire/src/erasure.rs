//! A patient's signed request to erase their readings (docs/wire.md section 5).
//!
//! The bytes are what everybody relies on who says *erased*: the node before it destroys keys, and
//! an auditor who finds no readings. Each of them checks [`SignedErasure::first_difference`].

use std::fmt;

use model::{ChainScope, Digest, Millis, PatientIndex, Word};

use crate::DecodeError;
use crate::asked::Verifies;
use crate::codec::{Reader, Writer};
use crate::hash::digest31;
use crate::limits::ERASURE_VALIDITY_MS_MAX;

/// What a patient signs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErasureRequest {
    /// Which settlement contract on which chain.
    pub scope: ChainScope,
    /// Whose readings.
    pub patient: PatientIndex,
    /// Operations that the record has seen, the stop included. A stopped record takes no further
    /// one, so that a request that was signed before the stop is of another number.
    pub nonce: u32,
    /// When it was signed.
    pub requested_at: Millis,
    /// First instant at which it may no longer be carried out.
    pub valid_until: Millis,
}

/// Hides whose it is.
impl fmt::Debug for ErasureRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErasureRequest {{ requested_at: {:?} }}", self.requested_at)
    }
}

impl ErasureRequest {
    /// Version byte of the canonical bytes.
    pub const VERSION: u8 = 1;
    /// Length of the canonical bytes.
    pub const BYTES: usize = 1 + 8 + 20 + 4 + 4 + 8 + 8;

    /// What the patient's EdDSA key signs, as a field element: blake3 of the canonical bytes under
    /// "vitals erasure request v1", cut to 31 bytes. An operation is signed as a Poseidon hash, so
    /// that no signature of the one is one of the other.
    ///
    /// # Errors
    /// As [`ErasureRequest::to_bytes`].
    pub fn signing_hash(&self) -> Result<Digest, DecodeError> {
        Ok(digest31("vitals erasure request v1", &self.to_bytes()?))
    }

    /// Canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError::Field`] unless it is valid for 1 ms to [`ERASURE_VALIDITY_MS_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, DecodeError> {
        // Before a byte is written: what somebody signs must also be readable.
        self.check()?;
        let mut to = Writer::default();
        to.u8(ErasureRequest::VERSION);
        to.u64(self.scope.chain_id);
        to.raw(&self.scope.contract);
        to.patient(self.patient);
        to.u32(self.nonce);
        to.millis(self.requested_at);
        to.millis(self.valid_until);
        Ok(to.0)
    }

    fn read(from: &mut Reader<'_>) -> Result<ErasureRequest, DecodeError> {
        from.version(ErasureRequest::VERSION)?;
        let request = ErasureRequest {
            scope: ChainScope { chain_id: from.u64()?, contract: from.array()? },
            patient: from.patient()?,
            nonce: from.u32()?,
            requested_at: from.millis("requested_at")?,
            valid_until: from.millis("valid_until")?,
        };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let valid_ms = self.valid_until.since(self.requested_at);
        // It cannot be taken back, so it is not good for ever.
        if (1..=ERASURE_VALIDITY_MS_MAX).contains(&valid_ms) {
            return Ok(());
        }
        let why = format!("expected a validity of 1 to {ERASURE_VALIDITY_MS_MAX} ms");
        Err(DecodeError::field("erasure request", why))
    }
}

/// Who must have signed a request, and what for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErasureOf {
    /// The deployment.
    pub scope: ChainScope,
    /// Whose readings are erased, or are not to be found.
    pub patient: PatientIndex,
    /// Hash of the key in their record.
    pub key_hash: Word,
    /// Operations that their record has seen.
    pub nonce: u32,
}

/// What of keys and signatures this crate does without.
#[derive(Clone, Copy)]
pub struct KeyChecks {
    /// `statement::eddsa::verify_bytes`.
    pub verifies: Verifies,
    /// `statement::eddsa::hash_bytes`: the word by which a record names a key; none of what is no
    /// key.
    pub hash: fn(&[u8; 32]) -> Option<Word>,
}

/// A request with the patient's key and signature, neither of them checked here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignedErasure {
    /// What is signed.
    pub request: ErasureRequest,
    /// The patient's public key, compressed; must be the one that their record names.
    pub public_key: [u8; 32],
    /// EdDSA over [`ErasureRequest::signing_hash`].
    pub signature: [u8; 64],
}

impl fmt::Debug for SignedErasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedErasure {{ {:?} }}", self.request)
    }
}

impl SignedErasure {
    /// Length of the canonical bytes.
    pub const BYTES: usize = ErasureRequest::BYTES + 32 + 64;

    /// Canonical bytes: request, public key, signature.
    ///
    /// # Errors
    /// As [`ErasureRequest::to_bytes`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = self.request.to_bytes()?;
        bytes.extend(self.public_key);
        bytes.extend(self.signature);
        Ok(bytes)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<SignedErasure, DecodeError> {
        let mut from = Reader::new("signed erasure request", bytes);
        let request = ErasureRequest::read(&mut from)?;
        let signed = SignedErasure { request, public_key: from.array()?, signature: from.array()? };
        from.finish()?;
        Ok(signed)
    }

    /// Names the signed request: what the receipt of its entry states.
    ///
    /// # Errors
    /// As [`ErasureRequest::to_bytes`].
    pub fn digest(&self) -> Result<Digest, DecodeError> {
        Ok(digest31("vitals signed erasure request v1", &self.to_bytes()?))
    }

    /// What it says otherwise than a request of this patient would: another deployment, patient,
    /// number of operations or key, or no signature of that key; `None` if it is theirs. Whether it
    /// is valid now, or was when it was carried out, is another question.
    pub fn first_difference(&self, of: &ErasureOf, checks: KeyChecks) -> Option<&'static str> {
        let request = &self.request;
        let parts = [
            ("deployment", request.scope == of.scope),
            ("patient", request.patient == of.patient),
            ("number of operations", request.nonce == of.nonce),
            ("key", (checks.hash)(&self.public_key) == Some(of.key_hash)),
        ];
        let difference = parts.into_iter().find(|(_, same)| !same).map(|(part, _)| part);
        // Last: it costs more than all the rest.
        difference.or_else(|| (!self.is_signed(checks.verifies)).then_some("signature"))
    }

    /// Whether the key in it signed it.
    pub fn is_signed(&self, verifies: Verifies) -> bool {
        let hash = self.request.signing_hash();
        hash.is_ok_and(|hash| verifies(&self.public_key, hash.word(), &self.signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ErasureRequest {
        let at = Millis::from_unix_ms(1_777_624_200_000);
        ErasureRequest {
            scope: ChainScope { chain_id: 5, contract: [1; 20] },
            patient: PatientIndex::new(7).unwrap(),
            nonce: 3,
            requested_at: at,
            valid_until: at.plus(60_000),
        }
    }

    fn signed() -> SignedErasure {
        SignedErasure { request: request(), public_key: [2; 32], signature: [3; 64] }
    }

    fn of() -> ErasureOf {
        let ErasureRequest { scope, patient, nonce, .. } = request();
        ErasureOf { scope, patient, key_hash: Word::ZERO, nonce }
    }

    const CHECKS: KeyChecks = KeyChecks {
        verifies: |key, _, signature| key == &[2; 32] && signature == &[3; 64],
        hash: |key| (key == &[2; 32]).then_some(Word::ZERO),
    };

    #[test]
    fn bytes_come_back_and_no_other_ones_are_read() {
        let bytes = signed().to_bytes().unwrap();
        assert_eq!(bytes.len(), SignedErasure::BYTES);
        assert_eq!(SignedErasure::from_bytes(&bytes).unwrap(), signed());
        for end in 0..bytes.len() {
            assert!(SignedErasure::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(SignedErasure::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        let mut other = bytes;
        other[0] = 2;
        assert!(SignedErasure::from_bytes(&other).is_err(), "another version");
    }

    #[test]
    fn a_request_is_good_for_a_month_at_most() {
        let with = |valid_ms: u64| {
            let valid_until = request().requested_at.plus(valid_ms);
            ErasureRequest { valid_until, ..request() }.to_bytes()
        };
        assert!(with(1).is_ok() && with(ERASURE_VALIDITY_MS_MAX).is_ok());
        assert!(with(0).is_err() && with(ERASURE_VALIDITY_MS_MAX + 1).is_err());
    }

    #[test]
    fn whatever_is_of_another_is_named() {
        assert_eq!(signed().first_difference(&of(), CHECKS), None);
        let other_chain = ChainScope { chain_id: 6, ..of().scope };
        let other_patient = PatientIndex::new(8).unwrap();
        let forged = SignedErasure { signature: [4; 64], ..signed() };
        let other_key = SignedErasure { public_key: [4; 32], ..signed() };
        for (part, request, of) in [
            ("deployment", signed(), ErasureOf { scope: other_chain, ..of() }),
            ("patient", signed(), ErasureOf { patient: other_patient, ..of() }),
            ("number of operations", signed(), ErasureOf { nonce: 4, ..of() }),
            ("key", other_key, of()),
            ("signature", forged, of()),
        ] {
            assert_eq!(request.first_difference(&of, CHECKS), Some(part));
        }
    }

    #[test]
    fn every_field_is_in_what_is_signed() {
        let mut hashes = vec![request()];
        hashes
            .push(ErasureRequest { scope: ChainScope { chain_id: 6, ..of().scope }, ..request() });
        hashes.push(ErasureRequest { patient: PatientIndex::new(8).unwrap(), ..request() });
        hashes.push(ErasureRequest { nonce: 4, ..request() });
        let later = request().requested_at.plus(1);
        hashes.push(ErasureRequest { requested_at: later, ..request() });
        hashes.push(ErasureRequest { valid_until: request().valid_until.plus(1), ..request() });
        let hashes = hashes.iter().map(|one| one.signing_hash().unwrap().0);
        let hashes: std::collections::BTreeSet<_> = hashes.collect();
        assert_eq!(hashes.len(), 6);
    }
}
