//! Every patient's record and the tree over them, moved by operations only.

use std::collections::BTreeMap;

use ark_bn254::Fr;
use model::{Millis, PatientIndex, Record};
use statement::c1::{self, C1Error};
use statement::operation::SignedOperation;
use statement::record;
use statement::tree::Tree;

use crate::window::{AppliedOperation, OperationScope};

/// Records by patient, and their tree.
#[derive(Clone, Default)]
pub struct Consent {
    tree: Tree,
    records: BTreeMap<PatientIndex, Record>,
}

impl Consent {
    /// The record of a patient.
    pub fn record(&self, patient: PatientIndex) -> Option<&Record> {
        self.records.get(&patient)
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

    /// Applies one operation at `t_op`, which is later than every entry before it.
    ///
    /// # Errors
    /// [`C1Error`] that names the rule; nothing changes then.
    pub fn apply(
        &mut self,
        scope: &OperationScope,
        signed: SignedOperation,
        t0: Millis,
        last_time: Millis,
        t_op: Millis,
    ) -> Result<AppliedOperation, C1Error> {
        let patient = signed.operation.patient;
        let old = self.records.get(&patient).cloned();
        let context = c1::Context {
            sig_domain: scope.sig_domain,
            registrar_key_hash: scope.registrar_key_hash,
            t0,
            last_time,
            t_op,
            t1: None,
        };
        let new = c1::apply(old.as_ref(), &signed, &context)?;
        let path = self.tree.path(patient.get());
        self.tree.set(patient.get(), record::leaf(&new));
        self.records.insert(patient, new);
        Ok(AppliedOperation { signed, t_op, old, path, root_out: self.tree.root() })
    }
}

/// Prints the number of records: their content is the patients'.
impl std::fmt::Debug for Consent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consent {{ records: {} }}", self.records.len())
    }
}
