//! `vitals identity`: key and request of an identity, and what a folder holds.

use std::path::PathBuf;

use clap::Subcommand;
use client::{Deployment, Identity, request_identity};
use model::calendar::Utc;
use serde_json::json;

use crate::node::now;
use crate::report::{Outcome, Report};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a private key and a request for its certificate
    ///
    /// For whoever is to connect: a gateway, a wallet, a practitioner's system, an operator. The
    /// key stays in DIR; the operator signs the request (`sequencer identity issue --request`) and
    /// hands back cert.pem, ca.pem and deployment.json, which belong into DIR too.
    ///
    ///   vitals identity request --out anna
    #[command(verbatim_doc_comment)]
    Request {
        /// Folder to make, or one without an identity: gets key.pem and request.csr
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Show who an identity is, of which deployment, and until when
    ///
    /// For its owner. It asks no node: a revoked one looks as before. Ends with 1 if the
    /// certificate is not good now, with 2 if a file is missing or the key is another one's.
    ///
    ///   vitals identity show anna
    #[command(verbatim_doc_comment)]
    Show {
        /// Folder with ca.pem, cert.pem, key.pem and deployment.json
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

impl Command {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Command::Request { out } => {
                let request = request_identity(&out)?.display().to_string();
                let folder = out.display().to_string();
                let text = format!(
                    "the key stays in {folder}/key.pem; the operator signs {request}\n\
                     put the cert.pem, ca.pem and deployment.json that come back into {folder}"
                );
                let json = json!({
                    "schema": "vitals-identity-request-1", "folder": folder, "request": request,
                });
                Ok(Report::success(text, json))
            }
            Command::Show { folder } => show(&folder),
        }
    }
}

fn show(folder: &std::path::Path) -> Outcome {
    let identity = Identity::read(folder)?;
    let deployment = Deployment::load(folder)?;
    let (role, name, valid) = (identity.role().name(), identity.name(), identity.valid());
    let (from, until) = (Utc(valid.from), Utc(valid.until));
    let fault = identity.check_valid(now()).err().map(|error| error.to_string());
    let mut text = format!(
        "identity    {role} {name}\ngood        from {from} until {until}\ncertificate {}\n\
         deployment  {}",
        hex::encode(identity.fingerprint()),
        deployment.fingerprint
    );
    if let Some(fault) = &fault {
        text += &format!("\nbut {fault}");
    }
    let json = json!({
        "schema": "vitals-identity-1", "role": role, "name": name,
        "from": valid.from.unix_ms(), "until": valid.until.unix_ms(),
        "certificate": hex::encode(identity.fingerprint()),
        "fingerprint": deployment.fingerprint.to_string(), "good": fault.is_none(),
    });
    Ok(match fault {
        None => Report::success(text, json),
        Some(_) => Report::failure(text, json),
    })
}
