//! The file of headers that one audit leaves for the next.

use std::collections::BTreeMap;
use std::path::Path;

use files::Audience;
use l1_contracts::Deployment;
use model::{BatchHeader, Word};
use serde::{Deserialize, Serialize};
use statement::scope;
use thiserror::Error;

/// A file that holds no saved headers of this deployment.
#[derive(Debug, Error)]
pub enum SavedHeadersError {
    /// The file cannot be read or written.
    #[error("the file of saved headers is not accessible")]
    File(#[from] std::io::Error),
    /// The content is something else.
    #[error("expected saved headers (schema {SCHEMA})")]
    Format(#[from] serde_json::Error),
    /// Of another format or deployment.
    #[error("expected saved headers of {expected}, found those of {found}")]
    Other {
        /// Schema, chain and contract expected.
        expected: String,
        /// Schema, chain and contract found.
        found: String,
    },
    /// A hash or header in it is malformed.
    #[error("expected header {number} in hexadecimal with its hash, found something else")]
    Header {
        /// Its number.
        number: usize,
    },
}

/// Name and version of the format.
const SCHEMA: &str = "vitals-headers-1";
/// Room for some 70,000 headers.
const FILE_BYTES_MAX: u64 = 128 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    schema: String,
    chain_id: u64,
    settlement: String,
    headers: Vec<SavedHeader>,
}

/// Exactly what Solidity's `abi.encode(header)` gives, and its keccak256.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedHeader {
    hash: String,
    words: String,
    /// The edges between its chunks of claims, in hexadecimal, if its proofs were verified: no
    /// header commits to them, and a patient's tags are made with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edges: Vec<String>,
}

/// The edges between the chunks of claims of each batch whose proofs were verified, by its number.
pub type Edges = BTreeMap<u64, Vec<Word>>;

/// The hashes of the headers in the file; none if there is no file yet.
///
/// # Errors
/// [`SavedHeadersError`] if the file is not one of this deployment.
pub fn read_saved(
    path: &Path,
    deployment: &Deployment,
) -> Result<Vec<[u8; 32]>, SavedHeadersError> {
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
    saved.headers.iter().enumerate().map(|(at, header)| hash(at + 1, header)).collect()
}

/// The edges that an earlier audit kept, by the hash of their header; none of a file that is no
/// such: the new one takes its place.
fn read_edges(path: &Path) -> BTreeMap<String, Vec<String>> {
    let saved = files::read(path, FILE_BYTES_MAX, Audience::Public).ok();
    let saved = saved.and_then(|bytes| serde_json::from_slice::<Saved>(&bytes).ok());
    let headers = saved.map_or_else(Vec::new, |saved| saved.headers);
    headers.into_iter().map(|header| (header.hash, header.edges)).collect()
}

/// Writes the headers and edges, with the edges that the file holds of other batches, whole or not
/// at all; everybody may read them.
///
/// # Errors
/// [`SavedHeadersError`] if the file system refuses.
pub fn save(
    path: &Path,
    deployment: &Deployment,
    headers: &[BatchHeader],
    edges: &Edges,
) -> Result<(), SavedHeadersError> {
    // An audit that began later verified fewer proofs than those before it.
    let mut kept = read_edges(path);
    let headers = headers.iter().map(|header| {
        let hash = hex::encode(scope::header_hash(header));
        let verified = edges.get(&header.number.0);
        let edges = match verified {
            Some(edges) => edges.iter().map(|edge| edge.to_hex()).collect(),
            None => kept.remove(&hash).unwrap_or_default(),
        };
        SavedHeader { hash, words: hex::encode(header.to_bytes()), edges }
    });
    let saved = Saved {
        schema: SCHEMA.to_owned(),
        chain_id: deployment.chain_id,
        settlement: deployment.settlement.to_string(),
        headers: headers.collect(),
    };
    let text = serde_json::to_string_pretty(&saved)? + "\n";
    // A write that breaks off must not take the only record of the past with it. What the chain
    // says is everybody's, and patients are handed the file.
    Ok(files::replace(path, &[text.as_bytes()], Audience::Public)?)
}

fn hash(number: usize, header: &SavedHeader) -> Result<[u8; 32], SavedHeadersError> {
    let wrong = || SavedHeadersError::Header { number };
    let words = hex::decode(&header.words).map_err(|_| wrong())?;
    let decoded = BatchHeader::from_bytes(&words).map_err(|_| wrong())?;
    // Of the words: a hash that somebody edited would else pass for what was seen.
    let hash = scope::header_hash(&decoded);
    if hex::encode(hash) == header.hash { Ok(hash) } else { Err(wrong()) }
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
        assert_eq!(read_saved(&path, &deployment()).expect("no file yet"), [[0; 32]; 0]);
        save(&path, &deployment(), &[], &Edges::new()).expect("written");
        assert_eq!(read_saved(&path, &deployment()).expect("saved"), [[0; 32]; 0]);
        let other = Deployment { chain_id: 1, ..deployment() };
        let found = read_saved(&path, &other);
        assert!(matches!(found, Err(SavedHeadersError::Other { .. })));
        std::fs::write(&path, "{}").expect("written");
        assert!(matches!(read_saved(&path, &deployment()), Err(SavedHeadersError::Format(_))));
    }

    #[test]
    fn a_saved_header_must_have_its_hash() {
        let words = "00".repeat(BatchHeader::BYTES);
        let header = SavedHeader { hash: "00".repeat(32), words, edges: vec![] };
        assert!(matches!(hash(3, &header), Err(SavedHeadersError::Header { number: 3 })));
    }
}
