//! The first 192 bytes of a key file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ark_poly::EvaluationDomain;

use super::error::KeyFileError;
use super::points::{G1_BYTES, G2_BYTES};
use crate::keys::key::{Provenance, ProvingKey};
use crate::qap;

const MAGIC: [u8; 8] = *b"vitalspk";
const VERSION: u32 = 1;
const REDUCTION_CIRCOM: u32 = 1;
const DEV_INSECURE: u32 = 1;
const CEREMONY: u32 = 2;

/// The first 192 bytes of a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHeader {
    /// Where the key came from.
    pub provenance: Provenance,
    /// Public columns, the constant one included.
    pub instances: u32,
    /// Private columns.
    pub witnesses: u32,
    /// Constraints.
    pub constraints: u32,
    /// Columns that occur in B.
    pub b_columns: u32,
    /// Hash of the circuit.
    pub circuit_hash: [u8; 32],
    /// keccak256 of the verifying key's words.
    pub key_id: [u8; 32],
    /// blake3 of the header before this field and of everything after it.
    pub file_hash: [u8; 32],
}

impl KeyHeader {
    /// Bytes of the header.
    pub const BYTES: usize = 192;

    /// Reads the header of a file, and nothing else: good for showing it, not for trusting it.
    ///
    /// # Errors
    /// [`KeyFileError`] when the file cannot be read or is no key file of this version.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let mut bytes = [0; Self::BYTES];
        File::open(path)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(|source| KeyFileError::io(path, source))?;
        Self::decode(&bytes)
    }

    /// Length of the whole file in bytes; `None` when no domain holds so many constraints.
    pub fn file_bytes(&self) -> Option<usize> {
        let domain = qap::domain(self.constraints as usize, self.instances as usize)?;
        let (instances, witnesses) = (self.instances as usize, self.witnesses as usize);
        let fixed = Self::BYTES + 3 * G1_BYTES + 3 * G2_BYTES;
        let in_g1 = instances + (instances + witnesses) + witnesses + domain.size();
        // No product overflows 64 bits: counts have 32 of them, and the sizes of items at most 8.
        let b = self.b_columns as usize * (4 + G1_BYTES + G2_BYTES);
        Some(fixed + in_g1 * G1_BYTES + b)
    }

    pub(super) fn of(key: &ProvingKey) -> Self {
        // All counts are below 2^28: the domain bounds rows, and columns are u32 in the matrices.
        Self {
            provenance: key.provenance,
            instances: key.instances() as u32,
            witnesses: key.witnesses as u32,
            constraints: key.constraints as u32,
            b_columns: key.b_columns.len() as u32,
            circuit_hash: key.circuit_hash,
            key_id: key.vk.id(),
            file_hash: [0; 32],
        }
    }

    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let (provenance, transcript) = match self.provenance {
            Provenance::DevInsecure => (DEV_INSECURE, [0; 32]),
            Provenance::Ceremony { transcript } => (CEREMONY, transcript),
        };
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        let numbers = [
            VERSION,
            REDUCTION_CIRCOM,
            provenance,
            self.instances,
            self.witnesses,
            self.constraints,
            self.b_columns,
        ];
        for (slot, number) in bytes[8..36].chunks_exact_mut(4).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        let hashes = [self.circuit_hash, transcript, self.key_id, self.file_hash];
        for (slot, hash) in bytes[64..].chunks_exact_mut(32).zip(hashes) {
            slot.copy_from_slice(&hash);
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, KeyFileError> {
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let hash = |at: usize| -> [u8; 32] { std::array::from_fn(|i| bytes[at + i]) };
        if bytes[..8] != MAGIC {
            return Err(KeyFileError::Magic);
        }
        if (number(8), number(12)) != (VERSION, REDUCTION_CIRCOM) {
            return Err(KeyFileError::Version { version: number(8), reduction: number(12) });
        }
        let transcript = hash(96);
        let provenance = match number(16) {
            DEV_INSECURE if transcript == [0; 32] => Provenance::DevInsecure,
            CEREMONY => Provenance::Ceremony { transcript },
            found => return Err(KeyFileError::Provenance { found }),
        };
        // Refused and not ignored: what a later writer puts here may change the meaning of the
        // rest.
        if bytes[36..64] != [0; 28] {
            return Err(KeyFileError::Reserved);
        }
        Ok(Self {
            provenance,
            instances: number(20),
            witnesses: number(24),
            constraints: number(28),
            b_columns: number(32),
            circuit_hash: hash(64),
            key_id: hash(128),
            file_hash: hash(160),
        })
    }
}
