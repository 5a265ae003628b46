//! The committed rules, their own tests and the runbook are those of the declarations.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::json;

use super::{check_declared, declared, named};
use crate::clock::ClockConfig;
use crate::metrics::Metrics;
use crate::metrics::alerts::{self, Alert, Limit, Series, Severity};
use crate::pinned;

/// Minutes behind the first at which a rule must fire.
const SLACK_MINUTES: u32 = 15;

/// A scalar of YAML, which JSON's text is one of.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

const GENERATED: &str = "# Generated from `sequencer/src/metrics/alerts.rs`; rewritten by\n\
                         # `UPDATE=1 cargo test --release -p sequencer --lib metrics`.\n";

fn rules() -> String {
    let mut rules = String::from(GENERATED);
    rules += "groups:\n  - name: vitals\n    rules:\n";
    for alert in alerts::all() {
        let Alert { name, severity, for_minutes, summary, .. } = alert;
        let (expression, runbook) = (quoted(&alert.expression()), quoted(&alert.runbook()));
        let (severity, summary) = (severity.name(), quoted(summary));
        let _ = write!(
            rules,
            "      - alert: {name}\n        expr: {expression}\n        for: {for_minutes}m\n        \
             labels:\n          severity: {severity}\n        annotations:\n          summary: \
             {summary}\n          runbook: {runbook}\n"
        );
    }
    rules
}

/// A case of the rules' own tests: the series, and whether the alert fires over them.
fn case(alert: &Alert, fires: bool) -> String {
    let (series, says) = match fires {
        true => (alert.fires, "fires"),
        false => (alert.silent, "stays silent"),
    };
    let minutes = alert.looks_back_minutes() + alert.for_minutes + SLACK_MINUTES;
    let name = alert.name;
    let mut case = format!("  - name: {name} {says}\n    interval: 1m\n    input_series:\n");
    for Series { name, from, a_minute } in series {
        let (series, sign) = (quoted(name), if *a_minute < 0.0 { '-' } else { '+' });
        let values = quoted(&format!("{from}{sign}{}x{minutes}", a_minute.abs()));
        let _ = write!(case, "      - series: {series}\n        values: {values}\n");
    }
    let _ = write!(
        case,
        "    alert_rule_test:\n      - eval_time: {minutes}m\n        alertname: {name}\n        \
         exp_alerts:"
    );
    if !fires {
        return case + " []\n";
    }
    let severity = alert.severity.name();
    let _ = write!(case, "\n          - exp_labels:\n              severity: {severity}\n");
    for (label, value) in alert.labels {
        let _ = writeln!(case, "              {label}: {}", quoted(value));
    }
    let (summary, runbook) = (quoted(alert.summary), quoted(&alert.runbook()));
    let _ = write!(
        case,
        "            exp_annotations:\n              summary: {summary}\n              runbook: \
         {runbook}\n"
    );
    case
}

fn tests() -> String {
    let cases: String = alerts::all().map(|one| case(one, true) + &case(one, false)).collect();
    format!(
        "{GENERATED}# Run by `promtool test rules docs/alerts.test.yml`: each alert fires once and \
         stays silent\n# once, close to its limit.\nrule_files:\n  - alerts.yml\n\
         evaluation_interval: 5m\ntests:\n{cases}"
    )
}

#[test]
fn the_rules_and_their_tests_are_those_of_the_declarations() {
    pinned::check("docs/alerts.yml", &rules());
    pinned::check("docs/alerts.test.yml", &tests());
}

#[test]
fn alerts_name_declared_metrics_in_expressions_and_series() {
    for Alert { name, measured, fires, silent, .. } in alerts::all() {
        check_declared(measured, name);
        fires.iter().chain(*silent).for_each(|series| check_declared(series.name, name));
        let is_own = |text: &str| text.contains("vitals_") || text.contains("up{job=\"vitals\"}");
        assert!(is_own(measured), "{name} measures a metric of the node, or whether it answers");
        assert!(!fires.is_empty() && !silent.is_empty(), "{name} fires once and stays silent once");
        assert_ne!(fires, silent, "{name}");
    }
}

/// What begins at 1 has grown by nothing, to Prometheus.
#[test]
fn counters_that_alerts_look_at_are_there_before_they_count() {
    let text = Metrics::new().text();
    for alert in alerts::all() {
        let counters = named(alert.measured).filter(|name| declared(name).unwrap().kind != "gauge");
        for name in counters {
            let of = |line: &str| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
            };
            assert!(text.lines().any(of), "{}: no {name} in\n{text}", alert.name);
        }
    }
}

#[test]
fn alerts_have_names_of_their_own_and_limits_that_their_series_stand_on_both_sides_of() {
    let mut names = BTreeSet::new();
    for alert in alerts::all() {
        assert!(names.insert(alert.name), "{} stands twice", alert.name);
        assert!(alert.name.starts_with("Vitals"), "{}", alert.name);
        assert!(alert.summary.ends_with('.') && alert.summary.is_ascii(), "{}", alert.name);
        // Of a plain series the value is what is measured.
        if let [Series { name, from, a_minute: 0.0 }] = alert.fires
            && *name == alert.measured
        {
            assert!(alert.limit.is_passed(*from), "{}", alert.name);
            let silent = alert.silent.iter().find(|one| one.name == *name).expect("the same one");
            assert!(!alert.limit.is_passed(silent.from), "{}", alert.name);
        }
        assert_eq!(alerts::named(alert.name), Some(alert));
    }
    assert_eq!(alerts::named("VitalsNothing"), None);
    let pages = alerts::all().filter(|alert| alert.severity == Severity::Page).count();
    assert!(
        pages < names.len() / 2,
        "most of {} alerts can wait for the day: {pages}",
        names.len()
    );
}

#[test]
fn limits_are_passed_on_one_side_and_by_no_value_that_is_none() {
    let passed = |limit: Limit| [0.9, 1.0, 1.1, f64::NAN].map(|value| limit.is_passed(value));
    assert_eq!(passed(Limit::Above(1.0)), [false, false, true, false]);
    assert_eq!(passed(Limit::AtLeast(1.0)), [false, true, true, false]);
    assert_eq!(passed(Limit::Below(1.0)), [true, false, false, false]);
}

#[test]
fn a_range_is_read_in_minutes_hours_and_days() {
    let alert = |measured| Alert { measured, ..*alerts::named("VitalsHeld").unwrap() };
    let minutes = |measured| alert(measured).looks_back_minutes();
    assert_eq!(minutes("rate(vitals_a[10m]) / rate(vitals_b[2h])"), 120);
    assert_eq!(minutes("rate(vitals_a[1d])"), 1440);
    assert_eq!(minutes("vitals_a"), 0);
}

/// The alerts about the clock hold the default of its setting: where the node begins to refuse.
#[test]
fn the_limit_of_the_clock_is_that_of_its_setting() {
    let seconds = ClockConfig::default().disagreement_ms_max as f64 / 1000.0;
    for name in ["VitalsClockDisagrees", "VitalsJournalAhead"] {
        assert_eq!(alerts::named(name).unwrap().limit, Limit::Above(seconds), "{name}");
    }
}

/// What the runbook says of an alert in the line below its heading.
fn facts(alert: &Alert) -> String {
    let Alert { for_minutes, severity, brought_about_by, .. } = alert;
    let (file, test) = brought_about_by.split_once('#').expect("file and function");
    let lasting = match for_minutes {
        0 => "at once".to_owned(),
        minutes => format!("for {minutes} min"),
    };
    format!(
        "`{}` {lasting}: **{}**. Brought about by [`{test}`](../{file}#{test}).",
        alert.expression(),
        severity.name()
    )
}

/// The page with these lines as they should be.
fn with_facts(page: &str) -> String {
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    for at in 1..lines.len() {
        let alert = lines[at - 1].strip_prefix("## ").and_then(alerts::named);
        if let Some(alert) = alert {
            lines[at] = facts(alert);
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_runbook_has_a_section_for_each_alert_that_says_what_to_do() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook.md");
    let page = std::fs::read_to_string(path).unwrap();
    pinned::check("docs/runbook.md", &with_facts(&page));
    let sections: Vec<_> = page.split("\n## ").skip(1).collect();
    let of_alerts = sections.iter().filter(|text| text.starts_with("Vitals"));
    let names: Vec<_> = of_alerts.clone().filter_map(|text| text.lines().next()).collect();
    assert_eq!(names, alerts::all().map(|alert| alert.name).collect::<Vec<_>>());
    for section in of_alerts {
        for part in ["\n* *Means*: ", "\n* *Look*: ", "\n* *Do*: "] {
            assert!(section.contains(part), "expected {part:?} in\n{section}");
        }
    }
}
