//! A test waits for what happens, and never for time to pass: a pause is too short on a busy
//! machine and too long on every other.

use std::collections::BTreeMap;

use crate::functions::production_files;
use crate::{code, source};

/// What lets time pass, of whichever library.
const PAUSES: [&str; 3] = ["sleep(", "sleep_until(", "time::interval"];

#[test]
fn no_test_pauses() {
    let production = production_files().into_iter();
    let production: BTreeMap<String, String> =
        production.map(|file| (file.path, code::production(&code::blanked(&file.text)))).collect();
    let mut wrong = Vec::new();
    for file in source::files(&["rs"]) {
        let own = production.get(&file.path);
        if own.is_none() && !file.path.contains("/src/") && !file.path.contains("/tests/") {
            continue;
        }
        let own: Vec<&str> = own.map(|own| own.lines().collect()).unwrap_or_default();
        wrong.extend(
            pauses(&code::blanked(&file.text), &own)
                .iter()
                .map(|(n, line)| format!("{}:{n}: {line}", file.path)),
        );
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected tests to wait for an event instead of:\n{wrong}");
}

/// Number and text of the lines that pause and are none of production code.
fn pauses<'a>(code: &'a str, production: &[&str]) -> Vec<(usize, &'a str)> {
    let pauses = |line: &str| PAUSES.iter().any(|pause| line.contains(pause));
    let is_tests = |n: usize| !production.get(n).is_some_and(|line| pauses(line));
    let lines = code.lines().enumerate();
    let found = lines.filter(|(n, line)| pauses(line) && is_tests(*n));
    found.map(|(n, line)| (n + 1, line.trim())).collect()
}

#[test]
fn a_pause_is_found_behind_the_attribute_of_tests_alone() {
    let text =
        "fn a() { sleep(1) }\n#[cfg(test)]\nmod tests {\n    fn b() { tokio::sleep(2) }\n}\n";
    let code = code::blanked(text);
    let production = code::production(&code);
    let production: Vec<&str> = production.lines().collect();
    assert_eq!(pauses(&code, &production), [(4, "fn b() { tokio::sleep(2) }")]);
    assert_eq!(pauses(&code, &[]).len(), 2, "in a file of tests every one");
}
