//! A journal's entries once more, in windows that end by other rules.
//!
//! What is journaled says when everything came and what became of it; when windows end is a rule
//! beside it. So the entries of a node that ran can be folded again as if its windows had ended
//! otherwise: by the same fold, the same open window and the same limits as admission goes by.

use std::collections::BTreeSet;

use model::{Millis, PatientIndex, Position, limits};
use statement::c1;
use statement::operation::SignedOperation;
use wire::Entry;

use super::absorb::{BrokenEntry, Ledger, LedgerConfig, Placed};
use super::decide::ENTRIES_SLACK;
use super::index::FrameNodes;
use crate::window::WindowContents;

/// A ledger that takes a journal's entries again; whoever feeds it says when windows end.
///
/// Positions are counted anew, because other windows have other closes between the entries. Where
/// frames are stored is not remembered: nobody reads them here.
#[derive(Debug)]
pub struct Rehearsal {
    ledger: Ledger,
    /// Position of the next entry.
    next: Position,
    /// Patients that are taken; each further one is left out.
    patients: BTreeSet<PatientIndex>,
    patients_max: usize,
}

/// What the open window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Operations.
    pub operations: usize,
    /// Claims, open segments included.
    pub claims: usize,
    /// Entries of the journal since the close before.
    pub entries: u64,
    /// Most bytes of its private file.
    pub private_bytes: usize,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the state.
    Stored,
    /// It is of a patient that is left out.
    LeftOut,
    /// An operation that a rule refuses as long as this window is open, and would take in the next
    /// one: it needs something to have ended before (C1.17).
    NeedsNextWindow,
    /// An operation that a rule refuses in either, or a frame of a patient that is not enrolled:
    /// it follows from an operation that was not taken here.
    Refused,
}

impl Rehearsal {
    /// Before the first entry; of the patients that come, the first `patients_max` are taken.
    pub fn new(config: LedgerConfig, patients_max: usize) -> Rehearsal {
        let ledger = Ledger::indexed(config, FrameNodes::forgotten(0));
        Rehearsal { ledger, next: Position(1), patients: BTreeSet::new(), patients_max }
    }

    /// Begin of the open window.
    pub fn t0(&self) -> Millis {
        self.ledger.window.t0()
    }

    /// When the first thing happened in it that a batch proves.
    pub fn first(&self) -> Option<Millis> {
        self.ledger.window.first()
    }

    /// How many patients are taken.
    pub fn patients(&self) -> usize {
        self.patients.len()
    }

    /// What the open window holds.
    pub fn held(&self) -> Held {
        let (operations, claims) = self.ledger.window.counts();
        let entries = self.next.0.saturating_sub(self.ledger.window.position_in().0);
        let private_bytes = self.ledger.window.private_bytes();
        Held { operations, claims, entries, private_bytes }
    }

    /// Whether an entry at this time would lie beyond the longest window, as admission asks before
    /// each item; `groups` is how many there were since the close before.
    pub fn must_close_before(&self, at: Millis, groups: u64) -> bool {
        self.ledger.must_close_before(at, self.next, groups)
    }

    /// Whether the window is open for no other reason than that nothing happens in it.
    pub fn is_idle(&self, at: Millis) -> bool {
        let window = &self.ledger.window;
        window.is_empty() && self.ledger.config.cadence.is_idle(window.t0(), at)
    }

    /// Whose data or record an entry is about, if it is about one patient's.
    ///
    /// # Errors
    /// [`BrokenEntry`] for an operation that no journal of this deployment holds.
    pub fn patient_of(
        &self,
        entry: &Entry,
        position: Position,
    ) -> Result<Option<PatientIndex>, BrokenEntry> {
        Ok(match entry {
            Entry::Frame(frame) => Some(frame.key.patient),
            Entry::SealedFrame(frame) => Some(frame.key.patient),
            Entry::AccessRequest { request, .. } => Some(request.request().patient),
            Entry::RefusalCount(counted) => Some(counted.patient),
            Entry::Erasure(erasure) => Some(erasure.request.request.patient),
            Entry::Hold(hold) => Some(hold.patient),
            Entry::Query(query) => Some(query.claim.patient),
            Entry::Operation { .. } => {
                self.operation(entry, position)?.map(|signed| signed.operation.patient)
            }
            Entry::Refusal(_)
            | Entry::RegistryChange(_)
            | Entry::Close { .. }
            | Entry::StreamOpen { .. }
            | Entry::Gap(_) => None,
        })
    }

    fn operation(
        &self,
        entry: &Entry,
        position: Position,
    ) -> Result<Option<SignedOperation>, BrokenEntry> {
        let Entry::Operation { operation, requester } = entry else { return Ok(None) };
        let broken = |detail| BrokenEntry { position: position.0, detail };
        self.ledger.read_operation(operation, *requester).map(Some).map_err(broken)
    }

    /// Takes the next entry, which is no close. Its time counts as far as it may: no entry goes
    /// before another one, and an operation after each, closes that stand elsewhere now included.
    ///
    /// # Errors
    /// [`BrokenEntry`] for what no journal of this deployment holds.
    pub fn take(&mut self, entry: &Entry, recorded: Placed) -> Result<Taken, BrokenEntry> {
        let operation = self.operation(entry, recorded.position)?;
        let patient = match &operation {
            Some(signed) => Some(signed.operation.patient),
            None => self.patient_of(entry, recorded.position)?,
        };
        if let Some(patient) = patient
            && !self.admits(patient, operation.is_some())
        {
            return Ok(Taken::LeftOut);
        }
        let at = match &operation {
            Some(_) => self.ledger.strictly_later(recorded.time),
            None => recorded.time.max(self.ledger.last_time).max(self.t0()),
        };
        if let Some(refused) = operation.and_then(|signed| self.refusal(&signed, at)) {
            return Ok(refused);
        }
        let is_frame = matches!(entry, Entry::Frame(_) | Entry::SealedFrame(_));
        let record = patient.and_then(|patient| self.ledger.consent.record(patient));
        if is_frame && record.is_none() {
            return Ok(Taken::Refused);
        }
        let placed = Placed { position: self.next, time: at, ..recorded };
        self.ledger.absorb_stored(entry, placed)?;
        self.next = Position(self.next.0 + 1);
        Ok(Taken::Stored)
    }

    /// Patients are counted as they are enrolled, so that the same ones are taken each time.
    fn admits(&mut self, patient: PatientIndex, is_operation: bool) -> bool {
        if self.patients.contains(&patient) {
            return true;
        }
        // Nobody but who is enrolled has data; of others there are refusals at most.
        let admitted = is_operation && self.patients.len() < self.patients_max;
        if admitted {
            self.patients.insert(patient);
        }
        admitted
    }

    /// Why an operation does not take effect at this time, as admission tries it before it closes
    /// an idle window.
    fn refusal(&self, signed: &SignedOperation, at: Millis) -> Option<Taken> {
        let record = self.ledger.consent.record(signed.operation.patient);
        let context = self.ledger.operation_context(at);
        if c1::apply(record, signed, &context).is_ok() {
            return None;
        }
        let next = c1::Context { t0: at, ..context };
        let in_next = c1::apply(record, signed, &next).is_ok();
        Some(if in_next { Taken::NeedsNextWindow } else { Taken::Refused })
    }

    /// Whether an operation at this time needs the window to end first (C1.17).
    ///
    /// # Errors
    /// [`BrokenEntry`] for what no journal of this deployment holds.
    pub fn needs_next_window(&self, entry: &Entry, at: Placed) -> Result<bool, BrokenEntry> {
        let Some(signed) = self.operation(entry, at.position)? else { return Ok(false) };
        let t_op = self.ledger.strictly_later(at.time);
        Ok(self.refusal(&signed, t_op) == Some(Taken::NeedsNextWindow))
    }

    /// Ends the window at this time, or at its longest if that is past.
    ///
    /// # Errors
    /// [`BrokenEntry`] if no window can end then.
    pub fn close(&mut self, at: Millis) -> Result<WindowContents, BrokenEntry> {
        let (entry, time) = self.ledger.close_entry(at);
        let closed = self.ledger.absorb(&entry, self.next, time)?;
        let position = self.next.0;
        self.next = Position(position + 1);
        let detail = "expected a close to end a window".to_owned();
        closed.ok_or(BrokenEntry { position, detail })
    }
}

impl Held {
    /// Both together.
    pub fn plus(self, other: Held) -> Held {
        Held {
            operations: self.operations + other.operations,
            claims: self.claims + other.claims,
            entries: self.entries + other.entries,
            private_bytes: self.private_bytes + other.private_bytes,
        }
    }

    /// What is left of it without a part of it.
    pub fn minus(self, part: Held) -> Held {
        Held {
            operations: self.operations.saturating_sub(part.operations),
            claims: self.claims.saturating_sub(part.claims),
            entries: self.entries.saturating_sub(part.entries),
            private_bytes: self.private_bytes.saturating_sub(part.private_bytes),
        }
    }

    /// Whether it leaves no room for another item and the close: in entries (C2.4), or in the
    /// private file.
    pub fn is_at_a_maximum(&self) -> bool {
        self.entries >= limits::BATCH_ENTRIES_MAX - ENTRIES_SLACK
            || self.private_bytes >= limits::WINDOW_PRIVATE_BYTES_MAX
    }
}
