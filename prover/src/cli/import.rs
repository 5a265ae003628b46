//! `prover import-zkey`.

use std::path::PathBuf;

use anyhow::Context;
use circuits::shapes::Shape;
use clap::Args;
use prover::KeyStore;
use prover::ceremony::{Zkey, read_zkey};
use serde_json::json;

use super::report::{Failure, Report, lines, open_file};
use super::shapes;
use super::transcript;

#[derive(Args)]
pub(crate) struct Import {
    /// The shape.
    #[arg(long, value_name = "NAME", value_parser = shapes::parser())]
    shape: &'static Shape,
    /// The last .zkey of the shape's ceremony.
    #[arg(long, value_name = "FILE")]
    zkey: PathBuf,
    /// Folder of the keys: the node's `prover.keys`.
    #[arg(long, value_name = "FOLDER", default_value = "keys")]
    dir: PathBuf,
}

impl Import {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        let file = open_file(&self.zkey)?;
        eprintln!("{}: learning the matrices", self.shape.name);
        let r1cs = self.shape.matrices();
        eprintln!("{}: checking every cell, contribution and point", self.shape.name);
        let named = || self.zkey.display().to_string();
        let Zkey { key, transcript } = read_zkey(file, &r1cs).with_context(named)?;
        // Followed once already; this time for its names.
        let contributions = transcript.verify()?;
        let path = KeyStore::new(&self.dir).keep(&key)?.display().to_string();
        let id = format!("0x{}", hex::encode(key.verifying_key().id()));
        let by = transcript::lines_of(&contributions);
        let text = lines(&[
            ("result", "checked and kept".to_owned()),
            ("shape", self.shape.name.to_owned()),
            ("key id", id.clone()),
            ("transcript", hex::encode(transcript.hash())),
            ("contributions", contributions.len().to_string()),
            ("file", path.clone()),
            (
                "not checked",
                "where alpha, beta and tau come from: prover keys \
                             verify-transcript"
                    .to_owned(),
            ),
        ]);
        let json = json!({
            "schema": "prover.import-zkey.v1",
            "shape": self.shape.name,
            "key_id": id,
            "circuit_hash": hex::encode(key.circuit_hash()),
            "transcript": hex::encode(transcript.hash()),
            "contributions": transcript::json_of(&contributions),
            "path": path,
        });
        Ok(Report { text: format!("{text}\n{by}"), json })
    }
}
