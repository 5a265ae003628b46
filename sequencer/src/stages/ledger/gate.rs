//! What stands around the ledger and may keep it from taking something now: time and room.
//!
//! Such a refusal is an answer and no entry. It says nothing of consent, and its sender comes again
//! with the same bytes.

use model::{ClaimKind, Millis};
use statement::operation::SignedOperation;

use super::absorb::Ledger;
use super::answer::Item;
use super::refuse::Ground;
use super::streams::Place;
use super::surroundings::Surroundings;
use crate::stages::rows::Urgency;

/// Who knows how it stands around the ledger. Asked on the writer thread, once before what is
/// submitted together, so it must neither block nor wait.
pub trait Gate: Send + Sync + 'static {
    /// How it stands now.
    fn look(&self) -> Surroundings;
    /// So many bytes go to the disk.
    fn written(&self, bytes: usize);
}

/// Nothing is in the way, and time is the writer's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open;

impl Gate for Open {
    fn look(&self) -> Surroundings {
        Surroundings {
            latest: Millis::UNBOUNDED_PAST,
            stamp_max: Millis::UNBOUNDED_PAST,
            disagreement: None,
            ahead_ms_max: u64::MAX,
            has_room: true,
            draining: false,
        }
    }

    fn written(&self, _: usize) {}
}

impl Surroundings {
    /// Why the item cannot be taken now, whatever it says.
    pub(super) fn keep_out(&self, item: &Item, ledger: &Ledger) -> Option<Ground> {
        match item {
            // It adds nothing to the journal and needs no time: a gateway that comes again gets the
            // receipts of what is stored, however long the node takes nothing new.
            Item::OpenStream { gateway, descriptor }
                if !ledger.streams.is_opening_new(gateway, &descriptor.name()) =>
            {
                None
            }
            Item::Frame { gateway, key, frame, .. } => {
                self.keep_out_of_streams(ledger).filter(|_| {
                    // Stored already it is the same: its receipt was lost with a connection.
                    let name = key.name(frame.header().epoch);
                    let place = ledger.streams.place(gateway, &name, frame.sequence());
                    !matches!(place, Place::Stored(_))
                })
            }
            Item::OpenStream { .. } => self.keep_out_of_streams(ledger),
            Item::Access { request, .. } => {
                // In an emergency nobody is sent away because an operator is about to stop a node.
                let kind = request.signed().request().claim_kind();
                let drain = || self.drain().filter(|_| kind != ClaimKind::BreakGlass);
                self.doubt(ledger).or_else(drain)
            }
            Item::Operation { operation, .. } | Item::Evaluated { operation, .. } => self
                .keep_out_operation(operation, ledger)
                .or_else(|| self.drain().filter(|_| !protects(operation))),
            // Answered by what holds now, so it waits for a time that is believed.
            Item::Query(_) => self.doubt(ledger).or_else(|| self.drain()),
            // What the operator and the windows do hurts nobody an hour off: it is stamped with
            // the earliest time, like all.
            Item::Registry(_)
            | Item::Erase(_)
            | Item::Hold(_)
            | Item::CountDue
            | Item::CountRefusals
            | Item::CloseDue
            | Item::CloseWindow(_)
            | Item::Close => None,
        }
    }

    /// Why nothing that needs a time and room can be taken.
    fn keep_out_of_streams(&self, ledger: &Ledger) -> Option<Ground> {
        let full = || (!self.has_room).then_some(Ground::NoRoom);
        self.doubt(ledger).or_else(full).or_else(|| self.drain())
    }

    /// Why nothing new is taken from anybody but whoever takes rights away.
    fn drain(&self) -> Option<Ground> {
        self.draining.then_some(Ground::Draining)
    }

    /// Why no time can be told that is not before the journal's and in nobody's future.
    fn doubt(&self, ledger: &Ledger) -> Option<Ground> {
        if let Some(disagreement) = self.disagreement {
            return Some(Ground::ClockDoubt(disagreement));
        }
        let until = ledger.last_time;
        self.is_ahead(until).then_some(Ground::JournalAhead { until })
    }

    /// What takes rights away goes in: too late is worse for it than a time that is a little off.
    /// Signed later than it may be stamped it waits with the rest, and is not told that its
    /// signature is of no time (C1.4).
    fn keep_out_operation(
        &self,
        operation: &wire::SignedOperation,
        ledger: &Ledger,
    ) -> Option<Ground> {
        let doubt = self.doubt(ledger)?;
        let Ok(signed) = SignedOperation::from_bytes(operation.as_bytes()) else {
            return Some(doubt);
        };
        let (signed_at, action) = (signed.operation.signed_at, &signed.operation.action);
        let stamp_max = self.stamp_max.max(ledger.last_time.plus(1));
        if Urgency::of(action) == Urgency::Protecting && signed_at <= stamp_max {
            return None;
        }
        Some(match doubt {
            Ground::JournalAhead { until } => Ground::JournalAhead { until: until.max(signed_at) },
            doubt => doubt,
        })
    }
}

/// Whether an operation takes rights away: it is never kept waiting for what only an operator
/// wants. What is no operation is refused by its form, and not here.
fn protects(operation: &wire::SignedOperation) -> bool {
    let signed = SignedOperation::from_bytes(operation.as_bytes());
    signed.map_or(true, |signed| Urgency::of(&signed.operation.action) == Urgency::Protecting)
}
