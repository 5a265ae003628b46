//! A plan as a table, with what it goes by.

use std::fmt::Write as _;

use sequencer::forecast::{ProofSource, Row};

use super::said::Said;

const COLUMNS: usize = 11;

pub(super) fn text(said: &Said<'_>) -> String {
    let mut text = words(said).join("\n");
    text += "\n\n";
    text += &table(&said.forecast.rows);
    for (number, row) in said.forecast.rows.iter().enumerate() {
        for note in notes(row) {
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "row {}: {note}", number + 1);
        }
    }
    text.trim_end().to_owned()
}

/// What was recorded, and what the figures go by.
pub(super) fn words(said: &Said<'_>) -> Vec<String> {
    let (recorded, assumed) = (&said.recorded, &said.assumed);
    let mut words = vec![format!(
        "recorded  {} to {} ({:.2} h): {} entries, {} patients, {} batches",
        recorded.from,
        recorded.until,
        recorded.hours,
        recorded.entries,
        recorded.patients,
        recorded.batches
    )];
    if recorded.hours < 1.0 {
        words
            .push("          less than an hour: what the rows say of a day says little".to_owned());
    }
    if recorded.closes_kept > 0 {
        words.push(format!(
            "          {} of these ended for no reason that the configuration has, and end in \
             every row",
            recorded.closes_kept
        ));
    }
    let block = match assumed.block_seconds > 0.0 {
        true => format!("a block each {} s", assumed.block_seconds),
        false => "a block for each transaction".to_owned(),
    };
    words.push(format!("planned   {} patients, {}, {block}", assumed.patients, assumed.fork));
    for (shape, known) in &said.forecast.proof_seconds {
        let source = match known.source {
            ProofSource::Given => "as given",
            ProofSource::Node => "as this node measured",
            ProofSource::Readme => "as the README measured, on another machine",
        };
        words.push(format!("          a proof of {shape} takes {} s, {source}", known.seconds));
    }
    words
}

/// Names of the columns.
pub(super) fn heads() -> [&'static str; COLUMNS] {
    [
        "row",
        "batches",
        "empty",
        "proofs",
        "padding",
        "CPU s",
        "wait p50",
        "wait p99",
        "tx",
        "gas a day",
        "ether a day",
    ]
}

fn table(rows: &[Row]) -> String {
    let all: Vec<_> = rows.iter().enumerate().map(cells).collect();
    let width = |at: usize| {
        let widest = all.iter().map(|row| row[at].len()).max().unwrap_or_default();
        widest.max(heads()[at].len())
    };
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        padded.collect::<Vec<_>>().join("  ")
    };
    let mut text = format!("{}  settings, proofs by shape\n", line(&heads().map(str::to_owned)));
    for (cells, row) in all.iter().zip(rows) {
        let shapes = row.proofs_by_shape.iter().map(|(shape, count)| format!("{shape} {count}"));
        let shapes = shapes.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "{}  {}; {shapes}", line(cells), settings(row));
    }
    text
}

/// What is not as the node has it.
pub(super) fn settings(row: &Row) -> String {
    if row.set.is_empty() {
        return "as configured".to_owned();
    }
    let set = row.set.iter().map(|(key, value)| format!("{key}={value}"));
    set.collect::<Vec<_>>().join(" ")
}

pub(super) fn cells((at, row): (usize, &Row)) -> [String; COLUMNS] {
    let seconds = |value: Option<f64>| value.map_or("-".to_owned(), |s| format!("{s:.1} s"));
    [
        (at + 1).to_string(),
        row.batches.to_string(),
        row.empty_batches.to_string(),
        row.proofs.to_string(),
        row.padding_ratio.map_or("-".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0)),
        format!("{:.1}", row.prove_cpu_seconds),
        seconds(row.wait_p50_seconds),
        seconds(row.wait_p99_seconds),
        row.transactions.to_string(),
        format!("{:.0}", row.day.gas),
        row.day.cost_ether.map_or("-".to_owned(), |ether| format!("{ether:.6}")),
    ]
}

/// What a row's figures do not show.
pub(super) fn notes(row: &Row) -> Vec<String> {
    let mut notes = Vec::new();
    let left = row.left;
    if left.operations + left.claims > 0 {
        notes.push(format!(
            "{} operations and {} claims are in a window that is open at the end, and in no figure",
            left.operations, left.claims
        ));
    }
    if row.put_off > 0 {
        notes.push(format!(
            "{} operations would have been refused until their window ended (C1.17), and taken \
             then",
            row.put_off
        ));
    }
    if row.refused > 0 {
        notes.push(format!(
            "{} entries would not have been taken: they follow from such an operation",
            row.refused
        ));
    }
    notes
}
