//! What arrived at a stopped node, read from its journal; nothing of it is changed.

use bodies::EntryPlace;
use journal::{Entries, FileMedium, Log, Medium, ReadError};
use l1_contracts::Deployment;
use model::{Millis, Position, with_causes};
use thiserror::Error;
use wire::Entry;

use super::survey::{self, SurveyError};
use crate::folder::layout::Layout;
use crate::forecast::{Arrival, Arrivals};
use crate::stages::ledger::{BodySeal, LedgerConfig, Placed};

/// The journal of a stopped node, locked while it is read. Files that are in the archive are read
/// there.
pub struct Recorded {
    log: Log<FileMedium>,
    config: LedgerConfig,
}

/// Why an entry cannot be had.
#[derive(Debug, Error)]
pub enum ArrivalError {
    /// It cannot be read, or its group is damaged.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// It does not decode.
    #[error("the journal entry at position {position} does not decode: {detail}")]
    Decode {
        /// Where.
        position: u64,
        /// Why not.
        detail: String,
    },
}

impl Recorded {
    /// Opens the journal of this folder. Readings stay sealed: when windows end and what is proven
    /// of them does not depend on what was measured, so no key of a patient is needed.
    ///
    /// # Errors
    /// [`SurveyError`]: there is none, a node runs on it, it is of another version, or its
    /// deployment or the key of its enrolments is not beside it.
    pub fn open(layout: &Layout) -> Result<Recorded, SurveyError> {
        let deployment = Deployment::read(&layout.deployment())?;
        let journal_hash = statement::journal::genesis(deployment.scope());
        let (log, _) = survey::open(layout, journal_hash)?;
        let bodies = BodySeal::keyless(log.reader().log_id());
        let config = survey::ledger_config(layout, &deployment, bodies)?;
        Ok(Recorded { log, config })
    }

    /// What the journal's ledger is bound to.
    pub fn ledger_config(&self) -> &LedgerConfig {
        &self.config
    }
}

impl Arrivals for Recorded {
    type Error = ArrivalError;

    fn all(&self) -> impl Iterator<Item = Result<Arrival, ArrivalError>> {
        arrivals_of(&self.log)
    }
}

/// What arrived, as this log has it.
pub(crate) fn arrivals_of<M: Medium>(
    log: &Log<M>,
) -> impl Iterator<Item = Result<Arrival, ArrivalError>> {
    Walk { entries: log.iter_from(1), first: 0, groups: 0 }
}

/// Goes through the entries and counts their groups.
struct Walk<M> {
    entries: Entries<M>,
    /// First position of the group of the last entry.
    first: u64,
    groups: u64,
}

impl<M: Medium> Iterator for Walk<M> {
    type Item = Result<Arrival, ArrivalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (position, entry) = match self.entries.next()? {
            Ok(found) => found,
            Err(error) => return Some(Err(error.into())),
        };
        let in_group = self.entries.in_group();
        if in_group.first != self.first {
            self.first = in_group.first;
            self.groups += 1;
        }
        let decode = |detail: String| ArrivalError::Decode { position, detail };
        let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
        let decoded = decoded.map_err(|error| decode(with_causes(&error)));
        let time = Millis::new(entry.time).map_err(|error| decode(error.to_string()));
        Some(decoded.and_then(|decoded| {
            let (salt, index) = (in_group.salt, in_group.index(position));
            let place = EntryPlace { salt, index, time: entry.time };
            let placed = Placed { position: Position(position), time: time?, place };
            Ok(Arrival { entry: decoded, placed, groups: self.groups })
        }))
    }
}
