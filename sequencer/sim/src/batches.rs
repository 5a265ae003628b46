//! From a closed window to a settled batch: the stages of a node on tasks of one host, with the
//! stub in the place of the prover. What a crash leaves of it stands in store and journal.

use std::sync::Arc;
use std::time::Duration;

use journal::fault::FaultMedium;
use journal::{ReadError, Reader};
use l1_contracts::EdgeError;
use model::{BatchHeader, Clock, with_causes};
use sequencer::folder::store::{Store, StoreError};
use sequencer::metrics::Metrics;
use sequencer::node::recover::RecoverError;
use sequencer::node::stepped::SteppedWindows;
use sequencer::stages::batch::{BatchBinding, PlanError, ProvenBatch, assemble, plan};
use sequencer::stages::prove::{LastBatch, groups_of};
use sequencer::stages::settle::{SettleConfig, SettleError, Settler, SettlerParts};
use sequencer::window::{ClosedWindow, OperationScope};
use statement::scope::header_hash;
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::chain::ChainSite;
use crate::clock::SimulatedClock;
use crate::keys::{chain_scope, settling_key};

/// How often it is looked whether a window is closed.
const LOOK: Duration = Duration::from_millis(50);

/// How long a proof takes: long enough that a crash comes before some of them.
const PROVING: Duration = Duration::from_millis(400);

/// A window that becomes no batch.
#[derive(Debug, Error)]
pub(crate) enum BatchError {
    /// It cannot be read back.
    #[error("the next window cannot be read back")]
    Window(#[from] RecoverError),
    /// It cannot be laid out.
    #[error("window {number} cannot be laid out")]
    Plan {
        /// Which.
        number: u64,
        /// Why not.
        source: PlanError,
    },
    /// A chunk is of no shape.
    #[error("a chunk of window {number} is of no shape")]
    Shape {
        /// Which window.
        number: u64,
    },
    /// The journal.
    #[error("the groups of the batch cannot be read")]
    Journal(#[from] ReadError),
    /// The store.
    #[error("the batch cannot be stored")]
    Store(#[from] StoreError),
}

/// What a node's batches are made of.
pub(crate) struct Batching {
    pub(crate) windows: SteppedWindows<FaultMedium>,
    pub(crate) journal: Reader<FaultMedium>,
    pub(crate) store: Arc<Store>,
    pub(crate) chain: Arc<ChainSite>,
    pub(crate) last: LastBatch,
    pub(crate) operations: OperationScope,
    /// Wakes the settler.
    pub(crate) wake: Arc<Notify>,
}

impl Batching {
    /// Makes a batch of each window that closes, in their order, until one fails.
    pub(crate) async fn run(mut self) -> BatchError {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.make_closed().await {
                return error;
            }
        }
    }

    async fn make_closed(&mut self) -> Result<(), BatchError> {
        while let Some(window) = self.windows.next_closed()? {
            self.make(&window).await?;
            self.wake.notify_one();
        }
        Ok(())
    }

    async fn make(&mut self, window: &ClosedWindow) -> Result<(), BatchError> {
        let (contents, binding) = (&window.contents, binding(self.operations));
        let number = contents.number.0;
        let keys = &self.chain.keys;
        let plan = plan(contents, &binding, keys.capacities())
            .map_err(|source| BatchError::Plan { number, source })?;
        let [operation_proofs, claim_proofs] =
            keys.prove(&plan).ok_or(BatchError::Shape { number })?;
        let proofs = operation_proofs.len() + claim_proofs.len();
        tokio::time::sleep(PROVING * proofs as u32).await;
        let contents = contents.as_ref().clone();
        let proven = ProvenBatch { contents, plan, operation_proofs, claim_proofs };
        let groups = groups_of(&self.journal, self.last.group, window)?;
        let batch = assemble(&proven, self.last.header_hash, &binding, groups);
        self.store.save_batch(&batch, SimulatedClock::default().now())?;
        let header = &batch.public.header;
        let header_hash = header_hash(header);
        self.last = LastBatch { number: header.number, header_hash, group: window.group };
        Ok(())
    }
}

/// What batches of every run are bound to.
pub(crate) fn binding(operations: OperationScope) -> BatchBinding {
    BatchBinding {
        scope: chain_scope(),
        operations,
        key_version: BatchHeader::KEY_VERSION,
        edge_secret: [0; 32],
    }
}

/// Brings batches to the chain, until the account turns out to be another one.
pub(crate) async fn settle_batches(
    chain: Arc<ChainSite>,
    store: Arc<Store>,
    wake: Arc<Notify>,
) -> String {
    let mut settler = Settler::new(SettlerParts {
        edge: chain.edge(),
        store,
        signer: settling_key(),
        config: settle_config(),
        metrics: Metrics::new(),
        clock: Arc::new(SimulatedClock::default()),
        standing: Arc::new(()),
    });
    let edge = chain.edge();
    let check =
        || async { edge.check().await.map_err(|error: EdgeError| SettleError::from(error)) };
    settler.wait_for_chain(check).await;
    let (_running, stop) = watch::channel(false);
    match settler.run(wake, stop).await {
        Ok(()) => "nobody stops it".to_owned(),
        Err(error) => with_causes(&error),
    }
}

/// In a run everything is sooner than with the blocks of a chain.
fn settle_config() -> SettleConfig {
    SettleConfig {
        poll_ms: 250,
        doubt_ms: 1_000,
        resend_after_ms: 2_000,
        retry_first_ms: 250,
        retry_max_ms: 2_000,
        refused_retry_ms: 2_000,
        ..SettleConfig::default()
    }
}
