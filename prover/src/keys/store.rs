//! A folder of keys, one file a circuit and setup.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use files::Audience;

use super::file::{KeyFileError, KeyHeader, Trust, write_whole};
use super::key::{Provenance, ProvingKey};
use super::setup::SetupError;
use circuits::builder::R1cs;

/// Words of a verifying key that all keys of one setup share: alpha, beta and gamma.
const SHARED_WORDS: usize = 2 + 2 * 4;

/// Which of a circuit's keys is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setup {
    /// Development keys, made where they are missing: **anyone can forge proofs under them**.
    #[default]
    DevInsecure,
    /// Keys of a ceremony, which `prover import-zkey` took over. Never made.
    Ceremony,
}

impl Setup {
    /// Both, as they are written.
    pub const NAMES: [&str; 2] = ["dev-insecure", "ceremony"];
    const ALL: [Self; 2] = [Self::DevInsecure, Self::Ceremony];
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}

/// The text is the name of no setup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected dev-insecure or ceremony, found {found:?}")]
pub struct UnknownSetup {
    /// What was found.
    pub found: String,
}

impl FromStr for Setup {
    type Err = UnknownSetup;

    fn from_str(text: &str) -> Result<Self, UnknownSetup> {
        let named = Self::ALL.into_iter().zip(Self::NAMES).find(|(_, name)| *name == text);
        named.map(|(setup, _)| setup).ok_or(UnknownSetup { found: text.to_owned() })
    }
}

/// Keys in a folder, by circuit hash and setup. Beside `HASH.SETUP.key` stands its pin,
/// `HASH.SETUP.key.blake3`, written after the key was made here or checked in full; it is what lets
/// later starts skip the checks, so the folder must be as trusted as the program.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

/// A file of a [`KeyStore`], as it says of itself.
#[derive(Debug)]
pub struct Listed {
    /// The file.
    pub path: PathBuf,
    /// What its name says.
    pub setup: Setup,
    /// Its header, which must fit its name.
    pub header: Result<KeyHeader, KeyFileError>,
    /// Whether its points were checked, and its hash kept.
    pub is_pinned: bool,
}

impl KeyStore {
    /// A store in `folder`, which is made when a key is.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where the key of a circuit stands or would stand.
    pub fn path(&self, setup: Setup, circuit_hash: &[u8; 32]) -> PathBuf {
        self.folder.join(format!("{}.{setup}.key", hex::encode(circuit_hash)))
    }

    /// The key of a circuit and setup: a development key is made if it is not there, a ceremony's
    /// is there or an error.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(&self, setup: Setup, r1cs: &R1cs) -> Result<ProvingKey, StoreError> {
        match setup {
            Setup::DevInsecure => self.open_or_make(r1cs),
            Setup::Ceremony => {
                let hash = r1cs.hash();
                let path = self.path(setup, &hash);
                match path.try_exists() {
                    Ok(true) => open(&path, &hash),
                    Ok(false) => Err(StoreError::NoCeremony { path }),
                    Err(source) => Err(KeyFileError::io(&path, source).into()),
                }
            }
        }
    }

    /// The development key of a circuit: read if it is there, made and kept if not. Of several
    /// processes that ask at once one makes it and the others wait for it.
    ///
    /// # Errors
    /// [`StoreError`]. A file that is there and not right is an error, never overwritten: it is
    /// either damage or somebody else's, and both deserve a look.
    pub fn open_or_make(&self, r1cs: &R1cs) -> Result<ProvingKey, StoreError> {
        let hash = r1cs.hash();
        let path = self.path(Setup::DevInsecure, &hash);
        // Held until it is dropped; the operating system frees it if the process dies.
        let _lock = self.lock(&beside(&path, ".lock"))?;
        // Looked for only under the lock: another process may have been writing it.
        if path.exists() {
            return open(&path, &hash);
        }
        make(&path, r1cs)
    }

    /// Makes the development key of a circuit anew, whatever stands in its place.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn regenerate(&self, r1cs: &R1cs) -> Result<ProvingKey, StoreError> {
        let path = self.path(Setup::DevInsecure, &r1cs.hash());
        let _lock = self.lock(&beside(&path, ".lock"))?;
        // The pin first: beside another file it would stand for checks that nobody made.
        let pinned = beside(&path, ".blake3");
        match fs::remove_file(&pinned) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(KeyFileError::io(&pinned, source).into())
            }
            _ => make(&path, r1cs),
        }
    }

    /// Keeps the key of a ceremony, whose points were checked, and pins it. One that is kept
    /// already is left as it is.
    ///
    /// # Errors
    /// [`StoreError`] for a development key, for a key of another setup than the ceremony keys that
    /// are here, and for one in the place of another: which of two a deployment named, nobody here
    /// can say.
    pub fn keep(&self, key: &ProvingKey) -> Result<PathBuf, StoreError> {
        if key.provenance() == Provenance::DevInsecure {
            return Err(StoreError::Development);
        }
        let path = self.path(Setup::Ceremony, &key.circuit_hash);
        // One lock for all: two keys of two setups, taken over at once, would not see each other.
        let _lock = self.lock(&self.folder.join("ceremony.lock"))?;
        for other in self.list()?.into_iter().filter(|other| other.setup == Setup::Ceremony) {
            let at =
                |source| StoreError::Refused { path: other.path.clone(), source: Box::new(source) };
            let header = other.header.map_err(at)?;
            let kept = open(&other.path, &header.circuit_hash)?;
            if other.path == path {
                let kept = kept.vk.id();
                let same = kept == key.vk.id();
                return if same { Ok(path) } else { Err(StoreError::Kept { path, kept }) };
            }
            if kept.vk.key_words()[..SHARED_WORDS] != key.vk.key_words()[..SHARED_WORDS] {
                return Err(StoreError::OtherSetup { path: other.path });
            }
        }
        pin(&path, &key.write(&path)?)?;
        Ok(path)
    }

    /// Every key file here, by name. Reads headers alone.
    ///
    /// # Errors
    /// [`StoreError::File`] when the folder cannot be read; one that is not there holds no keys.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let refused = |source| KeyFileError::io(&self.folder, source);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(source) => return Err(refused(source).into()),
        };
        let mut listed = vec![];
        for entry in entries {
            let path = entry.map_err(refused)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let named = Setup::ALL
                .into_iter()
                .find_map(|setup| Some((setup, name.strip_suffix(&format!(".{setup}.key"))?)));
            if let Some((setup, circuit)) = named {
                let header = header_of(&path, circuit);
                let is_pinned = beside(&path, ".blake3").exists();
                listed.push(Listed { path, setup, header, is_pinned });
            }
        }
        listed.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(listed)
    }

    fn lock(&self, path: &Path) -> Result<File, StoreError> {
        files::make_folder(&self.folder, Audience::Public)
            .map_err(|source| KeyFileError::io(&self.folder, source))?;
        Ok(lock(path)?)
    }
}

/// Why a store has no key for a circuit.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A key that is there is refused.
    #[error(
        "the key {} is refused; look at it, then make a development key anew with `prover keys \
         regenerate`, or remove a ceremony's and take it over again with `prover import-zkey`",
        path.display()
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<KeyFileError>,
    },
    /// A file of the store cannot be read or written.
    #[error("the folder of the keys cannot be used")]
    File(#[from] KeyFileError),
    /// The key cannot be made.
    #[error("the key cannot be made")]
    Setup(#[from] SetupError),
    /// The pin is not 32 bytes in hexadecimal.
    #[error("expected 64 hexadecimal digits in {}", path.display())]
    Pin {
        /// The pin's file.
        path: PathBuf,
    },
    /// The ceremony's key was not taken over, or into another folder.
    #[error(
        "expected the key of a ceremony in {}, found none; take it over with `prover import-zkey`",
        path.display()
    )]
    NoCeremony {
        /// Where it would stand.
        path: PathBuf,
    },
    /// A development key is no key of a ceremony.
    #[error("expected the key of a ceremony, found a development key")]
    Development,
    /// The keys of a deployment share alpha, beta and gamma.
    #[error(
        "expected the alpha, beta and gamma of {}: all shapes take their keys from one first phase",
        path.display()
    )]
    OtherSetup {
        /// A key of the other setup.
        path: PathBuf,
    },
    /// Another ceremony's key stands in the place.
    #[error(
        "expected the same key or none in {}, found {}; a deployment names one of the two: remove \
         the other, or use another folder",
        path.display(), hex::encode(kept)
    )]
    Kept {
        /// The file.
        path: PathBuf,
        /// Id of the key there.
        kept: [u8; 32],
    },
}

fn make(path: &Path, r1cs: &R1cs) -> Result<ProvingKey, StoreError> {
    let key = ProvingKey::dev_insecure(r1cs)?;
    // The key first, then its pin: a crash in between costs one full check and no trust.
    pin(path, &key.write(path)?)?;
    Ok(key)
}

/// The header of a key file whose name says which circuit it is for.
fn header_of(path: &Path, circuit: &str) -> Result<KeyHeader, KeyFileError> {
    let header = KeyHeader::read(path)?;
    let mut expected = [0; 32];
    // A name that is no hash names no circuit, and no key of one has it.
    let _ = hex::decode_to_slice(circuit, &mut expected);
    if header.circuit_hash == expected {
        Ok(header)
    } else {
        Err(KeyFileError::Circuit { expected, found: header.circuit_hash })
    }
}

fn open(path: &Path, circuit_hash: &[u8; 32]) -> Result<ProvingKey, StoreError> {
    let refused = |source| StoreError::Refused { path: path.to_owned(), source: Box::new(source) };
    let pinned = beside(path, ".blake3");
    match fs::read_to_string(&pinned) {
        Ok(text) => {
            let mut hash = [0; 32];
            let bad = |_| StoreError::Pin { path: pinned.clone() };
            hex::decode_to_slice(text.trim_end(), &mut hash).map_err(bad)?;
            ProvingKey::read(path, circuit_hash, Trust::Pinned(hash)).map_err(refused)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Every point was checked, so next time the hash may stand for the checks.
            let key = ProvingKey::read(path, circuit_hash, Trust::Nothing).map_err(refused)?;
            // The header's own hash will do: the read above has just compared it with the bytes.
            pin(path, &KeyHeader::read(path)?.file_hash)?;
            Ok(key)
        }
        Err(source) => Err(KeyFileError::io(&pinned, source).into()),
    }
}

fn pin(path: &Path, hash: &[u8; 32]) -> Result<(), KeyFileError> {
    write_whole(&beside(path, ".blake3"), &[hex::encode(hash).as_bytes(), b"\n"])
}

fn lock(path: &Path) -> Result<File, KeyFileError> {
    // The file stays afterwards: were it removed, whoever waits would lock the old one and the next
    // a new one.
    files::open(path, Audience::Public)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|source| KeyFileError::io(path, source))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
