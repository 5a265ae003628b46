//! Rounds that take turns: what disturbs the machine for a minute disturbs every prover alike.

use std::num::NonZeroUsize;

use anyhow::Context;
use ark_bn254::{Bn254, Fr};
use ark_groth16::{Groth16, PreparedVerifyingKey, prepare_verifying_key};
use benches::machine;
use circuits::builder::{Assignment, R1cs, Row};
use prover::export;

use crate::child::{Child, Started};
use crate::name::Name;
use crate::report::{Circuit, Entry, Outcome, Report};
use crate::request::{Programs, Request};
use crate::subject::{Cache, Subject};
use crate::usage::measured;
use crate::worker::Proved;

/// How a table is made.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) threads: NonZeroUsize,
    pub(crate) table_bytes_max: usize,
    pub(crate) provers: Vec<Name>,
    pub(crate) programs: Programs,
    pub(crate) cache: Cache,
}

/// Measures every prover on every circuit, one circuit after the other.
///
/// # Errors
/// If a circuit or its key cannot be made. What a prover does wrong stands in the report.
pub(crate) fn run(plan: &Plan, subjects: &[Subject]) -> anyhow::Result<Report> {
    let before = machine();
    eprintln!("{before}");
    let mut circuits = Vec::new();
    for subject in subjects {
        circuits.push(measure(plan, *subject).with_context(|| subject.to_string())?);
    }
    Ok(Report::new(plan.rounds, plan.threads.get(), [before, machine()], circuits))
}

/// What a proof is verified with.
struct Judge {
    vk: PreparedVerifyingKey<Bn254>,
    inputs: Vec<Fr>,
}

/// A prover in the running, and what it did so far.
struct Runner {
    prover: Name,
    child: Child,
    proved: Vec<Proved>,
}

fn measure(plan: &Plan, subject: Subject) -> anyhow::Result<Circuit> {
    let (mut circuit, judge) = prepare(plan, subject)?;
    let mut runners = Vec::new();
    for prover in &plan.provers {
        eprintln!("{subject}: opening {prover}");
        let request = Request {
            subject,
            prover: *prover,
            threads: plan.threads,
            table_bytes_max: plan.table_bytes_max,
            programs: plan.programs.clone(),
            cache: plan.cache.clone(),
        };
        let outcome = match Child::start(&request) {
            Ok(Started::Ready(child)) => {
                runners.push(Runner { prover: *prover, child, proved: vec![] });
                continue;
            }
            Ok(Started::Missing(why)) => Outcome::Skipped { why },
            Err(error) => Outcome::Failed { why: format!("{error:#}") },
        };
        circuit.entries.push(Entry { prover: *prover, outcome });
    }
    let failed = take_turns(plan.rounds, &mut runners, &judge, &subject.to_string());
    circuit.entries.extend(failed);
    for Runner { prover, child, proved } in runners {
        let outcome = Outcome::measured(&child.version, child.note.clone(), &proved);
        circuit.entries.push(Entry { prover, outcome });
    }
    circuit.finish(&plan.provers);
    Ok(circuit)
}

/// Makes or finds the key and writes what other programs read.
fn prepare(plan: &Plan, subject: Subject) -> anyhow::Result<(Circuit, Judge)> {
    eprintln!("{subject}: learning the rows");
    let (r1cs, assignment) = subject.build()?;
    let (key, spent) = measured(|| plan.cache.key(&r1cs));
    let (key, path) = key?;
    let key_bytes = std::fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    let cpu = spent.cpu.as_secs_f64();
    eprintln!(
        "{subject}: a key of {} MiB found or made in {cpu:.1} s of CPU: {}",
        key_bytes >> 20,
        path.display()
    );
    plan.cache.export(subject, &key, &r1cs, &assignment)?;
    let judge = Judge {
        vk: prepare_verifying_key(key.verifying_key().ark()),
        inputs: assignment.instance[1..].to_vec(),
    };
    Ok((describe(subject, &r1cs, &assignment, key_bytes), judge))
}

fn describe(subject: Subject, r1cs: &R1cs, assignment: &Assignment, key_bytes: u64) -> Circuit {
    let all = || assignment.instance.iter().chain(&assignment.witness);
    let mut in_b = vec![false; all().count()];
    for (_, column) in r1cs.b.iter().flatten() {
        in_b[*column as usize] = true;
    }
    let terms = |rows: &Vec<Row>| rows.iter().map(Vec::len).sum();
    Circuit {
        name: subject.to_string(),
        constraints: r1cs.a.len(),
        columns: in_b.len(),
        columns_in_b: in_b.iter().filter(|used| **used).count(),
        bits: all().filter(|value| **value * *value == **value).count(),
        terms: [&r1cs.a, &r1cs.b, &r1cs.c].map(terms),
        key_bytes,
        entries: vec![],
    }
}

/// One proof of each prover a round, each round beginning with another. Whoever fails is out.
fn take_turns(
    rounds: usize,
    runners: &mut Vec<Runner>,
    judge: &Judge,
    subject: &str,
) -> Vec<Entry> {
    let mut failed = Vec::new();
    for round in 0..rounds {
        if !runners.is_empty() {
            runners.rotate_left(1);
        }
        let mut at = 0;
        while at < runners.len() {
            let Runner { prover, child, proved } = &mut runners[at];
            match child.prove().and_then(|made| judge.accept(*prover, made)) {
                Ok(made) => {
                    let cpu = made.cpu_s;
                    eprintln!("{subject}: round {}, {prover}: {cpu:.3} s of CPU", round + 1);
                    proved.push(made);
                    at += 1;
                }
                Err(error) => {
                    let why = format!("round {}: {error:#}", round + 1);
                    eprintln!("{subject}: {prover} failed, {why}");
                    failed.push(Entry { prover: *prover, outcome: Outcome::Failed { why } });
                    runners.remove(at);
                }
            }
        }
    }
    failed
}

impl Judge {
    /// Gives the figures back if ark-groth16 accepts the proof.
    fn accept(&self, prover: Name, made: Proved) -> anyhow::Result<Proved> {
        // The products are no proof; the sketch shows none and has asked ark itself.
        if matches!(prover, Name::Products | Name::Sketch) {
            return Ok(made);
        }
        let proof = made.proof.as_ref().context("expected a proof, found none")?;
        let proof = export::read_proof(proof).context("the proof")?.to_ark();
        let holds = Groth16::<Bn254>::verify_proof(&self.vk, &proof, &self.inputs);
        anyhow::ensure!(
            holds.context("the inputs")?,
            "expected a proof that ark-groth16 accepts, found one that does not hold"
        );
        Ok(made)
    }
}
