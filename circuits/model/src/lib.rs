//! The vocabulary of the rollup: times, ids, masks, rules, records, operations, claims, batch
//! headers, codes and limits, each with its canonical bytes beside it and **no field arithmetic**,
//! so that a gateway or a wallet can speak it without compiling a curve.
//!
//! What hashes, signs or proves these values is in `statement` (natively) and `circuits` (R1CS).
//! The normative text is `circuits/SPEC.md`; section numbers in these docs refer to it.
//!
//! # Reading order
//! 1. [`Millis`], [`Interval`], [`Window`]: one time everywhere.
//! 2. [`Rule`]: what a patient says, made of [`Party`], [`Categories`], [`Purposes`],
//!    [`ClaimKinds`] and [`Labels`]; [`layout`] says where each stands in its words.
//! 3. [`Record`]: a patient's keys and rules; [`Operation`]: a signed change of one.
//! 4. [`Claim`]: what needs consent; [`Uncovered`]: why it has none.
//! 5. [`BatchHeader`]: what the base chain keeps of a batch.
//! 6. [`RULES`], [`RejectCode`], [`ExitCode`], [`limits`]: what a person can meet, with what to do.

mod bytes;
pub mod calendar;
mod causes;
mod claim;
mod code;
mod digits;
mod escape;
mod exit;
mod header;
mod id;
pub mod layout;
pub mod limits;
mod mask;
mod operation;
mod record;
mod rule;
mod rule_number;
mod signal;
mod time;
mod uncovered;
mod word;

pub use bytes::{DecodeError, Reader};
pub use causes::with_causes;
pub use claim::{Claim, RequestWords};
pub use code::{ExitCode, RejectCode};
pub use digits::whole_number;
pub use escape::{escape, escape_lines};
pub use header::{BatchHeader, DataSource, HeaderError};
pub use id::{
    BatchNumber, ChainScope, DeviceId, Digest, EpochNumber, GatewayId, IdError, OperatorId,
    OrganisationId, PatientIndex, Position, PractitionerId, Sequence, StreamHandle, WalletId,
};
pub use limits::FIRST_VERSION;
pub use mask::{
    Categories, Category, ClaimKind, ClaimKinds, Label, Labels, MaskError, Purpose, Purposes,
};
pub use operation::{Action, Operation, OperationError, OperationKind};
pub use record::{Record, RuleSlot, SlotError};
pub use rule::{Party, Rule, RuleError};
pub use rule_number::{RULES, RuleNumber, RuleText};
pub use signal::{Signal, UnknownSignal, signal_by_code, signal_by_name, signals};
pub use time::{BootId, Clock, Interval, ManualClock, Millis, SystemClock, TimeError, Window};
pub use uncovered::Uncovered;
pub use word::{MODULUS, Word, WordError};
