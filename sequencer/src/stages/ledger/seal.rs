//! Enrolments in the journal are sealed: they hold the patient's view key.
//!
//! XChaCha20-Poly1305 under a key that is derived from `keys/journal.key`, which stands outside the
//! journal: whoever has a copy of the journal alone opens no patient's claims. The nonce is a keyed
//! hash of what is sealed and for whom, so nothing is drawn here, a journal that is written again
//! after a restore seals the same bytes, and two different enrolments never share a nonce.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use thiserror::Error;
use wire::{Holder, SealedOperation, SignedOperation};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;

/// Seals and opens the enrolments of one journal.
#[derive(Clone)]
pub struct EnrolmentSeal(Arc<Keys>);

/// One for each use, so that none says anything of the other.
struct Keys {
    cipher: Zeroizing<[u8; 32]>,
    nonce: Zeroizing<[u8; 32]>,
    state_cipher: Zeroizing<[u8; 32]>,
    state_nonce: Zeroizing<[u8; 32]>,
}

/// Hides both keys.
impl fmt::Debug for EnrolmentSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentSeal(..)")
    }
}

/// A sealed enrolment that does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SealError {
    /// Under this key, or for this holder.
    #[error(
        "expected a sealed enrolment that opens with keys/journal.key of this journal; put the \
         copy of the right key back"
    )]
    Key,
    /// It opens to another operation than the entry names.
    #[error("expected the sealed enrolment to be the one that its entry names")]
    Digest,
}

impl EnrolmentSeal {
    /// The seal under the secret of `keys/journal.key`.
    pub fn new(secret: &[u8; 32]) -> EnrolmentSeal {
        let derive = |context: &str| Zeroizing::new(blake3::derive_key(context, secret));
        EnrolmentSeal(Arc::new(Keys {
            cipher: derive("vitals journal 2026 enrolment key v2"),
            nonce: derive("vitals journal 2026 enrolment nonce v2"),
            state_cipher: derive("vitals journal 2026 snapshot key v1"),
            state_nonce: derive("vitals journal 2026 snapshot nonce v1"),
        }))
    }

    /// Seals a whole state: it holds every patient's view key. `head` is what stands before it in
    /// the clear, and can be changed by nobody then.
    pub fn seal_state(&self, state: &[u8], head: &[u8]) -> Vec<u8> {
        let mut hash = blake3::Hasher::new_keyed(&self.0.state_nonce);
        // The length first, so that no two pairs give the same bytes.
        hash.update(&(head.len() as u64).to_be_bytes()).update(head).update(state);
        let mut nonce = [0; NONCE_BYTES];
        hash.finalize_xof().fill(&mut nonce);
        let cipher = XChaCha20Poly1305::new(&Key::from(*self.0.state_cipher));
        let payload = Payload { msg: state, aad: head };
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("XChaCha20-Poly1305 seals any plaintext below 256 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// Opens a state that was sealed behind this head.
    ///
    /// # Errors
    /// [`SealError::Key`] for another key or head, or a changed byte.
    pub fn open_state(&self, sealed: &[u8], head: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Key)?;
        let cipher = XChaCha20Poly1305::new(&Key::from(*self.0.state_cipher));
        let payload = Payload { msg: body, aad: head };
        cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Key)
    }

    /// Seals an operation for whom it was submitted by.
    pub fn seal(&self, operation: &SignedOperation, requester: Holder) -> SealedOperation {
        let nonce = self.nonce(operation.as_bytes(), requester);
        let sealed = self.cipher().encrypt(
            &XNonce::from(nonce),
            Payload { msg: operation.as_bytes(), aad: &requester.0 },
        );
        let sealed = sealed.expect("XChaCha20-Poly1305 seals any plaintext below 256 GiB");
        let bytes = [&nonce[..], &sealed].concat();
        SealedOperation::new(operation.digest(), bytes).expect("longer by nonce and tag alone")
    }

    /// Opens what was sealed for this holder.
    ///
    /// # Errors
    /// [`SealError`] for another key, holder, operation, or a changed byte.
    pub fn open(
        &self,
        sealed: &SealedOperation,
        requester: Holder,
    ) -> Result<SignedOperation, SealError> {
        let parts = sealed.as_bytes().split_first_chunk::<NONCE_BYTES>();
        let (nonce, body) = parts.ok_or(SealError::Key)?;
        let payload = Payload { msg: body, aad: &requester.0 };
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), payload);
        let plain = plain.map_err(|_| SealError::Key)?;
        let operation = SignedOperation::new(plain).map_err(|_| SealError::Key)?;
        // Receipts are built from the digest beside the seal, which the seal does not cover.
        if operation.digest() == sealed.digest() { Ok(operation) } else { Err(SealError::Digest) }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0.cipher))
    }

    /// The holder has a fixed length, so no two pairs give the same bytes.
    fn nonce(&self, plain: &[u8], requester: Holder) -> [u8; NONCE_BYTES] {
        let mut hash = blake3::Hasher::new_keyed(&self.0.nonce);
        hash.update(&requester.0).update(plain);
        let mut nonce = [0; NONCE_BYTES];
        hash.finalize_xof().fill(&mut nonce);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Role;

    fn operation(fill: u8) -> SignedOperation {
        SignedOperation::new(vec![fill; 219]).unwrap()
    }

    fn holder(name: &str) -> Holder {
        Holder::new(Role::Operator, name)
    }

    #[test]
    fn a_sealed_operation_opens_for_its_key_and_holder_alone() {
        let seal = EnrolmentSeal::new(&[1; 32]);
        let sealed = seal.seal(&operation(7), holder("a"));
        assert_eq!(sealed, seal.seal(&operation(7), holder("a")), "nothing is drawn");
        assert_eq!(seal.open(&sealed, holder("a")), Ok(operation(7)));
        assert_eq!(seal.open(&sealed, holder("b")), Err(SealError::Key));
        let other = EnrolmentSeal::new(&[2; 32]);
        assert_eq!(other.open(&sealed, holder("a")), Err(SealError::Key));
        assert_ne!(sealed, seal.seal(&operation(8), holder("a")));
        assert_ne!(sealed.as_bytes()[..24], seal.seal(&operation(7), holder("b")).as_bytes()[..24]);
    }

    #[test]
    fn every_changed_byte_and_another_digest_are_refused() {
        let seal = EnrolmentSeal::new(&[1; 32]);
        let sealed = seal.seal(&operation(7), holder("a"));
        for at in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            let changed = SealedOperation::new(sealed.digest(), bytes).unwrap();
            assert_eq!(seal.open(&changed, holder("a")), Err(SealError::Key), "byte {at}");
        }
        let short = SealedOperation::new(sealed.digest(), vec![1; 10]).unwrap();
        assert_eq!(seal.open(&short, holder("a")), Err(SealError::Key));
        let named = operation(8).digest();
        let renamed = SealedOperation::new(named, sealed.as_bytes().clone()).unwrap();
        assert_eq!(seal.open(&renamed, holder("a")), Err(SealError::Digest));
    }

    #[test]
    fn a_state_opens_behind_its_own_head_and_under_its_own_key_alone() {
        let seal = EnrolmentSeal::new(&[1; 32]);
        let sealed = seal.seal_state(b"all of it", b"head");
        assert_eq!(sealed, seal.seal_state(b"all of it", b"head"), "nothing is drawn");
        assert_ne!(sealed[..24], seal.seal_state(b"all of i", b"headt")[..24]);
        assert_eq!(seal.open_state(&sealed, b"head").unwrap(), b"all of it");
        assert_eq!(seal.open_state(&sealed, b"heed"), Err(SealError::Key));
        assert_eq!(EnrolmentSeal::new(&[2; 32]).open_state(&sealed, b"head"), Err(SealError::Key));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open_state(&changed, b"head"), Err(SealError::Key), "byte {at}");
        }
        assert_eq!(seal.open_state(&sealed[..10], b"head"), Err(SealError::Key));
    }

    #[test]
    fn debug_output_shows_no_key() {
        let shown = format!("{:?}", EnrolmentSeal::new(&[0x5a; 32]));
        assert_eq!(shown, "EnrolmentSeal(..)");
    }
}
