//! What happened in one window, captured at its close.

use std::collections::BTreeMap;

use super::AppliedOperation;
use ark_bn254::Fr;
use model::{BatchNumber, Claim, PatientIndex, Position, Record, Window};
use statement::batch::{RefusedAccess, SegmentEntry};
use statement::tree::{CAP, Path};

/// A patient's record and path under the window's final root.
#[derive(Clone, Debug)]
pub struct PatientState {
    /// The record.
    pub record: Record,
    /// Its path.
    pub path: Path,
}

/// Everything a batch is made of. Memory: about 3 KiB for each operation and concerned
/// patient, and at most 1 KiB for each request to read.
#[derive(Clone, Debug)]
pub struct WindowContents {
    /// Number of the batch.
    pub number: BatchNumber,
    /// Its time span.
    pub window: Window,
    /// Consent root before the first operation.
    pub root_in: Fr,
    /// Consent root after the last.
    pub root_out: Fr,
    /// The 64 nodes two levels below `root_out`.
    pub cap: Box<[Fr; CAP]>,
    /// Operations in time order.
    pub operations: Vec<AppliedOperation>,
    /// Claims by patient and position.
    pub claims: Vec<Claim>,
    /// Signed requests to read, by the positions of their claims: their patients read the reasons.
    pub requests: BTreeMap<Position, Vec<u8>>,
    /// Every patient with a claim, an operation or a refusal.
    pub patients: BTreeMap<PatientIndex, PatientState>,
    /// Segments by digest.
    pub segments: Vec<SegmentEntry>,
    /// Accesses and frames that were refused, by the patient whose data it was, each list in the
    /// order of the journal. They are told to the patient and not proven.
    pub refused: BTreeMap<PatientIndex, Vec<RefusedAccess>>,
    /// Journal position of the previous close.
    pub position_in: Position,
    /// Journal position of this close.
    pub position_out: Position,
}
