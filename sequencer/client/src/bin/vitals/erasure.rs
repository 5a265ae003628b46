//! `vitals consent erase`: the patient's request to have their readings erased.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use client::{Key, KeyKind, Wallet, erasure};
use files::Audience;
use model::calendar::{Utc, parse_length};
use serde_json::json;

use crate::handed_in::KeyLock;
use crate::node::{Expected, now, tell_deployment};
use crate::report::{Outcome, Report, Usage};
use crate::signing::ask;

/// What stays, in the words that the patient reads before they sign.
const STAYS: &str = "what stays: that and when something was measured, by which device; your \
                     consents; who read what, when and why, which the law keeps; what readers were \
                     given; backups of keys, until they expire";

#[derive(Args)]
pub(crate) struct EraseArgs {
    /// Key of the patient; the wallet's copy of the record stands beside it
    #[arg(long, value_name = "FILE")]
    patient_key: PathBuf,
    /// Folder with deployment.json
    #[arg(long, env = "VITALS_IDENTITY", value_name = "DIR")]
    identity: PathBuf,
    #[command(flatten)]
    expected: Expected,
    /// The file to write, for the hospital: it must not exist yet
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Folder that keeps receipts: a copy of the request stays there, and vitals log finds it when
    /// the receipt of the erasure is put beside it
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// Do not ask before signing
    #[arg(long)]
    yes: bool,
    /// Show what would be signed, and stop
    #[arg(long)]
    dry_run: bool,
    /// Until when it may be carried out: it cannot be taken back before; at most 31d
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, default_value = "14d")]
    valid_for: u64,
}

impl EraseArgs {
    pub(crate) fn run(self) -> Outcome {
        let deployment = self.expected.load(&self.identity)?;
        let _lock = (!self.dry_run).then(|| KeyLock::take(&self.patient_key)).transpose()?;
        let wallet = Wallet::read(&Wallet::path(&self.patient_key), deployment.scope)?;
        let key = Key::read(&self.patient_key, KeyKind::Patient)?;
        let request = erasure::request(&wallet, now(), self.valid_for)?;
        let until = Utc(request.valid_until);
        let preview = format!(
            "ERASE every reading of record {}, for good: their keys are destroyed, and nobody reads \
             one again\n{STAYS}\nit may be carried out until {until} and cannot be taken back",
            request.patient.get()
        );
        let mut json = json!({
            "schema": "vitals-erasure-1", "patient": request.patient.get(),
            "requested_at": Utc(request.requested_at).to_string(),
            "valid_until": until.to_string(), "signed": false,
        });
        let tell = |report| Ok(tell_deployment(deployment.fingerprint, report));
        let (Some(out), false) = (&self.out, self.dry_run) else {
            return tell(Report::success(format!("{preview}\nnothing was signed"), json));
        };
        // Before anybody is asked.
        if out.exists() {
            return Err(Usage(format!("expected no file {}, found one", out.display())).into());
        }
        let shown = format!("deployment {}\n{preview}", deployment.fingerprint);
        if !self.yes && !ask(&format!("{shown}\nSign? [y/N] "))? {
            return tell(Report::failure("nothing was signed".to_owned(), json));
        }
        let signed = erasure::sign(request, &key)?;
        if let Some(folder) = &self.receipts {
            let what = || format!("keeping the request in {}", folder.display());
            erasure::keep(folder, &signed).with_context(what)?;
        }
        let written = files::create(out, &signed.to_bytes()?, Audience::Owner);
        written.with_context(|| format!("writing {}", out.display()))?;
        json["signed"] = true.into();
        json["request"] = hex::encode(signed.digest()?.0).into();
        json["out"] = out.display().to_string().into();
        let text = format!(
            "{preview}\nsigned: give {} to the hospital, which answers with a receipt (sequencer \
             erase --patient {} --request FILE --receipt FILE)",
            out.display(),
            request.patient.get()
        );
        tell(Report::success(text, json))
    }
}
