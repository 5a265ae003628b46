//! The key file; its bytes are laid out in `docs/key-file.md`.
//!
//! A proving key is tens of megabytes of points. Checking that each lies in its subgroup takes far
//! longer than proving, so a file is checked in full once and known by its hash from then on
//! ([`Trust`]). The hash inside the file only finds damage: whoever can change the file can change
//! it too. Only a hash kept elsewhere, or just computed while writing, replaces the checks.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ark_bn254::{Bn254, Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField};
use ark_poly::EvaluationDomain;
use rayon::prelude::*;
use statement::proof::VerifyingKey;

use super::{KeyError, Provenance, ProvingKey};
use crate::qap;

const MAGIC: [u8; 8] = *b"vitalspk";
const VERSION: u32 = 1;
const REDUCTION_CIRCOM: u32 = 1;
const DEV_INSECURE: u32 = 1;
const CEREMONY: u32 = 2;
const G1_BYTES: usize = 64;
const G2_BYTES: usize = 128;

/// What a reader knows about a key file before it reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: every point is checked to be on its curve and in its subgroup.
    Nothing,
    /// The file's hash, from a place as trusted as this program: after the hash was compared the
    /// points are taken as they are.
    Pinned([u8; 32]),
}

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
        let b = self.b_columns as usize * (4 + G1_BYTES + G2_BYTES);
        Some(fixed + in_g1 * G1_BYTES + b)
    }

    fn of(key: &ProvingKey) -> Self {
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

    fn encode(&self) -> [u8; Self::BYTES] {
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

    fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, KeyFileError> {
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

impl ProvingKey {
    /// Writes the key to `path` and returns the file's hash. The file appears whole or not at all.
    /// Takes as much memory again as the key.
    ///
    /// # Errors
    /// [`KeyFileError::Io`].
    pub fn write(&self, path: &Path) -> Result<[u8; 32], KeyFileError> {
        let mut header = KeyHeader::of(self);
        let body = self.encode_body();
        header.file_hash = file_hash(&header.encode(), &body);
        write_whole(path, &[&header.encode(), &body])?;
        Ok(header.file_hash)
    }

    /// Reads the key of the circuit `circuit_hash` from `path`. About 0.1 s for 2^17 constraints
    /// when the file is pinned, tens of seconds when it is not.
    ///
    /// # Errors
    /// [`KeyFileError`] for any difference from a file that [`ProvingKey::write`] wrote for this
    /// circuit, and for a pin that is not the file's hash.
    pub fn read(path: &Path, circuit_hash: &[u8; 32], trust: Trust) -> Result<Self, KeyFileError> {
        let bytes = fs::read(path).map_err(|source| KeyFileError::io(path, source))?;
        Self::decode(&bytes, circuit_hash, trust)
    }

    fn decode(bytes: &[u8], circuit_hash: &[u8; 32], trust: Trust) -> Result<Self, KeyFileError> {
        let short = KeyFileError::Length { expected: KeyHeader::BYTES, found: bytes.len() };
        let (start, body) = bytes.split_first_chunk::<{ KeyHeader::BYTES }>().ok_or(short)?;
        let header = KeyHeader::decode(start)?;
        if header.circuit_hash != *circuit_hash {
            let (expected, found) = (*circuit_hash, header.circuit_hash);
            return Err(KeyFileError::Circuit { expected, found });
        }
        let expected = header.file_bytes().ok_or(KeyFileError::TooLarge)?;
        if bytes.len() != expected {
            return Err(KeyFileError::Length { expected, found: bytes.len() });
        }
        let found = file_hash(start, body);
        for expected in [Some(header.file_hash), trust.pin()].into_iter().flatten() {
            if expected != found {
                return Err(KeyFileError::Hash { expected, found });
            }
        }
        let key = Body { rest: body, checked: trust == Trust::Nothing }.key(&header)?;
        key.lint()?;
        if key.vk.id() != header.key_id {
            return Err(KeyFileError::KeyId { expected: header.key_id, found: key.vk.id() });
        }
        Ok(key)
    }

    fn encode_body(&self) -> Vec<u8> {
        let vk = self.vk.ark();
        let mut body = Vec::new();
        push_g1(&mut body, &[vk.alpha_g1]);
        push_g2(&mut body, &[vk.beta_g2, vk.gamma_g2, vk.delta_g2]);
        push_g1(&mut body, &vk.gamma_abc_g1);
        push_g1(&mut body, &[self.beta_g1, self.delta_g1]);
        push_g1(&mut body, &self.a);
        body.extend(self.b_columns.iter().flat_map(|column| column.to_le_bytes()));
        push_g1(&mut body, &self.b_g1);
        push_g2(&mut body, &self.b_g2);
        push_g1(&mut body, &self.l);
        push_g1(&mut body, &self.h);
        body
    }
}

impl Trust {
    fn pin(self) -> Option<[u8; 32]> {
        match self {
            Self::Nothing => None,
            Self::Pinned(hash) => Some(hash),
        }
    }
}

/// Why a key file is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system refused.
    #[error("key file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Not a key file.
    #[error("expected a key file beginning with \"vitalspk\"")]
    Magic,
    /// Another format or reduction.
    #[error("expected format 1 with reduction 1, found format {version}, reduction {reduction}")]
    Version {
        /// Format found.
        version: u32,
        /// Reduction found.
        reduction: u32,
    },
    /// No such provenance, or one that contradicts the transcript hash.
    #[error("expected provenance 1 without transcript or 2 with one, found {found}")]
    Provenance {
        /// The code found.
        found: u32,
    },
    /// Reserved bytes are used.
    #[error("expected zeros in the reserved bytes of the header")]
    Reserved,
    /// The key is for another circuit.
    #[error("expected the key of circuit {}, found {}", hex::encode(expected), hex::encode(found))]
    Circuit {
        /// The caller's circuit.
        expected: [u8; 32],
        /// The file's circuit.
        found: [u8; 32],
    },
    /// More constraints than any domain holds.
    #[error("the header names more than 2^27 rows")]
    TooLarge,
    /// The file is shorter or longer than its header says.
    #[error("expected {expected} bytes, found {found}")]
    Length {
        /// Bytes that the header asks for.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The file is damaged, or is not the pinned one.
    #[error("expected file hash {}, found {}", hex::encode(expected), hex::encode(found))]
    Hash {
        /// The hash in the header or the pin.
        expected: [u8; 32],
        /// The hash of the bytes.
        found: [u8; 32],
    },
    /// A point is not reduced, off its curve or outside its subgroup.
    #[error("a point of section {section} is not in its group")]
    Point {
        /// The section of the body.
        section: &'static str,
    },
    /// The verifying key inside is not the one that the header names.
    #[error("expected key id {}, found {}", hex::encode(expected), hex::encode(found))]
    KeyId {
        /// The header's id.
        expected: [u8; 32],
        /// The id of the key inside.
        found: [u8; 32],
    },
    /// The parts do not make a key.
    #[error("the key file holds no sound key")]
    Key(#[from] KeyError),
}

impl KeyFileError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// Writes `parts` to `path` by way of a neighbour that is renamed once it is on disk.
pub(super) fn write_whole(path: &Path, parts: &[&[u8]]) -> Result<(), KeyFileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(name);
    let written = File::create(&temporary).and_then(|mut file| {
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    written.map_err(|source| {
        // The error that stopped us is the one to report; a leftover is only waste.
        let _ = fs::remove_file(&temporary);
        KeyFileError::io(path, source)
    })
}

fn file_hash(header: &[u8; KeyHeader::BYTES], body: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(&header[..160]).update(body).finalize().as_bytes()
}

/// The part of a body that is still to be read. Its length was compared with the header's.
struct Body<'a> {
    rest: &'a [u8],
    checked: bool,
}

impl Body<'_> {
    fn key(mut self, header: &KeyHeader) -> Result<ProvingKey, KeyFileError> {
        let (instances, witnesses) = (header.instances as usize, header.witnesses as usize);
        let constraints = header.constraints as usize;
        let domain = qap::domain(constraints, instances).ok_or(KeyFileError::TooLarge)?;
        let used = header.b_columns as usize;
        let alpha_g1 = self.g1("alpha", 1)?[0];
        let fixed = self.g2("beta, gamma, delta", 3)?;
        let vk = ark_groth16::VerifyingKey::<Bn254> {
            alpha_g1,
            beta_g2: fixed[0],
            gamma_g2: fixed[1],
            delta_g2: fixed[2],
            gamma_abc_g1: self.g1("IC", instances)?,
        };
        let in_g1 = self.g1("beta, delta in G1", 2)?;
        Ok(ProvingKey {
            circuit_hash: header.circuit_hash,
            provenance: header.provenance,
            constraints,
            witnesses,
            vk: VerifyingKey::from_ark(vk).map_err(KeyError::from)?,
            beta_g1: in_g1[0],
            delta_g1: in_g1[1],
            a: self.g1("A", instances + witnesses)?,
            b_columns: self.columns(used),
            b_g1: self.g1("B in G1", used)?,
            b_g2: self.g2("B in G2", used)?,
            l: self.g1("L", witnesses)?,
            h: self.g1("H", domain.size())?,
        })
    }

    fn take(&mut self, bytes: usize) -> &[u8] {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn columns(&mut self, count: usize) -> Vec<u32> {
        let (columns, _) = self.take(4 * count).as_chunks::<4>();
        columns.iter().map(|column| u32::from_le_bytes(*column)).collect()
    }

    fn g1(&mut self, section: &'static str, count: usize) -> Result<Vec<G1Affine>, KeyFileError> {
        let checked = self.checked;
        let (points, _) = self.take(count * G1_BYTES).as_chunks::<G1_BYTES>();
        // On the curve is in the group: G1 has cofactor one.
        let point = |bytes| g1(bytes).filter(|point| !checked || point.is_on_curve());
        let read: Option<_> = points.par_iter().map(point).collect();
        read.ok_or(KeyFileError::Point { section })
    }

    fn g2(&mut self, section: &'static str, count: usize) -> Result<Vec<G2Affine>, KeyFileError> {
        let checked = self.checked;
        let (points, _) = self.take(count * G2_BYTES).as_chunks::<G2_BYTES>();
        let in_group = |point: &G2Affine| {
            point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve()
        };
        let point = |bytes| g2(bytes).filter(|point| !checked || in_group(point));
        let read: Option<_> = points.par_iter().map(point).collect();
        read.ok_or(KeyFileError::Point { section })
    }
}

fn push_g1(body: &mut Vec<u8>, points: &[G1Affine]) {
    for point in points {
        let (x, y) = point.xy().unwrap_or_default();
        push_coordinates(body, &[x, y]);
    }
}

fn push_g2(body: &mut Vec<u8>, points: &[G2Affine]) {
    for point in points {
        let (x, y) = point.xy().unwrap_or_default();
        push_coordinates(body, &[x.c0, x.c1, y.c0, y.c1]);
    }
}

fn push_coordinates(body: &mut Vec<u8>, coordinates: &[Fq]) {
    for limb in coordinates.iter().flat_map(|value| value.into_bigint().0) {
        body.extend(limb.to_le_bytes());
    }
}

fn g1(bytes: &[u8; G1_BYTES]) -> Option<G1Affine> {
    if *bytes == [0; G1_BYTES] {
        return Some(G1Affine::zero());
    }
    let (words, _) = bytes.as_chunks::<32>();
    Some(G1Affine::new_unchecked(coordinate(&words[0])?, coordinate(&words[1])?))
}

fn g2(bytes: &[u8; G2_BYTES]) -> Option<G2Affine> {
    if *bytes == [0; G2_BYTES] {
        return Some(G2Affine::zero());
    }
    let (words, _) = bytes.as_chunks::<32>();
    let x = Fq2::new(coordinate(&words[0])?, coordinate(&words[1])?);
    let y = Fq2::new(coordinate(&words[2])?, coordinate(&words[3])?);
    Some(G2Affine::new_unchecked(x, y))
}

fn coordinate(word: &[u8; 32]) -> Option<Fq> {
    let (limbs, _) = word.as_chunks::<8>();
    Fq::from_bigint(BigInt::new(std::array::from_fn(|i| u64::from_le_bytes(limbs[i]))))
}
