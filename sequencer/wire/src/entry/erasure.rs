//! Entries about the erasure of a patient's readings: that it was done, and what keeps it from
//! being done.

use std::fmt;

use model::PatientIndex;

use crate::codec::{Reader, Writer};
use crate::hash::Holder;
use crate::{DecodeError, Reason, SignedErasure};

/// A patient's readings are erased from here on: the tombstone. Whoever follows the log destroys
/// the patient's keys, however it came by them again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasureEntry {
    /// The patient's request.
    pub request: SignedErasure,
    /// Whom its receipt is for: the patient's key ([`Holder::signer`]).
    pub requester: Holder,
}

/// A legal hold: a patient's readings are not erased while one is set (GDPR 17(3)(e)).
#[derive(Clone, PartialEq, Eq)]
pub struct HoldEntry {
    /// Whose readings.
    pub patient: PatientIndex,
    /// What becomes of it.
    pub change: HoldChange,
    /// Why, in the operator's words.
    pub reason: Reason,
    /// Who, as the system knows them and as they say.
    pub who: Reason,
}

/// What becomes of a legal hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum HoldChange {
    /// It is set.
    Set = 1,
    /// It is cleared.
    Clear = 2,
}

/// Without words: people write names into them.
impl fmt::Debug for HoldEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HoldEntry {{ {:?} }}", self.change)
    }
}

impl ErasureEntry {
    pub(super) fn write(&self, to: &mut Writer) -> Result<(), DecodeError> {
        to.raw(&self.requester.0);
        to.long(&self.request.to_bytes()?);
        Ok(())
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<ErasureEntry, DecodeError> {
        let requester = Holder(from.array()?);
        let bytes = from.long("signed erasure request", SignedErasure::BYTES)?;
        Ok(ErasureEntry { request: SignedErasure::from_bytes(bytes)?, requester })
    }
}

impl HoldEntry {
    pub(super) fn write(&self, to: &mut Writer) {
        to.patient(self.patient);
        to.u8(self.change as u8);
        to.long(self.reason.as_str().as_bytes());
        to.long(self.who.as_str().as_bytes());
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<HoldEntry, DecodeError> {
        let patient = from.patient()?;
        let change = match from.u8()? {
            found if found == HoldChange::Set as u8 => HoldChange::Set,
            found if found == HoldChange::Clear as u8 => HoldChange::Clear,
            found => {
                let found = u64::from(found);
                return Err(DecodeError::Unknown { what: "change of a legal hold", found });
            }
        };
        let (reason, who) = (Reason::read(from)?, Reason::read(from)?);
        if !reason.says_something() {
            return Err(DecodeError::field(
                "legal hold",
                "expected a reason of at least 4 letters",
            ));
        }
        Ok(HoldEntry { patient, change, reason, who })
    }
}
