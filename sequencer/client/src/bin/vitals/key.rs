//! `vitals key`.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use client::{Key, KeyKind};
use serde_json::json;

use crate::report::{Outcome, Report};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key from the machine's randomness; the secret is never printed
    ///
    /// For a patient, a practitioner or the registrar, or to encrypt readings (vitals stream
    /// --encrypt). The file is all there is of the key: copy it to a safe place.
    ///
    ///   vitals key new --out anna.key
    ///   vitals key new --kind practitioner --out dr-001.key
    ///   vitals key new --kind readings --out ward-3.key
    #[command(verbatim_doc_comment)]
    New {
        /// File to make; it must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Whose key it is
        #[arg(long, value_parser = kinds(), default_value = KeyKind::Patient.name())]
        kind: KeyKind,
    },
    /// Show a key's public part
    ///
    /// For its owner, who hands the key hash to whoever enrols or registers it.
    ///
    ///   vitals key show anna.key
    #[command(verbatim_doc_comment)]
    Show {
        /// The key file; refused if others may read it
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Of a patient, also show what opens all claims about them: hand it only to somebody who
        /// may see them all, past and to come
        #[arg(long)]
        view_key: bool,
    },
}

/// Names of kinds, which the help lists.
fn kinds() -> impl TypedValueParser<Value = KeyKind> {
    let names = PossibleValuesParser::new(KeyKind::ALL.map(KeyKind::name));
    names.try_map(|name| KeyKind::from_name(&name).ok_or("expected the kind of a key"))
}

impl Command {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Command::New { out, kind } => {
                let key = Key::generate(kind)?;
                key.write(&out)?;
                Ok(report(&key, None))
            }
            Command::Show { file, view_key } => {
                let key = Key::read_any(&file)?;
                let view_key = view_key && key.kind() == KeyKind::Patient;
                let view_key = view_key.then(|| key.view_key().to_hex());
                Ok(report(&key, view_key))
            }
        }
    }
}

fn report(key: &Key, view_key: Option<String>) -> Report {
    if key.kind() == KeyKind::Readings {
        // It has no public part; whoever is handed it compares this.
        let (kind, check) = (key.kind().name(), key.check_value());
        let text = format!("kind        {kind}\ncheck       {check}");
        let schema = "vitals-key-report-1";
        return Report::success(text, json!({ "schema": schema, "kind": kind, "check": check }));
    }
    let (kind, hash) = (key.kind().name(), key.key_hash().to_hex());
    let public = hex::encode(key.public().encode());
    let mut text = format!("kind        {kind}\npublic key  {public}\nkey hash    {hash}");
    let mut json = json!({
        "schema": "vitals-key-report-1", "kind": kind, "public_key": public, "key_hash": hash,
    });
    if let Some(view_key) = view_key {
        text += &format!("\nview key    {view_key}");
        json["view_key"] = view_key.into();
    }
    Report::success(text, json)
}
