//! The entry that begins a journal again after a loss.

use std::fmt;

use crate::codec::{Reader, Writer};
use crate::{DecodeError, Reason};

/// A place in the journal: a group's number and a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct JournalPlace {
    /// Number of the group.
    pub group: u64,
    /// Position of an entry.
    pub position: u64,
}

/// What was lost before this entry, and that an operator accepted it.
#[derive(Clone, PartialEq, Eq)]
pub struct GapEntry {
    /// Losses accepted so far, with this one: 1 or more, above every term that anybody knew of.
    pub term: u32,
    /// Behind the last group that all histories share, as far as anybody can tell: whatever was
    /// acknowledged from here on and is not in the journal is given up.
    pub lost: JournalPlace,
    /// The last ones that anybody was known to have been told of: witness, store, receipts.
    pub known: JournalPlace,
    /// Why, in the operator's words.
    pub reason: Reason,
}

/// Without the reason: people write names into such a line.
impl fmt::Debug for GapEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GapEntry { term, lost, known, reason: _ } = self;
        write!(f, "GapEntry {{ term: {term}, lost: {lost:?}, known: {known:?} }}")
    }
}

impl GapEntry {
    pub(super) fn write(&self, to: &mut Writer) {
        to.u32(self.term);
        for place in [self.lost, self.known] {
            to.u64(place.group);
            to.u64(place.position);
        }
        to.long(self.reason.as_str().as_bytes());
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<GapEntry, DecodeError> {
        let term = from.u32()?;
        // Zero is the term before any loss.
        if term == 0 {
            return Err(DecodeError::field("term", "expected 1 or more"));
        }
        let mut place = || Ok(JournalPlace { group: from.u64()?, position: from.u64()? });
        let (lost, known) = (place()?, place()?);
        Ok(GapEntry { term, lost, known, reason: Reason::read(from)? })
    }
}
