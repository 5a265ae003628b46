//! Goes through all candidates.

use std::collections::BTreeMap;

use l1_contracts::gas::Fork;
use serde::Serialize;

use super::arrivals::Arrivals;
use super::candidates::{Candidate, Candidates};
use super::error::ForecastError;
use super::layout::Shapes;
use super::past::Past;
use super::proving::{ProofSeconds, ProofTimes};
use super::replay::{Rules, replay};
use super::row::{Made, Row};
use super::spread::Spread;
use super::timeline::Machinery;
use crate::stages::ledger::LedgerConfig;
use crate::window::Cadence;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// What to compare.
    pub candidates: Candidates,
    /// How long proofs take.
    pub proofs: ProofTimes,
    /// Time between two blocks, milliseconds; 0 where each transaction has its own at once.
    pub block_ms: u64,
    /// How often the settler looks, where the chain decides and not the settings.
    pub poll_ms: Option<u64>,
    /// Rules by which gas is counted.
    pub fork: Fork,
    /// Price of a unit of gas, gwei.
    pub gas_price_gwei: Option<f64>,
    /// How many patients.
    pub spread: Spread,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// A row for each candidate, the node's own settings first.
    pub rows: Vec<Row>,
    /// Seconds of a proof, by shape, and who says so.
    pub proof_seconds: BTreeMap<String, ProofSeconds>,
}

/// Answers: each candidate goes through all that arrived.
///
/// # Errors
/// [`ForecastError`].
pub fn predict<A: Arrivals>(
    arrivals: &A,
    config: &LedgerConfig,
    past: &Past,
    question: &Question,
) -> Result<Forecast, ForecastError<A::Error>> {
    if past.entries == 0 {
        return Err(ForecastError::Empty);
    }
    if past.batches == 0 {
        return Err(ForecastError::NoWindow { entries: past.entries });
    }
    let mut forecast = Forecast { rows: Vec::new(), proof_seconds: BTreeMap::new() };
    for candidate in question.candidates.all() {
        let shapes = candidate.shapes()?;
        let mut proof_ms = BTreeMap::new();
        for shape in shapes.all() {
            let known = question.proofs.of(shape)?;
            proof_ms.insert(shape.name, (known.seconds * 1000.0).round() as u64);
            forecast.proof_seconds.insert(shape.name.to_owned(), known);
        }
        let rules = rules(candidate, &shapes, past);
        let replayed = replay(arrivals, config, &question.spread.copies(), &rules)?;
        let settled = machinery(candidate, &shapes, proof_ms, question).run(&replayed.windows);
        forecast.rows.push(Row::of(Made {
            set: candidate.set.clone(),
            operations_shape: shapes.operations.name,
            replayed: &replayed,
            settled: &settled,
            gas_price_gwei: question.gas_price_gwei,
        }));
    }
    Ok(forecast)
}

fn rules<'a>(candidate: &Candidate, shapes: &'a Shapes, past: &'a Past) -> Rules<'a> {
    Rules {
        cadence: candidate.config.cadence(),
        // As a node lowers them.
        limits: candidate.config.window_limits().fitted(&shapes.capacities),
        shapes,
        past,
        lag_ms: Cadence::LOOK_EVERY_MS / 2,
    }
}

fn machinery(
    candidate: &Candidate,
    shapes: &Shapes,
    proof_ms: BTreeMap<&'static str, u64>,
    question: &Question,
) -> Machinery {
    let settle = &candidate.config.settle;
    Machinery {
        workers: candidate.config.prover.threads(),
        proof_ms,
        operations_shape: shapes.operations.name,
        poll_ms: question.poll_ms.unwrap_or(settle.poll_ms),
        block_ms: question.block_ms,
        batches_max: settle.batches_max,
        gas_max: settle.gas_max,
        fork: question.fork,
    }
}
