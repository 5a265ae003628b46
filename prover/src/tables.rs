//! Tables of a key's points, which make proofs faster for memory: built once, kept in files.
//!
//! ```text
//! file   = magic:8 version:u32 digit_bits:u32 points:u64 zeros:8 body_hash:32 body
//! body   = words of the first table, words of the second     each 64 bits, the lowest byte first
//! ```
//!
//! A table is a function of public points. Its file's hash finds damage; whoever can write to the
//! folder can change both, and a false table makes proofs that do not verify.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use files::Audience;
use kernel::Ifma;
use kernel::multiexp::{Curve, Digits, G1, G2, Table, Windows, table_bits};

use crate::engine::{TableError, TableReport, TableTerms};

const MAGIC: &[u8; 8] = b"vitalstb";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;
/// Where the hash of the body stands.
const HASH: std::ops::Range<usize> = 32..64;

/// Two queries that are summed with the same scalars, each with its table.
pub(crate) struct Pair<A: Curve, B: Curve> {
    pub(crate) first: Table<A>,
    pub(crate) second: Table<B>,
    file: PathBuf,
}

/// The tables that there are, by the scalars that they are for.
#[derive(Clone, Default)]
pub(crate) struct Tables {
    /// Of the columns' scalars: queries A and L.
    pub(crate) columns: Option<Arc<Pair<G1, G1>>>,
    /// Of those that occur in B: B in G1 and in G2.
    pub(crate) in_b: Option<Arc<Pair<G1, G2>>>,
    /// Of the quotient: H, and nothing beside it.
    pub(crate) quotient: Option<Arc<Pair<G1, G1>>>,
}

impl Tables {
    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        let columns = self.columns.as_ref().map_or(0, |pair| pair.bytes());
        let in_b = self.in_b.as_ref().map_or(0, |pair| pair.bytes());
        columns + in_b + self.quotient.as_ref().map_or(0, |pair| pair.bytes())
    }

    /// Believes none of them any more, at the next start neither.
    pub(crate) fn discard(&mut self) {
        let Tables { columns, in_b, quotient } = std::mem::take(self);
        let files = [columns.map(|pair| pair.file.clone()), in_b.map(|pair| pair.file.clone())];
        let quotient = quotient.map(|pair| pair.file.clone());
        for file in files.into_iter().chain([quotient]).flatten() {
            // One that stays is found out again.
            drop(fs::remove_file(file));
        }
    }
}

impl<A: Curve, B: Curve> Pair<A, B> {
    fn bytes(&self) -> usize {
        self.first.bytes() + self.second.bytes()
    }

    /// The scalars' digits as both tables want them.
    pub(crate) fn sort(&self, scalars: &[ark_ff::BigInt<4>]) -> Digits {
        Digits::sort(scalars, self.first.bits(), Windows::Merged)
    }
}

/// Two queries of a key; the second may be empty.
pub(crate) struct Wanted<'a, A: Curve, B: Curve> {
    /// Name of the file in the folder of tables.
    pub(crate) file: String,
    pub(crate) first: &'a [A::Affine],
    pub(crate) second: &'a [B::Affine],
}

impl<A: Curve, B: Curve> Wanted<'_, A, B> {
    fn bits(&self) -> u32 {
        table_bits(self.first.len())
    }

    fn bytes(&self) -> usize {
        Table::<A>::size(self.first.len(), self.bits())
            + Table::<B>::size(self.second.len(), self.bits())
    }

    /// The tables, from the file or newly built and then kept in it. `None` if there is no room for
    /// them, or they are no longer wanted.
    pub(crate) fn get(
        &self,
        cpu: Ifma,
        terms: &TableTerms<'_>,
        report: &mut TableReport,
    ) -> Result<Option<Arc<Pair<A, B>>>, TableError> {
        report.bytes_wanted += self.bytes();
        if report.bytes + self.bytes() > terms.bytes_max || !(terms.go_on)() {
            return Ok(None);
        }
        let path = terms.folder.join(&self.file);
        let read = self.read(cpu, &path).map_err(|source| TableError::new(&path, source));
        let pair = match read {
            Ok(Some(pair)) => Some(pair),
            // Another version's, another key's, or damaged: made anew in its place, and told.
            Err(error) => {
                report.replaced.push(error);
                self.build(cpu, terms, &path)?
            }
            Ok(None) => self.build(cpu, terms, &path)?,
        };
        report.bytes += pair.as_ref().map_or(0, Pair::bytes);
        Ok(pair.map(Arc::new))
    }

    fn build(
        &self,
        cpu: Ifma,
        terms: &TableTerms<'_>,
        path: &Path,
    ) -> Result<Option<Pair<A, B>>, TableError> {
        let first = Table::build(cpu, self.first, self.bits(), terms.go_on);
        let second = Table::build(cpu, self.second, self.bits(), terms.go_on);
        let (Some(first), Some(second)) = (first, second) else { return Ok(None) };
        let pair = Pair { first, second, file: path.to_owned() };
        self.write(&pair, path).map_err(|source| TableError::new(path, source))?;
        Ok(Some(pair))
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&self.bits().to_le_bytes());
        header[16..24].copy_from_slice(&(self.first.len() as u64).to_le_bytes());
        header
    }

    fn read(&self, cpu: Ifma, path: &Path) -> io::Result<Option<Pair<A, B>>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let invalid = |found: String| io::Error::new(io::ErrorKind::InvalidData, found);
        let (expected, found) = ((HEADER_BYTES + self.bytes()) as u64, file.metadata()?.len());
        if found != expected {
            return Err(invalid(format!("expected {expected} bytes, found {found}")));
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        if header[..HASH.start] != self.header()[..HASH.start] {
            return Err(invalid("expected the header of this version and circuit".to_owned()));
        }
        let mut body = Hashed { inner: file, hasher: blake3::Hasher::new() };
        let first = Table::read(cpu, self.first, self.bits(), &mut body)?;
        let second = Table::read(cpu, self.second, self.bits(), &mut body)?;
        if body.hasher.finalize().as_bytes() != &header[HASH] {
            return Err(invalid("expected the hash in the header, found another".to_owned()));
        }
        Ok(Some(Pair { first, second, file: path.to_owned() }))
    }

    /// Whole or not at all.
    fn write(&self, pair: &Pair<A, B>, path: &Path) -> io::Result<()> {
        files::make_folder(path.parent().unwrap_or(Path::new(".")), Audience::Public)?;
        files::replace_stream(path, Audience::Public, |file| {
            let mut header = self.header();
            file.write_all(&header)?;
            let mut body = Hashed { inner: &mut *file, hasher: blake3::Hasher::new() };
            pair.first.write(&mut body)?;
            pair.second.write(&mut body)?;
            header[HASH].copy_from_slice(body.hasher.finalize().as_bytes());
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header)
        })
    }
}

/// Hashes what goes through it.
struct Hashed<T> {
    inner: T,
    hasher: blake3::Hasher,
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
