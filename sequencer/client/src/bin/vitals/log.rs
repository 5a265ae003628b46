//! `vitals log`.

mod beside;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use client::batches::{BatchFiles, Batches};
use client::erasure::{ToldFound, read_told};
use client::hand_in::Pending;
use client::log::{Audited, Before, Seen, SeenClaim, SeenOperation, Viewer, before_first, check};
use client::party::Names;
use client::preview::operation_sentence;
use client::promised::{JournalCheck, KeptReceipts, PromisedBy, find_promised, read_kept};
use client::{Deployment, Key, KeyKind, Wallet, headers, party, read_layouts, rule_slot};
use model::calendar::Utc;
use model::{
    BatchHeader, BatchNumber, Category, ClaimKind, Millis, Party, PatientIndex, Record, with_causes,
};
use serde_json::{Value, json};
use statement::batch::{PublicFile, ReleasedFrames};
use wire::ErasureOf;

use self::beside::{Told, describe};
use crate::compared::{Findings, FramesCheck, Opened};
use crate::exports::{Accounts, Exports};
use crate::handed_in::{self, KeyLock};
use crate::node::{let_pass, tell_deployment};
use crate::of_patient::{OfPatient, patient_of, read_frames};
use crate::report::{Outcome, Report};

/// Show who read what of a patient, why and when, checked against the base chain
///
/// For the patient, who trusts no node for it: the headers are those that an auditor verified, and
/// every claim in a batch is accounted for.
///
///   auditor verify --save-headers headers.json ...
///   vitals log --patient-key anna.key --data batches --headers headers.json --identity DIR
///   vitals log --patient-key anna.key --data batches --headers headers.json --identity DIR \
///       --accounting disclosures.html --format html
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Log {
    #[command(flatten)]
    of: OfPatient,
    /// Names to recognise in the log besides those the wallet used, as practitioner:dr-001
    #[arg(long, value_name = "WHO", value_delimiter = ',')]
    know: Vec<String>,
    /// Folder of receipts (--receipts of vitals consent): every operation of this patient that has
    /// one must stand in the batch of its position
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// Frames that readers were released and kept (vitals access --frames): whole segments are held
    /// against them
    #[arg(long, value_name = "FILE")]
    frames: Vec<PathBuf>,
    /// Write the wallet's copy of the record anew from the last batch that has one
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    exports: Exports,
}

/// What a log is read from.
pub(crate) struct Sources<'a> {
    /// Batch files: a folder or an address.
    pub(crate) data: &'a str,
    /// Headers that an auditor saved.
    pub(crate) headers: &'a Path,
    /// Folder with the layouts of the deployment's keys.
    pub(crate) identity: &'a Path,
    /// Whose, if there is no copy of the record.
    pub(crate) patient: Option<PatientIndex>,
    /// Names to recognise besides those of the copy.
    pub(crate) know: &'a [String],
    /// Folder of receipts.
    pub(crate) receipts: Option<&'a Path>,
    /// Files of released frames.
    pub(crate) frames: &'a [PathBuf],
    /// Whether files are written of it, for which its settled claims are kept.
    pub(crate) is_exported: bool,
}

/// A log that was read.
pub(crate) struct LogRead {
    pub(crate) report: Report,
    /// A copy of the record as it was settled last; none of a log that does not hold, or whose
    /// batches have no record of this key.
    settled: Option<Wallet>,
    /// Where the last batch ends.
    until: Option<Millis>,
    /// What files are written of, if any are.
    accounts: Option<Accounts>,
}

/// What everything is compared with.
struct Reading<'a> {
    viewer: Viewer,
    deployment: Deployment,
    headers: Vec<BatchHeader>,
    names: &'a Names,
}

impl Log {
    pub(crate) fn run(self) -> Outcome {
        let key = Key::read(&self.of.patient_key, KeyKind::Patient)?;
        let deployment = self.of.expected.load(&self.of.identity)?;
        let sources = Sources {
            data: &self.of.data,
            headers: &self.of.headers,
            identity: &self.of.identity,
            patient: self.of.patient,
            know: &self.know,
            receipts: self.receipts.as_deref(),
            frames: &self.frames,
            is_exported: self.exports.any(),
        };
        // What is signed meanwhile would be lost from a copy that is made anew.
        let _lock = self.rebuild.then(|| KeyLock::take(&self.of.patient_key)).transpose()?;
        let wallet = read_copy(&self.of.patient_key, deployment)?;
        let mut read = sources.read(deployment, &key, wallet)?;
        if self.rebuild {
            read.rebuild(&self.of.patient_key)?;
        }
        if let Some(accounts) = &read.accounts {
            self.exports.write(accounts, read.until, &mut read.report)?;
        }
        Ok(read.report)
    }
}

/// The wallet's copy beside a key. A lost one is no reason to stop: the log is what it is rebuilt
/// from.
pub(crate) fn read_copy(key: &Path, of: Deployment) -> anyhow::Result<Option<Wallet>> {
    let path = Wallet::path(key);
    Ok(match path.exists() {
        true => Some(Wallet::read(&path, of.scope)?),
        false => None,
    })
}

impl LogRead {
    /// How many operations the settled record has seen; none where there is no record.
    pub(crate) fn nonce(&self) -> Option<u32> {
        Some(self.settled.as_ref()?.record.as_ref()?.nonce)
    }

    /// Writes the copy beside a key anew, if the log has one to give: only one that holds does.
    pub(crate) fn rebuild(&mut self, key: &Path) -> anyhow::Result<()> {
        let Some(wallet) = &self.settled else { return Ok(()) };
        wallet.write(&Wallet::path(key))?;
        self.report.text += "\nthe wallet's copy of the record is rebuilt";
        self.report.json["rebuilt"] = true.into();
        let (pending, says) = match settle_pending(key, wallet.record()?.nonce, self.until)? {
            Waiting::None => return Ok(()),
            Waiting::Settled => ("settled", "what was sent and not answered is in the log"),
            Waiting::Over => ("over", "what was sent and not answered is over and had no effect"),
            Waiting::Still => {
                ("waiting", "what was sent and not answered may still take effect, and is kept")
            }
        };
        self.report.text += &format!("\n{says}");
        self.report.json["pending"] = pending.into();
        Ok(())
    }
}

impl Sources<'_> {
    /// Reads every batch and compares what is given beside them.
    pub(crate) fn read(
        &self,
        deployment: Deployment,
        key: &Key,
        wallet: Option<Wallet>,
    ) -> anyhow::Result<LogRead> {
        let (scope, fingerprint) = (deployment.scope, deployment.fingerprint);
        let patient = patient_of(self.patient, wallet.as_ref())?;
        let mut names = wallet.as_ref().map(|wallet| wallet.names.clone()).unwrap_or_default();
        for text in self.know {
            names.learn(text, &party::actor(text)?);
        }
        let layouts = read_layouts(self.identity)?;
        let viewer = Viewer { scope, layouts, patient, view_key: key.view_key() };
        let headers = headers::read(self.headers, scope)?;
        let reading = Reading { viewer, deployment, headers, names: &names };
        let given = self.read_given(&reading)?;
        let (mut shown, last) = self.check_all(&reading, &given)?;
        let copy = wallet.and_then(|wallet| wallet.record);
        shown.compare(&reading, Beside { copy, last: &last, given });
        let accounts = shown.accounts.take();
        let holds = shown.failure.is_none();
        let mut report = tell_deployment(fingerprint, shown.conclude(reading.headers.len()));
        let until = reading.headers.last().map(|header| header.window.t1());
        report.json["until"] = until.map(|at| Utc(at).to_string()).into();
        let settled = match last {
            Before::Known(Some(record)) if holds => Some(*record),
            _ => None,
        };
        report.json["record_found"] = settled.is_some().into();
        let settled = settled.map(|record| Wallet { scope, patient, record: Some(record), names });
        Ok(LogRead { report, settled, until, accounts })
    }

    /// What is held against the batches, read before them: a wrong folder is told at once.
    fn read_given(&self, reading: &Reading<'_>) -> anyhow::Result<Given> {
        let Viewer { scope, .. } = reading.viewer;
        let by = PromisedBy { scope, signer: reading.deployment.receipt_signer };
        let kept = self.receipts.map(|folder| read_kept(folder, by)).transpose()?;
        let told = self.receipts.map(|folder| read_told(folder, reading.viewer.patient));
        let told = told.transpose()?.unwrap_or_default();
        Ok(Given { kept, told, frames: read_frames(self.frames, &reading.viewer)? })
    }

    /// Checks batch by batch; the first that does not agree ends the log as failed.
    fn check_all<'a>(
        &self,
        reading: &Reading<'a>,
        given: &Given,
    ) -> anyhow::Result<(Shown<'a>, Before)> {
        let batches = Batches::parse(self.data)?;
        let edges = headers::read_edges(self.headers)?;
        let headers = reading.headers.as_slice();
        let mut before = before_first(headers);
        let mut shown = Shown::new(reading.names);
        if self.is_exported {
            let transactions = headers::read_transactions(self.headers)?;
            let Viewer { scope, patient, .. } = reading.viewer;
            shown.accounts = Some(Accounts::new(scope, patient, reading.names, transactions));
        }
        let receipts = given.kept.as_ref().map_or(&[][..], |kept| &kept.receipts);
        let mut journal = JournalCheck::new(receipts, headers);
        let mut frames = FramesCheck::new(&given.frames);
        for (at, header) in headers.iter().enumerate() {
            let files = batches.fetch(header.number, &let_pass)?;
            let edges = edges.get(&header.number).map_or(&[][..], Vec::as_slice);
            let seen = check(&reading.viewer, &Audited { header, edges }, &files, before);
            let seen = seen.map_err(|error| with_causes(&error)).and_then(|seen| {
                match receipts.is_empty() {
                    true => Ok(seen),
                    false => take_groups(&mut journal, at, reading, &files).map(|()| seen),
                }
            });
            let seen = match seen {
                Ok(seen) => seen,
                Err(why) => {
                    // Later batches would be held against a record that nobody vouches for.
                    shown.fail(header.number.0, why);
                    before = Before::Unknown;
                    break;
                }
            };
            shown.add(header.number, &seen);
            if let Some(accounts) = &mut shown.accounts {
                accounts.take(header.number, &seen)?;
            }
            if let Some(span) = headers::span(headers, at) {
                frames.take(header.number.0, span, seen.opening.as_deref());
            }
            before = seen.after;
        }
        frames.conclude(&mut shown.findings);
        if given.kept.is_some() {
            shown.findings.add_journal(journal.conclude());
        }
        Ok((shown, before))
    }
}

/// What the command line gives to be compared with the batches.
struct Given {
    kept: Option<KeptReceipts>,
    /// What a node said of requests to erase.
    told: ToldFound,
    frames: Vec<ReleasedFrames>,
}

/// The journal groups of a public file that was found to be the header's.
fn take_groups(
    journal: &mut JournalCheck<'_>,
    at: usize,
    reading: &Reading<'_>,
    files: &BatchFiles,
) -> Result<(), String> {
    let public = PublicFile::from_bytes(&files.public).map_err(|error| with_causes(&error))?;
    let taken = journal.take(at, reading.viewer.scope, &public.groups);
    taken.map_err(|error| with_causes(&error))
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
    /// Accesses that were refused, which nobody proves.
    refused: Vec<String>,
    refused_entries: Vec<Value>,
    asked: Vec<String>,
    asked_entries: Vec<Value>,
    /// What was compared beside the batches.
    findings: Findings,
    operations: Vec<SeenOperation>,
    digests: BTreeMap<BatchNumber, BTreeSet<[u8; 31]>>,
    /// What files are written of, if any are.
    accounts: Option<Accounts>,
    failure: Option<Failure>,
}

/// What a log says of an operation that was sent and not answered.
enum Waiting {
    /// There is none.
    None,
    /// Its nonce is used: what became of it is in the log.
    Settled,
    /// Every batch up to the end of its signature is there, and it is in none: it had no effect and
    /// can have none.
    Over,
    /// It may be later than the last batch.
    Still,
}

/// Forgets an operation that was sent and not answered once the log says what became of it. Kept
/// for ever, one that never came to the node would keep everything else from being signed.
fn settle_pending(key: &Path, next: u32, until: Option<Millis>) -> anyhow::Result<Waiting> {
    let pending = Pending::of_key(key);
    let Some(signed) = handed_in::read(&pending)? else { return Ok(Waiting::None) };
    let operation = signed.operation;
    let waiting = match until {
        _ if operation.nonce < next => Waiting::Settled,
        // Whatever comes later takes effect later than the last batch ends.
        Some(until) if operation.valid_until <= until => Waiting::Over,
        _ => return Ok(Waiting::Still),
    };
    handed_in::forget(&pending)?;
    Ok(waiting)
}

/// What is compared once all batches are opened.
struct Beside<'a> {
    copy: Option<Record>,
    /// The record after the last batch.
    last: &'a Before,
    given: Given,
}

impl<'a> Shown<'a> {
    fn new(names: &'a Names) -> Shown<'a> {
        Shown {
            names,
            lines: Vec::new(),
            entries: Vec::new(),
            refused: Vec::new(),
            refused_entries: Vec::new(),
            asked: Vec::new(),
            asked_entries: Vec::new(),
            findings: Findings::default(),
            operations: Vec::new(),
            digests: BTreeMap::new(),
            accounts: None,
            failure: None,
        }
    }

    fn fail(&mut self, number: u64, why: String) {
        self.lines.push(format!("batch {number}: {why}"));
        self.failure = Some(Failure { number, why });
    }

    fn compare(&mut self, reading: &Reading<'_>, beside: Beside<'_>) {
        let Viewer { scope, patient, .. } = reading.viewer;
        // Batches behind one that does not hold were not opened.
        let failed = self.failure.as_ref().map(|failure| failure.number);
        let opened = |header: &&BatchHeader| failed.is_none_or(|failed| header.number.0 < failed);
        let opened = reading.headers.iter().take_while(opened).count();
        let headers = &reading.headers[..opened];
        let kept = beside.given.kept.unwrap_or_default();
        let was_given = !kept.receipts.is_empty();
        let promises =
            was_given.then(|| find_promised(kept.promised, patient, headers, &self.digests));
        let later = promises.as_ref().map_or(&[][..], |found| &found.later);
        let (names, operations) = (self.names, self.operations.as_slice());
        let opened = Opened { scope, names, headers, operations, later };
        // Behind a failure no record is known, and the failure itself is told.
        if self.failure.is_none() {
            self.findings.compare_copy(&opened, beside.copy.as_ref(), beside.last);
        }
        if let Some(found) = promises {
            self.findings.add_promises(found);
        }
        // A wallet may keep all its receipts in one folder.
        let erased = kept.erased.into_iter().filter(|one| one.request.request.patient == patient);
        let about = match beside.last {
            Before::Known(Some(record)) if !record.is_open() => {
                let (key_hash, nonce) = (record.key_hash, record.nonce);
                Some(ErasureOf { scope, patient, key_hash, nonce })
            }
            _ => None,
        };
        self.findings.add_erasures(about, &erased.collect::<Vec<_>>());
        self.findings.add_told(&beside.given.told);
    }

    fn add(&mut self, number: BatchNumber, seen: &Seen) {
        let batch = number.0;
        for SeenOperation { operation, t_op, digest } in &seen.operations {
            let (at, says) = (Utc(*t_op), operation_sentence(operation, self.names));
            self.lines.push(format!("{at}  batch {batch}  you: {says}"));
            self.entries.push(json!({
                "batch": batch, "time": at.to_string(), "kind": "operation", "says": says,
            }));
            self.digests.entry(number).or_default().insert(digest.0);
        }
        self.operations.extend(seen.operations.iter().cloned());
        for one in &seen.claims {
            let (line, entry) = describe_claim(batch, one, self.names);
            self.lines.push(line);
            self.entries.push(entry);
        }
        for one in &seen.refused {
            let Told { line, entry } = describe(batch, one, self.names);
            let (lines, entries) = match one.requester.is_question() {
                true => (&mut self.asked, &mut self.asked_entries),
                false => (&mut self.refused, &mut self.refused_entries),
            };
            lines.push(line);
            entries.push(entry);
        }
    }

    fn conclude(self, batches: usize) -> Report {
        let Shown { refused, refused_entries, asked, asked_entries, .. } = self;
        let Shown { lines, entries, findings, .. } = self;
        let Findings { notes, json: compared, contradicted, not_compared } = findings;
        let holds = self.failure.is_none() && !contradicted;
        let mut json = json!({
            "schema": "vitals-log-1", "batches": batches, "entries": entries,
            "refused": refused_entries, "refused_is_proven": false,
            "asked": asked_entries, "asked_is_proven": false, "compared": compared,
            "notes": notes, "not_compared": not_compared, "holds": holds,
        });
        let mut verdict = Vec::new();
        match self.failure {
            None => verdict.push(format!(
                "{} entries in {batches} batches: all are included, and none is missing",
                entries.len()
            )),
            Some(Failure { number, why }) => {
                verdict.push(format!("the log does not hold at batch {number}"));
                json["failed_batch"] = number.into();
                json["why"] = why.into();
            }
        }
        if contradicted {
            verdict.push("what was promised or released contradicts the batches: see above".into());
        }
        if !not_compared.is_empty() {
            verdict.push(format!("NOT COMPARED: {}", not_compared.join("; ")));
        }
        json["verdict"] = verdict.clone().into();
        let mut text = Vec::new();
        if !refused.is_empty() {
            text.push("refused (the operator's word: no proof shows that none is missing)".into());
            text.extend(refused);
        }
        if !asked.is_empty() {
            text.push("asked, and nothing read (the operator's word as well)".into());
            text.extend(asked);
        }
        text.extend(lines.into_iter().chain(notes).chain(verdict));
        match (holds, not_compared.is_empty()) {
            (false, _) => Report::failure(text.join("\n"), json),
            (true, false) => Report::not_compared(text.join("\n"), json),
            (true, true) => Report::success(text.join("\n"), json),
        }
    }
}

fn describe_claim(batch: u64, seen: &SeenClaim, names: &Names) -> (String, Value) {
    let SeenClaim { claim, covered, verdict, reason } = seen;
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
        "{at}  batch {batch}  {who} for {whom} {verb} {} of {from} to {until} for {}, {under}{}",
        categories.join(", "),
        claim.purpose.name(),
        say_reason(claim.kind, reason.as_deref())
    );
    let entry = json!({
        "batch": batch, "time": at.to_string(), "kind": claim.kind.name(),
        "who": who, "organisation": whom, "categories": categories,
        "purpose": claim.purpose.name(), "measured_from": from.to_string(),
        "measured_until": until.to_string(), "covered": covered, "rule": rule,
        "position": claim.position.0, "digest": hex::encode(claim.digest.0), "reason": reason,
    });
    (line, entry)
}

/// Why it was read, in the words that the reader signed.
fn say_reason(kind: ClaimKind, reason: Option<&str>) -> String {
    match (kind, reason) {
        (ClaimKind::Collect, _) => String::new(),
        (_, Some("")) => ", no reason given".to_owned(),
        (_, Some(reason)) => format!(", reason: \"{}\"", model::escape(reason)),
        (_, None) => ", and the operator withholds its signed request with the reason".to_owned(),
    }
}
