//! The file of headers that one audit leaves for the next.
//!
//! With each header stands whether its public file was checked. The next audit takes such batches
//! over, and so trusts whoever can write the file that they were checked. That they are the
//! contract's it finds out by itself: their headers are linked, and the next one names their hash.

use std::path::Path;

use alloy::primitives::B256;
use files::Audience;
use l1_contracts::{Deployment, SettledBatch};
use model::{BatchHeader, Millis, Position, Word, escape};
use serde::{Deserialize, Serialize};
use statement::scope;
use thiserror::Error;

use crate::check::{Settled, Tail};

/// A file that holds no saved headers of this deployment.
#[derive(Debug, Error)]
pub enum SavedHeadersError {
    /// The file cannot be read or written.
    #[error("the file of saved headers cannot be read or written")]
    File(#[from] std::io::Error),
    /// The content is something else.
    #[error("expected saved headers (schema {SCHEMA})")]
    Format(#[from] serde_json::Error),
    /// Of another format or deployment.
    #[error(
        "expected saved headers of {expected}, found those of {}: give another file",
        escape(found)
    )]
    Other {
        /// Schema, chain and contract expected, or the fingerprint.
        expected: String,
        /// The same as found.
        found: String,
    },
    /// There are more headers than a file holds.
    #[error(
        "expected headers that take at most {most} bytes, found {found}: the file is left as it was"
    )]
    TooLarge {
        /// Most bytes of a file.
        most: u64,
        /// What the headers take.
        found: u64,
    },
    /// A hash or header in it is malformed.
    #[error("expected header {number} in hexadecimal with its hash, found something else")]
    Header {
        /// Its number.
        number: usize,
    },
    /// A header in it does not follow the one before, or the genesis of the deployment.
    #[error("expected saved header {number} to follow the one before it, found another")]
    Row {
        /// Its number.
        number: u64,
    },
}

/// Name and version of the format.
const SCHEMA: &str = "vitals-headers-1";
/// As many headers as are read from a chain at most.
const HEADERS_MAX: u64 = 2_000_000;
/// Most bytes of a header in the file, with some of its edges.
const HEADER_BYTES: u64 = 2600;
/// Most bytes that are read, and so that are written.
const FILE_BYTES_MAX: u64 = HEADERS_MAX * HEADER_BYTES;

/// A header that an audit keeps for the next one, and for patients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedBatch {
    /// The header.
    pub header: BatchHeader,
    /// Whether its block was final: another header in its place is then another history.
    pub is_final: bool,
    /// The edges between its chunks of claims, if its proofs were verified: no header commits to
    /// them, and a patient's tags are made with them.
    pub edges: Vec<Word>,
    /// What its public file was found to be, if it was checked as the successor of one that was.
    pub verified: Option<Verified>,
}

/// A batch whose public file was checked: a later audit takes it over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// How late it settled, milliseconds.
    pub lateness_ms: u64,
    /// The settling transaction.
    pub transaction: B256,
    /// Its block.
    pub block: u64,
    /// The hash of that block.
    pub block_hash: B256,
    /// The last journal group up to its end.
    pub tail: Tail,
}

impl Verified {
    pub(crate) fn of(settled: &Settled, tail: Tail) -> Verified {
        let SettledBatch { lateness_ms, transaction, block, block_hash, .. } = settled.batch;
        Verified { lateness_ms, transaction, block, block_hash, tail }
    }
}

impl SavedBatch {
    /// As the chain's event was, if the batch is verified and final.
    pub(crate) fn settled(&self) -> Option<Settled> {
        let verified = self.verified.as_ref().filter(|_| self.is_final)?;
        let Verified { lateness_ms, transaction, block, block_hash, .. } = *verified;
        let header = self.header.clone();
        let block_time = header.window.t1().plus(lateness_ms);
        let header_hash = scope::header_hash(&header);
        let batch =
            SettledBatch { header, header_hash, lateness_ms, transaction, block, block_hash };
        Some(Settled { batch, block_time })
    }

    fn is_of(&self, other: &SavedBatch) -> bool {
        self.header == other.header
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    schema: String,
    chain_id: u64,
    settlement: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    headers: Vec<SavedHeader>,
}

/// Exactly what Solidity's `abi.encode(header)` gives, and its keccak256.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedHeader {
    hash: String,
    words: String,
    /// In hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edges: Vec<String>,
    /// Files without it are of audits that took every header for final.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verified: Option<SavedVerified>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedVerified {
    lateness_ms: u64,
    transaction: B256,
    block: u64,
    block_hash: B256,
    /// Number and last position of the journal group.
    group: u64,
    position: u64,
}

/// The headers in the file, each linked to the one before; none if there is no file yet.
///
/// # Errors
/// [`SavedHeadersError`] if the file is not one of this deployment.
pub fn read_saved(
    path: &Path,
    deployment: &Deployment,
) -> Result<Vec<SavedBatch>, SavedHeadersError> {
    // The first audit of a deployment has nothing to compare with.
    if !path.exists() {
        return Ok(Vec::new());
    }
    let saved: Saved =
        serde_json::from_slice(&files::read(path, FILE_BYTES_MAX, Audience::Public)?)?;
    let name =
        |schema: &str, chain_id, settlement: &str| format!("{schema} {chain_id} {settlement}");
    let expected = name(SCHEMA, deployment.chain_id, &deployment.settlement.to_string());
    let found = name(&saved.schema, saved.chain_id, &saved.settlement);
    if expected != found {
        return Err(SavedHeadersError::Other { expected, found });
    }
    // A chain for development that was made anew has the old chain's id, and the contract stands
    // where the old one did.
    let expected = deployment.fingerprint.to_string();
    if let Some(found) = saved.fingerprint.filter(|found| *found != expected) {
        let [expected, found] = [expected, found].map(|text| format!("fingerprint {text}"));
        return Err(SavedHeadersError::Other { expected, found });
    }
    let headers: Vec<_> =
        saved.headers.iter().zip(1..).map(read_header).collect::<Result<_, _>>()?;
    let genesis = scope::genesis_hash(deployment.scope(), genesis_time(deployment));
    let mut previous = genesis;
    for (saved, number) in headers.iter().zip(1..) {
        if saved.header.number.0 != number || saved.header.previous != previous {
            return Err(SavedHeadersError::Row { number });
        }
        previous = scope::header_hash(&saved.header);
    }
    Ok(headers)
}

/// What an audit that ends now leaves for the next: the first batches of `kept` that are verified
/// and final, and behind them what was `saved` before, as far as it is the same.
pub(crate) fn kept_so_far(saved: &[SavedBatch], kept: &[SavedBatch]) -> Vec<SavedBatch> {
    let done = kept.iter().take_while(|one| one.is_final && one.verified.is_some()).count();
    let behind = saved.iter().zip(kept).skip(done).take_while(|(old, new)| old.is_of(new));
    kept[..done].iter().chain(behind.map(|(old, _)| old)).cloned().collect()
}

/// Writes the headers, whole or not at all, with what the file holds of those that this audit did
/// not check; everybody may read them.
///
/// # Errors
/// [`SavedHeadersError`] if the file system refuses, or the file would be too large to be read.
pub fn save(
    path: &Path,
    deployment: &Deployment,
    headers: &[SavedBatch],
) -> Result<(), SavedHeadersError> {
    let text = write(path, deployment, headers)?;
    replace(path, &text, FILE_BYTES_MAX)
}

fn replace(path: &Path, text: &str, most: u64) -> Result<(), SavedHeadersError> {
    let found = text.len() as u64;
    // The next audit would refuse it, and what it replaces could be read.
    if found > most {
        return Err(SavedHeadersError::TooLarge { most, found });
    }
    // A write that breaks off must not take the only record of the past with it. What the chain
    // says is everybody's, and patients are handed the file.
    Ok(files::replace(path, &[text.as_bytes()], Audience::Public)?)
}

fn write(
    path: &Path,
    deployment: &Deployment,
    headers: &[SavedBatch],
) -> Result<String, SavedHeadersError> {
    // An audit that began later verified fewer proofs than those before it. A file that is no such
    // is replaced: it was refused before the work.
    let before = read_saved(path, deployment).unwrap_or_default();
    let headers = headers.iter().enumerate().map(|(at, new)| {
        let kept = before.get(at).filter(|old| new.verified.is_none() && old.is_of(new));
        write_header(new, kept)
    });
    let saved = Saved {
        schema: SCHEMA.to_owned(),
        chain_id: deployment.chain_id,
        settlement: deployment.settlement.to_string(),
        fingerprint: Some(deployment.fingerprint.to_string()),
        headers: headers.collect(),
    };
    Ok(serde_json::to_string_pretty(&saved)? + "\n")
}

/// Finds out whether the file can be written, before hours of work depend on it: one that is there
/// is replaced by its own bytes, one that is not is made and removed.
///
/// # Errors
/// [`SavedHeadersError::File`] if the file system refuses.
pub fn try_saving(path: &Path) -> Result<(), SavedHeadersError> {
    if path.is_file() {
        let bytes = files::read(path, FILE_BYTES_MAX, Audience::Public)?;
        return Ok(files::replace(path, &[&bytes], Audience::Public)?);
    }
    // What is there and no file, such as /dev/stdout, takes what it is given.
    if !path.exists() {
        files::create(path, &[], Audience::Public)?;
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn genesis_time(deployment: &Deployment) -> Millis {
    // Of 44 bits in every deployment that was read.
    deployment.genesis_time().unwrap_or_default()
}

fn write_header(new: &SavedBatch, kept: Option<&SavedBatch>) -> SavedHeader {
    let of = kept.unwrap_or(new);
    // The block of one that was not checked now is not known to be the one of then.
    let verified = of.verified.as_ref().map(|verified| SavedVerified {
        lateness_ms: verified.lateness_ms,
        transaction: verified.transaction,
        block: verified.block,
        block_hash: verified.block_hash,
        group: verified.tail.group,
        position: verified.tail.last.0,
    });
    let edges = if new.edges.is_empty() { &of.edges } else { &new.edges };
    SavedHeader {
        hash: hex::encode(scope::header_hash(&new.header)),
        words: hex::encode(new.header.to_bytes()),
        edges: edges.iter().map(|edge| edge.to_hex()).collect(),
        pending: !new.is_final,
        verified,
    }
}

fn read_header((saved, number): (&SavedHeader, usize)) -> Result<SavedBatch, SavedHeadersError> {
    let wrong = || SavedHeadersError::Header { number };
    let words = hex::decode(&saved.words).map_err(|_| wrong())?;
    let header = BatchHeader::from_bytes(&words).map_err(|_| wrong())?;
    // Of the words: a hash that somebody edited would else pass for what was seen.
    if hex::encode(scope::header_hash(&header)) != saved.hash {
        return Err(wrong());
    }
    let edges = saved.edges.iter().map(|edge| Word::from_hex(edge));
    let edges = edges.collect::<Result<_, _>>().map_err(|_| wrong())?;
    let verified = saved.verified.as_ref().map(|verified| Verified {
        lateness_ms: verified.lateness_ms,
        transaction: verified.transaction,
        block: verified.block,
        block_hash: verified.block_hash,
        tail: Tail { group: verified.group, last: Position(verified.position) },
    });
    Ok(SavedBatch { header, is_final: !saved.pending, edges, verified })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Deployment {
        serde_json::from_value(serde_json::json!({
            "schema": Deployment::SCHEMA, "chain_id": 31_337,
            "settlement": "0x1111111111111111111111111111111111111111",
            "code_hash": "0x".to_owned() + &"00".repeat(32), "block": 1, "genesis_time": 1,
            "runtime_hash": "0x".to_owned() + &"00".repeat(32), "fingerprint": "00".repeat(20),
            "registrar": "0x".to_owned() + &"00".repeat(32),
            "sequencer": "0x1111111111111111111111111111111111111111",
            "receipt_signer": "0x1111111111111111111111111111111111111111",
            "setup": "dev-insecure", "keys": [],
        }))
        .expect("a deployment")
    }

    #[test]
    fn saved_headers_come_back_for_their_deployment_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("headers.json");
        assert_eq!(read_saved(&path, &deployment()).expect("no file yet"), []);
        try_saving(&path).expect("can be made");
        assert!(!path.exists(), "a try leaves nothing behind");
        save(&path, &deployment(), &[]).expect("written");
        assert_eq!(read_saved(&path, &deployment()).expect("saved"), []);
        try_saving(&path).expect("can be replaced");
        assert_eq!(read_saved(&path, &deployment()).expect("as it was"), []);
        let other = Deployment { chain_id: 1, ..deployment() };
        let found = read_saved(&path, &other);
        assert!(matches!(found, Err(SavedHeadersError::Other { .. })));
        // The same contract on a chain that was made anew.
        let fingerprint = "11".repeat(20).parse().expect("a fingerprint");
        let anew = Deployment { fingerprint, ..deployment() };
        let found = read_saved(&path, &anew).expect_err("of another").to_string();
        assert!(found.contains("saved headers of fingerprint 1111-"), "{found}");
        assert!(try_saving(&folder.path().join("no/such/headers.json")).is_err());
        std::fs::write(&path, "{}").expect("written");
        assert!(matches!(read_saved(&path, &deployment()), Err(SavedHeadersError::Format(_))));
    }

    /// The most that a header without edges takes in the file.
    fn largest_header() -> u64 {
        let header = || SavedHeader {
            hash: "00".repeat(32),
            words: "00".repeat(BatchHeader::BYTES),
            edges: vec![],
            pending: true,
            verified: Some(SavedVerified {
                lateness_ms: u64::MAX,
                transaction: B256::ZERO,
                block: u64::MAX,
                block_hash: B256::ZERO,
                group: u64::MAX,
                position: u64::MAX,
            }),
        };
        let with = |count| {
            let headers = (0..count).map(|_| header()).collect();
            let (schema, settlement) = (SCHEMA.to_owned(), String::new());
            let saved = Saved { schema, chain_id: 1, settlement, fingerprint: None, headers };
            serde_json::to_string_pretty(&saved).expect("text").len() as u64
        };
        with(2) - with(1)
    }

    #[test]
    fn a_file_that_could_not_be_read_again_replaces_none() {
        let largest = largest_header();
        assert!(largest + 100 <= HEADER_BYTES, "{largest} bytes leave no room for edges");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("headers.json");
        save(&path, &deployment(), &[]).expect("written");
        let before = std::fs::read(&path).expect("saved");
        let text = write(&path, &deployment(), &[]).expect("text");
        let most = text.len() as u64 - 1;
        let refused = replace(&path, &text, most).expect_err("a byte too many").to_string();
        assert!(
            refused.contains(&format!("at most {most} bytes, found {}", most + 1)),
            "{refused}"
        );
        assert_eq!(std::fs::read(&path).expect("as it was"), before);
        replace(&path, &text, most + 1).expect("just as many");
    }

    #[test]
    fn a_saved_header_must_have_its_hash() {
        let words = "00".repeat(BatchHeader::BYTES);
        let hash = "00".repeat(32);
        let header = SavedHeader { hash, words, edges: vec![], pending: false, verified: None };
        let found = read_header((&header, 3));
        assert!(matches!(found, Err(SavedHeadersError::Header { number: 3 })));
    }
}
