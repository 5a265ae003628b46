//! `vitals log`.

use std::path::PathBuf;

use clap::Args;
use client::batches::Batches;
use client::log::{Audited, Before, Seen, SeenClaim, SeenOperation, Viewer, before_first, check};
use client::party::Names;
use client::preview::operation_sentence;
use client::{Deployment, Key, KeyKind, Wallet, headers, party, read_layouts, rule_slot};
use model::calendar::Utc;
use model::{BatchHeader, Category, ClaimKind, Party, PatientIndex, with_causes};
use serde_json::{Value, json};

use crate::consent::parse_patient;
use crate::node::Expected;
use crate::report::{Outcome, Report, Usage};

/// Show who read what of a patient, why and when, checked against the base chain
///
/// For the patient, who trusts no node for it: the headers are those that an auditor verified, and
/// every claim in a batch is accounted for.
///
///   auditor verify --save-headers headers.json ...
///   vitals log --patient-key anna.key --data batches --headers headers.json --identity DIR
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Log {
    /// Key of the patient; its view key opens the log
    #[arg(long, value_name = "FILE")]
    patient_key: PathBuf,
    /// Batch files: a folder with NNNNNN/public.bin and private.bin, or `http://HOST[:PORT]`
    #[arg(long, value_name = "DIR|URL")]
    data: String,
    /// Headers that an auditor saved (auditor verify --save-headers FILE)
    #[arg(long, value_name = "FILE")]
    headers: PathBuf,
    /// Folder with deployment.json
    #[arg(long, env = "VITALS_IDENTITY", value_name = "DIR")]
    identity: PathBuf,
    #[command(flatten)]
    expected: Expected,
    /// Index of the record, if the wallet's copy is lost
    #[arg(long, value_name = "N", value_parser = parse_patient)]
    patient: Option<PatientIndex>,
    /// Names to recognise in the log besides those the wallet used, as practitioner:dr-001
    #[arg(long, value_name = "WHO", value_delimiter = ',')]
    know: Vec<String>,
    /// Write the wallet's copy of the record anew from the last batch that has one
    #[arg(long)]
    rebuild: bool,
}

impl Log {
    pub(crate) fn run(self) -> Outcome {
        let key = Key::read(&self.patient_key, KeyKind::Patient)?;
        let Deployment { scope, fingerprint, .. } = self.expected.load(&self.identity)?;
        let path = Wallet::path(&self.patient_key);
        // A lost copy is no reason to stop: the log is what it is rebuilt from.
        let wallet = match path.exists() {
            true => Some(Wallet::read(&path, scope)?),
            false => None,
        };
        let missing = || Usage("expected --patient N, or the wallet's record file".to_owned());
        let patient = self.patient.or(wallet.as_ref().map(|wallet| wallet.patient));
        let patient = patient.ok_or_else(missing)?;
        let mut names = wallet.as_ref().map(|wallet| wallet.names.clone()).unwrap_or_default();
        for text in &self.know {
            names.learn(text, &party::actor(text)?);
        }
        let layouts = read_layouts(&self.identity)?;
        let viewer = Viewer { scope, layouts, patient, view_key: key.view_key() };
        let headers = headers::read(&self.headers, scope)?;
        let (mut report, last) = self.check_all(&viewer, &headers, &names)?;
        report.text = format!("deployment {fingerprint}\n{}", report.text);
        report.json["fingerprint"] = fingerprint.to_string().into();
        // Only from a log that holds: a failed one leaves the record unknown.
        if let (Before::Known(Some(record)), true) = (last, self.rebuild) {
            let record = Some(*record);
            Wallet { scope, patient, record, names }.write(&path)?;
            report.text += "\nthe wallet's copy of the record is rebuilt";
            report.json["rebuilt"] = true.into();
        }
        Ok(report)
    }

    /// Checks batch by batch; the first that does not agree ends the log as failed.
    fn check_all(
        &self,
        viewer: &Viewer,
        headers: &[BatchHeader],
        names: &Names,
    ) -> anyhow::Result<(Report, Before)> {
        let batches = Batches::parse(&self.data)?;
        let edges = headers::read_edges(&self.headers)?;
        let mut before = before_first(headers);
        let mut shown = Shown { names, lines: Vec::new(), entries: Vec::new() };
        for header in headers {
            let number = header.number.0;
            let files = batches.fetch(header.number)?;
            let edges = edges.get(&header.number).map_or(&[][..], Vec::as_slice);
            let seen = match check(viewer, &Audited { header, edges }, &files, before) {
                Ok(seen) => seen,
                Err(error) => {
                    let why = with_causes(&error);
                    shown.lines.push(format!("batch {number}: {why}"));
                    // Later batches would be held against a record that nobody vouches for.
                    let report = shown.conclude(headers.len(), Some(Failure { number, why }));
                    return Ok((report, Before::Unknown));
                }
            };
            shown.add(number, &seen);
            before = seen.after;
        }
        Ok((shown.conclude(headers.len(), None), before))
    }
}

/// Where and why a log does not hold.
struct Failure {
    number: u64,
    why: String,
}

/// What the log shows so far: lines for people, entries for programs.
struct Shown<'a> {
    names: &'a Names,
    lines: Vec<String>,
    entries: Vec<Value>,
}

impl Shown<'_> {
    fn add(&mut self, batch: u64, seen: &Seen) {
        for SeenOperation { operation, t_op } in &seen.operations {
            let (at, says) = (Utc(*t_op), operation_sentence(operation, self.names));
            self.lines.push(format!("{at}  batch {batch}  you: {says}"));
            self.entries.push(json!({
                "batch": batch, "time": at.to_string(), "kind": "operation", "says": says,
            }));
        }
        for one in &seen.claims {
            let (line, entry) = describe_claim(batch, one, self.names);
            self.lines.push(line);
            self.entries.push(entry);
        }
    }

    fn conclude(self, batches: usize, failure: Option<Failure>) -> Report {
        let Shown { mut lines, entries, .. } = self;
        let mut json = json!({
            "schema": "vitals-log-1", "batches": batches, "entries": entries,
            "holds": failure.is_none(),
        });
        match failure {
            None => {
                lines.push(format!(
                    "{} entries in {batches} batches: all are included, and none is missing",
                    entries.len()
                ));
                Report::success(lines.join("\n"), json)
            }
            Some(Failure { number, why }) => {
                lines.push(format!("the log does not hold at batch {number}"));
                json["failed_batch"] = number.into();
                json["why"] = why.into();
                Report::failure(lines.join("\n"), json)
            }
        }
    }
}

fn describe_claim(batch: u64, seen: &SeenClaim, names: &Names) -> (String, Value) {
    let SeenClaim { claim, covered, verdict } = seen;
    let at = Utc(claim.receipt.from);
    let who = names.of(&Party::Named(claim.individual));
    let whom = names.of(&Party::Named(claim.organisation));
    let verb = match claim.kind {
        ClaimKind::Access => "read",
        ClaimKind::Collect => "collected",
        ClaimKind::BreakGlass => "broke the glass and read",
    };
    let named = Category::ALL.iter().filter(|one| claim.categories.contains(one.only()));
    let categories: Vec<_> = named.map(|one| one.name()).collect();
    let (from, until) = (Utc(claim.measured.from), Utc(claim.measured.until));
    let rule = match verdict {
        Ok(slot) => rule_slot::name(*slot),
        Err(uncovered) => format!("no rule ({}, {})", uncovered.sentence(), uncovered.rule()),
    };
    let under = match covered {
        true => format!("under {rule}"),
        false => format!("EXCLUDED: counted publicly as not covered; by the record {rule}"),
    };
    let line = format!(
        "{at}  batch {batch}  {who} for {whom} {verb} {} of {from} to {until} for {}, {under}",
        categories.join(", "),
        claim.purpose.name()
    );
    let entry = json!({
        "batch": batch, "time": at.to_string(), "kind": claim.kind.name(),
        "who": who, "organisation": whom, "categories": categories,
        "purpose": claim.purpose.name(), "measured_from": from.to_string(),
        "measured_until": until.to_string(), "covered": covered, "rule": rule,
        "position": claim.position.0, "digest": hex::encode(claim.digest.0),
    });
    (line, entry)
}
