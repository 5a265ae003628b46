//! What was acknowledged, as JSON lines: one object for each frame with a verified receipt.
//!
//! ```json
//! {"gateway":"gateway-001","stream":{"device":"monitor-0001","patient":7,"signal":131328},
//!  "epoch":1,"seq":5,"sent_ms":4002000000000,"acked_ms":4002000000003,
//!  "receipt":{"group":12,"chain_hash":"9f.."}}
//! ```
//!
//! Times are milliseconds since 1900-01-01T00:00:00Z. The file names devices and patients, so it is
//! made for its owner alone, and one that others may open is refused. `chain_hash` is the journal
//! hash after the group.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use files::Audience;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest line that is read, bytes.
const LINE_BYTES_MAX: u64 = 4096;

/// One acknowledged frame.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The gateway's id: the common name of its certificate.
    pub gateway: String,
    /// Which stream.
    pub stream: LedgerStream,
    /// Epoch of the stream.
    pub epoch: u16,
    /// Sequence of the frame.
    pub seq: u64,
    /// When it was handed to the client.
    pub sent_ms: u64,
    /// When its receipt was verified.
    pub acked_ms: u64,
    /// Which receipt.
    pub receipt: LedgerReceipt,
}

/// A stream as its opening describes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LedgerStream {
    /// Device id.
    pub device: String,
    /// Patient index.
    pub patient: u32,
    /// IEEE 11073 code.
    pub signal: u32,
}

/// What a receipt names: a group of the node's log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct LedgerReceipt {
    /// Number of the group.
    pub group: u64,
    /// Journal hash after it, 64 hex digits; `chain_hash` in the file, as older ledgers have it.
    #[serde(rename = "chain_hash")]
    pub journal_hash: String,
}

/// Hides device and patient.
impl std::fmt::Debug for LedgerEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LedgerEntry {{ seq: {}, group: {} }}", self.seq, self.receipt.group)
    }
}

/// A ledger that cannot be written or read.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The file system refuses; a ledger is never written over.
    #[error("expected to make the new file {path}")]
    Create {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Writing failed half way.
    #[error("expected to write the ledger {path}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file system refuses.
    #[error("expected the readable ledger {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A whole line that is something else.
    #[error("{path}, line {line}: expected an acknowledged frame, found something else")]
    Line {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: u64,
    },
}

/// Appends entries to a new file.
pub struct LedgerWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl LedgerWriter {
    /// Makes the file, readable for its owner alone.
    ///
    /// # Errors
    /// [`LedgerError::Create`], also if it is there already.
    pub fn create(path: &Path) -> Result<LedgerWriter, LedgerError> {
        let wrong = |source| LedgerError::Create { path: path.to_owned(), source };
        // A ledger is evidence of a run; the next run must not write over it.
        let file = files::create_stream(path, Audience::Owner).map_err(wrong)?;
        let file = BufWriter::with_capacity(1 << 16, file);
        Ok(LedgerWriter { path: path.to_owned(), file })
    }

    /// Writes one line; it may stay in memory until [`LedgerWriter::flush`].
    ///
    /// # Errors
    /// [`LedgerError::Write`].
    pub fn write(&mut self, entry: &LedgerEntry) -> Result<(), LedgerError> {
        let mut line = serde_json::to_vec(entry).map_err(|error| self.wrong(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|source| self.wrong(source))
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// [`LedgerError::Write`].
    pub fn flush(&mut self) -> Result<(), LedgerError> {
        self.file.flush().map_err(|source| self.wrong(source))
    }

    fn wrong(&self, source: io::Error) -> LedgerError {
        LedgerError::Write { path: self.path.clone(), source }
    }
}

/// Reads a ledger line by line. A last line without its end was torn by a crash and is not
/// returned: nobody relied on it.
pub struct LedgerReader {
    path: PathBuf,
    file: BufReader<File>,
    line: u64,
}

impl LedgerReader {
    /// Opens the file.
    ///
    /// # Errors
    /// [`LedgerError::Read`], also with [`files::TooOpen`] inside.
    pub fn open(path: &Path) -> Result<LedgerReader, LedgerError> {
        let wrong = |source| LedgerError::Read { path: path.to_owned(), source };
        // It names patients: one that others may open was not kept as it was made. By its name, as
        // it is read in pieces: nobody else may write its folder, so that no other takes its place.
        files::check_secret(path).map_err(wrong)?;
        let file = BufReader::new(File::open(path).map_err(wrong)?);
        Ok(LedgerReader { path: path.to_owned(), file, line: 0 })
    }

    fn next_entry(&mut self) -> Result<Option<LedgerEntry>, LedgerError> {
        let mut text = Vec::new();
        let wrong = |source| LedgerError::Read { path: self.path.clone(), source };
        // Bounded: a file that is no ledger may be one endless line.
        let mut limited = io::Read::take(&mut self.file, LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut text).map_err(wrong)?;
        self.line += 1;
        let whole = text.last() == Some(&b'\n');
        if !whole && (text.len() as u64) < LINE_BYTES_MAX {
            return Ok(None);
        }
        let wrong = || LedgerError::Line { path: self.path.clone(), line: self.line };
        serde_json::from_slice(&text).map(Some).map_err(|_| wrong())
    }
}

impl Iterator for LedgerReader {
    type Item = Result<LedgerEntry, LedgerError>;

    fn next(&mut self) -> Option<Result<LedgerEntry, LedgerError>> {
        self.next_entry().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn entry(seq: u64) -> LedgerEntry {
        LedgerEntry {
            gateway: "gateway-001".into(),
            stream: LedgerStream { device: "monitor-1".into(), patient: 77_777, signal: 131_328 },
            epoch: 1,
            seq,
            sent_ms: 4_000_000_000_000,
            acked_ms: 4_000_000_000_007,
            receipt: LedgerReceipt { group: 3, journal_hash: hex::encode([9; 32]) },
        }
    }

    fn written(count: u64) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let mut writer = LedgerWriter::create(&path).unwrap();
        (1..=count).for_each(|seq| writer.write(&entry(seq)).unwrap());
        writer.flush().unwrap();
        (folder, path)
    }

    fn read(path: &Path) -> Result<Vec<u64>, LedgerError> {
        LedgerReader::open(path)?.map(|entry| entry.map(|entry| entry.seq)).collect()
    }

    #[test]
    fn entries_come_back_as_they_were_written() {
        let (_folder, path) = written(3);
        let found: Vec<_> = LedgerReader::open(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(found, [entry(1), entry(2), entry(3)]);
        let again = LedgerWriter::create(&path);
        assert!(matches!(again, Err(LedgerError::Create { .. })), "a ledger is not written over");
    }

    #[test]
    fn a_ledger_that_others_may_open_is_refused() {
        let (_folder, path) = written(1);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err();
        let said = model::with_causes(&error);
        assert!(said.contains(&format!("chmod go-rwx {}", path.display())), "{said}");
    }

    #[test]
    fn a_torn_last_line_is_left_out_wherever_it_is_torn() {
        let (_folder, path) = written(2);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let expected: &[u64] = if cut < whole.len() / 2 { &[] } else { &[1] };
            assert_eq!(read(&path).unwrap(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_foreign_line_is_named_and_patients_are_not() {
        let (_folder, path) = written(1);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"patient\":77777}\n");
        std::fs::write(&path, text).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, LedgerError::Line { line: 2, .. }));
        assert!(!error.to_string().contains("77777"));
        assert!(!format!("{:?}", entry(1)).contains("77777"));
        let longest = LINE_BYTES_MAX as usize + 1;
        std::fs::write(&path, vec![b' '; longest]).unwrap();
        assert!(matches!(read(&path), Err(LedgerError::Line { line: 1, .. })));
    }
}
