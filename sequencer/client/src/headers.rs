//! Headers that an auditor verified against the base chain and saved: what a patient's log is
//! checked against (`auditor verify --save-headers FILE`, schema `vitals-headers-1`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::{BatchHeader, BatchNumber, ChainScope, HeaderError, Position, Word};
use serde::Deserialize;
use statement::batch::JournalSpan;
use statement::scope;
use thiserror::Error;

const SCHEMA: &str = "vitals-headers-1";
/// Room for some 70,000 headers.
const FILE_BYTES_MAX: u64 = 128 << 20;

/// A file of headers that cannot be used.
#[derive(Debug, Error)]
pub enum HeadersError {
    /// The file cannot be read.
    #[error("the file of headers {path} is not accessible")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The content is something else.
    #[error("expected saved headers (schema {SCHEMA})")]
    Format(#[from] serde_json::Error),
    /// Of another schema, chain or contract.
    #[error("expected headers of this deployment in schema {SCHEMA}, found others")]
    Deployment,
    /// Not 832 bytes in hex.
    #[error("expected a header in hex at index {index}")]
    Hex {
        /// Index in the file, from 0.
        index: usize,
    },
    /// The bytes are no header.
    #[error("expected a header at index {index}")]
    Header {
        /// Index in the file, from 0.
        index: usize,
        /// What is wrong.
        source: HeaderError,
    },
    /// The hash beside a header is another header's.
    #[error("expected the hash of the header at index {index}, found another")]
    Hash {
        /// Index in the file, from 0.
        index: usize,
    },
    /// An edge beside a header is no field element.
    #[error("expected edges in hex beside the header at index {index}")]
    Edge {
        /// Index in the file, from 0.
        index: usize,
    },
    /// A transaction beside a header is no hash.
    #[error("expected the hash of a transaction in hex beside the header at index {index}")]
    Transaction {
        /// Index in the file, from 0.
        index: usize,
    },
    /// Two neighbours are not linked by number and hash.
    #[error("expected the header at index {index} to follow the one before it")]
    Link {
        /// Index in the file, from 0.
        index: usize,
    },
}

#[derive(Deserialize)]
struct File {
    schema: String,
    chain_id: Option<u64>,
    settlement: Option<String>,
    headers: Vec<Saved>,
}

/// A header alone, or with its hash beside it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Saved {
    Words(String),
    WithHash {
        hash: String,
        words: String,
        #[serde(default)]
        edges: Vec<String>,
        verified: Option<Verified>,
    },
}

/// What the auditor found of a batch; its transaction is read, and the rest is the auditor's.
#[derive(Deserialize)]
struct Verified {
    transaction: String,
}

/// Reads saved headers. That they are settled is what the auditor checked; here they are checked
/// to be of this deployment as far as the file says, and each to follow the one before.
///
/// # Errors
/// [`HeadersError`] that names the header.
pub fn read(path: &Path, deployment: ChainScope) -> Result<Vec<BatchHeader>, HeadersError> {
    let wrong = |source| HeadersError::File { path: path.to_owned(), source };
    from_json(
        &files::read(path, FILE_BYTES_MAX, files::Audience::Public).map_err(wrong)?,
        deployment,
    )
}

/// Reads the content of a file of saved headers.
///
/// # Errors
/// As [`read`].
pub fn from_json(json: &[u8], deployment: ChainScope) -> Result<Vec<BatchHeader>, HeadersError> {
    let file: File = serde_json::from_slice(json)?;
    // Older files name neither; where a file names them, they have to be ours.
    let contract = match &file.settlement {
        None => true,
        Some(text) => crate::identity::parse_address("settlement", text)
            .is_ok_and(|address| address.0 == deployment.contract),
    };
    let chain = file.chain_id.is_none_or(|id| id == deployment.chain_id);
    if file.schema != SCHEMA || !contract || !chain {
        return Err(HeadersError::Deployment);
    }
    let headers: Vec<_> =
        file.headers.iter().enumerate().map(header).collect::<Result<_, HeadersError>>()?;
    let follows = |pair: &[BatchHeader]| {
        pair[0].number.0.checked_add(1) == Some(pair[1].number.0)
            && pair[1].previous == scope::header_hash(&pair[0])
    };
    // A gap would hide batches, and with them whatever was read in them.
    match headers.windows(2).position(|pair| !follows(pair)) {
        Some(before) => Err(HeadersError::Link { index: before + 1 }),
        None => Ok(headers),
    }
}

/// The edges between chunks of claims that the auditor verified, by batch; a batch that has none is
/// one of a single chunk, or one whose file the auditor did not check.
///
/// # Errors
/// As [`read`].
pub fn read_edges(path: &Path) -> Result<BTreeMap<BatchNumber, Vec<Word>>, HeadersError> {
    let wrong = |source| HeadersError::File { path: path.to_owned(), source };
    edges_from_json(&files::read(path, FILE_BYTES_MAX, files::Audience::Public).map_err(wrong)?)
}

/// The edges in the content of a file of saved headers, which [`from_json`] accepts.
///
/// # Errors
/// As [`read`].
pub fn edges_from_json(json: &[u8]) -> Result<BTreeMap<BatchNumber, Vec<Word>>, HeadersError> {
    let file: File = serde_json::from_slice(json)?;
    let of = |(index, saved): (usize, &Saved)| {
        let number = header((index, saved))?.number;
        let edges = match saved {
            Saved::Words(_) => &[][..],
            Saved::WithHash { edges, .. } => edges.as_slice(),
        };
        let edges = edges.iter().map(|edge| Word::from_hex(edge)).collect::<Result<_, _>>();
        Ok((number, edges.map_err(|_| HeadersError::Edge { index })?))
    };
    file.headers.iter().enumerate().map(of).collect()
}

/// The transactions that settled batches, by batch, of those that the auditor verified.
///
/// # Errors
/// As [`read`].
pub fn read_transactions(path: &Path) -> Result<BTreeMap<BatchNumber, [u8; 32]>, HeadersError> {
    let wrong = |source| HeadersError::File { path: path.to_owned(), source };
    let json = files::read(path, FILE_BYTES_MAX, files::Audience::Public).map_err(wrong)?;
    let file: File = serde_json::from_slice(&json)?;
    let of = |(index, saved): (usize, &Saved)| {
        let Saved::WithHash { verified: Some(verified), .. } = saved else { return Ok(None) };
        let number = header((index, saved))?.number;
        let hash = hex(&verified.transaction).and_then(|bytes| bytes.try_into().ok());
        Ok(Some((number, hash.ok_or(HeadersError::Transaction { index })?)))
    };
    file.headers.iter().enumerate().map(of).filter_map(Result::transpose).collect()
}

fn header((index, saved): (usize, &Saved)) -> Result<BatchHeader, HeadersError> {
    let (words, hash) = match saved {
        Saved::Words(words) => (words, None),
        Saved::WithHash { hash, words, .. } => (words, Some(hash)),
    };
    let bytes = hex(words).ok_or(HeadersError::Hex { index })?;
    let header = BatchHeader::from_bytes(&bytes);
    let header = header.map_err(|source| HeadersError::Header { index, source })?;
    match hash.map(|hash| hex(hash)) {
        Some(Some(hash)) if hash == scope::header_hash(&header) => Ok(header),
        None => Ok(header),
        Some(_) => Err(HeadersError::Hash { index }),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()
}

/// The first batch whose window had closed at or after a journal position: settled with the
/// headers, whatever stands at that position is in or before that batch. Positions alone are
/// compared: whether what stands there is what a receipt promised, [`crate::compare`] says.
pub fn find_settling(headers: &[BatchHeader], position: Position) -> Option<&BatchHeader> {
    let first = headers.iter().find(|header| position <= header.journal_position)?;
    // Of headers that begin later than the first batch, the first one's own begin is not known.
    let begins_here = first.number.0 == 1 || headers.first() != Some(first);
    begins_here.then_some(first)
}

/// The journal positions of the batch of the header at this index; `None` of the first of headers
/// that begin later than the first batch: where it begins is not known.
pub fn span(headers: &[BatchHeader], at: usize) -> Option<JournalSpan> {
    let header = headers.get(at)?;
    let after = match at.checked_sub(1) {
        Some(before) => headers[before].journal_position,
        // Nothing precedes the first batch.
        None if header.number == BatchNumber(1) => Position(0),
        None => return None,
    };
    Some(JournalSpan { after, until: header.journal_position })
}
