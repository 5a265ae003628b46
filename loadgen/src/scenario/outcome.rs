//! What came of each group, and which expectations hold.

use std::fmt::Write as _;

use model::ExitCode;
use serde::Serialize;

use super::script::{Expect, ExpectHostile, Group, HostileGroup};
use crate::hostile::HostileReport;
use crate::report::Report;

/// What came of a scenario.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Its name.
    pub scenario: String,
    /// Honest groups, in its order.
    pub groups: Vec<GroupOutcome>,
    /// Hostile groups, in its order.
    pub hostile: Vec<HostileOutcome>,
    /// Processor seconds of this program, both modes; none where there is no /proc.
    pub cpu_seconds: Option<f64>,
    /// Load average of the machine over the last minute, at the end; none where there is no /proc.
    pub load_average: Option<f64>,
}

/// What came of an honest group.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GroupOutcome {
    /// Its name.
    pub name: String,
    /// As of a run; processor seconds and load are those of the whole program.
    pub report: Report,
    /// What was expected of it.
    pub verdicts: Vec<Verdict>,
}

/// What came of a hostile group.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HostileOutcome {
    /// Its name.
    pub name: String,
    /// What it met.
    pub report: HostileReport,
    /// What was expected of it.
    pub verdicts: Vec<Verdict>,
}

/// One expectation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verdict {
    /// Its key in the scenario.
    pub key: &'static str,
    /// The bound.
    pub expected: u64,
    /// What was found; of a latency rounded up.
    pub found: u64,
    /// Whether it holds.
    pub holds: bool,
}

/// Collects verdicts.
#[derive(Default)]
struct Verdicts(Vec<Verdict>);

impl Verdicts {
    fn most(&mut self, key: &'static str, most: Option<u64>, found: u64) {
        let verdict = |expected| Verdict { key, expected, found, holds: found <= expected };
        self.0.extend(most.map(verdict));
    }

    fn least(&mut self, key: &'static str, least: Option<u64>, found: u64) {
        let verdict = |expected| Verdict { key, expected, found, holds: found >= expected };
        self.0.extend(least.map(verdict));
    }
}

impl GroupOutcome {
    pub(super) fn of(group: &Group, report: Report) -> GroupOutcome {
        let verdicts = judge(&group.expect, &report);
        GroupOutcome { name: group.name.clone(), report, verdicts }
    }
}

fn judge(expect: &Expect, report: &Report) -> Vec<Verdict> {
    let mut verdicts = Verdicts::default();
    let ms = |us: u64| us.div_ceil(1000);
    verdicts.most("p99_ms_max", expect.p99_ms_max, ms(report.latency.p99_us));
    verdicts.most("p999_ms_max", expect.p999_ms_max, ms(report.latency.p999_us));
    let without = report.frames_unacknowledged;
    verdicts.most("without_receipt_max", expect.without_receipt_max, without);
    verdicts.most("behind_max", expect.behind_max, report.frames_behind);
    verdicts.most("refused_max", expect.refused_max, report.refused_streams.values().sum());
    verdicts.most("failed_max", expect.failed_max, report.failures.values().sum());
    verdicts.least("reconnects_min", expect.reconnects_min, report.reconnects);
    verdicts.least("acknowledged_min", expect.acknowledged_min, report.frames_acknowledged);
    verdicts.0
}

impl HostileOutcome {
    pub(super) fn of(group: &HostileGroup, report: HostileReport) -> HostileOutcome {
        let verdicts = judge_hostile(&group.expect, &report);
        HostileOutcome { name: group.name.clone(), report, verdicts }
    }
}

fn judge_hostile(expect: &ExpectHostile, report: &HostileReport) -> Vec<Verdict> {
    let mut verdicts = Verdicts::default();
    verdicts.least("closed_min", expect.closed_min, report.closed_in_all());
    verdicts.least("rejected_min", expect.rejected_min, report.rejected_in_all());
    verdicts.most("open_max", expect.open_max, report.open);
    verdicts.most("receipts_max", expect.receipts_max, report.receipts);
    verdicts.0
}

impl Outcome {
    /// [`ExitCode::Ok`] if every expectation holds.
    pub fn exit_code(&self) -> ExitCode {
        // An interrupted scenario says so whatever it found: it was not played to its end.
        if self.groups.iter().any(|group| group.report.interrupted) {
            return ExitCode::Interrupted;
        }
        match self.broken().next() {
            Some(_) => ExitCode::Failed,
            None => ExitCode::Ok,
        }
    }

    /// Expectations that do not hold, with their groups.
    fn broken(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        let honest = self.groups.iter().map(|group| (&group.name, &group.verdicts));
        let hostile = self.hostile.iter().map(|group| (&group.name, &group.verdicts));
        honest.chain(hostile).flat_map(|(name, verdicts)| {
            let broken = verdicts.iter().filter(|verdict| !verdict.holds);
            broken.map(move |verdict| (name.as_str(), verdict))
        })
    }

    /// Tables for people: a line for each group, then what does not hold.
    pub fn text(&self) -> String {
        let mut text = format!("scenario {}\n", self.scenario);
        text += &honest_table(&self.groups);
        if !self.hostile.is_empty() {
            text += "\n";
            text += &hostile_table(&self.hostile);
        }
        text += "\n";
        text += &self.details();
        let all = self.verdicts();
        let broken: Vec<_> = self.broken().collect();
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "expectations {} of {all} hold", all - broken.len());
        for (group, verdict) in broken {
            let Verdict { key, expected, found, .. } = verdict;
            let _ = writeln!(text, "FAILED {group}: {key}: expected {expected}, found {found}");
        }
        text
    }

    fn verdicts(&self) -> usize {
        let honest = self.groups.iter().map(|group| group.verdicts.len());
        let hostile = self.hostile.iter().map(|group| group.verdicts.len());
        honest.chain(hostile).sum()
    }

    /// What has no place in a table: why streams were refused or failed, and what the node said to
    /// hostile groups.
    fn details(&self) -> String {
        let mut text = String::new();
        for GroupOutcome { name, report, .. } in &self.groups {
            for (code, streams) in &report.refused_streams {
                let _ = writeln!(text, "{name}: {streams} streams refused: {code}");
            }
            for (why, streams) in &report.failures {
                let _ = writeln!(text, "{name}: {streams} streams failed: {why}");
            }
            if report.datagrams_cut > 0 {
                let cut = report.datagrams_cut;
                let _ = writeln!(text, "{name}: {cut} datagrams dropped while links were down");
            }
        }
        for HostileOutcome { name, report, .. } in &self.hostile {
            for (what, counts) in [("closed", &report.closed), ("rejected", &report.rejected)] {
                for (code, times) in counts {
                    let _ = writeln!(text, "{name}: {what} {times} times: {code}");
                }
            }
        }
        text
    }
}

/// One line for each group, figures to the right.
fn honest_table(groups: &[GroupOutcome]) -> String {
    let heads = [
        "gateways",
        "streams",
        "readings/s",
        "frames",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "no receipt",
        "behind",
        "delays",
        "refused",
        "failed",
        "reconnects",
    ];
    let rows = groups.iter().map(|GroupOutcome { name, report, .. }| {
        let ms = |us: u64| format!("{:.2}", us as f64 / 1000.0);
        let latency = &report.latency;
        let figures = vec![
            report.gateways.to_string(),
            report.streams.to_string(),
            format!("{:.0}", report.readings_per_second()),
            report.frames_acknowledged.to_string(),
            ms(latency.p50_us),
            ms(latency.p90_us),
            ms(latency.p99_us),
            ms(latency.p999_us),
            ms(latency.max_us),
            report.frames_unacknowledged.to_string(),
            report.frames_behind.to_string(),
            (report.frames_delayed + report.streams_delayed).to_string(),
            report.refused_streams.values().sum::<u64>().to_string(),
            report.failures.values().sum::<u64>().to_string(),
            report.reconnects.to_string(),
        ];
        Row { name, figures }
    });
    table("group", &heads, rows.collect())
}

fn hostile_table(groups: &[HostileOutcome]) -> String {
    let heads = [
        "connections",
        "dialled",
        "failed",
        "closed",
        "lost",
        "open",
        "rejected",
        "receipts",
        "MB sent",
    ];
    let rows = groups.iter().map(|HostileOutcome { name, report, .. }| {
        let figures = vec![
            report.connections.to_string(),
            report.dialled.to_string(),
            report.failed.to_string(),
            report.closed_in_all().to_string(),
            report.lost.to_string(),
            report.open.to_string(),
            report.rejected_in_all().to_string(),
            report.receipts.to_string(),
            format!("{:.2}", report.bytes_sent as f64 / 1e6),
        ];
        Row { name, figures }
    });
    table("hostile", &heads, rows.collect())
}

struct Row<'a> {
    name: &'a str,
    figures: Vec<String>,
}

fn table(first: &str, heads: &[&str], rows: Vec<Row<'_>>) -> String {
    let names = rows.iter().map(|row| row.name.len()).chain([first.len()]).max().unwrap_or(0);
    let width = |column: usize| {
        let figures = rows.iter().filter_map(|row| row.figures.get(column)).map(String::len);
        figures.chain(heads.get(column).map(|head| head.len())).max().unwrap_or(0)
    };
    let line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
        let mut line = format!("{name:<names$}");
        for (column, cell) in cells.enumerate() {
            let _ = write!(line, "  {cell:>0$}", width(column));
        }
        line + "\n"
    };
    let mut text = line(first, &mut heads.iter().copied());
    for row in &rows {
        text += &line(row.name, &mut row.figures.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::Latency;

    fn report() -> Report {
        let latency = Latency { p99_us: 9_001, p999_us: 20_000, ..Latency::default() };
        Report {
            frames_acknowledged: 10,
            reconnects: 2,
            seconds: 1.0,
            latency,
            ..Report::default()
        }
    }

    fn broken(expect: Expect, report: Report) -> Vec<&'static str> {
        let verdicts = judge(&expect, &report);
        verdicts.iter().filter(|one| !one.holds).map(|one| one.key).collect()
    }

    #[test]
    fn by_default_everything_sent_is_acknowledged_and_nothing_refused() {
        assert!(broken(Expect::default(), report()).is_empty());
        let found = Report {
            frames_unacknowledged: 1,
            refused_streams: BTreeMap::from([("NotPermitted".to_owned(), 1)]),
            failures: BTreeMap::from([("lost".to_owned(), 1)]),
            frames_acknowledged: 0,
            ..report()
        };
        let keys = ["without_receipt_max", "refused_max", "failed_max", "acknowledged_min"];
        assert_eq!(broken(Expect::default(), found), keys);
    }

    #[test]
    fn a_bound_holds_at_itself_and_a_latency_is_rounded_up() {
        let bounds = |p99, reconnects| Expect {
            p99_ms_max: Some(p99),
            p999_ms_max: Some(20),
            behind_max: Some(0),
            reconnects_min: Some(reconnects),
            ..Expect::default()
        };
        assert!(broken(bounds(10, 2), report()).is_empty());
        assert_eq!(broken(bounds(9, 3), report()), ["p99_ms_max", "reconnects_min"]);
    }

    #[test]
    fn what_does_not_hold_is_said_by_group_and_fails() {
        let verdict = |holds| Verdict { key: "p99_ms_max", expected: 5, found: 10, holds };
        let group = |name: &str, holds| GroupOutcome {
            name: name.into(),
            report: report(),
            verdicts: vec![verdict(holds)],
        };
        let mut outcome = Outcome {
            scenario: "ward".into(),
            groups: vec![group("monitors", true), group("pumps", true)],
            ..Outcome::default()
        };
        assert_eq!(outcome.exit_code(), ExitCode::Ok);
        assert!(outcome.text().contains("expectations 2 of 2 hold\n"), "{}", outcome.text());
        outcome.groups[1] = group("pumps", false);
        assert_eq!(outcome.exit_code(), ExitCode::Failed);
        let text = outcome.text();
        assert!(text.contains("1 of 2 hold\nFAILED pumps: p99_ms_max: expected 5, found 10"));
        outcome.groups[0].report.interrupted = true;
        assert_eq!(outcome.exit_code(), ExitCode::Interrupted);
    }

    #[test]
    fn hostile_groups_are_judged_by_what_the_node_made_of_them() {
        let report = HostileReport {
            closed: BTreeMap::from([("Protocol".to_owned(), 3)]),
            open: 1,
            receipts: 2,
            ..HostileReport::default()
        };
        let expect = ExpectHostile {
            closed_min: Some(3),
            rejected_min: Some(1),
            open_max: Some(0),
            receipts_max: Some(2),
        };
        let holds: Vec<_> = judge_hostile(&expect, &report).iter().map(|one| one.holds).collect();
        assert_eq!(holds, [true, false, false, true]);
    }
}
