//! Where operations over HTTP find who takes them.

use std::sync::{Arc, PoisonError, RwLock};

use crate::stages::ingest::OperationDoor;

/// Where the node puts the door once it takes operations, and takes it from before it stops.
#[derive(Clone, Default)]
pub struct DoorPlace(Arc<RwLock<Option<OperationDoor>>>);

impl DoorPlace {
    /// From now on operations are taken.
    pub fn open(&self, door: OperationDoor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(door);
    }

    /// From now on none is.
    pub fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Who takes them now, if somebody does.
    pub(super) fn door(&self) -> Option<OperationDoor> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
