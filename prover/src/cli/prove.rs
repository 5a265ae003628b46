//! `prover prove`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use circuits::shapes::Shape;
use clap::Args;
use prover::job::{Job, Proven};
use prover::{Blinding, KeyStore, ProvingKey, Setup};
use rand::rngs::OsRng;
use serde_json::json;
use zeroize::Zeroizing;

use super::report::{Failure, Report, lines, read};
use super::shapes;

#[derive(Args)]
pub(crate) struct Prove {
    /// The shape.
    #[arg(long, value_name = "NAME", value_parser = shapes::parser())]
    shape: &'static Shape,
    /// The value of every column, as snarkjs and circom's witness programs write it.
    #[arg(long, value_name = "FILE")]
    wtns: PathBuf,
    /// Folder for proof.json, public.json and proof.bin, the proof's 256 bytes on chain.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Folder of the keys.
    #[arg(long, value_name = "FOLDER", default_value = "keys")]
    keys: PathBuf,
    /// Which key: a development key is made if it is not there, a ceremony's is taken over before.
    #[arg(long, value_name = "NAME", default_value_t, value_parser = shapes::setup_parser())]
    setup: Setup,
}

impl Prove {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        let wtns = Zeroizing::new(read(&self.wtns)?);
        eprintln!("{}: learning the matrices", self.shape.name);
        let r1cs = self.shape.matrices();
        // Every rule before the key: a wrong witness should not cost the minutes of making one.
        let job = Job::read(&r1cs, &wtns).with_context(|| self.wtns.display().to_string())?;
        eprintln!("{}: every rule holds, finding or making the key", self.shape.name);
        let key = Arc::new(KeyStore::new(&self.keys).open(self.setup, &r1cs)?);
        let started = Instant::now();
        // From the operating system: who can guess the blinding can test guesses of the witness.
        let proven = job.prove(key.clone(), &Blinding::draw(&mut OsRng))?;
        let seconds = started.elapsed().as_secs_f64();
        proven.write(&self.out).with_context(|| self.out.display().to_string())?;
        Ok(self.report(&key, &proven, seconds))
    }

    /// `seconds` is what proving and verifying took; reading and the key are not in it.
    fn report(&self, key: &ProvingKey, proven: &Proven, seconds: f64) -> Report {
        let id = format!("0x{}", hex::encode(key.verifying_key().id()));
        // Asked of the key and not taken from the store: a report must be right about any key.
        let insecure = key.verifying_key().is_dev_insecure();
        let worth = if insecure { "nothing: development key, anyone can forge" } else { "a proof" };
        let files = Proven::FILES.map(|name| self.out.join(name).display().to_string());
        let text = lines(&[
            ("result", "proven and verified".to_owned()),
            ("shape", self.shape.name.to_owned()),
            ("key id", id.clone()),
            ("inputs", proven.inputs.len().to_string()),
            ("seconds", format!("{seconds:.3}")),
            ("worth", worth.to_owned()),
            ("files", files.join(" ")),
        ]);
        let json = json!({
            "schema": "prover.prove.v1",
            "shape": self.shape.name,
            "key_id": id,
            "inputs": proven.inputs.len(),
            "seconds": seconds,
            "dev_insecure": insecure,
            "files": files,
        });
        Report { text, json }
    }
}
