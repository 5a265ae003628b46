//! A report as one HTML file: totals, and charts of the run over time. It asks no network and runs
//! no script; beside each chart stands a table with the same figures, and everything that comes
//! from outside is escaped.

use charts::{Bins, Chart, Line, Page, Scale};

use crate::report::Report;
use crate::scenario::{HostileOutcome, Outcome, Verdict};
use crate::timeline::{Series, SeriesBin};

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
    let mut page = Page::new("Load run");
    page.title("Load run");
    page.totals(rows_of_report(report).into_iter().chain(rows_of_origin(origin)));
    for chart in charts(&report.series) {
        page.chart(&chart);
    }
    page.finish()
}

/// The whole file of a scenario: where it comes from, and a part for each group.
pub fn scenario_page(outcome: &Outcome, origin: &Origin) -> String {
    let mut page = Page::new("Load run");
    page.title(&format!("Scenario {}", outcome.scenario));
    let number = |value: Option<f64>| value.map_or("unknown".into(), |v| format!("{v:.2}"));
    let (cpu, load) = (number(outcome.cpu_seconds), number(outcome.load_average));
    let machine = format!("{cpu} s CPU in this program, load average {load}");
    let rows = [("machine".to_owned(), machine)].into_iter().chain(rows_of_origin(origin));
    page.totals(rows);
    for group in &outcome.groups {
        page.heading(&group.name);
        let rows = rows_of_report(&group.report).into_iter();
        // Of the whole program, and said above.
        let rows = rows.filter(|(name, _)| name != "machine");
        page.totals(rows.chain(group.verdicts.iter().map(row_of_verdict)));
        for chart in charts(&group.report.series) {
            page.chart(&chart);
        }
    }
    for group in &outcome.hostile {
        page.heading(&group.name);
        page.totals(rows_of_hostile(group));
    }
    page.finish()
}

type NamedValue = (String, String);

fn row_of_verdict(verdict: &Verdict) -> NamedValue {
    let Verdict { key, expected, found, holds } = verdict;
    let holds = if *holds { "holds" } else { "FAILED" };
    ((*key).to_owned(), format!("{holds}: expected {expected}, found {found}"))
}

fn rows_of_hostile(group: &HostileOutcome) -> impl Iterator<Item = NamedValue> {
    let report = &group.report;
    let counts = [
        ("dialled", report.dialled),
        ("failed", report.failed),
        ("lost", report.lost),
        ("open at the end", report.open),
        ("receipts", report.receipts),
        ("bytes sent", report.bytes_sent),
    ];
    let counts = counts.map(|(name, count)| (name.to_owned(), count.to_string()));
    let codes = [("closed", &report.closed), ("rejected", &report.rejected)];
    let codes = codes.into_iter().flat_map(|(what, codes)| {
        codes.iter().map(move |(code, times)| (format!("{what}: {code}"), times.to_string()))
    });
    let does = format!("{}, {} connections", report.behaviour, report.connections);
    let verdicts = group.verdicts.iter().map(row_of_verdict);
    [("hostile".to_owned(), does)].into_iter().chain(counts).chain(codes).chain(verdicts)
}

fn rows_of_report(report: &Report) -> Vec<NamedValue> {
    let text = report.text();
    let rows = text.lines().map(|line| {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        (name.to_owned(), value.trim_start().to_owned())
    });
    rows.collect()
}

fn rows_of_origin(origin: &Origin) -> [NamedValue; 4] {
    [
        ("deployment", &origin.deployment),
        ("command", &origin.command),
        ("versions", &origin.versions),
        ("system", &origin.machine),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()))
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
    let bins = Bins::Seconds(bin_seconds);
    let chart = |title, unit, scale, lines| Chart { title, unit, scale, bins, lines };
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
