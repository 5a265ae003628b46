//! The private file: one sealed opening for each patient that the batch concerns.
//!
//! A patient finds its opening by a label, and opens it with a key, both derived from view key,
//! batch number and patient index. Each key seals exactly one plaintext, so the nonce is constant.
//! Threat note: the file shows how many patients a batch concerns and the size of each opening,
//! nothing else.

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use model::{BatchNumber, DecodeError, PatientIndex, Reader, Word, limits};
use thiserror::Error;
use zeroize::Zeroizing;

use super::error::{FileError, section};
use super::opening::PatientOpening;

const MAGIC: &[u8; 8] = b"VTLBPRV\x01";
const WHAT: &str = "private batch file";
const LABEL_BYTES: usize = 16;

/// One patient's opening, sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedOpening {
    label: [u8; LABEL_BYTES],
    sealed: Vec<u8>,
}

/// Prints the length only.
impl std::fmt::Debug for SealedOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedOpening({} bytes)", self.sealed.len())
    }
}

/// Sealed openings of a batch, sorted by label.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PrivateFile {
    openings: Vec<SealedOpening>,
}

/// A sealed opening that does not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnsealError {
    /// The bytes were changed, or sealed under another key.
    #[error("expected an opening sealed under this view key, found bytes that do not authenticate")]
    Forged,
    /// The plaintext is malformed.
    #[error("the opening is malformed")]
    Malformed(#[from] DecodeError),
    /// The plaintext is of another batch.
    #[error("expected an opening of batch {expected}, found one of batch {found}")]
    OtherBatch {
        /// Batch asked for.
        expected: u64,
        /// Batch found.
        found: u64,
    },
}

impl PrivateFile {
    /// Seals each opening under the view key in its record.
    pub fn seal(openings: &[PatientOpening]) -> PrivateFile {
        let mut sealed: Vec<_> = openings.iter().map(seal).collect();
        // In the order of labels, which are pseudo-random: the order of patients would tell who is
        // concerned.
        sealed.sort_by_key(|opening| opening.label);
        PrivateFile { openings: sealed }
    }

    /// Number of patients concerned.
    pub fn len(&self) -> usize {
        self.openings.len()
    }

    /// Whether nobody is concerned.
    pub fn is_empty(&self) -> bool {
        self.openings.is_empty()
    }

    /// Opens what is sealed for this patient under this view key; `None` if nothing is.
    ///
    /// # Errors
    /// [`UnsealError`] if something is, but does not open.
    pub fn open(
        &self,
        view_key: Word,
        batch: BatchNumber,
        patient: PatientIndex,
    ) -> Result<Option<PatientOpening>, UnsealError> {
        let label = label(view_key, batch, patient);
        let Some(found) = self.openings.iter().find(|opening| opening.label == label) else {
            return Ok(None);
        };
        // Authenticated before it is read: the file comes from an operator who is not trusted.
        let plain = cipher(view_key, batch, patient)
            .decrypt(&Nonce::default(), found.sealed.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| UnsealError::Forged)?;
        let opening = PatientOpening::from_bytes(&plain)?;
        // Key and label depend on the batch: only who holds the view key could have sealed another
        // batch's opening here. Its claims would be looked for in the wrong file.
        if opening.batch != batch {
            let (expected, found) = (batch.0, opening.batch.0);
            return Err(UnsealError::OtherBatch { expected, found });
        }
        Ok(Some(opening))
    }

    /// Canonical bytes: magic and version, count, then label, length and sealed bytes of each.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend((self.openings.len() as u32).to_be_bytes());
        for opening in &self.openings {
            out.extend(opening.label);
            out.extend((opening.sealed.len() as u32).to_be_bytes());
            out.extend(&opening.sealed);
        }
        out
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`FileError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<PrivateFile, FileError> {
        // One limit for both files of a batch; it stands before any allocation.
        let (expected, found) = (limits::BATCH_FILE_BYTES_MAX, bytes.len());
        if found > expected {
            return Err(FileError::TooLarge { what: WHAT, expected, found });
        }
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(FileError::Magic { expected: WHAT });
        };
        read(rest).map(|openings| PrivateFile { openings }).map_err(section("openings"))
    }
}

fn read(bytes: &[u8]) -> Result<Vec<SealedOpening>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(LABEL_BYTES + 4)?;
    let mut openings = Vec::with_capacity(count);
    for _ in 0..count {
        let label = reader.array()?;
        // A count of bytes, so that it is compared with what is left before they are taken.
        let len = reader.count(1)?;
        openings.push(SealedOpening { label, sealed: reader.take(len)?.to_vec() });
    }
    reader.finish()?;
    Ok(openings)
}

fn seal(opening: &PatientOpening) -> SealedOpening {
    let view_key = opening.record.view_key;
    let plain = Zeroizing::new(opening.to_bytes());
    let sealed = cipher(view_key, opening.batch, opening.patient)
        .encrypt(&Nonce::default(), plain.as_slice())
        .expect("ChaCha20-Poly1305 seals any plaintext below 256 GiB");
    SealedOpening { label: label(view_key, opening.batch, opening.patient), sealed }
}

fn cipher(view_key: Word, batch: BatchNumber, patient: PatientIndex) -> ChaCha20Poly1305 {
    let key = Zeroizing::new(derive("vitals rollup 2026 opening key v1", view_key, batch, patient));
    ChaCha20Poly1305::new(&Key::from(*key))
}

fn label(view_key: Word, batch: BatchNumber, patient: PatientIndex) -> [u8; LABEL_BYTES] {
    let mut label = [0; LABEL_BYTES];
    // Under another context than the key: the label is published and must tell nothing of that. It
    // is only for finding, and the seal authenticates, so that 16 bytes are enough.
    let derived = derive("vitals rollup 2026 opening label v1", view_key, batch, patient);
    label.copy_from_slice(&derived[..LABEL_BYTES]);
    label
}

fn derive(context: &str, view_key: Word, batch: BatchNumber, patient: PatientIndex) -> [u8; 32] {
    // All three have fixed widths: no two patients or batches give the same material.
    let mut material = Zeroizing::new(view_key.to_bytes().to_vec());
    material.extend(batch.0.to_be_bytes());
    material.extend(patient.get().to_be_bytes());
    blake3::derive_key(context, &material)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::opening::tests::opening;

    fn file() -> PrivateFile {
        let mut other = opening();
        other.record.view_key = Word::from_u64(99);
        PrivateFile::seal(&[opening(), other])
    }

    fn patient() -> PatientIndex {
        opening().patient
    }

    #[test]
    fn two_records_under_one_view_key_are_sealed_apart() {
        let mut sibling = opening();
        sibling.patient = PatientIndex::new(4).unwrap();
        let file = PrivateFile::seal(&[opening(), sibling.clone()]);
        let key = opening().record.view_key;
        assert_eq!(file.open(key, BatchNumber(4), patient()), Ok(Some(opening())));
        assert_eq!(file.open(key, BatchNumber(4), sibling.patient), Ok(Some(sibling)));
    }

    #[test]
    fn a_patient_opens_its_own_part_and_no_other() {
        let file = PrivateFile::from_bytes(&file().to_bytes()).unwrap();
        let own = file.open(Word::from_u64(1), BatchNumber(4), patient());
        assert_eq!(own, Ok(Some(opening())));
        assert_eq!(file.open(Word::from_u64(2), BatchNumber(4), patient()), Ok(None));
        assert_eq!(file.open(Word::from_u64(1), BatchNumber(5), patient()), Ok(None));
    }

    #[test]
    fn a_changed_byte_of_a_sealed_opening_is_refused() {
        let bytes = file().to_bytes();
        let last = bytes.len() - 1;
        let mut changed = bytes.clone();
        changed[last] ^= 1;
        let file = PrivateFile::from_bytes(&changed).unwrap();
        let keys = [Word::from_u64(1), Word::from_u64(99)];
        let forged =
            keys.map(|key| file.open(key, BatchNumber(4), patient()) == Err(UnsealError::Forged));
        assert_eq!(forged.iter().filter(|forged| **forged).count(), 1);
        assert!(PrivateFile::from_bytes(&bytes[..last]).is_err());
    }
}
