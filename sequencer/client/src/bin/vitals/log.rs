//! `vitals log`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use client::batches::Batches;
use client::copy::{CopyFound, compare_copy};
use client::log::{Audited, Before, Seen, SeenClaim, SeenOperation, Viewer, before_first, check};
use client::party::Names;
use client::preview::operation_sentence;
use client::promised::{Promised, PromisedBy, PromisesFound, find_promised, read_promised};
use client::{Deployment, Key, KeyKind, Wallet, headers, party, read_layouts, rule_slot};
use model::calendar::Utc;
use model::{
    BatchHeader, BatchNumber, Category, ClaimKind, Party, PatientIndex, Position, Record,
    with_causes,
};
use serde_json::{Value, json};
use statement::batch::{Compared, ComparedClaim, RefusedAccess, ReleasedFrames, Requester};

use crate::consent::parse_patient;
use crate::node::Expected;
use crate::report::{Outcome, Report, Usage};

/// Largest file of released frames that is read: far more than a node releases for one access.
const FRAMES_BYTES_MAX: u64 = 1 << 30;

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
        let key = Key::read(&self.patient_key, KeyKind::Patient)?;
        let deployment = self.expected.load(&self.identity)?;
        let (scope, fingerprint) = (deployment.scope, deployment.fingerprint);
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
        let reading = Reading { viewer, deployment, headers, names: &names };
        let (mut shown, last) = self.check_all(&reading)?;
        let copy = wallet.and_then(|wallet| wallet.record);
        shown.compare_copy(&reading, copy.as_ref(), &last);
        if let Some(folder) = &self.receipts {
            let by = PromisedBy { scope, signer: reading.deployment.receipt_signer };
            let promised = read_promised(folder, by)?;
            shown.compare_receipts(&reading, promised);
        }
        let rebuild = self.rebuild && shown.failure.is_none();
        let mut report = shown.conclude(reading.headers.len());
        report.text = format!("deployment {fingerprint}\n{}", report.text);
        report.json["fingerprint"] = fingerprint.to_string().into();
        // Only from a log that holds: a failed one leaves the record unknown.
        if let (Before::Known(Some(record)), true) = (last, rebuild) {
            let record = Some(*record);
            Wallet { scope, patient, record, names }.write(&path)?;
            report.text += "\nthe wallet's copy of the record is rebuilt";
            report.json["rebuilt"] = true.into();
        }
        Ok(report)
    }

    /// Checks batch by batch; the first that does not agree ends the log as failed.
    fn check_all<'a>(&self, reading: &Reading<'a>) -> anyhow::Result<(Shown<'a>, Before)> {
        let batches = Batches::parse(&self.data)?;
        let edges = headers::read_edges(&self.headers)?;
        let frames = self.read_frames(reading)?;
        let mut before = before_first(&reading.headers);
        let mut shown = Shown::new(reading.names);
        // Nothing precedes the first batch; what precedes later ones says the header before.
        let mut position_in = Some(Position(0));
        if reading.headers.first().is_none_or(|first| first.number != BatchNumber(1)) {
            position_in = None;
        }
        for header in &reading.headers {
            let number = header.number.0;
            let files = batches.fetch(header.number)?;
            let edges = edges.get(&header.number).map_or(&[][..], Vec::as_slice);
            let seen = match check(&reading.viewer, &Audited { header, edges }, &files, before) {
                Ok(seen) => seen,
                Err(error) => {
                    let why = with_causes(&error);
                    shown.lines.push(format!("batch {number}: {why}"));
                    // Later batches would be held against a record that nobody vouches for.
                    shown.failure = Some(Failure { number, why });
                    return Ok((shown, Before::Unknown));
                }
            };
            shown.add(header.number, &seen);
            if let (Some(position_in), Some(opening)) = (position_in, &seen.opening) {
                let compared = frames.iter().flat_map(|one| one.compare(opening, position_in));
                shown.compare_frames(number, compared.collect());
            }
            before = seen.after;
            position_in = Some(header.journal_position);
        }
        Ok((shown, before))
    }

    fn read_frames(&self, reading: &Reading<'_>) -> anyhow::Result<Vec<ReleasedFrames>> {
        let read = |path: &PathBuf| {
            let what = || format!("reading {}", path.display());
            let bytes = files::read(path, FRAMES_BYTES_MAX).with_context(what)?;
            let released = ReleasedFrames::from_bytes(&bytes).with_context(what)?;
            let Viewer { scope, patient, .. } = reading.viewer;
            // Of another patient nothing would be compared, and that would look like success.
            if released.scope != scope || released.patient != patient {
                let why = "expected frames of this patient and deployment, found others";
                return Err(Usage(format!("{}: {why}", path.display())).into());
            }
            Ok(released)
        };
        self.frames.iter().map(read).collect()
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
    /// Accesses that were refused, which nobody proves.
    refused: Vec<String>,
    refused_entries: Vec<Value>,
    /// What was compared beside the batches.
    notes: Vec<String>,
    compared: Value,
    operations: Vec<SeenOperation>,
    digests: BTreeMap<BatchNumber, BTreeSet<[u8; 31]>>,
    failure: Option<Failure>,
    /// Whether something that was compared contradicts the batches.
    contradicted: bool,
}

impl<'a> Shown<'a> {
    fn new(names: &'a Names) -> Shown<'a> {
        Shown {
            names,
            lines: Vec::new(),
            entries: Vec::new(),
            refused: Vec::new(),
            refused_entries: Vec::new(),
            notes: Vec::new(),
            compared: json!({}),
            operations: Vec::new(),
            digests: BTreeMap::new(),
            failure: None,
            contradicted: false,
        }
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
            let (line, entry) = describe_refused(batch, one);
            self.refused.push(line);
            self.refused_entries.push(entry);
        }
    }

    /// Every difference between the wallet's copy and the settled record.
    fn compare_copy(&mut self, reading: &Reading<'_>, copy: Option<&Record>, last: &Before) {
        // Without a copy, or without a record that the batches vouch for, there is nothing to hold
        // against the other.
        let (Some(copy), Before::Known(Some(settled))) = (copy, last) else { return };
        let found = compare_copy(reading.viewer.scope, copy, settled, &self.operations);
        let (note, name) = match found {
            CopyFound::Equal => ("the wallet's copy is the settled record".to_owned(), "equal"),
            CopyFound::Ahead { operations } => {
                let note = format!(
                    "the wallet's copy has {operations} operations that no batch has yet: compare \
                     their receipts (--receipts)"
                );
                (note, "ahead")
            }
            CopyFound::Behind { operations } => {
                let says = |one: &SeenOperation| {
                    let says = operation_sentence(&one.operation, self.names);
                    format!("\n  {}  {says}", Utc(one.t_op))
                };
                let list: String = operations.iter().map(says).collect();
                let note = format!(
                    "the wallet's copy lacks what was signed with its key elsewhere (another \
                     device, or a restored wallet):{list}"
                );
                (note, "behind")
            }
            CopyFound::Unexplained { differences } => {
                self.contradicted = true;
                let list = differences.join(", ");
                self.compared["copy_differs_in"] = differences.into();
                let note = format!(
                    "THE WALLET'S COPY DIFFERS from the settled record and no signed operation \
                     explains it: {list}"
                );
                (note, "unexplained")
            }
        };
        self.notes.push(note);
        self.compared["copy"] = name.into();
    }

    /// Every operation that a receipt promises must be in the batch of its position.
    fn compare_receipts(&mut self, reading: &Reading<'_>, promised: Vec<Promised>) {
        let Reading { viewer, headers, .. } = reading;
        // Batches behind one that does not hold were not read.
        let read = match &self.failure {
            None => headers.as_slice(),
            Some(failure) => {
                let read = headers.iter().take_while(|one| one.number.0 < failure.number).count();
                &headers[..read]
            }
        };
        let found = find_promised(promised, viewer.patient, read, &self.digests);
        let PromisesFound { kept, not_settled, not_compared, absent } = found;
        self.notes.push(format!(
            "receipts: {kept} operations stand in their batches, {not_settled} are not settled \
             yet, {not_compared} were not compared (the signed operation is not beside the \
             receipt, or its batch is before the first header)"
        ));
        let mut list = Vec::new();
        for (Promised { receipt, group, position, digest, .. }, BatchNumber(batch)) in absent {
            self.contradicted = true;
            let (receipt, digest) = (receipt.display().to_string(), hex::encode(digest.0));
            self.notes.push(format!(
                "ABSENT: operation {digest}, promised at journal position {} by group {group} \
                 ({receipt}), is not in batch {batch}: that receipt and the opening of the batch \
                 are evidence",
                position.0
            ));
            list.push(json!({
                "receipt": receipt, "group": group, "position": position.0, "digest": digest,
                "batch": batch,
            }));
        }
        self.compared["receipts"] = json!({
            "kept": kept, "not_settled": not_settled, "not_compared": not_compared,
            "absent": list,
        });
    }

    fn compare_frames(&mut self, batch: u64, compared: Vec<ComparedClaim>) {
        for ComparedClaim { position: Position(position), found, .. } in compared {
            let (name, says) = match found {
                Compared::Equal => ("equal", "are those of its digest"),
                Compared::Differs => ("differ", "ARE NOT those of its digest, or some are missing"),
                Compared::Partial => ("partial", "were asked for in part: not compared"),
                Compared::Unreleased => ("unreleased", "end before it does: not compared"),
            };
            self.contradicted |= found == Compared::Differs;
            let of = "the released frames of the collection at position";
            self.notes.push(format!("batch {batch}: {of} {position} {says}"));
            let entry = json!({ "batch": batch, "position": position, "found": name });
            match self.compared["frames"].as_array_mut() {
                Some(list) => list.push(entry),
                None => self.compared["frames"] = json!([entry]),
            }
        }
    }

    fn conclude(self, batches: usize) -> Report {
        let Shown { refused, refused_entries, lines, entries, notes, compared, .. } = self;
        let holds = self.failure.is_none() && !self.contradicted;
        let mut json = json!({
            "schema": "vitals-log-1", "batches": batches, "entries": entries,
            "refused": refused_entries, "refused_is_proven": false, "compared": compared,
            "holds": holds,
        });
        let mut text = Vec::new();
        if !refused.is_empty() {
            text.push("refused (the operator's word: no proof shows that none is missing)".into());
            text.extend(refused);
        }
        text.extend(lines);
        text.extend(notes);
        match self.failure {
            None => text.push(format!(
                "{} entries in {batches} batches: all are included, and none is missing",
                entries.len()
            )),
            Some(Failure { number, why }) => {
                text.push(format!("the log does not hold at batch {number}"));
                json["failed_batch"] = number.into();
                json["why"] = why.into();
            }
        }
        if self.contradicted {
            text.push("what was promised or released contradicts the batches: see above".into());
        }
        match holds {
            true => Report::success(text.join("\n"), json),
            false => Report::failure(text.join("\n"), json),
        }
    }
}

fn describe_refused(batch: u64, refused: &RefusedAccess) -> (String, Value) {
    let RefusedAccess { position, time, requester, uncovered, count, digest } = refused;
    let (kind, asked) = match requester {
        Requester::Practitioner(_) => ("practitioner", "was refused"),
        Requester::Gateway(_) => ("gateway", "sent readings that were refused"),
    };
    let (at, why, rule) = (Utc(*time), uncovered.sentence(), uncovered.rule());
    let times = if *count == 1 { String::new() } else { format!(", {count} times") };
    let name = requester.name();
    let line = format!("{at}  batch {batch}  {kind} {name} {asked}{times}: {why} ({rule})");
    let entry = json!({
        "batch": batch, "time": at.to_string(), kind: name,
        "why": why, "rule": rule.to_string(), "count": count, "position": position.0,
        "digest": hex::encode(digest.0),
    });
    (line, entry)
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
