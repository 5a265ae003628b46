//! Alerts on the metrics, declared once: what is measured, from which value on, for how long, how
//! urgent it is, with which series it fires and stays silent, and which test brings it about.
//!
//! `docs/alerts.yml` and the rules' own tests `docs/alerts.test.yml` are generated from here and
//! compared by a test; `docs/runbook.md` has a section for each, written for the person on call,
//! and a test holds it against this table. A threshold is a constant and not a setting: whoever
//! wants another one keeps a copy of the rules, and sees what a release changes of them.

mod alert;
mod ingest;
mod machine;
mod proving;
mod settlement;

pub use alert::{Alert, Limit, Series, Severity};

/// Every alert, in the order of the runbook.
pub fn all() -> impl Iterator<Item = &'static Alert> {
    let areas = [machine::ALERTS, ingest::ALERTS, proving::ALERTS, settlement::ALERTS];
    areas.into_iter().flatten()
}

/// The one of a name.
pub fn named(name: &str) -> Option<&'static Alert> {
    all().find(|alert| alert.name == name)
}
