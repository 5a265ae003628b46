//! What the demo prints: one line a stage, and one JSON object.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use l1_contracts::Deployment;
use serde::Serialize;

use super::cast::Cast;
use super::options::{DemoOptions, beside_program};
use crate::node::{Endpoints, Node};

/// Everything that the demo found; every printed figure is a field.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name and version of this object.
    pub schema: &'static str,
    /// Seed of the cast.
    pub seed: u64,
    /// Patients enrolled.
    pub patients: u64,
    /// Gateways connected.
    pub gateways: u64,
    /// Readings with a verified receipt.
    pub readings_acked: u64,
    /// Frames with a verified receipt.
    pub frames_acked: u64,
    /// Verified receipts of all kinds.
    pub receipts_verified: u64,
    /// Claims settled.
    pub claims: Claims,
    /// Requests and frames refused, by the rule of SPEC.md.
    pub refused: Refused,
    /// Operations settled.
    pub operations: u64,
    /// Batches settled.
    pub batches_settled: u64,
    /// Proofs that the auditor verified.
    pub proofs_verified: u64,
    /// Constraints of each shape, by its name.
    pub constraints: BTreeMap<&'static str, usize>,
    /// Gas of all settling transactions.
    pub gas_total: u64,
    /// Wall seconds by stage.
    pub seconds: Seconds,
    /// What the auditor said.
    pub auditor: Audited,
    #[serde(skip)]
    quiet: bool,
}

/// Claims by kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Claims {
    /// Accesses under a permit.
    pub access: u64,
    /// Collections.
    pub collect: u64,
    /// Accesses that broke the glass.
    pub break_glass: u64,
}

/// Refusals.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Refused {
    /// Count by rule, as `C2.6`.
    pub by_rule: BTreeMap<String, u64>,
}

/// Wall seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Seconds {
    /// Keys, chain, contracts.
    pub setup: f64,
    /// Streaming until everything is acknowledged.
    pub ingest: f64,
    /// Proving, in the background.
    pub prove: f64,
    /// From the last close to the last settlement.
    pub settle: f64,
    /// The auditor's process.
    pub audit: f64,
    /// All of it.
    pub total: f64,
}

/// The auditor's words.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Audited {
    /// `holds` or `broken`.
    pub verdict: String,
    /// What it named after one byte of a copy was flipped.
    pub first_broken_after_tamper: String,
}

impl Report {
    pub(super) fn new(options: &DemoOptions, dir: &Path) -> Report {
        let report = Report {
            schema: "vitals-demo-1",
            seed: options.seed,
            patients: 0,
            gateways: 0,
            readings_acked: 0,
            frames_acked: 0,
            receipts_verified: 0,
            claims: Claims::default(),
            refused: Refused::default(),
            operations: 0,
            batches_settled: 0,
            proofs_verified: 0,
            constraints: BTreeMap::new(),
            gas_total: 0,
            seconds: Seconds::default(),
            auditor: Audited::default(),
            quiet: options.json,
        };
        report.line("folder", &format!("{} (seed {})", dir.display(), options.seed));
        report
    }

    /// One line of a stage: to stdout, or to stderr if stdout is for the JSON object.
    pub(super) fn line(&self, stage: &str, text: &str) {
        if self.quiet {
            eprintln!("{stage:<10}{text}");
        } else {
            println!("{stage:<10}{text}");
        }
    }

    pub(super) fn setup(&mut self, took: Duration, chain: &Deployment, at: &Endpoints) {
        self.seconds.setup = took.as_secs_f64();
        let shapes = self.constraints.iter().map(|(shape, count)| format!("{shape} {count}"));
        let shapes: Vec<_> = shapes.collect();
        self.line("keys", &format!("dev-insecure, constraints: {}", shapes.join(", ")));
        let address = chain.settlement;
        let text = format!(
            "dev chain {}, contract {address}, JSON-RPC {} (set up in {:.0} s)",
            chain.chain_id, at.rpc, self.seconds.setup
        );
        self.line("chain", &text);
    }

    pub(super) fn refuse(&mut self, rule: model::RuleNumber) {
        *self.refused.by_rule.entry(rule.to_string()).or_default() += 1;
    }

    pub(super) fn finish(&mut self, took: Duration) {
        self.seconds.total = took.as_secs_f64();
        let Seconds { setup, ingest, prove, settle, audit, total } = self.seconds;
        let text = format!(
            "{total:.0} s: setup {setup:.0}, ingest {ingest:.1}, proving {prove:.0}, \
             last close to settled {settle:.0}, audit {audit:.1}"
        );
        self.line("time", &text);
    }
}

/// A program beside this one, or how to run it.
fn program(name: &str) -> String {
    match beside_program(name) {
        Some(path) if path.exists() => path.display().to_string(),
        _ => format!("cargo run --release -p {} --bin {name} --", package(name)),
    }
}

/// Commands to look around in a demo that is kept running.
pub(super) fn next_steps(node: &Node, dir: &Path, cast: &Cast) -> Vec<String> {
    let mut lines = vec!["The node keeps running until Ctrl-C. In another terminal:".to_owned()];
    lines.extend(audit_lines(node, dir, cast));
    lines.push(stream_line(node, dir, cast));
    lines.push(format!("  curl http://{}/metrics", node.endpoints().http));
    lines
}

/// What to paste against a development node.
pub(super) fn dev_steps(node: &Node, dir: &Path, cast: &Cast) -> Vec<String> {
    let patients = cast.patients.len();
    let vitals = program("vitals");
    let mut lines = vec![format!(
        "A development node with {patients} patients, keys in {0}/keys, identities in \
         {0}/identities, and who streams what in {0}/assignments.json. Ctrl-C stops it. Paste:",
        dir.display()
    )];
    lines.push(stream_line(node, dir, cast));
    let signal = cast.world.devices[cast.patients[0].device].signals[0].category.name();
    lines.push(format!(
        "  {vitals} access --node {2} --identity {0}/identities/dr-001 --key {0}/keys/dr-001.key \
         --organisation {3} --patient {1} --categories {signal} --purpose treatment \
         --data-from 2020-01-01 --data-until 2100-01-01",
        dir.display(),
        cast.world.patients[0].index.get(),
        node.endpoints().ingest,
        cast.world.practitioners[0].organisation
    ));
    lines.push(format!(
        "  {vitals} consent stop --node {1} --identity {0}/identities/ward-wallet \
         --patient-key {0}/keys/patient-1.key",
        dir.display(),
        node.endpoints().ingest
    ));
    lines.extend(audit_lines(node, dir, cast));
    lines.push(format!("The token that its desk asks for stands in {}/desk.token.", dir.display()));
    lines
}

fn audit_lines(node: &Node, dir: &Path, cast: &Cast) -> [String; 2] {
    let patient = cast.world.patients[0].index.get();
    let Endpoints { rpc, http, .. } = node.endpoints();
    let (auditor, vitals) = (program("auditor"), program("vitals"));
    let (deployment, dir) = (node.layout().deployment(), dir.display());
    [
        format!(
            "  {auditor} verify --rpc {rpc} --deployment {} --data http://{http} \
             --save-headers {dir}/headers.json",
            deployment.display()
        ),
        format!(
            "  {vitals} log --patient-key {dir}/keys/patient-1.key --patient {patient} \
             --identity {dir}/identities/ward-wallet --data http://{http} \
             --headers {dir}/headers.json"
        ),
    ]
}

fn stream_line(node: &Node, dir: &Path, cast: &Cast) -> String {
    let device = &cast.world.devices[cast.patients[0].device];
    let gateway = &cast.world.gateways[device.gateway].id;
    format!(
        "  seq 60 100 | {} stream --node {} --identity {}/identities/{gateway} --device {} \
         --patient {} --signal {} --unit {} --rate-hz 100 --stdin",
        program("vitals"),
        node.endpoints().ingest,
        dir.display(),
        device.id,
        cast.world.patients[0].index.get(),
        device.signals[0].name,
        device.signals[0].unit
    )
}

fn package(program: &str) -> &str {
    if program == "vitals" { "client" } else { program }
}
