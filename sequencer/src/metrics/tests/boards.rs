//! The committed boards are those of the declarations, and none leaves a metric out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{check_declared, declared, named};
use crate::metrics::alerts;
use crate::metrics::boards::{Board, Line, Panel, Unit};
use crate::metrics::{Declared, Metrics};
use crate::pinned;

/// Columns of a board, and of a panel.
const COLUMNS: usize = 24;
const PANEL_COLUMNS: usize = 8;
const PANEL_LINES: usize = 8;

/// Limits every series of an expression to the nodes that are chosen above the board.
fn of_chosen_nodes(expression: &str) -> String {
    const NODE: &str = "instance=~\"$node\"";
    let (mut chosen, mut rest) = (String::new(), expression);
    while let Some(at) = rest.find("vitals_") {
        let end = rest[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let end = end.map_or(rest.len(), |end| at + end);
        chosen += &rest[..end];
        rest = &rest[end..];
        match rest.strip_prefix('{') {
            Some(inner) => (chosen, rest) = (chosen + "{" + NODE + ",", inner),
            None => chosen = chosen + "{" + NODE + "}",
        }
    }
    chosen + rest
}

/// What a panel shows, without its lines.
struct Shown<'a> {
    title: &'a str,
    unit: Unit,
    about: &'a str,
}

/// Where panels go, from the left, line by line.
#[derive(Default)]
struct Grid {
    id: usize,
    across: usize,
    down: usize,
}

impl Grid {
    fn next_id(&mut self) -> usize {
        self.id += 1;
        self.id
    }

    fn row(&mut self, title: &str, collapsed: Option<Vec<Value>>) -> Value {
        if self.across > 0 {
            (self.across, self.down) = (0, self.down + PANEL_LINES);
        }
        let place = json!({ "x": 0, "y": self.down, "w": COLUMNS, "h": 1 });
        self.down += 1;
        json!({
            "type": "row", "id": self.next_id(), "title": title, "gridPos": place,
            "collapsed": collapsed.is_some(), "panels": collapsed.unwrap_or_default(),
        })
    }

    fn panel(&mut self, shown: &Shown<'_>, lines: &[(String, String)]) -> Value {
        let Shown { title, unit, about } = shown;
        let place = json!({
            "x": self.across, "y": self.down, "w": PANEL_COLUMNS, "h": PANEL_LINES,
        });
        self.across += PANEL_COLUMNS;
        if self.across == COLUMNS {
            (self.across, self.down) = (0, self.down + PANEL_LINES);
        }
        let source = json!({ "type": "prometheus", "uid": "${datasource}" });
        let target = |(at, (expression, legend)): (usize, &(String, String))| {
            let letter = char::from(b'A' + u8::try_from(at).expect("few lines")).to_string();
            json!({
                "refId": letter, "datasource": source, "expr": of_chosen_nodes(expression),
                "legendFormat": legend,
            })
        };
        let targets: Vec<_> = lines.iter().enumerate().map(target).collect();
        json!({
            "type": "timeseries", "id": self.next_id(), "title": title, "description": about,
            "gridPos": place, "datasource": source, "targets": targets,
            "fieldConfig": { "defaults": { "unit": unit.name() }, "overrides": [] },
            "options": {
                "legend": { "displayMode": "list", "placement": "bottom" },
                "tooltip": { "mode": "multi" },
            },
        })
    }
}

fn panel(grid: &mut Grid, Panel { title, unit, lines, alerts }: &Panel) -> Value {
    let about = |name: &&str| {
        let alert = alerts::named(name).expect("an alert");
        format!("{name}: {} ({})", alert.expression(), alert.runbook())
    };
    let about: Vec<_> = alerts.iter().map(about).collect();
    let line = |Line { expression, legend }: &Line| (expression.to_string(), legend.to_string());
    let lines: Vec<_> = lines.iter().map(line).collect();
    grid.panel(&Shown { title, unit: *unit, about: &about.join("\n") }, &lines)
}

/// Metrics that no panel names.
fn left_over() -> Vec<&'static Declared> {
    let lines = Board::ALL.iter().flat_map(|board| board.rows).flat_map(|row| row.panels);
    let lines = lines.flat_map(|panel| panel.lines);
    let names = lines.flat_map(|line| named(line.expression)).filter_map(declared);
    let seen: BTreeSet<_> = names.map(|metric| metric.name).collect();
    Metrics::DECLARED.iter().filter(|metric| !seen.contains(metric.name)).collect()
}

fn panel_of_metric(grid: &mut Grid, metric: &Declared) -> Value {
    let Declared { name, kind, unit, labels, help } = metric;
    let (expression, shown) = match *kind {
        "counter" => (format!("rate({name}[5m])"), Unit::PerSecond),
        "histogram" => {
            (format!("histogram_quantile(0.99, rate({name}_bucket[5m]))"), Unit::Seconds)
        }
        _ if *unit == "bytes" => ((*name).to_owned(), Unit::Bytes),
        _ if *unit == "seconds" => ((*name).to_owned(), Unit::Seconds),
        _ => ((*name).to_owned(), Unit::Count),
    };
    let legends: Vec<_> = labels.iter().map(|label| format!("{{{{{label}}}}}")).collect();
    let legend = if legends.is_empty() { unit.to_string() } else { legends.join(" ") };
    grid.panel(&Shown { title: name, unit: shown, about: help }, &[(expression, legend)])
}

fn text(board: &Board, last: &[&Declared]) -> String {
    let (mut grid, mut panels) = (Grid::default(), Vec::new());
    for row in board.rows {
        panels.push(grid.row(row.title, None));
        panels.extend(row.panels.iter().map(|one| panel(&mut grid, one)));
    }
    if !last.is_empty() {
        // Closed, and so its panels stand in it.
        let mut inner = Grid { id: grid.id + 1, across: 0, down: grid.down + PANEL_LINES + 1 };
        let within = last.iter().map(|metric| panel_of_metric(&mut inner, metric)).collect();
        panels.push(grid.row("All other figures", Some(within)));
    }
    let variables = json!([
        { "name": "datasource", "type": "datasource", "query": "prometheus" },
        {
            "name": "node", "type": "query", "multi": true, "includeAll": true,
            "current": { "text": "All", "value": "$__all" },
            "datasource": { "type": "prometheus", "uid": "${datasource}" },
            "query": "label_values(vitals_ready, instance)", "refresh": 2,
        },
    ]);
    let board = json!({
        "uid": format!("vitals-{}", board.name), "title": board.title, "schemaVersion": 38,
        "version": 1, "editable": false, "refresh": "10s", "tags": ["vitals"],
        "time": { "from": "now-3h", "to": "now" }, "templating": { "list": variables },
        "panels": panels,
    });
    format!("{board:#}\n")
}

#[test]
fn the_boards_are_those_of_the_declarations() {
    for (at, board) in Board::ALL.iter().enumerate() {
        let last = if at == 0 { left_over() } else { Vec::new() };
        pinned::check(&format!("docs/grafana/{}.json", board.name), &text(board, &last));
    }
}

#[test]
fn panels_name_declared_metrics_and_alerts_and_every_alert_stands_at_one() {
    let mut shown = BTreeSet::new();
    for panel in Board::ALL.iter().flat_map(|board| board.rows).flat_map(|row| row.panels) {
        let Panel { title, lines, .. } = panel;
        assert!(!lines.is_empty() && lines.len() <= 26, "{title}");
        for line in *lines {
            check_declared(line.expression, title);
            assert!(named(line.expression).next().is_some(), "{title}: {}", line.expression);
        }
        shown.extend(panel.alerts.iter().copied());
    }
    let told: BTreeSet<_> = alerts::all().map(|alert| alert.name).collect();
    // What is for logs and a bug report has no panel of its own.
    let none = ["VitalsNamesGuessed", "VitalsOperationUnprovable", "VitalsReloadRefused"];
    let expected: BTreeSet<_> = told.into_iter().filter(|name| !none.contains(name)).collect();
    assert_eq!(shown, expected);
}

#[test]
fn no_place_of_a_board_is_taken_twice_and_no_identity_given_twice() {
    for board in Board::ALL {
        let board: Value = serde_json::from_str(&text(&board, &left_over())).unwrap();
        let mut panels = board["panels"].as_array().unwrap().clone();
        let within = panels.iter().flat_map(|one| one["panels"].as_array().cloned());
        let within: Vec<_> = within.flatten().collect();
        panels.extend(within);
        let ids: BTreeSet<_> = panels.iter().map(|one| one["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len());
        let place = |one: &Value| (one["gridPos"]["x"].as_u64(), one["gridPos"]["y"].as_u64());
        let places: BTreeSet<_> = panels.iter().map(place).collect();
        assert_eq!(places.len(), panels.len());
    }
}

#[test]
fn every_series_is_limited_to_the_chosen_nodes_and_nothing_else_is_touched() {
    let cases = [
        ("vitals_a / vitals_b", "vitals_a{N} / vitals_b{N}"),
        ("rate(vitals_a_bucket[5m])", "rate(vitals_a_bucket{N}[5m])"),
        ("vitals_a{le=\"1\"} > 0", "vitals_a{N,le=\"1\"} > 0"),
        ("1 + 1", "1 + 1"),
    ];
    for (expression, expected) in cases {
        let expected = expected.replace('N', "instance=~\"$node\"");
        assert_eq!(of_chosen_nodes(expression), expected);
    }
}
