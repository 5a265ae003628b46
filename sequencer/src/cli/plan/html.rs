//! A plan as one HTML file: the table, and a chart for each thing that is weighed against another.

use charts::{Bins, Chart, Line, Page, Scale};
use sequencer::forecast::Row;

use super::said::Said;
use super::text::{cells, heads, notes, settings, words};

pub(super) fn page(said: &Said<'_>) -> String {
    let rows = &said.forecast.rows;
    let mut page = Page::new("Plan");
    page.title("What other settings would have made of it");
    for line in words(said) {
        page.paragraph(line.trim());
    }
    let heads: Vec<&str> = heads().iter().copied().chain(["settings, proofs by shape"]).collect();
    let cells = rows.iter().enumerate().map(|(at, row)| {
        let proofs = row.proofs_by_shape.iter().map(|(shape, count)| format!("{shape} {count}"));
        let proofs = proofs.collect::<Vec<_>>().join(", ");
        let mut cells = cells((at, row)).to_vec();
        cells.push(format!("{}; {proofs}", settings(row)));
        cells
    });
    page.table(&heads, &cells.collect::<Vec<_>>());
    for (number, row) in rows.iter().enumerate() {
        for note in notes(row) {
            page.paragraph(&format!("Row {}: {note}.", number + 1));
        }
    }
    for chart in charts(rows) {
        page.chart(&chart);
    }
    page.finish()
}

fn charts(rows: &[Row]) -> [Chart<'static>; 4] {
    let line =
        |name, of: fn(&Row) -> Option<f64>| Line { name, values: rows.iter().map(of).collect() };
    let chart = |title, unit, scale, lines| Chart {
        title,
        unit,
        scale,
        bins: Bins::Numbered("row"),
        lines,
    };
    [
        chart(
            "Wait from an operation's effect until it is on the chain",
            "s",
            Scale::Logarithmic,
            vec![
                line("median", |row| row.wait_p50_seconds),
                line("slowest in a hundred", |row| row.wait_p99_seconds),
            ],
        ),
        chart("Gas a day", "gas", Scale::Linear, vec![line("gas a day", |row| Some(row.day.gas))]),
        chart(
            "Proving: CPU seconds a day",
            "s",
            Scale::Linear,
            vec![line("CPU seconds a day", |row| Some(row.day.prove_cpu_seconds))],
        ),
        chart(
            "Batches and proofs a day",
            "count",
            Scale::Logarithmic,
            vec![
                line("batches", |row| Some(row.day.batches)),
                line("proofs", |row| Some(row.day.proofs)),
            ],
        ),
    ]
}
