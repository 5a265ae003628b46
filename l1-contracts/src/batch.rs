//! Between a public batch file and the contract's ABI.

use alloy::primitives::{B256, Bytes, U256};
use model::{BatchHeader, HeaderError, Word};
use statement::batch::{ClaimsChunk, OperationsChunk, PublicFile};

use crate::bindings::ISettlement;

/// The calldata of one batch.
pub fn to_abi(file: &PublicFile) -> ISettlement::Batch {
    // Leaves, segments and groups stay in the file: the contract meets them as roots and hashes
    // only.
    ISettlement::Batch {
        header: header(&file.header),
        operations: file.operations.iter().map(operations).collect(),
        claims: file.claims.iter().map(claims).collect(),
        // The contract refuses any attestation: no statement gives it a meaning.
        attestation: Bytes::new(),
    }
}

/// The header that the contract emitted.
///
/// # Errors
/// [`HeaderError`] if a word is wider than its type: no contract of ours emits that.
pub fn from_abi(header: &ISettlement::Header) -> Result<BatchHeader, HeaderError> {
    let forced = &header.forced;
    let number = |n: &U256| n.to_be_bytes::<32>();
    let words: [[u8; 32]; BatchHeader::WORDS] = [
        number(&header.version),
        number(&header.number),
        header.previous.0,
        number(&header.t0),
        number(&header.t1),
        number(&header.rootIn),
        number(&header.rootOut),
        number(&forced.first),
        number(&forced.count),
        number(&forced.outcomes),
        header.operationsRoot.0,
        header.claimsRoot.0,
        number(&header.operations),
        number(&header.enrolments),
        number(&header.access),
        number(&header.collect),
        number(&header.breakGlass),
        number(&header.excluded),
        header.dataRoot.0,
        number(&header.journalPosition),
        header.journalHash.0,
        header.registryRoot.0,
        number(&header.dataSource),
        header.ciphertextHash.0,
        number(&header.ciphertextLength),
        number(&header.keyVersion),
    ];
    // By way of the canonical bytes, so that one place decides which words a header may have.
    BatchHeader::from_bytes(&words.concat())
}

fn header(header: &BatchHeader) -> ISettlement::Header {
    // By way of the canonical words, because the header's hash is over them and over the ABI alike.
    let words = header.to_words();
    let number = |word: usize| U256::from_be_bytes(words[word]);
    let hash = |word: usize| B256::from(words[word]);
    ISettlement::Header {
        version: number(0),
        number: number(1),
        previous: hash(2),
        t0: number(3),
        t1: number(4),
        rootIn: number(5),
        rootOut: number(6),
        forced: ISettlement::Forced { first: number(7), count: number(8), outcomes: number(9) },
        operationsRoot: hash(10),
        claimsRoot: hash(11),
        operations: number(12),
        enrolments: number(13),
        access: number(14),
        collect: number(15),
        breakGlass: number(16),
        excluded: number(17),
        dataRoot: hash(18),
        journalPosition: number(19),
        journalHash: hash(20),
        registryRoot: hash(21),
        dataSource: number(22),
        ciphertextHash: hash(23),
        ciphertextLength: number(24),
        keyVersion: number(25),
    }
}

fn operations(chunk: &OperationsChunk) -> ISettlement::OperationsChunk {
    ISettlement::OperationsChunk {
        keyId: chunk.key_id.into(),
        rootOut: word(&chunk.root_out),
        timeOut: U256::from(chunk.time_out),
        operations: U256::from(chunk.operations),
        enrolments: U256::from(chunk.enrolments),
        operationsRoot: word(&chunk.operations_root),
        proof: proof(&chunk.proof),
    }
}

fn claims(chunk: &ClaimsChunk) -> ISettlement::ClaimsChunk {
    ISettlement::ClaimsChunk {
        keyId: chunk.key_id.into(),
        claimsRoot: word(&chunk.claims_root),
        access: U256::from(chunk.access),
        collect: U256::from(chunk.collect),
        breakGlass: U256::from(chunk.break_glass),
        excluded: U256::from(chunk.excluded),
        edgeOut: word(&chunk.edge_out),
        proof: proof(&chunk.proof),
    }
}

fn word(word: &Word) -> U256 {
    U256::from_be_bytes(word.to_bytes())
}

fn proof(bytes: &[u8; 256]) -> [U256; 8] {
    std::array::from_fn(|i| U256::from_be_slice(&bytes[32 * i..32 * i + 32]))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::keccak256;
    use alloy::sol_types::SolValue;
    use model::{BatchNumber, DataSource, Millis, Position, Window};

    use super::*;

    fn sample() -> BatchHeader {
        let window = Window::new(Millis::new(1000).unwrap(), Millis::new(2000).unwrap()).unwrap();
        BatchHeader {
            number: BatchNumber(3),
            previous: [1; 32],
            window,
            root_in: Word::from_u64(5),
            root_out: Word::from_u64(6),
            forced_first: 1,
            forced_count: 2,
            forced_outcomes: [3; 32],
            operations_root: [2; 32],
            claims_root: [3; 32],
            operations: 4,
            enrolments: 1,
            access: 10,
            collect: 20,
            break_glass: 1,
            excluded: 7,
            data_root: [4; 32],
            journal_position: Position(999),
            journal_hash: [5; 32],
            registry_root: [6; 32],
            data_source: DataSource::Calldata,
            ciphertext_hash: [7; 32],
            ciphertext_length: 12,
            key_version: BatchHeader::KEY_VERSION,
        }
    }

    #[test]
    fn the_header_round_trips_and_hashes_as_solidity_encodes_it() {
        let abi = header(&sample());
        assert_eq!(from_abi(&abi), Ok(sample()));
        let native = statement::scope::header_hash(&sample());
        assert_eq!(keccak256(abi.abi_encode()).0, native);
    }
}
