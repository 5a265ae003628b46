//! Assignments before the rows, and a record of how each fared.

use circuits::builder::{Assignment, R1cs};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;

/// Names the file to which [`violated`] adds a line for each assignment that violates a row: the
/// score of the mutants reads it.
pub(crate) const RECORD: &str = "VITALS_TRIALS";

/// The rules of the violated rows, the first one first; evaluates the matrices anew.
pub(crate) fn violated(r1cs: &R1cs, assignment: &Assignment) -> Vec<&'static str> {
    let [az, bz, cz] = r1cs.products(&assignment.instance, &assignment.witness);
    let held = az.iter().zip(&bz).zip(&cz).map(|((a, b), c)| *a * b == *c);
    let rows: Vec<usize> = held.enumerate().filter(|(_, held)| !held).map(|(row, _)| row).collect();
    record(r1cs, &rows);
    rows.into_iter().map(|row| r1cs.rules[row]).collect()
}

/// What tells a row's enforcement from others: its rule and the line that enforces it.
pub(crate) fn label(r1cs: &R1cs, row: usize) -> String {
    let place = r1cs.places[row];
    let file = place.file().rsplit_once("src/").map_or(place.file(), |(_, file)| file);
    format!("{} {file}:{}", r1cs.rules[row], place.line())
}

/// The test, a tab, and the labels of the violated rows, each once, between tabs.
fn record(r1cs: &R1cs, rows: &[usize]) {
    static WRITES: Mutex<()> = Mutex::new(());
    let Some(path) = std::env::var_os(RECORD).filter(|_| !rows.is_empty()) else { return };
    let labels: BTreeSet<String> = rows.iter().map(|row| label(r1cs, *row)).collect();
    let thread = std::thread::current();
    let mut line = thread.name().expect("a test runs in a thread of its name").to_owned();
    labels.iter().for_each(|label| line += &format!("\t{label}"));
    let _one = WRITES.lock().expect("no write panics");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("the record");
    file.write_all((line + "\n").as_bytes()).expect("the record can be written");
}
