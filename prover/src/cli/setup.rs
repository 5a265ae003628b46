//! `prover setup`.

use std::path::PathBuf;

use circuits::shapes::{SHAPES, Shape};
use clap::Args;
use prover::{KeyStore, ProvingKey};
use serde_json::{Value, json};

use super::report::{Failure, Report};
use super::shapes;

#[derive(Args)]
pub(crate) struct Setup {
    /// The shape; without it, every shape.
    #[arg(long, value_name = "NAME", value_parser = shapes::parser())]
    shape: Option<&'static Shape>,
    /// Folder of the keys; one that is there already is kept.
    #[arg(long, value_name = "FOLDER", default_value = "keys")]
    dir: PathBuf,
}

impl Setup {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        let store = KeyStore::new(self.dir);
        let chosen: Vec<&Shape> = self.shape.map_or(SHAPES.iter().collect(), |shape| vec![shape]);
        let (mut lines, mut keys) = (vec![], vec![]);
        for shape in chosen {
            // On stderr, since this takes minutes; stdout is the report's.
            eprintln!("{}: learning the matrices", shape.name);
            let r1cs = shape.matrices();
            eprintln!("{}: {} constraints, finding or making the key", shape.name, r1cs.a.len());
            let key = store.open_or_make(&r1cs)?;
            let path =
                store.path(prover::Setup::DevInsecure, &key.circuit_hash()).display().to_string();
            let id = hex::encode(key.verifying_key().id());
            lines.push(format!("{:<10}0x{id}  {path}", shape.name));
            keys.push(entry(shape, &key, path));
        }
        lines.push("development keys: anyone can forge proofs under them".to_owned());
        let json = json!({ "schema": "prover.setup.v1", "dev_insecure": true, "keys": keys });
        Ok(Report { text: lines.join("\n"), json })
    }
}

fn entry(shape: &Shape, key: &ProvingKey, path: String) -> Value {
    json!({
        "shape": shape.name,
        "key_id": format!("0x{}", hex::encode(key.verifying_key().id())),
        "circuit_hash": hex::encode(key.circuit_hash()),
        "constraints": key.constraints(),
        "path": path,
    })
}
