//! The base chain before anybody relies on it: is it the deployment's, and does the journal hold
//! what the contract remembers?
//!
//! A node starts whether or not the chain answers, because collection needs no chain. What the
//! start could not ask, the settler's task asks before its first round. A chain or contract that is
//! another than the deployment file says is refused at the start, and waited out later: then
//! patients are being collected from, and it is somebody else's node that changed.

use std::sync::Arc;
use std::time::Duration;

use journal::{FileMedium, Reader};
use l1_contracts::Edge;
use tokio::time::timeout;

use super::error::NodeError;
use super::head::{HeadError, Memories, Memory, contradictions};
use super::setup::Reach;
use crate::folder::layout::Layout;
use crate::folder::store::Store;
use crate::history::Hold;
use crate::stages::settle::SettleError;

/// How often a chain that seems to be another one is asked at the start: behind one address may
/// stand several nodes, of which one is wrong.
const ASKED: usize = 3;

/// How long the start waits for each answer about the chain.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks who chain and contract are; one that does not answer is not waited for.
///
/// # Errors
/// [`NodeError::Edge`] if they are not the deployment's, however often they are asked.
pub(super) async fn refuse_other_chain(edge: &Edge, reach: &Reach) -> Result<(), NodeError> {
    if let Reach::Embedded(_) = reach {
        // Nobody else answers for it, and nothing is on its way.
        return Ok(edge.check().await?);
    }
    for _ in 1..ASKED {
        match timeout(PATIENCE, edge.check()).await {
            Ok(Err(error)) if error.contradicts_deployment() => {}
            _ => return Ok(()),
        }
    }
    match timeout(PATIENCE, edge.check()).await {
        Ok(Err(error)) if error.contradicts_deployment() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Everybody's memory, the contract's first; `None` if the chain does not answer for it, which is
/// said.
///
/// # Errors
/// [`HeadError`] of the others.
pub(super) async fn ask_contract(memories: &Memories<'_>) -> Result<Option<Memory>, HeadError> {
    let asked = async {
        // Once more, and not taken over from before: what is remembered is of this chain.
        memories.edge.check().await?;
        memories.all().await
    };
    let error: Box<dyn std::error::Error> = match timeout(PATIENCE, asked).await {
        Ok(Ok(memory)) => return Ok(Some(memory)),
        Ok(Err(error @ (HeadError::Edge(_) | HeadError::Header { .. }))) => error.into(),
        Ok(Err(error)) => return Err(error),
        Err(elapsed) => elapsed.into(),
    };
    let why = model::with_causes(error.as_ref());
    tracing::warn!(
        why,
        "the base chain does not answer as it should: the node starts, collects and proves, and \
         settles once it does"
    );
    Ok(None)
}

/// What the settler's task asks before its first round, where the start could not.
#[derive(Clone)]
pub(super) struct ChainGate {
    pub(super) layout: Layout,
    pub(super) edge: Edge,
    pub(super) store: Arc<Store>,
    pub(super) journal: Reader<FileMedium>,
    pub(super) hold: Hold,
}

impl ChainGate {
    /// Whether the chain is the deployment's. A journal that lacks what the contract remembers
    /// holds the node, and then this never ends.
    pub(super) async fn check(&self) -> Result<(), SettleError> {
        self.edge.check().await?;
        let memories = Memories { layout: &self.layout, edge: &self.edge, store: &self.store };
        let remembered = memories.of_contract().await.map_err(uncompared)?;
        let lacked = contradictions(&self.journal, remembered.as_slice()).map_err(uncompared)?;
        if let Some(contradiction) = lacked.into_iter().next() {
            self.hold.set(contradiction);
            return std::future::pending().await;
        }
        tracing::info!("the base chain answers and is the deployment's: settling begins");
        Ok(())
    }
}

/// What failed, told apart: a chain that is waited for, and a disk that somebody must look after.
fn uncompared(error: HeadError) -> SettleError {
    match error {
        HeadError::Edge(error) => SettleError::Chain(error),
        HeadError::Store(error) => SettleError::Store(error),
        error @ HeadError::Journal(_) => SettleError::Journal(Box::new(error)),
        other => SettleError::Uncompared(Box::new(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::store::StoreError;
    use crate::history::HistoryError;
    use crate::stages::standing::Cause;

    #[test]
    fn a_disk_that_does_not_read_is_not_blamed_on_the_chain() {
        let journal = HeadError::Journal(HistoryError::NoGap { group: 3 });
        let store = HeadError::Store(StoreError::Missing { what: "batches", key: 1 });
        let header = HeadError::Header { number: 1 };
        let causes = [journal, store, header].map(|error| {
            let error = uncompared(error);
            (error.cause(), error.is_transient())
        });
        let expected = [
            (Cause::JournalUnreadable, false),
            (Cause::StoreFails, false),
            (Cause::ChainFails, true),
        ];
        assert_eq!(causes, expected);
    }
}
