//! Changes of the registry that rest on what it holds: one after the other, so that none comes
//! between a look and the change that follows from it.

use std::sync::Arc;

use model::Position;
use thiserror::Error;
use tokio::sync::Mutex;
use wire::RegistryChange;

use super::admit::{Admit, AdmitError};
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

    /// Makes the change that `decide` makes of what is registered then, and returns when the view
    /// has it.
    ///
    /// # Errors
    /// [`DeskError`]; [`DeskError::Not`] with what `decide` says.
    pub async fn change(
        &self,
        decide: impl FnOnce(&LedgerView) -> Result<RegistryChange, String>,
    ) -> Result<Position, DeskError> {
        // An answer leaves when the view has its change.
        let _turn = self.turns.lock().await;
        let change = decide(&self.view).map_err(DeskError::Not)?;
        match self.admit.submit(Item::Registry(change)).await? {
            Answer::RegistryChanged { position } => Ok(position),
            Answer::Refused(refusal) => Err(DeskError::Refused(refusal.detail)),
            _ => Err(DeskError::Refused("expected a changed registry".into())),
        }
    }
}
