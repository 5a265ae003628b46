//! Whose readings are erased by their own signed request, and whose a legal hold keeps.
//!
//! What is asked here is asked again of every entry that is absorbed: a start destroys keys because
//! a journal says so, and does not believe an entry that no patient signed. Whether the stop and
//! the last claims are settled is no fact of the journal; whoever submits a request looks first.
//! Nothing here decides consent: a patient who is erased has a stopped record, which covers no
//! frame (C2.16), and no operation opens it again (C1.12).

use std::collections::BTreeMap;

use model::{
    DecodeError, Digest, Millis, PatientIndex, Position, Reader, Record, RejectCode, calendar,
};
use statement::eddsa;
use thiserror::Error;
use wire::{ErasureOf, HoldChange, HoldEntry, Holder, KeyChecks, Reason, SignedErasure};

use super::codec::{read_map, write_count, write_time};
use super::consent::read_patient;

/// Most legal holds at once. Memory: up to 600 bytes each.
pub const HOLDS_MAX: usize = 10_000;

/// By which keys and signatures of requests are checked.
pub const KEY_CHECKS: KeyChecks =
    KeyChecks { verifies: eddsa::verify_bytes, hash: eddsa::hash_bytes };

/// Bytes of a tombstone with its patient.
const TOMBSTONE_BYTES: usize = 4 + 8 + 8 + 31 + 32;
/// Fewest bytes of a hold with its patient.
const HOLD_BYTES_MIN: usize = 4 + 8 + 8 + 2 + 2;

/// That a patient's readings are erased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// Where the entry stands.
    pub position: Position,
    /// When it was appended.
    pub time: Millis,
    /// Names the signed request.
    pub digest: Digest,
    /// Whom the receipt is for.
    pub requester: Holder,
}

/// Why a patient's readings are kept although they may ask for their erasure.
#[derive(Clone, PartialEq, Eq)]
pub struct LegalHold {
    /// Where the entry stands that set it.
    pub position: Position,
    /// Since when.
    pub since: Millis,
    /// Why, in the operator's words.
    pub reason: Reason,
    /// Who set it.
    pub who: Reason,
}

/// Without words: people write names into them.
impl std::fmt::Debug for LegalHold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LegalHold {{ since: {:?} }}", self.since)
    }
}

/// Why readings are not erased, or a hold is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotErased {
    /// Nobody is enrolled there.
    #[error("expected the index of an enrolled patient, found none")]
    NotEnrolled,
    /// It is not signed by the patient for this record.
    #[error(
        "expected a request that the patient's key signed for this deployment behind the stop, \
         found another {part}: have it signed anew (`vitals consent erase`)"
    )]
    NotTheirs {
        /// What is another's.
        part: &'static str,
    },
    /// The record is open.
    #[error(
        "expected a record that the patient stopped, found an open one: `vitals consent stop` \
         comes first, and a request that is signed behind it"
    )]
    NotStopped,
    /// It is over, or not yet valid.
    #[error(
        "expected a request that is valid now, found one from {} until {}: have it signed anew \
         (`vitals consent erase`)",
        calendar::Utc(*from), calendar::Utc(*until)
    )]
    NotValid {
        /// When it was signed.
        from: Millis,
        /// When it ends.
        until: Millis,
    },
    /// It was done before.
    #[error("expected a patient who is not erased, found one erased at {}", calendar::Utc(*at))]
    Erased {
        /// When.
        at: Millis,
    },
    /// A legal hold keeps the readings.
    #[error(
        "expected no legal hold, found one since {}: `sequencer hold list` says why, and it is \
         erased once the hold is cleared",
        calendar::Utc(*since)
    )]
    Held {
        /// Since when.
        since: Millis,
    },
    /// There is none to clear.
    #[error("expected a legal hold on this patient, found none")]
    NotHeld,
    /// There are too many holds.
    #[error("expected at most {HOLDS_MAX} legal holds, found as many: clear some first")]
    TooMany,
}

impl NotErased {
    /// What a peer would be told.
    pub fn code(&self) -> RejectCode {
        match self {
            NotErased::NotEnrolled => RejectCode::Identity,
            NotErased::NotTheirs { .. } => RejectCode::Signature,
            NotErased::NotValid { .. } => RejectCode::Validity,
            NotErased::NotStopped
            | NotErased::Erased { .. }
            | NotErased::Held { .. }
            | NotErased::NotHeld
            | NotErased::TooMany => RejectCode::Operation,
        }
    }
}

/// Tombstones and legal holds, by patient.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Erasures {
    erased: BTreeMap<PatientIndex, Tombstone>,
    holds: BTreeMap<PatientIndex, LegalHold>,
}

impl Erasures {
    /// That this patient is erased, if they are.
    pub fn tombstone(&self, patient: PatientIndex) -> Option<&Tombstone> {
        self.erased.get(&patient)
    }

    /// The hold on this patient's readings, if there is one.
    pub fn hold(&self, patient: PatientIndex) -> Option<&LegalHold> {
        self.holds.get(&patient)
    }

    /// Every tombstone.
    pub fn tombstones(&self) -> impl Iterator<Item = (PatientIndex, &Tombstone)> {
        self.erased.iter().map(|(patient, tombstone)| (*patient, tombstone))
    }

    /// Everybody who is erased.
    pub fn erased(&self) -> impl Iterator<Item = PatientIndex> {
        self.erased.keys().copied()
    }

    /// Every hold.
    pub fn holds(&self) -> impl Iterator<Item = (PatientIndex, &LegalHold)> {
        self.holds.iter().map(|(patient, hold)| (*patient, hold))
    }

    /// Whether this request erases the readings of the patient with this record, whenever it is
    /// carried out.
    pub(super) fn check_request(
        &self,
        signed: &SignedErasure,
        record: Option<&Record>,
        about: ErasureOf,
    ) -> Result<(), NotErased> {
        let patient = about.patient;
        let record = record.ok_or(NotErased::NotEnrolled)?;
        if let Some(Tombstone { time: at, .. }) = self.erased.get(&patient).copied() {
            return Err(NotErased::Erased { at });
        }
        if record.is_open() {
            return Err(NotErased::NotStopped);
        }
        if let Some(LegalHold { since, .. }) = self.holds.get(&patient) {
            return Err(NotErased::Held { since: *since });
        }
        match signed.first_difference(&about, KEY_CHECKS) {
            Some(part) => Err(NotErased::NotTheirs { part }),
            None => Ok(()),
        }
    }

    /// Takes in a request that was checked.
    pub(super) fn take(&mut self, patient: PatientIndex, tombstone: Tombstone) {
        self.erased.insert(patient, tombstone);
    }

    /// Whether this change of a hold follows. Of a patient who is erased there is nothing to keep.
    pub(super) fn check_hold(&self, entry: &HoldEntry, is_enrolled: bool) -> Result<(), NotErased> {
        let HoldEntry { patient, change, .. } = entry;
        if !is_enrolled {
            return Err(NotErased::NotEnrolled);
        }
        match (change, self.holds.get(patient), self.erased.get(patient)) {
            (HoldChange::Clear, Some(_), _) => Ok(()),
            (HoldChange::Clear, None, _) => Err(NotErased::NotHeld),
            (HoldChange::Set, _, Some(tombstone)) => Err(NotErased::Erased { at: tombstone.time }),
            (HoldChange::Set, Some(hold), _) => Err(NotErased::Held { since: hold.since }),
            (HoldChange::Set, None, None) if self.holds.len() >= HOLDS_MAX => {
                Err(NotErased::TooMany)
            }
            (HoldChange::Set, None, None) => Ok(()),
        }
    }

    pub(super) fn take_hold(&mut self, entry: &HoldEntry, position: Position, since: Millis) {
        let HoldEntry { patient, change, reason, who } = entry.clone();
        match change {
            HoldChange::Set => {
                self.holds.insert(patient, LegalHold { position, since, reason, who });
            }
            HoldChange::Clear => drop(self.holds.remove(&patient)),
        }
    }

    /// Canonical bytes: tombstones by patient, then holds.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_count(self.erased.len(), out);
        for (patient, tombstone) in &self.erased {
            out.extend(patient.get().to_be_bytes());
            out.extend(tombstone.position.0.to_be_bytes());
            write_time(tombstone.time, out);
            out.extend(tombstone.digest.0);
            out.extend(tombstone.requester.0);
        }
        write_count(self.holds.len(), out);
        for (patient, hold) in &self.holds {
            out.extend(patient.get().to_be_bytes());
            out.extend(hold.position.0.to_be_bytes());
            write_time(hold.since, out);
            write_words(&hold.reason, out);
            write_words(&hold.who, out);
        }
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Erasures, DecodeError> {
        let erased = read_map(TOMBSTONE_BYTES, from, |from| {
            let patient = read_patient(from)?;
            let (position, time) = (Position(from.u64()?), from.millis()?);
            let (digest, requester) = (Digest(from.array()?), Holder(from.array()?));
            Ok((patient, Tombstone { position, time, digest, requester }))
        })?;
        let holds = read_map(HOLD_BYTES_MIN, from, |from| {
            let patient = read_patient(from)?;
            let (position, since) = (Position(from.u64()?), from.millis()?);
            let (reason, who) = (read_words(from)?, read_words(from)?);
            Ok((patient, LegalHold { position, since, reason, who }))
        })?;
        Ok(Erasures { erased, holds })
    }
}

fn write_words(words: &Reason, out: &mut Vec<u8>) {
    // At most 256 bytes.
    out.extend((words.as_str().len() as u16).to_be_bytes());
    out.extend(words.as_str().as_bytes());
}

fn read_words(from: &mut Reader<'_>) -> Result<Reason, DecodeError> {
    let take = |from: &mut Reader<'_>| {
        let [high, low] = from.array()?;
        Ok(from.take(usize::from(u16::from_be_bytes([high, low])))?.to_vec())
    };
    let words = |bytes: Vec<u8>| Reason::new(std::str::from_utf8(&bytes).ok()?).ok();
    from.map("words of at most 256 bytes", take, words)
}

/// Prints counts only.
impl std::fmt::Debug for Erasures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (erased, holds) = (self.erased.len(), self.holds.len());
        write!(f, "Erasures {{ erased: {erased}, holds: {holds} }}")
    }
}
