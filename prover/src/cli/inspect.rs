//! `prover inspect`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use prover::keys::{KeyHeader, Trust};
use prover::{Provenance, ProvingKey};
use serde_json::json;

use super::report::{Failure, Report, lines, read};

#[derive(Args)]
pub(crate) struct Inspect {
    /// A key file; see docs/key-file.md for its bytes.
    #[arg(value_name = "FILE")]
    key: PathBuf,
    /// Check every point too, as for a file from somewhere else. Takes seconds to minutes.
    #[arg(long)]
    full: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        // Read once before: a file that is not there is exit code 3, one that is refused is 1.
        read(&self.key)?;
        let named = || self.key.display().to_string();
        let header = KeyHeader::read(&self.key).with_context(named)?;
        // Its own hash as the pin finds damage and nothing else, which the line `checked` says.
        let trust = if self.full { Trust::Nothing } else { Trust::Pinned(header.file_hash) };
        ProvingKey::read(&self.key, &header.circuit_hash, trust).with_context(named)?;
        let provenance = match header.provenance {
            Provenance::DevInsecure => "dev-insecure".to_owned(),
            Provenance::Ceremony { transcript } => format!("ceremony {}", hex::encode(transcript)),
        };
        let checked = if self.full { "every point" } else { "hash only" };
        let (circuit, id) = (hex::encode(header.circuit_hash), hex::encode(header.key_id));
        let text = lines(&[
            ("provenance", provenance.clone()),
            ("key id", format!("0x{id}")),
            ("circuit", circuit.clone()),
            ("constraints", header.constraints.to_string()),
            ("inputs", (header.instances - 1).to_string()),
            ("witnesses", header.witnesses.to_string()),
            ("B columns", header.b_columns.to_string()),
            ("file hash", hex::encode(header.file_hash)),
            ("checked", checked.to_owned()),
        ]);
        let json = json!({
            "schema": "prover.inspect.v1",
            "provenance": provenance,
            "key_id": format!("0x{id}"),
            "circuit_hash": circuit,
            "constraints": header.constraints,
            "inputs": header.instances - 1,
            "witnesses": header.witnesses,
            "b_columns": header.b_columns,
            "file_hash": hex::encode(header.file_hash),
            "checked": checked,
        });
        Ok(Report { text, json })
    }
}
