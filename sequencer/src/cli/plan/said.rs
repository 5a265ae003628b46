//! What a plan says, as text, page and JSON have it.

use model::calendar::Utc;
use sequencer::forecast::{Forecast, Past};
use serde::Serialize;

/// Everything that a plan says.
#[derive(Serialize)]
pub(super) struct Said<'a> {
    pub(super) schema: &'static str,
    pub(super) recorded: Recording,
    pub(super) assumed: Assumed,
    #[serde(flatten)]
    pub(super) forecast: &'a Forecast,
}

/// What was recorded.
#[derive(Serialize)]
pub(super) struct Recording {
    pub(super) from: String,
    pub(super) until: String,
    pub(super) hours: f64,
    pub(super) entries: u64,
    pub(super) patients: u64,
    pub(super) batches: u64,
    /// Closes that no rule of the configuration explains.
    pub(super) closes_kept: u64,
}

/// What the model goes by besides.
#[derive(Serialize)]
pub(super) struct Assumed {
    pub(super) patients: u64,
    pub(super) fork: String,
    pub(super) block_seconds: f64,
    pub(super) gas_price_gwei: Option<f64>,
}

impl Recording {
    pub(super) fn of(past: &Past) -> Recording {
        Recording {
            from: Utc(past.first).to_string(),
            until: Utc(past.last).to_string(),
            hours: past.last.since(past.first) as f64 / 3_600_000.0,
            entries: past.entries,
            patients: past.patients,
            batches: past.batches,
            closes_kept: past.asked,
        }
    }
}
