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
    /// Mean seconds of a proof by circuit, from the lease of its chunk to the verified proof, as a
    /// node's `GET /metrics` says; nothing of a circuit that it proved nothing of.
    pub fn measured(metrics: &str) -> BTreeMap<String, f64> {
        let value = |name: &str, circuit: &str| {
            let begin = format!("{name}{{circuit=\"{circuit}\"}} ");
            let found = metrics.lines().find_map(|line| line.strip_prefix(&begin));
            found.and_then(|value| value.trim().parse::<f64>().ok())
        };
        let mean = |circuit: &str| {
            let sum = value("vitals_proof_seconds_sum", circuit)?;
            let mean = sum / value("vitals_proof_seconds_count", circuit)?;
            (mean.is_finite() && mean > 0.0).then(|| (circuit.to_owned(), mean))
        };
        ["C1", "C2"].into_iter().filter_map(mean).collect()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_comes_before_what_the_node_measured_and_that_before_the_readme() {
        let [c1, c2] = ["c1-17", "c2-17-1"].map(|name| Shape::named(name).unwrap());
        let metrics = "# HELP vitals_proof_seconds Time\n\
            vitals_proof_seconds_bucket{circuit=\"C1\",le=\"1\"} 3\n\
            vitals_proof_seconds_sum{circuit=\"C1\"} 6\n\
            vitals_proof_seconds_count{circuit=\"C1\"} 4\n\
            vitals_proof_seconds_sum{circuit=\"C2\"} 0\n\
            vitals_proof_seconds_count{circuit=\"C2\"} 0\n";
        let measured = ProofTimes::measured(metrics);
        assert_eq!(measured, BTreeMap::from([("C1".to_owned(), 1.5)]));
        let mut times = ProofTimes { measured, ..ProofTimes::default() };
        let said = |times: &ProofTimes, shape| {
            let ProofSeconds { seconds, source } = times.of(shape).unwrap();
            (seconds, source)
        };
        assert_eq!(said(&times, c1), (1.5, ProofSource::Node));
        assert_eq!(said(&times, c2), (0.62, ProofSource::Readme));
        times.given.insert("c1-17".to_owned(), 2.0);
        assert_eq!(said(&times, c1), (2.0, ProofSource::Given));
        assert_eq!(ProofTimes::measured("vitals_proof_seconds_sum{circuit=\"C1\"} x\n"), [].into());
    }

    #[test]
    fn of_a_shape_that_nobody_measured_nothing_is_made_up() {
        let small = Shape::named("c2-test").unwrap();
        let error = ProofTimes::default().of(small).unwrap_err().to_string();
        assert!(error.contains("shape c2-test, found none"), "{error}");
    }
}
