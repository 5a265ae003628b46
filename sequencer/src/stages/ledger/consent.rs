//! Every patient's record and the tree over them, moved by operations only.

use std::collections::BTreeMap;

use ark_bn254::Fr;
use model::{PatientIndex, Record, Word};
use statement::c1::{self, C1Error};
use statement::operation::SignedOperation;
use statement::record;
use statement::tree::Tree;

use crate::window::AppliedOperation;

/// Records by patient, and their tree.
#[derive(Clone, Default)]
pub struct Consent {
    tree: Tree,
    records: BTreeMap<PatientIndex, Record>,
}

/// Who signs for a record, and what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Hash of the key.
    pub key_hash: Word,
    /// Nonce of the next operation.
    pub nonce: u32,
}

impl Owner {
    pub(super) fn of(record: &Record) -> Owner {
        Owner { key_hash: record.key_hash, nonce: record.nonce }
    }
}

impl Consent {
    /// The record of a patient.
    pub fn record(&self, patient: PatientIndex) -> Option<&Record> {
        self.records.get(&patient)
    }

    /// Who signs for each record, and what comes next.
    pub(super) fn owners(&self) -> BTreeMap<PatientIndex, Owner> {
        self.records.iter().map(|(patient, record)| (*patient, Owner::of(record))).collect()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nobody is enrolled.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The consent root.
    pub fn root(&self) -> Fr {
        self.tree.root()
    }

    /// The tree, for paths and cap.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Applies one operation; `context` says when, later than every entry before it.
    ///
    /// # Errors
    /// [`C1Error`] that names the rule; nothing changes then.
    pub fn apply(
        &mut self,
        signed: SignedOperation,
        context: &c1::Context,
    ) -> Result<AppliedOperation, C1Error> {
        let patient = signed.operation.patient;
        // Kept for the proof, which shows that the new record follows from this one.
        let old = self.records.get(&patient).cloned();
        let new = c1::apply(old.as_ref(), &signed, context)?;
        // The path before the change: the proof opens the old leaf and closes on the new root with
        // the same siblings.
        let path = self.tree.path(patient.get());
        self.tree.set(patient.get(), record::leaf(&new));
        self.records.insert(patient, new);
        let (t_op, root_out) = (context.t_op, self.tree.root());
        Ok(AppliedOperation { signed, t_op, old, path, root_out })
    }
}

/// Prints the number of records: their content is the patients'.
impl std::fmt::Debug for Consent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consent {{ records: {} }}", self.records.len())
    }
}
