//! Every patient's record and the tree over them, moved by operations only.

use std::collections::BTreeMap;
use std::sync::Arc;

use ark_bn254::Fr;
use model::{DecodeError, Millis, PatientIndex, Reader, Record, Word};
use statement::c1::{self, C1Error};
use statement::operation::SignedOperation;
use statement::tree::Tree;
use statement::{field, record};

use super::codec::{read_map, write_count};
use crate::window::AppliedOperation;

/// Records by patient, and their tree. A clone shares the records and copies the tree, some
/// milliseconds for ten thousand patients.
#[derive(Clone, Default)]
pub struct Consent {
    tree: Tree,
    records: BTreeMap<PatientIndex, Arc<Record>>,
}

/// Who signs for a record, and what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Hash of the key.
    pub key_hash: Word,
    /// Nonce of the next operation.
    pub nonce: u32,
    /// When the record was stopped; [`Millis::UNBOUNDED_FUTURE`] while it is open.
    pub closed_at: Millis,
}

impl Owner {
    pub(super) fn of(record: &Record) -> Owner {
        let Record { key_hash, nonce, closed_at, .. } = *record;
        Owner { key_hash, nonce, closed_at }
    }
}

impl Consent {
    /// The record of a patient.
    pub fn record(&self, patient: PatientIndex) -> Option<&Record> {
        self.records.get(&patient).map(|record| &**record)
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
        let old = self.record(patient).cloned();
        let new = c1::apply(old.as_ref(), &signed, context)?;
        // The path before the change: the proof opens the old leaf and closes on the new root with
        // the same siblings.
        let path = self.tree.path(patient.get());
        self.tree.set(patient.get(), record::leaf(&new));
        self.records.insert(patient, Arc::new(new));
        let (t_op, root_out) = (context.t_op, self.tree.root());
        Ok(AppliedOperation { signed, t_op, old, path, root_out })
    }

    /// Canonical bytes: the records by patient, then every node of the tree below the root. The
    /// nodes follow from the records; to hash them anew takes seconds for ten thousand patients.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_count(self.records.len(), out);
        for (patient, record) in &self.records {
            out.extend(patient.get().to_be_bytes());
            out.extend(record.to_bytes());
        }
        self.tree.save(&self.indices(), |node| out.extend(field::to_bytes(node)));
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Consent, DecodeError> {
        let records = read_map(4 + Record::BYTES, from, |from| {
            Ok((read_patient(from)?, Arc::new(Record::read(from)?)))
        })?;
        let mut consent = Consent { tree: Tree::new(), records };
        let node = || from.word().map(|word| field::from_word(&word));
        consent.tree = Tree::restore(&consent.indices(), node)?;
        Ok(consent)
    }

    fn indices(&self) -> Vec<u32> {
        self.records.keys().map(|patient| patient.get()).collect()
    }
}

/// Reads the index of a patient.
pub(super) fn read_patient(from: &mut Reader<'_>) -> Result<PatientIndex, DecodeError> {
    let index = |number: u32| PatientIndex::new(number).ok();
    from.map("a patient index below 2^24", Reader::u32, index)
}

/// Prints the number of records: their content is the patients'.
impl std::fmt::Debug for Consent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consent {{ records: {} }}", self.records.len())
    }
}
