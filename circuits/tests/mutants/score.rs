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
    let mut lost = Vec::new();
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
        let mut unknown = Vec::new();
        for label in survived {
            let (rule, line) = (rule_of(label), source_of(label));
            let known = KNOWN.iter().find(|known| known.rule == rule && known.line == line);
            println!("  SURVIVES  {label}  {}", known.map_or("NOT KNOWN", |known| known.why));
            unknown.extend(known.is_none().then_some(label));
        }
        lost.extend(unknown.into_iter().cloned());
    }
    assert!(lost.is_empty(), "no test notices that these are lost: {lost:#?}");
}

/// A mutant that survives, and why no test can kill it.
struct Known {
    rule: &'static str,
    line: &'static str,
    why: &'static str,
}

/// The survivors that are known.
const KNOWN: [Known; 7] = [
    Known {
        rule: "C1.7",
        line: "b.enforce_equal_if(condition, &fixed.x, &sum.x);",
        why: "y alone leaves P and -P: their distance is a relation of U that nobody knows",
    },
    Known {
        rule: "C1.7",
        line: "b.enforce_equal_if(condition, &fixed.y, &sum.y);",
        why: "x alone leaves two points, as above",
    },
    Known {
        rule: "C1.20",
        line: "b.rule(\"C1.20\", |b| b.enforce_zero_if(&kinds.revoke, no_actor.num()));",
        why: "an empty slot ended at time 0, and C1.21 asks for an end after the revocation",
    },
    Known {
        rule: "C2.3",
        line: "b.enforce_zero_if(&active[0].not(), &step);",
        why: "padding that moves the index forbids patients to the prover and allows none",
    },
    Known {
        rule: "C2.4",
        line: "b.enforce_zero_if(&active.not(), &step);",
        why: "an absent claim that moves the position forbids positions and allows none",
    },
    Known {
        rule: "C2.16",
        line: "let closed = b.bit(covered.value() && !record.is_open());",
        why: "of a closed record another row makes it `covered`; of an open one it is free",
    },
    Known {
        rule: "C2.21",
        line: "b.enforce_zero_if(&known.not(), &index);",
        why: "without an edge a larger index before the first forbids patients and allows none",
    },
];

fn rule_of(label: &str) -> &str {
    label.split(' ').next().expect("a label begins with its rule")
}

/// The line of source that a label names.
fn source_of(label: &str) -> String {
    let place = label.split(' ').nth(1).expect("a place");
    let (file, line) = place.rsplit_once(':').expect("a line");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    let source = std::fs::read_to_string(path).expect("the source of this program");
    let number: usize = line.parse().expect("a number");
    source.lines().nth(number - 1).expect("such a line").trim().to_owned()
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
