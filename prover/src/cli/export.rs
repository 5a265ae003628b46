//! `prover export`.

use std::path::PathBuf;

use anyhow::Context;
use circuits::shapes::Shape;
use clap::Args;
use files::Audience;
use prover::{KeyStore, Setup, export};
use serde_json::json;

use super::report::{Failure, Report};
use super::shapes;

#[derive(Args)]
pub(crate) struct Export {
    /// The shape.
    #[arg(long, value_name = "NAME", value_parser = shapes::parser())]
    shape: &'static Shape,
    /// Folder of the keys.
    #[arg(long, value_name = "FOLDER", default_value = "keys")]
    dir: PathBuf,
    /// Which key: a development key is made if it is not there, a ceremony's is taken over before.
    #[arg(long, value_name = "NAME", default_value_t, value_parser = shapes::setup_parser())]
    setup: Setup,
    /// Write the constraint system, the input of a ceremony.
    #[arg(long, value_name = "FILE")]
    r1cs: Option<PathBuf>,
    /// Write the key for snarkjs and rapidsnark, without a ceremony's contributions.
    #[arg(long, value_name = "FILE")]
    zkey: Option<PathBuf>,
    /// Write the key's verification_key.json.
    #[arg(long, value_name = "FILE")]
    vkey: Option<PathBuf>,
}

impl Export {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        let r1cs = self.shape.matrices();
        let mut written = vec![];
        let mut write = |path: &PathBuf, bytes: &[u8]| {
            written.push(path.display().to_string());
            files::replace(path, &[bytes], Audience::Public)
                .with_context(|| path.display().to_string())
        };
        if let Some(path) = &self.r1cs {
            write(path, &export::r1cs(&r1cs))?;
        }
        // Only when it is asked for: the constraint system needs no key, and making one takes long.
        if self.zkey.is_some() || self.vkey.is_some() {
            let key = KeyStore::new(&self.dir).open(self.setup, &r1cs)?;
            if let Some(path) = &self.zkey {
                write(path, &export::zkey(&key, &r1cs))?;
            }
            if let Some(path) = &self.vkey {
                let json = export::verification_key_json(key.verifying_key());
                write(path, json.to_string().as_bytes())?;
            }
        }
        let json =
            json!({ "schema": "prover.export.v1", "shape": self.shape.name, "files": written });
        Ok(Report { text: written.join("\n"), json })
    }
}
