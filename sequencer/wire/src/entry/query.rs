//! Entries about what systems ask: whether consent would allow something, which is no access.

use std::fmt;

use model::{Claim, OrganisationId};

use super::decision::Decision;
use crate::DecodeError;
use crate::codec::{Reader, Writer};

/// A question that was answered at the entry's time. Nothing was read, so nothing is claimed or
/// proven; that it was asked, the patient sees.
#[derive(Clone, PartialEq, Eq)]
pub struct QueryEntry {
    /// The registered organisation whose system asked.
    pub organisation: OrganisationId,
    /// The claim that what is asked about would be, had it been done then.
    pub claim: Claim,
    /// What it was told.
    pub answer: Decision,
}

/// Whose system asked and what it was told: whom about is the patient's.
impl fmt::Debug for QueryEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryEntry {{ {}, {:?} }}", self.organisation.as_str(), self.answer)
    }
}

impl QueryEntry {
    pub(super) fn write(&self, to: &mut Writer) {
        to.text(self.organisation.as_str());
        self.answer.write(to);
        to.long(&self.claim.to_bytes());
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<QueryEntry, DecodeError> {
        let organisation = from.name("organisation id", OrganisationId::new)?;
        let answer = Decision::read(from)?;
        let bytes = from.long("claim", Claim::BYTES)?;
        let claim = Claim::from_bytes(bytes)
            .map_err(|error| DecodeError::field("claim that is asked about", error))?;
        Ok(QueryEntry { organisation, claim, answer })
    }
}
