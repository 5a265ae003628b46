//! What was planned, held against what happens.

use std::path::Path;

use files::Audience;
use model::with_causes;

use super::watched::Watched;
use crate::forecast::{Expected, Happened};

/// Longest file: a plan's row takes some hundred bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What was planned, if anything was.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpectedDay {
    expected: Option<Expected>,
    /// The boot-time clock at the start, milliseconds.
    begun_ms: u64,
}

impl ExpectedDay {
    /// Reads what `[plan] expected` names. One that cannot be read is told and keeps no node down:
    /// it says nothing about collecting.
    pub(super) fn read(path: Option<&Path>, now_ms: u64) -> ExpectedDay {
        let read = |path: &Path| {
            let found = files::read(path, FILE_BYTES_MAX, Audience::Public);
            let text = found.map_err(|error| error.to_string())?;
            Expected::parse(&text).map_err(|error| with_causes(&error))
        };
        let expected = path.and_then(|path| match read(path) {
            Ok(expected) => Some(expected),
            Err(error) => {
                let path = path.display();
                tracing::warn!("[plan] expected = {path} is not compared: {error}");
                None
            }
        });
        ExpectedDay { expected, begun_ms: now_ms }
    }

    /// Compares with what was counted since the start.
    pub(super) fn look(&self, now_ms: u64, watched: &Watched) {
        let Some(expected) = &self.expected else { return };
        let metrics = watched.metrics();
        watched.set_plan_errors(expected.compare(Happened {
            ms: now_ms.saturating_sub(self.begun_ms),
            batches: metrics.batches_closed_total.get(),
            proofs: watched.totals().proofs,
            gas: metrics.settle_gas_total.get(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::SystemClock;

    use super::*;
    use crate::metrics::Metrics;

    /// Nothing happened yet.
    fn fresh() -> Watched {
        Watched::new(Metrics::new(), Arc::new(SystemClock))
    }

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn a_plan_is_shown_against_what_was_counted_and_a_file_that_is_none_against_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        let text = r#"{"schema":"vitals-plan-expected-1","set":{},"batches":2880.0,"proofs":24.0,
            "gas":1.0}"#;
        std::fs::write(&path, text).unwrap();
        let watched = fresh();
        let expected = ExpectedDay::read(Some(&path), 1_000);
        watched.metrics().batches_closed_total.inc_by(60);
        expected.look(1_000 + HOUR_MS - 1, &watched);
        assert_eq!(watched.plan_errors(), None, "not in the first hour");
        assert!(watched.metrics().plan_error_batches.get().is_nan());
        expected.look(1_000 + HOUR_MS, &watched);
        // Twice as many as there are.
        assert_eq!(watched.metrics().plan_error_batches.get(), 1.0);
        assert!(watched.metrics().plan_error_gas.get().is_nan(), "nothing settled");
        assert_eq!(watched.plan_errors().unwrap().batches.happened_a_day, 1_440);

        std::fs::write(&path, "{}").unwrap();
        for path in [Some(&*path), Some(dir.path()), None] {
            let (none, watched) = (ExpectedDay::read(path, 0), fresh());
            none.look(2 * HOUR_MS, &watched);
            assert_eq!(watched.plan_errors(), None);
        }
    }
}
