//! What a `settle` transaction costs, from what was measured.
//!
//! Parts of the figures in `snapshots/gas.json` and of transactions on the embedded chain, which
//! executes with the rules of Osaka. `the_model_is_within_one_percent_of_the_snapshots` compares
//! both; the node's test of its forecast compares with transactions that settled.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Rules by which a base chain counts gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fork {
    /// Fusaka's execution rules: those of the embedded chain and of the snapshots.
    #[default]
    Osaka,
    /// Glamsterdam's: computed from its price list, not measured.
    Amsterdam,
}

/// No fork that is priced.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a fork that is priced, {}, found {found}", Fork::NAMES.join(" or "))]
pub struct UnknownFork {
    /// What was found.
    pub found: String,
}

/// A batch as far as its gas depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchGas {
    /// Proofs of operations.
    pub operation_proofs: u64,
    /// Proofs of claims.
    pub claim_proofs: u64,
}

/// A transaction that settles batches.
#[derive(Clone, Copy, Debug)]
pub struct SettleGas<'a> {
    /// Its batches.
    pub batches: &'a [BatchGas],
    /// Under how many keys the proofs of claims are.
    pub claim_keys: u64,
}

/// Execution of one batch without a proof.
const FIRST_BATCH: u64 = 30_837;
/// Execution of each further one.
const FURTHER_BATCH: u64 = 19_070;
/// What a transaction with proofs pays once: two shared pairs, the pairing's own price, the sum of
/// alpha, and opening the items.
const WITH_PROOFS: u64 = 134_430;
/// A key of operations: a pair, and a product for each of its 13 input points.
const OPERATIONS_KEY: u64 = 126_860;
/// A key of claims: as that with 14.
const CLAIMS_KEY: u64 = 134_000;
/// A proof: a pair, two products, its share of the transcript; one of claims has an input more.
const OPERATION_PROOF: u64 = 56_250;
const CLAIM_PROOF: u64 = 57_010;
/// What every transaction pays.
const BASE: u64 = 21_000;
/// Bytes of calldata besides batches and proofs.
const CALL_BYTES: u64 = 68;
/// Bytes of a batch, and of a proof with its chunk.
const BATCH_BYTES: u64 = 1_056;
const PROOF_BYTES: u64 = 464;
/// Gas of these bytes, 4 for a zero and 16 for another one.
const CALL_GAS: u64 = 400;
const BATCH_BYTES_GAS: u64 = 6_760;
const PROOF_BYTES_GAS: u64 = 6_102;
/// What Osaka counts for calldata at least is 2.5 times what it usually is (EIP-7623).
const FLOOR_TENTHS: u64 = 25;
/// More for execution on Amsterdam: 9,000 less for the transaction, and slots that are overwritten
/// cost 10,000 in place of 2,900 (EIP-2780, EIP-8038).
const AMSTERDAM_MORE: u64 = 16_800;
const AMSTERDAM_MORE_A_BATCH: u64 = 150;
/// On Amsterdam a transaction costs so much at least, and 64 for each byte of calldata (EIP-7976).
const AMSTERDAM_FLOOR: u64 = 15_000;
const AMSTERDAM_FLOOR_A_BYTE: u64 = 64;

impl Fork {
    /// Both.
    pub const NAMES: [&str; 2] = ["osaka", "amsterdam"];
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Fork::NAMES[*self as usize])
    }
}

impl FromStr for Fork {
    type Err = UnknownFork;

    fn from_str(name: &str) -> Result<Fork, UnknownFork> {
        match name {
            "osaka" => Ok(Fork::Osaka),
            "amsterdam" => Ok(Fork::Amsterdam),
            found => Err(UnknownFork { found: found.to_owned() }),
        }
    }
}

impl SettleGas<'_> {
    /// Gas of the whole transaction.
    pub fn of(&self, fork: Fork) -> u64 {
        let usual = BASE + self.execution() + self.calldata_gas();
        match fork {
            Fork::Osaka => usual.max(BASE + self.calldata_gas() * FLOOR_TENTHS / 10),
            Fork::Amsterdam => {
                let further = self.batches.len().saturating_sub(1) as u64;
                let usual = usual + AMSTERDAM_MORE + AMSTERDAM_MORE_A_BATCH * further;
                usual.max(AMSTERDAM_FLOOR + AMSTERDAM_FLOOR_A_BYTE * self.calldata_bytes())
            }
        }
    }

    /// Gas of execution alone.
    pub fn execution(&self) -> u64 {
        let further = self.batches.len().saturating_sub(1) as u64;
        let batches = FIRST_BATCH + FURTHER_BATCH * further;
        let (operations, claims) = self.proofs();
        if operations + claims == 0 {
            return batches;
        }
        let operations_key = if operations > 0 { OPERATIONS_KEY } else { 0 };
        let keys = operations_key + CLAIMS_KEY * self.claim_keys;
        batches + WITH_PROOFS + keys + OPERATION_PROOF * operations + CLAIM_PROOF * claims
    }

    /// Bytes of calldata.
    pub fn calldata_bytes(&self) -> u64 {
        CALL_BYTES + BATCH_BYTES * self.batches.len() as u64 + PROOF_BYTES * self.all_proofs()
    }

    fn calldata_gas(&self) -> u64 {
        let batches = self.batches.len() as u64;
        CALL_GAS + BATCH_BYTES_GAS * batches + PROOF_BYTES_GAS * self.all_proofs()
    }

    /// Proofs of operations, and of claims.
    fn proofs(&self) -> (u64, u64) {
        let sum = |of: fn(&BatchGas) -> u64| self.batches.iter().map(of).sum();
        (sum(|batch| batch.operation_proofs), sum(|batch| batch.claim_proofs))
    }

    fn all_proofs(&self) -> u64 {
        let (operations, claims) = self.proofs();
        operations + claims
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn batch(operation_proofs: u64, claim_proofs: u64) -> BatchGas {
        BatchGas { operation_proofs, claim_proofs }
    }

    fn snapshot(name: &str, figure: &str) -> u64 {
        let all: Value = serde_json::from_str(include_str!("../snapshots/gas.json")).unwrap();
        let found = all[format!("settle: {name}, {figure}")].as_str();
        found.unwrap_or_else(|| panic!("{name}, {figure}")).parse().unwrap()
    }

    fn check(name: &str, batches: &[BatchGas], claim_keys: u64) {
        let settle = SettleGas { batches, claim_keys };
        for (figure, found) in [
            ("execution", settle.execution()),
            ("transaction", settle.of(Fork::Osaka)),
            ("calldata bytes", settle.calldata_bytes()),
        ] {
            let expected = snapshot(name, figure);
            let apart = expected.abs_diff(found);
            assert!(apart * 100 <= expected, "{name}, {figure}: {expected}, found {found}");
        }
    }

    #[test]
    fn the_model_is_within_one_percent_of_the_snapshots() {
        check("1 batch, no proof", &[batch(0, 0)], 0);
        check("1 batch, 2 proofs, 2 keys", &[batch(1, 1)], 1);
        check("1 batch, 8 proofs, 2 keys", &[batch(4, 4)], 1);
        // Two of its three keys are of operations, which a node has one of; the second costs
        // little less than one of claims does.
        let five = [batch(1, 1), batch(1, 1), batch(1, 1), batch(1, 0), batch(0, 1)];
        check("5 batches, 8 proofs, 3 keys", &five, 2);
    }

    #[test]
    fn the_model_is_within_a_thousandth_of_transactions_that_settled() {
        // Of the embedded chain, in this order: the day of the demo on a ward of eight patients,
        // with chunks of one operation, and claims in chunks of two shapes.
        for (operations, claims, keys, gas) in
            [(24, 0, 0, 1_815_002_u64), (3, 8, 2, 1_280_166), (3, 2, 2, 901_496)]
        {
            let batches = [batch(operations, claims)];
            let found = SettleGas { batches: &batches, claim_keys: keys }.of(Fork::Osaka);
            assert!(found.abs_diff(gas) * 1000 <= gas, "{gas}, found {found}");
        }
    }

    #[test]
    fn on_amsterdam_a_window_without_proofs_costs_its_calldata() {
        let empty = SettleGas { batches: &[batch(0, 0)], claim_keys: 0 };
        assert_eq!(empty.of(Fork::Amsterdam), 15_000 + 64 * 1_124);
        let full = SettleGas { batches: &[batch(4, 4)], claim_keys: 1 };
        assert_eq!(full.of(Fork::Amsterdam), full.of(Fork::Osaka) + 16_800);
    }

    #[test]
    fn forks_are_known_by_their_names() {
        for name in Fork::NAMES {
            assert_eq!(name.parse::<Fork>().unwrap().to_string(), name);
        }
        let error = "prague".parse::<Fork>().unwrap_err().to_string();
        assert_eq!(error, "expected a fork that is priced, osaka or amsterdam, found prague");
    }
}
