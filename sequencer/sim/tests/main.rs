//! Runs of the simulation: that they go well, and that they are the same again.

use model::with_causes;
use sim::{Options, Outcome, run};

/// Runs of every build; a thousand by command (`README.md`).
const SEEDS: u64 = 20;

fn go(seed: u64) -> Outcome {
    match run(&Options::of_seed(seed)) {
        Ok(outcome) => outcome,
        Err(failed) => panic!(
            "{}\n{}\nagain with: cargo run --release -p sim -- --trace --seed {seed}",
            with_causes(&failed),
            failed.trace
        ),
    }
}

#[test]
fn whatever_fails_everything_acknowledged_is_there_and_all_is_well_after_it() {
    for seed in 0..SEEDS {
        let outcome = go(seed);
        let held = outcome.held;
        assert!(held.frames > 100 && held.receipts > 10 && held.windows > 3, "{seed}: {held:?}");
    }
}

#[test]
fn equal_seeds_give_equal_traces_and_other_seeds_others() {
    let [first, again, other] = [3, 3, 4].map(|seed| go(seed).trace);
    assert_eq!(first, again);
    assert_ne!(first, other);
}
