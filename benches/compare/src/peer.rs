//! What every prover of the table does: it is opened with everything that does not change from
//! proof to proof (key, matrices, witness), and then proves.

use ark_bn254::Fr;
use circuits::builder::{Assignment, Row};
use serde_json::Value;

use crate::usage::Spent;

/// A prover with a circuit and a witness.
pub(crate) trait Peer {
    /// Makes one proof.
    ///
    /// # Errors
    /// Whatever kept it from that.
    fn prove(&mut self) -> anyhow::Result<Made>;
}

/// What a prover made.
#[derive(Default)]
pub(crate) struct Made {
    /// The proof as snarkjs writes it. None of what is no prover, and of a program that keeps its
    /// proof to itself and ends with an error unless ark verifies it.
    pub(crate) proof: Option<Value>,
    /// Figures of a program that does more than prove and measures that alone.
    pub(crate) spent: Option<Spent>,
}

/// A prover that is ready.
pub(crate) struct Opened {
    pub(crate) peer: Box<dyn Peer>,
    pub(crate) version: String,
    /// What else a reader should know.
    pub(crate) note: Option<String>,
    /// Whether it is another program, which begins anew for each proof.
    pub(crate) is_program: bool,
}

impl Opened {
    pub(crate) fn in_process(peer: impl Peer + 'static, version: &str) -> Self {
        Self { peer: Box::new(peer), version: version.to_owned(), note: None, is_program: false }
    }

    pub(crate) fn program(peer: impl Peer + 'static, version: String) -> Self {
        Self { peer: Box::new(peer), version, note: None, is_program: true }
    }
}

/// Why a prover is not measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unopened {
    /// It is not here: left out, and said so.
    #[error("{0}")]
    Missing(String),
    /// It is here and broken.
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

/// All columns of an assignment in one piece.
pub(crate) fn columns(assignment: &Assignment) -> Vec<Fr> {
    [assignment.instance.as_slice(), &assignment.witness].concat()
}

/// Rows as arkworks has them.
pub(crate) fn matrix(rows: Vec<Row>) -> Vec<Vec<(Fr, usize)>> {
    let row = |row: Row| row.into_iter().map(|(factor, at)| (factor, at as usize)).collect();
    rows.into_iter().map(row).collect()
}
