//! What the vectors of files that left the rollup have in common.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use extract::{Expected, Fault, UsedHeader};
use model::ChainScope;

/// The deployment that the vectors are of.
pub(crate) static EXPECTED: LazyLock<Expected> = LazyLock::new(|| Expected {
    scope: ChainScope { chain_id: 31_337, contract: [0x5e; 20] },
    fingerprint: "the fingerprint of the tests".to_owned(),
});

/// Names and reasons of the vectors, which no fault repeats.
const NAMED: [&str; 5] = ["dr-001", "dr-002", "dr-study", "monitor", "found on the floor"];

/// Whether the headers are such as settled.
pub(crate) fn are_known(used: &[UsedHeader], settled: &[UsedHeader]) -> bool {
    let settled: BTreeMap<_, _> = settled.iter().map(|one| (one.batch, one.hash)).collect();
    used.iter().all(|one| settled.get(&one.batch) == Some(&one.hash))
}

/// A fault is shown to whoever is handed the file, and kept in their logs.
pub(crate) fn says_nothing(fault: &Fault) {
    let said = fault.to_string();
    assert!(!NAMED.iter().any(|name| said.contains(name)), "repeated: {said}");
}
