//! The vocabulary of the rollup: times, ids, masks, rules, records, operations, claims, batch
//! headers, refusals and limits, each with its canonical bytes beside it and **no field
//! arithmetic**, so that a gateway or a wallet can speak it without compiling a curve.
//!
//! What hashes, signs or proves these values is in `statement` (natively) and `circuits` (R1CS).
//! The normative text is `circuits/SPEC.md`; section numbers in these docs refer to it.

mod bytes;
pub mod calendar;
mod causes;
mod claim;
mod code;
mod header;
mod id;
pub mod limits;
mod mask;
mod operation;
mod record;
mod refusal;
mod rule;
mod signal;
mod time;
mod word;

pub use bytes::{DecodeError, Reader};
pub use causes::with_causes;
pub use claim::Claim;
pub use code::{ExitCode, RejectCode};
pub use header::{BatchHeader, DataSource, HeaderError};
pub use id::{
    BatchNumber, ChainScope, DeviceId, Digest, EpochNumber, GatewayId, IdError, OrganisationId,
    PatientIndex, Position, PractitionerId, Sequence, StreamHandle,
};
pub use mask::{
    Categories, Category, ClaimKind, ClaimKinds, Label, Labels, MaskError, Purpose, Purposes,
};
pub use operation::{Action, Operation, OperationError, OperationKind};
pub use record::{Record, RuleSlot, SlotError};
pub use refusal::{RuleNumber, Uncovered};
pub use rule::{Party, Rule, RuleError};
pub use signal::{Signal, UnknownSignal, signal_by_code, signal_by_name, signals};
pub use time::{Clock, Interval, ManualClock, Millis, SystemClock, TimeError, Window};
pub use word::{MODULUS, Word, WordError};
