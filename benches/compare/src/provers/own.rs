//! The engines of this project, and the products that they are given.

use std::sync::Arc;

use anyhow::Context;
use ark_std::rand::rngs::OsRng;
use circuits::builder::{Assignment, R1cs};
use prover::export::proof_json;
use prover::{Blinding, Choice, Engine, TableTerms};

use crate::peer::{Made, Opened, Peer, Unopened};
use crate::request::Request;
use crate::usage::measured;
use crate::versions;

struct Own {
    engine: Box<dyn Engine>,
    assignment: Assignment,
}

impl Own {
    fn new(request: &Request, choice: Choice) -> Result<Self, Unopened> {
        let (r1cs, assignment) = request.subject.build()?;
        let (key, _) = request.cache.key(&r1cs)?;
        let engine = choice.open(Arc::new(key));
        let engine = engine.map_err(|missing| Unopened::Missing(missing.to_string()))?;
        Ok(Self { engine, assignment })
    }
}

pub(super) fn open(request: &Request, choice: Choice) -> Result<Opened, Unopened> {
    Ok(Opened::in_process(Own::new(request, choice)?, versions::of("prover")))
}

/// The accelerated engine with the tables that a node makes when it is idle: read from the cache,
/// or built and kept there.
pub(super) fn open_with_tables(request: &Request) -> Result<Opened, Unopened> {
    let own = Own::new(request, Choice::Accelerated)?;
    let folder = request.cache.folder("tables")?;
    let bytes_max = request.table_bytes_max;
    let terms = TableTerms { folder: &folder, bytes_max, go_on: &|| true };
    let (report, spent) = measured(|| own.engine.add_tables(&terms));
    let report = report.context("the tables")?;
    let note = format!(
        "tables: {} of {} MiB, read or built in {:.1} s of CPU",
        report.bytes >> 20,
        report.bytes_wanted >> 20,
        spent.cpu.as_secs_f64()
    );
    Ok(Opened { note: Some(note), ..Opened::in_process(own, versions::of("prover")) })
}

impl Peer for Own {
    /// With the engine's own verification, without which it releases no proof.
    fn prove(&mut self) -> anyhow::Result<Made> {
        let proof = self.engine.prove(&self.assignment, &Blinding::draw(&mut OsRng));
        Ok(Made { proof: Some(proof_json(&proof.context("the engine refuses")?)), spent: None })
    }
}

struct Products {
    r1cs: R1cs,
    assignment: Assignment,
}

pub(super) fn open_products(request: &Request) -> Result<Opened, Unopened> {
    let (r1cs, assignment) = request.subject.build()?;
    Ok(Opened::in_process(Products { r1cs, assignment }, versions::of("circuits")))
}

impl Peer for Products {
    fn prove(&mut self) -> anyhow::Result<Made> {
        let Assignment { instance, witness, az, bz, cz } = &self.assignment;
        let made = self.r1cs.products(instance, witness);
        anyhow::ensure!(made.each_ref() == [az, bz, cz], "expected the products of the circuit");
        Ok(Made::default())
    }
}
