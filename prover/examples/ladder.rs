//! Sets up, proves and verifies a circuit of any size without meaning, says how long each step
//! took, and writes everything in iden3's formats if asked.
//!
//! `cargo run --release -p prover --example ladder -- --rows 16000 --export ladder-files`

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use prover::{Blinding, Engine, PortableEngine, ProvingKey, export};
use rand::rngs::OsRng;
use serde_json::Value;

#[path = "../tests/sample.rs"]
mod sample;

/// Prove a ladder of multiplications.
#[derive(Parser)]
struct Ladder {
    /// Constraints; the domain is the next power of two above this number plus 3.
    #[arg(long, default_value_t = 1000)]
    rows: usize,
    /// Proofs to make.
    #[arg(long, default_value_t = 1)]
    proofs: usize,
    /// Folder for ladder.r1cs, ladder.wtns, ladder.zkey, verification_key.json, proof.json,
    /// public.json.
    #[arg(long)]
    export: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Ladder::parse();
    anyhow::ensure!(args.rows >= 3 && args.proofs > 0, "expected 3 rows and 1 proof or more");
    let (r1cs, assignment) = sample::ladder(args.rows, 5);
    let key = Arc::new(timed("setup", || ProvingKey::dev_insecure(&r1cs))?);
    let engine = PortableEngine::new(key.clone());
    let prove = || timed("prove", || engine.prove(&assignment, &Blinding::draw(&mut OsRng)));
    let mut proof = prove()?;
    for _ in 1..args.proofs {
        proof = prove()?;
    }
    let Some(folder) = args.export else { return Ok(()) };
    fs::create_dir_all(&folder)?;
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).with_context(|| name.to_owned())
    };
    let write_json = |name: &str, value: Value| write(name, value.to_string().as_bytes());
    write("ladder.r1cs", &export::r1cs(&r1cs))?;
    write("ladder.wtns", &export::wtns(&assignment))?;
    write("ladder.zkey", &export::zkey(&key, &r1cs))?;
    key.write(&folder.join("ladder.key"))?;
    write_json("verification_key.json", export::verification_key_json(key.verifying_key()))?;
    write_json("proof.json", export::proof_json(&proof))?;
    write_json("public.json", export::public_json(&assignment.instance[1..]))
}

/// Wall and CPU seconds of the whole process; the second reads zero where there is no /proc.
fn timed<T>(step: &str, work: impl FnOnce() -> T) -> T {
    let (started, before) = (Instant::now(), cpu_seconds());
    let result = work();
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - before);
    eprintln!("{step}: {wall:.3} s wall, {cpu:.2} s CPU");
    result
}

fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // User and system time are the 14th and 15th fields, in hundredths of a second.
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
