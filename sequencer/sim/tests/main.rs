//! Runs of the simulation: that they go well, that they are the same again, and that they fail
//! where something is wrong.

use model::with_causes;
use sim::{Options, Outcome, Planted, Violation, Why, run};

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
    let mut from_snapshot = 0;
    for seed in 0..SEEDS {
        let outcome = go(seed);
        let held = outcome.held;
        assert!(held.frames > 100 && held.receipts > 10 && held.windows > 3, "{seed}: {held:?}");
        assert!(held.settled > 3, "{seed}: {held:?}");
        from_snapshot += held.starts_from_snapshot;
    }
    assert!(from_snapshot >= SEEDS, "{from_snapshot} starts from a snapshot");
}

#[test]
fn equal_seeds_give_equal_traces_and_other_seeds_others() {
    let [first, again, other, other_again] = [1, 1, 3, 3].map(|seed| go(seed).trace);
    assert_eq!(first, again);
    assert_eq!(other, other_again);
    assert_ne!(first, other);
}

#[test]
fn a_disk_that_lies_is_found_and_its_seed_is_named() {
    let planted = Planted::LyingDisk;
    let failed = run(&Options { planted, ..Options::of_seed(5) }).expect_err("a lost promise");
    // What is left of a disk that lied is a journal without what was promised, or none at all.
    let (lost, said) = (&failed.why, with_causes(&failed));
    let found = matches!(lost, Why::Violation(Violation::Lost { .. } | Violation::NotOpened(_)));
    assert!(found && said.starts_with("seed 5: I"), "{said}");
    let again = run(&Options { planted, ..Options::of_seed(5) }).expect_err("the same");
    assert_eq!((with_causes(&again), again.trace), (said, failed.trace), "it replays");
}

#[test]
fn a_reading_that_is_stored_twice_is_found() {
    let planted = Planted::Repetition;
    let failed = run(&Options { planted, ..Options::of_seed(1) }).expect_err("a repetition");
    let why = with_causes(&failed.why);
    let twice = matches!(failed.why, Why::Violation(Violation::Twice { gateway: 0, .. }));
    assert!(twice, "{why}");
}

#[test]
fn a_snapshot_of_another_state_is_found() {
    let planted = Planted::OtherState;
    let found =
        (0..SEEDS).find_map(|seed| run(&Options { planted, ..Options::of_seed(seed) }).err());
    let failed = found.expect("a start from it");
    let why = with_causes(&failed);
    // It is another state, or so much another that what follows in the journal does not fit.
    let other = matches!(failed.why, Why::Violation(Violation::OtherState { .. }));
    let unfit = matches!(failed.why, Why::Violation(Violation::NotOpened(_)));
    assert!(other || unfit && why.contains("does not follow"), "{why}");
}

#[test]
fn a_settled_batch_that_is_gone_from_the_chain_is_found() {
    let planted = Planted::BrokenFinality;
    let failed = run(&Options { planted, ..Options::of_seed(5) }).expect_err("a batch less");
    let why = with_causes(&failed);
    assert!(matches!(failed.why, Why::Violation(Violation::Unsettled { .. })), "{why}");
}

#[test]
fn an_operator_who_issues_no_certificate_is_found() {
    let planted = Planted::NoCertificates;
    let failed = run(&Options { planted, ..Options::of_seed(5) }).expect_err("an old certificate");
    let why = with_causes(&failed);
    assert!(matches!(failed.why, Why::Violation(Violation::NotRenewed { .. })), "{why}");
}
