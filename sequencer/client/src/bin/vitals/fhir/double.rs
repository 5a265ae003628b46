//! A store for tests: it keeps in memory, and refuses what it is told to.

use std::collections::HashMap;
use std::sync::Mutex;

use bridge::Cause;

use super::store::{Kept, Posted, Store, Stored};

/// What it was given, and what it refuses.
#[derive(Default)]
pub(crate) struct Double {
    pub(crate) kept: Mutex<Vec<Posted>>,
    /// Calls, each of which waits for receipts once.
    pub(crate) calls: Mutex<usize>,
    /// By the name of a signal.
    pub(crate) refusals: Mutex<HashMap<&'static str, Cause>>,
}

impl Double {
    fn find(&self, posted: &Posted) -> Option<Result<Kept, Cause>> {
        let refusals = self.refusals.lock().unwrap();
        let refusal = |one: &bridge::Measurement| refusals.get(one.signal.name);
        if let Some(cause) = posted.measurements.iter().find_map(refusal) {
            return Some(Err(cause.clone()));
        }
        let kept = self.kept.lock().unwrap();
        posted.known(|name| {
            let before = kept.iter().find(|one| one.names().any(|known| known == name))?;
            Some(Stored { content: before.content, receipt: "receipt-1".to_owned() })
        })
    }

    fn keep(&self, posted: Posted) -> Kept {
        let id = posted.id;
        self.kept.lock().unwrap().push(posted);
        Kept { receipt: "receipt-1".to_owned(), id, is_known: false }
    }
}

impl Store for Double {
    async fn keep_each(&self, posted: Vec<Posted>) -> Vec<Result<Kept, Cause>> {
        *self.calls.lock().unwrap() += 1;
        let keep = |one: Posted| self.find(&one).unwrap_or_else(|| Ok(self.keep(one)));
        posted.into_iter().map(keep).collect()
    }

    async fn keep_all(&self, posted: Vec<Posted>) -> Result<Vec<Kept>, Cause> {
        *self.calls.lock().unwrap() += 1;
        // As the delivery does: under one name nothing else can be.
        let is_other =
            |one: &Posted, other: &Posted| one.id == other.id && one.content != other.content;
        if posted.iter().any(|one| posted.iter().any(|other| is_other(one, other))) {
            return Err(Cause::Reused);
        }
        if let Some(cause) = posted.iter().find_map(|one| self.find(one)?.err()) {
            return Err(cause);
        }
        let keep = |one: Posted| self.find(&one).unwrap_or_else(|| Ok(self.keep(one)));
        posted.into_iter().map(keep).collect()
    }
}
