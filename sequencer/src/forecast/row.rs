//! What one candidate would have made of what arrived.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::replay::Replayed;
use super::timeline::Settled;

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is not as the node has it; nothing in the first row.
    pub set: BTreeMap<String, String>,
    /// Windows that end within what was recorded.
    pub batches: u64,
    /// Of these, without a proof.
    pub empty_batches: u64,
    /// Operations in them.
    pub operations: u64,
    /// Claims in them.
    pub claims: u64,
    /// Proofs.
    pub proofs: u64,
    /// Proofs by the name of their shape.
    pub proofs_by_shape: BTreeMap<String, u64>,
    /// Share of the places for claims that stay empty; none without any place.
    pub padding_ratio: Option<f64>,
    /// CPU seconds of all proofs.
    pub prove_cpu_seconds: f64,
    /// From an operation's effect until it is on the chain, seconds: the median.
    pub wait_p50_seconds: Option<f64>,
    /// The same of the slowest in a hundred.
    pub wait_p99_seconds: Option<f64>,
    /// Settling transactions.
    pub transactions: u64,
    /// Gas of all of them.
    pub gas: u64,
    /// What that is a day.
    pub day: Day,
    /// What is in the window that is open at the end.
    pub left: Left,
    /// Operations that would have had to come again after the end of their window (C1.17), and were
    /// taken then.
    pub put_off: u64,
    /// Entries that would not have been taken: what follows from an operation that was not.
    pub refused: u64,
}

/// Sums for 24 hours, by the time that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// Batches.
    pub batches: f64,
    /// Proofs.
    pub proofs: f64,
    /// CPU seconds of proofs.
    pub prove_cpu_seconds: f64,
    /// Gas.
    pub gas: f64,
    /// Ether, where a price was given.
    pub cost_ether: Option<f64>,
}

/// What no window of the candidate had by the end of the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Operations.
    pub operations: u64,
    /// Claims, as they would be if the window ended there.
    pub claims: u64,
}

/// What a row is made of.
pub(super) struct Made<'a> {
    pub(super) set: BTreeMap<String, String>,
    pub(super) operations_shape: &'static str,
    pub(super) replayed: &'a Replayed,
    pub(super) settled: &'a Settled,
    pub(super) gas_price_gwei: Option<f64>,
}

impl Row {
    pub(super) fn of(made: Made<'_>) -> Row {
        let Made { replayed, settled, .. } = made;
        let windows = &replayed.windows;
        let mut proofs_by_shape: BTreeMap<String, u64> = BTreeMap::new();
        let (mut places, mut taken) = (0, 0);
        for window in windows {
            let operations = (made.operations_shape, window.layout.operations);
            let claims = window.layout.claims.iter().map(|(shape, count)| (*shape, *count));
            for (shape, count) in claims.chain([operations]).filter(|(_, count)| *count > 0) {
                *proofs_by_shape.entry(shape.to_owned()).or_default() += count as u64;
            }
            places += window.layout.places;
            taken += window.layout.taken;
        }
        let proofs = proofs_by_shape.values().sum();
        let is_empty = |window: &&_| is_without_proofs(window);
        let waits = waits(replayed, settled);
        let prove_cpu_seconds = settled.prove_ms as f64 / 1000.0;
        let batches = windows.len() as u64;
        let day = |sum: f64| sum * 86_400_000.0 / replayed.ms.max(1) as f64;
        let gas = day(settled.gas as f64);
        Row {
            set: made.set,
            batches,
            empty_batches: windows.iter().filter(is_empty).count() as u64,
            operations: windows.iter().map(|window| window.operations.len() as u64).sum(),
            claims: windows.iter().map(|window| window.claims as u64).sum(),
            proofs,
            proofs_by_shape,
            padding_ratio: (places > 0).then(|| (places - taken) as f64 / places as f64),
            prove_cpu_seconds,
            wait_p50_seconds: percentile(&waits, 50),
            wait_p99_seconds: percentile(&waits, 99),
            transactions: settled.transactions,
            gas: settled.gas,
            day: Day {
                batches: day(batches as f64),
                proofs: day(proofs as f64),
                prove_cpu_seconds: day(prove_cpu_seconds),
                gas,
                cost_ether: made.gas_price_gwei.map(|gwei| gas * gwei / 1e9),
            },
            left: Left {
                operations: replayed.left.operations as u64,
                claims: replayed.left.claims as u64,
            },
            put_off: replayed.put_off,
            refused: replayed.refused,
        }
    }
}

fn is_without_proofs(window: &super::replay::Window) -> bool {
    window.layout.operations == 0 && window.layout.claims.is_empty()
}

/// Milliseconds from each operation to the chain, the shortest first.
fn waits(replayed: &Replayed, settled: &Settled) -> Vec<u64> {
    let windows = replayed.windows.iter().zip(&settled.at);
    let mut waits: Vec<u64> = windows
        .flat_map(|(window, at)| window.operations.iter().map(|began| at.since(*began)))
        .collect();
    waits.sort_unstable();
    waits
}

/// The least wait that so many in a hundred do not exceed, seconds.
fn percentile(waits: &[u64], percent: usize) -> Option<f64> {
    let at = (waits.len() * percent).div_ceil(100).checked_sub(1)?;
    waits.get(at).map(|ms| *ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_wait_that_there_was() {
        let waits: Vec<u64> = (1..=200).map(|n| n * 1000).collect();
        assert_eq!(percentile(&waits, 50), Some(100.0));
        assert_eq!(percentile(&waits, 99), Some(198.0));
        assert_eq!(percentile(&waits[..1], 99), Some(1.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
