//! `vitals consent export`: the live rules of the wallet's copy as a PCF Consent.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use client::{Wallet, party};
use files::Audience;
use model::Party;
use serde_json::json;

use super::document::read_names;
use crate::node::{Expected, now, tell_deployment};
use crate::report::{Outcome, Report};

/// Whose record, and where to.
#[derive(Args)]
pub(crate) struct ExportArgs {
    /// Key of the patient; the wallet's copy of the record stands beside it
    #[arg(long, value_name = "FILE")]
    patient_key: PathBuf,
    /// Folder with deployment.json
    #[arg(long, env = "VITALS_IDENTITY", value_name = "DIR")]
    identity: PathBuf,
    #[command(flatten)]
    expected: Expected,
    /// What the document is to call people, purposes and the patient, and whom it is of: TOML, as
    /// the page on consents shows
    #[arg(long, value_name = "FILE")]
    names: PathBuf,
    /// The file to write: for its owner alone, since it says whom the patient trusts
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl ExportArgs {
    pub(crate) fn run(&self) -> Outcome {
        let deployment = self.expected.load(&self.identity)?;
        let wallet = Wallet::read(&Wallet::path(&self.patient_key), deployment.scope)?;
        let names = read_names(Some(&self.names))?;
        let record = wallet.record()?;
        let (fingerprint, nonce) = (deployment.fingerprint, record.nonce);
        let signed = format!(
            "operations that the patient signed in the deployment {fingerprint}, {nonce} of them"
        );
        let document = pcf::Document {
            patient: wallet.patient.get(),
            at: now(),
            signed: &signed,
            party: &|party| registered(&wallet, party),
            names: &names,
        };
        let consent = pcf::write(record, &document)?;
        let text = format!("{consent:#}\n");
        files::replace(&self.out, &[text.as_bytes()], Audience::Owner)
            .with_context(|| self.out.display().to_string())?;
        let said = format!(
            "wrote the live rules of record {} to {}, as the wallet's copy has them",
            wallet.patient.get(),
            self.out.display()
        );
        let json = json!({
            "schema": "vitals-consent-export-1", "patient": wallet.patient.get(), "nonce": nonce,
            "out": self.out.display().to_string(), "profile": consent["meta"]["profile"][0],
        });
        Ok(tell_deployment(fingerprint, Report::success(said, json)))
    }
}

/// The name by which the wallet knows a party.
fn registered(wallet: &Wallet, party: Party) -> Option<pcf::Party> {
    let known = wallet.names.all().find(|text| party::actor(text) == Ok(party))?;
    // What a care team was called before stands in older copies.
    pcf::Party::parse(&known.replacen("group:", "care-team:", 1))
}
