//! Runs the tests of the rules, and counts.

use crate::nullity::{nullity, nullity_of};
use crate::trial::{RECORD, label};
use crate::{c1, c2};
use circuits::builder::{Assignment, R1cs};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Honest chunks of one circuit.
struct Honest<'a> {
    r1cs: &'a R1cs,
    assignments: Vec<Assignment>,
}

/// By label, the tests that kill the mutant.
type Killers = BTreeMap<String, BTreeSet<String>>;

#[test]
fn score() {
    let killers = run_rule_tests();
    let c1 = Honest { r1cs: c1::case::single(), assignments: c1::hunt::honest() };
    let rows = c2::twins::rows(c2::world::ONE);
    let c2 = Honest { r1cs: &rows, assignments: c2::hunt::honest() };
    for (name, honest) in [("C1", c1), ("C2", c2)] {
        let labels: BTreeSet<String> =
            (0..honest.r1cs.a.len()).map(|row| label(honest.r1cs, row)).collect();
        let (killed, rest): (Vec<_>, Vec<_>) =
            labels.iter().partition(|label| killers.contains_key(*label));
        let whole: Vec<usize> =
            honest.assignments.iter().map(|each| nullity(honest.r1cs, each)).collect();
        let (hunted, survived): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|label| is_hunted(&honest, &whole, label));
        println!(
            "{name}: {} mutants, {} killed by a rule's test, {} by the hunt alone, {} survive",
            labels.len(),
            killed.len(),
            hunted.len(),
            survived.len()
        );
        for label in killed {
            let tests = &killers[label];
            let first = tests.first().expect("a killer");
            println!("  killed    {label}  by {} tests, {first}", tests.len());
        }
        hunted.iter().for_each(|label| println!("  hunted    {label}"));
        survived.iter().for_each(|label| println!("  SURVIVES  {label}"));
    }
}

/// The tests of this program but this one, in a process of their own.
fn run_rule_tests() -> Killers {
    let name = format!("mutants-{}", std::process::id());
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, "").expect("the record can be made");
    let program = std::env::current_exe().expect("this program has a path");
    let status = Command::new(program)
        .args(["--skip", "score::", "--skip", "hunt::", "--quiet"])
        .env(RECORD, &path)
        .status()
        .expect("this program runs");
    assert!(status.success(), "the tests of the rules hold on the whole circuits");
    let record = std::fs::read_to_string(&path).expect("the record can be read");
    std::fs::remove_file(&path).expect("the record can be removed");
    let mut killers = Killers::new();
    for line in record.lines() {
        let mut parts = line.split('\t');
        let test = parts.next().expect("a test");
        // Rows of two lines object: without one of them the other still does.
        if let (Some(label), None) = (parts.next(), parts.next()) {
            killers.entry(label.to_owned()).or_default().insert(test.to_owned());
        }
    }
    killers
}

/// Whether without the rows of `lost` private values of an honest chunk move in more directions.
fn is_hunted(honest: &Honest<'_>, whole: &[usize], lost: &str) -> bool {
    let kept: Vec<bool> =
        (0..honest.r1cs.a.len()).map(|row| label(honest.r1cs, row) != lost).collect();
    let mut chunks = honest.assignments.iter().zip(whole);
    chunks.any(|(each, whole)| nullity_of(honest.r1cs, each, |row| kept[row]) > *whole)
}
