//! The private file: one sealed opening for each patient that the batch concerns.
//!
//! A patient finds its opening by a label, and opens it with a key, both derived from view key,
//! chain, contract, batch, consent root and patient index. A node that was restored from a copy may
//! seal other bytes for the same batch, so the nonce is a keyed hash of the plaintext: one nonce
//! never meets two plaintexts, whatever is sealed again.
//!
//! Threat note: the file shows how many patients a batch concerns and the size of each opening to
//! [`OPENING_GRID`] bytes, nothing else.

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use model::{
    BatchHeader, BatchNumber, ChainScope, DecodeError, PatientIndex, Reader, Word, limits,
};
use thiserror::Error;
use zeroize::Zeroizing;

use super::error::{FileError, find_version, section};
use super::opening::{OpeningError, PatientOpening};

const MAGIC: &[u8; 8] = b"VTLBPRV\x02";
const WHAT: &str = "private batch file";
const LABEL_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
/// Openings are padded to a multiple of so many bytes before they are sealed.
const OPENING_GRID: usize = 4096;

/// The batch that openings are sealed for, in its deployment and history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealScope {
    /// Chain and contract.
    pub scope: ChainScope,
    /// Number of the batch.
    pub batch: BatchNumber,
    /// Consent root after it.
    pub root_out: Word,
}

impl SealScope {
    /// The scope of a settled header.
    pub fn of_header(scope: ChainScope, header: &BatchHeader) -> SealScope {
        SealScope { scope, batch: header.number, root_out: header.root_out }
    }
}

/// What opens one patient's part of private files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpeningKey {
    /// The view key in the patient's record.
    pub view_key: Word,
    /// Index of the record.
    pub patient: PatientIndex,
}

/// One patient's opening, sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedOpening {
    label: [u8; LABEL_BYTES],
    nonce: [u8; NONCE_BYTES],
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
    /// The padding of the plaintext is not as it is written.
    #[error("expected an opening with zeros behind it, found other padding")]
    Padding,
    /// The plaintext is no opening.
    #[error("expected an opening under the seal")]
    Opening(#[from] OpeningError),
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
    pub fn seal(scope: &SealScope, openings: &[PatientOpening]) -> PrivateFile {
        let mut sealed: Vec<_> = openings.iter().map(|opening| seal(scope, opening)).collect();
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
        scope: &SealScope,
        key: OpeningKey,
    ) -> Result<Option<PatientOpening>, UnsealError> {
        let secrets = Secrets { scope, key };
        let label = secrets.label();
        let Some(found) = self.openings.iter().find(|opening| opening.label == label) else {
            return Ok(None);
        };
        // Authenticated before it is read: the file comes from an operator who is not trusted.
        let padded = secrets
            .cipher()
            .decrypt(&XNonce::from(found.nonce), found.sealed.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| UnsealError::Forged)?;
        let plain = strip_padding(&padded).ok_or(UnsealError::Padding)?;
        let opening = PatientOpening::from_bytes(plain)?;
        // Key and label depend on the batch: only who holds the view key could have sealed another
        // batch's opening here. Its claims would be looked for in the wrong file.
        if opening.batch != scope.batch {
            let (expected, found) = (scope.batch.0, opening.batch.0);
            return Err(UnsealError::OtherBatch { expected, found });
        }
        Ok(Some(opening))
    }

    /// Canonical bytes: magic and version, count, then label, nonce, length and sealed
    /// bytes of each.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend((self.openings.len() as u32).to_be_bytes());
        for opening in &self.openings {
            out.extend(opening.label);
            out.extend(opening.nonce);
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
        read(find_version(WHAT, MAGIC, bytes)?)
            .map(|openings| PrivateFile { openings })
            .map_err(section("openings"))
    }
}

fn read(bytes: &[u8]) -> Result<Vec<SealedOpening>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(LABEL_BYTES + NONCE_BYTES + 4)?;
    let mut openings = Vec::with_capacity(count);
    for _ in 0..count {
        let (label, nonce) = (reader.array()?, reader.array()?);
        // A count of bytes, so that it is compared with what is left before they are taken.
        let len = reader.count(1)?;
        openings.push(SealedOpening { label, nonce, sealed: reader.take(len)?.to_vec() });
    }
    reader.finish()?;
    Ok(openings)
}

fn seal(scope: &SealScope, opening: &PatientOpening) -> SealedOpening {
    let key = OpeningKey { view_key: opening.record.view_key, patient: opening.patient };
    let secrets = Secrets { scope, key };
    let padded = pad(&opening.to_bytes());
    let nonce = secrets.nonce(&padded);
    let sealed = secrets
        .cipher()
        .encrypt(&XNonce::from(nonce), padded.as_slice())
        .expect("XChaCha20-Poly1305 seals any plaintext below 256 GiB");
    SealedOpening { label: secrets.label(), nonce, sealed }
}

/// Length, opening, zeros: its size would tell how much happened to whom.
fn pad(opening: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = (4 + opening.len()).next_multiple_of(OPENING_GRID);
    // Allocated once: a vector that grows leaves copies of the plaintext behind.
    let mut padded = Zeroizing::new(Vec::with_capacity(len));
    padded.extend((opening.len() as u32).to_be_bytes());
    padded.extend(opening);
    padded.resize(len, 0);
    padded
}

/// The opening in a padded plaintext; `None` if the padding is another than [`pad`] writes.
fn strip_padding(padded: &[u8]) -> Option<&[u8]> {
    let (len, rest) = padded.split_first_chunk()?;
    let (opening, zeros) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    let canonical = (4 + opening.len()).next_multiple_of(OPENING_GRID) == padded.len();
    (canonical && zeros.iter().all(|byte| *byte == 0)).then_some(opening)
}

/// Everything that is derived from one view key for one batch.
struct Secrets<'a> {
    scope: &'a SealScope,
    key: OpeningKey,
}

impl Secrets<'_> {
    fn cipher(&self) -> XChaCha20Poly1305 {
        let key = Zeroizing::new(self.derive("vitals rollup 2026 opening key v2"));
        XChaCha20Poly1305::new(&Key::from(*key))
    }

    fn label(&self) -> [u8; LABEL_BYTES] {
        let mut label = [0; LABEL_BYTES];
        // Under another context than the key: the label is published and must tell nothing of that.
        // It is only for finding, and the seal authenticates, so that 16 bytes are enough.
        let derived = self.derive("vitals rollup 2026 opening label v2");
        label.copy_from_slice(&derived[..LABEL_BYTES]);
        label
    }

    /// A keyed hash of the plaintext. Equal plaintexts of one batch give equal files, which tells
    /// nothing; any other plaintext has another nonce.
    fn nonce(&self, plain: &[u8]) -> [u8; NONCE_BYTES] {
        let key = Zeroizing::new(self.derive("vitals rollup 2026 opening nonce v2"));
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&blake3::keyed_hash(&key, plain).as_bytes()[..NONCE_BYTES]);
        nonce
    }

    fn derive(&self, context: &str) -> [u8; 32] {
        let SealScope { scope, batch, root_out } = self.scope;
        // All have fixed widths: no two deployments, batches, histories or patients give the same
        // material.
        let mut material = Zeroizing::new(self.key.view_key.to_bytes().to_vec());
        material.extend(scope.chain_id.to_be_bytes());
        material.extend(scope.contract);
        material.extend(batch.0.to_be_bytes());
        material.extend(root_out.to_bytes());
        material.extend(self.key.patient.get().to_be_bytes());
        blake3::derive_key(context, &material)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::opening::tests::opening;

    fn scope() -> SealScope {
        let scope = ChainScope { chain_id: 5, contract: [6; 20] };
        SealScope { scope, batch: BatchNumber(4), root_out: Word::from_u64(9) }
    }

    fn key(view_key: u64) -> OpeningKey {
        OpeningKey { view_key: Word::from_u64(view_key), patient: opening().patient }
    }

    fn file() -> PrivateFile {
        let mut other = opening();
        other.record.view_key = Word::from_u64(99);
        PrivateFile::seal(&scope(), &[opening(), other])
    }

    #[test]
    fn two_records_under_one_view_key_are_sealed_apart() {
        let mut sibling = opening();
        sibling.patient = PatientIndex::new(4).unwrap();
        let file = PrivateFile::seal(&scope(), &[opening(), sibling.clone()]);
        assert_eq!(file.open(&scope(), key(1)), Ok(Some(opening())));
        let siblings = OpeningKey { patient: sibling.patient, ..key(1) };
        assert_eq!(file.open(&scope(), siblings), Ok(Some(sibling)));
    }

    #[test]
    fn a_patient_opens_its_own_part_and_no_other() {
        let file = PrivateFile::from_bytes(&file().to_bytes()).unwrap();
        assert_eq!(file.open(&scope(), key(1)), Ok(Some(opening())));
        assert_eq!(file.open(&scope(), key(2)), Ok(None));
        let batch = SealScope { batch: BatchNumber(5), ..scope() };
        assert_eq!(file.open(&batch, key(1)), Ok(None));
    }

    /// The keystream of a sealed opening: what its ciphertext adds to the known plaintext.
    fn keystream(scope: &SealScope, opening: &PatientOpening) -> Vec<u8> {
        let sealed = PrivateFile::seal(scope, std::slice::from_ref(opening)).openings.remove(0);
        let plain = pad(&opening.to_bytes());
        sealed.sealed.iter().zip(plain.iter()).map(|(one, other)| one ^ other).collect()
    }

    #[test]
    fn no_two_deployments_histories_or_plaintexts_share_a_keystream() {
        let mut again = opening();
        again.claims[0].covered = false;
        let chain = ChainScope { chain_id: 6, ..scope().scope };
        let contract = ChainScope { contract: [7; 20], ..scope().scope };
        let streams = [
            keystream(&scope(), &opening()),
            // A node that was restored from a copy and took other entries after it.
            keystream(&scope(), &again),
            keystream(&SealScope { root_out: Word::from_u64(8), ..scope() }, &opening()),
            keystream(&SealScope { batch: BatchNumber(5), ..scope() }, &opening()),
            // The same wallet and index, enrolled again at another contract.
            keystream(&SealScope { scope: chain, ..scope() }, &opening()),
            keystream(&SealScope { scope: contract, ..scope() }, &opening()),
        ];
        let distinct: std::collections::BTreeSet<_> =
            streams.iter().map(|stream| &stream[..64]).collect();
        assert_eq!(distinct.len(), streams.len());
        assert_eq!(keystream(&scope(), &opening()), streams[0], "sealing again is the same file");
    }

    #[test]
    fn the_size_of_a_sealed_opening_tells_no_more_than_its_grid() {
        let size = |refused: usize| {
            let mut opening = opening();
            opening.refused = vec![opening.refused[0].clone(); refused];
            PrivateFile::seal(&scope(), &[opening]).openings[0].sealed.len()
        };
        assert_eq!(size(2), size(20));
        assert_eq!((size(2) - 16) % OPENING_GRID, 0);
        assert!(size(200) > size(20));
    }

    #[test]
    fn other_padding_is_refused() {
        let padded = pad(b"opening");
        assert_eq!(strip_padding(&padded), Some(&b"opening"[..]));
        let mut dirty = padded.to_vec();
        dirty[4095] = 1;
        let longer = [&padded[..], &[0; OPENING_GRID]].concat();
        for other in [&dirty[..], &longer, &padded[..11], &[0xff; 8], &[]] {
            assert_eq!(strip_padding(other), None);
        }
    }

    #[test]
    fn a_changed_byte_of_a_sealed_opening_is_refused() {
        let bytes = file().to_bytes();
        let last = bytes.len() - 1;
        // The tag, and the nonce of the first opening.
        for (at, opens) in [(last, 1), (12 + LABEL_BYTES, 1)] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let file = PrivateFile::from_bytes(&changed).unwrap();
            let forged =
                [1, 99].map(|view| file.open(&scope(), key(view)) == Err(UnsealError::Forged));
            assert_eq!(forged.iter().filter(|forged| **forged).count(), opens);
        }
        assert!(PrivateFile::from_bytes(&bytes[..last]).is_err());
    }

    #[test]
    fn a_private_file_of_the_first_version_is_refused_by_name() {
        let first = PrivateFile::from_bytes(b"VTLBPRV\x01\0\0\0\0");
        assert_eq!(first, Err(FileError::FirstVersion { found: WHAT }));
    }
}
