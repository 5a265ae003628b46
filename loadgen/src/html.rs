//! A report as one HTML file: totals, and charts of the run over time. It asks no network and runs
//! no script; beside each chart stands a table with the same figures, and everything that comes
//! from outside is escaped.

mod chart;

use std::fmt::Write as _;

use crate::report::Report;
use crate::timeline::{Series, SeriesBin};
use chart::{Chart, Line, Scale, escape};

/// Where a report comes from: what the program knows besides.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The command line.
    pub command: String,
    /// Of program and protocol.
    pub versions: String,
    /// Fingerprint of the deployment.
    pub deployment: String,
    /// System, processor and cores.
    pub machine: String,
}

impl Origin {
    /// Of this program as it runs now.
    pub fn of_this_program(deployment: String) -> Origin {
        let arguments = std::env::args_os().map(|one| one.to_string_lossy().into_owned());
        // Quoted where a shell would cut it, so that the line can be used again.
        let quoted =
            arguments.map(|one| match one.contains([' ', '\t', '\'', '"']) || one.is_empty() {
                true => format!("'{}'", one.replace('\'', "'\\''")),
                false => one,
            });
        let command = quoted.collect::<Vec<_>>().join(" ");
        let (program, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let protocol = wire::PROTOCOL_VERSION;
        let versions = format!("{program} {version}, protocol version {protocol}");
        Origin { command, versions, deployment, machine: machine() }
    }
}

fn machine() -> String {
    use std::env::consts::{ARCH, OS};
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = facts.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let comma = if model.is_empty() { "" } else { ", " };
    format!("{OS} {ARCH}{comma}{model}, {cores} cores")
}

/// The whole file.
pub fn page(report: &Report, origin: &Origin) -> String {
    let mut page = String::from(HEAD);
    // Writing to a string cannot fail, here and below.
    let _ = write!(page, "<h1>Load run</h1>\n{}", totals(report, origin));
    for chart in charts(&report.series) {
        page += &chart.figure();
    }
    page += "</main>\n</body>\n</html>\n";
    page
}

/// What the report's text says, as a table.
fn totals(report: &Report, origin: &Origin) -> String {
    let mut table = String::from("<table class=\"totals\">\n<tbody>\n");
    let mut row = |name: &str, value: &str| {
        let (name, value) = (escape(name), escape(value));
        let _ = writeln!(table, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
    };
    for line in report.text().lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        row(name, value.trim_start());
    }
    row("deployment", &origin.deployment);
    row("command", &origin.command);
    row("versions", &origin.versions);
    row("system", &origin.machine);
    table + "</tbody>\n</table>\n"
}

fn charts(series: &Series) -> [Chart<'_>; 3] {
    let bin_seconds = series.bin_seconds.max(1);
    let all = |of: fn(&SeriesBin) -> u64| -> Vec<Option<f64>> {
        series.bins.iter().map(|bin| Some(of(bin) as f64)).collect()
    };
    let rate = all(|bin| bin.readings);
    let rate = rate.into_iter().map(|sum| sum.map(|sum| sum / bin_seconds as f64)).collect();
    // A part in which no receipt came has no latency, which is not a latency of zero.
    let latency = |of: fn(&SeriesBin) -> u64| -> Vec<Option<f64>> {
        let ms = |bin: &SeriesBin| (bin.frames > 0).then(|| of(bin) as f64 / 1000.0);
        series.bins.iter().map(ms).collect()
    };
    let chart = |title, unit, scale, lines| Chart { title, unit, scale, bin_seconds, lines };
    [
        chart(
            "Throughput: readings a second with a verified receipt",
            "readings/s",
            Scale::Linear,
            vec![Line { name: "acknowledged", values: rate }],
        ),
        chart(
            "Latency: from the intended send time to the verified receipt",
            "ms",
            Scale::Logarithmic,
            vec![
                Line { name: "p50", values: latency(|bin| bin.p50_us) },
                Line { name: "p99", values: latency(|bin| bin.p99_us) },
                Line { name: "max", values: latency(|bin| bin.max_us) },
            ],
        ),
        chart(
            "Delays, reconnects and refused streams",
            "count",
            Scale::Linear,
            vec![
                Line { name: "delays", values: all(|bin| bin.delays) },
                Line { name: "reconnects", values: all(|bin| bin.reconnects) },
                Line { name: "refused", values: all(|bin| bin.refused) },
            ],
        ),
    ]
}

/// Colours differ in brightness and lines in their dashes, so that no one needs to see colours.
const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Load run</title>
<style>
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --faint: #d5d9de;
  --a: #0b5cad; --b: #b44a00; --c: #6b3fa0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e6e9ec; --faint: #3a4047;
    --a: #6bb1ff; --b: #ffa564; --c: #c7a4ff; }
}
body { background: var(--paper); color: var(--ink); margin: 0;
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; vertical-align: top;
  border-bottom: 1px solid var(--faint); overflow-wrap: anywhere; }
figure { margin: 2rem 0; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--faint); stroke-width: 1; }
.line { fill: none; stroke-width: 2; }
.l0 { stroke: var(--a); }
.l1 { stroke: var(--b); stroke-dasharray: 7 3; }
.l2 { stroke: var(--c); stroke-dasharray: 2 3; }
.figures { max-height: 20rem; overflow: auto; }
</style>
</head>
<body>
<main>
"#;
