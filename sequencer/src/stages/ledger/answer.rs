//! What is submitted to admission and what it answers.

use model::{
    BatchNumber, GatewayId, Interval, Millis, PatientIndex, Position, PractitionerId, Record,
    RejectCode, RuleNumber, RuleSlot, Sequence, Uncovered,
};
use wire::{
    Descriptor, Frame, Holder, Receipt, RegistryChange, SignedAccessRequest, SignedOperation,
    StreamKey, StreamName,
};

use super::Registry;
use crate::window::ClosedWindow;

/// What is submitted. Sessions have decoded and range-checked it; admission decides the rest.
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
    /// Somebody submits a signed operation.
    Operation {
        /// Who, by certificate; gets the receipt.
        requester: Holder,
        /// The operation.
        operation: SignedOperation,
    },
    /// A practitioner asks to read.
    Access {
        /// Who, by certificate.
        practitioner: PractitionerId,
        /// The signed request.
        request: Box<SignedAccessRequest>,
    },
    /// The operator changes the registry.
    Registry(RegistryChange),
    /// The window shall end now.
    Close,
    /// A question about the state; answered when everything before it is durable.
    Query(Query),
}

/// A question that changes nothing.
#[derive(Debug)]
pub enum Query {
    /// Last stored sequence of every stream of a gateway.
    Marks(GatewayId),
    /// Whether a certificate with this name and fingerprint belongs to a registered gateway.
    GatewayCertificate {
        /// Common name.
        gateway: GatewayId,
        /// SHA-256 of the certificate in DER.
        fingerprint: [u8; 32],
    },
    /// The registry, for listing.
    Registry,
    /// The record of a patient.
    Record(PatientIndex),
    /// Counts for the status page.
    Status,
}

/// The answer to a [`Query`].
#[derive(Debug)]
pub enum Found {
    /// To [`Query::Marks`].
    Marks(Vec<(StreamName, Sequence)>),
    /// To [`Query::GatewayCertificate`].
    GatewayCertificate(bool),
    /// To [`Query::Registry`].
    Registry(Box<Registry>),
    /// To [`Query::Record`].
    Record(Option<Box<Record>>),
    /// To [`Query::Status`].
    Status(Status),
}

/// Counts of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Enrolled patients.
    pub records: usize,
    /// Number of the open window.
    pub window: BatchNumber,
    /// Its begin.
    pub t0: Millis,
    /// Whether nothing happened in it yet.
    pub window_is_empty: bool,
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
        /// Where.
        position: Position,
    },
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
        /// Frames to release, if permitted.
        released: Vec<Position>,
    },
    /// The registry is changed.
    RegistryChanged {
        /// Where.
        position: Position,
    },
    /// The window is closed.
    Closed,
    /// What a question found.
    Found(Found),
    /// Not accepted.
    Refused(Rejected),
}

/// Why something was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What the peer is told.
    pub code: RejectCode,
    /// The rule behind it, for the operator's log only.
    pub rule: Option<RuleNumber>,
    /// Where the refusal stands in the journal, if it does.
    pub position: Option<Position>,
    /// What was expected and found, without identifiers.
    pub detail: String,
}

impl Rejected {
    pub(super) fn new(code: RejectCode, detail: impl Into<String>) -> Rejected {
        Rejected { code, rule: None, position: None, detail: detail.into() }
    }

    pub(super) fn by_rule(mut self, rule: RuleNumber) -> Rejected {
        self.rule = Some(rule);
        self
    }
}

/// Where admission delivers what a durable group brought about. Called on the writer thread after
/// the sync and before any answer leaves; must not block.
pub trait Deliver: Send + 'static {
    /// The receipts of a group, one for each holder.
    fn receipts(&mut self, receipts: Vec<Receipt>);
    /// A window was closed.
    fn closed(&mut self, window: ClosedWindow);
}
