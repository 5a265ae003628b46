//! `vitals inspect`: what a file of readings holds.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use model::calendar::Written;
use recordings::text::{Delimiter, Lines, Preview};
use recordings::{Format, Start, Zone};
use serde_json::json;

use crate::recording::{detect, with};
use crate::report::{Outcome, Report};

/// List what a file of readings holds: channels or columns, rates, units, and when it begins
///
/// For a bedside gateway: what `vitals stream` would find. Nothing is sent, no node is asked, and
/// no value is shown.
///
///   vitals inspect ward.csv
///   vitals inspect 100.hea
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Inspect {
    /// CSV, WFDB header (.hea), EDF, BDF or FIT
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What separates fields of text: one character, tab, or space; by default what it has
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<Delimiter>,
}

impl Inspect {
    pub(crate) fn run(self) -> Outcome {
        match detect(&self.file)? {
            Format::Text => inspect_text(&self.file, self.delimiter),
            format => inspect_samples(&self.file, format),
        }
    }
}

fn inspect_samples(path: &Path, format: Format) -> Outcome {
    with(path, format, |recording, _| {
        let begins = begin_in_words(&recording.start);
        let mut text = format!("{format}, {begins}");
        let mut channels = Vec::new();
        for channel in &recording.channels {
            let signal = channel.signal.map(|signal| signal.name);
            let rate = channel.period.map(|period| period.to_string());
            text += &format!(
                "\n{:>3}  {}  {}  {} samples{}{}",
                channel.number,
                model::escape(&channel.name),
                if channel.unit.is_empty() {
                    "no unit".into()
                } else {
                    model::escape(&channel.unit)
                },
                channel.count,
                rate.as_ref().map_or_else(String::new, |rate| format!(", {rate} apart")),
                signal.map_or_else(String::new, |signal| format!("  --signal {signal}")),
            );
            channels.push(json!({
                "number": channel.number, "name": channel.name, "unit": channel.unit,
                "samples": channel.count, "period": rate, "signal": signal,
            }));
        }
        let json = json!({
            "schema": "vitals-inspect-1", "format": format.to_string(), "begins": begins,
            "channels": channels,
        });
        Ok(Report::success(text, json))
    })
}

fn begin_in_words(start: &Start) -> String {
    match start {
        Ok(Written::Instant(at)) => format!("begins {}", Zone::UTC.show(*at)),
        Ok(Written::Local(local)) => match local.at_offset(0) {
            Ok(at) => {
                let shown = Zone::UTC.show(at);
                format!(
                    "begins {} of a zone that it does not say (--zone)",
                    &shown[..shown.len() - 1]
                )
            }
            Err(error) => error.to_string(),
        },
        Ok(_) => "begins at a time that it does not say (--start)".into(),
        Err(why) => format!("{why} (--start)"),
    }
}

fn inspect_text(path: &Path, delimiter: Option<Delimiter>) -> Outcome {
    let source = File::open(path).with_context(|| path.display().to_string())?;
    let mut lines = Lines::new(BufReader::new(source));
    let mut preview = Preview::new(delimiter);
    while let Some(line) = lines.read().with_context(|| path.display().to_string())? {
        preview.read(&line);
    }
    let mut text = format!("text, {} lines, {} of data", preview.lines, preview.rows);
    let mut columns = Vec::new();
    for (column, number) in preview.columns().iter().zip(1..) {
        let name = column.name.as_deref().map_or_else(|| "without a name".into(), model::escape);
        text += &format!("\n{number:>3}  {name}  {}", column.role.as_deref().unwrap_or("not read"));
        columns.push(json!({ "number": number, "name": column.name, "read_as": column.role }));
    }
    let json = json!({
        "schema": "vitals-inspect-1", "format": "text", "lines": preview.lines,
        "rows": preview.rows, "columns": columns,
    });
    Ok(Report::success(text, json))
}
