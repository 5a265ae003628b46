//! The smallest batches there are, for tests: journal groups and a close, in a window in which
//! nobody operated and nothing was claimed.
//!
//! Tests of other crates take this file in by its path, so that no program links it and no feature
//! turns it on.

use model::{BatchHeader, BatchNumber, DataSource, Millis, Position, Window, Word};
use statement::batch::{GroupSummary, PublicFile};
use statement::journal::journal_hash;

/// The header of a batch of nothing; its window is a second, by its number.
pub(crate) fn header(number: u64) -> BatchHeader {
    let at = |number: u64| Millis::new(1000 * number).expect("a small number");
    BatchHeader {
        number: BatchNumber(number),
        previous: [1; 32],
        window: Window::new(at(number), at(number + 1)).expect("a second"),
        root_in: Word::ZERO,
        root_out: Word::ZERO,
        forced_first: 0,
        forced_count: 0,
        forced_outcomes: [0; 32],
        operations_root: [0; 32],
        claims_root: [0; 32],
        operations: 0,
        enrolments: 0,
        access: 0,
        collect: 0,
        break_glass: 0,
        excluded: 0,
        data_root: [0; 32],
        journal_position: Position(number),
        journal_hash: [1; 32],
        registry_root: [0; 32],
        data_source: DataSource::Operator,
        ciphertext_hash: [2; 32],
        ciphertext_length: 0,
        key_version: BatchHeader::KEY_VERSION,
    }
}

/// Its public file.
pub(crate) fn public_file(header: BatchHeader, groups: Vec<GroupSummary>) -> PublicFile {
    let (operations, claims, segments) = (Vec::new(), Vec::new(), Vec::new());
    PublicFile { header, operations, claims, segments, groups }
}

/// A journal group of these positions, first and last, whose content is a byte over and over.
pub(crate) fn group(number: u64, [first, last]: [u64; 2], content: u8) -> GroupSummary {
    GroupSummary { number, first: Position(first), last: Position(last), content: [content; 32] }
}

/// The journal hash after each of some groups.
pub(crate) fn hashes(before: [u8; 32], groups: &[GroupSummary]) -> Vec<[u8; 32]> {
    let mut hash = before;
    let after = groups.iter().map(|group| {
        hash = journal_hash(&hash, group);
        hash
    });
    after.collect()
}
