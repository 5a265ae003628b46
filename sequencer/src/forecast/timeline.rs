//! When batches would have been assembled and settled: a model of workers and blocks.
//!
//! A chunk waits for a free worker, in the order of windows, and takes one core for as long as its
//! proof does. A batch is assembled once all its chunks and the batch before are. The settler looks
//! every `settle.poll_ms`, half of that on average after there is something; it takes what is
//! assembled by then, `settle.batches_max` and `settle.gas_max` at most, into one transaction,
//! which is in the next block. It waits for that block before the next one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use l1_contracts::gas::{BatchGas, Fork, SettleGas};
use model::Millis;

use super::replay::Window;

/// What proves and settles.
#[derive(Clone, Debug)]
pub(super) struct Machinery {
    /// Chunks proven at once.
    pub(super) workers: usize,
    /// Milliseconds of a proof, by shape.
    pub(super) proof_ms: BTreeMap<&'static str, u64>,
    /// Shape of operations.
    pub(super) operations_shape: &'static str,
    /// Between two looks of the settler.
    pub(super) poll_ms: u64,
    /// Between two blocks; 0 where each transaction has its own at once.
    pub(super) block_ms: u64,
    pub(super) batches_max: usize,
    pub(super) gas_max: u64,
    pub(super) fork: Fork,
}

/// What became of all windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// When each batch is on the chain.
    pub(super) at: Vec<Millis>,
    pub(super) transactions: u64,
    pub(super) gas: u64,
    /// Of all proofs.
    pub(super) prove_ms: u64,
}

impl Machinery {
    /// Proves and settles windows in order.
    pub(super) fn run(&self, windows: &[Window]) -> Settled {
        let (assembled, prove_ms) = self.assemble(windows);
        let mut settled = Settled { prove_ms, ..Settled::default() };
        let mut free = Millis::UNBOUNDED_PAST;
        while settled.at.len() < windows.len() {
            let first = settled.at.len();
            let begun = free.max(assembled[first]).plus(self.poll_ms / 2);
            let ready = assembled[first..].iter().take_while(|at| **at <= begun).count();
            let (count, gas) = self.fit(&windows[first..first + ready.max(1)]);
            let mined = self.next_block(begun);
            settled.at.extend(std::iter::repeat_n(mined, count));
            settled.transactions += 1;
            settled.gas += gas;
            free = mined;
        }
        settled
    }

    /// When each batch is assembled, and the time of all proofs.
    fn assemble(&self, windows: &[Window]) -> (Vec<Millis>, u64) {
        let workers = (0..self.workers.max(1)).map(|_| Reverse(Millis::UNBOUNDED_PAST));
        let mut workers: BinaryHeap<_> = workers.collect();
        let (mut all, mut before, mut prove_ms) = (Vec::new(), Millis::UNBOUNDED_PAST, 0);
        for window in windows {
            let mut last = window.t1;
            for ms in self.proofs(window) {
                let Some(Reverse(free)) = workers.pop() else { break };
                let done = free.max(window.t1).plus(ms);
                workers.push(Reverse(done));
                last = last.max(done);
                prove_ms += ms;
            }
            before = before.max(last);
            all.push(before);
        }
        (all, prove_ms)
    }

    /// Milliseconds of each of a window's proofs, operations first.
    fn proofs(&self, window: &Window) -> impl Iterator<Item = u64> {
        let ms = |shape: &str| self.proof_ms.get(shape).copied().unwrap_or_default();
        let operations = std::iter::repeat_n(ms(self.operations_shape), window.layout.operations);
        let claims = window.layout.claims.iter();
        let claims = claims.flat_map(move |(shape, count)| std::iter::repeat_n(ms(shape), *count));
        operations.chain(claims)
    }

    /// How many of these batches one transaction takes, one at least, and its gas.
    fn fit(&self, ready: &[Window]) -> (usize, u64) {
        let most = ready.len().min(self.batches_max.max(1));
        let gas = |count: usize| self.gas(&ready[..count]);
        let fits = (2..=most).take_while(|count| gas(*count) <= self.gas_max).last();
        let count = fits.unwrap_or(1);
        (count, gas(count))
    }

    fn gas(&self, windows: &[Window]) -> u64 {
        let batch = |window: &Window| BatchGas {
            operation_proofs: window.layout.operations as u64,
            claim_proofs: window.layout.claims.values().map(|count| *count as u64).sum(),
        };
        let batches: Vec<_> = windows.iter().map(batch).collect();
        let shapes = windows.iter().flat_map(|window| window.layout.claims.keys());
        let claim_keys = shapes.collect::<std::collections::BTreeSet<_>>().len() as u64;
        SettleGas { batches: &batches, claim_keys }.of(self.fork)
    }

    fn next_block(&self, at: Millis) -> Millis {
        if self.block_ms == 0 {
            return at;
        }
        // Blocks stand at multiples of their time, as slots do.
        at.plus(self.block_ms - at.unix_ms() % self.block_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::*;

    const T0: u64 = 4_000_000_000_000;

    fn at(ms: u64) -> Millis {
        Millis::new(T0 + ms).unwrap()
    }

    /// A window that ends then, with so many proofs of claims.
    fn window(t1: u64, claims: usize) -> Window {
        let claims_by_shape = BTreeMap::from([("c2-17", claims)]);
        let layout = Layout { claims: claims_by_shape, ..Layout::default() };
        Window { t1: at(t1), operations: vec![], claims, layout }
    }

    fn machinery() -> Machinery {
        Machinery {
            workers: 2,
            proof_ms: BTreeMap::from([("c1-17", 1_000), ("c2-17", 1_000)]),
            operations_shape: "c1-17",
            poll_ms: 200,
            block_ms: 0,
            batches_max: 8,
            gas_max: 16_000_000,
            fork: Fork::Osaka,
        }
    }

    #[test]
    fn chunks_take_free_workers_in_order_and_batches_are_assembled_in_order() {
        let windows = [window(0, 3), window(100, 1), window(10_000, 0)];
        let (assembled, prove_ms) = machinery().assemble(&windows);
        // Three on two workers take two turns; the fourth goes beside the third.
        assert_eq!(assembled, [at(2_000), at(2_000), at(10_000)]);
        assert_eq!(prove_ms, 4_000);
        let one = Machinery { workers: 1, ..machinery() };
        assert_eq!(one.assemble(&windows).0, [at(3_000), at(4_000), at(10_000)]);
    }

    #[test]
    fn what_is_assembled_by_the_look_shares_a_transaction_up_to_the_limits() {
        let windows = [window(0, 1), window(10, 1), window(20, 1)];
        let free = Machinery { workers: 3, ..machinery() };
        let settled = free.run(&windows);
        assert_eq!((settled.transactions, settled.at), (1, vec![at(1_100); 3]));
        let alone = Machinery { batches_max: 1, ..free.clone() }.run(&windows);
        assert_eq!((alone.transactions, alone.at[2]), (3, at(1_300)));
        let gas = alone.gas;
        assert!(settled.gas < gas, "a key is paid for once a transaction");
        let small = Machinery { gas_max: settled.gas - 1, ..free }.run(&windows);
        assert_eq!(small.transactions, 2);
    }

    #[test]
    fn a_transaction_is_in_the_next_block_and_the_next_one_waits_for_it() {
        let windows = [window(0, 0), window(1_000, 0), window(2_000, 0)];
        let slots = Machinery { block_ms: 12_000, ..machinery() };
        let settled = slots.run(&windows);
        assert!(settled.at.iter().all(|at| at.unix_ms() % 12_000 == 0), "{settled:?}");
        // The first alone, for nothing else was there; the others in one behind its block.
        assert_eq!(settled.transactions, 2);
        assert_eq!(settled.at[1].since(settled.at[0]), 12_000);
        assert_eq!(settled.at[1], settled.at[2]);
    }
}
