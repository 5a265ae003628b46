//! Starts and stops the proving stage: planner, workers and batcher, with the service between them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use model::BatchHeader;
use thiserror::Error;
use tokio::sync::watch;

use super::error::NodeError;
use super::open::Opened;
use super::recover::RecoverError;
use super::tables::{self, TableThread};
use super::watched::Watched;
use super::windows::Windows;
use crate::doors::config::ProverSection;
use crate::folder::secrets::NodeSecret;
use crate::guard::{Guard, GuardedThread, Stage};
use crate::stages::batch::BatchBinding;
use crate::stages::prove::jobs::{self, ProvingService};
use crate::stages::prove::{Batcher, BatcherLoop, Planned, Planner};
use crate::window::{ClosedWindow, OperationScope};

/// What lays windows out, with a proving service that nobody works for yet.
pub(super) fn planner(
    opened: &Opened,
    operations: OperationScope,
    watched: &Watched,
) -> Result<Planner, NodeError> {
    let binding = BatchBinding {
        scope: opened.edge.scope(),
        operations,
        key_version: BatchHeader::KEY_VERSION,
        edge_secret: *opened.layout.secret(NodeSecret::Edge)?,
    };
    let watched = watched.clone();
    let metrics = watched.metrics().clone();
    metrics.set_engine(opened.keys.engine_name());
    let around = jobs::Around { metrics, tell: Box::new(move |step| watched.step(step)) };
    // Tells the leases of this run from those of the runs before.
    let epoch = getrandom::u64()?;
    let service = ProvingService::new(opened.config.prover.threads(), epoch, around);
    Ok(Planner { binding, keys: opened.keys.clone(), service })
}

/// The threads of the stage, and how others have something proven.
pub(super) struct Proving {
    planner: Planner,
    planning: GuardedThread,
    batcher: GuardedThread,
    workers: Vec<GuardedThread>,
    tables: TableThread,
    stop_after: Duration,
    /// Last, also where a start fails on its way: idle workers wait for nothing else.
    _ended: Ended,
}

/// Ends the service when it is dropped.
struct Ended(Arc<ProvingService>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.stop_at(Instant::now());
    }
}

/// What the threads work with.
pub(super) struct Fed {
    pub(super) planner: Planner,
    pub(super) batcher: Batcher,
    /// Ends with the writer's delivery.
    pub(super) windows: Windows,
    /// Ends the pauses between tries.
    pub(super) stop: watch::Receiver<bool>,
    /// Where the keys are, and their tables.
    pub(super) key_folder: PathBuf,
}

/// A window with its plan, if it can be laid out.
struct Ahead {
    window: ClosedWindow,
    planned: Option<Planned>,
}

/// Why the planner does not go on.
#[derive(Debug, Error)]
#[error("the batcher ended")]
struct NoBatcher;

impl Proving {
    /// Starts threads of their own, not tasks: they compute for minutes and would hold up a
    /// runtime's workers.
    pub(super) fn start(
        fed: Fed,
        config: &ProverSection,
        watched: &Watched,
        guard: &Guard,
    ) -> Result<Proving, NodeError> {
        let Fed { planner, mut batcher, windows, stop, key_folder } = fed;
        let tables = tables::Wanted {
            keys: planner.keys.clone(),
            folder: key_folder,
            bytes_max: usize::try_from(config.table_bytes_max).unwrap_or(usize::MAX),
            metrics: watched.metrics().clone(),
        };
        let ended = Ended(planner.service.clone());
        let priority = config.priority.parse().expect("the configuration was checked");
        let closed = watched.metrics().batches_closed_total.clone();
        let standing = Box::new(watched.degraded().standing(Stage::Proving));
        let retry = [config.retry_first_ms, config.retry_max_ms].map(Duration::from_millis);
        let mut looped = BatcherLoop::new(retry, standing, stop);
        // Without room in between: the planner is one window ahead and no more.
        let (ahead, planned) = sync_channel::<Result<Ahead, RecoverError>>(0);
        let (lays_out, service) = (planner.clone(), planner.service.clone());
        let plan = move |window: Result<ClosedWindow, RecoverError>| {
            let next = window.map(|window| Ahead { planned: lays_out.plan_ahead(&window), window });
            ahead.send(next).map_err(|_| NoBatcher)
        };
        let batch = move |next: Result<Ahead, RecoverError>| {
            match next {
                Ok(Ahead { window, planned }) => {
                    closed.inc();
                    batcher.take_over(planned);
                    looped.make(&mut batcher, &window);
                    // Nobody waits for what comes behind it.
                    if looped.has_given_up() {
                        service.stop_at(Instant::now());
                    }
                }
                // It is asked for again, unless the node stops and it would be for ever.
                Err(error) if looped.wait_for_window(&error) => {}
                Err(error) => return Err(error),
            }
            Ok::<_, RecoverError>(())
        };
        Ok(Proving {
            workers: jobs::start_workers(&planner.service, guard, priority, seed)?,
            batcher: guard.thread(Stage::Proving, "batcher", planned.into_iter(), batch)?,
            planning: guard.thread(Stage::Proving, "planner", windows, plan)?,
            tables: TableThread::start(tables, guard)?,
            stop_after: Duration::from_millis(config.stop_after_ms),
            planner,
            _ended: ended,
        })
    }

    /// What lays windows out and has them proven.
    pub(super) fn planner(&self) -> &Planner {
        &self.planner
    }

    /// Says that all are about to end, because what feeds them is.
    pub(super) fn plan_end(&self) {
        let Proving { planning, batcher, workers, tables, .. } = self;
        [planning, batcher].into_iter().chain(workers).for_each(GuardedThread::plan_end);
        tables.plan_end();
    }

    /// Ends them with what feeds them, which `ask` ends. Blocks for as long as proofs may go on;
    /// those that are under way even then end with the process, and nobody waits for them.
    pub(super) fn stop(self, ask: impl FnOnce()) {
        // A proof that is under way cannot be cut off, so only the waiting for it is.
        self.planner.service.stop_at(Instant::now() + self.stop_after);
        self.planning.stop(ask);
        self.batcher.stop(|| ());
        self.tables.stop();
    }
}

/// From the operating system, for what blinds the proofs of one thread.
fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}
