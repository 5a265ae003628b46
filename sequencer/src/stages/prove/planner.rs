//! Lays closed windows out and gives their chunks to the proving service, ahead of the batcher: one
//! window is planned while the one before it is proven.

use std::sync::Arc;
use std::time::Instant;

use circuits::shapes::Statement;

use super::jobs::{JobSet, Jobs as _, ProvingService, SetError};
use super::keys::ProverKeys;
use super::progress::Progress;
use crate::metrics::ProvingStep;
use crate::stages::batch::{BatchBinding, BatchPlan, PlanError, ProvenBatch, plan_each};
use crate::window::ClosedWindow;

/// Lays windows out. Cheap to clone.
#[derive(Clone)]
pub struct Planner {
    /// What every batch is bound to.
    pub binding: BatchBinding,
    /// What proves.
    pub keys: Arc<ProverKeys>,
    /// Who has it proven.
    pub service: Arc<ProvingService>,
}

/// A window that is laid out, its chunks with the proving service. Dropped, they are aborted.
pub struct Planned {
    window: ClosedWindow,
    plan: BatchPlan,
    jobs: JobSet,
}

impl Planner {
    /// Lays a window out; each chunk can be proven as soon as its native twin has checked it and
    /// the one behind it is there.
    ///
    /// # Errors
    /// [`PlanError`] for the first chunk that does not hold; those before it are aborted.
    pub fn plan(&self, window: &ClosedWindow) -> Result<Planned, PlanError> {
        let Planner { binding, keys, service } = self;
        let number = window.contents.number.0;
        let begun = Instant::now();
        let mut jobs = JobSet::begin(service.clone(), keys.clone(), number);
        let plan = plan_each(&window.contents, binding, keys.capacities(), &mut |statement| {
            jobs.push(statement);
        })?;
        jobs.end();
        service.metrics().observe_step(ProvingStep::Plan, begun.elapsed());
        let (operations, claims) = (plan.operations.len(), plan.claims.len());
        let places = plan.claim_places();
        service.tell(Progress::Planned { number, operations, claims, places });
        Ok(Planned { window: window.clone(), plan, jobs })
    }

    /// Has a window proven that is laid out already.
    pub fn prove(&self, window: ClosedWindow, plan: BatchPlan) -> Planned {
        let number = window.contents.number.0;
        let mut jobs = JobSet::begin(self.service.clone(), self.keys.clone(), number);
        for (chunk, inputs) in &plan.operations {
            jobs.push(Statement::C1(inputs, chunk));
        }
        for (chunk, inputs) in &plan.claims {
            jobs.push(Statement::C2(inputs, chunk));
        }
        jobs.end();
        Planned { window, plan, jobs }
    }

    /// As [`Planner::plan`]; `None` if it cannot be laid out, which the batcher finds again when
    /// the window's turn comes, or if nothing is proven any more.
    pub fn plan_ahead(&self, window: &ClosedWindow) -> Option<Planned> {
        if self.service.is_stopping() { None } else { self.plan(window).ok() }
    }
}

impl Planned {
    /// Number of the window.
    pub fn number(&self) -> u64 {
        self.window.contents.number.0
    }

    /// Waits for the proofs, for as long as the node does not stop and `go_on` says so, asked when
    /// the service [wakes](ProvingService::wake) who waits.
    ///
    /// # Errors
    /// [`SetError`]; to be waited for again after [`Planned::retry`].
    pub fn wait(&self, go_on: &dyn Fn() -> bool) -> Result<ProvenBatch, SetError> {
        let proofs = self.jobs.wait(go_on)?;
        Ok(ProvenBatch {
            contents: self.window.contents.as_ref().clone(),
            plan: self.plan.clone(),
            operation_proofs: proofs.operations,
            claim_proofs: proofs.claims,
        })
    }

    /// Has the chunks that failed tried once more.
    pub fn retry(&self) {
        self.jobs.retry();
    }
}
