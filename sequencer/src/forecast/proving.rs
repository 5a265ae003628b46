//! How long one proof takes: as somebody measured it, never as nobody did.

use std::collections::BTreeMap;

use circuits::shapes::Shape;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// CPU seconds of a proof of 2^17 rows in one thread: C2 chunk with tables, median of 5 rounds on
/// an AMD EPYC (family 25, model 17) with AVX-512 IFMA, as the project's README states it. All
/// sums and transforms of a proof are as long as its domain, whatever its rows say.
const MEASURED: (u32, f64) = (17, 0.62);

/// Where a figure is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofSource {
    /// `--proof-seconds`.
    Given,
    /// `--metrics`: what this node measured of its own proofs, by circuit.
    Node,
    /// The README's measurement on another machine.
    Readme,
}

/// Seconds of a proof, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProofSeconds {
    /// CPU seconds of one proof on one core.
    pub seconds: f64,
    /// Who says so.
    pub source: ProofSource,
}

/// What is known of how long proofs take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProofTimes {
    /// By shape, as given.
    pub given: BTreeMap<String, f64>,
    /// By circuit, `C1` or `C2`, as the node measured.
    pub measured: BTreeMap<String, f64>,
}

/// Nobody says how long a proof takes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected a measured time for proofs of shape {shape}, found none: measure one (`cargo bench \
     -p benches --bench prove`, VITALS_BENCH_SHAPES={shape}) and give it (--proof-seconds \
     {shape}=S), or the metrics of the node that proves them (--metrics FILE)"
)]
pub struct UnknownProof {
    /// Which shape.
    pub shape: &'static str,
}

impl ProofTimes {
    /// How long a proof of this shape takes: as given, else as measured by the node, else as the
    /// README says of its size.
    ///
    /// # Errors
    /// [`UnknownProof`] where none of these says anything.
    pub fn of(&self, shape: &Shape) -> Result<ProofSeconds, UnknownProof> {
        let circuit = format!("{:?}", shape.circuit());
        let (rows, readme) = MEASURED;
        let known = [
            (self.given.get(shape.name).copied(), ProofSource::Given),
            (self.measured.get(&circuit).copied(), ProofSource::Node),
            ((shape.domain_log2 == rows).then_some(readme), ProofSource::Readme),
        ];
        let known = known.into_iter().find_map(|(seconds, source)| Some((seconds?, source)));
        let (seconds, source) = known.ok_or(UnknownProof { shape: shape.name })?;
        Ok(ProofSeconds { seconds, source })
    }
}
