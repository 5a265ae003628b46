//! What is submitted to admission and what it answers.

use model::{
    Action, BatchNumber, GatewayId, Interval, Millis, Operation, PatientIndex, Position,
    PractitionerId, RuleSlot, Sequence, Uncovered,
};
use wire::{
    Descriptor, Frame, HoldEntry, Holder, Page, Receipt, RegistryChange, SignedErasure,
    SignedOperation, StreamKey,
};

use super::authentic::AuthenticRequest;
use super::erasures::Tombstone;
use super::frames::{FramesAsked, StoredPlace};
use super::query::Query;
use super::refusal::Refusal;
use crate::stages::rows::{EvaluatedRow, OperationRow};
use crate::window::ClosedWindow;

/// What is submitted. Sessions have decoded it, and range-checked readings that their gateway did
/// not encrypt; admission decides the rest.
#[derive(Debug)]
pub enum Item {
    /// A gateway asks to open a stream.
    OpenStream {
        /// Which gateway, by its certificate.
        gateway: GatewayId,
        /// What it describes.
        descriptor: Descriptor,
    },
    /// A gateway sends a frame of an open stream.
    Frame {
        /// Which gateway, by its certificate.
        gateway: GatewayId,
        /// The stream's device, patient and signal.
        key: StreamKey,
        /// The frame.
        frame: Frame,
        /// When its readings were measured, as the session's range check found.
        measured: Interval,
    },
    /// Somebody submits a signed operation. If the rules hold, the answer is its row, and it is
    /// submitted again as [`Item::Evaluated`]: nothing is journaled until then.
    Operation {
        /// Who, by certificate; gets the receipt.
        requester: Holder,
        /// The operation.
        operation: SignedOperation,
    },
    /// The same operation, its row evaluated.
    Evaluated {
        /// Who, by certificate; gets the receipt.
        requester: Holder,
        /// The operation.
        operation: SignedOperation,
        /// Its row. Of another record than the operation meets, it is as if there were none.
        row: Box<EvaluatedRow>,
    },
    /// A practitioner asks to read.
    Access {
        /// Who, by certificate.
        practitioner: PractitionerId,
        /// The signed request, its signature verified.
        request: AuthenticRequest,
        /// Which part of it.
        page: Page,
    },
    /// The operator changes the registry.
    Registry(RegistryChange),
    /// The operator carries out a patient's request to erase their readings. Whoever submits it has
    /// seen that the patient's stop is settled, and destroys the keys behind the answer.
    Erase(Box<SignedErasure>),
    /// The operator sets or clears a legal hold.
    Hold(Box<HoldEntry>),
    /// A system asks whether consent would allow something.
    Query(Box<Query>),
    /// What was refused again and counted for a minute becomes entries: nobody else may send
    /// anything for as long.
    CountDue,
    /// What was refused again and is counted becomes entries now, before the node stops.
    CountRefusals,
    /// The window shall end if it is due by the clock.
    CloseDue,
    /// A window shall end now, if it is the one that is meant.
    CloseWindow(ToClose),
    /// The window shall end now.
    Close,
}

/// Which window shall end. Decided by the writer: whoever asks saw what was durable, and another
/// one may be open by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToClose {
    /// The one of this number, whatever is in it, while it is open.
    Numbered(BatchNumber),
    /// Whichever is open, if a batch would prove something of it.
    NotEmpty,
}

impl Item {
    /// Whom it concerns, if that is one patient.
    pub(super) fn patient(&self) -> Option<PatientIndex> {
        match self {
            Item::OpenStream { descriptor, .. } => Some(descriptor.key.patient),
            Item::Frame { key, .. } => Some(key.patient),
            Item::Operation { operation, .. } | Item::Evaluated { operation, .. } => {
                patient_of(operation)
            }
            Item::Access { request, .. } => Some(request.signed().request().patient),
            Item::Erase(signed) => Some(signed.request.patient),
            Item::Hold(hold) => Some(hold.patient),
            Item::Query(query) => Some(query.claim.patient),
            Item::Registry(_)
            | Item::CountDue
            | Item::CountRefusals
            | Item::CloseDue
            | Item::CloseWindow(_)
            | Item::Close => None,
        }
    }
}

/// Whose record an operation is for, by its own bytes alone: the key behind them costs a root to
/// decode.
pub(super) fn patient_of(operation: &SignedOperation) -> Option<PatientIndex> {
    let own = operation.as_bytes().get(..Operation::BYTES)?;
    Operation::from_bytes(own).ok().map(|operation| operation.patient)
}

/// What an operation does, likewise.
pub(super) fn action_of(operation: &SignedOperation) -> Option<Action> {
    let own = operation.as_bytes().get(..Operation::BYTES)?;
    Operation::from_bytes(own).ok().map(|operation| operation.action)
}

/// What the submitter learns once the group is durable.
#[derive(Debug)]
pub enum Answer {
    /// The stream is open.
    StreamOpened {
        /// The first sequence that is not stored.
        next: Sequence,
    },
    /// The frame is stored; its receipt follows.
    FrameStored,
    /// This sequence was stored before; compare the bytes and acknowledge again.
    FrameDuplicate {
        /// The frame that came.
        frame: Frame,
        /// Where.
        place: StoredPlace,
    },
    /// The operation's rules hold, and its row is not evaluated yet, or under another record.
    Unevaluated(Box<OperationRow>),
    /// The operation took effect.
    OperationApplied {
        /// Where.
        position: Position,
        /// When.
        t_op: Millis,
    },
    /// The request was decided.
    AccessDecided {
        /// Group of the journal that holds the decision.
        group: u64,
        /// Where.
        position: Position,
        /// When.
        time: Millis,
        /// The rule that permits it, or why none does.
        decision: Result<RuleSlot, Uncovered>,
        /// Which frames to release, if it is permitted and a request of frames.
        frames: Option<Box<FramesAsked>>,
    },
    /// A request that was decided before goes on: no claim, no entry.
    AccessContinued {
        /// Which frames to release next.
        frames: Box<FramesAsked>,
    },
    /// The registry is changed.
    RegistryChanged {
        /// Where.
        position: Position,
    },
    /// The patient's readings are erased: their keys may be destroyed from here on.
    Erased(Tombstone),
    /// The hold is set or cleared.
    HoldChanged {
        /// Where.
        position: Position,
    },
    /// A question was answered. Nothing was read.
    QueryDecided {
        /// Where it stands.
        position: Position,
        /// When.
        time: Millis,
        /// The rule that would permit it, or why none would.
        decision: Result<RuleSlot, Uncovered>,
    },
    /// What was counted stands in the journal.
    Counted,
    /// The window that was to end is closed.
    Closed,
    /// Not taken.
    Refused(Refusal),
}

/// Where admission delivers what a durable group brought about. Called on the writer thread after
/// the sync and before any answer leaves; must not block.
pub trait Deliver: Send + 'static {
    /// Takes the receipts of a group, one for each holder.
    fn deliver_receipts(&mut self, receipts: Vec<Receipt>);
    /// Takes a window that was closed.
    fn deliver_window(&mut self, window: ClosedWindow);
}
