//! `prover keys`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use circuits::shapes::{SHAPES, Shape};
use clap::{Args, Subcommand};
use prover::ceremony::{Contributor, Phase1, Zkey, read_zkey};
use prover::keys::Listed;
use prover::{KeyStore, Setup};
use rand::rngs::OsRng;
use serde_json::{Value, json};

use super::report::{Failure, Report, lines, open_file};
use super::{help, shapes, transcript};

#[derive(Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the keys of a folder: shape, setup, id, and whether their points were checked.
    #[command(long_about = help::KEYS_LIST, after_help = help::EXIT_CODES)]
    List(List),
    /// Make a development key anew, in the place of one that is refused.
    #[command(long_about = help::KEYS_REGENERATE, after_help = help::EXIT_CODES)]
    Regenerate(Regenerate),
    /// Check a ceremony's key against its first phase, its circuit and its contributions.
    #[command(long_about = help::KEYS_VERIFY, after_help = help::EXIT_CODES)]
    VerifyTranscript(VerifyTranscript),
}

impl Keys {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Regenerate(regenerate) => regenerate.run(),
            Command::VerifyTranscript(verify) => verify.run(),
        }
    }
}

#[derive(Args)]
struct List {
    /// Folder of the keys.
    #[arg(long, value_name = "FOLDER", default_value = "keys")]
    dir: PathBuf,
}

impl List {
    fn run(self) -> Result<Report, Failure> {
        let listed = KeyStore::new(&self.dir).list()?;
        if listed.is_empty() {
            let text = format!("no keys in {}", self.dir.display());
            return Ok(Report { text, json: json!({ "schema": "prover.keys.v1", "keys": [] }) });
        }
        // Learnt only if there is a key: it takes seconds.
        let shapes: BTreeMap<[u8; 32], &str> =
            SHAPES.iter().map(|shape| (shape.matrices().hash(), shape.name)).collect();
        let text: Vec<String> = listed.iter().map(|one| line(one, &shapes)).collect();
        let keys: Vec<Value> = listed.iter().map(|one| entry(one, &shapes)).collect();
        let json = json!({ "schema": "prover.keys.v1", "keys": keys });
        Ok(Report { text: text.join("\n"), json })
    }
}

fn line(one: &Listed, shapes: &BTreeMap<[u8; 32], &str>) -> String {
    let path = one.path.display();
    match &one.header {
        Ok(header) => {
            let shape = shapes.get(&header.circuit_hash).unwrap_or(&"(other)");
            let pinned = if one.is_pinned { "pinned" } else { "unpinned" };
            let id = hex::encode(header.key_id);
            format!("{shape:<10}{:<14}0x{id}  {pinned:<10}{path}", one.setup.to_string())
        }
        Err(error) => format!("{:<10}{:<14}{path}: {error}", "refused", one.setup.to_string()),
    }
}

fn entry(one: &Listed, shapes: &BTreeMap<[u8; 32], &str>) -> Value {
    let header = one.header.as_ref().ok();
    json!({
        "path": one.path.display().to_string(),
        "setup": one.setup.to_string(),
        // Null for a key of another version's circuit, which this program never opens.
        "shape": header.and_then(|header| shapes.get(&header.circuit_hash)),
        "circuit_hash": header.map(|header| hex::encode(header.circuit_hash)),
        "key_id": header.map(|header| format!("0x{}", hex::encode(header.key_id))),
        "pinned": one.is_pinned,
        "error": one.header.as_ref().err().map(ToString::to_string),
    })
}

#[derive(Args)]
struct Regenerate {
    /// The shape.
    #[arg(long, value_name = "NAME", value_parser = shapes::parser())]
    shape: &'static Shape,
    /// Folder of the keys. No node may be using it.
    #[arg(long, value_name = "FOLDER", default_value = "keys")]
    dir: PathBuf,
}

impl Regenerate {
    fn run(self) -> Result<Report, Failure> {
        let store = KeyStore::new(&self.dir);
        let key = store.regenerate(&self.shape.matrices())?;
        let path = store.path(Setup::DevInsecure, &key.circuit_hash()).display().to_string();
        let id = format!("0x{}", hex::encode(key.verifying_key().id()));
        let text = format!(
            "{:<10}{id}  {path}\ndevelopment key: anyone can forge proofs under it",
            self.shape.name
        );
        let json = json!({
            "schema": "prover.keys.regenerate.v1",
            "dev_insecure": true,
            "shape": self.shape.name,
            "key_id": id,
            "path": path,
        });
        Ok(Report { text, json })
    }
}

#[derive(Args)]
struct VerifyTranscript {
    /// The shape.
    #[arg(long, value_name = "NAME", value_parser = shapes::parser())]
    shape: &'static Shape,
    /// The first phase, as the ceremony named it.
    #[arg(long, value_name = "FILE")]
    ptau: PathBuf,
    /// The last .zkey of the shape's ceremony.
    #[arg(long, value_name = "FILE")]
    zkey: PathBuf,
}

impl VerifyTranscript {
    fn run(self) -> Result<Report, Failure> {
        let (ptau, zkey) = (open_file(&self.ptau)?, open_file(&self.zkey)?);
        eprintln!("{}: learning the matrices", self.shape.name);
        let r1cs = self.shape.matrices();
        let of_zkey = || self.zkey.display().to_string();
        let Zkey { key, transcript } = read_zkey(zkey, &r1cs).with_context(of_zkey)?;
        let contributions = transcript.verify()?;
        eprintln!("{}: contributions hold, checking the first phase's powers", self.shape.name);
        let of_ptau = || self.ptau.display().to_string();
        let phase1 = Phase1::read(ptau, &r1cs, &mut OsRng).with_context(of_ptau)?;
        phase1.verify(&key, &r1cs, &mut OsRng).with_context(of_zkey)?;
        let id = format!("0x{}", hex::encode(key.verifying_key().id()));
        let last = contributions.last().map(|one| &one.contributor);
        // Without one, whoever contributed last could have chosen among many keys.
        let beacon = matches!(last, Some(Contributor::Beacon { .. }));
        let text = lines(&[
            ("result", "the key comes from this first phase and these contributions".to_owned()),
            ("shape", self.shape.name.to_owned()),
            ("key id", id.clone()),
            ("transcript", hex::encode(transcript.hash())),
            ("contributions", contributions.len().to_string()),
            ("ends with", if beacon { "a beacon" } else { "NO BEACON" }.to_owned()),
            (
                "not checked",
                "who contributed to the first phase: snarkjs powersoftau \
                             verify"
                    .to_owned(),
            ),
        ]);
        let json = json!({
            "schema": "prover.keys.verify-transcript.v1",
            "shape": self.shape.name,
            "key_id": id,
            "circuit_hash": hex::encode(key.circuit_hash()),
            "transcript": hex::encode(transcript.hash()),
            "ends_with_beacon": beacon,
            "contributions": transcript::json_of(&contributions),
        });
        Ok(Report { text: format!("{text}\n{}", transcript::lines_of(&contributions)), json })
    }
}
