//! `prover verify`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use prover::export;
use serde_json::json;
use statement::proof::verify;

use super::report::{Failure, Report, lines, read_json};

#[derive(Args)]
pub(crate) struct Verify {
    /// The key, as `snarkjs zkey export verificationkey` writes it.
    #[arg(long, value_name = "FILE")]
    vkey: PathBuf,
    /// The proof, as `snarkjs groth16 prove` writes it.
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// The public inputs: a JSON array of decimal strings, without the constant one.
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
}

impl Verify {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        let named = |path: &PathBuf| path.display().to_string();
        let key = export::read_verification_key(&read_json(&self.vkey)?)
            .with_context(|| named(&self.vkey))?;
        let proof =
            export::read_proof(&read_json(&self.proof)?).with_context(|| named(&self.proof))?;
        let inputs =
            export::read_public(&read_json(&self.public)?).with_context(|| named(&self.public))?;
        // Exit code 1, as for a malformed file: both say no. Only a file that is not there is no
        // answer.
        verify(&key, &inputs, &proof)?;
        // A valid proof under a key of public numbers says nothing, and must not look as if it did.
        let id = format!("0x{}", hex::encode(key.id()));
        let insecure = key.is_dev_insecure();
        let worth = if insecure { "nothing: development key, anyone can forge" } else { "a proof" };
        let text = lines(&[
            ("result", "valid".to_owned()),
            ("key id", id.clone()),
            ("inputs", inputs.len().to_string()),
            ("worth", worth.to_owned()),
        ]);
        let json = json!({
            "schema": "prover.verify.v1",
            "valid": true,
            "key_id": id,
            "inputs": inputs.len(),
            "dev_insecure": insecure,
        });
        Ok(Report { text, json })
    }
}
