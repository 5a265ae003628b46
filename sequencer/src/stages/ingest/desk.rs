//! Changes of the registry that rest on what it holds: one after the other, so that none comes
//! between a look and the change that follows from it.

use std::sync::Arc;

use model::Position;
use thiserror::Error;
use tokio::sync::{Mutex, oneshot};
use wire::RegistryChange;

use super::admit::{Admit, AdmitError};
use crate::guard::spawn_request;
use crate::stages::ledger::{Answer, Item, LedgerView};

/// Where everybody goes who changes the registry: the operator's door, and whoever shows a renewed
/// certificate. Cheap to clone.
#[derive(Clone)]
pub struct RegistryDesk {
    admit: Admit,
    view: LedgerView,
    turns: Arc<Mutex<()>>,
}

/// Why a change is not made.
#[derive(Debug, Error)]
pub enum DeskError {
    /// What it rests on does not hold.
    #[error("{0}")]
    Not(String),
    /// The ledger refused it.
    #[error("{0}")]
    Refused(String),
    /// The writer did not take it.
    #[error("the change is not made")]
    Admit(#[from] AdmitError),
    /// Whoever made it ended before; its panic is in the log.
    #[error("expected to hear what became of the change, found that its task ended")]
    Ended,
}

impl RegistryDesk {
    /// Changes what this view shows.
    pub fn new(admit: Admit, view: LedgerView) -> RegistryDesk {
        RegistryDesk { admit, view, turns: Arc::default() }
    }

    /// What is registered.
    pub fn view(&self) -> &LedgerView {
        &self.view
    }

    /// Makes the operator's change that `decide` makes of what is registered then, and returns when
    /// the view has it; nothing where it decides so. Who stops waiting gives up the answer, and
    /// neither the change nor its turn.
    ///
    /// # Errors
    /// [`DeskError`]; [`DeskError::Not`] with what `decide` says.
    pub async fn change(
        &self,
        decide: impl FnOnce(&LedgerView) -> Result<Option<RegistryChange>, String> + Send + 'static,
    ) -> Result<Option<Position>, DeskError> {
        self.take_turn(move |desk| async move {
            let Some(change) = decide(&desk.view).map_err(DeskError::Not)? else { return Ok(None) };
            let answer = desk.admit.submit(Item::Registry(change)).await?;
            position(answer).map(Some)
        })
        .await
    }

    /// The same for a certificate that takes the place of the one before: it is in line with all
    /// other items, and wakes nobody, since it ends no one's right. `undo` is called, in the same
    /// turn, if it is not made.
    pub(super) async fn succeed(
        &self,
        decide: impl FnOnce(&LedgerView) -> Result<RegistryChange, String> + Send + 'static,
        undo: impl FnOnce() + Send + 'static,
    ) -> Result<Position, DeskError> {
        self.take_turn(move |desk| async move {
            let made = async {
                let change = decide(&desk.view).map_err(DeskError::Not)?;
                position(desk.admit.submit_succession(change).await?)
            };
            made.await.inspect_err(|_| undo())
        })
        .await
    }

    /// Has every connection look whether it may go on.
    pub(super) fn wake_connections(&self) {
        self.admit.note_registry_change();
    }

    /// Does `work` with nobody else between. It is a task of its own that ends with the writer's
    /// answer: if a caller's timeout ended it, the next turn would look at a view in which a change
    /// that is still on its way to the disk is missing.
    async fn take_turn<T: Send + 'static, Work>(
        &self,
        work: impl FnOnce(RegistryDesk) -> Work,
    ) -> Result<T, DeskError>
    where
        Work: Future<Output = Result<T, DeskError>> + Send + 'static,
    {
        // Who gives up here has changed nothing yet.
        let turn = Arc::clone(&self.turns).lock_owned().await;
        let (work, (tell, told)) = (work(self.clone()), oneshot::channel());
        spawn_request("registry", async move {
            let made = work.await;
            drop(turn);
            // Nobody may be waiting any more.
            drop(tell.send(made));
        });
        told.await.unwrap_or(Err(DeskError::Ended))
    }
}

/// Where the change stands.
fn position(answer: Answer) -> Result<Position, DeskError> {
    match answer {
        Answer::RegistryChanged { position } => Ok(position),
        Answer::Refused(refusal) => Err(DeskError::Refused(refusal.detail)),
        _ => Err(DeskError::Refused("expected a changed registry".into())),
    }
}
