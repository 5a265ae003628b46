//! `vitals consent erase`: the patient's request to have their readings erased.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use client::erasure::ToldStands;
use client::erasure_door::{ErasureStands, ask_erasure};
use client::hand_in::Door;
use client::{Deployment, Key, KeyKind, Wallet, erasure, keep_receipt};
use files::Audience;
use model::calendar::{Utc, parse_length};
use model::{Digest, Millis, escape};
use serde_json::{Value, json};
use wire::{SignedErasure, SignedReceipt};

use crate::handed_in::KeyLock;
use crate::node::{Expected, let_pass, now, tell_deployment};
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
    #[arg(long, value_name = "FILE", required_unless_present_any = ["dry_run", "send"])]
    out: Option<PathBuf>,
    /// Hand the request in to a node over HTTP, which keeps it for its operator and says how it
    /// stands: `http[s]://HOST[:PORT][/PATH]`
    #[arg(long, value_name = "URL", conflicts_with = "dry_run")]
    http: Option<String>,
    /// Sign nothing: hand in this request, which was signed before, and say how it stands; once it
    /// was carried out, the receipt is kept in --receipts
    #[arg(long, value_name = "FILE", requires = "http",
          conflicts_with_all = ["out", "dry_run", "yes", "valid_for"])]
    send: Option<PathBuf>,
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
        let tell = |report| Ok(tell_deployment(deployment.fingerprint, report));
        let door = self.http.as_deref().map(Door::parse).transpose();
        let door = door.map_err(|error| Usage(format!("--http: {error}")))?;
        if let (Some(path), Some(door)) = (&self.send, &door) {
            return tell(self.hand_in(door, &deployment, &read_request(path)?)?);
        }
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
        let out = out.display();
        let Some(door) = door else {
            let text = format!(
                "{preview}\nsigned: give {out} to the hospital, which answers with a receipt \
                 (sequencer erase --patient {} --request FILE --receipt FILE)",
                request.patient.get()
            );
            return tell(Report::success(text, json));
        };
        // Signed and kept: what follows may be done again with --send.
        let mut report = self.hand_in(&door, &deployment, &signed)?;
        report.text = format!("{preview}\nsigned: {out}\n{}", report.text);
        json["stands"] = report.json["stands"].clone();
        report.json = json;
        tell(report)
    }

    /// How a request stands at a node; the receipt is kept if there is one.
    fn hand_in(
        &self,
        door: &Door,
        deployment: &Deployment,
        signed: &SignedErasure,
    ) -> anyhow::Result<Report> {
        let (patient, digest) = (signed.request.patient.get(), signed.digest()?);
        let request = hex::encode(digest.0);
        let waits = ToldStands::waiting(patient, request.clone(), now());
        let (text, stands) = match ask_erasure(door, deployment, signed, &let_pass)? {
            ErasureStands::Waiting => {
                self.keep_told(&waits)?;
                let text = "the node keeps the request for its operator: ask again with --send";
                (text.to_owned(), json!({ "state": "waiting" }))
            }
            ErasureStands::Held { since, reason } => {
                self.keep_told(&waits.held(since, reason.clone()))?;
                let since = Utc(since).to_string();
                let says = format!("since {since} keeps the readings: {}", escape(&reason));
                let text = format!("the node keeps the request, and a legal hold {says}");
                (text, json!({ "state": "held", "since": since, "reason": reason }))
            }
            ErasureStands::Erased { at, receipt } => self.keep_receipt(at, &receipt, &digest)?,
        };
        let json = json!({
            "schema": "vitals-erasure-1", "patient": patient, "request": request, "stands": stands,
        });
        Ok(Report::success(text, json))
    }

    /// For the log, which shows it.
    fn keep_told(&self, told: &ToldStands) -> anyhow::Result<()> {
        let Some(folder) = &self.receipts else { return Ok(()) };
        let what = || format!("keeping what the node said in {}", folder.display());
        told.keep(folder).with_context(what)
    }

    fn keep_receipt(
        &self,
        at: Millis,
        receipt: &SignedReceipt,
        digest: &Digest,
    ) -> anyhow::Result<(String, Value)> {
        let at = Utc(at);
        let mut stands = json!({ "state": "erased", "at": at.to_string() });
        let Some(folder) = &self.receipts else {
            return Ok((format!("the readings were erased at {at}"), stands));
        };
        let what = || format!("keeping the receipt in {}", folder.display());
        keep_receipt(folder, receipt).with_context(what)?;
        erasure::forget_told(folder, digest).with_context(what)?;
        let kept = folder.display().to_string();
        let text = format!("the readings were erased at {at}; the receipt is in {kept}");
        stands["receipts"] = kept.into();
        Ok((text, stands))
    }
}

fn read_request(path: &Path) -> anyhow::Result<SignedErasure> {
    let what = || format!("reading {}", path.display());
    let bytes = files::read(path, SignedErasure::BYTES as u64, Audience::Owner);
    SignedErasure::from_bytes(&bytes.with_context(what)?).with_context(what)
}
