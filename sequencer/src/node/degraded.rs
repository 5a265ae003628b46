//! Which stages run and do not get on, and why.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use crate::guard::Stage;
use crate::metrics::Metrics;
use crate::stages::standing::{Cause, Standing};

/// What the stages said of themselves last.
#[derive(Clone)]
pub struct Degraded {
    metrics: Arc<Metrics>,
    stages: Arc<Mutex<BTreeMap<Stage, Cause>>>,
}

impl Degraded {
    /// Every stage gets on.
    pub(super) fn new(metrics: Arc<Metrics>) -> Degraded {
        for (stage, cause) in Stage::ALL.into_iter().flat_map(|s| Cause::ALL.map(|c| (s, c))) {
            // Every series from the start, so that an alert on one finds it before it is 1.
            metrics.set_degraded(stage.name(), cause, false);
        }
        Stage::ALL.into_iter().for_each(|stage| metrics.set_failed(stage.name(), false));
        Degraded { metrics, stages: Arc::default() }
    }

    /// Stages that do not get on.
    pub fn stages(&self) -> BTreeMap<Stage, Cause> {
        // A map of plain values: a panic cannot leave it half changed.
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where a stage says how it stands.
    pub(super) fn standing(&self, stage: Stage) -> StageStanding {
        StageStanding { stage, degraded: self.clone() }
    }

    /// Replaces a stage's cause and returns the one before.
    fn replace(&self, stage: Stage, cause: Option<Cause>) -> Option<Cause> {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match cause {
            Some(cause) => stages.insert(stage, cause),
            None => stages.remove(&stage),
        };
        // Under the lock: two changes one after the other must not leave the metrics of the first.
        for (cause, holds) in [(before, false), (cause, true)] {
            if let Some(cause) = cause {
                self.metrics.set_degraded(stage.name(), cause, holds);
            }
        }
        before
    }
}

/// How one stage stands.
pub(super) struct StageStanding {
    stage: Stage,
    degraded: Degraded,
}

impl Standing for StageStanding {
    fn degrade(&self, cause: Cause, error: &dyn Error) {
        let before = self.degraded.replace(self.stage, Some(cause));
        let (stage, detail) = (self.stage.name(), model::with_causes(error));
        let (cause, todo) = (cause.name(), cause.what_to_do());
        // Loud once; each further try of the same is one line, so that the log does not drown.
        if before.is_some_and(|before| before.name() == cause) {
            tracing::warn!(stage, cause, detail, "a stage still does not get on");
        } else {
            tracing::error!(stage, cause, detail, todo, "a stage is degraded: collection goes on");
        }
    }

    fn recover(&self) {
        if let Some(cause) = self.degraded.replace(self.stage, None) {
            let (stage, cause) = (self.stage.name(), cause.name());
            tracing::info!(stage, cause, "a stage gets on again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_has_one_cause_at_a_time_and_none_once_it_gets_on() {
        let (metrics, error) = (Metrics::new(), std::fmt::Error);
        let degraded = Degraded::new(metrics.clone());
        let standing = degraded.standing(Stage::Settlement);
        let shows = |cause: Cause, value: u8| {
            let line = format!(
                "vitals_stage_degraded{{cause=\"{}\",stage=\"settlement\"}} {value}",
                cause.name()
            );
            let text = metrics.text();
            assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
        };
        shows(Cause::FeeLimit, 0);
        standing.degrade(Cause::FeeLimit, &error);
        shows(Cause::FeeLimit, 1);
        standing.degrade(Cause::NotTaken, &error);
        shows(Cause::FeeLimit, 0);
        shows(Cause::NotTaken, 1);
        assert_eq!(degraded.stages(), BTreeMap::from([(Stage::Settlement, Cause::NotTaken)]));
        standing.recover();
        shows(Cause::NotTaken, 0);
        assert_eq!(degraded.stages(), BTreeMap::new());
    }
}
