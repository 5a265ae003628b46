//! The page of metrics, their names and how values appear.

mod alerts;
mod boards;

use model::{ClaimKind, Millis, RejectCode, RuleNumber};
use statement::scope::Circuit;

use super::*;
use crate::pinned;

fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Generated from `sequencer/src/metrics.rs`; rewritten by\n\
         `UPDATE=1 cargo test --release -p sequencer --lib metrics`.\n\
         Served at `GET /metrics` in the text format of Prometheus.\n\n\
         | name | kind | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for metric in Metrics::DECLARED {
        let Declared { name, kind, unit, labels, help } = metric;
        let labels = labels.join(", ");
        page += &format!("| `{name}` | {kind} | {unit} | {labels} | {help} |\n");
    }
    page
}

/// Names of metrics in an expression.
fn named(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("vitals_"))
}

/// The declaration behind a series of this name, which may be one of a histogram's.
fn declared(series: &str) -> Option<&'static Declared> {
    let ends = [("_bucket", true), ("_sum", true), ("_count", true), ("", false)];
    ends.into_iter().find_map(|(end, is_histogram)| {
        let name = series.strip_suffix(end)?;
        let mut all = Metrics::DECLARED.iter();
        all.find(|one| one.name == name && (one.kind == "histogram") == is_histogram)
    })
}

fn check_declared(expression: &str, of: &str) {
    for series in named(expression) {
        assert!(declared(series).is_some(), "{of}: expected a declared metric, found {series}");
    }
}

#[test]
fn the_page_lists_every_metric() {
    pinned::check("docs/metrics.md", &page());
}

#[test]
fn series_of_histograms_are_found_by_their_ends_and_no_others() {
    assert_eq!(declared("vitals_proof_seconds_bucket").unwrap().name, "vitals_proof_seconds");
    assert_eq!(declared("vitals_ready").unwrap().name, "vitals_ready");
    for name in ["vitals_proof_seconds", "vitals_ready_bucket", "vitals_nothing"] {
        assert_eq!(declared(name), None, "{name}");
    }
    assert_eq!(named("sum(rate(vitals_a[5m])) / vitals_b{c=\"d\"}").count(), 2);
}

#[test]
fn names_follow_the_conventions() {
    for Declared { name, kind, unit, .. } in Metrics::DECLARED {
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}");
        assert_eq!(*unit == "seconds", name.ends_with("_seconds"), "{name}");
    }
}

fn at(ms: u64) -> Millis {
    Millis::new(ms).unwrap()
}

#[test]
fn rejects_are_counted_by_their_code_and_every_code_is_told() {
    let metrics = Metrics::new();
    let counted = || metrics.rejects().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
    assert_eq!((metrics.rejects().count(), counted()), (RejectCode::ALL.len(), vec![]));
    for code in [RejectCode::Busy, RejectCode::Gap, RejectCode::Busy] {
        metrics.count_reject(code);
    }
    assert_eq!(counted(), [(RejectCode::Gap, 1), (RejectCode::Busy, 2)]);
}

#[test]
fn own_certificates_end_when_the_first_of_them_does() {
    let metrics = Metrics::new();
    assert_eq!(metrics.own_certificates_seconds(), None);
    metrics.set_own_certificate("authority", 900);
    metrics.set_own_certificate("server", -3);
    assert_eq!(metrics.own_certificates_seconds(), Some(-3.0));
}

#[test]
fn values_appear_with_their_labels() {
    let metrics = Metrics::new();
    metrics.count_reject(RejectCode::Gap);
    metrics.count_refusal(RuleNumber::c2(15));
    metrics.count_access(ClaimKind::BreakGlass, AccessOutcome::Refused);
    metrics.count_proof(Circuit::C2, 2.5);
    metrics.batches_settled_total.inc_by(3);
    metrics.note_withdrawal(at(1_000), at(3_000));
    metrics.settle_withdrawals(at(4_000), at(43_000));
    let text = metrics.text();
    for line in [
        "vitals_ingest_rejects_total{code=\"7\"} 1",
        "vitals_refusals_total{rule=\"C2.15\"} 1",
        "vitals_accesses_total{kind=\"break-glass\",outcome=\"refused\"} 1",
        "vitals_proofs_total{circuit=\"C2\"} 1",
        "vitals_proof_seconds_bucket{circuit=\"C2\",le=\"3\"} 1",
        "vitals_batches_settled_total 3",
        "vitals_withdrawal_effective_seconds_sum 2",
        "vitals_withdrawal_settled_seconds_bucket{le=\"30\"} 0",
        "vitals_withdrawal_settled_seconds_bucket{le=\"60\"} 1",
        "vitals_outbox_pending 0",
        "vitals_settle_balance_wei NaN",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
    }
}

#[test]
fn a_balance_that_was_not_looked_at_is_none_and_an_empty_one_is_zero() {
    let metrics = Metrics::new();
    assert_eq!(metrics.balance_wei(), None);
    metrics.settle_balance_wei.set(0.0);
    assert_eq!(metrics.balance_wei(), Some(0));
}
